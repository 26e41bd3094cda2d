// Package probebook tries products out: it makes and keeps debug cases, probes the products that have some, and changes a product's
// status as the rules of package probe say.
package probebook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/probe"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/market"
	"github.com/isvkit/isvkit/sandbox/market/settlement"
	"github.com/isvkit/isvkit/sdk/secret"
)

// KindProbe is the kind of the subjects whose timers are probes: probe/ and the product.
const KindProbe = "probe"

// Subject is the subject of a product's probes.
func Subject(productCode string) string { return KindProbe + "/" + productCode }

// Asker makes a call at once and gives its answer; see package outbox.
type Asker interface {
	Ask(ctx context.Context, about store.About, c lifecycle.Call, debug bool) (store.Call, delivery.Result, error)
}

// Book keeps the debug cases.
type Book struct {
	store    *store.Store
	clock    *clock.Clock
	asker    Asker
	policies *market.Set
}

// New gives a book. set are the policies that there are.
func New(s *store.Store, c *clock.Clock, asker Asker, set *market.Set) *Book {
	return &Book{s, c, asker, set}
}

// rules are those of the market on which a seller is registered.
func (b *Book) rules(tx *store.Tx, sellerID string, now time.Time) (probe.Rules, error) {
	r, err := tx.Registration(sellerID)
	if err != nil {
		return probe.Rules{}, err
	}
	return b.rulesOf(r, now)
}

func (b *Book) rulesOf(r store.Registration, now time.Time) (probe.Rules, error) {
	p, err := settlement.Of(b.policies, r.Market)(now)
	if err != nil {
		return probe.Rules{}, err
	}
	return probe.Of(p), nil
}

// Result is what came of a case.
type Result struct {
	probe.Key
	CallID   int64
	Problems []string // in words; empty: it passed
	Saved    bool

	hung bool // the ISV did not answer in time
}

// Passed tells whether the case passed.
func (r Result) Passed() bool { return len(r.Problems) == 0 }

func (r Result) problem() string { return strings.Join(r.Problems, "; ") }

// call makes the call of a case. An error is about the sandbox; what the ISV does wrong is in the result.
func (b *Book) call(ctx context.Context, p catalogue.Product, key probe.Key, c lifecycle.Call) (Result, error) {
	subject := "case/" + p.Code + "/" + strings.ReplaceAll(key.String(), " ", "/")
	call, answer, err := b.asker.Ask(ctx, store.About{Subject: subject, SellerID: p.SellerID, ProductCode: p.Code}, c, true)
	r := Result{Key: key, CallID: call.ID}
	if err != nil {
		return r, err
	}
	if answer.Outcome == sandboxapi.AttemptSucceeded {
		return r, nil
	}
	r.hung = answer.Outcome == sandboxapi.AttemptTimeout
	r.Problems = append(r.Problems, answer.Detail)
	for _, v := range answer.Violations {
		if !strings.Contains(answer.Detail, v) {
			r.Problems = append(r.Problems, v)
		}
	}
	return r, nil
}

// oneByOne does n cases in their order, as the marketplace does, until the ISV lets one of them wait for its whole time: then the others
// are done side by side, so that an ISV that hangs costs the time of two calls and not of all.
func oneByOne(n int, do func(i int) (Result, error)) ([]Result, error) {
	results, errs := make([]Result, n), make([]error, n)
	for i := range n {
		if results[i], errs[i] = do(i); errs[i] != nil {
			return results[:i], errs[i]
		}
		if !results[i].hung {
			continue
		}
		var others sync.WaitGroup
		for j := i + 1; j < n; j++ {
			others.Go(func() { results[j], errs[j] = do(j) })
		}
		others.Wait()
		break
	}
	return results, errors.Join(errs...)
}

