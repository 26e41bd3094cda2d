package provider

import (
	"context"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
)

// Licenser is an Application that sells licences. It needs Config.LicenseKeys, because licence calls are signed with the key of
// an interface class of their own. All of them must be made to be repeated.
type Licenser interface {
	// RefreshLicense sets the expiry to call.Expiry.
	RefreshLicense(ctx context.Context, call RefreshLicense) error

	// UpdateLicenseStatus freezes or unfreezes a licence.
	UpdateLicenseStatus(ctx context.Context, call UpdateLicenseStatus) error

	// ReleaseLicense takes a licence back.
	ReleaseLicense(ctx context.Context, call ReleaseLicense) error

	// GetLicense makes the licence of an instance and uploads it to the marketplace under call.EventID. nil says that this is
	// done, ErrInProgress that it will be.
	GetLicense(ctx context.Context, call GetLicense) error
}

// RefreshLicense sets a new expiry of a licence; Scene says why. The activity is refreshLicenseCode.
type RefreshLicense struct {
	providerapi.RefreshLicenseCodeCall
	orders *orders
}

// UpdateLicenseStatus freezes or unfreezes a licence. The activity is updateLicenseCodeStatus.
type UpdateLicenseStatus struct {
	providerapi.UpdateLicenseCodeStatusCall
}

// ReleaseLicense takes a licence back. OrderID is set only if the buyer unsubscribed. The activity is releaseLicenseCode.
type ReleaseLicense struct {
	providerapi.ReleaseLicenseCodeCall
}

// GetLicense asks for the licence of an instance. The activity is getLicenseAsync.
type GetLicense struct {
	providerapi.GetLicenseAsyncCall
}

// Order asks for the order behind the new expiry; see [NewInstance.Order].
func (c RefreshLicense) Order(ctx context.Context) (*marketplaceapi.OrderInfo, error) {
	return c.orders.get(ctx, c.OrderID, c.OrderLineID)
}

// Expiry is the new expiry as a time in UTC. It is zero if ExpireTime is no date, which the handler never lets through.
func (c RefreshLicense) Expiry() time.Time {
	at, _ := parseExpiry(c.ExpireTime)
	return at
}

func (h *handler) serveLicense(ctx context.Context, in *incoming, x *exchange, testFlag providerapi.TestFlag) reply {
	app, ok := h.app.(Licenser)
	if !ok {
		return unsupported(in.call.Name)
	}
	license := in.text("license")
	switch x.activity {
	case providerapi.ActivityRefreshLicenseCode:
		call := RefreshLicense{RefreshLicenseCodeCall: providerapi.RefreshLicenseCodeCall{
			Activity: x.activity, TestFlag: testFlag, License: license,
			Scene: providerapi.Scene(in.text("scene")), ExpireTime: in.text("expireTime"),
			OrderID: in.text("orderId"), OrderLineID: x.orderLine, ProductID: in.text("productId"),
		}, orders: newOrders(h.cfg.Market)}
		if _, err := parseExpiry(call.ExpireTime); err != nil {
			return invalid("expireTime is no date of the form yyyyMMddHHmmss")
		}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.RefreshLicense(ctx, call) })

	case providerapi.ActivityUpdateLicenseCodeStatus:
		call := UpdateLicenseStatus{providerapi.UpdateLicenseCodeStatusCall{
			Activity: x.activity, TestFlag: testFlag, License: license, Status: providerapi.InstanceStatus(in.text("status")),
		}}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.UpdateLicenseStatus(ctx, call) })

	case providerapi.ActivityReleaseLicenseCode:
		call := ReleaseLicense{providerapi.ReleaseLicenseCodeCall{
			Activity: x.activity, TestFlag: testFlag, License: license, OrderID: in.text("orderId"), OrderLineID: x.orderLine,
		}}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.ReleaseLicense(ctx, call) })

	case providerapi.ActivityGetLicenseAsync:
		call := GetLicense{providerapi.GetLicenseAsyncCall{
			Activity: x.activity, TestFlag: testFlag, InstanceID: x.instanceID, EventID: in.text("eventId"),
			EffectiveTime: in.text("effectiveTime"), ExpireTime: in.text("expireTime"), DeviceFingerprint: in.text("deviceFingerprint"),
		}}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.GetLicense(ctx, call) })
	}
	return unsupported(in.call.Name)
}
