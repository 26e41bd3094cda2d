package provider_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	baseKey    = "demo-access-key-0001"
	generalKey = "demo-general-key-0001"
	password   = "initial-password-0001"
)

var now = time.UnixMilli(1680508066618) // the time of the vectors

func clock() time.Time { return now }

// app is an Application made of functions; nil ones succeed.
type app struct {
	newInstance func(context.Context, provider.NewInstance) (provider.Instance, error)
	query       func(context.Context, provider.QueryInstance) ([]provider.InstanceInfo, error)
	refresh     func(context.Context, provider.RefreshInstance) error
	status      func(context.Context, provider.UpdateInstanceStatus) error
	release     func(context.Context, provider.ReleaseInstance) error
}

func (a *app) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	if a.newInstance == nil {
		return provider.Instance{ID: call.SuggestedID()}, nil
	}
	return a.newInstance(ctx, call)
}

func (a *app) QueryInstance(ctx context.Context, call provider.QueryInstance) ([]provider.InstanceInfo, error) {
	if a.query == nil {
		var infos []provider.InstanceInfo
		for _, id := range call.InstanceIDs() {
			infos = append(infos, provider.InstanceInfo{InstanceID: id})
		}
		return infos, nil
	}
	return a.query(ctx, call)
}

func (a *app) RefreshInstance(ctx context.Context, call provider.RefreshInstance) error {
	return run(ctx, a.refresh, call)
}

func (a *app) UpdateInstanceStatus(ctx context.Context, call provider.UpdateInstanceStatus) error {
	return run(ctx, a.status, call)
}

func (a *app) ReleaseInstance(ctx context.Context, call provider.ReleaseInstance) error {
	return run(ctx, a.release, call)
}

func run[C any](ctx context.Context, f func(context.Context, C) error, call C) error {
	if f == nil {
		return nil
	}
	return f(ctx, call)
}

// fullApp has the optional capabilities too.
type fullApp struct {
	app
	upgrade func(context.Context, provider.UpgradeInstance) error
	check   func(context.Context, provider.ChangeCheck) error
	notify  func(context.Context, provider.OrderNotify) error
}

func (a *fullApp) UpgradeInstance(ctx context.Context, call provider.UpgradeInstance) error {
	return run(ctx, a.upgrade, call)
}

func (a *fullApp) CheckChange(ctx context.Context, call provider.ChangeCheck) error {
	return run(ctx, a.check, call)
}

func (a *fullApp) OrderNotify(ctx context.Context, call provider.OrderNotify) error {
	return run(ctx, a.notify, call)
}

// untouched is an Application, a store and a marketplace that must not be used.
type untouched struct{ t testing.TB }

func (u untouched) fail() error {
	u.t.Error("this must not be called")
	return errors.New("must not be called")
}

func (u untouched) NewInstance(context.Context, provider.NewInstance) (provider.Instance, error) {
	return provider.Instance{}, u.fail()
}

func (u untouched) QueryInstance(context.Context, provider.QueryInstance) ([]provider.InstanceInfo, error) {
	return nil, u.fail()
}

func (u untouched) RefreshInstance(context.Context, provider.RefreshInstance) error { return u.fail() }

func (u untouched) UpdateInstanceStatus(context.Context, provider.UpdateInstanceStatus) error {
	return u.fail()
}

func (u untouched) ReleaseInstance(context.Context, provider.ReleaseInstance) error { return u.fail() }

func (u untouched) UpgradeInstance(context.Context, provider.UpgradeInstance) error { return u.fail() }

func (u untouched) CheckChange(context.Context, provider.ChangeCheck) error { return u.fail() }

func (u untouched) OrderNotify(context.Context, provider.OrderNotify) error { return u.fail() }

func (u untouched) Load(context.Context, provider.OrderLineKey) (provider.Remembered, bool, error) {
	return provider.Remembered{}, false, u.fail()
}

func (u untouched) Save(_ context.Context, _ provider.OrderLineKey, r provider.Remembered) (provider.Remembered, error) {
	return r, u.fail()
}

func (u untouched) QueryOrder(context.Context, string, string) (*marketplaceapi.OrderInfo, error) {
	return nil, u.fail()
}

// lines is a log that many goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// side is both sides of a call: a handler behind a real server, and keys to sign with.
type side struct {
	t             testing.TB
	handler       http.Handler
	url           string
	client        *http.Client
	base, general *signature.Base
	log           *lines
}

