package lifecycle_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

var (
	bought  = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	expiry  = time.Date(2027, 1, 1, 15, 59, 59, 0, time.UTC)
	later   = time.Date(2028, 1, 5, 15, 59, 59, 0, time.UTC)
	first   = lifecycle.Order{OrderID: "CS1", OrderLineID: "CS1-000001", Paid: bought}
	second  = lifecycle.Order{OrderID: "CS2", OrderLineID: "CS2-000001", Paid: bought.AddDate(0, 1, 0)}
	third   = lifecycle.Order{OrderID: "CS3", OrderLineID: "CS3-000001", Paid: bought.AddDate(0, 2, 0)}
	monthly = lifecycle.Product{SKUCode: "s", ProductID: "p-month", Quantity: 1, PeriodType: marketplaceapi.PeriodMonth}
	yearly  = lifecycle.Product{SKUCode: "s", ProductID: "p-year", Quantity: 1, PeriodType: marketplaceapi.PeriodYear}
	pro     = lifecycle.Product{SKUCode: "pro", ProductID: "q-month", Quantity: 3, PeriodType: marketplaceapi.PeriodMonth}
)

// kinds are what can be bought, as far as the rules tell them apart.
var kinds = map[string]lifecycle.Terms{
	"period":       {ChargingMode: marketplaceapi.ChargingPeriod, Product: monthly, Expire: expiry},
	"trial":        {ChargingMode: marketplaceapi.ChargingPeriod, Product: monthly, Expire: expiry, Trial: true},
	"one-time":     {ChargingMode: marketplaceapi.ChargingOneTime, Product: lifecycle.Product{SKUCode: "s", ProductID: "p", Quantity: 1}},
	"on-demand":    {ChargingMode: marketplaceapi.ChargingOnDemand, Product: lifecycle.Product{SKUCode: "s", ProductID: "p", Quantity: 1}},
	"package":      {ChargingMode: marketplaceapi.ChargingPackage, Product: yearly, Expire: expiry, Package: lifecycle.Package{Amount: "1000"}},
	"stop package": {ChargingMode: marketplaceapi.ChargingPackage, Product: yearly, Expire: expiry, Package: lifecycle.Package{Amount: "1000", StopWhenUsedUp: true}},
}

// opened gives an instance that is in use.
func opened(t *testing.T, terms lifecycle.Terms) lifecycle.Instance {
	t.Helper()
	i, calls := lifecycle.New(first, terms)
	require.Len(t, calls, 1)
	require.Equal(t, providerapi.ActivityNewInstance, calls[0].Activity)
	e := i.Succeeded(calls[0], lifecycle.Answer{InstanceID: "i-1"})
	require.Equal(t, sandboxapi.InstanceOpening, i.Status)
	require.Len(t, e.Calls, 1)
	require.Equal(t, providerapi.ActivityQueryInstance, e.Calls[0].Activity)
	e = i.Succeeded(e.Calls[0], lifecycle.Answer{FrontEndURL: "https://app.example.com"})
	require.True(t, e.OrderCompleted)
	require.Equal(t, sandboxapi.InstanceReady, i.Status)
	return i
}

// ready gives a period instance that is in use.
func ready(t *testing.T) lifecycle.Instance {
	t.Helper()
	return opened(t, kinds["period"])
}

// apply lets calls succeed.
func apply(i *lifecycle.Instance, calls []lifecycle.Call) {
	for _, c := range calls {
		i.Succeeded(c, lifecycle.Answer{})
	}
}

// must is for moves that are legal where a test makes them.
func must(t *testing.T) func(calls []lifecycle.Call, err error) []lifecycle.Call {
	t.Helper()
	return func(calls []lifecycle.Call, err error) []lifecycle.Call {
		t.Helper()
		require.NoError(t, err)
		return calls
	}
}

