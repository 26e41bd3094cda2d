package mutant

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

// Keys are what an ISV and its marketplace share.
type Keys struct {
	Base, General, Kit, V1, License string // access keys
	AK, SK                          string
}

// ISV is a right ISV, whose parts a mutant can replace before it serves.
type ISV struct {
	Keys      Keys
	MarketURL string
	App       *App
	Handler   http.Handler

	kitV1 bool // a mutant of kit calls is one of V1
}

// App is the product of the right ISV. Its fields are the ways in which right ISVs differ.
type App struct {
	market *marketplace.Client

	// Slow answers newInstance with 000004, and queryInstance too, this many times.
	Slow int
	// ID chooses the id of a new instance. nil: SuggestedID.
	ID func(call provider.NewInstance) string
	// ForgetsReleases answers 000003 to the release of what is released.
	ForgetsReleases bool
	// HidesKnown answers 000003 to a query in which any instance is unknown.
	HidesKnown bool
	// Quiet pushes no usage.
	Quiet bool

	// The next ones are wrong, each in one way.
	incurious         bool // does not ask for orders
	keepsReleased     bool // releases nothing
	freezeHides       bool // a frozen instance is gone until it is unfrozen
	releasesOrder     bool // releases every instance of the order
	upgradeRenames    bool // an upgraded instance gets another id
	distrustsReleases bool // refuses the release of what is not there, as an internal error

	givesUp           bool // pushes usage once, also if that was answered with an error
	givesUpRecords    bool // pushes a record once, also if it was refused
	trusting          bool // makes instances for orders that it could not read
	incuriousUpgrades bool // does not ask for the orders of upgrades
	incuriousNotices  bool // does not ask for the orders of notices
	noticesRelease    bool // releases what a notice is about

	// dislikes refuses orders.
	dislikes func(marketplaceapi.OrderInfo) bool

	// spoil changes the usage record before it is pushed.
	spoil func(*marketplaceapi.UsageRecord)

	mu        sync.Mutex
	instances map[string]*instance
	seen      map[string]bool // what kit mutants were told about
}

type instance struct {
	orderID string
	mode    marketplaceapi.ChargingMode
	waits   int
	frozen  bool
	metered bool                        // its usage was taken, or given up
	usage   *marketplaceapi.UsageRecord // that is to be pushed
}

// New makes a right ISV that asks the marketplace at an address.
func New(keys Keys, marketURL string) (*ISV, error) {
	market, err := marketplace.New(marketplace.Config{
		URL: marketURL, Credentials: signature.Credentials{AK: keys.AK, SK: keys.SK}, BaseKey: keys.Base, RetryMax: -1,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	isv := &ISV{Keys: keys, MarketURL: marketURL, App: &App{market: market, instances: map[string]*instance{}}}
	isv.Handler, err = isv.serve(keys.Base)
	return isv, err
}

// serve makes the handler, for the key that it verifies with.
func (i *ISV) serve(key string) (http.Handler, error) {
	return i.serveWith(key, func(*provider.Config) {})
}

// serveWith is serve with a change of the configuration.
func (i *ISV) serveWith(key string, change func(*provider.Config)) (http.Handler, error) {
	cfg := provider.Config{
		BaseKeys: []string{key}, GeneralKeys: []string{i.Keys.General}, Market: i.App.market, Logger: slog.New(slog.DiscardHandler),
		KitKeys: []string{i.Keys.Kit}, KitSecret: kitSecret(), LicenseKeys: []string{i.Keys.License}, V1: provider.V1Config{Keys: []string{i.Keys.V1}},
	}
	change(&cfg)
	h, err := provider.NewHandler(i.App, cfg)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			r = r.WithContext(context.WithValue(r.Context(), byV1{}, true))
		}
		h.ServeHTTP(w, r)
	}), nil
}

// byV1 is in the context of V1 base calls. They push no usage: the marketplace learns of an instance from the answer, which V1 fills by
// asking the instance, so it would be pushed too early.
type byV1 struct{}