// encrypted gives applicationSync its client secret as the ISV gets it: the console encrypts what was typed in clear.
func encrypted(p catalogue.Product, c lifecycle.Call) (lifecycle.Call, error) {
	body, ok := c.Body.(providerapi.ApplicationSyncCall)
	if !ok {
		return c, nil
	}
	if p.KitPublicKey == "" {
		return c, fmt.Errorf("%w: product %s has no kitPublicKey; paste the ISV's public key, which encrypts the client secret", catalogue.ErrInvalid, p.Code)
	}
	key, err := secret.ParsePublicKey(p.KitPublicKey)
	if err == nil {
		body.ClientSecret, err = secret.EncryptOAEP(key, body.ClientSecret, secret.DigestsJCE)
	}
	c.Body = body
	if err != nil {
		return c, fmt.Errorf("%w: kitPublicKey, or the client secret, of product %s: %w", catalogue.ErrInvalid, p.Code, err)
	}
	return c, nil
}

// Save debugs a case of a product, and saves it if it passes.
func (b *Book) Save(ctx context.Context, productCode string, key probe.Key, parameters map[string]json.RawMessage) (Result, error) {
	p, err := b.store.Product(ctx, productCode)
	if err != nil {
		return Result{}, err
	}
	presets := probe.Needed(p)
	i := slices.IndexFunc(presets, func(c probe.Preset) bool { return c.Key == key })
	if i < 0 {
		names := make([]string, len(presets))
		for i, c := range presets {
			names[i] = c.String()
		}
		return Result{}, fmt.Errorf("%w: activity and scene: product %s has no case %q; it has %s", catalogue.ErrInvalid, p.Code, key, strings.Join(names, ", "))
	}
	preset, err := presets[i].With(p.Access, parameters)
	if err != nil {
		return Result{}, err
	}
	return b.save(ctx, p, preset)
}

func (b *Book) save(ctx context.Context, p catalogue.Product, preset probe.Preset) (Result, error) {
	call, err := encrypted(p, preset.Call)
	if err != nil {
		return Result{}, err
	}
	r, err := b.call(ctx, p, preset.Key, call)
	if err != nil || !r.Passed() {
		return r, err
	}
	now := b.clock.Now()
	r.Saved = true
	return r, b.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutDebugCase(store.DebugCase{ProductCode: p.Code, Key: preset.Key, Call: call, SavedAt: now, CalledAt: now}); err != nil {
			return err
		}
		p, err := tx.Product(p.Code)
		if err != nil {
			return err
		}
		h, err := tx.Health(p.Code)
		if err != nil {
			return err
		}
		h.Saved(now)
		return errors.Join(tx.PutHealth(p.Code, h), b.setTimer(tx, p, h, now))
	})
}

// SaveNeeded debugs every case that a product needs, and saves those that pass.
func (b *Book) SaveNeeded(ctx context.Context, productCode string) ([]Result, error) {
	p, err := b.store.Product(ctx, productCode)
	if err != nil {
		return nil, err
	}
	presets := probe.Needed(p)
	return oneByOne(len(presets), func(i int) (Result, error) {
		r, err := b.save(ctx, p, presets[i])
		if errors.Is(err, catalogue.ErrInvalid) { // one that cannot be made, as a key is missing, says nothing of the others
			r, err = Result{Key: presets[i].Key, Problems: []string{strings.TrimPrefix(err.Error(), catalogue.ErrInvalid.Error()+": ")}}, nil
		}
		return r, err
	})
}

// Overview is all there is to know of a product's debugging.
type Overview struct {
	Product      catalogue.Product
	Saved        []store.DebugCase
	Missing      []probe.Key
	Health       probe.Health
	NextProbe    time.Time // zero: never; for a frozen product it may be when it is delisted
	FailedOrders int       // in this month, and since the product was put on sale
}

