package provider_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
)

// tenantApp is a whole product: it keeps what each call told it, and knows nothing of V1 and V2.
type tenantApp struct {
	mu    sync.Mutex
	state state
}

type state struct {
	Instances   map[string]instance
	Tenants     map[string]string // domain by tenant
	Secrets     map[string]string // client secret by tenant and application
	Users       map[string]provider.User
	Departments map[string]provider.Department
}

type instance struct {
	Order, Buyer, Phone, Product string
	Seats                        int
	Mode                         marketplaceapi.ChargingMode
	Expiry                       time.Time
	Renewals, Upgrades           string // orders that were seen, each once
	Frozen                       bool
}

func newTenantApp() *tenantApp {
	return &tenantApp{state: state{
		Instances: map[string]instance{}, Tenants: map[string]string{}, Secrets: map[string]string{},
		Users: map[string]provider.User{}, Departments: map[string]provider.Department{},
	}}
}

func (a *tenantApp) change(id string, do func(*instance)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, ok := a.state.Instances[id]
	if !ok {
		return provider.ErrInstanceNotFound
	}
	do(&i)
	a.state.Instances[id] = i
	return nil
}

func (a *tenantApp) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	order, err := call.Order(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	line, err := call.OrderLine(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id := "inst-" + call.OrderID
	a.state.Instances[id] = instance{
		Order: call.OrderID, Buyer: order.BuyerInfo.CustomerID, Phone: order.BuyerInfo.MobilePhone, Product: line.ProductInfo[0].ProductID,
		Seats: line.ProductInfo[0].LinearValue, Mode: line.ChargingMode,
	}
	return provider.Instance{ID: id}, nil
}

func (a *tenantApp) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range call.InstanceIDs() {
		if i, ok := a.state.Instances[id]; ok {
			infos = append(infos, provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{
				FrontEndURL: "https://app.example.com/" + i.Order, UserName: "admin", Password: password,
			}})
		}
	}
	return infos, nil
}

func (a *tenantApp) RefreshInstance(_ context.Context, call provider.RefreshInstance) error {
	return a.change(call.InstanceID, func(i *instance) {
		i.Expiry = call.Expiry()
		if mark := string(call.Scene) + ":" + call.OrderID + " "; !strings.Contains(i.Renewals, mark) {
			i.Renewals += mark
		}
	})
}

func (a *tenantApp) UpdateInstanceStatus(_ context.Context, call provider.UpdateInstanceStatus) error {
	return a.change(call.InstanceID, func(i *instance) { i.Frozen = call.Status == providerapi.StatusFreeze })
}

func (a *tenantApp) ReleaseInstance(_ context.Context, call provider.ReleaseInstance) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.state.Instances, call.InstanceID)
	return nil
}

func (a *tenantApp) UpgradeInstance(ctx context.Context, call provider.UpgradeInstance) error {
	line, err := call.OrderLine(ctx)
	if err != nil {
		return err
	}
	return a.change(call.InstanceID, func(i *instance) {
		if !strings.Contains(i.Upgrades, call.OrderID) {
			i.Upgrades += call.OrderID
			i.Product, i.Seats = line.ProductInfo[0].ProductID, line.ProductInfo[0].LinearValue
		}
	})
}

func (a *tenantApp) TenantSync(_ context.Context, call provider.TenantSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Tenants[call.TenantID] = call.DomainName
	if call.Flag == providerapi.FlagDelete {
		delete(a.state.Tenants, call.TenantID)
	}
	return nil
}

func (a *tenantApp) ApplicationSync(_ context.Context, call provider.ApplicationSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Secrets[call.TenantID+"/"+call.AppID] = call.Secret
	return nil
}

func (a *tenantApp) AuthSync(_ context.Context, call provider.AuthSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range call.Users {
		key := strings.Join([]string{call.InstanceID, call.TenantID, call.AppID, u.UserName}, "/")
		if a.state.Users[key] = u; call.Flag == providerapi.AuthFlagDelete || call.Flag == providerapi.AuthFlagCancel {
			delete(a.state.Users, key)
		}
	}
	return nil
}

