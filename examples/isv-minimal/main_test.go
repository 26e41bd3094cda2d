package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

const key = "demo-access-key-0001"

// market knows the orders CS-PERIOD and CS-DEMAND, and answers pushes as told.
type market struct {
	pushes []marketplaceapi.UsageRecord
	answer func(records []marketplaceapi.UsageRecord) (status int, body string)
}

func (m *market) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var push marketplaceapi.UsagePush
		_ = json.NewDecoder(r.Body).Decode(&push)
		m.pushes = append(m.pushes, push.UsageRecords...)
		status, body := m.answer(push.UsageRecords)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return
	}
	id := r.URL.Query().Get("orderId")
	mode := map[string]string{"CS-PERIOD": "PERIOD", "CS-DEMAND": "ON_DEMAND"}[id]
	if mode == "" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"resultCode":"MKT.0150","resultMsg":"Illegal operation."}`)
		return
	}
	_, _ = fmt.Fprintf(w, `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":{"orderId":%q,"orderType":"NEW","createTime":"20241121090846",`+
		`"orderLine":[{"orderLineId":"%s-000001","chargingMode":%q,"expireTime":"20251121155959","productInfo":[{"productId":"OFFI1","linearValue":50}]}]}}`,
		id, id, mode)
}

type shop struct {
	t      *testing.T
	market *market
	app    *crm
	client *marketplace.Client
	url    string
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, market: &market{answer: func([]marketplaceapi.UsageRecord) (int, string) { return 200, `{"error_code":"MKT.0000"}` }}}
	server := httptest.NewServer(s.market)
	t.Cleanup(server.Close)
	client, err := marketplace.New(marketplace.Config{
		URL: server.URL, Credentials: signature.Credentials{AK: "ak", SK: "sk"}, BaseKey: key, RetryMax: -1, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	s.app, s.client = &crm{instances: map[string]*instance{}}, client
	h, err := provider.NewHandler(s.app, provider.Config{BaseKeys: []string{key}, Market: client, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	isv := httptest.NewServer(h)
	t.Cleanup(isv.Close)
	s.url = isv.URL
	return s
}

func (s *shop) call(body string) (a struct {
	ResultCode, InstanceID string
	Info                   []providerapi.InstanceInfo
},
) {
	s.t.Helper()
	base, err := signature.NewBase(signature.Config{Keys: []string{key}})
	require.NoError(s.t, err)
	params, err := base.Sign([]byte(body))
	require.NoError(s.t, err)
	resp, err := http.Post(s.url+"?"+params.Query().Encode(), "application/json", strings.NewReader(body))
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	require.NoError(s.t, json.NewDecoder(resp.Body).Decode(&a))
	return a
}

func (s *shop) buy(order string) (id string) {
	s.t.Helper()
	a := s.call(fmt.Sprintf(`{"activity":"newInstance","businessId":"b","orderId":%q,"orderLineId":"%s-000001"}`, order, order))
	require.Equal(s.t, "000000", a.ResultCode)
	return a.InstanceID
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.buy("CS-PERIOD")
	code := func(format string, id string) string { return s.call(fmt.Sprintf(format, id)).ResultCode }
	const (
		query    = `{"activity":"queryInstance","instanceId":%q}`
		refresh  = `{"activity":"refreshInstance","expireTime":"20261121155959","instanceId":%q,"orderId":"CS2","orderLineId":"CS2-000001","scene":"RENEWAL"}`
		freeze   = `{"activity":"updateInstanceStatus","instanceId":%q,"status":"FREEZE"}`
		unfreeze = `{"activity":"updateInstanceStatus","instanceId":%q,"status":"UNFREEZE"}`
		release  = `{"activity":"releaseInstance","instanceId":%q}`
	)
	for _, call := range []string{query, refresh, refresh, freeze, freeze, query, unfreeze, unfreeze} {
		assert.Equal(t, "000000", code(call, id), call)
	}
	assert.Equal(t, time.Date(2026, 11, 21, 15, 59, 59, 0, time.UTC), s.app.instances[id].expires)
	for _, call := range []string{query, refresh, freeze} {
		assert.Equal(t, "000003", code(call, "i-unknown"), call)
	}
	info := s.call(fmt.Sprintf(query, id+",i-unknown")).Info
	require.Len(t, info, 1)
	assert.NotEmpty(t, info[0].AppInfo.FrontEndURL)

	for _, call := range []string{release, release} {
		assert.Equal(t, "000000", code(call, id))
	}
	assert.Equal(t, "000003", code(query, id))
	assert.Equal(t, "000005", s.call(`{"activity":"newInstance","businessId":"b","orderId":"CS-UNKNOWN","orderLineId":"CS-UNKNOWN-000001"}`).ResultCode)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.buy("CS-DEMAND")
	s.buy("CS-PERIOD")
	assert.Empty(t, s.app.usage(time.Hour, time.Now()), "the first hour is not over")
	query := fmt.Sprintf(`{"activity":"queryInstance","instanceId":%q}`, id)
	assert.Equal(t, json.Number("0"), s.call(query).Info[0].UsageInfo[0].UsageValue)

	begin := time.Now().UTC().Truncate(time.Second).Add(-90 * time.Minute)
	s.app.instances[id].metered = begin
	s.market.answer = func([]marketplaceapi.UsageRecord) (int, string) { return 503, `` }
	s.app.pushOnce(t.Context(), s.client, time.Hour)
	s.market.answer = func(r []marketplaceapi.UsageRecord) (int, string) {
		return 200, fmt.Sprintf(`{"error_code":"94060999","data":{"abnormal_usage_data":[{"metering_sn":%q,"error_code":"005"}]}}`, r[0].MeteringSN)
	}
	s.app.pushOnce(t.Context(), s.client, time.Hour)
	require.Len(t, s.market.pushes, 2)
	for i := range s.market.pushes {
		s.market.pushes[i].RecordTime = ""
	}
	assert.Equal(t, s.market.pushes[0], s.market.pushes[1], "what was not answered is pushed again as it was")
	assert.Equal(t, marketplace.FormatTime(begin), s.market.pushes[0].BeginTime)
	assert.Equal(t, json.Number("3600"), s.call(query).Info[0].UsageInfo[0].UsageValue)
	s.app.pushOnce(t.Context(), s.client, time.Hour)
	require.Len(t, s.market.pushes, 2, "only half an hour is left")

	s.app.instances[id].metered = begin
	s.call(fmt.Sprintf(`{"activity":"updateInstanceStatus","instanceId":%q,"status":"FREEZE"}`, id))
	assert.Empty(t, s.app.usage(time.Hour, time.Now().Add(24*time.Hour)), "frozen instances are not metered")
	s.call(fmt.Sprintf(`{"activity":"updateInstanceStatus","instanceId":%q,"status":"UNFREEZE"}`, id))
	assert.Empty(t, s.app.usage(time.Hour, time.Now()), "nor is the time they were frozen")
}
