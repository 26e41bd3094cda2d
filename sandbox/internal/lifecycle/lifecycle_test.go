package lifecycle_test

import (
	"regexp"
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
	bought = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	expiry = time.Date(2027, 1, 1, 15, 59, 59, 0, time.UTC)
	first  = lifecycle.Order{OrderID: "CS1", OrderLineID: "CS1-000001", Type: marketplaceapi.OrderNew}
	second = lifecycle.Order{OrderID: "CS2", OrderLineID: "CS2-000001"}
)

// ready gives a period instance that is in use.
func ready(t *testing.T) lifecycle.Instance {
	t.Helper()
	i, calls := lifecycle.New(first, marketplaceapi.ChargingPeriod, lifecycle.Product{SKUCode: "s", ProductID: "p", Quantity: 1}, bought, expiry)
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

func apply(i *lifecycle.Instance, calls []lifecycle.Call) {
	for _, c := range calls {
		i.Succeeded(c, lifecycle.Answer{})
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
	later := time.Date(2028, 1, 5, 15, 59, 59, 0, time.UTC)
	calls, err := i.Renew(second, later)
	require.NoError(t, err)
	require.Len(t, calls, 2)
	require.Equal(t, providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, Scene: providerapi.SceneRenewal, InstanceID: "i-1",
		OrderID: "CS2", OrderLineID: "CS2-000001", ExpireTime: "20280105155959",
	}, calls[0].Body)
	require.Equal(t, providerapi.ActivityUpdateInstanceStatus, calls[1].Activity)
	apply(&i, calls)
	require.Equal(t, sandboxapi.InstanceReady, i.Status)
	require.Equal(t, later, i.Timer())
}

// TestInstance_Moves is the table of every move in every status.
func TestInstance_Moves(t *testing.T) {
	t.Parallel()
	states := map[string]func(t *testing.T) lifecycle.Instance{
		"creating": func(*testing.T) lifecycle.Instance {
			i, _ := lifecycle.New(first, marketplaceapi.ChargingPeriod, lifecycle.Product{}, bought, expiry)
			return i
		},
		"opening": func(*testing.T) lifecycle.Instance {
			i, calls := lifecycle.New(first, marketplaceapi.ChargingPeriod, lifecycle.Product{}, bought, expiry)
			i.Succeeded(calls[0], lifecycle.Answer{InstanceID: "i-1", InProgress: true})
			return i
		},
		"ready": ready,
		"ready one-time": func(t *testing.T) lifecycle.Instance {
			i := ready(t)
			i.ChargingMode, i.ExpireTime = marketplaceapi.ChargingOneTime, time.Time{}
			return i
		},
		"expired": func(t *testing.T) lifecycle.Instance {
			i := ready(t)
			apply(&i, i.Tick(expiry))
			return i
		},
		"violating": func(t *testing.T) lifecycle.Instance {
			i := ready(t)
			calls, err := i.Freeze()
			require.NoError(t, err)
			apply(&i, calls)
			return i
		},
		"being frozen": func(t *testing.T) lifecycle.Instance { // the call is under way
			i := ready(t)
			_, err := i.Freeze()
			require.NoError(t, err)
			return i
		},
		"released": func(t *testing.T) lifecycle.Instance {
			i := ready(t)
			calls, err := i.Unsubscribe(second)
			require.NoError(t, err)
			apply(&i, calls)
			return i
		},
		"failed": func(*testing.T) lifecycle.Instance {
			i, calls := lifecycle.New(first, marketplaceapi.ChargingPeriod, lifecycle.Product{}, bought, expiry)
			i.GaveUp(calls[0])
			return i
		},
	}
	moves := map[string]func(i *lifecycle.Instance) ([]lifecycle.Call, error){
		"renew":    func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Renew(second, expiry.AddDate(1, 0, 0)) },
		"upgrade":  func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Upgrade(second) },
		"freeze":   func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Freeze() },
		"unfreeze": func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Unfreeze() },
		"release":  func(i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Unsubscribe(second) },
	}
	legal := map[string]string{ // what each status allows
		"creating":       "",
		"opening":        "",
		"ready":          "renew upgrade freeze release",
		"ready one-time": "freeze release",
		"expired":        "renew release",
		"violating":      "renew unfreeze release",
		"being frozen":   "renew unfreeze release",
		"released":       "",
		"failed":         "",
	}
	require.Len(t, legal, len(states))
	for state, make := range states {
		for move, do := range moves {
			t.Run(state+"/"+move, func(t *testing.T) {
				t.Parallel()
				i := make(t)
				before := i
				calls, err := do(&i)
				if strings.Contains(" "+legal[state]+" ", " "+move+" ") {
					require.NoError(t, err)
					require.NotEmpty(t, calls)
					return
				}
				var illegal *lifecycle.IllegalMoveError
				require.ErrorAs(t, err, &illegal)
				require.Equal(t, move, illegal.Move)
				require.Equal(t, before, i, "a refused move changes nothing")
			})
		}
	}
}

func TestInstance_GaveUp(t *testing.T) {
	t.Parallel()
	i, calls := lifecycle.New(first, marketplaceapi.ChargingPeriod, lifecycle.Product{}, bought, expiry)
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
		if hook.Post.Class == "kit" || hook.Post.Class == "license" || retry.Every == "never" {
			continue // the sandbox makes no such call yet
		}
		table := lifecycle.TimetableOf(providerapi.Activity(name))
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
	require.GreaterOrEqual(t, compared, 7)
}

func mustDuration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return d
}
