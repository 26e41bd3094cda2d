package settlement_test

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/market"
	"github.com/isvkit/isvkit/sandbox/market/settlement"
)

// said answers from a map.
func said(m map[string]any) market.Answers {
	return func(field string) (any, bool) { v, ok := m[field]; return v, ok }
}

func TestCompletion(t *testing.T) {
	p := load(t, "koogallery")
	paid, accepted := at(t, "2026-10-31 08:00:00"), at(t, "2026-10-31 20:59:59")
	assert.True(t, settlement.CompletedAt(p, paid, time.Time{}).IsZero(), "not accepted yet")
	for _, tc := range []struct{ accepted, completed, billed string }{
		{"2026-10-31 20:59:58", "2026-10-31 23:59:58", "2026-11-01 00:00:00"},
		{"2026-10-31 20:59:59", "2026-10-31 23:59:59", "2026-11-01 00:00:00"},
		{"2026-10-31 21:00:00", "2026-11-01 00:00:00", "2026-12-01 00:00:00"},
		{"2026-10-31 21:00:01", "2026-11-01 00:00:01", "2026-12-01 00:00:00"},
	} {
		completed := settlement.CompletedAt(p, paid, at(t, tc.accepted))
		assert.Equal(t, at(t, tc.completed), completed)
		assert.Equal(t, at(t, tc.billed), settlement.BilledFrom(p, completed))
	}
	other := load(t, "tencent")
	assert.Equal(t, paid, settlement.CompletedAt(other, paid, accepted), "where no acceptance is waited for, it is the payment")
	assert.Equal(t, paid, settlement.CompletedAt(other, paid, time.Time{}))
}

// TestRefundFor has the review period of each market, at its end and a second to each side, and the unused part after it.
func TestRefundFor(t *testing.T) {
	for _, tc := range []struct {
		market, category, paid string
		at, amount             string
		full                   bool
	}{
		// 5 days from the moment.
		{"koogallery", "saas", "2026-03-01 12:00:00", "2026-03-06 11:59:59", "3650.00", true},
		{"koogallery", "saas", "2026-03-01 12:00:00", "2026-03-06 12:00:00", "3600.00", false},
		{"koogallery", "saas", "2026-03-01 12:00:00", "2026-03-06 12:00:01", "3600.00", false},
		// 5 days with the day of purchase: bought on the 1st, at whatever time, the 5th is the last.
		{"tencent", "saas", "2026-03-01 00:00:00", "2026-03-05 23:59:59", "3650.00", true},
		{"tencent", "saas", "2026-03-01 23:59:59", "2026-03-05 23:59:59", "3650.00", true},
		{"tencent", "saas", "2026-03-01 00:00:00", "2026-03-06 00:00:00", "3600.00", false},
		{"tencent", "image", "2026-03-01 00:00:00", "2026-03-06 00:00:01", "3600.00", false},
		{"tencent", "image", "2026-02-28 23:59:59", "2026-03-04 23:59:59", "3650.00", true},
		{"tencent", "image", "2026-02-28 23:59:59", "2026-03-05 00:00:00", "3610.00", false},
		// Tools: nothing.
		{"tencent", "api-services", "2026-03-01 00:00:00", "2026-03-01 00:00:00", "0.00", false},
		// 7 days from the moment, and nothing later.
		{"kubesphere", "storage", "2026-03-01 12:00:00", "2026-03-08 11:59:59", "3650.00", true},
		{"kubesphere", "storage", "2026-03-01 12:00:00", "2026-03-08 12:00:00", "0.00", false},
		{"kubesphere", "storage", "2026-03-01 12:00:00", "2026-03-08 12:00:01", "0.00", false},
		// No review period is published: the unused part from the first day.
		{"alibaba", "services", "2026-03-01 12:00:00", "2026-03-02 12:00:00", "3640.00", false},
		{"kingsoft", "basic-software", "2026-03-01 12:00:00", "2026-03-02 12:00:00", "3640.00", false},
		{"alibaba", "services", "2026-03-01 12:00:00", "2027-03-01 11:59:59", "0.00", false},
		{"alibaba", "services", "2026-03-01 12:00:00", "2027-03-01 12:00:00", "0.00", false},
	} {
		p := load(t, tc.market)
		paid := at(t, tc.paid)
		due := settlement.RefundFor(p, settlement.Purchase{Category: tc.category, Amount: money("3650.00"), Paid: paid, Ends: paid.AddDate(1, 0, 0)}, at(t, tc.at))
		same(t, tc.amount, due.Amount, "%s %s %s", tc.market, tc.category, tc.at)
		assert.Equal(t, tc.full, due.Full, "%s %s %s", tc.market, tc.category, tc.at)
		assert.NotEmpty(t, due.Why)
	}
}

