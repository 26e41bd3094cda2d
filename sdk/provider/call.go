package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
)

// What an Application answers about its instances; the types of the contract.
type (
	// InstanceInfo is one entry of the answer to queryInstance. A zero AppInfo is left out of the answer.
	InstanceInfo = providerapi.InstanceInfo
	// AppInfo is how the buyer gets in. It is never logged.
	AppInfo = providerapi.AppInfo
	// UsageInfo is usage so far; see [FormatStatisticalTime] for its time.
	UsageInfo = providerapi.UsageInfo
)

// Instance is what NewInstance made.
type Instance struct {
	// ID is unique among all instances of the ISV: 1 to 64 characters, no comma, because queryInstance separates ids by
	// commas. Empty means the id remembered from an earlier answer, or else [NewInstance.SuggestedID].
	ID string
}

// OrderSource asks the marketplace for an order. The client of package marketplace is one. orderLineID may be empty.
type OrderSource interface {
	QueryOrder(ctx context.Context, orderID, orderLineID string) (*marketplaceapi.OrderInfo, error)
}

// NewInstance asks for an instance, because a buyer paid. The fields are those of the contract.
type NewInstance struct {
	providerapi.NewInstanceCall
	orders     *orders
	remembered string
}

// RefreshInstance sets a new expiry; Scene says why. For [providerapi.SceneRenewalChange] the order tells the new product.
type RefreshInstance struct {
	providerapi.RefreshInstanceCall
	orders *orders
}

// UpgradeInstance changes an instance to what a new order bought. The instance id stays.
type UpgradeInstance struct {
	providerapi.UpgradeInstanceCall
	orders *orders
}

// OrderNotify tells that an order exists.
type OrderNotify struct {
	providerapi.OrderNotifyCall
	orders *orders
}

// QueryInstance asks for the state of one or several instances; see [QueryInstance.InstanceIDs].
type QueryInstance struct{ providerapi.QueryInstanceCall }

// UpdateInstanceStatus freezes or unfreezes an instance.
type UpdateInstanceStatus struct {
	providerapi.UpdateInstanceStatusCall
}

// ReleaseInstance deletes an instance. OrderID is set only if the buyer unsubscribed.
type ReleaseInstance struct {
	providerapi.ReleaseInstanceCall
}

// ChangeCheck asks whether a renewal may be combined with a change to another product; see [ChangeCheck.Product].
type ChangeCheck struct {
	providerapi.ChangeInstanceCheckCall
}

// Order asks the marketplace for the order behind the call, through Config.Market. It is fetched once per call: the value is
// shared, do not change it. A failed fetch is not kept. Return the error as it is: it becomes 000005 and is logged.
func (c NewInstance) Order(ctx context.Context) (*marketplaceapi.OrderInfo, error) {
	return c.orders.get(ctx, c.OrderID, c.OrderLineID)
}

// OrderLine is Order, and picks the line the call is about. An order without that line, or a line without a product, is an error.
func (c NewInstance) OrderLine(ctx context.Context) (*marketplaceapi.OrderLine, error) {
	return c.orders.line(ctx, c.OrderID, c.OrderLineID)
}

// Order asks for the order behind the new expiry; see [NewInstance.Order].
func (c RefreshInstance) Order(ctx context.Context) (*marketplaceapi.OrderInfo, error) {
	return c.orders.get(ctx, c.OrderID, c.OrderLineID)
}

// Order asks for the upgrade order; see [NewInstance.Order].
func (c UpgradeInstance) Order(ctx context.Context) (*marketplaceapi.OrderInfo, error) {
	return c.orders.get(ctx, c.OrderID, c.OrderLineID)
}

// OrderLine is Order, and picks the line the call is about. An order without that line, or a line without a product, is an error.
func (c UpgradeInstance) OrderLine(ctx context.Context) (*marketplaceapi.OrderLine, error) {
	return c.orders.line(ctx, c.OrderID, c.OrderLineID)
}

// Order asks for the order that was announced; see [NewInstance.Order].
func (c OrderNotify) Order(ctx context.Context) (*marketplaceapi.OrderInfo, error) {
	return c.orders.get(ctx, c.OrderID, c.OrderLineID)
}