func setup(t testing.TB, a provider.Application, change ...func(*provider.Config)) *side {
	t.Helper()
	s := &side{t: t, log: new(lines), base: signer(t, baseKey), general: signer(t, generalKey)}
	cfg := provider.Config{
		BaseKeys: []string{baseKey}, GeneralKeys: []string{generalKey}, Now: clock,
		Logger: slog.New(slog.NewJSONHandler(s.log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	s.handler, err = provider.NewHandler(a, cfg)
	require.NoError(t, err)
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	s.url, s.client = server.URL+"/some/where", server.Client()
	return s
}

func jsonLogger(l *lines) *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

func signer(t testing.TB, key string) *signature.Base {
	t.Helper()
	b, err := signature.NewBase(signature.Config{Keys: []string{key}, Now: clock})
	require.NoError(t, err)
	return b
}

// answer is what came back.
type answer struct {
	ResultCode providerapi.ResultCode     `json:"resultCode"`
	ResultMsg  string                     `json:"resultMsg"`
	InstanceID string                     `json:"instanceId"`
	Info       []providerapi.InstanceInfo `json:"info"`
	raw        string
}

// call signs body with the base key and sends it.
func (s *side) call(body string) answer {
	s.t.Helper()
	return s.signed(s.base, body)
}

func (s *side) signed(by *signature.Base, body string) answer {
	s.t.Helper()
	params, err := by.Sign([]byte(body))
	require.NoError(s.t, err)
	return s.send(http.MethodPost, params.Query(), body)
}

func (s *side) send(method string, query url.Values, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"?"+query.Encode(), strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json;charset=utf8")
	resp, err := s.client.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	a := judge(s.t, body, resp.StatusCode, resp.Header, data)
	for _, secret := range []string{baseKey, generalKey, password} {
		assert.NotContains(s.t, s.log.String(), secret, "secrets must not be logged")
	}
	return a
}

// judge holds an answer against the contract, whatever was asked.
func judge(t testing.TB, asked string, status int, header http.Header, data []byte) (a answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, status)
	var call struct{ Activity providerapi.Activity }
	if json.Unmarshal([]byte(asked), &call) != nil || !call.Activity.Valid() {
		call.Activity = providerapi.ActivityReleaseInstance // a code and nothing else
	}
	schema, err := contract.Provider().Answer(string(call.Activity))
	require.NoError(t, err)
	require.Empty(t, schema.Violations(data), "%s", data)
	require.Equal(t, "application/json;charset=utf-8", header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal(data, &a), "%s", data)
	a.raw = string(data)
	require.True(t, a.ResultCode.Valid(), "%s", data)
	require.NotEmpty(t, a.ResultMsg)
	require.LessOrEqual(t, utf8.RuneCountInString(a.ResultMsg), 255)
	for _, secret := range []string{baseKey, generalKey} {
		require.NotContains(t, a.raw, secret)
	}
	if a.InstanceID != "" {
		require.Contains(t, []providerapi.ResultCode{"000000", "000004"}, a.ResultCode)
		require.LessOrEqual(t, utf8.RuneCountInString(a.InstanceID), 64)
	}
	return a
}

// bodies of real calls.
func newInstanceBody(order, business string) string {
	return fmt.Sprintf(`{"activity":"newInstance","businessId":%q,"orderId":%q,"orderLineId":%q}`, business, order, order+"-000001")
}

const (
	queryBody   = `{"activity":"queryInstance","instanceId":"i-1"}`
	refreshBody = `{"activity":"refreshInstance","expireTime":"20231124155959","instanceId":"i-1","orderId":"CS2","orderLineId":"CS2-000001","scene":"RENEWAL"}`
	statusBody  = `{"activity":"updateInstanceStatus","instanceId":"i-1","status":"FREEZE"}`
	releaseBody = `{"activity":"releaseInstance","instanceId":"i-1"}`
	upgradeBody = `{"activity":"upgradeInstance","instanceId":"i-1","orderId":"CS3","orderLineId":"CS3-000001"}`
	checkBody   = `{"activity":"changeInstanceCheck","instanceId":"i-1","productInfo":{"productId":"OFFI1","linearValue":5}}`
	notifyBody  = `{"activity":"orderNotify","orderId":"CS1","orderLineId":"CS1-000001"}`
)

// debugBody marks a call as a debug call.
func debugBody(body string) string { return strings.TrimSuffix(body, "}") + `,"testFlag":"1"}` }
