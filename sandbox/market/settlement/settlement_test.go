package settlement_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/market"
	"github.com/isvkit/isvkit/sandbox/market/settlement"
)

// at reads a time in Beijing, where all five markets are.
func at(t *testing.T, text string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	if len(text) == len("2006-01-02") {
		text += " 12:00:00"
	}
	v, err := time.ParseInLocation("2006-01-02 15:04:05", text, zone)
	require.NoError(t, err)
	return v
}

func money(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func load(t *testing.T, name string) *market.Policy {
	t.Helper()
	p, err := market.Load(name, time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	return p
}

func settle(t *testing.T, p *market.Policy, seller settlement.Seller, entries []settlement.Entry, when string) *settlement.Account {
	t.Helper()
	a, err := settlement.Settle(settlement.Always(p), seller, entries, at(t, when))
	require.NoError(t, err)
	return a
}

func month(t *testing.T, a *settlement.Account, m string) settlement.Statement {
	t.Helper()
	s, ok := a.Statement(m)
	require.True(t, ok, m)
	return s
}

func sale(t *testing.T, id, when, category, amount string) settlement.Entry {
	t.Helper()
	return settlement.Entry{ID: id, At: at(t, when), Kind: settlement.Sale, Category: category, Amount: money(amount)}
}

func same(t *testing.T, want string, got decimal.Decimal, args ...any) {
	t.Helper()
	assert.Equal(t, want, got.StringFixed(2), args...)
}

// TestSettle_WorkedExample is the example of the Alibaba document: website building, 1,000,000 in October, of which 400,000 come from the
// seller's own distribution. 600,000 are charged at 20%, which is 120,000; the third tier makes 60,000 due, and 60,000 come back.
func TestSettle_WorkedExample(t *testing.T) {
	p := load(t, "alibaba")
	entries := []settlement.Entry{
		sale(t, "o-1", "2018-10-03", "website-building", "350000.00"),
		sale(t, "o-2", "2018-10-20", "website-building", "250000.00"),
		sale(t, "o-3", "2018-10-21", "website-building", "400000.00"),
	}
	entries[2].Revenue = "distribution"
	before := month(t, settle(t, p, settlement.Seller{ID: "acme"}, entries, "2018-10-31 23:59:59"), "2018-10")
	assert.False(t, before.Final)
	same(t, "120000.00", before.Charged)
	same(t, "0.00", before.Correction, "the month is not over")
	same(t, "880000.00", before.Closing)

	s := month(t, settle(t, p, settlement.Seller{ID: "acme"}, entries, "2018-11-01 00:00:00"), "2018-10")
	assert.True(t, s.Final)
	require.Len(t, s.Totals, 1)
	same(t, "1000000.00", s.Totals[0].Counted)
	assert.Equal(t, "10%", s.Totals[0].Rate.String())
	same(t, "120000.00", s.Charged)
	same(t, "60000.00", s.Totals[0].Due)
	same(t, "60000.00", s.Correction)
	same(t, "940000.00", s.Closing)
	same(t, "0.00", s.Lines[2].Fee, "distribution carries no fee")
}

// TestTiers has each tier of each fee: at its bound, one cent below and one above.
func TestTiers(t *testing.T) {
	p := load(t, "alibaba")
	for _, tc := range []struct {
		categories []string
		rates      [3]string
	}{
		{[]string{"website-building"}, [3]string{"20%", "15%", "10%"}},
		{[]string{"enterprise-applications", "basic-software", "services", "security", "solutions", "data-intelligence"}, [3]string{"10%", "5%", "3%"}},
		{[]string{"api", "iot"}, [3]string{"0%", "0%", "0%"}},
	} {
		for _, category := range tc.categories {
			for revenue, tier := range map[string]int{
				"0.01": 0, "199999.99": 0, "200000.00": 1, "200000.01": 1, "499999.99": 1, "500000.00": 2, "500000.01": 2, "99999999.99": 2,
			} {
				s := month(t, settle(t, p, settlement.Seller{}, []settlement.Entry{sale(t, "o", "2018-03-10", category, revenue)}, "2018-04-01"), "2018-03")
				assert.Equal(t, tc.rates[tier], s.Totals[0].Rate.String(), "%s %s", category, revenue)
				// The rate of the tier is that of the whole month, computed here in cents.
				var cents, rate big.Int
				cents.SetString(strings.Replace(revenue, ".", "", 1), 10)
				rate.SetString(strings.TrimSuffix(tc.rates[tier], "%"), 10)
				due := new(big.Int).Mul(&cents, &rate)
				due.Add(due, big.NewInt(50)).Div(due, big.NewInt(100)) // half up
				same(t, decimal.NewFromBigInt(due, -2).StringFixed(2), s.Totals[0].Due, "%s %s", category, revenue)
				same(t, "0.00", s.Charged.Sub(s.Correction).Sub(s.Totals[0].Due))
			}
		}
	}
	// Each market of the seller has its own month, and so its own tier.
	s := month(t, settle(t, p, settlement.Seller{}, []settlement.Entry{
		sale(t, "a", "2018-03-10", "services", "150000.00"), sale(t, "b", "2018-03-10", "security", "150000.00"),
	}, "2018-04-01"), "2018-03")
	assert.Equal(t, "10%", s.Totals[0].Rate.String())
	assert.Equal(t, "10%", s.Totals[1].Rate.String())
	// Where a document has one rate, it is that at any revenue.
	for _, flat := range []struct{ market, category string }{{"tencent", "saas"}, {"kingsoft", "basic-software"}, {"kubesphere", "storage"}} {
		for _, revenue := range []string{"0.01", "200000.00", "999999999.99"} {
			s := month(t, settle(t, load(t, flat.market), settlement.Seller{}, []settlement.Entry{sale(t, "o", "2026-03-10", flat.category, revenue)}, "2026-04-01"), "2026-03")
			assert.Equal(t, "10%", s.Totals[0].Rate.String())
			same(t, money(revenue).Div(decimal.NewFromInt(10)).Round(2).StringFixed(2), s.Charged, "%s %s", flat.market, revenue)
			same(t, "0.00", s.Correction)
		}
	}
	// Where none is published it is counted as nothing, and said.
	for _, none := range []struct{ market, category string }{
		{"koogallery", "saas"},
		{"alibaba", "devops"},
		{"alibaba", "new-retail"},
		{"alibaba", "retail-link"},
	} {
		s := month(t, settle(t, load(t, none.market), settlement.Seller{}, []settlement.Entry{sale(t, "o", "2018-03-10", none.category, "10.00")}, "2018-04-01"), "2018-03")
		same(t, "0.00", s.Charged)
		assert.Contains(t, s.Notes, "no platform fee is published for category "+none.category+": it is counted as 0")
	}
}

// TestSettle_MonthsBegin has the month's end in Beijing, one second to each side, and the day on which a fee begins.
func TestSettle_MonthsBegin(t *testing.T) {
	p := load(t, "kubesphere")
	for when, want := range map[string]string{"2023-12-31 23:59:59": "0.00", "2024-01-01 00:00:00": "1000.00", "2024-01-01 00:00:01": "1000.00"} {
		a := settle(t, p, settlement.Seller{}, []settlement.Entry{sale(t, "o", when, "storage", "10000.00")}, "2024-02-01")
		s := month(t, a, when[:7])
		same(t, want, s.Charged, when)
	}
	p = load(t, "alibaba")
	a := settle(t, p, settlement.Seller{}, []settlement.Entry{
		sale(t, "a", "2018-10-31 23:59:59", "services", "100000.00"), sale(t, "b", "2018-11-01 00:00:00", "services", "100000.00"),
	}, "2018-12-01")
	same(t, "100000.00", month(t, a, "2018-10").Totals[0].Counted)
	same(t, "100000.00", month(t, a, "2018-11").Totals[0].Counted)
	assert.Contains(t, month(t, settle(t, p, settlement.Seller{}, []settlement.Entry{sale(t, "a", "2021-04-01 00:00:00", "services", "1.00")}, "2021-05-01"), "2021-04").Notes,
		"the published time of this policy ended on 2021-03-31; nothing newer is known")
}

var enterprise = market.Answers(func(field string) (any, bool) { return "enterprise", field == "company.kind" })

// TestPromotions_Welcome has the welcome plan: who entered when, the last free day, and the day after.
func TestPromotions_Welcome(t *testing.T) {
	p := load(t, "tencent")
	for _, tc := range []struct{ entered, last string }{
		{"2019-04-30", ""},
		{"2019-05-01", "2019-08-11"},
		{"2019-05-02", "2019-08-11"},
		{"2019-05-10", "2019-08-11"},
		{"2019-05-11", "2019-08-11"},
		{"2019-05-12", "2019-08-25"},
		{"2019-05-13", "2019-08-25"},
		{"2019-05-24", "2019-08-25"},
		{"2019-05-25", "2019-08-25"},
		{"2019-05-26", "2019-09-11"},
		{"2019-05-27", "2019-09-11"},
		{"2019-06-11", "2019-09-11"},
		{"2019-08-30", "2019-12-11"},
		{"2019-08-31", "2019-12-11"},
		{"2019-09-01", ""},
	} {
		seller := settlement.Seller{Entered: market.Date(tc.entered), Answers: enterprise}
		if tc.last == "" {
			assert.False(t, settlement.Applies(p, &p.Promotions[0], seller, "saas", at(t, "2019-06-01")), tc.entered)
			continue
		}
		assert.True(t, settlement.Applies(p, &p.Promotions[0], seller, "saas", at(t, "2019-06-01")), tc.entered)
		assert.Equal(t, market.Date(tc.last), settlement.FreeThrough(p, &p.Promotions[0], market.Date(tc.entered)), tc.entered)
		next := at(t, tc.last+" 23:59:59").Add(time.Second).Format("2006-01-02 15:04:05")
		for when, fee := range map[string]string{tc.last + " 23:59:58": "0.00", tc.last + " 23:59:59": "0.00", next: "10.00"} {
			s := month(t, settle(t, p, seller, []settlement.Entry{sale(t, "o", when, "saas", "100.00")}, "2020-01-31"), when[:7])
			same(t, fee, s.Charged, "entered %s, sold %s", tc.entered, when)
		}
	}
	individual := settlement.Seller{Entered: "2019-06-01", Answers: func(string) (any, bool) { return "individual", true }}
	assert.False(t, settlement.Applies(p, &p.Promotions[0], individual, "saas", at(t, "2019-06-01")))
	assert.False(t, settlement.Applies(p, &p.Promotions[0], settlement.Seller{Entered: "2019-06-01"}, "saas", at(t, "2019-06-01")), "the profile does not say")
}

func TestPromotions_FirstYear(t *testing.T) {
	p := load(t, "kingsoft")
	seller := settlement.Seller{Entered: "2024-02-29"}
	for when, fee := range map[string]string{
		"2024-02-28 23:59:59": "10.00", "2024-02-29 00:00:00": "0.00", "2025-02-27 23:59:59": "0.00", "2025-02-28 00:00:00": "10.00",
	} {
		s := month(t, settle(t, p, seller, []settlement.Entry{sale(t, "o", when, "basic-software", "100.00")}, "2025-06-01"), when[:7])
		same(t, fee, s.Charged, when)
	}
}

// TestPromotions_FreeRevenue has the first 200,000 of the first year: the bound of the amount, of the entry and of the year.
func TestPromotions_FreeRevenue(t *testing.T) {
	p := load(t, "kubesphere")
	seller := settlement.Seller{Entered: "2023-12-30"}
	for amount, fee := range map[string]string{"199999.99": "0.00", "200000.00": "0.00", "200000.10": "0.01", "200000.04": "0.00", "200000.05": "0.01", "300000.00": "10000.00"} {
		s := month(t, settle(t, p, seller, []settlement.Entry{sale(t, "o", "2024-03-01", "storage", amount)}, "2024-04-01"), "2024-03")
		same(t, fee, s.Charged, amount)
	}
	// In several orders it is the same, and the order that crosses the bound is charged in part.
	s := month(t, settle(t, p, seller, []settlement.Entry{
		sale(t, "a", "2024-03-01", "storage", "150000.00"), sale(t, "b", "2024-03-02", "storage", "60000.00"), sale(t, "c", "2024-03-03", "storage", "1000.00"),
	}, "2024-04-01"), "2024-03")
	same(t, "150000.00", s.Lines[0].Free)
	same(t, "50000.00", s.Lines[1].Free)
	same(t, "1000.00", s.Lines[1].Fee)
	assert.Equal(t, "early-sellers", s.Lines[1].Rule)
	same(t, "100.00", s.Lines[2].Fee)
	assert.Equal(t, "platform", s.Lines[2].Rule)
	for entered, fee := range map[market.Date]string{"2023-12-29": "0.00", "2023-12-30": "0.00", "2023-12-31": "10.00", "2024-01-01": "10.00", "": "10.00"} {
		s := month(t, settle(t, p, settlement.Seller{Entered: entered}, []settlement.Entry{sale(t, "o", "2024-03-01", "storage", "100.00")}, "2024-04-01"), "2024-03")
		same(t, fee, s.Charged, "entered %s", entered)
	}
	for when, fee := range map[string]string{"2024-12-29 23:59:59": "0.00", "2024-12-30 00:00:00": "10.00", "2024-12-30 00:00:01": "10.00"} {
		s := month(t, settle(t, p, seller, []settlement.Entry{sale(t, "o", when, "storage", "100.00")}, "2025-02-01"), "2024-12")
		same(t, fee, s.Charged, when)
	}
	private := sale(t, "p", "2026-03-01", "storage", "100.00")
	private.Revenue = "private-deployment"
	same(t, "0.00", month(t, settle(t, p, settlement.Seller{}, []settlement.Entry{private}, "2026-04-01"), "2026-03").Charged)
}

// TestRefunds_GiveTheFeeBack: in the month of the sale the sale is taken back; later its final fee comes back, in parts that sum up to it.
func TestRefunds_GiveTheFeeBack(t *testing.T) {
	p := load(t, "alibaba")
	entries := []settlement.Entry{
		sale(t, "big", "2018-10-01", "services", "600000.00"), sale(t, "odd", "2018-10-02", "services", "100.01"),
		{ID: "r0", At: at(t, "2018-10-05"), Kind: settlement.Refund, Of: "big", Amount: money("50000.00")},
		{ID: "r1", At: at(t, "2018-11-05"), Kind: settlement.Refund, Of: "odd", Amount: money("33.33")},
		{ID: "r2", At: at(t, "2018-11-06"), Kind: settlement.Refund, Of: "odd", Amount: money("33.34")},
		{ID: "r3", At: at(t, "2018-12-06"), Kind: settlement.Refund, Of: "odd", Amount: money("33.34")},
		{ID: "r4", At: at(t, "2018-12-07"), Kind: settlement.Refund, Of: "big", Amount: money("550000.00")},
	}
	a := settle(t, p, settlement.Seller{}, entries, "2019-01-01")
	october := month(t, a, "2018-10")
	same(t, "550100.01", october.Totals[0].Counted)
	same(t, "55010.00", october.Charged) // 60,000 and 10.00, less 5,000
	same(t, "16503.00", october.Totals[0].Due)
	november := month(t, a, "2018-11")
	same(t, "2.00", november.GivenBack) // 3% of 66.67
	same(t, "-66.67", november.Totals[0].Counted)
	december := month(t, a, "2018-12")
	same(t, "16501.00", december.GivenBack) // what is left of 3.00, and of 16,500.00
	same(t, "0.00", december.Closing, "everything was refunded, so nothing is left, and no fee either")
	for _, bad := range []struct {
		entry settlement.Entry
		want  string
	}{
		{settlement.Entry{ID: "x", At: at(t, "2018-12-08"), Kind: settlement.Refund, Of: "odd", Amount: money("0.01")}, "entry x: amount: is 0.01, expected at most 0, which is left of the sale"},
		{settlement.Entry{ID: "x", At: at(t, "2018-12-08"), Kind: settlement.Refund, Of: "none", Amount: money("0.01")}, `entry x: of: there is no sale "none" before it`},
		{settlement.Entry{ID: "x", At: at(t, "2018-12-08"), Kind: settlement.Sale, Category: "toys", Amount: money("1.00")}, `entry x: category: "toys" is none of alibaba, expected one of api, basic-software`},
		{settlement.Entry{ID: "x", At: at(t, "2018-12-08"), Kind: settlement.Sale, Category: "api", Revenue: "gift", Amount: money("1.00")}, `entry x: revenue: "gift" is none of alibaba`},
		{settlement.Entry{ID: "odd", At: at(t, "2018-12-08"), Kind: settlement.Sale, Category: "api", Amount: money("1.00")}, `entry odd: there are two sales with this id`},
		{settlement.Entry{ID: "x", At: at(t, "2018-12-08"), Kind: settlement.Sale, Category: "api", Amount: money("-1.00")}, `entry x: amount: is -1, expected none below zero`},
		{settlement.Entry{ID: "x", At: at(t, "2018-12-08"), Kind: "gift", Amount: money("1.00")}, `entry x: kind: is "gift", expected sale, refund`},
		{settlement.Entry{ID: "x", At: at(t, "2018-12-08"), Kind: settlement.Deduction, Amount: money("1.00")}, `entry x: amount: is 1, expected at most the deposit, 0`},
	} {
		_, err := settlement.Settle(settlement.Always(p), settlement.Seller{}, append(entries[:len(entries):len(entries)], bad.entry), at(t, "2019-01-01"))
		assert.ErrorContains(t, err, bad.want)
	}
}

// TestABusySellersYear settles 10,000 orders with refunds and failures in two ways: by the engine, and by a plain recomputation in whole cents
// that shares no code with it.
func TestABusySellersYear(t *testing.T) {
	p := load(t, "alibaba")
	random := rand.New(rand.NewSource(7))
	zone := p.Location()
	start := time.Date(2018, 1, 1, 0, 0, 0, 0, zone)
	rates := map[string][3]int64{"website-building": {20, 15, 10}, "services": {10, 5, 3}, "api": {0, 0, 0}, "security": {10, 5, 3}}
	categories := []string{"website-building", "services", "api", "security"}

	type order struct {
		category          string
		cents             int64
		direct, failed    bool
		month             int // of the year, from 0
		refund            int64
		refundMonth, year int
	}
	var orders []order
	var entries []settlement.Entry
	failures, refunds := 0, 0
	for i := range 10000 {
		o := order{category: categories[random.Intn(len(categories))], cents: 1 + random.Int63n(40000), direct: random.Intn(4) > 0, failed: random.Intn(25) == 0}
		paid := start.Add(time.Duration(random.Int63n(int64(365 * 24 * time.Hour))))
		if o.category == "website-building" { // so that the year reaches every tier
			o.cents *= 1 + 8*(int64(paid.Month()-1)/5)
		}
		o.month = int(paid.Month()) - 1
		orders = append(orders, o)
		if o.failed { // never delivered, so it is no revenue
			failures++
			continue
		}
		kind := "direct"
		if !o.direct {
			kind = "distribution"
		}
		id := fmt.Sprintf("o-%05d", i)
		entries = append(entries, settlement.Entry{ID: id, At: paid, Kind: settlement.Sale, Category: o.category, Revenue: kind, Amount: decimal.New(o.cents, -2)})
		if random.Intn(10) == 0 {
			refunds++
			when := paid.Add(time.Duration(random.Int63n(int64(60 * 24 * time.Hour))))
			o.refund, o.refundMonth, o.year = o.cents, int(when.Month())-1, when.Year()
			if random.Intn(2) == 0 {
				o.refund = random.Int63n(o.cents + 1)
			}
			orders[i] = o
			entries = append(entries, settlement.Entry{ID: "r-" + id, At: when, Kind: settlement.Refund, Of: id, Amount: decimal.New(o.refund, -2)})
		}
	}
	require.Greater(t, failures, 300)
	require.Greater(t, refunds, 800)
	random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	account := settle(t, p, settlement.Seller{ID: "busy"}, entries, "2018-12-31 23:59:59")
	account, err := settlement.Settle(settlement.Always(p), account.Seller, entries, at(t, "2019-01-01 00:00:00"))
	require.NoError(t, err)

	// Again, in cents and by hand.
	halfUp := func(cents, percent int64) int64 { return (cents*percent + 50) / 100 }
	balance := int64(0)
	tiers := map[int64]bool{}
	finalRate := map[string][12]int64{}
	for _, category := range categories {
		var byMonth [12]int64
		for m := range 12 {
			counted := int64(0)
			for _, o := range orders {
				if o.failed || o.category != category {
					continue
				}
				if o.month == m {
					counted += o.cents
				}
				if o.refund > 0 && o.year == 2018 && o.refundMonth == m {
					counted -= o.refund
				}
			}
			tier := 0
			if counted >= 20000000 {
				tier = 1
			}
			if counted >= 50000000 {
				tier = 2
			}
			byMonth[m] = rates[category][tier]
			if category == "website-building" {
				tiers[byMonth[m]] = true
			}
		}
		finalRate[category] = byMonth
	}
	require.Len(t, tiers, 3, "the year has months in every tier")
	for m := range 12 {
		sales, refunded, due, charged, back := int64(0), int64(0), int64(0), int64(0), int64(0)
		for _, category := range categories {
			base := int64(0)
			for _, o := range orders {
				if o.failed || o.category != category {
					continue
				}
				here := o.refund > 0 && o.year == 2018 && o.refundMonth == m
				if o.month == m {
					sales += o.cents
					left := o.cents
					if here {
						left -= o.refund
					}
					if o.direct {
						base += left
						charged += halfUp(left, rates[category][0])
					}
				}
				if here {
					refunded += o.refund
					if o.month != m && o.direct {
						back += halfUp(o.refund, finalRate[category][o.month])
					}
				}
			}
			due += halfUp(base, finalRate[category][m])
		}
		net := sales - refunded - due + back
		balance += net
		s := account.Statements[m]
		assert.Equal(t, fmt.Sprintf("2018-%02d", m+1), s.Month)
		same(t, decimal.New(sales, -2).StringFixed(2), s.Sales, s.Month)
		same(t, decimal.New(refunded, -2).StringFixed(2), s.Refunds, s.Month)
		same(t, decimal.New(charged, -2).StringFixed(2), s.Charged, s.Month)
		same(t, decimal.New(charged-due, -2).StringFixed(2), s.Correction, s.Month)
		same(t, decimal.New(back, -2).StringFixed(2), s.GivenBack, s.Month)
		same(t, decimal.New(net, -2).StringFixed(2), s.Net, s.Month)
		same(t, decimal.New(balance, -2).StringFixed(2), s.Closing, s.Month)

		// And a third time: what the CSV says adds up to the month.
		var out bytes.Buffer
		require.NoError(t, s.CSV(&out))
		rows, err := csv.NewReader(&out).ReadAll()
		require.NoError(t, err)
		sum := decimal.Zero
		for _, row := range rows[1:] {
			sum = sum.Add(money(row[12]))
		}
		same(t, s.Net.StringFixed(2), sum, s.Month)
	}
	w, err := account.Withdrawable()
	require.NoError(t, err)
	same(t, decimal.New(balance, -2).StringFixed(2), w.Amount)
}

// TestANewMarket_IsADocument: a market that no Go code has heard of settles, with another zone of rules: rates in eighths, rounded down.
func TestANewMarket_IsADocument(t *testing.T) {
	text, err := os.ReadFile("testdata/harbour.yaml")
	require.NoError(t, err)
	p, err := market.Parse("harbour.yaml", text)
	require.NoError(t, err)
	set := market.Embedded().Add(p)
	assert.Contains(t, set.Names(), "harbour")
	seller := settlement.Seller{ID: "acme", Entered: "2026-01-10", Categories: []string{"saas", "hardware"}}
	entries := []settlement.Entry{
		sale(t, "a", "2026-02-10", "saas", "999.99"), sale(t, "b", "2026-03-10", "saas", "999.99"), sale(t, "c", "2026-03-11", "saas", "0.01"),
		{ID: "d", At: at(t, "2026-01-10"), Kind: settlement.Deposit, Amount: money("150.00")},
	}
	a, err := settlement.Settle(settlement.Of(set, "harbour"), seller, entries, at(t, "2026-04-01"))
	require.NoError(t, err)
	same(t, "0.00", month(t, a, "2026-02").Charged, "the first month is free")
	march := month(t, a, "2026-03")
	same(t, "124.99", march.Charged)   // 12.5% of 999.99 is 124.99875, rounded down
	same(t, "62.49", march.Correction) // 6.25% of 1,000.00 are 62.50
	due, err := settlement.DepositFor(p, seller, at(t, "2026-04-01"))
	require.NoError(t, err)
	same(t, "150.00", due.Amount)
	_, err = settlement.Of(set, "harbour")(at(t, "2001-01-01"))
	assert.NoError(t, err, "before the first edition the first one counts")
	_, err = settlement.Of(set, "nowhere")(at(t, "2001-01-01"))
	assert.Error(t, err)
}

func TestStatement_Forms(t *testing.T) {
	p := load(t, "alibaba")
	entries := []settlement.Entry{
		sale(t, "=1+1", "2018-10-03", "website-building", "600000.00"),
		{ID: "d-1", At: at(t, "2018-10-01"), Kind: settlement.Deposit, Amount: money("30000.00"), Reason: "entry"},
	}
	s := month(t, settle(t, p, settlement.Seller{ID: "acme"}, entries, "2018-11-01"), "2018-10")
	var text, asJSON, asCSV bytes.Buffer
	require.NoError(t, s.Text(&text))
	assert.Equal(t, statementText, text.String())
	require.NoError(t, s.JSON(&asJSON))
	var read struct {
		Month      string
		Final      bool
		Correction string
		Lines      []struct{ ID, Kind, Amount, Fee, Rate string }
	}
	require.NoError(t, json.Unmarshal(asJSON.Bytes(), &read))
	assert.Equal(t, "2018-10", read.Month)
	assert.Equal(t, "60000.00", read.Correction)
	assert.Equal(t, "20%", read.Lines[1].Rate)
	require.NoError(t, s.CSV(&asCSV))
	assert.Equal(t, "month,at,kind,id,of,category,revenue,currency,amount,free,rate,fee,net,rule,reason\n"+
		"2018-10,2018-10-01T04:00:00Z,deposit,d-1,,,,CNY,30000.00,0.00,0%,0.00,0.00,,entry\n"+
		"2018-10,2018-10-03T04:00:00Z,sale,'=1+1,,website-building,direct,CNY,600000.00,0.00,20%,120000.00,480000.00,website-building,\n"+
		"2018-10,,correction,,,website-building,,CNY,600000.00,0.00,10%,-60000.00,60000.00,,\n", asCSV.String())
}

const statementText = `Statement of acme on alibaba for 2018-10 (final)
policy effective from 2016-11-17, amounts in CNY

          category      sales  refunds    counted  tier rate    charged       due  returned  given back
  website-building  600000.00     0.00  600000.00        10%  120000.00  60000.00  60000.00        0.00

                                  balance before       0.00
                                         + sales  600000.00
                                       - refunds       0.00
                       - platform fee as charged  120000.00
             + fee returned for the month's tier   60000.00
  + fee given back for refunds of earlier months       0.00
                                     = the month  540000.00
                                     - withdrawn       0.00
                                 = balance after  540000.00
                                    deposit held   30000.00

at                    kind     id    category          amount     free  rate  fee        rule
2018-10-01T04:00:00Z  deposit  d-1   -                 30000.00   0.00  0%    0.00       -
2018-10-03T04:00:00Z  sale     =1+1  website-building  600000.00  0.00  20%   120000.00  website-building
`
