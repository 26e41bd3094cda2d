package sandbox_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	policies "github.com/isvkit/isvkit/sandbox/market"
)

// stands is how the demo seller stands with its market.
func (m *market) stands() (v sandboxapi.MarketStanding) {
	m.t.Helper()
	m.ok("GET", "/v1/sellers/demo/market", nil, &v)
	return v
}

func (m *market) statement(month string) (v sandboxapi.Statement) {
	m.t.Helper()
	m.ok("GET", "/v1/sellers/demo/statements/"+month, nil, &v)
	return v
}

// text gets a statement in another form.
func (m *market) text(month, format string) string {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, m.control.URL+"/v1/sellers/demo/statements/"+month+"?format="+format, nil)
	require.NoError(m.t, err)
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(m.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	require.Equal(m.t, http.StatusOK, resp.StatusCode, string(body))
	require.Contains(m.t, resp.Header.Get("Content-Type"), map[string]string{"text": "text/plain", "csv": "text/csv"}[format])
	return string(body)
}

func (m *market) to(at time.Time) {
	m.t.Helper()
	require.NoError(m.t, m.AdvanceTo(m.t.Context(), at))
}

func (m *market) productStatus(code string) sandboxapi.ProductStatus {
	m.t.Helper()
	return m.cases(code).Status
}

