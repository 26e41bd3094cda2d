package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	orderPath    = "/api/mkp-openapi-public/global/v1/order/query"
	usagePath    = "/api/mkp-openapi-public/global/v1/isv/usage-data"
	oldUsagePath = "/rest/marketplace/v1/isv/usage-data"
)

var credentials = signature.Credentials{AK: testKeys.AK, SK: testKeys.SK}

// sdk is the ISV's client of the open API.
func (m *market) sdk() *marketplace.Client {
	m.t.Helper()
	c, err := marketplace.New(marketplace.Config{URL: m.openAPI.URL, Credentials: credentials, BaseKey: testKeys.BaseKey, RetryMax: -1})
	require.NoError(m.t, err)
	return c
}

// raw sends a request to the open API as it is, and gives status and decoded answer.
func (m *market) raw(req *http.Request) (int, map[string]any) {
	m.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(m.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	var answer map[string]any
	require.NoError(m.t, json.Unmarshal(body, &answer), "%s", body)
	return resp.StatusCode, answer
}

// request makes a request that is rightly signed, unless change says otherwise before the signature is made.
func (m *market) request(method, path, body string, change func(*http.Request)) *http.Request {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.openAPI.URL+path, strings.NewReader(body))
	require.NoError(m.t, err)
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, usagePath) {
		usage, err := signature.NewUsage(signature.Config{Keys: []string{testKeys.BaseKey}})
		require.NoError(m.t, err)
		params, err := usage.Sign([]byte(body))
		require.NoError(m.t, err)
		params.SetUsageHeaders(req.Header)
	}
	if change != nil {
		change(req)
	}
	require.NoError(m.t, credentials.SignRequest(req, []byte(body), time.Now()))
	return req
}

func TestOpenAPI_QueryOrder(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	var placed sandboxapi.OrderPlaced
	m.call("POST", "/v1/orders", sandboxapi.Purchase{
		SKUCode: "demo-period", Period: "3m", Quantity: 5, ExtendParams: map[string]string{"ip": "10.0.0.1", "emailDomainName": "mail.example.com"},
	}, &placed)
	got, err := m.sdk().QueryOrder(t.Context(), placed.Order.OrderID, "")
	require.NoError(t, err)
	require.Equal(t, marketplaceapi.OrderNew, got.OrderType)
	line := got.OrderLine[0]
	require.Equal(t, marketplaceapi.OrderLine{
		OrderLineID: placed.Order.OrderLineID, ChargingMode: marketplaceapi.ChargingPeriod, PeriodType: marketplaceapi.PeriodMonth, PeriodNumber: 3,
		ExpireTime: placed.Instance.ExpireTime.Format("20060102150405"), Currency: "150", CurrencyAfterDiscount: "150",
		ProductInfo:  []marketplaceapi.ProductInfo{{ProductID: "OFFI700000000000000011", SKUCode: "demo-period", LinearValue: 5, ProductName: "Demo product, Demo, basic, by the month"}},
		ExtendParams: []marketplaceapi.ExtendParam{{Name: "emailDomainName", Value: "mail.example.com"}, {Name: "ip", Value: "10.0.0.1"}},
	}, line)
	require.NotEmpty(t, got.BuyerInfo.CustomerID)

	mock, err := m.sdk().QueryOrder(t.Context(), "MOCKPERIODDAYTRIAL", "MOCKPERIODDAYTRIAL-000001")
	require.NoError(t, err)
	require.Equal(t, marketplaceapi.OrderTrial, mock.OrderType)

	_, err = m.sdk().QueryOrder(t.Context(), "CS-nobodys", "")
	require.ErrorIs(t, err, marketplace.ErrNotYours)
	_, err = m.sdk().QueryOrder(t.Context(), placed.Order.OrderID, placed.Order.OrderID+"-000002")
	require.ErrorIs(t, err, marketplace.ErrNotYours)
}