func TestRefundFor_Services(t *testing.T) {
	p := load(t, "tencent")
	b := settlement.Purchase{Category: "operations-services", Amount: money("100.00"), Paid: at(t, "2026-03-01")}
	due := settlement.RefundFor(p, b, at(t, "2026-12-31"))
	assert.True(t, due.Full, "as long as the buyer has not confirmed")
	assert.True(t, due.FullUntil.IsZero())
	b.Confirmed = true
	due = settlement.RefundFor(p, b, at(t, "2026-12-31"))
	assert.False(t, due.Full)
	same(t, "0.00", due.Amount)
}

// A buyer has ten full refunds in a calendar year.
func TestRefundFor_TenTimes(t *testing.T) {
	p := load(t, "koogallery")
	for had, full := range map[int]bool{0: true, 8: true, 9: true, 10: false, 11: false} {
		due := settlement.RefundFor(p, settlement.Purchase{Category: "saas", Amount: money("10.00"), Paid: at(t, "2026-03-01"), FullRefunds: had}, at(t, "2026-03-02"))
		assert.Equal(t, full, due.Full, had)
		assert.True(t, due.Releases)
	}
}

func TestRefundFor_WhatHasNotBegunIsUnused(t *testing.T) {
	p := load(t, "alibaba")
	b := settlement.Purchase{Category: "services", Amount: money("10.00"), Paid: at(t, "2026-03-01"), Begins: at(t, "2026-06-01"), Ends: at(t, "2026-07-01")}
	same(t, "10.00", settlement.RefundFor(p, b, at(t, "2026-05-01")).Amount)
	same(t, "10.00", settlement.RefundFor(p, b, at(t, "2026-06-01")).Amount)
	same(t, "5.00", settlement.RefundFor(p, b, at(t, "2026-06-16")).Amount)
	same(t, "3.33", settlement.RefundFor(p, b, at(t, "2026-06-21")).Amount)
}

func TestRefundRate(t *testing.T) {
	p := load(t, "tencent")
	for refunded, tooMuch := range map[int]bool{0: false, 9: false, 10: false, 11: true} {
		rate, got := settlement.RefundRate(p, 1000, refunded)
		assert.Equal(t, tooMuch, got, "%d of 1000: %s", refunded, rate)
	}
	_, tooMuch := settlement.RefundRate(p, 0, 0)
	assert.False(t, tooMuch)
	_, tooMuch = settlement.RefundRate(load(t, "alibaba"), 1, 1)
	assert.False(t, tooMuch, "the document has no rate")
}

func TestDeposits(t *testing.T) {
	for _, tc := range []struct {
		market     string
		categories []string
		want       string
	}{
		{"alibaba", nil, "0.00"},
		{"alibaba", []string{"api"}, "30000.00"},
		{"alibaba", []string{"retail-link"}, "50000.00"},
		{"alibaba", []string{"api", "services"}, "60000.00"},
		{"alibaba", []string{"api", "services", "retail-link"}, "110000.00"},
		{"tencent", []string{"image"}, "1000.00"},
		{"tencent", []string{"saas"}, "5000.00"},
		{"tencent", []string{"image", "saas", "security"}, "5000.00"},
		{"kubesphere", []string{"storage"}, "5000.00"},
		{"kubesphere", []string{"storage", "networking"}, "5000.00"},
		{"koogallery", []string{"saas"}, "0.00"},
		{"kingsoft", []string{"basic-software"}, "0.00"},
	} {
		due, err := settlement.DepositFor(load(t, tc.market), settlement.Seller{Categories: tc.categories}, at(t, "2026-03-01"))
		require.NoError(t, err)
		same(t, tc.want, due.Amount, "%s %v", tc.market, tc.categories)
		assert.Equal(t, tc.market == "koogallery" || tc.market == "kingsoft", due.Note != "", tc.market)
	}
	_, err := settlement.DepositFor(load(t, "tencent"), settlement.Seller{Categories: []string{"toys"}}, at(t, "2026-03-01"))
	assert.ErrorContains(t, err, `category "toys" is none of tencent, expected one of image, saas`)
}

