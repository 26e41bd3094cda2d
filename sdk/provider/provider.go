package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/secret"
	"github.com/isvkit/isvkit/sdk/signature"
)

// Application is what an ISV implements. Methods are called at the same time by many goroutines, with calls that were verified
// and compared with the contract, never with debug calls. The context ends after Config.Timeout: obey it, because no other
// goroutine answers instead.
//
// A nil error is answered 000000, an [Error] its code, any other error 000005. Start slow work, answer [ErrInProgress], and let
// it go on in the background of the program.
type Application interface {
	// NewInstance creates an instance, or starts to. It is called once for an order line at a time, again after a
	// failure and after ErrInProgress, and not again after success. With ErrInProgress an Instance can be returned too.
	NewInstance(ctx context.Context, call NewInstance) (Instance, error)

	// QueryInstance returns one entry for each instance asked for. Leave out those that do not exist; no entry at all is
	// answered 000003, like ErrInstanceNotFound. Answer ErrInProgress for one that is not open yet. Entries that were not
	// asked for do not get into the answer.
	QueryInstance(ctx context.Context, call QueryInstance) ([]InstanceInfo, error)

	// RefreshInstance sets the expiry to call.Expiry. Repeats must change nothing.
	RefreshInstance(ctx context.Context, call RefreshInstance) error

	// UpdateInstanceStatus freezes (the buyer loses access, the data stays) or unfreezes. Repeats succeed.
	UpdateInstanceStatus(ctx context.Context, call UpdateInstanceStatus) error

	// ReleaseInstance deletes an instance. Repeats should succeed; ErrInstanceNotFound is a documented answer as well.
	ReleaseInstance(ctx context.Context, call ReleaseInstance) error
}

// Upgrader is an Application whose product offers up- or downgrades.
type Upgrader interface {
	// UpgradeInstance changes the instance to what the order bought. The same order again must not upgrade twice.
	UpgradeInstance(ctx context.Context, call UpgradeInstance) error
}

// ChangeChecker is an Application that wants a word before a buyer renews with a change.
type ChangeChecker interface {
	// CheckChange allows the change with nil and refuses it with any error; the buyer is waiting.
	CheckChange(ctx context.Context, call ChangeCheck) error
}

// OrderNotified is an Application that wants to hear of orders. It needs Config.GeneralKeys.
type OrderNotified interface {
	// OrderNotify tells that an order exists. It may come more than once.
	OrderNotify(ctx context.Context, call OrderNotify) error
}

// Config is how a handler is set up. Only BaseKeys, or V1.Keys, is required.
//
// Every list of keys may have several while a key is being changed: put the new one in, change it at the marketplace, and take
// the old one out. The marketplace forbids one key in two interface classes of V2, and so does NewHandler.
type Config struct {
	// BaseKeys are the access keys of the base interface class, as text. Several while a key is being changed.
	BaseKeys []string

	// GeneralKeys are the access keys of the general class, which signs orderNotify. None: orderNotify is refused.
	GeneralKeys []string

	// KitKeys are the access keys of the kit class, which signs the five kit calls. None: they are refused.
	KitKeys []string

	// LicenseKeys are the access keys of the license class. None: licence calls are refused.
	LicenseKeys []string

	// KitSecret decrypts the client secret of applicationSync, with the private key whose public half was pasted into the
	// console. nil: applicationSync is answered 000101.
	KitSecret *secret.OAEP

	// V1 turns on the deprecated access interface V1.0 at the same address. Its zero value leaves it off.
	V1 V1Config

	// Explain looks, where a signature does not fit, for the mistake it was made with, and adds it to the log line; the answer
	// stays the same. It costs a few signatures for each wrong one: set it while a marketplace or a gateway is being connected.
	Explain bool

	// Market answers call.Order; usually the client of package marketplace. nil: call.Order fails and says so.
	Market OrderSource

	// Instances remembers which instance id an order line was answered. Default: a [MemoryStore]. Several replicas want a store
	// they share, or an Application that uses SuggestedID and is idempotent itself.
	Instances InstanceStore

	// Nonces remembers nonces, to refuse replays. Default: a [signature.ReplayGuard]. Several replicas want a store they share.
	Nonces signature.NonceStore

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Leeway is how far the timestamp of a call may be from the clock. Default: 60 s, as the vendor's guide says.
	Leeway time.Duration

	// MaxBody is the longest body that is read, in bytes. Default: 1 MiB; the contract's longest base call is about 7 KiB.
	MaxBody int64

	// Timeout is how long an Application may take for one call, and how long a repeat of newInstance waits for the one
	// that is under way. Default: 15 s, because the marketplace gives up after 20 s.
	Timeout time.Duration

	// Logger gets one line per call, with the reason of every refusal. Keys and the contents of AppInfo are never in it.
	// Default: slog.Default(), looked up for each line.
	Logger *slog.Logger

	// DebugInfo makes the entries that answer a debug queryInstance. Default: a made-up address at example.com and a usage
	// of 0. The instance id of the entry is set by the handler.
	DebugInfo func(instanceID string) InstanceInfo
}

// String leaves the keys out.
func (c Config) String() string {
	return fmt.Sprintf("{BaseKeys:%d redacted GeneralKeys:%d redacted KitKeys:%d redacted LicenseKeys:%d redacted V1:%v}",
		len(c.BaseKeys), len(c.GeneralKeys), len(c.KitKeys), len(c.LicenseKeys), c.V1)
}

// Format writes what String returns whatever the verb, so that no way of printing shows the keys.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the keys out.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

