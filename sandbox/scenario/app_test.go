package scenario_test

import (
	"context"
	"sync"

	"github.com/isvkit/isvkit/sdk/provider"
)

// app is a right ISV in a few lines.
type app struct {
	mu        sync.Mutex
	instances map[string]bool
}

func newApp() *app { return &app{instances: map[string]bool{}} }

func (a *app) NewInstance(_ context.Context, call provider.NewInstance) (provider.Instance, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.instances[call.SuggestedID()] = true
	return provider.Instance{ID: call.SuggestedID()}, nil
}

func (a *app) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range call.InstanceIDs() {
		infos = append(infos, provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://app.example.com"}})
	}
	return infos, nil
}

func (a *app) RefreshInstance(context.Context, provider.RefreshInstance) error { return nil }

func (a *app) UpdateInstanceStatus(context.Context, provider.UpdateInstanceStatus) error { return nil }

func (a *app) ReleaseInstance(context.Context, provider.ReleaseInstance) error { return nil }
