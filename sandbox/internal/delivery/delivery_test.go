package delivery

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
)

func TestPrepare_SortedCompactAndUnescaped(t *testing.T) {
	t.Parallel()
	p, err := Prepare(Target{Address: "http://isv", Keys: keys}, lifecycle.Call{Activity: providerapi.ActivityReleaseInstance, Body: providerapi.ReleaseInstanceCall{
		Activity: providerapi.ActivityReleaseInstance, InstanceID: "<实例>&", OrderID: "CS1",
	}}, Facts{}, Options{})
	require.NoError(t, err)
	require.Equal(t, `{"activity":"releaseInstance","instanceId":"<实例>&","orderId":"CS1"}`, string(p.Body))
}

var (
	users       = json.RawMessage(`[{"userName":"zhangsan","name":"张三","orgCode":"o-1","role":"admin","enable":"true","employeeType":2,"workPlace":"Shenzhen","entryDate":"2022-04-1"}]`)
	departments = json.RawMessage(`[{"orgCode":"o-1","orgName":"Sales"},{"orgCode":"o-2","orgName":"East","parentCode":"o-1"}]`)
)

func call(activity providerapi.Activity, orderID string, body any) lifecycle.Call {
	return lifecycle.Call{Activity: activity, OrderID: orderID, Body: body}
}

func newInstanceCall() lifecycle.Call {
	return call("newInstance", "CS1", providerapi.NewInstanceCall{Activity: "newInstance", OrderID: "CS1", OrderLineID: "CS1-000001"})
}

func queryCall() lifecycle.Call {
	return call("queryInstance", "CS1", providerapi.QueryInstanceCall{Activity: "queryInstance", InstanceID: "i-1"})
}

func refreshCall(scene providerapi.Scene) lifecycle.Call {
	return call("refreshInstance", "CS2", providerapi.RefreshInstanceCall{
		Activity: "refreshInstance", Scene: scene, OrderID: "CS2", OrderLineID: "CS2-000001", InstanceID: "i-1", ExpireTime: "20290101155959", ProductID: "OFFI2",
	})
}

func statusCall(status providerapi.InstanceStatus, orderID string) lifecycle.Call {
	return call("updateInstanceStatus", orderID, providerapi.UpdateInstanceStatusCall{Activity: "updateInstanceStatus", InstanceID: "i-1", Status: status})
}

func releaseCall() lifecycle.Call {
	return call("releaseInstance", "CS3", providerapi.ReleaseInstanceCall{Activity: "releaseInstance", InstanceID: "i-1", OrderID: "CS3", OrderLineID: "CS3-000001"})
}

func upgradeCall() lifecycle.Call {
	return call("upgradeInstance", "CS2", providerapi.UpgradeInstanceCall{Activity: "upgradeInstance", InstanceID: "i-1", OrderID: "CS2", OrderLineID: "CS2-000001"})
}

func tenantCall(flag providerapi.ChangeFlag) lifecycle.Call {
	return call("tenantSync", "", providerapi.TenantSyncCall{
		InstanceID: "i-1", OrderID: "CS1", TenantID: "t-1", TenantCode: "code", Name: "企业", DomainName: "https://t.example.com", Flag: flag,
	})
}

func applicationCall(t testing.TB) lifecycle.Call {
	t.Helper()
	text, err := secret.EncryptOAEP(&kitKey().PublicKey, "client-secret-1", secret.DigestsJCE)
	require.NoError(t, err)
	return call("applicationSync", "", providerapi.ApplicationSyncCall{
		InstanceID: "i-1", TenantID: "t-1", AppID: "a-1", ClientID: "c-1", ClientSecret: text, Flag: providerapi.FlagAdd,
	})
}

func authCall(flag providerapi.AuthFlag) lifecycle.Call {
	return call("authSync", "", providerapi.AuthSyncCall{InstanceID: "i-1", TenantID: "t-1", AppID: "a-1", UserList: users, Flag: flag})
}

