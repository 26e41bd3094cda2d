package probe_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/probe"
	"github.com/isvkit/isvkit/sandbox/market"
)

// at is a time in Beijing.
func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.FixedZone("", 8*3600))
	require.NoError(t, err)
	return v
}

// rules are those of the market that this sandbox plays, from its document.
var rules = func() probe.Rules {
	p, err := market.Load(catalogue.DefaultMarket, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	return probe.Of(p)
}()

// A market whose document says nothing of probes has none, and failed orders delist nothing there.
func TestOf_NoRules(t *testing.T) {
	t.Parallel()
	p, err := market.Load("tencent", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	none := probe.Of(p)
	require.False(t, none.TooManyFailures(1000))
	require.True(t, (&probe.Health{}).Timer(none, catalogue.OnSale, 5, at(t, "2026-03-01 00:00:00")).IsZero())
	h := probe.Health{FrozenSince: at(t, "2026-03-01 00:00:00")}
	require.False(t, h.Lapsed(none, catalogue.Frozen, at(t, "2036-03-01 00:00:00")), "frozen by hand, it stays so")
	require.Equal(t, probe.Rules{
		Probes: true, At: [2]time.Time{time.Date(0, 1, 1, 9, 0, 0, 0, time.UTC), time.Date(0, 1, 1, 15, 0, 0, 0, time.UTC)}, FailingDays: 5,
		DelistAfter: 30 * 24 * time.Hour, FailedOrders: true, MaxFailedOrders: 5,
	}, rules)
}

func TestNext(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"2026-03-01 00:00:00": "2026-03-01 09:00:00",
		"2026-03-01 08:59:59": "2026-03-01 09:00:00",
		"2026-03-01 09:00:00": "2026-03-01 15:00:00",
		"2026-03-01 14:59:59": "2026-03-01 15:00:00",
		"2026-03-01 15:00:00": "2026-03-02 09:00:00",
		"2026-02-28 23:59:59": "2026-03-01 09:00:00",
		"2026-12-31 20:00:00": "2027-01-01 09:00:00",
	} {
		require.True(t, at(t, want).Equal(rules.Next(at(t, from).UTC())), from)
	}
	probes := 0
	for now, end := at(t, "2026-01-01 00:00:00"), at(t, "2027-01-01 00:00:00"); ; probes++ {
		if now = rules.Next(now); !now.Before(end) {
			break
		}
		require.Equal(t, now.In(time.FixedZone("", 8*3600)).Hour() == 15, rules.Backwards(now), "the afternoon's goes backwards")
	}
	require.Equal(t, 730, probes, "in a year")
}

func TestMonth(t *testing.T) {
	t.Parallel()
	for now, want := range map[string][2]string{
		"2026-02-28 23:59:59": {"2026-02-01 00:00:00", "2026-03-01 00:00:00"},
		"2026-03-01 00:00:00": {"2026-03-01 00:00:00", "2026-04-01 00:00:00"},
		"2026-12-31 12:00:00": {"2026-12-01 00:00:00", "2027-01-01 00:00:00"},
	} {
		from, to := probe.Month(at(t, now).UTC())
		require.True(t, from.Equal(at(t, want[0])) && to.Equal(at(t, want[1])), now)
	}
	require.False(t, rules.TooManyFailures(5))
	require.True(t, rules.TooManyFailures(6))
}

// TestHealth_Freezes goes through rows of probes; the status after the last is what counts, and that before it is on sale.
func TestHealth_Freezes(t *testing.T) {
	t.Parallel()
	type step struct {
		at     string
		passed bool
	}
	const saved = "saved "
	good := func(at string) step { return step{at, true} }
	days := func(first, last int, hours ...string) (list []step) {
		for d := first; d <= last; d++ {
			for _, hour := range hours {
				list = append(list, step{fmt.Sprintf("2026-03-%02d %s:00:00", d, hour), false})
			}
		}
		return list
	}
	for name, tc := range map[string]struct {
		steps []step
		days  int
		want  catalogue.ProductStatus
	}{
		"never failed":                        {[]step{good("2026-03-01 09:00:00")}, 0, catalogue.OnSale},
		"four days":                           {days(1, 4, "09", "15"), 4, catalogue.OnSale},
		"the fifth morning":                   {append(days(1, 4, "09", "15"), days(5, 5, "09")...), 5, catalogue.OnSale},
		"one second before":                   {append(days(1, 4, "09", "15"), step{"2026-03-05 14:59:59", false}), 5, catalogue.OnSale},
		"the fifth afternoon":                 {days(1, 5, "09", "15"), 5, catalogue.Frozen},
		"first bad probe in the afternoon":    {append([]step{good("2026-03-01 09:00:00")}, append(days(1, 1, "15"), days(2, 5, "09", "15")...)...), 4, catalogue.OnSale},
		"and then one more day":               {append([]step{good("2026-03-01 09:00:00")}, append(days(1, 1, "15"), days(2, 6, "09", "15")...)...), 5, catalogue.Frozen},
		"the morning good on the fifth day":   {append(days(1, 4, "09", "15"), good("2026-03-05 09:00:00"), step{"2026-03-05 15:00:00", false}), 0, catalogue.OnSale},
		"the afternoon good on the fifth day": {append(append(days(1, 4, "09", "15"), days(5, 5, "09")...), good("2026-03-05 15:00:00")), 0, catalogue.OnSale},
		"a good one begins the row anew":      {append(append(days(1, 4, "09", "15"), good("2026-03-05 09:00:00")), days(6, 9, "09", "15")...), 4, catalogue.OnSale},
		"the day of saving does not count":    {append([]step{{at: saved + "2026-03-01 14:00:00"}}, days(1, 5, "15")...), 4, catalogue.OnSale},
		"nor does saving end the row":         {append(append(days(1, 4, "15"), step{at: saved + "2026-03-04 16:00:00"}), days(5, 5, "15")...), 5, catalogue.Frozen},
		"days without probes do not count":    {append(days(1, 2, "15"), days(20, 22, "15")...), 5, catalogue.Frozen},
		"many probes of one day are one day":  {days(1, 1, "09", "10", "11", "12", "13", "14", "15", "16", "17", "18"), 1, catalogue.OnSale},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h probe.Health
			status := catalogue.OnSale
			for i, s := range tc.steps {
				require.Equal(t, catalogue.OnSale, status, "before step %d", i)
				if text, ok := strings.CutPrefix(s.at, saved); ok {
					h.Saved(at(t, text))
					continue
				}
				status = h.Probed(rules, status, s.passed, at(t, s.at))
			}
			require.Equal(t, tc.want, status)
			require.Equal(t, tc.days, h.FailedDays)
			require.Equal(t, status == catalogue.Frozen, !h.FrozenSince.IsZero())
		})
	}
}

