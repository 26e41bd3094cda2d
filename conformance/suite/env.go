package suite

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sdk/secret"
)

// Market is the marketplace that the ISV under test asks for orders and pushes usage to.
type Market interface {
	// RegisterOrder makes the order query answer this order.
	RegisterOrder(ctx context.Context, order marketplaceapi.OrderInfo) error
	// RegisterInstance tells which instance an order line got, so that usage pushed for it counts.
	RegisterInstance(ctx context.Context, orderLineID, instanceID string) error
	// UsageRecords are the latest records that were pushed.
	UsageRecords(ctx context.Context, limit int) ([]sandboxapi.UsageRecord, error)
}

// Exchange is one request that the ISV made to the marketplace.
type Exchange struct {
	Time         time.Time
	Operation    string // queryOrder, pushUsage, pushUsageOld and so on; empty for anything else
	Method       string
	Path         string
	Query        string
	SellerID     string // whose signature it has; empty if none was verified
	RequestBody  []byte
	Status       int
	ResponseBody []byte
	Code         string // MKT.0000, APIGW.0301 and so on
	Detail       string // why it was refused, for people
	Fault        string // the sandbox's fault that disturbed it; a judge has none
	OrderID      string
}

// Env is what the checks of one run share.
type Env struct {
	Target     string   // the production address
	Replicas   []string // further addresses of the same ISV
	Seed       uint64   // of the ids that the checks make up
	BaseKey    string
	GeneralKey string // of order notify; needed with the capability OrderNotify
	KitKey     string // of the kit calls of V2; needed with the capability Kit, and so is KitPublicKey
	V1Key      string // of V1; needed with the capability V1
	LicenseKey string // of licence calls; needed with the capability Licences
	SK         string // that the ISV signs with, to recognise it where it does not belong
	// KitPublicKey encrypts client secrets.
	KitPublicKey *rsa.PublicKey

	Client    *http.Client
	Market    Market
	MarketURL string // where the ISV finds the marketplace, for messages
	Charging  []string
	With      []string
	// Readings are by entry of the register of ambiguities, where they differ from the one taken.
	Readings map[string]string

	AnswerLimit time.Duration // within which an answer must come
	ReadyLimit  time.Duration // within which a new instance must become ready
	UsageWait   time.Duration // how long to wait for a usage push
	UsageRetry  time.Duration // within which a refused push must come again; it is not judged where UsageWait is shorter
	PollEvery   time.Duration // first interval between two queries for an instance that is not ready

	mu        sync.Mutex
	exchanges []Exchange
	calls     []callRecord
	opened    []string // order ids of real newInstance calls that succeeded
	pushed    chan struct{}
	disturbed map[string]*struckOff // by order or instance
	released  map[string]time.Time  // instances that a real call has released
	metered   map[string]bool       // order lines that usage is pushed for
	invented  []string              // instances that debug calls have made up
	clock     clock                 // of the ISV

	shared, target common

	tourOnce sync.Once
	tour     []stop

	kitOnce    sync.Once
	kitTenant  tenant
	kitErr     string
	kitDigests secret.Digests // that the ISV was found to take
	kitTour    onceTour

	v1 v1World
}

// callRecord is one exchange with the ISV, for the checks that judge all of them.
type callRecord struct {
	what     string
	answer   *Answer
	duration time.Duration
}

// Open makes an Env ready for its checks.
func (e *Env) Open() *Env {
	e.released, e.metered, e.disturbed = map[string]time.Time{}, map[string]bool{}, map[string]*struckOff{}
	return e
}

// Observe records a request that the ISV made to the marketplace.
func (e *Env) Observe(x Exchange) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.exchanges = append(e.exchanges, x)
	if x.Operation == opPush || x.Operation == opPushOld {
		select {
		case e.pushedLocked() <- struct{}{}:
		default:
		}
	}
}

const (
	opQuery   = "queryOrder"
	opPush    = "pushUsage"
	opPushOld = "pushUsageOld"
)

func (e *Env) pushedLocked() chan struct{} {
	if e.pushed == nil {
		e.pushed = make(chan struct{}, 1)
	}
	return e.pushed
}

