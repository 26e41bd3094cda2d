package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/signature"
)

// at lets the sandbox's clock begin at a moment. It stands still there, and moves when a test moves it.
func at(text string) func(*sandbox.Config) {
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return func(c *sandbox.Config) { c.Now = func() time.Time { return moment } }
}

// order places an order by the control API.
func (m *market) place(p sandboxapi.Purchase) sandboxapi.OrderPlaced {
	m.t.Helper()
	var placed sandboxapi.OrderPlaced
	status, detail := m.call("POST", "/v1/orders", p, &placed)
	require.Equal(m.t, http.StatusCreated, status, detail)
	return placed
}

// post does something to an instance or order, and gives the order that came of it.
func (m *market) post(path string, body any) sandboxapi.OrderPlaced {
	m.t.Helper()
	var placed sandboxapi.OrderPlaced
	status, detail := m.call("POST", path, body, &placed)
	require.Less(m.t, status, 300, detail)
	return placed
}

// refused expects a problem.
func (m *market) refused(path string, body any, status int, detail string) {
	m.t.Helper()
	got, text := m.call("POST", path, body, nil)
	require.Equal(m.t, status, got, text)
	require.Contains(m.t, text, detail)
}

// query is the order as the open API answers it.
func (m *market) query(orderID string) marketplaceapi.OrderInfo {
	m.t.Helper()
	info, err := m.sdk().QueryOrder(m.t.Context(), orderID, "")
	require.NoError(m.t, err)
	return *info
}

func (m *market) details(orderID string) (d sandboxapi.OrderDetails) {
	m.t.Helper()
	status, detail := m.call("GET", "/v1/orders/"+orderID, nil, &d)
	require.Equal(m.t, http.StatusOK, status, detail)
	return d
}

// last is the latest call of an activity, without what names the order.
func (i *isv) last(activity string) map[string]any {
	i.t.Helper()
	calls := i.got(activity)
	require.NotEmpty(i.t, calls, activity)
	return calls[len(calls)-1]
}

// TestOrders_LeapDay buys, renews and lets expire around February 29.
func TestOrders_LeapDay(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, at("2028-01-30T16:30:00Z")) // half past midnight on the 31st in Beijing
	line := m.place(sandboxapi.Purchase{SKUCode: "demo-period", Period: "1m"}).Order.OrderLineID
	i := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "2028-02-29T15:59:59Z", i.ExpireTime.Format(time.RFC3339))

	renewal := m.post("/v1/instances/"+line+"/renew", sandboxapi.Renewal{Period: "1y"})
	i = m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "2029-02-28T15:59:59Z", i.ExpireTime.Format(time.RFC3339))
	require.Equal(t, map[string]any{
		"activity": "refreshInstance", "scene": "RENEWAL", "instanceId": i.InstanceID, "orderId": renewal.Order.OrderID,
		"orderLineId": renewal.Order.OrderID + "-000001", "expireTime": "20290228155959", "productId": "OFFI700000000000000012",
	}, isv.last("refreshInstance"), "the kind of period changes, so productId is told")
	doc := m.query(renewal.Order.OrderID)
	require.Equal(t, marketplaceapi.OrderRenew, doc.OrderType)
	require.Equal(t, "20290228155959", doc.OrderLine[0].ExpireTime)
	require.Equal(t, "100", doc.OrderLine[0].Currency)

	m.post("/v1/instances/"+line+"/renew", sandboxapi.Renewal{Period: "1y"})
	m.is(line, sandboxapi.InstanceReady)
	require.NotContains(t, isv.last("refreshInstance"), "productId", "it is by the year already")

	m.advance("759d") // to the evening before its last day
	require.Equal(t, sandboxapi.InstanceReady, m.is(line, sandboxapi.InstanceReady).Status)
	m.advance("2d")
	require.Equal(t, "2030-03-15T15:59:59Z", m.is(line, sandboxapi.InstanceFrozen).ReleaseTime.Format(time.RFC3339))
}