func singleOrgCall() lifecycle.Call {
	return call("singleOrgSync", "", providerapi.SingleOrgSyncCall{
		InstanceID: "i-1", TenantID: "t-1", OrgCode: "o-2", OrgName: "East", ParentCode: "o-1", Flag: providerapi.FlagModify,
	})
}

func allOrgCall() lifecycle.Call {
	return call("allOrgSync", "", providerapi.AllOrgSyncCall{InstanceID: "i-1", TenantID: "t-1", OrgInfoList: departments})
}

// exchanges is every call, by the version it goes by, what it is on the wire, and what the ISV's program is to understand.
func exchanges(t testing.TB) map[string]exchangeCase {
	period, onDemand := instance(marketplaceapi.ChargingPeriod), instance(marketplaceapi.ChargingOnDemand)
	violating := period
	violating.Violation = true
	trial := orderOf("CS1")
	trial.OrderType = marketplaceapi.OrderTrial
	v1, v2 := catalogue.AccessV1, catalogue.AccessV2
	all := map[string]exchangeCase{
		"v2 newInstance": {v2, newInstanceCall(), Facts{}, "newInstance", func(t *testing.T, got any) {
			c := got.(created)
			require.Equal(t, []string{"CS1", "CS1-000001"}, []string{c.OrderID, c.OrderLineID})
			require.Len(t, c.BusinessID, 36)
		}},
		"v2 queryInstance":        {v2, queryCall(), Facts{Instance: onDemand}, "queryInstance", is[provider.QueryInstance]},
		"v2 refreshInstance":      {v2, refreshCall(providerapi.SceneRenewalChange), Facts{}, "refreshInstance", is[refreshed]},
		"v2 updateInstanceStatus": {v2, statusCall(providerapi.StatusFreeze, ""), Facts{}, "updateInstanceStatus", is[provider.UpdateInstanceStatus]},
		"v2 releaseInstance":      {v2, releaseCall(), Facts{}, "releaseInstance", is[provider.ReleaseInstance]},
		"v2 upgradeInstance":      {v2, upgradeCall(), Facts{}, "upgradeInstance", is[upgraded]},
		"v2 changeInstanceCheck": {v2, call("changeInstanceCheck", "", providerapi.ChangeInstanceCheckCall{
			Activity: "changeInstanceCheck", InstanceID: "i-1", ProductInfo: json.RawMessage(`{"productId":"OFFI2","skuCode":"sku-2","linearValue":3}`),
		}), Facts{}, "changeInstanceCheck", func(t *testing.T, got any) {
			product, err := got.(provider.ChangeCheck).Product()
			require.NoError(t, err)
			require.Equal(t, 3, product.LinearValue)
		}},
		"v2 tenantSync": {v2, tenantCall(providerapi.FlagModify), Facts{}, "tenantSync", func(t *testing.T, got any) {
			require.Equal(t, providerapi.FlagModify, got.(provider.TenantSync).Flag)
			require.Equal(t, "企业", got.(provider.TenantSync).Name)
		}},
		"v2 applicationSync": {v2, applicationCall(t), Facts{}, "applicationSync", func(t *testing.T, got any) {
			require.Equal(t, "client-secret-1", got.(provider.ApplicationSync).Secret)
		}},
		"v2 authSync": {v2, authCall(providerapi.AuthFlagCancel), Facts{}, "authSync", func(t *testing.T, got any) {
			c := got.(provider.AuthSync)
			require.Equal(t, "Shenzhen", c.Users[0].WorkPlace)
			require.Equal(t, providerapi.AuthFlagCancel, c.Flag)
			require.Equal(t, c.TimeStamp, c.CurrentSyncTime)
		}},
		"v2 singleOrgSync": {v2, singleOrgCall(), Facts{}, "singleOrgSync", is[provider.SingleOrgSync]},
		"v2 allOrgSync": {v2, allOrgCall(), Facts{}, "allOrgSync", func(t *testing.T, got any) {
			require.Equal(t, "East", got.(provider.AllOrgSync).Departments[1].OrgName)
		}},

		"v1 newInstance": {v1, newInstanceCall(), Facts{Order: trial, Linear: "seats"}, "newInstance", func(t *testing.T, got any) {
			c := got.(created)
			want := trial
			want.CreateTime = "" // V1 does not send it
			want.OrderLine[0].OrderLineID = ""
			want.OrderLine[0].ProductInfo = []marketplaceapi.ProductInfo{{ProductID: "OFFI1", SKUCode: "sku-1", LinearValue: 50}}
			require.Equal(t, &want, c.order)
			require.Len(t, c.BusinessID, 36)
		}},
		"v1 details":           {v1, queryCall(), Facts{Order: orderOf("CS1"), Instance: period}, "newInstance", is[created]},
		"v1 queryInstance":     {v1, queryCall(), Facts{Order: orderOf("CS1"), Instance: onDemand}, "queryInstance", is[provider.QueryInstance]},
		"v1 expireInstance":    {v1, statusCall(providerapi.StatusFreeze, ""), Facts{Instance: period}, "expireInstance", status(providerapi.StatusFreeze)},
		"v1 violation":         {v1, statusCall(providerapi.StatusFreeze, ""), Facts{Instance: violating}, "instanceStatus", status(providerapi.StatusFreeze)},
		"v1 violation settled": {v1, statusCall(providerapi.StatusUnfreeze, ""), Facts{Instance: period}, "instanceStatus", status(providerapi.StatusUnfreeze)},
		"v1 on-demand expired": {v1, statusCall(providerapi.StatusFreeze, ""), Facts{Instance: onDemand}, "instanceStatus", status(providerapi.StatusFreeze)},
		"v1 on-demand renewed": {v1, statusCall(providerapi.StatusUnfreeze, "CS2"), Facts{Instance: onDemand}, "instanceStatus", status(providerapi.StatusUnfreeze)},
		"v1 releaseInstance":   {v1, releaseCall(), Facts{Instance: period}, "releaseInstance", is[provider.ReleaseInstance]},
		"v1 upgrade": {v1, upgradeCall(), Facts{Order: orderOf("CS2"), Instance: period, Linear: "diskSize"}, "upgrade", func(t *testing.T, got any) {
			require.Equal(t, 50, got.(upgraded).order.OrderLine[0].ProductInfo[0].LinearValue)
			require.Equal(t, "CS2", got.(upgraded).OrderID)
		}},
		"v1 tenantSync": {v1, tenantCall(providerapi.FlagModify), Facts{}, "tenantSync", func(t *testing.T, got any) {
			require.Equal(t, providerapi.FlagAdd, got.(provider.TenantSync).Flag, "V1 has no modifying")
		}},
		"v1 applicationSync": {v1, applicationCall(t), Facts{}, "applicationSync", func(t *testing.T, got any) {
			require.Equal(t, "client-secret-1", got.(provider.ApplicationSync).Secret)
		}},
		"v1 authSync": {v1, authCall(providerapi.AuthFlagCancel), Facts{}, "authSync", func(t *testing.T, got any) {
			c := got.(provider.AuthSync)
			require.Equal(t, providerapi.AuthFlagDelete, c.Flag, "V1 has no taking back")
			require.Equal(t, providerapi.User{
				UserName: "zhangsan", Name: "张三", OrgCode: "o-1", Role: "admin", Enable: "true", EmployeeType: 2, WorkPlace: "Shenzhen", EntryDate: "2022-04-1",
			}, c.Users[0])
		}},
		"v1 singleOrgSync": {v1, singleOrgCall(), Facts{}, "singleOrgSync", is[provider.SingleOrgSync]},
		"v1 allOrgSync": {v1, allOrgCall(), Facts{}, "allOrgSync", func(t *testing.T, got any) {
			require.Equal(t, "East", got.(provider.AllOrgSync).Departments[1].OrgName)
		}},
	}
	for scene, kind := range map[providerapi.Scene]marketplaceapi.OrderType{
		providerapi.SceneRenewal: marketplaceapi.OrderRenew, providerapi.SceneTrialToFormal: marketplaceapi.OrderTrialToFormal,
		providerapi.SceneUnsubscribeRenewalPeriod: marketplaceapi.OrderUnsubscribe,
	} {
		all["v1 refreshInstance "+string(scene)] = exchangeCase{v1, refreshCall(scene), Facts{Order: orderOf("CS2"), Instance: period}, "refreshInstance", func(t *testing.T, got any) {
			c := got.(refreshed)
			require.Equal(t, scene, c.Scene)
			require.Equal(t, kind, c.order.OrderType)
			require.Equal(t, "OFFI2", c.ProductID)
			require.Equal(t, 2, c.order.OrderLine[0].PeriodNumber)
		}}
	}
	for _, access := range []catalogue.Access{v1, v2} { // the same, whatever the product was listed with
		for name, tc := range map[string]exchangeCase{
			"orderNotify": {
				access, call("orderNotify", "CS1", providerapi.OrderNotifyCall{Activity: "orderNotify", OrderID: "CS1", OrderLineID: "CS1-000001"}),
				Facts{},
				"orderNotify", is[provider.OrderNotify],
			},
			"refreshLicenseCode": {access, call("refreshLicenseCode", "CS2", providerapi.RefreshLicenseCodeCall{
				Activity: "refreshLicenseCode", Scene: "RENEWAL", OrderID: "CS2", OrderLineID: "CS2-000001", License: "L-1", ExpireTime: "20290101155959",
			}), Facts{}, "refreshLicenseCode", is[provider.RefreshLicense]},
			"updateLicenseCodeStatus": {access, call("updateLicenseCodeStatus", "", providerapi.UpdateLicenseCodeStatusCall{
				Activity: "updateLicenseCodeStatus", License: "L-1", Status: "FREEZE",
			}), Facts{}, "updateLicenseCodeStatus", is[provider.UpdateLicenseStatus]},
			"releaseLicenseCode": {
				access, call("releaseLicenseCode", "", providerapi.ReleaseLicenseCodeCall{Activity: "releaseLicenseCode", License: "L-1"}),
				Facts{},
				"releaseLicenseCode", is[provider.ReleaseLicense],
			},
			"getLicenseAsync": {access, call("getLicenseAsync", "CS1", providerapi.GetLicenseAsyncCall{
				Activity: "getLicenseAsync", InstanceID: "i-1", EffectiveTime: "2026-10-27 10:30:15 z", EventID: "ev-1",
			}), Facts{}, "getLicenseAsync", is[provider.GetLicense]},
		} {
			all[string(access)+" "+name] = tc
		}
	}
	return all
}