func TestInstance_AYear(t *testing.T) {
	t.Parallel()
	i := ready(t)
	require.Equal(t, expiry, i.Timer())
	require.Empty(t, i.Tick(expiry.Add(-time.Millisecond)))

	calls := i.Tick(expiry)
	require.Len(t, calls, 1)
	require.Equal(t, providerapi.UpdateInstanceStatusCall{
		Activity: providerapi.ActivityUpdateInstanceStatus, InstanceID: "i-1", Status: providerapi.StatusFreeze,
	}, calls[0].Body)
	require.Equal(t, sandboxapi.InstanceReady, i.Status, "not frozen before the ISV says so")
	apply(&i, calls)
	require.Equal(t, sandboxapi.InstanceFrozen, i.Status)
	require.Equal(t, expiry.Add(15*24*time.Hour), i.Timer())
	require.Empty(t, i.Tick(i.Timer().Add(-time.Millisecond)))

	calls = i.Tick(i.Timer())
	require.Len(t, calls, 1)
	require.Equal(t, providerapi.ReleaseInstanceCall{Activity: providerapi.ActivityReleaseInstance, InstanceID: "i-1"}, calls[0].Body,
		"nobody unsubscribed, so no order is named")
	apply(&i, calls)
	require.Equal(t, sandboxapi.InstanceReleased, i.Status)
	require.True(t, i.Timer().IsZero())
}

func TestInstance_RenewWhileFrozen(t *testing.T) {
	t.Parallel()
	i := ready(t)
	apply(&i, i.Tick(expiry))
	late := lifecycle.Order{OrderID: "CS2", OrderLineID: "CS2-000001", Paid: expiry.AddDate(0, 0, 3)}
	calls := must(t)(i.Renew(late, monthly, later))
	require.Len(t, calls, 2)
	require.Equal(t, providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, Scene: providerapi.SceneRenewal, InstanceID: "i-1",
		OrderID: "CS2", OrderLineID: "CS2-000001", ExpireTime: "20280105155959",
	}, calls[0].Body)
	require.Equal(t, providerapi.ActivityUpdateInstanceStatus, calls[1].Activity)
	apply(&i, calls)
	require.Equal(t, sandboxapi.InstanceReady, i.Status)
	require.Equal(t, later, i.Timer())
	_, err := i.Cancellable(late.Paid)
	require.ErrorContains(t, err, "has begun")
}

// TestInstance_V1 has what differs in the older interface: newInstance opens the instance, and a renewal unfreezes it.
func TestInstance_V1(t *testing.T) {
	t.Parallel()
	terms := kinds["period"]
	terms.V1 = true
	i, calls := lifecycle.New(first, terms)
	e := i.Succeeded(calls[0], lifecycle.Answer{InstanceID: "i-1", FrontEndURL: "https://app.example.com"})
	require.Equal(t, lifecycle.Effect{OrderCompleted: true}, e)
	require.Equal(t, sandboxapi.InstanceReady, i.Status)
	require.Equal(t, "https://app.example.com", i.FrontEndURL)
	apply(&i, i.Tick(expiry))
	require.Equal(t, sandboxapi.InstanceFrozen, i.Status)
	calls = must(t)(i.Renew(second, monthly, later))
	require.Len(t, calls, 1)
	require.Equal(t, sandboxapi.InstanceFrozen, i.Status)
	apply(&i, calls)
	require.Equal(t, sandboxapi.InstanceReady, i.Status)
}

// TestInstance_CancelRenewal takes renewals back, the latest first.
func TestInstance_CancelRenewal(t *testing.T) {
	t.Parallel()
	i := ready(t)
	before := i
	apply(&i, must(t)(i.Renew(second, yearly, later)))
	renewed := i
	require.Equal(t, yearly, i.Product)
	apply(&i, must(t)(i.Renew(third, yearly, later.AddDate(1, 0, 0))))

	calls := must(t)(i.CancelRenewal(lifecycle.Order{OrderID: "CS4", OrderLineID: "CS4-000001", Paid: third.Paid}))
	require.Equal(t, providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, Scene: providerapi.SceneUnsubscribeRenewalPeriod, InstanceID: "i-1",
		OrderID: "CS4", OrderLineID: "CS4-000001", ExpireTime: "20280105155959",
	}, calls[0].Body, "the cancelling order is named")
	require.Equal(t, renewed, i)
	calls = must(t)(i.CancelRenewal(lifecycle.Order{OrderID: "CS5", OrderLineID: "CS5-000001", Paid: third.Paid}))
	body, _ := calls[0].Body.(providerapi.RefreshInstanceCall)
	require.Equal(t, "20270101155959", body.ExpireTime)
	require.Equal(t, "p-month", body.ProductID, "the kind of period changes back")
	i.Renewals, before.Renewals = nil, nil
	require.Equal(t, before, i)

	for name, tc := range map[string]struct {
		do   func(i *lifecycle.Instance)
		at   time.Time
		hint string
	}{
		"none":               {func(*lifecycle.Instance) {}, bought, "there is none"},
		"in its last second": {func(i *lifecycle.Instance) { apply(i, must(t)(i.Renew(second, monthly, later))) }, expiry.Add(-time.Second), ""},
		"begun":              {func(i *lifecycle.Instance) { apply(i, must(t)(i.Renew(second, monthly, later))) }, expiry, "has begun"},
		"with a change":      {func(i *lifecycle.Instance) { apply(i, must(t)(i.RenewWithChange(second, pro, later))) }, bought, "no call takes back"},
		"changed since, period as well": {func(i *lifecycle.Instance) {
			apply(i, must(t)(i.Renew(second, yearly, later)))
			i.Product.SKUCode = "pro"
		}, bought, "no call takes back"},
		"changed since": {func(i *lifecycle.Instance) { apply(i, must(t)(i.Renew(second, monthly, later))); i.Product = pro }, bought, ""},
	} {
		i := ready(t)
		tc.do(&i)
		_, err := i.Cancellable(tc.at)
		if tc.hint == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tc.hint, name)
	}
}

