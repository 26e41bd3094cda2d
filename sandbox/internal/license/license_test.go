package license_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

var (
	bought  = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	expiry  = time.Date(2027, 1, 1, 15, 59, 59, 0, time.UTC)
	later   = time.Date(2028, 1, 1, 15, 59, 59, 0, time.UTC)
	renewal = lifecycle.Order{OrderID: "CS-renew", OrderLineID: "CS-renew-000001"}
	leaving = lifecycle.Order{OrderID: "CS-leave", OrderLineID: "CS-leave-000001"}
)

// states are licences in every state there is, each made by the moves that lead to it.
func states(t *testing.T) map[string]license.License {
	t.Helper()
	base := license.License{Code: "PL1", OrderID: "CS1", OrderLineID: "CS1-000001", ProductID: "yearly", Period: "1y"}
	ordered := license.New(base, bought, false)
	issued := license.New(base, bought, true)
	frozen := issued
	_, err := frozen.Freeze()
	require.NoError(t, err)
	alive := issued
	require.NoError(t, alive.Activate(bought, expiry))
	renewed := alive
	_, err = renewed.Renew(renewal, later, "yearly")
	require.NoError(t, err)
	violating := alive
	_, err = violating.Freeze()
	require.NoError(t, err)
	expired := alive
	require.Len(t, expired.Tick(expiry), 1)
	both := violating
	require.Empty(t, both.Tick(expiry), "it is frozen already")
	released := alive
	_, err = released.Unsubscribe(leaving)
	require.NoError(t, err)
	forever := base
	forever.Period = ""
	forever = license.New(forever, bought, true)
	require.NoError(t, forever.Activate(bought, time.Time{}))
	return map[string]license.License{
		"ordered": ordered, "issued": issued, "issued, frozen": frozen, "alive": alive, "renewed": renewed, "alive, frozen": violating,
		"expired": expired, "expired, frozen": both, "released": released, "for ever": forever,
	}
}