func TestDeposits_Waivers(t *testing.T) {
	p := load(t, "kubesphere")
	company := func(staff int) market.Answers {
		return said(map[string]any{"company.kind": "enterprise", "company.staff": staff, "product.offer": "commercial"})
	}
	for staff, want := range map[int]string{9: "0.00", 10: "0.00", 11: "5000.00"} {
		due, err := settlement.DepositFor(p, settlement.Seller{Categories: []string{"storage"}, Answers: company(staff)}, at(t, "2026-03-01"))
		require.NoError(t, err)
		same(t, want, due.Amount, staff)
	}
	for offer, want := range map[string]string{"free": "free-offer", "open-source": "free-offer", "commercial": ""} {
		due, err := settlement.DepositFor(p, settlement.Seller{Categories: []string{"storage"}, Answers: said(map[string]any{"product.offer": offer})}, at(t, "2026-03-01"))
		require.NoError(t, err)
		assert.Equal(t, want, due.Waived, offer)
	}
	for _, tc := range []struct{ entered, listed, at, want, by string }{
		{"2022-12-31", "2023-06-01", "2023-07-01 00:00:00", "5000.00", ""},
		{"2023-01-01", "", "2024-07-01 00:00:00", "0.00", ""}, // nothing is listed yet, so the year has not begun
		{"2023-01-01", "2023-06-01", "2024-05-31 23:59:59", "0.00", ""},
		{"2023-01-01", "2023-06-01", "2024-06-01 00:00:00", "5000.00", "2024-06-06 00:00:00"},
		{"2023-12-31", "2023-12-31", "2024-12-30 23:59:59", "0.00", ""},
		{"2023-12-31", "2023-12-31", "2024-12-31 00:00:00", "5000.00", "2025-01-05 00:00:00"},
		{"2024-01-01", "2024-01-01", "2024-02-01 00:00:00", "5000.00", ""},
	} {
		seller := settlement.Seller{Categories: []string{"storage"}, Entered: market.Date(tc.entered), FirstListed: market.Date(tc.listed), Answers: company(50)}
		due, err := settlement.DepositFor(p, seller, at(t, tc.at))
		require.NoError(t, err)
		same(t, tc.want, due.Amount, "%s at %s", tc.entered, tc.at)
		if tc.by == "" {
			assert.True(t, due.DueBy.IsZero())
			continue
		}
		assert.Equal(t, at(t, tc.by), due.DueBy)
		for when, overdue := range map[time.Duration]bool{-time.Second: false, 0: true, time.Second: true} {
			state, err := settlement.DepositAt(p, seller, nil, due.DueBy.Add(when))
			require.NoError(t, err)
			assert.Equal(t, overdue, state.Overdue, when)
			assert.Equal(t, []string{"listing", "withdrawal"}, state.Prevents)
		}
	}
}

// TestDeposits_TopUp: deducted on a Friday, the seventh working day is the Tuesday of the second week.
func TestDeposits_TopUp(t *testing.T) {
	p := load(t, "tencent")
	seller := settlement.Seller{Categories: []string{"saas"}}
	entries := []settlement.Entry{
		{ID: "1", At: at(t, "2026-11-01"), Kind: settlement.Deposit, Amount: money("5000.00")},
		{ID: "2", At: at(t, "2026-11-20"), Kind: settlement.Deduction, Amount: money("1000.00"), Reason: "a violation"},
		{ID: "3", At: at(t, "2026-11-25"), Kind: settlement.Deduction, Amount: money("1.00"), Reason: "another does not move the day"},
	}
	state, err := settlement.DepositAt(p, seller, entries, at(t, "2026-11-19"))
	require.NoError(t, err)
	same(t, "0.00", state.Short)
	assert.Empty(t, state.Prevents)
	for when, overdue := range map[string]bool{"2026-11-30 23:59:59": false, "2026-12-01 23:59:59": false, "2026-12-02 00:00:00": true, "2026-12-02 00:00:01": true} {
		// Saturday and Sunday do not count: the 23rd to the 27th are five, the 30th and the 1st two more.
		state, err := settlement.DepositAt(p, seller, entries, at(t, when))
		require.NoError(t, err)
		assert.Equal(t, overdue, state.Overdue, "%s: %s", when, state.TopUpBy)
		same(t, "1001.00", state.Short)
		assert.Equal(t, at(t, "2026-12-02 00:00:00"), state.TopUpBy)
		if overdue {
			assert.Equal(t, "close-shop", state.Follows[0].Do)
		}
	}
	for amount, short := range map[string]string{"1000.99": "0.01", "1001.00": "0.00", "1001.01": "0.00"} {
		state, err := settlement.DepositAt(p, seller, append(entries[:3:3], settlement.Entry{ID: "4", At: at(t, "2026-11-26"), Kind: settlement.Deposit, Amount: money(amount)}), at(t, "2026-12-24"))
		require.NoError(t, err)
		same(t, short, state.Short)
		assert.Equal(t, short != "0.00", state.Overdue)
	}
}

