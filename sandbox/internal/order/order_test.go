package order_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
)

func TestPeriod_ExpireFrom(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		period, from, want string
	}{
		"as in the guide's example":         {"1y", "2022-07-26T06:47:36Z", "2023-07-26T15:59:59Z"},
		"evening in Beijing is today":       {"1m", "2026-01-10T15:59:00Z", "2026-02-10T15:59:59Z"},
		"night in Beijing is the day after": {"1m", "2026-01-10T16:01:00Z", "2026-02-11T15:59:59Z"},
		"end of January":                    {"1m", "2026-01-31T01:00:00Z", "2026-02-28T15:59:59Z"},
		"end of January in a leap year":     {"1m", "2028-01-31T01:00:00Z", "2028-02-29T15:59:59Z"},
		"leap day":                          {"1y", "2028-02-29T01:00:00Z", "2029-02-28T15:59:59Z"},
		"leap day to leap day":              {"4y", "2028-02-29T01:00:00Z", "2032-02-29T15:59:59Z"},
		"from an expiry":                    {"1m", "2026-02-28T15:59:59Z", "2026-03-28T15:59:59Z"},
		"December":                          {"1m", "2026-12-31T01:00:00Z", "2027-01-31T15:59:59Z"},
		"to the 30th":                       {"3m", "2026-08-31T01:00:00Z", "2026-11-30T15:59:59Z"},
		"over a leap day":                   {"1d", "2028-02-28T15:59:59Z", "2028-02-29T15:59:59Z"},
		"thirteen months":                   {"13m", "2026-11-30T01:00:00Z", "2027-12-30T15:59:59Z"},
		"a week":                            {"7d", "2026-12-28T01:00:00Z", "2027-01-04T15:59:59Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := order.ParsePeriod(tc.period)
			require.NoError(t, err)
			from, err := time.Parse(time.RFC3339, tc.from)
			require.NoError(t, err)
			require.Equal(t, tc.want, p.ExpireFrom(from).Format(time.RFC3339))
		})
	}
	for _, bad := range []string{"", "0y", "1", "y", "100y", "1w", "-1y", "1y2m"} {
		_, err := order.ParsePeriod(bad)
		require.ErrorContains(t, err, "such as 1y", bad)
	}
}

func TestNewID_HasTheMarketplacesShape(t *testing.T) {
	t.Parallel()
	at := time.Date(2022, 7, 26, 6, 47, 36, 0, time.UTC)
	id, err := order.NewID(at, rand.NewChaCha8([32]byte{1}))
	require.NoError(t, err)
	again, err := order.NewID(at, rand.NewChaCha8([32]byte{1}))
	require.NoError(t, err)
	require.Equal(t, id, again, "one seed, one id")
	require.Regexp(t, `^CS2207261447[A-Z0-9]{5}$`, id)
	require.Equal(t, id+"-000002", order.LineID(id, 2))
	_, err = order.NewID(at, strings.NewReader("four"))
	require.ErrorContains(t, err, "random source")
}