// Overview tells which cases a product has and misses, and what its probes have shown.
func (b *Book) Overview(ctx context.Context, productCode string) (o Overview, err error) {
	if o.Product, err = b.store.Product(ctx, productCode); err != nil {
		return o, err
	}
	if o.Saved, err = b.store.DebugCases(ctx, productCode); err != nil {
		return o, err
	}
	o.Missing = missing(o.Product, o.Saved)
	if o.Health, err = b.store.Health(ctx, productCode); err != nil {
		return o, err
	}
	if o.NextProbe, err = b.store.DueTimer(ctx, Subject(productCode)); err != nil {
		return o, err
	}
	from, to := counted(o.Health, b.clock.Now())
	o.FailedOrders, err = b.store.FailedOrders(ctx, productCode, from, to)
	return o, err
}

func missing(p catalogue.Product, saved []store.DebugCase) (keys []probe.Key) {
	for _, c := range probe.Needed(p) {
		if !slices.ContainsFunc(saved, func(s store.DebugCase) bool { return s.Key == c.Key }) {
			keys = append(keys, c.Key)
		}
	}
	return keys
}

// counted is the time whose failed orders count: this month, and no more than since the product was put on sale.
func counted(h probe.Health, now time.Time) (from, to time.Time) {
	from, to = probe.Month(now)
	if h.OnSaleSince.After(from) {
		from = h.OnSaleSince
	}
	return from, to
}

// ErrNoCases says that a product has no saved case, so that there is nothing to probe it with.
var ErrNoCases = errors.New("the product has no saved debug cases")

// Probe probes a product now, whatever its status. It counts like any other probe.
func (b *Book) Probe(ctx context.Context, productCode string) ([]Result, error) {
	p, err := b.store.Product(ctx, productCode)
	if err != nil {
		return nil, err
	}
	cases, err := b.store.DebugCases(ctx, productCode)
	if err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		return nil, ErrNoCases
	}
	registration, err := b.store.Registration(ctx, p.SellerID)
	if err != nil {
		return nil, err
	}
	rules, err := b.rulesOf(registration, b.clock.Now())
	if err != nil {
		return nil, err
	}
	if rules.Probes && rules.Backwards(b.clock.Now()) {
		slices.Reverse(cases)
	}
	results, err := oneByOne(len(cases), func(i int) (Result, error) { return b.call(ctx, p, cases[i].Key, cases[i].Call) })
	if err != nil {
		return nil, err
	}
	return results, b.store.Update(ctx, func(tx *store.Tx) error { return b.probed(tx, productCode, results) })
}

// probed applies a probe.
func (b *Book) probed(tx *store.Tx, productCode string, results []Result) error {
	p, err := tx.Product(productCode)
	if err != nil {
		return err
	}
	h, err := tx.Health(productCode)
	if err != nil {
		return err
	}
	now := b.clock.Now()
	rules, err := b.rules(tx, p.SellerID, now)
	if err != nil {
		return err
	}
	var failed []string
	for _, r := range results {
		if err := tx.CalledDebugCase(productCode, r.Key, now, r.problem()); err != nil {
			return err
		}
		if !r.Passed() {
			failed = append(failed, r.String()+": "+r.Problems[0])
		}
	}
	recovered := !h.LastProbe.IsZero() && !h.LastPassed && len(failed) == 0
	status := h.Probed(rules, p.Status, len(failed) == 0, now)
	if len(failed) > 0 {
		if err := tx.AddEvent(event.ProbeFailed(p.SellerID, p.Code, failed, h.FailedDays, rules.FailingDays, h.Timer(rules, status, len(results), now), now)); err != nil {
			return err
		}
	}
	if recovered {
		if err := tx.AddEvent(event.ProbeRecovered(p.SellerID, p.Code, now)); err != nil {
			return err
		}
	}
	why := map[catalogue.ProductStatus]string{
		catalogue.Frozen: fmt.Sprintf("Its probes failed for %d days in a row. Mend it; the first probe that passes puts it on sale again, and %s without one delist it",
			rules.FailingDays, days(rules)),
		catalogue.OnSale: "Its probe passed again",
	}[status]
	return b.become(tx, p, h, status, why, now)
}