func TestDeposits_Return(t *testing.T) {
	ended := at(t, "2026-11-20 10:00:00")
	back := settlement.ReturnOf(load(t, "alibaba"), money("60000.00"), ended, true)
	same(t, "60000.00", back.Amount)
	assert.True(t, back.NotAfter.IsZero())
	same(t, "0.00", settlement.ReturnOf(load(t, "alibaba"), money("60000.00"), ended, false).Amount, "a rule was broken")
	back = settlement.ReturnOf(load(t, "tencent"), money("5000.00"), ended, false)
	same(t, "5000.00", back.Amount)
	assert.Equal(t, at(t, "2026-12-12 00:00:00"), back.NotAfter, "the end of the 15th working day")
	back = settlement.ReturnOf(load(t, "kubesphere"), money("5000.00"), ended, true)
	assert.Equal(t, at(t, "2027-02-20 10:00:00"), back.NotBefore, "three months")
	same(t, "0.00", settlement.ReturnOf(load(t, "koogallery"), decimal.Zero, ended, true).Amount)
}

// TestCharges has the certification fee: a year later it is due again.
func TestCharges(t *testing.T) {
	p := load(t, "tencent")
	paid := settlement.Entry{ID: "c", At: at(t, "2026-03-01 10:00:00"), Kind: settlement.Charge, Amount: money("300.00"), Reason: "certification"}
	for when, due := range map[string]int{
		"2026-03-01 09:59:59": 1, "2026-03-01 10:00:00": 0, "2027-03-01 09:59:59": 0, "2027-03-01 10:00:00": 1, "2027-03-01 10:00:01": 1,
	} {
		assert.Len(t, settlement.ChargesDue(p, settlement.Seller{}, []settlement.Entry{paid}, at(t, when)), due, when)
	}
	for amount, due := range map[string]int{"299.99": 1, "300.00": 0, "300.01": 0} {
		paid.Amount = money(amount)
		assert.Len(t, settlement.ChargesDue(p, settlement.Seller{}, []settlement.Entry{paid}, at(t, "2026-03-02")), due, amount)
	}
	cost, err := settlement.CostUpFront(p, settlement.Seller{Categories: []string{"image", "saas"}}, at(t, "2026-03-01"))
	require.NoError(t, err)
	same(t, "5300.00", cost.Total)
	cost, err = settlement.CostUpFront(load(t, "alibaba"), settlement.Seller{Categories: []string{"api", "retail-link"}}, at(t, "2026-03-01"))
	require.NoError(t, err)
	same(t, "80000.00", cost.Total)
}

