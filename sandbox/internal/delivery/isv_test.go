package delivery

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
)

var keys = catalogue.Keys{
	AK: "ak-of-the-seller", SK: "sk-of-the-seller", Base: "base-key-of-the-seller", Kit: "kit-key-of-the-seller",
	General: "general-key-of-the-seller", License: "license-key-of-the-seller",
}

// kitKey is the ISV's key pair. It is made once, because that takes a while.
var kitKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		panic(err)
	}
	return key
})

// app is an ISV that remembers what its methods were called with.
type app struct {
	mu    sync.Mutex
	calls []any
	fail  error
}

func (a *app) got(call any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, call)
	return a.fail
}

func (a *app) take() []any {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = nil
	return calls
}

// created is a newInstance with the order that came along or was asked for.
type created struct {
	provider.NewInstance
	order *marketplaceapi.OrderInfo
}

type refreshed struct {
	provider.RefreshInstance
	order *marketplaceapi.OrderInfo
}

type upgraded struct {
	provider.UpgradeInstance
	order *marketplaceapi.OrderInfo
}

func (a *app) NewInstance(ctx context.Context, c provider.NewInstance) (provider.Instance, error) {
	order, err := c.Order(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	return provider.Instance{ID: "i-1"}, a.got(created{c, order})
}

func (a *app) QueryInstance(_ context.Context, c provider.QueryInstance) (infos []provider.InstanceInfo, err error) {
	for _, id := range c.InstanceIDs() {
		infos = append(infos, provider.InstanceInfo{
			InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://app.example.com", UserName: "admin", Password: "initial-secret"},
			UsageInfo: []provider.UsageInfo{{UsageValue: "12.5", StatisticalTime: "20260101000000000"}},
		})
	}
	return infos, a.got(c)
}

func (a *app) RefreshInstance(ctx context.Context, c provider.RefreshInstance) error {
	order, err := c.Order(ctx)
	if err != nil {
		return err
	}
	return a.got(refreshed{c, order})
}

func (a *app) UpgradeInstance(ctx context.Context, c provider.UpgradeInstance) error {
	order, err := c.Order(ctx)
	if err != nil {
		return err
	}
	return a.got(upgraded{c, order})
}

func (a *app) UpdateInstanceStatus(_ context.Context, c provider.UpdateInstanceStatus) error {
	return a.got(c)
}

func (a *app) ReleaseInstance(_ context.Context, c provider.ReleaseInstance) error { return a.got(c) }

func (a *app) CheckChange(_ context.Context, c provider.ChangeCheck) error { return a.got(c) }

func (a *app) OrderNotify(_ context.Context, c provider.OrderNotify) error { return a.got(c) }

func (a *app) TenantSync(_ context.Context, c provider.TenantSync) error { return a.got(c) }

func (a *app) ApplicationSync(_ context.Context, c provider.ApplicationSync) error { return a.got(c) }

func (a *app) AuthSync(_ context.Context, c provider.AuthSync) error { return a.got(c) }

func (a *app) SingleOrgSync(_ context.Context, c provider.SingleOrgSync) error { return a.got(c) }

func (a *app) AllOrgSync(_ context.Context, c provider.AllOrgSync) error { return a.got(c) }

func (a *app) RefreshLicense(_ context.Context, c provider.RefreshLicense) error { return a.got(c) }

func (a *app) UpdateLicenseStatus(_ context.Context, c provider.UpdateLicenseStatus) error {
	return a.got(c)
}
func (a *app) ReleaseLicense(_ context.Context, c provider.ReleaseLicense) error { return a.got(c) }
func (a *app) GetLicense(_ context.Context, c provider.GetLicense) error         { return a.got(c) }

// orders answers the one order that tests have.
type orders struct{}

func (orders) QueryOrder(_ context.Context, orderID, _ string) (*marketplaceapi.OrderInfo, error) {
	o := orderOf(orderID)
	return &o, nil
}

// isv is a right ISV made with the SDK, for V2 and V1 at one address. Every request is compared with the contract.
type isv struct {
	*httptest.Server
	app
	t testing.TB

	recorded sync.Mutex
	requests []*http.Request
	bodies   [][]byte
}

func newISV(t testing.TB, change ...func(*provider.Config)) *isv {
	t.Helper()
	i := &isv{t: t}
	oaep, err := secret.NewOAEP(secret.OAEPConfig{Key: kitKey()})
	require.NoError(t, err)
	cfg := provider.Config{
		BaseKeys: []string{keys.Base}, GeneralKeys: []string{keys.General}, KitKeys: []string{keys.Kit}, LicenseKeys: []string{keys.License},
		KitSecret: oaep, V1: provider.V1Config{Keys: []string{keys.Base}, Leeway: time.Minute}, Market: orders{}, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	handler, err := provider.NewHandler(&i.app, cfg)
	require.NoError(t, err)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil { // a cut body is no call
			i.check(r, body)
		}
		i.recorded.Lock()
		i.requests, i.bodies = append(i.requests, r), append(i.bodies, body)
		i.recorded.Unlock()
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

func (i *isv) sent() (requests []*http.Request, bodies [][]byte) {
	i.recorded.Lock()
	defer i.recorded.Unlock()
	return slices.Clone(i.requests), slices.Clone(i.bodies)
}

// check compares a request with the contract.
func (i *isv) check(r *http.Request, body []byte) {
	assert.Empty(i.t, Sent{Method: r.Method, URL: r.URL.String(), Body: body}.Violations())
}

func (i *isv) target(access catalogue.Access) Target {
	return Target{Address: i.URL + "/saas?tenant=1", Access: access, Keys: keys}
}

// orderOf is an order of one line with everything that V1 sends along.
func orderOf(id string) marketplaceapi.OrderInfo {
	return marketplaceapi.OrderInfo{
		OrderID: id, OrderType: marketplaceapi.OrderNew, CreateTime: "20260101080000",
		BuyerInfo: marketplaceapi.BuyerInfo{
			CustomerID: "c-1", CustomerName: "买家", UserID: "u-1", UserName: "sub user", MobilePhone: "13800000000", Email: "a+b@example.com",
		},
		OrderLine: []marketplaceapi.OrderLine{{
			OrderLineID: id + "-000001", ChargingMode: marketplaceapi.ChargingPeriod, PeriodType: marketplaceapi.PeriodYear, PeriodNumber: 2,
			ExpireTime: "20280101155959", CurrencyAfterDiscount: "100.5",
			ProductInfo:  []marketplaceapi.ProductInfo{{ProductID: "OFFI1", SKUCode: "sku-1", LinearValue: 50, ProductName: "Demo"}},
			ExtendParams: []marketplaceapi.ExtendParam{{Name: "domain", Value: "a&b=c+d 实"}},
		}},
	}
}

func instance(mode marketplaceapi.ChargingMode) lifecycle.Instance {
	return lifecycle.Instance{OrderID: "CS1", OrderLineID: "CS1-000001", InstanceID: "i-1", ChargingMode: mode}
}
