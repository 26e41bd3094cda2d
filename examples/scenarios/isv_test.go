package scenarios_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/sandboxtest"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
)

// isv is a right ISV, built with the SDK, that serves everything a marketplace can call: V2, V1, kit and licences. A real one keeps
// what it is told in a database.
type isv struct {
	market *marketplace.Client

	mu        sync.Mutex
	instances map[string]*instance
	tenants   map[string]bool
	secrets   map[string]string // client secrets by tenant
	users     map[string]bool
	orgs      map[string]bool
	licences  map[string]time.Time
	orders    map[string]bool // that we were told of
}

type instance struct {
	line    *marketplaceapi.OrderLine
	expires time.Time
	frozen  bool
}

var _ interface {
	provider.Application
	provider.Upgrader
	provider.ChangeChecker
	provider.OrderNotified
	provider.Kit
	provider.Licenser
} = (*isv)(nil)

// kitKey is made once, because making it is slow.
var kitKey = sync.OnceValues(newKitKey)

func newKitKey() (*secret.OAEP, error) {
	key, err := rsa.GenerateKey(rand.Reader, 3072) // what the console asks for
	if err != nil {
		return nil, err
	}
	return secret.NewOAEP(secret.OAEPConfig{Key: key})
}

func newISV(t *testing.T, env sandboxtest.Env) http.Handler {
	t.Helper()
	key, err := kitKey()
	require.NoError(t, err)
	app := &isv{
		market: env.Client, instances: map[string]*instance{}, tenants: map[string]bool{}, secrets: map[string]string{},
		users: map[string]bool{}, orgs: map[string]bool{}, licences: map[string]time.Time{}, orders: map[string]bool{},
	}
	h, err := provider.NewHandler(app, provider.Config{
		BaseKeys: []string{env.Keys.BaseKey}, KitKeys: []string{env.Keys.KitKey}, GeneralKeys: []string{env.Keys.GeneralKey},
		LicenseKeys: []string{env.Keys.LicenseKey}, KitSecret: key, V1: provider.V1Config{Keys: []string{env.Keys.BaseKey}},
		Market: env.Client, Explain: true, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return h
}

func (a *isv) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	line, err := call.OrderLine(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	id := call.SuggestedID()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.instances[id] == nil {
		a.instances[id] = &instance{line: line}
	}
	return provider.Instance{ID: id}, nil
}

func (a *isv) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range call.InstanceIDs() {
		_ = a.with(id, func(*instance) {
			infos = append(infos, provider.InstanceInfo{
				InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://crm.example.com/" + id},
				UsageInfo: []provider.UsageInfo{{UsageValue: json.Number("0"), StatisticalTime: provider.FormatStatisticalTime(time.Now())}},
			})
		})
	}
	return infos, nil
}

func (a *isv) RefreshInstance(_ context.Context, call provider.RefreshInstance) error {
	return a.with(call.InstanceID, func(i *instance) { i.expires = call.Expiry() })
}

func (a *isv) UpdateInstanceStatus(_ context.Context, call provider.UpdateInstanceStatus) error {
	return a.with(call.InstanceID, func(i *instance) { i.frozen = call.Status == providerapi.StatusFreeze })
}

func (a *isv) ReleaseInstance(_ context.Context, call provider.ReleaseInstance) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.instances, call.InstanceID)
	return nil
}

func (a *isv) UpgradeInstance(ctx context.Context, call provider.UpgradeInstance) error {
	line, err := call.OrderLine(ctx)
	if err != nil {
		return err
	}
	return a.with(call.InstanceID, func(i *instance) { i.line = line })
}

func (a *isv) CheckChange(_ context.Context, call provider.ChangeCheck) error {
	if _, err := call.Product(); err != nil {
		return err
	}
	return a.with(call.InstanceID, func(*instance) {})
}

func (a *isv) OrderNotify(ctx context.Context, call provider.OrderNotify) error {
	order, err := call.Order(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.orders[order.OrderID] = true
	return nil
}

func (a *isv) with(id string, do func(*instance)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.instances[id] == nil {
		return provider.ErrInstanceNotFound
	}
	do(a.instances[id])
	return nil
}

func (a *isv) TenantSync(_ context.Context, call provider.TenantSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tenants[call.TenantID] = call.Flag != providerapi.FlagDelete
	return nil
}

func (a *isv) ApplicationSync(_ context.Context, call provider.ApplicationSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[call.TenantID] = call.Secret
	return nil
}

func (a *isv) AuthSync(_ context.Context, call provider.AuthSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, user := range call.Users {
		a.users[call.TenantID+"/"+user.UserName] = true
	}
	return nil
}

func (a *isv) SingleOrgSync(_ context.Context, call provider.SingleOrgSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.orgs[call.TenantID+"/"+call.OrgCode] = true
	return nil
}

func (a *isv) AllOrgSync(_ context.Context, call provider.AllOrgSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.orgs)
	for _, d := range call.Departments {
		a.orgs[call.TenantID+"/"+d.OrgCode] = true
	}
	return nil
}

func (a *isv) RefreshLicense(context.Context, provider.RefreshLicense) error { return nil }

func (a *isv) UpdateLicenseStatus(context.Context, provider.UpdateLicenseStatus) error { return nil }

func (a *isv) ReleaseLicense(context.Context, provider.ReleaseLicense) error { return nil }

// GetLicense uploads the licence that a buyer asked for.
func (a *isv) GetLicense(ctx context.Context, call provider.GetLicense) error {
	text := "licence of " + cmp.Or(call.InstanceID, "nobody")
	return a.market.UploadCharacters(ctx, call.EventID, text)
}