// TestOpenAPI_Refuses is the table of requests that are refused as a whole, one fault each.
func TestOpenAPI_Refuses(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []sandbox.Exchange
	m := start(t, "", func(c *sandbox.Config) {
		c.Observe = func(x sandbox.Exchange) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, x)
		}
	})
	good := `{"usage_records":[{"begin_time":"20220809T080000Z","end_time":"20220809T090000Z","instance_id":"i","metering_sn":"sn","record_time":"20220809T091000Z","usage_value":"1"}]}`
	many := `{"usage_records":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1001), ",") + `]}`
	for name, tc := range map[string]struct {
		req    *http.Request
		status int
		code   string
	}{
		"no orderId":           {m.request("GET", orderPath, "", nil), 400, "MKT.0101"},
		"orderId empty":        {m.request("GET", orderPath+"?orderId=", "", nil), 500, "MKT.0100"},
		"orderId too long":     {m.request("GET", orderPath+"?orderId="+strings.Repeat("x", 65), "", nil), 500, "MKT.0100"},
		"line too long":        {m.request("GET", orderPath+"?orderId=MOCKONDEMAND&orderLineId="+strings.Repeat("x", 65), "", nil), 500, "MKT.0100"},
		"unknown path":         {m.request("GET", "/nonsense", "", nil), 404, "APIGW.0101"},
		"wrong method":         {m.request("DELETE", orderPath, "", nil), 405, "APIGW.0101"},
		"push of no JSON":      {m.request("POST", usagePath, "usage", nil), 400, "MKT.0101"},
		"push of a list":       {m.request("POST", usagePath, "[]", nil), 400, "MKT.0101"},
		"push of text":         {m.request("POST", usagePath, `{"usage_records":["a"]}`, nil), 400, "MKT.0101"},
		"no records":           {m.request("POST", usagePath, `{}`, nil), 400, "MKT.0101"},
		"empty records":        {m.request("POST", usagePath, `{"usage_records":[]}`, nil), 500, "MKT.9002"},
		"1001 records":         {m.request("POST", usagePath, many, nil), 500, "MKT.9003"},
		"old, 1001 records":    {m.request("POST", oldUsagePath, many, nil), 500, "MKT.9003"},
		"not as JSON":          {m.request("POST", oldUsagePath, good, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), 400, "MKT.0199"},
		"no body signature":    {m.request("POST", usagePath, good, func(r *http.Request) { r.Header.Del("signature") }), 400, "MKT.0101"},
		"wrong body signature": {m.request("POST", usagePath, good, func(r *http.Request) { r.Header.Set("nonce", "another") }), 400, "MKT.0102"},
		"stale body signature": {m.request("POST", usagePath, good, func(r *http.Request) {
			old, _ := signature.NewUsage(signature.Config{Keys: []string{testKeys.BaseKey}})
			ts := fmt.Sprint(time.Now().Add(-16 * time.Minute).UnixMilli())
			signature.Params{Signature: old.SignAt([]byte(good), ts, "n"), Timestamp: ts, Nonce: "n"}.SetUsageHeaders(r.Header)
		}), 400, "MKT.0102"},
		"another key": {m.request("POST", usagePath, good, func(r *http.Request) {
			other, _ := signature.NewUsage(signature.Config{Keys: []string{"other"}})
			params, _ := other.Sign([]byte(good))
			params.SetUsageHeaders(r.Header)
		}), 400, "MKT.0102"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := m.raw(tc.req)
			require.Equal(t, tc.status, status, answer)
			code := answer["error_code"]
			if code == nil {
				code = answer["resultCode"]
			}
			require.Equal(t, tc.code, code, answer)
			require.NotContains(t, fmt.Sprint(answer), testKeys.BaseKey)
			mu.Lock()
			defer mu.Unlock()
			last := seen[len(seen)-1]
			require.Equal(t, tc.status, last.Status)
			require.Equal(t, tc.code, last.Code)
			require.NotEmpty(t, last.Detail)
		})
	}
}

func TestOpenAPI_Gateway(t *testing.T) {
	t.Parallel()
	m := start(t, "")
	for name, change := range map[string]func(*http.Request){
		"not signed":        func(r *http.Request) { r.Header.Del("Authorization") },
		"another AK":        func(r *http.Request) { replace(r, "Access="+testKeys.AK, "Access=nobody") },
		"signature changed": func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")[:60]+"0") },
		"query changed":     func(r *http.Request) { r.URL.RawQuery = "orderId=MOCKONETIMENEW" },
		"another secret": func(r *http.Request) {
			_ = signature.Credentials{AK: testKeys.AK, SK: "wrong"}.SignRequest(r, nil, time.Now())
		},
		"16 minutes old": func(r *http.Request) { _ = credentials.SignRequest(r, nil, time.Now().Add(-16*time.Minute)) },
		"16 minutes on":  func(r *http.Request) { _ = credentials.SignRequest(r, nil, time.Now().Add(16*time.Minute)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := m.request("GET", orderPath+"?orderId=MOCKONDEMAND", "", nil)
			change(req)
			status, answer := m.raw(req)
			require.Equal(t, http.StatusUnauthorized, status)
			require.Equal(t, "APIGW.0301", answer["error_code"])
			require.NotEmpty(t, answer["request_id"])
			require.NotContains(t, fmt.Sprint(answer), testKeys.SK)
		})
	}
	status, _ := m.raw(m.request("GET", orderPath+"?orderId=MOCKONDEMAND", "", nil))
	require.Equal(t, http.StatusOK, status)

	big := m.request("POST", oldUsagePath, "x", nil)
	big.Body, big.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 13<<20)), -1
	status, answer := m.raw(big)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, "APIGW.0201", answer["error_code"])
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func replace(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

func TestOpenAPI_Usage(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	period, metered := m.buy("demo-period"), m.buy("demo-on-demand")
	m.is(period, sandboxapi.InstanceReady)
	m.is(metered, sandboxapi.InstanceReady)
	m.advance("3h")
	begin := m.Now().Add(-2 * time.Hour)
	record := func(sn, instance, value string, hour int) marketplaceapi.UsageRecord {
		from := begin.Add(time.Duration(hour) * time.Hour)
		return marketplaceapi.UsageRecord{
			MeteringSN: sn, InstanceID: instance, UsageValue: value, RecordTime: marketplace.FormatTime(m.Now()),
			BeginTime: marketplace.FormatTime(from), EndTime: marketplace.FormatTime(from.Add(time.Hour)),
		}
	}
	client := m.sdk()
	result, err := client.PushUsage(t.Context(), []marketplaceapi.UsageRecord{
		record("sn-1", "i-"+metered, "12.5", 0),
		record("sn-2", "i-"+metered, "1", 1),
		record("sn-3", "i-"+metered, "2", 1), // the same window
		record("sn-4", "i-"+period, "1", 0),
		record("sn-5", "nobody", "1", 0),
	})
	require.NoError(t, err)
	codes := map[string]string{}
	for _, r := range result.Rejected {
		codes[r.Record.MeteringSN+" "+string(r.Code)] = r.Message
	}
	require.Len(t, codes, 3)
	for _, want := range []string{"sn-3 010", "sn-4 012", "sn-5 001"} {
		require.Contains(t, codes, want)
	}
	// Pushed again: known already, and counted once.
	result, err = client.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record("sn-1", "i-"+metered, "12.5", 0)})
	require.NoError(t, err)
	require.Len(t, result.Rejected, 1)
	require.EqualValues(t, "005", result.Rejected[0].Code)

	// The older form takes what it is given and tells nothing.
	r := record("", "i-"+metered, "3", 1)
	require.NoError(t, client.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{{
		InstanceID: r.InstanceID, ProductID: "OFFI700000000000000004", RecordTime: r.RecordTime, BeginTime: r.BeginTime, EndTime: r.EndTime, UsageValue: "3",
	}}))

	kept, err := m.UsageRecords(t.Context(), 100)
	require.NoError(t, err)
	require.Len(t, kept, 7)
	accepted := map[string]string{}
	for _, u := range kept {
		if u.Accepted {
			accepted[u.MeteringSN] = u.UsageValue
		}
	}
	require.Equal(t, map[string]string{"sn-1": "12.5", "sn-2": "1"}, accepted)
	var list sandboxapi.UsageRecordList
	m.call("GET", "/v1/usage-records", nil, &list)
	require.Equal(t, kept, list.UsageRecords)

	// Without AK/SK the newer push passes on its body's signature alone: whether it must have AK/SK is an open question.
	body, err := json.Marshal(marketplaceapi.UsagePush{UsageRecords: []marketplaceapi.UsageRecord{record("sn-9", "nobody", "1", 0)}})
	require.NoError(t, err)
	req := m.request("POST", usagePath, string(body), nil)
	req.Header.Del("Authorization")
	status, answer := m.raw(req)
	require.Equal(t, http.StatusOK, status, answer)
	require.Equal(t, "94060999", answer["error_code"])
	require.True(t, bytes.Contains(body, []byte("sn-9")))
}

func TestOpenAPI_DateIsTheSandboxsTime(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	m.advance("400d")
	resp, err := http.DefaultClient.Do(m.request("GET", orderPath+"?orderId=MOCKONDEMAND", "", nil))
	require.NoError(t, err)
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	require.NoError(t, err)
	require.WithinDuration(t, m.Now(), date, time.Minute)
}

func TestSandbox_RegisteredOrders(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	product := []marketplaceapi.ProductInfo{{ProductID: "p"}}
	require.NoError(t, m.RegisterOrder(t.Context(), marketplaceapi.OrderInfo{
		OrderID: "CSJ", OrderType: marketplaceapi.OrderNew, CreateTime: "20260101000000", OrderLine: []marketplaceapi.OrderLine{
			{OrderLineID: "CSJ-000001", ChargingMode: marketplaceapi.ChargingOneTime, ProductInfo: product},
			{OrderLineID: "CSJ-000002", ChargingMode: marketplaceapi.ChargingOnDemand, ProductInfo: product},
		},
	}))
	got, err := m.sdk().QueryOrder(t.Context(), "CSJ", "CSJ-000002")
	require.NoError(t, err)
	require.Len(t, got.OrderLine, 1)
	require.NoError(t, m.RegisterInstance(t.Context(), "CSJ-000002", "judged"))
	result, err := m.sdk().PushUsage(t.Context(), []marketplaceapi.UsageRecord{{
		MeteringSN: "sn", InstanceID: "judged", UsageValue: "1", RecordTime: marketplace.FormatTime(m.Now()),
		BeginTime: marketplace.FormatTime(m.Now()), EndTime: marketplace.FormatTime(m.Now().Add(time.Second)),
	}})
	require.NoError(t, err)
	require.Empty(t, result.Rejected)
	require.Error(t, m.RegisterInstance(t.Context(), "CSJ-000003", "other"))
	require.Error(t, m.RegisterOrder(t.Context(), marketplaceapi.OrderInfo{OrderID: "CSK"}))
	m.advance("1h")
	require.Empty(t, isv.counts, "nothing is delivered for registered orders")
}