const (
	defaultMaxBody = 1 << 20
	defaultTimeout = 15 * time.Second // the marketplace gives up after 20 s (FAQ of the guides V1.0 and V2.0)
)

// NewHandler returns a handler that serves every base call, and orderNotify, with app. app can also be an [Upgrader], a
// [ChangeChecker], an [OrderNotified], a [Kit] or a [Licenser]. The error says which setting makes no sense.
func NewHandler(app Application, cfg Config) (http.Handler, error) {
	if app == nil {
		return nil, errors.New("provider: the Application is nil")
	}
	h, err := newHandler(app, cfg)
	if err != nil { // not a nil *handler in an interface
		return nil, err
	}
	return h, nil
}

func newHandler(app Application, cfg Config) (*handler, error) {
	if len(cfg.BaseKeys) == 0 && len(cfg.V1.Keys) == 0 {
		return nil, errors.New("provider: Config.BaseKeys is empty, expected at least one access key")
	}
	if err := cfg.checkKeys(); err != nil {
		return nil, err
	}
	if cfg.MaxBody < 0 || cfg.Timeout < 0 {
		return nil, fmt.Errorf("provider: Config.MaxBody is %d and Timeout %v, expected 0 (for the default) or more", cfg.MaxBody, cfg.Timeout)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Instances == nil {
		cfg.Instances = NewMemoryStore(0)
	}
	if cfg.Nonces == nil {
		cfg.Nonces = signature.NewReplayGuard(0, cfg.Now)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	h := &handler{app: app, cfg: cfg, flights: make(map[OrderLineKey]*flight)}
	if err := h.takeKeys(); err != nil {
		return nil, err
	}
	return h, nil
}

type keyList struct {
	name  string
	class providerapi.Class
	keys  []string
}

func (c *Config) keyLists() []keyList {
	return []keyList{
		{"BaseKeys", providerapi.ClassBase, c.BaseKeys},
		{"GeneralKeys", providerapi.ClassGeneral, c.GeneralKeys},
		{"KitKeys", providerapi.ClassKit, c.KitKeys},
		{"LicenseKeys", providerapi.ClassLicense, c.LicenseKeys},
	}
}

func (c *Config) checkKeys() error {
	lists := c.keyLists()
	for i, list := range lists {
		for j, key := range list.keys {
			for _, earlier := range lists[:i] {
				if slices.Contains(earlier.keys, key) {
					return fmt.Errorf("provider: Config.%s[%d] is also in %s, expected another key for each interface class", list.name, j, earlier.name)
				}
			}
		}
	}
	return nil
}

// takeKeys makes verifiers of the keys, and forgets the keys, so that no way of printing a handler shows them.
func (h *handler) takeKeys() (err error) {
	lists := h.cfg.keyLists()
	for _, list := range lists {
		if len(list.keys) == 0 {
			continue
		}
		cfg := signature.Config{Keys: list.keys, Now: h.cfg.Now, Leeway: h.cfg.Leeway, Nonces: h.cfg.Nonces}
		switch list.class {
		case providerapi.ClassBase:
			h.base, err = signature.NewBase(cfg)
		case providerapi.ClassGeneral:
			h.general, err = signature.NewBase(cfg)
		case providerapi.ClassKit:
			h.kit, err = signature.NewKit(cfg)
		case providerapi.ClassLicense:
			h.license, err = signature.NewBase(cfg)
		}
		if err != nil {
			return fmt.Errorf("provider: Config.%s: %w", list.name, err)
		}
	}
	if h.v1, err = newV1(h.cfg.V1, h.cfg.Now); err != nil {
		return fmt.Errorf("provider: Config.V1: %w", err)
	}
	if h.cfg.Explain {
		h.explain = h.explainer(lists)
		if h.v1 != nil {
			h.explainV1 = func(q url.Values) string { return findingsText(h.v1.verifier.ExplainQuery(q, otherKeys(lists, "")...)) }
		}
	}
	h.cfg.V1.Keys = nil
	h.cfg.BaseKeys, h.cfg.GeneralKeys, h.cfg.KitKeys, h.cfg.LicenseKeys = nil, nil, nil, nil
	return nil
}

// explainer returns the function that looks for the mistake a signature was made with. It tries the keys of the other classes
// too, because taking one for another is the commonest mistake of all.
func (h *handler) explainer(lists []keyList) func(providerapi.Class, signature.Params, []byte) string {
	return func(class providerapi.Class, params signature.Params, body []byte) string {
		others := otherKeys(lists, class)
		var findings []signature.Finding
		switch verifier := map[providerapi.Class]*signature.Base{providerapi.ClassGeneral: h.general, providerapi.ClassLicense: h.license}[class]; {
		case class == providerapi.ClassKit:
			findings = h.kit.Explain(params, body, others...)
		case verifier != nil:
			findings = verifier.Explain(params, body, others...)
		case h.base != nil:
			findings = h.base.Explain(params, body, others...)
		}
		return findingsText(findings)
	}
}

func otherKeys(lists []keyList, class providerapi.Class) (others []signature.OtherKey) {
	for _, list := range lists {
		for _, key := range list.keys {
			if list.class != class {
				others = append(others, signature.OtherKey{Class: string(list.class), Key: key})
			}
		}
	}
	return others
}

func findingsText(findings []signature.Finding) string {
	var text string
	for _, f := range findings {
		text += "; likely mistake " + string(f.Mistake) + ": " + f.Explanation + "; " + f.Mend
	}
	return text
}