// NewInstance implements provider.Application.
func (a *App) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	mode := marketplaceapi.ChargingPeriod
	if !a.incurious {
		line, err := call.OrderLine(ctx)
		if err != nil && !a.trusting {
			return provider.Instance{}, err
		}
		if err == nil {
			mode = line.ChargingMode
		}
		if a.dislikes != nil {
			if order, err := call.Order(ctx); err != nil || a.dislikes(*order) {
				return provider.Instance{}, &provider.Error{Code: providerapi.ResultInternalError, Message: "cannot be done"}
			}
		}
	}
	id := call.RememberedID()
	if id == "" {
		id = call.SuggestedID()
		if a.ID != nil {
			id = a.ID(call)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.instances[id] == nil {
		a.instances[id] = &instance{orderID: call.OrderID, mode: mode, waits: a.Slow}
	}
	if a.instances[id].waits > 0 {
		if ctx.Value(byV1{}) != nil { // V1 calls again, where V2 asks
			a.instances[id].waits--
		}
		return provider.Instance{ID: id}, provider.ErrInProgress
	}
	return provider.Instance{ID: id}, nil
}

// QueryInstance implements provider.Application.
func (a *App) QueryInstance(ctx context.Context, call provider.QueryInstance) ([]provider.InstanceInfo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var infos []provider.InstanceInfo
	for _, id := range call.InstanceIDs() {
		i := a.instances[id]
		if i == nil || i.frozen && a.freezeHides {
			if a.HidesKnown {
				return nil, provider.ErrInstanceNotFound
			}
			continue
		}
		if i.waits > 0 {
			i.waits--
			return nil, provider.ErrInProgress
		}
		info := provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{
			FrontEndURL: "https://app.example.com/" + id, AdminURL: "https://app.example.com/admin", UserName: "admin", Password: "at-first-login", Memo: "欢迎",
		}}
		if i.mode == marketplaceapi.ChargingOnDemand || i.mode == marketplaceapi.ChargingPackage {
			info.UsageInfo = []provider.UsageInfo{{UsageValue: json.Number("12.5"), StatisticalTime: provider.FormatStatisticalTime(time.Now())}}
		}
		if i.mode == marketplaceapi.ChargingOnDemand && !i.metered && !a.Quiet && ctx.Value(byV1{}) == nil {
			i.metered = a.push(ctx, id, i)
		}
		infos = append(infos, info)
	}
	if infos == nil {
		return nil, provider.ErrInstanceNotFound
	}
	return infos, nil
}

// push reports a second of usage, the same one until it is taken. It tells whether there is no more to push.
func (a *App) push(ctx context.Context, id string, i *instance) bool {
	if i.usage == nil {
		begin := time.Now().UTC().Truncate(time.Second)
		i.usage = &marketplaceapi.UsageRecord{
			InstanceID: id, BeginTime: begin.Format("20060102T150405Z"), EndTime: begin.Add(time.Second).Format("20060102T150405Z"),
			RecordTime: begin.Format("20060102T150405Z"), UsageValue: "0.25", MeteringSN: id[:min(len(id), 40)] + begin.Format("150405"),
		}
		if a.spoil != nil {
			a.spoil(i.usage)
		}
	}
	result, err := a.market.PushUsage(ctx, []marketplaceapi.UsageRecord{*i.usage})
	if err != nil {
		return a.givesUp
	}
	passes := func(r marketplace.Rejected) bool { return r.Code == marketplaceapi.RecordInstanceState }
	return a.givesUpRecords || !slices.ContainsFunc(result.Rejected, passes)
}

// RefreshInstance implements provider.Application.
func (a *App) RefreshInstance(_ context.Context, call provider.RefreshInstance) error {
	return a.with(call.InstanceID, func(*instance) {})
}

// UpdateInstanceStatus implements provider.Application.
func (a *App) UpdateInstanceStatus(_ context.Context, call provider.UpdateInstanceStatus) error {
	return a.with(call.InstanceID, func(i *instance) { i.frozen = call.Status == providerapi.StatusFreeze })
}

// ReleaseInstance implements provider.Application.
func (a *App) ReleaseInstance(_ context.Context, call provider.ReleaseInstance) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.instances[call.InstanceID]
	switch {
	case i == nil && a.distrustsReleases:
		return &provider.Error{Code: providerapi.ResultInternalError, Message: "no such instance"}
	case i == nil && a.ForgetsReleases:
		return provider.ErrInstanceNotFound
	case i == nil || a.keepsReleased:
		return nil
	}
	delete(a.instances, call.InstanceID)
	for id, other := range a.instances {
		if a.releasesOrder && other.orderID == i.orderID {
			delete(a.instances, id)
		}
	}
	return nil
}

// UpgradeInstance implements provider.Upgrader.
func (a *App) UpgradeInstance(ctx context.Context, call provider.UpgradeInstance) error {
	if !a.incuriousUpgrades {
		if _, err := call.OrderLine(ctx); err != nil {
			return err
		}
	}
	return a.with(call.InstanceID, func(i *instance) {
		if a.upgradeRenames {
			delete(a.instances, call.InstanceID)
			a.instances[call.InstanceID+"-2"] = i
		}
	})
}

// CheckChange implements provider.ChangeChecker.
func (a *App) CheckChange(_ context.Context, call provider.ChangeCheck) error {
	product, err := call.Product()
	if err != nil {
		return err
	}
	return a.with(call.InstanceID, func(*instance) { _ = product })
}

// OrderNotify implements provider.OrderNotified.
func (a *App) OrderNotify(ctx context.Context, call provider.OrderNotify) error {
	if a.incuriousNotices {
		return nil
	}
	_, err := call.Order(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, i := range a.instances {
		if a.noticesRelease && i.orderID == call.OrderID {
			delete(a.instances, id)
		}
	}
	return err
}

func (a *App) with(id string, do func(*instance)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.instances[id]
	if i == nil {
		return provider.ErrInstanceNotFound
	}
	do(i)
	return nil
}

// known reports whether an instance exists.
func (a *App) known(ids ...string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id string) bool { return a.instances[id] == nil })
}

// mode is the charging mode of an instance.
func (a *App) mode(id string) marketplaceapi.ChargingMode {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.instances[id]; i != nil {
		return i.mode
	}
	return ""
}