// An order is completed three hours after acceptance, which is delivery where nobody accepts, and its month is billed when it is over.
func TestMarket_OrdersSettleThreeHoursAfterAcceptance(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL, startAt(t, "2026-10-31 20:00:00"))
	require.Equal(t, "koogallery", m.stands().Registration.Market, "where sellers are of whom nobody said otherwise")
	first := m.buy("demo-one-time")
	m.is(first, sandboxapi.InstanceReady)
	delivered := m.Now()

	// Opened on acceptance: what counts is when the buyer accepts.
	var placed sandboxapi.OrderPlaced
	m.ok("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-accept-one-time"}, &placed)
	m.to(delivered.Add(3*time.Hour - time.Second))
	require.Empty(t, m.events("kind=order-settled"))
	require.Equal(t, "0.00", m.statement("2026-10").Net)
	m.to(delivered.Add(3*time.Hour + 2*time.Second))
	settled := m.events("kind=order-settled")
	require.Len(t, settled, 1)
	require.Equal(t, first, settled[0].Subject)
	require.Equal(t, "900.00", settled[0].Details["amount"])
	require.Equal(t, "2026-10-31T16:00:00Z", settled[0].Details["billedTime"], "midnight in Beijing")
	require.Equal(t, "900.00", m.statement("2026-10").Sales)
	require.False(t, m.statement("2026-10").Final)

	m.ok("POST", "/v1/orders/"+placed.Order.OrderID+"/accept", struct{}{}, nil)
	m.is(placed.Order.OrderLineID, sandboxapi.InstanceReady)
	require.False(t, m.stands().Withdrawable.Possible, "the month is not over")
	m.advance("3h")
	require.Empty(t, m.events("kind=statement-ready&subject=none"))
	ready := m.events("kind=statement-ready")
	require.Len(t, ready, 1)
	require.Equal(t, "2026-10", ready[0].Details["month"])
	require.Equal(t, "900.00", ready[0].Details["net"])
	require.True(t, m.statement("2026-10").Final)
	m.advance("1h")
	require.Equal(t, "5000.00", m.statement("2026-11").Sales, "accepted in October, completed in November")
	standing := m.stands()
	require.True(t, standing.Withdrawable.Possible)
	require.Equal(t, "900.00", standing.Withdrawable.Amount)
	require.Equal(t, []string{"2026-10"}, standing.Withdrawable.Months)

	text := m.text("2026-10", "text")
	require.Contains(t, text, "Statement of demo on koogallery for 2026-10 (final)")
	require.Contains(t, text, "note: no platform fee is published for category saas: it is counted as 0")
	rows, err := csv.NewReader(strings.NewReader(m.text("2026-10", "csv"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, first, rows[1][3])

	var entry sandboxapi.MarketEntry
	m.ok("POST", "/v1/sellers/demo/market/entries", sandboxapi.MoneyMove{Kind: sandboxapi.MoveWithdrawal, Amount: "400.50"}, &entry)
	require.Equal(t, "400.50", entry.Amount)
	require.Equal(t, "499.50", m.stands().Withdrawable.Amount)
	status, detail := m.call("POST", "/v1/sellers/demo/market/entries", sandboxapi.MoneyMove{Kind: sandboxapi.MoveWithdrawal, Amount: "499.51"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "amount: is 499.51, expected at most 499.50, which is settled", detail)
	require.Len(t, m.events("kind=money-moved"), 1)
	status, detail = m.call("GET", "/v1/sellers/demo/statements/2027-01", nil, nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, detail, "2027-01 has not begun")
}

// Within the review period a refund is full, later it is the unused part; the instance is released both times.
func TestMarket_Refunds(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, startAt(t, "2026-03-01 12:00:00"))
	paid := m.Now()
	refund := func(after time.Duration) (amount string, full bool) {
		line := m.buy("demo-period")
		i := m.is(line, sandboxapi.InstanceReady)
		m.to(i.CreateTime.Add(after))
		m.do(line, "release")
		m.is(line, sandboxapi.InstanceReleased)
		events := m.events("kind=order-refunded&subject=" + line)
		require.Len(t, events, 1)
		var orders sandboxapi.OrderList
		m.ok("GET", "/v1/orders?orderLineId="+line, nil, &orders)
		require.Equal(t, "UNSUBSCRIBE", orders.Orders[0].OrderType)
		return events[0].Details["amount"], events[0].Details["full"] == "true"
	}
	amount, full := refund(5*24*time.Hour - time.Second)
	require.Equal(t, "100.00", amount)
	require.True(t, full)
	amount, full = refund(5 * 24 * time.Hour)
	require.False(t, full)
	require.Regexp(t, `^98\.6[0-9]$`, amount, "360 of 365 days, the last of which ends at midnight")
	amount, full = refund(5*24*time.Hour + time.Second)
	require.False(t, full)
	require.Regexp(t, `^98\.6[0-9]$`, amount)
	require.Len(t, isv.got("releaseInstance"), 3)

	statement := m.statement(paid.Format("2006-01"))
	require.Equal(t, "300.00", statement.Sales)
	require.Regexp(t, `^297\.[23][0-9]$`, statement.Refunds)

	// A buyer has ten full refunds in a year, of which one is used.
	for n := 2; n <= 11; n++ {
		line := m.buy("demo-one-time")
		m.is(line, sandboxapi.InstanceReady)
		m.do(line, "release")
		m.is(line, sandboxapi.InstanceReleased)
		got := len(m.events("kind=order-refunded&subject=" + line))
		require.Equal(t, n <= 10, got == 1, "refund %d; what is paid once has no unused part", n)
	}
	m.to(time.Date(2027, 1, 1, 0, 0, 0, 0, time.FixedZone("", 8*3600)))
	line := m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	m.do(line, "release")
	m.is(line, sandboxapi.InstanceReleased)
	require.Len(t, m.events("kind=order-refunded&subject="+line), 1, "a new year")
}

// A cancelled renewal comes back in full, and what is refunded once is not refunded again.
func TestMarket_CancelledRenewal(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL, startAt(t, "2026-03-01 12:00:00"))
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	m.advance("30d")
	m.do(line, "renew")
	m.is(line, sandboxapi.InstanceReady)
	m.advance("10d")
	m.do(line, "cancel-renewal")
	m.is(line, sandboxapi.InstanceReady)
	m.advance("1s")
	refunds := m.events("kind=order-refunded&subject=" + line)
	require.Len(t, refunds, 1)
	require.Equal(t, "100.00", refunds[0].Details["amount"])
	m.do(line, "release")
	m.is(line, sandboxapi.InstanceReleased)
	refunds = m.events("kind=order-refunded&subject=" + line)
	require.Len(t, refunds, 2, "the renewal is not among what comes back now")
}