func TestHealth_FrozenOnes(t *testing.T) {
	t.Parallel()
	frozen := at(t, "2026-03-05 15:00:00")
	fresh := func() *probe.Health {
		h := &probe.Health{FailedDays: 5}
		require.Equal(t, catalogue.Frozen, h.Set(catalogue.Frozen, frozen))
		return h
	}
	h := fresh()
	require.Equal(t, catalogue.Frozen, h.Probed(rules, catalogue.Frozen, false, at(t, "2026-03-06 09:00:00")))
	require.Equal(t, frozen, h.FrozenSince, "the time goes on from the freezing")
	require.Equal(t, catalogue.OnSale, h.Probed(rules, catalogue.Frozen, true, at(t, "2026-03-06 15:00:00")), "it comes back")
	require.Zero(t, h.FrozenSince)
	require.Zero(t, h.FailedDays)

	h = fresh()
	lapse := frozen.Add(30 * 24 * time.Hour)
	require.False(t, h.Lapsed(rules, catalogue.Frozen, lapse.Add(-time.Millisecond)))
	require.True(t, h.Lapsed(rules, catalogue.Frozen, lapse))
	require.False(t, h.Lapsed(rules, catalogue.OnSale, lapse))
	for _, status := range []catalogue.ProductStatus{catalogue.Stopped, catalogue.Delisted} {
		require.Equal(t, status, (&probe.Health{}).Probed(rules, status, true, frozen), "a probe does not bring back what was taken off")
	}
}

func TestHealth_Timer(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-03-05 10:00:00")
	next := at(t, "2026-03-05 15:00:00").UTC()
	for name, tc := range map[string]struct {
		status catalogue.ProductStatus
		cases  int
		frozen time.Time
		want   time.Time
	}{
		"on sale":                    {catalogue.OnSale, 1, time.Time{}, next},
		"on sale without cases":      {catalogue.OnSale, 0, time.Time{}, time.Time{}},
		"stopped":                    {catalogue.Stopped, 1, time.Time{}, time.Time{}},
		"delisted":                   {catalogue.Delisted, 1, time.Time{}, time.Time{}},
		"frozen":                     {catalogue.Frozen, 1, now, next},
		"frozen without cases":       {catalogue.Frozen, 0, now, now.Add(30 * 24 * time.Hour)},
		"frozen, the end comes next": {catalogue.Frozen, 1, now.Add(time.Hour - 30*24*time.Hour), now.Add(time.Hour)},
	} {
		h := probe.Health{FrozenSince: tc.frozen}
		require.True(t, tc.want.Equal(h.Timer(rules, tc.status, tc.cases, now)), name)
	}
}