// SuggestedID is an instance id for the order line: the first 32 hexadecimal digits, lower-case, of the SHA-256 of the order
// id, a line feed and the order line id.
//
// It is the same on every repeat. The vendor's guide recommends the businessId of the first request instead, which differs on each
// repeat, so it takes a memory that survives restarts and is shared by replicas; the digest needs none. With 128 bits, two
// order lines do not meet by chance.
func (c NewInstance) SuggestedID() string {
	text := make([]byte, 0, 2*64+1)
	text = append(text, c.OrderID...)
	text = append(text, '\n')
	text = append(text, c.OrderLineID...)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// RememberedID is the id that an earlier 000004 answer gave to this order line, "" if there was none. Another id can no longer be
// answered, so an Application that does not use SuggestedID continues with this one.
func (c NewInstance) RememberedID() string { return c.remembered }

// InstanceIDs are the ids that are asked for, 1 to 100 of them, in the order of the call.
func (c QueryInstance) InstanceIDs() []string { return strings.Split(c.InstanceID, ",") }

// Expiry is the new expiry as a time in UTC. It is zero if ExpireTime is no date, which the handler never lets through.
func (c RefreshInstance) Expiry() time.Time {
	at, _ := parseExpiry(c.ExpireTime)
	return at
}

// parseExpiry reads yyyyMMddHHmmss in UTC, with or without three digits of milliseconds.
func parseExpiry(text string) (time.Time, error) {
	const layout = "20060102150405"
	if len(text) != len(layout) && len(text) != len(layout)+3 {
		return time.Time{}, errors.New("expected 14 or 17 digits")
	}
	at, err := time.Parse(layout, text[:len(layout)])
	if err != nil || len(text) == len(layout) {
		return at, err
	}
	ms, err := strconv.ParseUint(text[len(layout):], 10, 16)
	if err != nil {
		return time.Time{}, err
	}
	return at.Add(time.Duration(ms) * time.Millisecond), nil
}

// Product is the product the buyer wants to change to, read from ProductInfo in either of its forms, an object or the JSON text
// of one. Fields that are unknown or left out are zero: no published text shows the table of fields. The error wraps
// ErrInvalidParameter.
func (c ChangeCheck) Product() (providerapi.TargetProduct, error) {
	raw := []byte(c.ProductInfo)
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		raw = []byte(text)
	}
	var product *providerapi.TargetProduct
	if err := json.Unmarshal(raw, &product); err != nil {
		return providerapi.TargetProduct{}, fmt.Errorf("%w: productInfo: %w", ErrInvalidParameter, err)
	}
	if product == nil {
		return providerapi.TargetProduct{}, fmt.Errorf("%w: productInfo is null", ErrInvalidParameter)
	}
	return *product, nil
}

// FormatStatisticalTime writes a time as UsageInfo.StatisticalTime wants it: UTC, yyyyMMddHHmmssSSS.
func FormatStatisticalTime(t time.Time) string {
	t = t.UTC()
	return t.Format("20060102150405") + fmt.Sprintf("%03d", t.Nanosecond()/int(time.Millisecond))
}

// orders fetches the order of one call at most once.
type orders struct {
	source OrderSource
	turn   chan struct{} // holds one token; who has it may look at info
	info   *marketplaceapi.OrderInfo
}

func newOrders(source OrderSource) *orders {
	return &orders{source: source, turn: make(chan struct{}, 1)}
}

func (o *orders) get(ctx context.Context, orderID, lineID string) (*marketplaceapi.OrderInfo, error) {
	if o == nil || o.source == nil && o.info == nil {
		return nil, errors.New("provider: cannot ask for the order: Config.Market is nil")
	}
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("provider: ask for order %s: %w", orderID, context.Cause(ctx))
	}
	if o.info != nil {
		return o.info, nil
	}
	info, err := o.source.QueryOrder(ctx, orderID, lineID)
	if err != nil {
		return nil, fmt.Errorf("provider: ask for order %s: %w", orderID, err)
	}
	if info == nil || info.OrderID != orderID {
		return nil, fmt.Errorf("provider: ask for order %s: the marketplace answered no or another order", orderID)
	}
	o.info = info
	return info, nil
}

func (o *orders) line(ctx context.Context, orderID, lineID string) (*marketplaceapi.OrderLine, error) {
	info, err := o.get(ctx, orderID, lineID)
	if err != nil {
		return nil, err
	}
	for i := range info.OrderLine {
		if line := &info.OrderLine[i]; line.OrderLineID == lineID && len(line.ProductInfo) > 0 {
			return line, nil
		}
	}
	return nil, fmt.Errorf("provider: order %s has no line %s with a product", orderID, lineID)
}