func TestOrders_Trial(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, at("2026-03-01T02:00:00Z"))
	placed := m.place(sandboxapi.Purchase{SKUCode: "demo-period", Trial: true, Period: "7d", Quantity: 3})
	line := placed.Order.OrderLineID
	require.True(t, m.is(line, sandboxapi.InstanceReady).Trial)
	doc := m.query(placed.Order.OrderID)
	require.Equal(t, marketplaceapi.OrderTrial, doc.OrderType)
	require.Equal(t, "0", doc.OrderLine[0].CurrencyAfterDiscount)
	require.Equal(t, marketplaceapi.PeriodDay, doc.OrderLine[0].PeriodType)
	require.Equal(t, "20260308155959", doc.OrderLine[0].ExpireTime)
	m.refused("/v1/instances/"+line+"/renew", sandboxapi.Renewal{}, 409, "convert it to a formal one")
	m.refused("/v1/instances/"+line+"/upgrade", sandboxapi.Upgrade{Quantity: 9}, 409, "convert it to a formal one")

	m.advance("8d")
	m.is(line, sandboxapi.InstanceFrozen)
	formal := m.post("/v1/instances/"+line+"/convert", sandboxapi.Conversion{Period: "1m"})
	i := m.is(line, sandboxapi.InstanceReady)
	require.False(t, i.Trial)
	require.Equal(t, "2026-04-09T15:59:59Z", i.ExpireTime.Format(time.RFC3339))
	refresh := isv.last("refreshInstance")
	require.Equal(t, "TRIAL_TO_FORMAL", refresh["scene"])
	require.Equal(t, formal.Order.OrderID, refresh["orderId"])
	require.Equal(t, "OFFI700000000000000011", refresh["productId"])
	doc = m.query(formal.Order.OrderID)
	require.Equal(t, marketplaceapi.OrderTrialToFormal, doc.OrderType)
	require.Equal(t, 3, doc.OrderLine[0].ProductInfo[0].LinearValue)
	require.Equal(t, "30", doc.OrderLine[0].Currency)
	require.Equal(t, sandboxapi.OrderCompleted, m.order(formal.Order.OrderID).Status)
	m.refused("/v1/instances/"+line+"/convert", sandboxapi.Conversion{}, 409, "it is no trial")
}

func TestOrders_CancelRenewal(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, at("2026-01-31T02:00:00Z"))
	line := m.place(sandboxapi.Purchase{SKUCode: "demo-period", Period: "1m", DiscountPercent: 10}).Order.OrderLineID
	m.is(line, sandboxapi.InstanceReady)
	m.refused("/v1/instances/"+line+"/cancel-renewal", struct{}{}, 409, "cannot cancel the renewal of an instance that is ready: there is none")
	renewal := m.post("/v1/instances/"+line+"/renew", sandboxapi.Renewal{Period: "1y"})
	m.is(line, sandboxapi.InstanceReady)
	cancelled := m.post("/v1/instances/"+line+"/cancel-renewal", struct{}{})
	i := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "2026-02-28T15:59:59Z", i.ExpireTime.Format(time.RFC3339))
	require.Equal(t, "OFFI700000000000000011", i.ProductID)
	refresh := isv.last("refreshInstance")
	require.Equal(t, "UNSUBSCRIBE_RENEWAL_PERIOD", refresh["scene"])
	require.Equal(t, cancelled.Order.OrderID, refresh["orderId"])
	require.NotEqual(t, renewal.Order.OrderID, refresh["orderId"])
	require.Equal(t, "20260228155959", refresh["expireTime"])
	require.Equal(t, "OFFI700000000000000011", refresh["productId"])
	doc := m.query(cancelled.Order.OrderID)
	require.Equal(t, marketplaceapi.OrderUnsubscribe, doc.OrderType)
	require.Equal(t, "-100", doc.OrderLine[0].CurrencyAfterDiscount, "the money comes back")
	require.Equal(t, "20260228155959", doc.OrderLine[0].ExpireTime)
	require.Equal(t, line, m.details(cancelled.Order.OrderID).Lines[0].InstanceOrderLineID)

	m.post("/v1/instances/"+line+"/renew", sandboxapi.Renewal{Period: "1m"})
	m.advance("29d")
	m.refused("/v1/instances/"+line+"/cancel-renewal", struct{}{}, 409, "has begun")
}