func keys(p catalogue.Product) (names []string) {
	for _, c := range probe.Needed(p) {
		names = append(names, c.String())
	}
	return names
}

func TestNeeded(t *testing.T) {
	t.Parallel()
	sku := func(mode marketplaceapi.ChargingMode) catalogue.SKU { return catalogue.SKU{ChargingMode: mode} }
	period, once, demand, pkg := sku(marketplaceapi.ChargingPeriod), sku(marketplaceapi.ChargingOneTime), sku(marketplaceapi.ChargingOnDemand), sku(marketplaceapi.ChargingPackage)
	trial, linear := period, period
	trial.TrialDays, linear.Linear = 7, "seats"
	freeze := []string{"updateInstanceStatus FREEZE", "updateInstanceStatus UNFREEZE"}
	kit := []string{"tenantSync", "applicationSync", "authSync", "singleOrgSync", "allOrgSync"}
	list := func(parts ...any) (all []string) {
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				all = append(all, p)
			case []string:
				all = append(all, p...)
			}
		}
		return all
	}
	for name, tc := range map[string]struct {
		product catalogue.Product
		want    []string
	}{
		"one-time": {catalogue.Product{SKUs: []catalogue.SKU{once}}, list("newInstance ONE_TIME", "queryInstance", "releaseInstance")},
		"period": {catalogue.Product{SKUs: []catalogue.SKU{period}}, list("newInstance PERIOD", "queryInstance", "refreshInstance RENEWAL",
			"refreshInstance UNSUBSCRIBE_RENEWAL_PERIOD", freeze, "releaseInstance")},
		"trial": {catalogue.Product{SKUs: []catalogue.SKU{trial}}, list("newInstance PERIOD", "queryInstance", "refreshInstance RENEWAL",
			"refreshInstance TRIAL_TO_FORMAL", "refreshInstance UNSUBSCRIBE_RENEWAL_PERIOD", freeze, "releaseInstance")},
		"linear, with change": {catalogue.Product{ChangeCheck: true, SKUs: []catalogue.SKU{linear}}, list("newInstance PERIOD", "queryInstance", "refreshInstance RENEWAL",
			"refreshInstance UNSUBSCRIBE_RENEWAL_PERIOD", "refreshInstance RENEWAL_CHANGE", freeze, "upgradeInstance", "changeInstanceCheck", "releaseInstance")},
		"two SKUs to change between": {catalogue.Product{SKUs: []catalogue.SKU{period, period}}, list("newInstance PERIOD", "queryInstance", "refreshInstance RENEWAL",
			"refreshInstance UNSUBSCRIBE_RENEWAL_PERIOD", freeze, "upgradeInstance", "releaseInstance")},
		"on demand": {catalogue.Product{SKUs: []catalogue.SKU{demand}}, list("newInstance ON_DEMAND", "queryInstance", "refreshInstance RENEWAL", freeze, "releaseInstance")},
		"all": {catalogue.Product{SKUs: []catalogue.SKU{pkg, demand, once, period}}, list("newInstance PERIOD", "newInstance ONE_TIME", "newInstance ON_DEMAND",
			"newInstance ON_DEMAND_PKG", "queryInstance", "refreshInstance RENEWAL", "refreshInstance UNSUBSCRIBE_RENEWAL_PERIOD", freeze, "releaseInstance")},
		"kit, order notices": {catalogue.Product{Kit: true, OrderNotify: true, SKUs: []catalogue.SKU{once}}, list("newInstance ONE_TIME", "queryInstance", "releaseInstance", kit, "orderNotify")},
		"V1, period": {catalogue.Product{Access: catalogue.AccessV1, SKUs: []catalogue.SKU{trial, linear}}, list("newInstance PERIOD", "refreshInstance RENEWAL",
			"refreshInstance TRIAL_TO_FORMAL", "expireInstance", "upgrade", "releaseInstance")},
		"V1, one-time": {catalogue.Product{Access: catalogue.AccessV1, SKUs: []catalogue.SKU{once}}, list("newInstance ONE_TIME", "releaseInstance")},
		"V1, metered": {catalogue.Product{Access: catalogue.AccessV1, SKUs: []catalogue.SKU{demand, pkg}}, list("newInstance ON_DEMAND", "newInstance ON_DEMAND_PKG",
			"instanceStatus FREEZE", "instanceStatus NORMAL", "queryInstance", "releaseInstance")},
		"licence": {catalogue.Product{License: true, SKUs: []catalogue.SKU{period}}, list("refreshLicenseCode RENEWAL", "refreshLicenseCode UNSUBSCRIBE_RENEWAL_PERIOD",
			"updateLicenseCodeStatus FREEZE", "updateLicenseCodeStatus UNFREEZE", "releaseLicenseCode")},
	} {
		require.Equal(t, tc.want, keys(tc.product), name)
	}
	for _, p := range catalogue.DemoProducts() {
		seen := map[string]bool{}
		for _, key := range keys(p) {
			require.False(t, seen[key], "%s: %s is there twice", p.Code, key)
			seen[key] = true
		}
		require.NotEmpty(t, seen, p.Code)
	}
}