// A delivery that fails hides its product at once, all SaaS products after 7 days, delists them after 30, and all come back when it is repaired.
func TestMarket_FailedDeliveries(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	broken := func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"out of order"}` }
	m := start(t, isv.URL, startAt(t, "2026-03-01 12:00:00"))
	m.ok("PUT", "/v1/sellers/demo/market", sandboxapi.Registration{Market: "tencent", Categories: []string{"saas"}}, nil)
	require.Equal(t, "tencent", m.events("kind=seller-registered")[0].Details["market"])
	statuses := func() string {
		var words []string
		for _, code := range []string{"demo", "demo-accept", "demo-notify", "demo-license"} {
			words = append(words, string(m.productStatus(code)))
		}
		return strings.Join(words, " ")
	}
	isv.says(broken)
	line := m.buy("demo-one-time")
	m.advance("2h")
	require.Equal(t, "on-sale on-sale on-sale on-sale", statuses(), "it is still being tried")
	m.advance("2h")
	standing := m.stands()
	require.Len(t, standing.FailedDeliveries, 1)
	require.Equal(t, line, standing.FailedDeliveries[0].OrderLineID)
	failed := standing.FailedDeliveries[0].FailedTime
	require.Equal(t, "hidden on-sale on-sale on-sale", statuses())
	order := m.is(line, sandboxapi.InstanceCreating).OrderID
	require.Equal(t, sandboxapi.OrderProcessing, m.order(order).Status, "the order goes back to the seller, not to the buyer")
	status, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "product demo cannot be bought: it is hidden, because a delivery failed and is not repaired", detail)
	status, detail = m.call("PUT", "/v1/products/demo/status", sandboxapi.ProductStatusChange{Status: sandboxapi.ProductOnSale, WithoutCases: true}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "repair")

	const week, month = 7 * 24 * time.Hour, 30 * 24 * time.Hour
	m.to(failed.Add(week - time.Second))
	require.Equal(t, "hidden on-sale on-sale on-sale", statuses())
	m.to(failed.Add(week))
	require.Equal(t, "hidden hidden hidden on-sale", statuses(), "a licence is not delivered by calls")
	m.to(failed.Add(month - time.Second))
	require.Equal(t, "hidden hidden hidden on-sale", statuses())
	m.to(failed.Add(month))
	require.Equal(t, "delisted delisted delisted on-sale", statuses())
	require.Equal(t, "delist", m.stands().Actions[0].Action)

	isv.says(func(call map[string]any, _ int) string { return right(call) })
	var call int64
	for _, c := range m.calls(line) {
		require.Equal(t, sandboxapi.CallWaiting, c.Status)
		call = c.CallID
	}
	m.ok("POST", fmt.Sprintf("/v1/calls/%d/restart", call), struct{}{}, nil)
	m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "on-sale on-sale on-sale on-sale", statuses())
	require.Empty(t, m.stands().FailedDeliveries)
	require.Empty(t, m.stands().Actions)
	require.Equal(t, sandboxapi.OrderCompleted, m.order(order).Status)
	for kind, n := range map[string]int{"delivery-failed": 1, "delivery-repaired": 1, "product-delisted": 5, "product-hidden": 5, "product-on-sale": 5} {
		require.Len(t, m.events("kind="+kind), n, kind)
	}
	// Here an order counts when it is delivered; nothing waits for three hours.
	require.Len(t, m.events("kind=order-settled"), 1)
	require.Equal(t, "90.00", m.stands().Months[0].Fee, "10%")
	m.advance("60d")
	require.Equal(t, "on-sale on-sale on-sale on-sale", statuses(), "what is repaired has no later consequence")
	require.Contains(t, m.stands().Withdrawable.Why, "the deposit is short of 5000.00")
	m.ok("POST", "/v1/sellers/demo/market/entries", sandboxapi.MoneyMove{Kind: sandboxapi.MoveDeposit, Amount: "5000"}, nil)
	require.True(t, m.stands().Withdrawable.Possible)
	m.ok("POST", "/v1/sellers/demo/market/entries", sandboxapi.MoneyMove{Kind: sandboxapi.MoveDeduction, Amount: "1000", Reason: "a violation"}, nil)
	standing = m.stands()
	require.Equal(t, "1000.00", standing.Deposit.Short)
	require.False(t, standing.Deposit.Overdue)
	m.advance("14d")
	require.True(t, m.stands().Deposit.Overdue)
	require.Equal(t, []string{"close-shop"}, m.stands().Deposit.Sanctions)
	require.Equal(t, []string{"certification"}, m.stands().ChargesDue)
	m.ok("POST", "/v1/sellers/demo/market/entries", sandboxapi.MoneyMove{Kind: sandboxapi.MoveCharge, Amount: "300", Reason: "certification"}, nil)
	require.Empty(t, m.stands().ChargesDue)
	status, detail = m.call("PUT", "/v1/sellers/demo/market", sandboxapi.Registration{Market: "alibaba"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "has earned or paid on tencent already")
}

func TestMarket_RegisterSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	for _, tc := range []struct {
		in   sandboxapi.Registration
		want string
	}{
		{sandboxapi.Registration{Market: "nowhere"}, `market: there is no market "nowhere", expected one of alibaba, kingsoft, koogallery, kubesphere, tencent`},
		{sandboxapi.Registration{Market: "tencent", Categories: []string{"toys"}}, `categories: "toys" is none of tencent, expected one of image, saas`},
		{sandboxapi.Registration{Market: "kingsoft", Categories: []string{"api"}}, `categories: "api" of kingsoft is announced, but not open yet`},
		{sandboxapi.Registration{Market: "tencent", Entered: "2026-02-30"}, `entered: "2026-02-30" is no day`},
		{sandboxapi.Registration{Market: "tencent", Products: map[string]string{"other": "saas"}}, `products: the seller has no product "other"`},
		{sandboxapi.Registration{Market: "tencent", Profile: map[string]any{"shoe.size": 43}}, `profile: tencent asks for no field "shoe.size"`},
	} {
		status, detail := m.call("PUT", "/v1/sellers/demo/market", tc.in, nil)
		require.Equal(t, http.StatusBadRequest, status, detail)
		require.Contains(t, detail, tc.want)
	}
	var list sandboxapi.MarketList
	m.ok("GET", "/v1/markets", nil, &list)
	require.Len(t, list.Markets, 5)
	for _, body := range []sandboxapi.MoneyMove{{Kind: "gift", Amount: "1"}, {Kind: "deposit"}, {Kind: "deposit", Amount: "0.001"}, {Kind: "deposit", Amount: "-1"}, {Kind: "deposit", Amount: "1e9"}, {Kind: "charge", Amount: "1", Reason: "none"}} {
		status, detail := m.call("POST", "/v1/sellers/demo/market/entries", body, nil)
		require.Equal(t, http.StatusBadRequest, status, "%v: %s", body, detail)
	}
}

// A market that is only a document is acted out like the five.
func TestMarket_ADocumentAlone(t *testing.T) {
	t.Parallel()
	set, err := policies.Embedded().With(fstest.MapFS{"harbour.yaml": {Data: []byte(harbour)}}, ".")
	require.NoError(t, err)
	isv := newISV(t)
	m := start(t, isv.URL, startAt(t, "2026-03-01 12:00:00"), func(cfg *sandbox.Config) { cfg.Policies = set })
	m.ok("PUT", "/v1/sellers/demo/market", sandboxapi.Registration{Market: "harbour"}, nil)
	line := m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "112.50", m.statement("2026-03").Charged, "12.5% of 900")
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"out of order"}` })
	m.buy("demo-one-time")
	m.advance("4h")
	require.Equal(t, sandboxapi.ProductOnSale, m.productStatus("demo"))
	m.advance("2h")
	require.Equal(t, sandboxapi.ProductHidden, m.productStatus("demo"))
	m.advance("1d")
	require.Equal(t, sandboxapi.ProductDelisted, m.productStatus("demo"))
}

// harbour hides after two hours and delists after a day.
const harbour = `market: harbour
name: The harbour
effective: 2026-01-01
currency: CNY
timezone: Asia/Shanghai
calendar: china
sources: {ours: {title: made up for a test, confidence: ours}}
categories: [{id: saas, name: SaaS, saas: true, says: SaaS., source: ours}]
papers: []
conditions: []
onboarding: [{id: come-in, says: Come in., by: seller, opens: listing, source: ours}]
deposit: {unstated: None.}
revenue: [{id: direct, name: Sold, says: Sold., source: ours}]
fees:
  rates: [{id: fee, says: One rate., charged: [direct], tiers: [{from: "0.00", rate: 12.5%}], source: ours}]
  rounding: {id: cents, says: Half up., places: 2, mode: half-up, source: ours}
settlement: {}
refunds: [{id: none, says: Nothing., after: none, source: ours}]
failedDelivery:
  steps:
    - {id: first, says: Hidden., after: 2 hours, do: hide, scope: product, source: ours}
    - {id: second, says: Delisted., after: 1 day, do: delist, scope: seller, source: ours}
violations: []
exit: {unstated: Nobody leaves.}
`