// TestWithdrawals has the smallest withdrawal and the window of the first ten working days, at the bound and to each side.
func TestWithdrawals(t *testing.T) {
	p := load(t, "kubesphere")
	seller := settlement.Seller{Categories: []string{"storage"}}
	deposit := settlement.Entry{ID: "d", At: at(t, "2026-08-01"), Kind: settlement.Deposit, Amount: money("5000.00")}
	// September's sale; of 11,111.11 there are 10,000.00 after 10%.
	for amount, possible := range map[string]bool{"11111.10": false, "11111.11": true, "11111.12": true} {
		w, err := settle(t, p, seller, []settlement.Entry{deposit, sale(t, "o", "2026-09-10", "storage", amount)}, "2026-10-15").Withdrawable()
		require.NoError(t, err)
		assert.Equal(t, possible, w.Possible, "%s: %s %s", amount, w.Amount, w.Why)
	}
	sold := []settlement.Entry{deposit, sale(t, "o", "2026-09-10", "storage", "20000.00")}
	// The tenth working day of October 2026 is the 20th.
	for when, possible := range map[string]bool{
		"2026-09-30 23:59:59": false, "2026-10-01 00:00:00": true, "2026-10-20 23:59:59": true, "2026-10-21 00:00:00": false, "2026-10-31 23:59:59": false, "2026-11-01 00:00:00": true,
	} {
		w, err := settle(t, p, seller, sold, when).Withdrawable()
		require.NoError(t, err)
		assert.Equal(t, possible, w.Possible, "%s: %s", when, w.Why)
	}
	w, err := settle(t, p, seller, sold, "2026-10-21 00:00:00").Withdrawable()
	require.NoError(t, err)
	assert.Equal(t, "one may apply within the first 10 working days of a month, next from 2026-11-01", w.Why)
	assert.True(t, w.Invoice)

	// Small months are joined, whole months are taken, and what was taken is gone.
	entries := []settlement.Entry{
		deposit, sale(t, "a", "2026-08-10", "storage", "6000.00"), sale(t, "b", "2026-09-10", "storage", "6000.00"), sale(t, "c", "2026-10-10", "storage", "50000.00"),
	}
	w, err = settle(t, p, seller, entries, "2026-09-02").Withdrawable()
	require.NoError(t, err)
	assert.Equal(t, "5400.00 is less than 10000.00; it waits and is joined with the next month", w.Why)
	account := settle(t, p, seller, entries, "2026-10-12")
	w, err = account.Withdrawable()
	require.NoError(t, err)
	same(t, "10800.00", w.Amount)
	assert.Equal(t, []string{"2026-08", "2026-09"}, w.Months)
	_, err = account.Withdraw("w", money("10000.00"))
	assert.EqualError(t, err, "amount: is 10000.00, expected 10800.00: whole months are withdrawn, never a chosen amount")
	taken, err := account.Withdraw("w", decimal.Zero)
	require.NoError(t, err)
	account = settle(t, p, seller, append(entries, taken), "2026-10-13")
	_, err = account.Withdraw("w2", decimal.Zero)
	assert.EqualError(t, err, "nothing can be withdrawn: nothing that is settled waits to be withdrawn")
	w, err = settle(t, p, seller, append(entries, taken), "2026-11-02").Withdrawable()
	require.NoError(t, err)
	same(t, "45000.00", w.Amount)
	assert.Equal(t, []string{"2026-10"}, w.Months)

	// Without the deposit there is no withdrawal.
	for held, possible := range map[string]bool{"4999.99": false, "5000.00": true, "5000.01": true} {
		deposit.Amount = money(held)
		w, err := settle(t, p, seller, []settlement.Entry{deposit, sold[1]}, "2026-10-15").Withdrawable()
		require.NoError(t, err)
		assert.Equal(t, possible, w.Possible, w.Why)
	}
	other := load(t, "tencent")
	w, err = settle(t, other, settlement.Seller{Categories: []string{"saas"}}, []settlement.Entry{sale(t, "o", "2026-09-10", "saas", "100.00")}, "2026-10-31").Withdrawable()
	require.NoError(t, err)
	assert.Equal(t, "the deposit is short of 5000.00, and is needed for withdrawal", w.Why)
}

// Where nothing is published about withdrawals, any settled amount may be taken at any time, but nothing of the month that goes on.
func TestWithdrawals_WithoutARule(t *testing.T) {
	p := load(t, "kingsoft")
	entries := []settlement.Entry{sale(t, "o", "2026-09-10", "basic-software", "100.00"), sale(t, "p", "2026-10-10", "basic-software", "100.00")}
	account := settle(t, p, settlement.Seller{}, entries, "2026-10-31 23:59:59")
	for amount, want := range map[string]string{
		"90.01": "amount: is 90.01, expected at most 90.00, which is settled", "90.00": "", "0.01": "", "-0.01": "amount: is -0.01, expected one above zero",
		"0.001": "amount: is 0.001, expected one above zero with at most 2 decimals",
	} {
		_, err := account.Withdraw("w", money(amount))
		if want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, want)
		}
	}
	account, err := settlement.Settle(settlement.Always(p), settlement.Seller{}, nil, at(t, "2026-10-31"))
	require.NoError(t, err)
	assert.Empty(t, account.Statements)
}
