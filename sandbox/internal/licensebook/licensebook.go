// Package licensebook carries the marketplace's business with licences out: it applies what buyers, the operator, time and the
// ISV's requests do to the rules of package license, and writes state and calls in one transaction.
package licensebook

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// ErrInvalid is wrapped by errors about what was asked for.
var ErrInvalid = catalogue.ErrInvalid

// The kinds of subjects: licences by their code, and files by the id of the event that asks for them.
const (
	KindLicense = "license"
	KindFile    = "license-file"
)

// Subject is what the calls about a licence have as their subject.
func Subject(code string) string { return KindLicense + "/" + code }

// Place writes an order; see [orderbook.Book.Place].
type Place func(tx *store.Tx, p orderbook.Placement) (store.Order, error)

// Book is the book of licences. It is the handler of the calls about them, see package outbox, and issues what the order book sells.
type Book struct {
	store *store.Store
	clock *clock.Clock
	place Place
}

var _ orderbook.Licences = (*Book)(nil)

// New gives a book.
func New(s *store.Store, c *clock.Clock, place Place) *Book { return &Book{s, c, place} }

// Issue makes the licence of a line of a paid order. If the buyer has to accept first, the code is handed over by [Book.HandOver].
func (b *Book) Issue(tx *store.Tx, o store.Order, n int, line order.Line, product catalogue.Product) error {
	if line.ChargingMode != marketplaceapi.ChargingPeriod && line.ChargingMode != marketplaceapi.ChargingOneTime {
		return fmt.Errorf("%w: skuCode: %s is charged %s; licences are charged PERIOD or ONE_TIME", ErrInvalid, line.Product.SKUCode, line.ChargingMode)
	}
	l := license.New(license.License{
		Code: newCode(), OrderID: o.OrderID, OrderLineID: o.Document.OrderLine[n].OrderLineID, SellerID: product.SellerID, ProductCode: product.Code,
		BuyerID: o.BuyerID, SKUCode: line.Product.SKUCode, ProductID: line.Product.ProductID, Quantity: line.Product.Quantity, Period: text(line.Period),
	}, o.CreatedAt, product.Provision != catalogue.OnAcceptance)
	return put(tx, l, o.CreatedAt, nil)
}

// text writes a period as order.ParsePeriod reads it; empty for none.
func text(p order.Period) string {
	if p.Number == 0 {
		return ""
	}
	return fmt.Sprintf("%d%c", p.Number, p.Type[0])
}

const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789" // 32 of them, so that no letter is likelier than another

// newCode makes a licence code that nobody can guess: PL and 24 letters or digits.
func newCode() string {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails, see crypto/rand
	for i, b := range random {
		random[i] = alphabet[int(b)%len(alphabet)]
	}
	return "PL" + string(random)
}

// move changes a licence and queues the calls that the change yields.
func (b *Book) move(ctx context.Context, code string, f func(tx *store.Tx, l *license.License, now time.Time) ([]lifecycle.Call, error)) (l license.License, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		if l, err = tx.License("", code); err != nil {
			return err
		}
		now := b.clock.Now()
		calls, err := f(tx, &l, now)
		if err != nil {
			return err
		}
		return put(tx, l, now, calls)
	})
	return l, err
}

func put(tx *store.Tx, l license.License, now time.Time, calls []lifecycle.Call) error {
	about := store.About{Subject: Subject(l.Code), SellerID: l.SellerID, ProductCode: l.ProductCode}
	return errors.Join(tx.PutLicense(l), tx.SetTimer(about.Subject, l.Timer()), tx.AddCalls(about, now, calls))
}

// wish is an order about a licence.
type wish struct {
	kind   marketplaceapi.OrderType
	period order.Period                                              // zero: it buys no time
	expire func(l license.License, now time.Time) time.Time          // the expiry that it leads to
	gives  func(tx *store.Tx, l license.License) (order.Line, error) // what is given back for it, in Full and Paid; nil: it costs what it costs
	move   func(l *license.License, o lifecycle.Order, line order.Line, now time.Time) ([]lifecycle.Call, error)
}