func TestPreset_With(t *testing.T) {
	t.Parallel()
	products := map[string]catalogue.Product{}
	for _, p := range catalogue.DemoProducts() {
		products[p.Code] = p
	}
	with := func(product, key, parameters string) (probe.Preset, error) {
		t.Helper()
		var given map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(parameters), &given))
		p := products[product]
		for _, c := range probe.Needed(p) {
			if c.String() == key {
				return c.With(p.Access, given)
			}
		}
		t.Fatalf("%s has no case %s", product, key)
		return probe.Preset{}, nil
	}
	c, err := with("demo", "refreshInstance RENEWAL", `{"orderId":"CS1","instanceId":"i-1"}`)
	require.NoError(t, err)
	body, ok := c.Call.Body.(providerapi.RefreshInstanceCall)
	require.True(t, ok)
	require.Equal(t, "CS1", body.OrderID)
	require.Equal(t, "CS1-000001", body.OrderLineID, "the line follows the order")
	require.Equal(t, "i-1", body.InstanceID)
	require.Equal(t, providerapi.SceneRenewal, body.Scene)

	c, err = with("demo", "newInstance PERIOD", `{"orderId":"MOCKPERIODDAYTRIAL","orderLineId":"x-9"}`)
	require.NoError(t, err)
	require.Equal(t, "MOCKPERIODDAYTRIAL", c.Call.OrderID)
	require.Equal(t, "x-9", c.Call.Body.(providerapi.NewInstanceCall).OrderLineID) //nolint:forcetypeassert // it is one

	c, err = with("demo-kit", "tenantSync", `{"orderId":"","tenantCode":"acme"}`)
	require.NoError(t, err)
	require.Equal(t, "acme", c.Call.Body.(providerapi.TenantSyncCall).TenantCode) //nolint:forcetypeassert // it is one

	_, err = with("demo-v1", "refreshInstance RENEWAL", `{"orderId":"MOCKMONTYRENEW"}`)
	require.NoError(t, err)

	for _, bad := range []struct{ product, key, parameters, want string }{
		{"demo", "queryInstance", `{"scene":"X"}`, "scene cannot be chosen for queryInstance; there are instanceId"},
		{"demo", "refreshInstance RENEWAL", `{"scene":"TRIAL_TO_FORMAL"}`, "scene cannot be chosen"},
		{"demo", "refreshInstance RENEWAL", `{"testFlag":"0"}`, "testFlag cannot be chosen"},
		{"demo", "queryInstance", `{"instanceId":7}`, "instanceId must be"},
		{"demo", "releaseInstance", `{"instanceId":null}`, "instanceId is missing"},
		{"demo", "refreshInstance RENEWAL", `{"expireTime":"tomorrow"}`, "expireTime"},
		{"demo-v1", "newInstance PERIOD", `{"orderId":"CS1"}`, "mock orders"},
	} {
		_, err := with(bad.product, bad.key, bad.parameters)
		require.ErrorIs(t, err, catalogue.ErrInvalid)
		require.ErrorContains(t, err, bad.want)
	}
}

func TestParameters_HideWhatIsNotChosen(t *testing.T) {
	t.Parallel()
	p := catalogue.Product{Kit: true, SKUs: []catalogue.SKU{{ChargingMode: marketplaceapi.ChargingOneTime}}}
	for _, c := range probe.Needed(p) {
		parameters, err := probe.Parameters(c.Call)
		require.NoError(t, err)
		require.NotContains(t, parameters, "testFlag")
		require.NotContains(t, parameters, "timeStamp")
		if c.Activity == "applicationSync" {
			require.Equal(t, "(encrypted)", parameters["clientSecret"])
		}
	}
}