// TestLicense_Moves is the table of states and moves: what a move yields, or why it is refused.
func TestLicense_Moves(t *testing.T) {
	t.Parallel()
	moves := map[string]func(l *license.License) ([]lifecycle.Call, error){
		"hand over": func(l *license.License) ([]lifecycle.Call, error) { return nil, l.HandOver() },
		"activate":  func(l *license.License) ([]lifecycle.Call, error) { return nil, l.Activate(bought, expiry) },
		"renew":     func(l *license.License) ([]lifecycle.Call, error) { return l.Renew(renewal, later, "yearly") },
		"cancel":    func(l *license.License) ([]lifecycle.Call, error) { return l.CancelRenewal(leaving, bought) },
		"freeze":    func(l *license.License) ([]lifecycle.Call, error) { return l.Freeze() },
		"unfreeze":  func(l *license.License) ([]lifecycle.Call, error) { return l.Unfreeze() },
		"leave":     func(l *license.License) ([]lifecycle.Call, error) { return l.Unsubscribe(leaving) },
		"expiry":    func(l *license.License) ([]lifecycle.Call, error) { return l.Tick(expiry), nil },
		"15 days": func(l *license.License) ([]lifecycle.Call, error) {
			return l.Tick(expiry.Add(lifecycle.Retention)), nil
		},
	}
	const refused = "refused: "
	// For each state and move: the status afterwards and the calls, or the hint of the refusal.
	table := map[string]map[string][]string{
		"ordered": {
			"hand over": {"issued"}, "activate": {refused, "not received it yet"}, "renew": {refused, "when it is activated"}, "cancel": {refused, "when it is activated"},
			"freeze": {refused, "not received it yet"}, "unfreeze": {refused, "not frozen"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"ordered"}, "15 days": {"ordered"},
		},
		"issued": {
			"hand over": {refused, "has it already"}, "activate": {"alive"}, "renew": {refused, "when it is activated"}, "cancel": {refused, "when it is activated"},
			"freeze": {"issued", "FREEZE"}, "unfreeze": {refused, "not frozen"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"issued"}, "15 days": {"issued"},
		},
		"issued, frozen": {
			"hand over": {refused, "has it already"}, "activate": {refused, "violation"}, "renew": {refused, "when it is activated"}, "cancel": {refused, "when it is activated"},
			"freeze": {refused, "frozen already"}, "unfreeze": {"issued", "UNFREEZE"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"issued"}, "15 days": {"issued"},
		},
		"alive": {
			"hand over": {refused, "has it already"}, "activate": {refused, "done once"}, "renew": {"alive", "refreshLicenseCode"}, "cancel": {refused, "was not renewed"},
			"freeze": {"alive", "FREEZE"}, "unfreeze": {refused, "not frozen"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"expired", "FREEZE"}, "15 days": {"expired", "FREEZE"},
		},
		"renewed": {
			"hand over": {refused, "has it already"}, "activate": {refused, "done once"}, "renew": {"alive", "refreshLicenseCode"}, "cancel": {"alive", "refreshLicenseCode"},
			"freeze": {"alive", "FREEZE"}, "unfreeze": {refused, "not frozen"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"alive"}, "15 days": {"alive"},
		},
		"alive, frozen": {
			"hand over": {refused, "has it already"}, "activate": {refused, "violation"}, "renew": {"alive", "refreshLicenseCode"}, "cancel": {refused, "was not renewed"},
			"freeze": {refused, "frozen already"}, "unfreeze": {"alive", "UNFREEZE"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"expired"}, "15 days": {"expired"},
		},
		"expired": {
			"hand over": {refused, "has it already"}, "activate": {refused, "done once"}, "renew": {"alive", "refreshLicenseCode", "UNFREEZE"}, "cancel": {refused, "was not renewed"},
			"freeze": {refused, "frozen already"}, "unfreeze": {refused, "renew it"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"expired"}, "15 days": {"released", "releaseLicenseCode"},
		},
		"expired, frozen": {
			"hand over": {refused, "has it already"}, "activate": {refused, "violation"}, "renew": {"alive", "refreshLicenseCode"}, "cancel": {refused, "was not renewed"},
			"freeze": {refused, "frozen already"}, "unfreeze": {"expired"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"expired"}, "15 days": {"released", "releaseLicenseCode"},
		},
		"released": {
			"hand over": {refused, "place a new order"}, "activate": {refused, "place a new order"}, "renew": {refused, "place a new order"}, "cancel": {refused, "place a new order"},
			"freeze": {refused, "place a new order"}, "unfreeze": {refused, "place a new order"}, "leave": {refused, "place a new order"}, "expiry": {"released"}, "15 days": {"released"},
		},
		"for ever": {
			"hand over": {refused, "has it already"}, "activate": {refused, "done once"}, "renew": {refused, "never expires"}, "cancel": {refused, "never expires"},
			"freeze": {"alive", "FREEZE"}, "unfreeze": {refused, "not frozen"}, "leave": {"released", "releaseLicenseCode"}, "expiry": {"alive"}, "15 days": {"alive"},
		},
	}
	all := states(t)
	require.Len(t, table, len(all))
	for state, row := range table {
		require.Len(t, row, len(moves), state)
		for move, want := range row {
			t.Run(state+"/"+move, func(t *testing.T) {
				t.Parallel()
				l, found := all[state]
				require.True(t, found)
				before := l
				calls, err := moves[move](&l)
				if want[0] == refused {
					var illegal *license.IllegalMoveError
					require.ErrorAs(t, err, &illegal)
					require.Contains(t, err.Error(), want[1])
					require.Equal(t, before, l, "a refused move changes nothing")
					return
				}
				require.NoError(t, err)
				require.Equal(t, want[0], string(l.Status))
				require.Equal(t, want[1:], names(t, calls))
			})
		}
	}
}