// ordered changes a licence by an order about it.
func (b *Book) ordered(ctx context.Context, code string, w wish) (o store.Order, l license.License, err error) {
	l, err = b.move(ctx, code, func(tx *store.Tx, l *license.License, now time.Time) ([]lifecycle.Call, error) {
		product, err := tx.Product(l.ProductCode)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("%w: product %s of this licence is no longer there", ErrInvalid, l.ProductCode)
		}
		if err != nil {
			return nil, err
		}
		sku, found := product.SKU(l.SKUCode)
		if !found {
			return nil, fmt.Errorf("%w: product %s has no SKU %s any more", ErrInvalid, product.Code, l.SKUCode)
		}
		item, err := itemOf(sku, *l, w.period)
		if err != nil {
			return nil, err
		}
		line, err := order.NewLine(product, sku, item, l.Quantity, w.period)
		if err != nil {
			return nil, err
		}
		if w.gives != nil {
			back, err := w.gives(tx, *l)
			if err != nil {
				return nil, err
			}
			line.Full, line.Paid = back.Full, back.Paid
		}
		line.Expire = w.expire(*l, now)
		// If the move is refused, the order was never there: both are one transaction.
		if o, err = b.place(tx, orderbook.Placement{
			Type: w.kind, Product: product, BuyerID: l.BuyerID, LineID: l.OrderLineID, Lines: []order.Line{line},
			Cause: fmt.Sprintf("licence %s after %d renewals", l.OrderLineID, len(l.Renewals)),
		}); err != nil {
			return nil, err
		}
		return w.move(l, lifecycle.Order{OrderID: o.OrderID, OrderLineID: o.Document.OrderLine[0].OrderLineID, Paid: now}, line, now)
	})
	return o, l, err
}

// itemOf finds the billing item of an order about a licence: of the period that it buys, or else the licence's own.
func itemOf(sku catalogue.SKU, l license.License, period order.Period) (catalogue.Item, error) {
	if period.Number > 0 {
		return sku.Item(period.Type)
	}
	if n := slices.IndexFunc(sku.Items, func(item catalogue.Item) bool { return item.ProductID == l.ProductID }); n >= 0 {
		return sku.Items[n], nil
	}
	return sku.Items[0], nil
}

// refund is what an order line cost, to be given back.
func refund(line marketplaceapi.OrderLine) (back order.Line, err error) {
	full, err := order.ParseAmount(line.Currency)
	if err != nil {
		return back, err
	}
	paid, err := order.ParseAmount(line.CurrencyAfterDiscount)
	return order.Line{Full: full.Negative(), Paid: paid.Negative()}, err
}

// HandOver gives the code to the buyer, who has accepted.
func (b *Book) HandOver(ctx context.Context, code string) (license.License, error) {
	return b.move(ctx, code, func(tx *store.Tx, l *license.License, now time.Time) ([]lifecycle.Call, error) {
		if err := l.HandOver(); err != nil {
			return nil, err
		}
		_, err := tx.EndOrderLine(l.OrderID, l.OrderLineID, sandboxapi.OrderCompleted, now)
		return nil, err
	})
}