func TestOrders_RenewalWithChange(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, at("2026-01-31T02:00:00Z"))
	line := m.place(sandboxapi.Purchase{SKUCode: "demo-period", Period: "1m", Quantity: 5}).Order.OrderLineID
	i := m.is(line, sandboxapi.InstanceReady)
	path := "/v1/instances/" + line
	change := sandboxapi.Renewal{Period: "1y", SKUCode: "demo-period-pro", Quantity: 2}

	isv.says(func(call map[string]any, _ int) string {
		if call["activity"] == "changeInstanceCheck" {
			return `{"resultCode":"000005","resultMsg":"more seats are in use"}`
		}
		return right(call)
	})
	var answer sandboxapi.ChangeAnswer
	status, detail := m.call("POST", path+"/check-change", change, &answer)
	require.Equal(t, http.StatusOK, status, detail)
	require.False(t, answer.Allowed)
	require.Equal(t, "000005", answer.ResultCode)
	m.refused(path+"/renew", change, 409, "so no order was placed: result code 000005")
	isv.says(func(call map[string]any, _ int) string {
		if call["activity"] == "changeInstanceCheck" {
			return `nonsense`
		}
		return right(call)
	})
	m.refused(path+"/renew", change, 502, "no order was placed")
	var list sandboxapi.OrderList
	m.call("GET", "/v1/orders?orderLineId="+line, nil, &list)
	require.Len(t, list.Orders, 1, "only the purchase")
	require.Len(t, isv.got("changeInstanceCheck"), 3, "each asked once")
	require.Empty(t, isv.got("refreshInstance"))

	isv.says(func(call map[string]any, _ int) string { return right(call) })
	renewal := m.post(path+"/renew", change)
	require.Equal(t, map[string]any{
		"activity": "changeInstanceCheck", "instanceId": i.InstanceID, "productInfo": map[string]any{
			"productId": "OFFI700000000000000022", "skuCode": "demo-period-pro", "linearValue": 2.0, "productName": "Demo product, Demo, pro, by the year",
		},
	}, isv.last("changeInstanceCheck"))
	i = m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "demo-period-pro", i.SKUCode)
	require.Equal(t, 2, i.Quantity)
	require.Equal(t, "RENEWAL_CHANGE", isv.last("refreshInstance")["scene"])
	doc := m.query(renewal.Order.OrderID)
	require.Equal(t, marketplaceapi.OrderRenew, doc.OrderType)
	require.Equal(t, 2, doc.OrderLine[0].ProductInfo[0].LinearValue)
	require.Equal(t, "500", doc.OrderLine[0].Currency)

	m.refused(path+"/cancel-renewal", struct{}{}, 409, "no call takes back")
	m.refused(path+"/check-change", sandboxapi.Renewal{SKUCode: "demo-period-pro", Quantity: 2}, 400, "of that SKU and quantity already")
	m.refused(path+"/renew", sandboxapi.Renewal{SKUCode: "demo-one-time"}, 400, "demo-one-time is charged ONE_TIME, the instance PERIOD")
	m.refused(path+"/renew", sandboxapi.Renewal{SKUCode: "demo-v1-period"}, 400, "product demo has no such SKU")
	kit := m.buy("demo-kit-period")
	m.is(kit, sandboxapi.InstanceReady)
	m.refused("/v1/instances/"+kit+"/renew", sandboxapi.Renewal{Quantity: 7}, 409, "offers no renewal with a change")
}

func TestOrders_Upgrade(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, at("2026-01-31T02:00:00Z"))
	line := m.place(sandboxapi.Purchase{SKUCode: "demo-period", Period: "1m", Quantity: 5}).Order.OrderLineID
	m.is(line, sandboxapi.InstanceReady)
	isv.says(func(call map[string]any, n int) string {
		if call["activity"] == "upgradeInstance" && n < 3 {
			return `{"resultCode":"000005","resultMsg":"later"}`
		}
		return right(call)
	})
	upgrade := m.post("/v1/instances/"+line+"/upgrade", sandboxapi.Upgrade{SKUCode: "demo-period-pro"})
	m.advance("1s")
	m.refused("/v1/instances/"+line+"/upgrade", sandboxapi.Upgrade{Quantity: 6}, 409, "upgrade by order "+upgrade.Order.OrderID+" is under way")
	require.Equal(t, "demo-period", getInstance(m, line).SKUCode, "not before the ISV has done it")
	m.advance("2h")
	i := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "demo-period-pro", i.SKUCode)
	require.Equal(t, "OFFI700000000000000021", i.ProductID, "still by the month")
	require.Equal(t, 5, i.Quantity)
	doc := m.query(upgrade.Order.OrderID)
	require.Equal(t, marketplaceapi.OrderChange, doc.OrderType)
	require.Equal(t, "OFFI700000000000000021", doc.OrderLine[0].ProductInfo[0].ProductID)
}