// TestInstance_RenewalsAreForgottenOnceTheyBegan keeps an instance that is renewed for ever from growing.
func TestInstance_RenewalsAreForgottenOnceTheyBegan(t *testing.T) {
	t.Parallel()
	i := ready(t)
	at := expiry
	for range 50 {
		next := at.AddDate(0, 1, 0)
		apply(&i, must(t)(i.Renew(lifecycle.Order{OrderID: "CS2", Paid: at.Add(-time.Hour)}, monthly, next)))
		require.Len(t, i.Renewals, 1)
		at = next
	}
}

// states are all the situations an instance can be in. An instance that cannot get there is left out.
var states = map[string]func(t *testing.T, terms lifecycle.Terms) (i lifecycle.Instance, ok bool){
	"awaiting acceptance": func(_ *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		terms.OnAcceptance, terms.Expire = true, time.Time{}
		i, _ := lifecycle.New(first, terms)
		return i, true
	},
	"creating": func(_ *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i, _ := lifecycle.New(first, terms)
		return i, true
	},
	"opening": func(_ *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i, calls := lifecycle.New(first, terms)
		i.Succeeded(calls[0], lifecycle.Answer{InstanceID: "i-1", InProgress: true})
		return i, true
	},
	"ready": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) { return opened(t, terms), true },
	"renewed": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i := opened(t, terms)
		calls, err := i.Renew(second, terms.Product, later)
		apply(&i, calls)
		return i, err == nil
	},
	"upgrading": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i := opened(t, terms)
		_, err := i.Upgrade(second)
		return i, err == nil
	},
	"used up": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i := opened(t, terms)
		calls, err := i.UseUp()
		apply(&i, calls)
		return i, err == nil
	},
	"expired": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i := opened(t, terms)
		apply(&i, i.Tick(expiry))
		return i, !terms.Expire.IsZero()
	},
	"violating": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i := opened(t, terms)
		apply(&i, must(t)(i.Freeze()))
		return i, true
	},
	"being frozen": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) { // the call is under way
		i := opened(t, terms)
		must(t)(i.Freeze())
		return i, true
	},
	"being released": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i := opened(t, terms)
		must(t)(i.Unsubscribe(second))
		return i, true
	},
	"released": func(t *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i := opened(t, terms)
		apply(&i, must(t)(i.Unsubscribe(second)))
		return i, true
	},
	"failed": func(_ *testing.T, terms lifecycle.Terms) (lifecycle.Instance, bool) {
		i, calls := lifecycle.New(first, terms)
		i.GaveUp(calls[0])
		return i, true
	},
}

// moves are all that can be done to an instance, by the name of the method.
var moves = map[string]func(i *lifecycle.Instance) ([]lifecycle.Call, error){
	"Accept":          func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Accept(bought, expiry) },
	"Renew":           func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Renew(third, i.Product, later) },
	"RenewWithChange": func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.RenewWithChange(third, pro, later) },
	"CancelRenewal":   func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.CancelRenewal(third) },
	"Convert":         func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Convert(third, yearly, later) },
	"Upgrade":         func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Upgrade(third) },
	"Freeze":          func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Freeze() },
	"Unfreeze":        func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Unfreeze() },
	"Unsubscribe":     func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Unsubscribe(third) },
	"UseUp":           func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.UseUp() },
	"Inspect":         func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return nil, i.Inspect() },
}