type exchangeCase struct {
	access catalogue.Access
	call   lifecycle.Call
	facts  Facts
	name   string // on the wire
	check  func(t *testing.T, got any)
}

func is[T any](t *testing.T, got any) { require.IsType(t, *new(T), got) }

func status(s providerapi.InstanceStatus) func(t *testing.T, got any) {
	return func(t *testing.T, got any) { require.Equal(t, s, got.(provider.UpdateInstanceStatus).Status) }
}

// TestSend_EveryCall: what goes out is as the contract says, is verified and understood by the SDK, and its answer is a success.
func TestSend_EveryCall(t *testing.T) {
	t.Parallel()
	cases := exchanges(t)
	for _, calls := range [][]*providerapi.Call{providerapi.Calls, providerapi.CallsV1} { // none is forgotten
		for _, c := range calls {
			found := false
			for _, tc := range cases {
				found = found || tc.name == c.Name
			}
			require.True(t, found, c.Name)
		}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newISV(t)
			s := NewSender(i.Client(), nil)
			p, err := Prepare(i.target(tc.access), tc.call, tc.facts, Options{})
			require.NoError(t, err)
			require.Empty(t, p.Problem)
			require.Equal(t, tc.name, p.Name)
			r, err := s.Send(t.Context(), p, fault.Exchange{})
			require.NoError(t, err)
			require.Equal(t, sandboxapi.AttemptSucceeded, r.Outcome, "%s: %s", r.Detail, r.Answer)
			require.True(t, r.Succeeded(p.Activity))
			require.Empty(t, r.Violations)
			requests, bodies := i.sent()
			require.Len(t, requests, 1)
			require.Equal(t, "1", requests[0].URL.Query().Get("tenant"))
			require.Equal(t, r.RequestBody, string(bodies[0]))
			calls := i.take()
			require.NotEmpty(t, calls)
			tc.check(t, calls[0])
			if tc.name == "newInstance" {
				require.Equal(t, "i-1", r.Lifecycle.InstanceID)
			}
			if tc.name == "queryInstance" || tc.access == catalogue.AccessV1 && tc.name == "newInstance" {
				require.Equal(t, "https://app.example.com", r.Lifecycle.FrontEndURL)
				require.NotContains(t, r.Answer, "initial-secret")
			}
			if tc.name == "queryInstance" {
				require.Equal(t, json.Number("12.5"), r.Usage[0].UsageValue)
			}
			for _, printed := range []string{fmt.Sprintf("%v %+v %#v", p, p, p), fmt.Sprintf("%+v", r), fmt.Sprintf("%+v", i.target(tc.access)), fmt.Sprintf("%#v", s)} {
				for _, key := range []string{keys.Base, keys.Kit, keys.General, keys.License} {
					require.NotContains(t, printed, key)
				}
			}
		})
	}
}