// TestOrders_SeveralLines is an order of several SKUs, of which one has two billing items and one is bought twice.
func TestOrders_SeveralLines(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	isv.says(func(call map[string]any, _ int) string {
		line, _ := call["orderLineId"].(string)
		if call["activity"] == "newInstance" && strings.HasSuffix(line, "-000003") {
			return `{"resultCode":"000106","resultMsg":"sold out"}`
		}
		return right(call)
	})
	placed := m.place(sandboxapi.Purchase{DiscountPercent: 50, Lines: []sandboxapi.PurchaseLine{
		{SKUCode: "demo-period", Period: "1m", Quantity: 5}, {SKUCode: "demo-on-demand-two"}, {SKUCode: "demo-package", Quantity: 2},
	}})
	id := placed.Order.OrderID
	require.Len(t, placed.Instances, 5)
	doc := m.query(id)
	require.Len(t, doc.OrderLine, 5)
	products := map[string]bool{}
	for n, l := range doc.OrderLine {
		require.Equal(t, fmt.Sprintf("%s-%06d", id, n+1), l.OrderLineID)
		products[l.ProductInfo[0].ProductID] = true
		if n != 2 {
			m.is(l.OrderLineID, sandboxapi.InstanceReady)
		}
	}
	require.Len(t, products, 4, "the billing items of a SKU are told apart by productId")
	require.Equal(t, "25", doc.OrderLine[0].CurrencyAfterDiscount)
	require.Equal(t, "105", m.order(id).Amount)
	one, err := m.sdk().QueryOrder(t.Context(), id, id+"-000004")
	require.NoError(t, err)
	require.Equal(t, doc.OrderLine[3:4], one.OrderLine)

	require.Equal(t, sandboxapi.OrderProcessing, m.order(id).Status, "one line is not done")
	m.advance("4h")
	require.Equal(t, sandboxapi.OrderFailed, m.order(id).Status, "it failed, as all lines are done and one of them failed")
	var states []sandboxapi.OrderStatus
	for _, l := range m.details(id).Lines {
		states = append(states, l.Status)
	}
	require.Equal(t, []sandboxapi.OrderStatus{"completed", "completed", "failed", "completed", "completed"}, states)
	require.Equal(t, sandboxapi.InstanceFailed, getInstance(m, id+"-000003").Status)

	var list sandboxapi.InstanceList
	m.call("GET", "/v1/instances?status=ready&orderId="+id, nil, &list)
	require.Len(t, list.Instances, 4)
	require.Equal(t, "1000", list.Instances[0].PackageAmount)
}

func TestOrders_Acceptance(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	placed := m.place(sandboxapi.Purchase{SKUCode: "demo-accept-one-time"})
	require.Equal(t, sandboxapi.OrderAwaitingAcceptance, placed.Order.Status)
	require.Equal(t, sandboxapi.InstanceAwaitingAcceptance, placed.Instance.Status)
	m.advance("30d")
	require.Empty(t, isv.got("newInstance"))
	m.refused("/v1/instances/"+placed.Order.OrderLineID+"/release", struct{}{}, 409, "the buyer has to accept the order first")
	m.refused("/v1/instances/"+placed.Order.OrderLineID+"/details", struct{}{}, 409, "the buyer has to accept the order first")
	accepted := m.post("/v1/orders/"+placed.Order.OrderID+"/accept", struct{}{})
	require.Equal(t, sandboxapi.OrderProcessing, accepted.Order.Status)
	i := m.is(placed.Order.OrderLineID, sandboxapi.InstanceReady)
	require.Equal(t, accepted.Order.AcceptTime, i.CreateTime)
	require.Equal(t, sandboxapi.OrderCompleted, m.order(placed.Order.OrderID).Status)
	m.refused("/v1/orders/"+placed.Order.OrderID+"/accept", struct{}{}, 409, "only what awaits")
	m.refused("/v1/orders/nobodys/accept", struct{}{}, 404, "")
	m.do(placed.Order.OrderLineID, "release")
	m.is(placed.Order.OrderLineID, sandboxapi.InstanceReleased)
	released, _ := isv.last("releaseInstance")["orderId"].(string)
	m.refused("/v1/orders/"+released+"/accept", struct{}{}, 400, "creates no instance")
}

