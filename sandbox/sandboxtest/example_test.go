package sandboxtest_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/isvkit/isvkit/sandbox/sandboxtest"
	"github.com/isvkit/isvkit/sdk/provider"
)

// crm is the ISV under test.
type crm struct{}

func (crm) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	if _, err := call.OrderLine(ctx); err != nil {
		return provider.Instance{}, err
	}
	return provider.Instance{ID: call.SuggestedID()}, nil
}

func (crm) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range call.InstanceIDs() {
		infos = append(infos, provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://crm.example.com"}})
	}
	return infos, nil
}

func (crm) RefreshInstance(context.Context, provider.RefreshInstance) error           { return nil }
func (crm) UpdateInstanceStatus(context.Context, provider.UpdateInstanceStatus) error { return nil }
func (crm) ReleaseInstance(context.Context, provider.ReleaseInstance) error           { return nil }
func (crm) UpgradeInstance(context.Context, provider.UpgradeInstance) error           { return nil }

// newCRM makes the ISV's handler, as its main does.
func newCRM(env sandboxtest.Env) http.Handler {
	h, err := provider.NewHandler(crm{}, provider.Config{
		BaseKeys: []string{env.Keys.BaseKey}, Market: env.Client, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return h
}

var t *testing.T // go test gives it to every test

func ExampleStart() {
	// func TestAYearOfLife(t *testing.T) {
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM))
	inst := m.Buy(t, sandboxtest.Period(1, "year")).Ready(t)
	m.Advance(t, 366*24*time.Hour)
	inst.Is(t, sandboxtest.Frozen)
}

func ExampleMarket_Fault() {
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM))
	m.Fault(t, sandboxtest.Fault{Kind: "drop-answer", Activity: "newInstance"}) // the ISV has done it, and nobody heard
	order := m.Buy(t)
	m.Advance(t, 61*time.Minute) // so the marketplace calls again
	order.Ready(t)
}

func ExampleStartingAt() {
	leapDay := time.Date(2028, 2, 29, 3, 0, 0, 0, time.UTC)
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM), sandboxtest.StartingAt(leapDay), sandboxtest.Held())
	m.Buy(t, sandboxtest.Period(1, "year")).Ready(t)
	m.Until(t, leapDay.AddDate(1, 0, 1))
}