// set gives a product another status than its probes did.
func (b *Book) set(tx *store.Tx, p catalogue.Product, h probe.Health, status catalogue.ProductStatus, why string, now time.Time) error {
	h.Set(status, now)
	return b.become(tx, p, h, status, why, now)
}

// Become gives a product a status for a reason that is known elsewhere.
func (b *Book) Become(tx *store.Tx, p catalogue.Product, status catalogue.ProductStatus, why string, now time.Time) error {
	h, err := tx.Health(p.Code)
	if err != nil {
		return err
	}
	return b.set(tx, p, h, status, why, now)
}

// become writes a product's status, tells of it if it is another one, and sets the timer that goes with it.
func (b *Book) become(tx *store.Tx, p catalogue.Product, h probe.Health, status catalogue.ProductStatus, why string, now time.Time) error {
	if err := tx.PutHealth(p.Code, h); err != nil {
		return err
	}
	if p.Status != status {
		p.Status = status
		kind := map[catalogue.ProductStatus]sandboxapi.EventKind{
			catalogue.OnSale: sandboxapi.EventProductOnSale, catalogue.Frozen: sandboxapi.EventProductFrozen,
			catalogue.Delisted: sandboxapi.EventProductDelisted, catalogue.Stopped: sandboxapi.EventProductStopped, catalogue.Hidden: sandboxapi.EventProductHidden,
		}[status]
		if err := errors.Join(tx.PutProduct(p), tx.AddEvent(event.Status(p.SellerID, p.Code, kind, why, now))); err != nil {
			return err
		}
	}
	return b.setTimer(tx, p, h, now)
}

func (b *Book) setTimer(tx *store.Tx, p catalogue.Product, h probe.Health, now time.Time) error {
	cases, err := tx.CountDebugCases(p.Code)
	if err != nil {
		return err
	}
	rules, err := b.rules(tx, p.SellerID, now)
	if err != nil {
		return err
	}
	return tx.SetTimer(Subject(p.Code), h.Timer(rules, p.Status, cases, now))
}

func days(r probe.Rules) string { return fmt.Sprintf("%d days", r.DelistAfter/(24*time.Hour)) }

// Tick does what time demands of a product: it is probed, or delisted after it was frozen for too long.
func (b *Book) Tick(ctx context.Context, subject string) error {
	_, code, _ := strings.Cut(subject, "/")
	done := false
	err := b.store.Update(ctx, func(tx *store.Tx) error {
		p, err := tx.Product(code)
		if errors.Is(err, store.ErrNotFound) {
			done = true
			return tx.SetTimer(subject, time.Time{})
		}
		if err != nil {
			return err
		}
		h, err := tx.Health(code)
		if err != nil {
			return err
		}
		now := b.clock.Now()
		cases, err := tx.CountDebugCases(code)
		if err != nil {
			return err
		}
		rules, err := b.rules(tx, p.SellerID, now)
		if err != nil {
			return err
		}
		switch {
		case h.Lapsed(rules, p.Status, now):
			done = true
			return b.set(tx, p, h, catalogue.Delisted, "It stayed frozen for "+days(rules), now)
		case h.Timer(rules, p.Status, cases, now).IsZero(): // its status was changed since the timer was set
			done = true
			return tx.SetTimer(subject, time.Time{})
		}
		return nil
	})
	if err != nil || done {
		return err
	}
	if _, err = b.Probe(ctx, code); errors.Is(err, ErrNoCases) {
		return b.store.Update(ctx, func(tx *store.Tx) error { return b.again(tx, code) })
	}
	return err
}

// again sets the timer of a product for the next thing.
func (b *Book) again(tx *store.Tx, productCode string) error {
	p, err := tx.Product(productCode)
	if err != nil {
		return err
	}
	h, err := tx.Health(productCode)
	if err != nil {
		return err
	}
	return b.setTimer(tx, p, h, b.clock.Now())
}

// MissingError says which cases a product needs before it may be on sale.
type MissingError struct {
	ProductCode string
	Cases       []probe.Key
}