// TestOrders_Notify: order notices have a key of their own, and hold up nothing.
func TestOrders_Notify(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(call map[string]any, n int) string {
		if call["activity"] == "orderNotify" && n <= 2 {
			return `{"resultCode":"000005","resultMsg":"later"}`
		}
		return right(call)
	})
	m := start(t, isv.URL)
	placed := m.place(sandboxapi.Purchase{SKUCode: "demo-notify-one-time"})
	m.is(placed.Order.OrderLineID, sandboxapi.InstanceReady)
	m.advance("5m")
	notices := isv.got("orderNotify")
	require.Len(t, notices, 3)
	require.Equal(t, map[string]any{"activity": "orderNotify", "orderId": placed.Order.OrderID, "orderLineId": placed.Order.OrderLineID}, notices[2])
	release := m.post("/v1/instances/"+placed.Order.OrderLineID+"/release", struct{}{})
	m.is(placed.Order.OrderLineID, sandboxapi.InstanceReleased)
	m.advance("1m")
	require.Equal(t, release.Order.OrderID, isv.last("orderNotify")["orderId"], "every order is told, whatever its type")
	m.buy("demo-one-time")
	m.advance("1m")
	require.Len(t, isv.got("orderNotify"), 4, "only of products whose ISV wants to know")
}

func TestOrders_Details(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	one, two := m.buy("demo-on-demand"), m.buy("demo-period")
	m.is(one, sandboxapi.InstanceReady)
	m.is(two, sandboxapi.InstanceReady)
	asked := len(isv.got("queryInstance"))
	isv.says(func(call map[string]any, _ int) string {
		switch call["activity"] {
		case "updateInstanceStatus":
			return `{"resultCode":"000005","resultMsg":"no"}`
		case "queryInstance":
			ids, _ := call["instanceId"].(string)
			first, _, _ := strings.Cut(ids, ",")
			return fmt.Sprintf(`{"resultCode":"000000","resultMsg":"ok","info":[{"instanceId":%q,
				"appInfo":{"frontEndUrl":"https://a.example.com","adminUrl":"https://b.example.com","userName":"root","password":"hunter2","memo":"hello"},
				"usageInfo":[{"usageValue":12.5000,"statisticalTime":"20260101000000000"}]}]}`, first)
		}
		return right(call)
	})
	m.do(one, "freeze") // is retried for an hour, and does not hold the buyer up
	var answer sandboxapi.DetailsAnswer
	status, detail := m.call("POST", "/v1/instances/"+one+"/details", struct{}{}, &answer)
	require.Equal(t, http.StatusOK, status, detail)
	require.Equal(t, []sandboxapi.InstanceDetails{{
		OrderLineID: one, InstanceID: "i-" + one, Told: true, FrontEndURL: "https://a.example.com", AdminURL: "https://b.example.com", UserName: "root", Memo: "hello",
		Usage: []sandboxapi.InstanceUsage{{UsageValue: "12.5000", StatisticalTime: "20260101000000000"}},
	}}, answer.Instances)
	require.Equal(t, "queryInstance", m.calls(one)[0].Activity)

	status, detail = m.call("POST", "/v1/instances/details", sandboxapi.DetailsRequest{OrderLineIDs: []string{one, two}}, &answer)
	require.Equal(t, http.StatusOK, status, detail)
	require.Equal(t, "i-"+one+",i-"+two, isv.last("queryInstance")["instanceId"], "one call for all")
	require.True(t, answer.Instances[0].Told)
	require.False(t, answer.Instances[1].Told)
	require.Len(t, isv.got("queryInstance"), asked+2)

	isv.says(func(call map[string]any, _ int) string { return `{"resultCode":"000003","resultMsg":"who?"}` })
	m.refused("/v1/instances/"+two+"/details", struct{}{}, 502, "the ISV knows no such instance")
	m.advance("10m")
	require.Len(t, isv.got("queryInstance"), asked+3, "it is not retried")
	require.Equal(t, sandboxapi.InstanceReady, getInstance(m, two).Status, "and nothing follows from it")
	for _, tc := range []struct {
		lines  []string
		detail string
	}{
		{nil, "expected 1 to 100"},
		{[]string{one, one}, "there twice"},
		{make([]string, 101), "expected 1 to 100"},
		{[]string{two, m.place(sandboxapi.Purchase{SKUCode: "demo-accept-one-time"}).Order.OrderLineID}, ""},
	} {
		status, detail = m.call("POST", "/v1/instances/details", sandboxapi.DetailsRequest{OrderLineIDs: tc.lines}, nil)
		require.GreaterOrEqual(t, status, 400)
		require.Contains(t, detail, tc.detail)
	}
}

