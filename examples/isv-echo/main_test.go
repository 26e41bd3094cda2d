package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

const key = "demo-access-key-0001"

// The judge calls it through echo, as the marketplace would: what a router changes in a request, its body above all, shows in signatures.
func TestServer_IsConformant(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	const ak, sk = "ak-of-the-test", "sk-of-the-test"
	market, err := marketplace.New(marketplace.Config{
		URL: "http://" + listener.Addr().String(), Credentials: signature.Credentials{AK: ak, SK: sk}, RetryMax: -1, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	production, err := provider.NewHandler(&crm{}, provider.Config{BaseKeys: []string{key}, Market: market, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	isv := httptest.NewServer(server(production))
	defer isv.Close()
	resp, err := http.Get(isv.URL + "/healthz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)

	r, err := conformance.Run(t.Context(), conformance.Options{
		Target: isv.URL + "/saasproduce", BaseKey: key, AK: ak, SK: sk, MarketListener: listener, Charging: []string{suite.Period, suite.OneTime},
	})
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	assert.Equal(t, report.Conformant, r.Verdict, "%s", &text)
	assert.Zero(t, r.Counts[report.Warning], "%s", &text)
	assert.Zero(t, r.Counts[suite.Skip], "%s", &text)
	assert.Greater(t, r.Counts[suite.Pass], 200)
}