func (e *MissingError) Error() string {
	names := make([]string, len(e.Cases))
	for i, key := range e.Cases {
		names[i] = key.String()
	}
	return fmt.Sprintf("product %s needs debug cases before it may be on sale: %s", e.ProductCode, strings.Join(names, ", "))
}

// SetStatus gives a product a status by hand. One that is put on sale needs its debug cases, unless withoutCases says that it shall do
// without; then nothing probes it either.
func (b *Book) SetStatus(ctx context.Context, productCode string, status catalogue.ProductStatus, withoutCases bool) error {
	saved, err := b.store.DebugCases(ctx, productCode)
	if err != nil {
		return err
	}
	return b.store.Update(ctx, func(tx *store.Tx) error {
		p, err := tx.Product(productCode)
		if err != nil {
			return err
		}
		after := p
		after.Status = status
		if err := after.Check(); err != nil {
			return err
		}
		if m := missing(p, saved); status == catalogue.OnSale && !withoutCases && len(m) > 0 {
			return &MissingError{p.Code, m}
		}
		if p.Status == status {
			return nil
		}
		if err := repaired(tx, p, status); err != nil {
			return err
		}
		h, err := tx.Health(productCode)
		if err != nil {
			return err
		}
		now := b.clock.Now()
		why := map[catalogue.ProductStatus]string{
			catalogue.Frozen: "The marketplace froze it by hand", catalogue.Delisted: "The marketplace delisted it by hand",
		}[status]
		return b.set(tx, p, h, status, why, now)
	})
}

// Listed writes a product that its seller lists or changes, and what follows from its status if that is another one than before.
func (b *Book) Listed(tx *store.Tx, p catalogue.Product, before catalogue.ProductStatus) error {
	status := p.Status
	p.Status = before
	if err := tx.PutProduct(p); err != nil || status == before {
		return err
	}
	if err := repaired(tx, p, status); err != nil {
		return err
	}
	h, err := tx.Health(p.Code)
	if err != nil {
		return err
	}
	now := b.clock.Now()
	return b.set(tx, p, h, status, "It was listed anew", now)
}

// RepairError says that a product cannot be put on sale before the seller's failed deliveries are repaired.
type RepairError struct{ ProductCode string }

func (e *RepairError) Error() string {
	return fmt.Sprintf("product %s is off the market because a delivery failed: repair that first, by restarting its call (isv-sandbox market)", e.ProductCode)
}

// repaired refuses to put a product on sale that is off the market because a delivery failed.
func repaired(tx *store.Tx, p catalogue.Product, status catalogue.ProductStatus) error {
	if status != catalogue.OnSale {
		return nil
	}
	actions, err := tx.MarketActions(p.SellerID)
	if err != nil {
		return err
	}
	for _, a := range actions {
		if a.ProductCode == p.Code {
			return &RepairError{p.Code}
		}
	}
	return nil
}

// OrderFailed counts an order that failed, and delists its product if there are too many in a month. It is called in the transaction in
// which the order fails.
func (b *Book) OrderFailed(tx *store.Tx, productCode, orderID string, now time.Time) error {
	if err := tx.AddFailedOrder(orderID, productCode, now); err != nil {
		return err
	}
	p, err := tx.Product(productCode)
	if errors.Is(err, store.ErrNotFound) { // an order from outside
		return nil
	}
	if err != nil || p.Status == catalogue.Delisted {
		return err
	}
	h, err := tx.Health(productCode)
	if err != nil {
		return err
	}
	from, to := counted(h, now)
	n, err := tx.FailedOrders(productCode, from, to)
	if err != nil {
		return err
	}
	rules, err := b.rules(tx, p.SellerID, now)
	if err != nil || !rules.TooManyFailures(n) {
		return err
	}
	why := fmt.Sprintf("%d of its orders failed within one month, more than %d. Mend it, and have it put on sale again", n, rules.MaxFailedOrders)
	return b.set(tx, p, h, catalogue.Delisted, why, now)
}