func (a *tenantApp) SingleOrgSync(_ context.Context, call provider.SingleOrgSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Departments[call.TenantID+"/"+call.OrgCode] = call.Department()
	return nil
}

func (a *tenantApp) AllOrgSync(_ context.Context, call provider.AllOrgSync) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.state.Departments, func(key string, _ provider.Department) bool { return strings.HasPrefix(key, call.TenantID+"/") })
	for _, d := range call.Departments {
		a.state.Departments[call.TenantID+"/"+d.OrgCode] = d
	}
	return nil
}

// storyOrders are the orders of the story, which V2 asks for.
type storyOrders struct{}

func (storyOrders) QueryOrder(_ context.Context, orderID, lineID string) (*marketplaceapi.OrderInfo, error) {
	product := marketplaceapi.ProductInfo{ProductID: "P1", SKUCode: "S1", LinearValue: 50}
	if strings.HasPrefix(orderID, "UP") {
		product = marketplaceapi.ProductInfo{ProductID: "P2", SKUCode: "S2", LinearValue: 80}
	}
	return &marketplaceapi.OrderInfo{
		OrderID: orderID, BuyerInfo: marketplaceapi.BuyerInfo{CustomerID: "c-1", MobilePhone: "13800000000"},
		OrderLine: []marketplaceapi.OrderLine{{OrderLineID: lineID, ChargingMode: marketplaceapi.ChargingPeriod, ProductInfo: []marketplaceapi.ProductInfo{product}}},
	}, nil
}