// TestSend_DebugCalls: every debug call carries the flag in the form of its class, so that the ISV does nothing.
func TestSend_DebugCalls(t *testing.T) {
	t.Parallel()
	i := newISV(t)
	s := NewSender(i.Client(), nil)
	for name, tc := range exchanges(t) {
		p, err := Prepare(i.target(tc.access), tc.call, tc.facts, Options{Debug: true})
		require.NoError(t, err, name)
		r, err := s.Send(t.Context(), p, fault.Exchange{})
		require.NoError(t, err, name)
		require.Equal(t, sandboxapi.AttemptSucceeded, r.Outcome, "%s: %s %s", name, r.Detail, r.Answer)
		require.Empty(t, i.take(), name)
	}
}

func TestSend_AnAttemptIsNewEachTime(t *testing.T) {
	t.Parallel()
	i := newISV(t)
	s := NewSender(i.Client(), nil)
	seen := map[string]bool{}
	for range 3 {
		p, err := Prepare(i.target(catalogue.AccessV2), newInstanceCall(), Facts{}, Options{})
		require.NoError(t, err)
		for range 2 {
			r, err := s.Send(t.Context(), p, fault.Exchange{})
			require.NoError(t, err)
			require.True(t, r.Succeeded(p.Activity), r.Detail)
			require.False(t, seen[r.URL], "nonce")
			seen[r.URL] = true
		}
		require.False(t, seen[string(p.Body)], "businessId")
		seen[string(p.Body)] = true
	}
}