// Renew renews by a period such as 1y; empty: by the one that was bought.
func (b *Book) Renew(ctx context.Context, code, period string) (store.Order, license.License, error) {
	known, err := b.store.License(ctx, "", code)
	if err != nil {
		return store.Order{}, known, err
	}
	w := wish{kind: marketplaceapi.OrderRenew}
	if period = cmp.Or(period, known.Period); period != "" {
		if w.period, err = order.ParsePeriod(period); err != nil {
			return store.Order{}, known, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	w.expire = func(l license.License, now time.Time) time.Time {
		if now.After(l.ExpireTime) { // who renews late pays from now on, not for the time the licence was frozen
			return w.period.ExpireFrom(now)
		}
		return w.period.ExpireFrom(l.ExpireTime)
	}
	w.move = func(l *license.License, o lifecycle.Order, line order.Line, _ time.Time) ([]lifecycle.Call, error) {
		return l.Renew(o, line.Expire, line.Product.ProductID)
	}
	return b.ordered(ctx, code, w)
}

// CancelRenewal takes the last renewal back.
func (b *Book) CancelRenewal(ctx context.Context, code string) (store.Order, license.License, error) {
	return b.ordered(ctx, code, wish{
		kind: marketplaceapi.OrderUnsubscribe,
		expire: func(l license.License, _ time.Time) time.Time {
			if n := len(l.Renewals); n > 0 {
				return l.Renewals[n-1].Before
			}
			return l.ExpireTime
		},
		gives: func(tx *store.Tx, l license.License) (order.Line, error) {
			if len(l.Renewals) == 0 {
				return order.Line{}, nil
			}
			renewal, err := tx.Order(l.Renewals[len(l.Renewals)-1].OrderID)
			if err != nil {
				return order.Line{}, err
			}
			return refund(renewal.Document.OrderLine[0])
		},
		move: func(l *license.License, o lifecycle.Order, _ order.Line, now time.Time) ([]lifecycle.Call, error) {
			return l.CancelRenewal(o, now)
		},
	})
}

// Unsubscribe ends the licence at the buyer's wish.
func (b *Book) Unsubscribe(ctx context.Context, code string) (store.Order, license.License, error) {
	return b.ordered(ctx, code, wish{
		kind:   marketplaceapi.OrderUnsubscribe,
		expire: func(l license.License, _ time.Time) time.Time { return l.ExpireTime },
		// As with instances, what was used is paid for.
		gives: func(*store.Tx, license.License) (order.Line, error) { return order.Line{}, nil },
		move: func(l *license.License, o lifecycle.Order, _ order.Line, _ time.Time) ([]lifecycle.Call, error) {
			return l.Unsubscribe(o)
		},
	})
}

// Freeze freezes for a violation.
func (b *Book) Freeze(ctx context.Context, code string) (license.License, error) {
	return b.move(ctx, code, func(_ *store.Tx, l *license.License, _ time.Time) ([]lifecycle.Call, error) { return l.Freeze() })
}

// Unfreeze ends a violation.
func (b *Book) Unfreeze(ctx context.Context, code string) (license.License, error) {
	return b.move(ctx, code, func(_ *store.Tx, l *license.License, _ time.Time) ([]lifecycle.Call, error) { return l.Unfreeze() })
}

// Tick does what time demands of a licence, named by its subject.
func (b *Book) Tick(ctx context.Context, subject string) error {
	_, err := b.move(ctx, strings.TrimPrefix(subject, KindLicense+"/"), func(_ *store.Tx, l *license.License, now time.Time) ([]lifecycle.Call, error) {
		return l.Tick(now), nil
	})
	return err
}

// Accept takes every answer that is a success by itself. One that says that a licence was uploaded, which was not, is told to the ISV as
// a mistake; the licence may still come.
func (b *Book) Accept(tx *store.Tx, call store.Call, r *delivery.Result) error {
	body, asks := call.Call.Body.(providerapi.GetLicenseAsyncCall)
	if !asks || r.ResultCode != string(providerapi.ResultSuccess) {
		return nil
	}
	f, err := tx.LicenseFile(body.EventID)
	if errors.Is(err, store.ErrNotFound) { // a debug call; nobody waits for a licence
		return nil
	}
	if err == nil && f.UploadedAt.IsZero() {
		r.Violations = append(r.Violations, "000000 says that the licence was uploaded, but nothing came; answer 000004 if it is to come")
	}
	return err
}

// Ended completes the order that a call carried out. The licence itself has moved on when the call was decided.
func (b *Book) Ended(tx *store.Tx, call store.Call, _ delivery.Result, succeeded bool, now time.Time) error {
	if !succeeded || call.Call.OrderID == "" {
		return nil
	}
	_, err := tx.EndOrderLine(call.Call.OrderID, order.LineID(call.Call.OrderID, 1), sandboxapi.OrderCompleted, now)
	return err
}

// Refusal is why the open API does not do what a seller asks for.
type Refusal struct{ Code, Message string }

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

func refuse(code, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

var activateHints = map[string]string{
	license.CodeState:       "the state of the licence does not allow it; a licence is activated once",
	license.CodeNotReceived: "the buyer has not received the licence yet",
	license.CodeNotFound:    "no such licence",
}

// Activate activates licences of a seller as of effect, or of now if that is zero: all of them or, with a *[Refusal], none.
func (b *Book) Activate(ctx context.Context, sellerID string, codes []string, effect time.Time) (list []license.License, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		now := b.clock.Now()
		list = list[:0]
		if effect.IsZero() {
			effect = now.Truncate(time.Second)
		}
		for _, code := range codes {
			l, err := tx.License(sellerID, code)
			if errors.Is(err, store.ErrNotFound) {
				return refuse(license.CodeNotFound, "%s", activateHints[license.CodeNotFound])
			}
			if err != nil {
				return err
			}
			if code := l.ActivateCode(); code != "" {
				return refuse(code, "%s", activateHints[code])
			}
			if effect.Before(l.CreateTime.Truncate(time.Second)) {
				return refuse(license.CodeParameter, "real_effect_time is before the order was placed, at %s", l.CreateTime.UTC().Format(order.TimeFormat))
			}
			expire := time.Time{}
			if l.Period != "" {
				period, err := order.ParsePeriod(l.Period)
				if err != nil {
					return err
				}
				expire = period.ExpireFrom(effect)
			}
			if err := errors.Join(l.Activate(effect, expire), put(tx, l, now, nil)); err != nil {
				return err
			}
			list = append(list, l)
		}
		return nil
	})
	return list, err
}

// Ask has the ISV asked for the licence of an instance, for a device if a fingerprint is given.
func (b *Book) Ask(ctx context.Context, lineID, fingerprint string) (f store.LicenseFile, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		i, err := tx.Instance(lineID)
		if err != nil {
			return err
		}
		if i.InstanceID == "" || i.Status != sandboxapi.InstanceReady {
			return &lifecycle.IllegalMoveError{Move: "ask for the licence of", Status: i.Status, Hint: "it must be ready"}
		}
		now := b.clock.Now()
		f = store.LicenseFile{EventID: uuid.NewString(), LineID: lineID, SellerID: i.SellerID, InstanceID: i.InstanceID, Fingerprint: fingerprint, AskedAt: now}
		body := providerapi.GetLicenseAsyncCall{
			Activity: providerapi.ActivityGetLicenseAsync, InstanceID: i.InstanceID, EventID: f.EventID, DeviceFingerprint: fingerprint,
			EffectiveTime: i.CreateTime.UTC().Format(licenseTime),
		}
		if !i.ExpireTime.IsZero() {
			body.ExpireTime = i.ExpireTime.UTC().Format(licenseTime)
		}
		about := store.About{Subject: KindFile + "/" + f.EventID, LineID: lineID, SellerID: i.SellerID, ProductCode: i.ProductCode}
		return errors.Join(tx.PutLicenseFile(f, nil), tx.AddCalls(about, now, []lifecycle.Call{{Activity: body.Activity, Body: body}}))
	})
	return f, err
}

// licenseTime is how getLicenseAsync writes times; it is known from one example.
const licenseTime = "2006-01-02 15:04:05 z"

// Upload keeps what a seller uploads for an event. The same bytes once more change nothing and succeed, because the answer to the
// first time may have been lost; others are refused, because the buyer may have the first already.
func (b *Book) Upload(ctx context.Context, sellerID string, f store.LicenseFile, content []byte) error {
	return b.store.Update(ctx, func(tx *store.Tx) error {
		known, err := tx.LicenseFile(f.EventID)
		if err != nil {
			return err
		}
		switch {
		case known.SellerID != sellerID:
			return store.ErrNotFound
		case known.UploadedAt.IsZero():
		case known.Type == f.Type && known.FileName == f.FileName && known.SHA256 == f.SHA256:
			return nil
		default:
			return refuse(license.CodeState, "another licence was uploaded for this event before")
		}
		known.Type, known.FileName, known.SHA256, known.Size, known.UploadedAt = f.Type, f.FileName, f.SHA256, len(content), b.clock.Now()
		return tx.PutLicenseFile(known, content)
	})
}