// TestOneApplication_ServesV1AndV2 tells one story twice, once in each interface, to the same type, and compares what it made
// of it.
func TestOneApplication_ServesV1AndV2(t *testing.T) {
	t.Parallel()
	both := func(c *provider.Config) {
		withKit(c)
		withV1(c)
		c.Market = storyOrders{}
	}
	phone, err := v1Fields(t, secret.AES256).Encrypt("13800000000")
	require.NoError(t, err)

	v2App, v1App := newTenantApp(), newTenantApp()
	v2, v1 := setup(t, v2App, both), setup(t, v1App, both)
	compared := 0
	ok := func(code providerapi.ResultCode, what string) {
		t.Helper()
		require.Equal(t, providerapi.ResultSuccess, code, what)
	}
	// step makes one call by both, each twice, since every call may be repeated.
	step := func(what, body string, pairs ...string) {
		t.Helper()
		for range 2 {
			ok(v2.call(body).ResultCode, "V2: "+what)
			ok(v1.get(pairs...).ResultCode, "V1: "+what)
		}
		require.Equal(t, v2App.state, v1App.state, what)
		compared++
	}
	for _, order := range []string{"CS1", "CS2"} {
		step("create", newInstanceBody(order, "b-1"),
			"activity", "newInstance", "businessId", "b-1", "orderId", order, "customerId", "c-1", "mobilePhone", phone,
			"productId", "P1", "skuCode", "S1", "amount", "50", "chargingMode", "1", "periodType", "year", "periodNumber", "1")
	}
	require.Len(t, v1App.state.Instances, 2)
	step("renew", `{"activity":"refreshInstance","expireTime":"20251124155959","instanceId":"inst-CS1","orderId":"RE1","orderLineId":"RE1-000001","scene":"RENEWAL"}`,
		"activity", "refreshInstance", "instanceId", "inst-CS1", "orderId", "RE1", "expireTime", "20251124155959", "orderAmount", "100")
	step("cancel the renewal", `{"activity":"refreshInstance","expireTime":"20241124155959","instanceId":"inst-CS1","orderId":"RE2","orderLineId":"RE2-000001","scene":"UNSUBSCRIBE_RENEWAL_PERIOD"}`,
		"activity", "refreshInstance", "instanceId", "inst-CS1", "orderId", "RE2", "expireTime", "20241124155959", "orderAmount", "-100")
	step("trial becomes formal", `{"activity":"refreshInstance","expireTime":"20261124155959","instanceId":"inst-CS2","orderId":"RE3","orderLineId":"RE3-000001","scene":"TRIAL_TO_FORMAL"}`,
		"activity", "refreshInstance", "instanceId", "inst-CS2", "orderId", "RE3", "expireTime", "20261124155959", "trialToFormal", "1")
	step("expire", `{"activity":"updateInstanceStatus","instanceId":"inst-CS1","status":"FREEZE"}`, "activity", "expireInstance", "instanceId", "inst-CS1", "orderId", "CS1")
	require.True(t, v1App.state.Instances["inst-CS1"].Frozen)
	step("unfreeze", `{"activity":"updateInstanceStatus","instanceId":"inst-CS1","status":"UNFREEZE"}`, "activity", "instanceStatus", "instanceId", "inst-CS1", "instanceStatus", "NORMAL")
	step("freeze", `{"activity":"updateInstanceStatus","instanceId":"inst-CS2","status":"FREEZE"}`, "activity", "instanceStatus", "instanceId", "inst-CS2", "instanceStatus", "FREEZE")
	step("upgrade", `{"activity":"upgradeInstance","instanceId":"inst-CS1","orderId":"UP1","orderLineId":"UP1-000001"}`,
		"activity", "upgrade", "instanceId", "inst-CS1", "orderId", "UP1", "skuCode", "S2", "productId", "P2", "amount", "80")
	require.Equal(t, 80, v1App.state.Instances["inst-CS1"].Seats)

	inV2 := v2.call(`{"activity":"queryInstance","instanceId":"inst-CS1,inst-CS2,unknown"}`)
	inV1 := v1.get("activity", "queryInstance", "instanceId", "inst-CS1,inst-CS2,unknown")
	crypt := v1Fields(t, secret.AES256)
	for i := range inV1.Info {
		for _, text := range []*string{&inV1.Info[i].AppInfo.UserName, &inV1.Info[i].AppInfo.Password} {
			*text, err = crypt.Decrypt(*text)
			require.NoError(t, err)
		}
	}
	require.Len(t, inV1.Info, 2)
	require.Equal(t, inV2.Info, inV1.Info)

	v1Bodies, v2Bodies := v1KitBodies(t), kitBodies(t)
	v2Bodies["singleOrgSync"] = strings.Replace(v2Bodies["singleOrgSync"], `"flag":2`, `"flag":1`, 1)
	names := slices.Sorted(maps.Keys(v2Bodies))
	require.Len(t, names, 5)
	for _, name := range names {
		for range 2 {
			ok(v2.kit(name, v2Bodies[name]).ResultCode, "V2: "+name)
			ok(v1.postV1(name, v1Bodies[name]).ResultCode, "V1: "+name)
		}
		require.Equal(t, v2App.state, v1App.state, name)
		compared++
	}
	require.Equal(t, map[string]string{"t-1/a-1": clientSecret}, v1App.state.Secrets)
	require.Len(t, v1App.state.Users, 1)
	require.Len(t, v1App.state.Departments, 2)
	gone := func(body string) string { return strings.Replace(body, `"flag":1`, `"flag":0`, 1) }
	for _, name := range []string{"authSync", "tenantSync"} {
		ok(v2.kit(name, gone(v2Bodies[name])).ResultCode, "V2: delete by "+name)
		ok(v1.postV1(name, gone(v1Bodies[name])).ResultCode, "V1: delete by "+name)
	}
	for _, id := range []string{"inst-CS1", "inst-CS2"} {
		step("release", fmt.Sprintf(`{"activity":"releaseInstance","instanceId":%q}`, id), "activity", "releaseInstance", "instanceId", id, "orderId", strings.TrimPrefix(id, "inst-"))
	}
	require.Empty(t, v1App.state.Instances)
	require.Empty(t, v1App.state.Users)
	require.Empty(t, v1App.state.Tenants)
	require.Equal(t, v2App.state, v1App.state)
	require.Equal(t, 16, compared)
}