// TestOrders_FilteredLists: what is asked for is what is listed.
func TestOrders_FilteredLists(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	a, b := m.buy("demo-period"), m.buy("demo-accept-one-time")
	m.is(a, sandboxapi.InstanceReady)
	m.do(a, "renew")
	m.is(a, sandboxapi.InstanceReady)
	for query, want := range map[string]int{
		"": 3, "?orderType=RENEW": 1, "?orderType=TRIAL": 0, "?status=awaiting-acceptance": 1, "?productCode=demo": 2, "?sellerId=demo": 3,
		"?sellerId=x": 0, "?buyerId=demo-buyer&orderType=NEW": 2, "?orderLineId=" + a: 2, "?orderLineId=" + b: 1, "?limit=1": 1,
	} {
		var list sandboxapi.OrderList
		status, detail := m.call("GET", "/v1/orders"+query, nil, &list)
		require.Equal(t, 200, status, detail)
		require.Len(t, list.Orders, want, query)
	}
	for query, want := range map[string]int{"": 2, "?status=ready": 1, "?productCode=demo-accept": 1, "?sellerId=x": 0, "?buyerId=demo-buyer": 2} {
		var list sandboxapi.InstanceList
		m.call("GET", "/v1/instances"+query, nil, &list)
		require.Len(t, list.Instances, want, query)
	}
	for _, bad := range []string{"/v1/orders?status=happy", "/v1/orders?orderType=GIFT", "/v1/instances?status=happy"} {
		status, detail := m.call("GET", bad, nil, nil)
		require.Equal(t, 400, status)
		require.Contains(t, detail, "no such")
	}
}

func TestOrders_RefusesWithAProblem(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	for name, tc := range map[string]struct {
		p      sandboxapi.Purchase
		status int
		detail string
	}{
		"nothing":        {sandboxapi.Purchase{}, 400, "skuCode: expected what is bought"},
		"both forms":     {sandboxapi.Purchase{SKUCode: "demo-period", Lines: []sandboxapi.PurchaseLine{{SKUCode: "demo-period"}}}, 400, "not both"},
		"two products":   {sandboxapi.Purchase{Lines: []sandboxapi.PurchaseLine{{SKUCode: "demo-period"}, {SKUCode: "demo-kit-period"}}}, 400, "SKUs of one product"},
		"no such buyer":  {sandboxapi.Purchase{SKUCode: "demo-period", BuyerID: "x"}, 400, `buyerId "x": there is no such buyer`},
		"no such trial":  {sandboxapi.Purchase{SKUCode: "demo-one-time", Trial: true}, 400, "demo-one-time has none"},
		"two lines, V1":  {sandboxapi.Purchase{Lines: []sandboxapi.PurchaseLine{{SKUCode: "demo-v1-period"}, {SKUCode: "demo-v1-one-time"}}}, 400, "V1 tells instances apart by their order"},
		"31 packages":    {sandboxapi.Purchase{SKUCode: "demo-package", Quantity: 31}, 400, "at most 30 packages"},
		"unknown params": {sandboxapi.Purchase{SKUCode: "demo-period", ExtendParams: map[string]string{"x": "y"}}, 400, "it asks for emailDomainName, ip"},
	} {
		status, detail := m.call("POST", "/v1/orders", tc.p, nil)
		require.Equal(t, tc.status, status, "%s: %s", name, detail)
		require.Contains(t, detail, tc.detail, name)
	}
	status, _ := m.call("GET", "/v1/orders/nobodys", nil, nil)
	require.Equal(t, 404, status)
}

// v1ISV is an ISV that is called by V1. It verifies each call and answers it rightly, with Body-Sign.
type v1ISV struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // the activities, with what tells them apart
	ids   map[string]string
}