// legal has, for each kind and state, the moves that are legal there and the calls that each yields; every other move is refused.
var legal = map[string]map[string]string{
	"period": {
		"awaiting acceptance": "Accept:newInstance",
		"creating":            "",
		"opening":             "Inspect",
		"ready":               "Renew:refreshInstance RenewWithChange:refreshInstance Upgrade:upgradeInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"renewed":             "Renew:refreshInstance RenewWithChange:refreshInstance CancelRenewal:refreshInstance Upgrade:upgradeInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"upgrading":           "Freeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"expired":             "Renew:refreshInstance+updateInstanceStatus RenewWithChange:refreshInstance+updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"violating":           "Renew:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being frozen":        "Renew:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being released":      "",
		"released":            "",
		"failed":              "",
	},
	"trial": {
		"awaiting acceptance": "Accept:newInstance",
		"creating":            "",
		"opening":             "Inspect",
		"ready":               "Convert:refreshInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"expired":             "Convert:refreshInstance+updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"violating":           "Convert:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being frozen":        "Convert:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being released":      "",
		"released":            "",
		"failed":              "",
	},
	"one-time": {
		"awaiting acceptance": "Accept:newInstance",
		"creating":            "",
		"opening":             "Inspect",
		"ready":               "Freeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"violating":           "Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being frozen":        "Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being released":      "",
		"released":            "",
		"failed":              "",
	},
	"on-demand": {
		"awaiting acceptance": "Accept:newInstance",
		"creating":            "",
		"opening":             "Inspect",
		"ready":               "Freeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"violating":           "Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being frozen":        "Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"being released":      "",
		"released":            "",
		"failed":              "",
	},
	"package": {
		"awaiting acceptance": "Accept:newInstance",
		"creating":            "",
		"opening":             "Inspect",
		"ready":               "Renew:refreshInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp Inspect",
		"renewed":             "Renew:refreshInstance CancelRenewal:refreshInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp Inspect",
		"used up":             "Renew:refreshInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance Inspect",
		"expired":             "Renew:refreshInstance+updateInstanceStatus Unsubscribe:releaseInstance UseUp Inspect",
		"violating":           "Renew:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp Inspect",
		"being frozen":        "Renew:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp Inspect",
		"being released":      "",
		"released":            "",
		"failed":              "",
	},
	"stop package": {
		"awaiting acceptance": "Accept:newInstance",
		"creating":            "",
		"opening":             "Inspect",
		"ready":               "Renew:refreshInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp:releaseInstance Inspect",
		"renewed":             "Renew:refreshInstance CancelRenewal:refreshInstance Freeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp:releaseInstance Inspect",
		"used up":             "",
		"expired":             "Renew:refreshInstance+updateInstanceStatus Unsubscribe:releaseInstance UseUp:releaseInstance Inspect",
		"violating":           "Renew:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp:releaseInstance Inspect",
		"being frozen":        "Renew:refreshInstance Unfreeze:updateInstanceStatus Unsubscribe:releaseInstance UseUp:releaseInstance Inspect",
		"being released":      "",
		"released":            "",
		"failed":              "",
	},
}