// TestSend_WhatCannotBeMade: nothing is sent, and the Result says why.
func TestSend_WhatCannotBeMade(t *testing.T) {
	t.Parallel()
	i := newISV(t)
	s := NewSender(i.Client(), nil)
	long := orderOf("CS1")
	long.BuyerInfo.Email = fmt.Sprintf("%080d@example.com", 1)
	nobody := orderOf("CS1")
	nobody.BuyerInfo = marketplaceapi.BuyerInfo{}
	without := func(change func(*Target)) Target {
		target := i.target(catalogue.AccessV2)
		change(&target)
		return target
	}
	for want, tc := range map[string]struct {
		target Target
		call   lifecycle.Call
		facts  Facts
	}{
		"class base, which signs newInstance; set ISVKIT_BASE_KEY":    {without(func(t *Target) { t.Keys.Base = "" }), newInstanceCall(), Facts{}},
		"class kit, which signs tenantSync; set ISVKIT_KIT_KEY":       {without(func(t *Target) { t.Keys.Kit = "" }), tenantCall(1), Facts{}},
		"class general, which signs orderNotify; set ISVKIT_GENERAL":  {without(func(t *Target) { t.Keys.General = "" }), exchanges(t)["v2 orderNotify"].call, Facts{}},
		"class license, which signs getLicenseAsync; set ISVKIT_LICE": {without(func(t *Target) { t.Keys.License = "" }), exchanges(t)["v2 getLicenseAsync"].call, Facts{}},
		"no production address":            {without(func(t *Target) { t.Address = "" }), newInstanceCall(), Facts{}},
		"production address: expected":     {without(func(t *Target) { t.Address = "ftp://isv" }), newInstanceCall(), Facts{}},
		"no call to check a change":        {i.target(catalogue.AccessV1), exchanges(t)["v2 changeInstanceCheck"].call, Facts{}},
		"cannot renew with a change":       {i.target(catalogue.AccessV1), refreshCall(providerapi.SceneRenewalChange), Facts{Order: orderOf("CS2")}},
		"order of this call is not known":  {i.target(catalogue.AccessV1), newInstanceCall(), Facts{}},
		"buyer's email is too long for V1": {i.target(catalogue.AccessV1), newInstanceCall(), Facts{Order: long}},
		"has no customerId":                {i.target(catalogue.AccessV1), newInstanceCall(), Facts{Order: nobody}},
	} {
		p, err := Prepare(tc.target, tc.call, tc.facts, Options{})
		require.NoError(t, err, want)
		r, err := s.Send(t.Context(), p, fault.Exchange{})
		require.NoError(t, err, want)
		require.Contains(t, r.Detail, want)
		require.Equal(t, sandboxapi.AttemptUnreachable, r.Outcome)
		require.False(t, r.Succeeded(p.Activity))
		x, err := s.Extra(t.Context(), p, r, fault.Exchange{Kind: fault.Replay})
		require.NoError(t, err)
		require.Equal(t, sandboxapi.AttemptUnreachable, x.Outcome)
	}
	requests, _ := i.sent()
	require.Empty(t, requests)
	_, err := Prepare(i.target(catalogue.AccessV2), call("buy", "", nil), Facts{}, Options{})
	require.ErrorContains(t, err, `no call "buy"`)
	_, err = Prepare(i.target(catalogue.AccessV2), call("newInstance", "", "text"), Facts{}, Options{})
	require.ErrorContains(t, err, "type string")
}

// TestPrepare_V1Provisioning: what is opened after acceptance says when that was, and what is opened at once says so.
func TestPrepare_V1Provisioning(t *testing.T) {
	t.Parallel()
	target := Target{Address: "http://isv", Access: catalogue.AccessV1, Keys: keys}
	p, err := Prepare(target, newInstanceCall(), Facts{Order: orderOf("CS1"), Accepted: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)}, Options{})
	require.NoError(t, err)
	require.Equal(t, "20260102030405006", p.query.Get("acceptanceTime"))
	require.False(t, p.query.Has("provisionType"))
	p, err = Prepare(target, newInstanceCall(), Facts{Order: orderOf("CS1"), Linear: "bandWidth"}, Options{})
	require.NoError(t, err)
	require.Equal(t, "3", p.query.Get("provisionType"))
	require.False(t, p.query.Has("acceptanceTime"))
	require.Equal(t, "50", p.query.Get("bandWidth"))
	require.False(t, p.query.Has("amount"))
}