func newV1ISV(t *testing.T) *v1ISV {
	t.Helper()
	i := &v1ISV{ids: map[string]string{}}
	verifier, err := signature.NewV1(signature.V1Config{Keys: []string{testKeys.BaseKey}})
	require.NoError(t, err)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if _, err := verifier.VerifyQuery(q); err != nil {
			t.Errorf("the sandbox's V1 token: %v", err)
		}
		call, ok := providerapi.LookupV1(q.Get("activity"))
		if !ok {
			t.Errorf("V1 has no call %q", q.Get("activity"))
			return
		}
		fields := map[string]string{}
		for name := range q {
			fields[name] = q.Get(name)
		}
		for _, v := range call.CheckText(fields) {
			t.Errorf("%s of V1 is not as the contract says: %v", call.Name, v)
		}
		text, _ := json.Marshal(fields)
		i.mu.Lock()
		i.calls = append(i.calls, string(text))
		answer := `{"resultCode":"000000","resultMsg":"ok"}`
		if q.Get("activity") == "newInstance" {
			key := q.Get("orderId") + q.Get("productId")
			if i.ids[key] == "" {
				i.ids[key] = q.Get("businessId")
			}
			answer = fmt.Sprintf(`{"resultCode":"000000","resultMsg":"ok","instanceId":%q,"appInfo":{"frontEndUrl":"https://v1.example.com"}}`, i.ids[key])
		}
		i.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Body-Sign", signature.BodySign(testKeys.BaseKey, []byte(answer)))
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *v1ISV) got(activity string) (calls []map[string]string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, text := range i.calls {
		var c map[string]string
		_ = json.Unmarshal([]byte(text), &c)
		if c["activity"] == activity {
			calls = append(calls, c)
		}
	}
	return calls
}

// TestOrders_V1 is the same life by the older interface: no polling, expireInstance, and a renewal that unfreezes.
func TestOrders_V1(t *testing.T) {
	t.Parallel()
	isv := newV1ISV(t)
	m := start(t, isv.URL, at("2026-01-31T02:00:00Z"))
	line := m.place(sandboxapi.Purchase{SKUCode: "demo-v1-period", Period: "1m", Trial: false}).Order.OrderLineID
	i := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "https://v1.example.com", i.FrontEndURL)
	require.Equal(t, "20260228155959", isv.got("newInstance")[0]["expireTime"])
	var d sandboxapi.DetailsAnswer
	status, detail := m.call("POST", "/v1/instances/"+line+"/details", struct{}{}, &d)
	require.Equal(t, http.StatusOK, status, detail)
	require.Equal(t, "https://v1.example.com", d.Instances[0].FrontEndURL)
	require.Len(t, isv.got("newInstance"), 2, "V1 is asked for details by the same newInstance again")

	m.advance("29d")
	m.is(line, sandboxapi.InstanceFrozen)
	require.Equal(t, i.OrderID, isv.got("expireInstance")[0]["orderId"])
	m.do(line, "renew")
	m.is(line, sandboxapi.InstanceReady)
	require.Len(t, isv.got("refreshInstance"), 1)
	require.Empty(t, isv.got("instanceStatus"))
	m.refused("/v1/instances/"+line+"/renew", sandboxapi.Renewal{Quantity: 3}, 409, "offers no renewal with a change")

	trial := m.place(sandboxapi.Purchase{SKUCode: "demo-v1-period", Trial: true}).Order.OrderLineID
	m.is(trial, sandboxapi.InstanceReady)
	calls := isv.got("newInstance")
	require.Equal(t, "1", calls[len(calls)-1]["trialFlag"])
	m.post("/v1/instances/"+trial+"/convert", sandboxapi.Conversion{Period: "1m"})
	m.is(trial, sandboxapi.InstanceReady)
	require.Equal(t, "1", isv.got("refreshInstance")[1]["trialToFormal"])
}

// TestOrders_IDsOfASeed: one seed gives the same order ids, whichever of many orders is written first, and no id twice.
func TestOrders_IDsOfASeed(t *testing.T) {
	t.Parallel()
	ids := func(seed uint64) map[string]bool {
		m := start(t, newISV(t).URL, at("2026-01-31T02:00:00Z"), func(c *sandbox.Config) { c.Seed = seed })
		all := map[string]bool{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				id := m.place(sandboxapi.Purchase{SKUCode: "demo-one-time"}).Order.OrderID
				mu.Lock()
				defer mu.Unlock()
				require.False(t, all[id], "twice")
				all[id] = true
			})
		}
		wg.Wait()
		return all
	}
	one := ids(1)
	require.Len(t, one, 50)
	require.Equal(t, one, ids(1))
	require.NotEqual(t, one, ids(2))
}