// names are what calls are: their activity, or the status that they set. Each must be as the contract says.
func names(t *testing.T, calls []lifecycle.Call) []string {
	t.Helper()
	list := []string{}
	for _, c := range calls {
		body, err := json.Marshal(c.Body)
		require.NoError(t, err)
		schema, err := contract.Provider().Call(string(c.Activity))
		require.NoError(t, err)
		require.Empty(t, schema.Violations(body), "%s", body)
		if status, ok := c.Body.(providerapi.UpdateLicenseCodeStatusCall); ok {
			list = append(list, string(status.Status))
			continue
		}
		list = append(list, string(c.Activity))
	}
	return list
}

func TestLicense_CancelledRenewalGivesTheOldExpiryBack(t *testing.T) {
	t.Parallel()
	l := states(t)["alive"]
	calls, err := l.Renew(renewal, later, "monthly")
	require.NoError(t, err)
	body, _ := calls[0].Body.(providerapi.RefreshLicenseCodeCall)
	require.Equal(t, "monthly", body.ProductID, "the kind of period changed")
	require.Equal(t, "20280101155959", body.ExpireTime)
	require.Equal(t, later, l.ExpireTime)

	within := l
	_, err = within.CancelRenewal(leaving, expiry)
	require.ErrorContains(t, err, "the renewed time has begun")
	calls, err = l.CancelRenewal(leaving, expiry.Add(-time.Second))
	require.NoError(t, err)
	body, _ = calls[0].Body.(providerapi.RefreshLicenseCodeCall)
	require.Equal(t, providerapi.RefreshLicenseCodeCall{
		Activity: "refreshLicenseCode", Scene: "UNSUBSCRIBE_RENEWAL_PERIOD", OrderID: "CS-leave", OrderLineID: "CS-leave-000001", License: "PL1",
		ProductID: "yearly", ExpireTime: "20270101155959",
	}, body)
	require.Equal(t, expiry, l.ExpireTime)
	require.Equal(t, expiry, l.Timer())
}

func TestLicense_ReleaseNamesTheOrderOnlyIfThereIsOne(t *testing.T) {
	t.Parallel()
	l := states(t)["alive"]
	calls, err := l.Unsubscribe(leaving)
	require.NoError(t, err)
	require.Equal(t, "CS-leave", calls[0].OrderID)
	l = states(t)["expired"]
	require.Equal(t, expiry.Add(lifecycle.Retention), l.Timer())
	require.Empty(t, l.Tick(l.Timer().Add(-time.Second)))
	calls = l.Tick(l.Timer())
	require.Equal(t, providerapi.ReleaseLicenseCodeCall{Activity: "releaseLicenseCode", License: "PL1"}, calls[0].Body)
	require.Equal(t, sandboxapi.LicenseReleased, l.Status)
	require.Zero(t, l.Timer())
}

func TestLicense_Answers(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]struct{ activate, heartbeat, status string }{
		"ordered":         {"92020004", "92020004", ""},
		"issued":          {"", "92020011", ""},
		"issued, frozen":  {"92020003", "92020011", ""},
		"alive":           {"92020003", "", "ALIVE"},
		"renewed":         {"92020003", "", "ALIVE"},
		"alive, frozen":   {"92020003", "", "EXPIRED"},
		"expired":         {"92020003", "", "EXPIRED"},
		"expired, frozen": {"92020003", "", "EXPIRED"},
		"released":        {"92020003", "", "RELEASED"},
		"for ever":        {"92020003", "", "ALIVE"},
	} {
		l, found := states(t)[state]
		require.True(t, found, state)
		require.Equal(t, want.activate, l.ActivateCode(), state)
		status, code := l.Heartbeat()
		require.Equal(t, want.heartbeat, code, state)
		require.EqualValues(t, want.status, status, state)
		copied := l
		require.Equal(t, want.activate == "", copied.Activate(bought, expiry) == nil, "%s: the code and the move agree", state)
	}
}
