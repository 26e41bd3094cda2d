package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

const key = "demo-access-key-0001"

func TestServer(t *testing.T) {
	t.Parallel()
	production, err := provider.NewHandler(&crm{}, provider.Config{BaseKeys: []string{key}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	isv := httptest.NewServer(server(production))
	defer isv.Close()
	base, err := signature.NewBase(signature.Config{Keys: []string{key}})
	require.NoError(t, err)
	call := func(body, sent string) (a struct{ ResultCode, InstanceID string }) {
		params, err := base.Sign([]byte(body))
		require.NoError(t, err)
		resp, err := http.Post(isv.URL+"/saasproduce?"+params.Query().Encode(), "application/json", strings.NewReader(sent))
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
		return a
	}
	const create = `{"activity":"newInstance","businessId":"b-1","orderId":"CS1","orderLineId":"CS1-000001"}`
	created := call(create, create)
	assert.Equal(t, "000000", created.ResultCode)
	assert.Equal(t, created, call(create, create), "a repeat")
	assert.Equal(t, "000001", call(create, strings.Replace(create, "b-1", "b-2", 1)).ResultCode, "signed for another body")

	one := func(format string) string {
		body := strings.Replace(format, "ID", created.InstanceID, 1)
		return call(body, body).ResultCode
	}
	const (
		query   = `{"activity":"queryInstance","instanceId":"ID"}`
		refresh = `{"activity":"refreshInstance","expireTime":"20261121155959","instanceId":"ID","orderId":"CS2","orderLineId":"CS2-000001","scene":"RENEWAL"}`
		freeze  = `{"activity":"updateInstanceStatus","instanceId":"ID","status":"FREEZE"}`
		release = `{"activity":"releaseInstance","instanceId":"ID"}`
	)
	for _, body := range []string{query, refresh, freeze, release, release} {
		assert.Equal(t, "000000", one(body), body)
	}
	for _, body := range []string{query, refresh, freeze} {
		assert.Equal(t, "000003", one(body), body)
	}
}