// TestInstance_Moves is the table of every move in every state, for every kind of instance.
func TestInstance_Moves(t *testing.T) {
	t.Parallel()
	statuses := map[sandboxapi.InstanceStatus]bool{}
	for kind, terms := range kinds {
		for state, bring := range states {
			_, possible := bring(t, terms)
			text, told := legal[kind][state]
			require.Equal(t, possible, told, "%s/%s: the table leaves out exactly what cannot be", kind, state)
			if !possible {
				continue
			}
			allowed := map[string]string{}
			for _, entry := range strings.Fields(text) {
				move, calls, _ := strings.Cut(entry, ":")
				require.Contains(t, moves, move)
				allowed[move] = calls
			}
			i, _ := bring(t, terms)
			statuses[i.Status] = true
			for move, do := range moves {
				t.Run(kind+"/"+state+"/"+move, func(t *testing.T) {
					t.Parallel()
					i, _ := bring(t, terms)
					before := i
					calls, err := do(&i)
					want, ok := allowed[move]
					if !ok {
						var illegal *lifecycle.IllegalMoveError
						require.ErrorAs(t, err, &illegal)
						require.NotEmpty(t, illegal.Move)
						require.NotEmpty(t, illegal.Hint)
						require.NotEmpty(t, illegal.Status)
						require.Equal(t, before, i, "a refused move changes nothing")
						return
					}
					require.NoError(t, err)
					activities := make([]string, len(calls))
					for n, c := range calls {
						activities[n] = string(c.Activity)
					}
					require.Equal(t, want, strings.Join(activities, "+"))
				})
			}
		}
	}
	// No status and no move can be forgotten: the document and the type tell which there are.
	text, err := openapi.FS.ReadFile("sandbox.yaml")
	require.NoError(t, err)
	var doc struct {
		Components struct {
			Schemas map[string]struct{ Enum []sandboxapi.InstanceStatus }
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	all := doc.Components.Schemas["InstanceStatus"].Enum
	require.NotEmpty(t, all)
	require.Len(t, statuses, len(all))
	for _, status := range all {
		require.True(t, statuses[status], "no state is %s", status)
	}
	var found []string
	for m := range reflect.TypeFor[*lifecycle.Instance]().Methods() {
		if n := m.Type.NumOut(); n == 2 && m.Type.Out(0) == reflect.TypeFor[[]lifecycle.Call]() && m.Type.Out(1) == reflect.TypeFor[error]() {
			found = append(found, m.Name)
		}
	}
	slices.Sort(found)
	var tested []string
	for move := range moves {
		if move != "Inspect" { // a question, not a change
			tested = append(tested, move)
		}
	}
	slices.Sort(tested)
	require.Equal(t, found, tested)
}

// TestInstance_CanIsWhatTheMoveSays compares each question with its move: they must not differ.
func TestInstance_CanIsWhatTheMoveSays(t *testing.T) {
	t.Parallel()
	questions := map[string]func(i *lifecycle.Instance) error{
		"Renew":           func(i *lifecycle.Instance) error { return i.CanRenew() },
		"RenewWithChange": func(i *lifecycle.Instance) error { return i.CanRenewWithChange() },
		"CancelRenewal":   func(i *lifecycle.Instance) error { _, err := i.Cancellable(third.Paid); return err },
		"Convert":         func(i *lifecycle.Instance) error { return i.CanConvert() },
		"Upgrade":         func(i *lifecycle.Instance) error { return i.CanUpgrade() },
		"Unsubscribe":     func(i *lifecycle.Instance) error { return i.CanUnsubscribe() },
	}
	for kind, terms := range kinds {
		for state, bring := range states {
			for move, ask := range questions {
				i, ok := bring(t, terms)
				if !ok {
					continue
				}
				said := ask(&i)
				_, err := moves[move](&i)
				require.Equal(t, err, said, "%s/%s/%s", kind, state, move)
			}
		}
	}
}

func TestInstance_Convert(t *testing.T) {
	t.Parallel()
	i := opened(t, kinds["trial"])
	calls := must(t)(i.Convert(second, yearly, later))
	require.Equal(t, providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, Scene: providerapi.SceneTrialToFormal, InstanceID: "i-1",
		OrderID: "CS2", OrderLineID: "CS2-000001", ProductID: "p-year", ExpireTime: "20280105155959",
	}, calls[0].Body)
	require.False(t, i.Trial)
	_, err := i.Cancellable(second.Paid)
	require.ErrorContains(t, err, "there is none")
}

func TestInstance_Accept(t *testing.T) {
	t.Parallel()
	terms := kinds["period"]
	terms.OnAcceptance, terms.Expire = true, time.Time{}
	i, calls := lifecycle.New(first, terms)
	require.Empty(t, calls)
	require.True(t, i.Timer().IsZero())
	accepted := bought.AddDate(0, 0, 20)
	calls = must(t)(i.Accept(accepted, later))
	require.Equal(t, providerapi.NewInstanceCall{Activity: providerapi.ActivityNewInstance, OrderID: "CS1", OrderLineID: "CS1-000001"}, calls[0].Body)
	require.Equal(t, accepted, i.CreateTime, "its time begins with the acceptance")
	require.Equal(t, later, i.ExpireTime)
}

func TestInstance_Upgrade(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(i *lifecycle.Instance, c lifecycle.Call) lifecycle.Effect{
		"succeeds": func(i *lifecycle.Instance, c lifecycle.Call) lifecycle.Effect {
			e := i.Succeeded(c, lifecycle.Answer{})
			require.True(t, e.OrderCompleted)
			return e
		},
		"fails": func(i *lifecycle.Instance, c lifecycle.Call) lifecycle.Effect {
			e := i.GaveUp(c)
			require.Equal(t, lifecycle.Effect{OrderFailed: true}, e, "the instance stays as it was")
			return e
		},
	} {
		i := ready(t)
		calls := must(t)(i.Upgrade(second))
		_, err := i.Upgrade(third)
		require.ErrorContains(t, err, "upgrade by order CS2 is under way", name)
		end(&i, calls[0])
		must(t)(i.Upgrade(third))
	}
}

func TestInstance_GaveUp(t *testing.T) {
	t.Parallel()
	i, calls := lifecycle.New(first, kinds["period"])
	never := i
	require.Equal(t, lifecycle.Effect{OrderFailed: true}, never.GaveUp(calls[0]), "nothing to release where no id is known")

	e := i.Succeeded(calls[0], lifecycle.Answer{InstanceID: "i-1", InProgress: true})
	require.Equal(t, lifecycle.Effect{OrderFailed: true, Unsubscribe: true}, i.GaveUp(e.Calls[0]))
	i.Succeeded(i.ReleaseAfterFailure(second), lifecycle.Answer{})
	require.Equal(t, sandboxapi.InstanceFailed, i.Status)

	i = ready(t)
	before := i
	calls, err := i.Upgrade(second)
	require.NoError(t, err)
	require.Equal(t, lifecycle.Effect{OrderFailed: true}, i.GaveUp(calls[0]))
	require.Equal(t, before, i)
}

// attempts plays a timetable on calls that all fail, each attempt taking some time, and gives the minutes they start at.
func attempts(table lifecycle.Timetable, each time.Duration) (at []float64) {
	now := bought
	for n := 1; ; n++ {
		at = append(at, now.Sub(bought).Truncate(time.Minute).Minutes())
		next, again := table.Next(bought, now.Add(each), n)
		if !again {
			return at
		}
		now = next
	}
}

func TestTimetable(t *testing.T) {
	t.Parallel()
	for _, each := range []time.Duration{0, 20 * time.Second} {
		hourly := attempts(lifecycle.TimetableOf(providerapi.ActivityNewInstance), each)
		require.Len(t, hourly, 4)
		require.InDelta(t, 180, hourly[3], 1)
	}
	require.Len(t, attempts(lifecycle.TimetableOf(providerapi.ActivityReleaseInstance), 0), 61)
	require.Equal(t, []float64{0, 1, 3, 6, 10, 15, 20}, attempts(lifecycle.TimetableOf(providerapi.ActivityQueryInstance), 0)[:7])
}

// TestTimetable_FollowsTheContract compares the timetables with x-retry of provider.yaml.
func TestTimetable_FollowsTheContract(t *testing.T) {
	t.Parallel()
	text, err := openapi.FS.ReadFile("provider.yaml")
	require.NoError(t, err)
	var doc struct {
		Webhooks map[string]struct {
			Post struct {
				Class string                            `yaml:"x-interface-class"`
				Retry struct{ Every, For, Then string } `yaml:"x-retry"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	growing := regexp.MustCompile(`^(\S+)(?: growing to (\S+))?$`)
	compared := 0
	for name, hook := range doc.Webhooks {
		retry := hook.Post.Retry
		if hook.Post.Class == "kit" || hook.Post.Class == "license" {
			continue // their packages have timetables of their own
		}
		table := lifecycle.TimetableOf(providerapi.Activity(name))
		if retry.Every == "never" {
			_, again := table.Next(bought, bought, 1)
			require.False(t, again, name)
			compared++
			continue
		}
		m := growing.FindStringSubmatch(retry.Every)
		require.NotNil(t, m, name)
		require.Equal(t, mustDuration(t, m[1]), table.Intervals[0], name)
		if m[2] != "" {
			require.Equal(t, mustDuration(t, m[2]), table.Intervals[len(table.Intervals)-1], name)
		}
		require.Equal(t, mustDuration(t, retry.For), table.For, name)
		require.Equal(t, strings.Contains(retry.Then, "order fails"), table.Final, name)
		compared++
	}
	require.Equal(t, 8, compared)
}

func mustDuration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return d
}