// observed are the requests seen so far that keep wants.
func (e *Env) observed(keep func(Exchange) bool) []Exchange {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []Exchange
	for _, x := range e.exchanges {
		if keep(x) {
			found = append(found, x)
		}
	}
	return found
}

func (e *Env) record(what string, a *Answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, callRecord{what, a, a.Duration})
}

func (e *Env) recorded() []callRecord {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]callRecord(nil), e.calls...)
}

func (e *Env) releasedAt() map[string]time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.released)
}

// invent remembers an instance that only debug calls know.
func (e *Env) invent(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invented = append(e.invented, id)
}

func (e *Env) inventedIDs() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.invented)
}

func (e *Env) markOpened(orderID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened = append(e.opened, orderID)
}

func (e *Env) openedOrders() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.opened...)
}

// AwaitUsage keeps an on-demand or package instance open until a usage push came in, or UsageWait is over. It does nothing
// where usage is not charged.
func (e *Env) AwaitUsage(ctx context.Context) {
	mode := (&Check{Charging: []string{OnDemand, Package}}).Mode(e.Charging)
	if mode == "" || e.UsageWait <= 0 {
		return
	}
	e.mu.Lock()
	pushed := e.pushedLocked()
	e.mu.Unlock()
	open := Check{ID: "the wait for usage", Run: func(ctx context.Context, c *Case) { c.Open(ctx) }}
	if result := Execute(ctx, e, &open, mode); result.Status != Pass {
		return
	}
	timer := time.NewTimer(e.UsageWait)
	defer timer.Stop()
	select {
	case <-pushed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// newOrder makes an order with n lines; each line buys a product of its own.
func (c *Case) newOrder(kind marketplaceapi.OrderType, n int) marketplaceapi.OrderInfo {
	now := time.Now().UTC()
	id := c.ids.orderID()
	order := marketplaceapi.OrderInfo{
		OrderID:    id,
		OrderType:  kind,
		CreateTime: now.Format("20060102150405"),
		BuyerInfo: marketplaceapi.BuyerInfo{
			CustomerID:       c.ids.hex(16),
			CustomerName:     "conformance_buyer",
			CustomerRealName: "Conformance Buyer",
			MobilePhone:      "13800000000",
			Email:            "buyer@example.com",
		},
	}
	for i := range n {
		line := marketplaceapi.OrderLine{
			OrderLineID: fmt.Sprintf("%s-%06d", id, i+1),
			ProductInfo: []marketplaceapi.ProductInfo{{
				ProductID:   fmt.Sprintf("OFFI%018d", i+1),
				SKUCode:     "0a4d1578-5295-46a7-92d4-7c803dccc51d",
				LinearValue: 10,
				ProductName: "Conformance product, " + c.Mode,
			}},
			Currency:              "100",
			CurrencyAfterDiscount: "100",
		}
		switch c.Mode {
		case OneTime:
			line.ChargingMode = marketplaceapi.ChargingOneTime
		case OnDemand:
			line.ChargingMode = marketplaceapi.ChargingOnDemand
		case Package:
			line.ChargingMode = marketplaceapi.ChargingPackage
			line.PeriodType, line.PeriodNumber = marketplaceapi.PeriodYear, 1
			line.ExpireTime = now.AddDate(1, 0, 0).Format("20060102150405")
		default:
			line.ChargingMode = marketplaceapi.ChargingPeriod
			line.PeriodType, line.PeriodNumber = marketplaceapi.PeriodYear, 1
			line.ExpireTime = now.AddDate(1, 0, 0).Format("20060102150405")
		}
		order.OrderLine = append(order.OrderLine, line)
	}
	return order
}

// randomNonce makes a nonce.
func randomNonce() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // crypto/rand never fails
	return hex.EncodeToString(b)
}

// Reach makes one signed debug call, whose answer does not matter. The error says why there was none.
func (e *Env) Reach(ctx context.Context) error {
	c := e.newCase("reach", "")
	a, err := e.exchange(ctx, curl.Request{URL: e.Target, Body: queryInstance(c.uuid()).Debug().Text()})
	if err != nil {
		return err
	}
	return a.Err
}