// TestMock_AllNine checks that the mock orders are those of the contract, and as the contract says.
func TestMock_AllNine(t *testing.T) {
	t.Parallel()
	text, err := openapi.FS.ReadFile("marketplace.yaml")
	require.NoError(t, err)
	var doc struct {
		Paths map[string]struct {
			Get struct {
				Mocks []string `yaml:"x-mock-orders"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	const path = "/api/mkp-openapi-public/global/v1/order/query"
	ids := doc.Paths[path].Get.Mocks
	require.Len(t, ids, 9)
	schema, err := contract.Marketplace().Response("GET", path, 200)
	require.NoError(t, err)
	for _, id := range ids {
		mock, ok := order.Mock(id)
		require.True(t, ok, id)
		require.Equal(t, id+"-000001", mock.OrderLine[0].OrderLineID)
		body, err := json.Marshal(marketplaceapi.OrderAnswer{ResultCode: "MKT.0000", ResultMsg: "Success", OrderInfo: mock})
		require.NoError(t, err)
		require.Empty(t, schema.Violations(body), id)
		if strings.Contains(id, "PERIOD") {
			require.Equal(t, marketplaceapi.ChargingPeriod, mock.OrderLine[0].ChargingMode, id)
			require.NotEmpty(t, mock.OrderLine[0].ExpireTime, id)
		}
	}
	_, ok := order.Mock("MOCKNONSENSE")
	require.False(t, ok)
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		price         string
		quantity, off int
		full, paid    string
	}{
		{"100", 1, 0, "100", "100"},
		{"0.02", 5, 0, "0.1", "0.1"},
		{"0.1", 3, 10, "0.3", "0.27"},
		{"33.33", 1, 50, "33.33", "16.67"}, // a half goes away from zero
		{"999999999999.9999", 9_999_999, 100, "9999998999999999000", "0"},
		{"0.0049", 1, 0, "0", "0"},
		{"0", 7, 30, "0", "0"},
	} {
		a, err := order.ParseAmount(tc.price)
		require.NoError(t, err)
		full := a.Times(tc.quantity)
		require.Equal(t, tc.full, full.String(), tc.price)
		require.Equal(t, tc.paid, full.Less(tc.off).String(), tc.price)
	}
	a, err := order.ParseAmount("0.005")
	require.NoError(t, err)
	require.Equal(t, "-0.01", a.Negative().String())
	require.Equal(t, "0", order.Amount{}.Negative().String())
	a, err = order.ParseAmount("-0.001")
	require.NoError(t, err)
	require.Equal(t, "0", a.String())
	for _, bad := range []string{"", "1/2", "1e9", "0x1p-2", "ten", "1_0"} {
		_, err := order.ParseAmount(bad)
		require.ErrorContains(t, err, "expected a decimal number", bad)
	}
}

// product has a SKU of every sort.
func product(t *testing.T) catalogue.Product {
	t.Helper()
	for _, p := range catalogue.DemoProducts() {
		if p.Code == "demo" {
			return p
		}
	}
	t.Fatal("no product demo")
	return catalogue.Product{}
}

func TestLines(t *testing.T) {
	t.Parallel()
	terms := order.Terms{Now: time.Date(2028, 1, 31, 1, 0, 0, 0, time.UTC)}
	lines, err := order.Lines(product(t), []order.Choice{
		{SKUCode: "demo-period", Period: "1m", Quantity: 5, ExtendParams: map[string]string{"ip": "10.0.0.1", "emailDomainName": "a.example.com"}},
		{SKUCode: "demo-period"},
		{SKUCode: "demo-one-time"},
		{SKUCode: "demo-on-demand-two"},
		{SKUCode: "demo-package-stop", Period: "3m", Quantity: 2},
	}, terms)
	require.NoError(t, err)
	doc := order.Document("CS1", marketplaceapi.OrderNew, terms.Now, catalogue.DemoBuyer.Info, lines...)
	text, err := json.Marshal(doc.OrderLine)
	require.NoError(t, err)
	require.JSONEq(t, `[
		{"orderLineId":"CS1-000001","chargingMode":"PERIOD","periodType":"month","periodNumber":1,"expireTime":"20280229155959","currency":"50","currencyAfterDiscount":"50",
		 "productInfo":[{"productId":"OFFI700000000000000011","skuCode":"demo-period","linearValue":5,"productName":"Demo product, Demo, basic, by the month"}],
		 "extendParams":[{"name":"emailDomainName","value":"a.example.com"},{"name":"ip","value":"10.0.0.1"}]},
		{"orderLineId":"CS1-000002","chargingMode":"PERIOD","periodType":"year","periodNumber":1,"expireTime":"20290131155959","currency":"100","currencyAfterDiscount":"100",
		 "productInfo":[{"productId":"OFFI700000000000000012","skuCode":"demo-period","linearValue":1,"productName":"Demo product, Demo, basic, by the year"}]},
		{"orderLineId":"CS1-000003","chargingMode":"ONE_TIME","currency":"900","currencyAfterDiscount":"900",
		 "productInfo":[{"productId":"OFFI700000000000000031","skuCode":"demo-one-time","linearValue":1,"productName":"Demo product, Demo, paid once"}]},
		{"orderLineId":"CS1-000004","chargingMode":"ON_DEMAND","currency":"0","currencyAfterDiscount":"0",
		 "productInfo":[{"productId":"OFFI700000000000000051","skuCode":"demo-on-demand-two","linearValue":1,"productName":"Demo product, Demo, traffic"}]},
		{"orderLineId":"CS1-000005","chargingMode":"ON_DEMAND","currency":"0","currencyAfterDiscount":"0",
		 "productInfo":[{"productId":"OFFI700000000000000052","skuCode":"demo-on-demand-two","linearValue":1,"productName":"Demo product, Demo, storage"}]},
		{"orderLineId":"CS1-000006","chargingMode":"ON_DEMAND_PKG","periodType":"month","periodNumber":3,"expireTime":"20280430155959","currency":"70","currencyAfterDiscount":"70",
		 "productInfo":[{"productId":"OFFI700000000000000071","skuCode":"demo-package-stop","linearValue":1,"productName":"Demo product, Demo, package that stops when used up"}]},
		{"orderLineId":"CS1-000007","chargingMode":"ON_DEMAND_PKG","periodType":"month","periodNumber":3,"expireTime":"20280430155959","currency":"70","currencyAfterDiscount":"70",
		 "productInfo":[{"productId":"OFFI700000000000000071","skuCode":"demo-package-stop","linearValue":1,"productName":"Demo product, Demo, package that stops when used up"}]}
	]`, string(text))
	require.Equal(t, lifecycle.Package{Amount: "1000", StopWhenUsedUp: true}, lines[6].Package)
	require.Equal(t, marketplaceapi.PeriodMonth, lines[0].Product.PeriodType)

	terms.Trial = true
	lines, err = order.Lines(product(t), []order.Choice{{SKUCode: "demo-period", Quantity: 3}}, terms)
	require.NoError(t, err)
	require.Equal(t, order.Period{Number: 30, Type: marketplaceapi.PeriodDay}, lines[0].Period)
	require.Equal(t, "0", lines[0].Full.String(), "a trial is free")

	terms = order.Terms{Now: terms.Now, DiscountPercent: 15}
	lines, err = order.Lines(product(t), []order.Choice{{SKUCode: "demo-period", Period: "3m", Quantity: 7}}, terms)
	require.NoError(t, err)
	require.Equal(t, "210", lines[0].Full.String())
	require.Equal(t, "178.5", lines[0].Paid.String())
}

func TestLines_Refuses(t *testing.T) {
	t.Parallel()
	asking := product(t)
	asking.SKUs[0].Params = []catalogue.Param{{Name: "domain", Required: true}, {Name: "ip"}, {Name: "admin", Required: true}}
	asking.SKUs[1].Items = asking.SKUs[1].Items[:1]
	for name, tc := range map[string]struct {
		terms   order.Terms
		choices []order.Choice
		hint    string
	}{
		"nothing":             {order.Terms{}, nil, "lines: expected at least one"},
		"other product":       {order.Terms{}, []order.Choice{{SKUCode: "demo-v1-period"}}, "SKUs of one product"},
		"discount":            {order.Terms{DiscountPercent: 101}, []order.Choice{{SKUCode: "demo-one-time"}}, "expected 0 to 100"},
		"bad period":          {order.Terms{}, []order.Choice{{SKUCode: "demo-period-pro", Period: "1w"}}, "such as 1y or 3m"},
		"period not sold":     {order.Terms{}, []order.Choice{{SKUCode: "demo-period-pro", Period: "1y"}}, "is sold by month, not by year"},
		"period once":         {order.Terms{}, []order.Choice{{SKUCode: "demo-one-time", Period: "1y"}}, "has none"},
		"quantity once":       {order.Terms{}, []order.Choice{{SKUCode: "demo-one-time", Quantity: 2}}, "no linear attribute"},
		"quantity negative":   {order.Terms{}, []order.Choice{{SKUCode: "demo-period-pro", Quantity: -1}}, "expected 1 to"},
		"quantity huge":       {order.Terms{}, []order.Choice{{SKUCode: "demo-period-pro", Quantity: 10_000_000}}, "expected 1 to"},
		"params missing":      {order.Terms{}, []order.Choice{{SKUCode: "demo-period"}}, "asks the buyer for domain and admin"},
		"param unknown":       {order.Terms{}, []order.Choice{{SKUCode: "demo-period-pro", ExtendParams: map[string]string{"x": "y"}}}, `does not ask the buyer for "x"; it asks for emailDomainName, ip`},
		"param of none":       {order.Terms{}, []order.Choice{{SKUCode: "demo-one-time", ExtendParams: map[string]string{"x": "y"}}}, "it asks for nothing"},
		"trial of none":       {order.Terms{Trial: true}, []order.Choice{{SKUCode: "demo-one-time"}}, "demo-one-time has none"},
		"trial by month":      {order.Terms{Trial: true}, []order.Choice{{SKUCode: "demo-period-pro", Period: "1m"}}, "at most 30d, in days"},
		"trial too long":      {order.Terms{Trial: true}, []order.Choice{{SKUCode: "demo-period-pro", Period: "31d"}}, "at most 30d, in days"},
		"packages":            {order.Terms{}, []order.Choice{{SKUCode: "demo-package", Quantity: 31}}, "at most 30 packages"},
		"packages of several": {order.Terms{}, []order.Choice{{SKUCode: "demo-package", Quantity: 20}, {SKUCode: "demo-package-stop", Quantity: 11}}, "at most 30 packages"},
		"lines":               {order.Terms{}, slices.Repeat([]order.Choice{{SKUCode: "demo-one-time"}}, 101), "at most 100"},
	} {
		_, err := order.Lines(asking, tc.choices, tc.terms)
		require.ErrorIs(t, err, order.ErrInvalid, name)
		require.ErrorContains(t, err, tc.hint, name)
	}
	lines, err := order.Lines(asking, []order.Choice{{SKUCode: "demo-period-pro"}}, order.Terms{})
	require.NoError(t, err)
	require.Equal(t, order.Period{Number: 1, Type: marketplaceapi.PeriodMonth}, lines[0].Period, "not sold by the year")
	lines, err = order.Lines(asking, []order.Choice{{SKUCode: "demo-period-pro"}}, order.Terms{Trial: true})
	require.NoError(t, err)
	require.Equal(t, "OFFI700000000000000021", lines[0].Product.ProductID, "days are not sold, so a trial is of the first item")
}
