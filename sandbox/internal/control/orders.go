package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// refused makes an answer of a refusal: the ISV gave no answer that could be passed on, or somebody does not want what was asked for.
func refused(r *orderbook.Refusal) *problem {
	if r.Kind == orderbook.NoAnswer {
		return &problem{http.StatusBadGateway, string(r.Kind), r.Detail}
	}
	return &problem{http.StatusConflict, string(r.Kind), r.Detail}
}

func (s *server) ListOrders(ctx context.Context, r ListOrdersRequestObject) (ListOrdersResponseObject, error) {
	f := store.OrderFilter{
		SellerID: r.Params.SellerID, ProductCode: r.Params.ProductCode, BuyerID: r.Params.BuyerID, LineID: r.Params.OrderLineID,
		Type: marketplaceapi.OrderType(r.Params.OrderType), Status: r.Params.Status,
	}
	switch {
	case f.Type != "" && !f.Type.Valid():
		return nil, fmt.Errorf("%w: orderType %q: no such type", orderbook.ErrInvalid, f.Type)
	case f.Status != "" && !f.Status.Valid():
		return nil, fmt.Errorf("%w: status %q: no such status", orderbook.ErrInvalid, f.Status)
	}
	orders, err := s.s.Store().Orders(ctx, f, limit(r.Params.Limit))
	list := ListOrders200JSONResponse{Orders: make([]sandboxapi.Order, len(orders))}
	for i, o := range orders {
		list.Orders[i] = orderView(o)
	}
	return list, err
}

func orderView(o store.Order) sandboxapi.Order {
	return sandboxapi.Order{
		OrderID: o.OrderID, OrderType: string(o.Type), Status: o.Status, CreateTime: o.CreatedAt, AcceptTime: o.AcceptedAt, OrderLineID: o.LineID,
		SellerID: o.SellerID, ProductCode: o.ProductCode, BuyerID: o.BuyerID, Amount: order.Paid(o.Document).String(),
	}
}

// GetOrder shows an order as the open API answers it, and what became of its lines.
func (s *server) GetOrder(ctx context.Context, r GetOrderRequestObject) (GetOrderResponseObject, error) {
	o, err := s.s.Store().Order(ctx, r.OrderID)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(o.Document)
	if err != nil {
		return nil, err
	}
	lines, err := s.s.Store().OrderLines(ctx, o.OrderID)
	details := GetOrder200JSONResponse{Order: orderView(o), Document: document, Lines: make([]sandboxapi.OrderLineState, len(lines))}
	for n, l := range lines {
		details.Lines[n] = sandboxapi.OrderLineState{OrderLineID: l.LineID, InstanceOrderLineID: l.InstanceLineID, Status: l.Status}
	}
	return details, err
}

func (s *server) instanceView(ctx context.Context, i lifecycle.Instance) (sandboxapi.Instance, error) {
	pending, err := s.s.Store().PendingCalls(ctx, i.OrderLineID)
	return viewOfInstance(i, pending), err
}

func viewOfInstance(i lifecycle.Instance, pending int) sandboxapi.Instance {
	return sandboxapi.Instance{
		OrderLineID: i.OrderLineID, OrderID: i.OrderID, InstanceID: i.InstanceID, Status: i.Status, ChargingMode: string(i.ChargingMode),
		SellerID: i.SellerID, ProductCode: i.ProductCode, BuyerID: i.BuyerID,
		SKUCode: i.Product.SKUCode, ProductID: i.Product.ProductID, Quantity: i.Product.Quantity,
		Trial: i.Trial, PackageAmount: i.Package.Amount, UsedUp: i.Package.UsedUp, Violation: i.Violation,
		CreateTime: i.CreateTime, ExpireTime: i.ExpireTime, ReleaseTime: i.ReleaseTime, FrontEndURL: i.FrontEndURL, CallsPending: pending,
	}
}

// placed shows an order and the instances that it is about.
func (s *server) placed(ctx context.Context, o store.Order, instances []lifecycle.Instance, err error) (sandboxapi.OrderPlaced, error) {
	p := sandboxapi.OrderPlaced{}
	if err != nil {
		return p, err
	}
	p.Order = orderView(o)
	for _, i := range instances {
		view, err := s.instanceView(ctx, i)
		if err != nil {
			return p, err
		}
		p.Instances = append(p.Instances, view)
	}
	if len(p.Instances) > 0 {
		p.Instance = p.Instances[0]
	}
	return p, nil
}

// ordered is placed for an order about one instance.
func (s *server) ordered(ctx context.Context, o store.Order, i lifecycle.Instance, err error) (sandboxapi.OrderPlaced, error) {
	return s.placed(ctx, o, []lifecycle.Instance{i}, err)
}

func (s *server) PlaceOrder(ctx context.Context, r PlaceOrderRequestObject) (PlaceOrderResponseObject, error) {
	b := r.Body
	p := orderbook.Purchase{BuyerID: b.BuyerID, Trial: b.Trial, DiscountPercent: b.DiscountPercent}
	for _, l := range b.Lines {
		p.Lines = append(p.Lines, order.Choice{SKUCode: l.SKUCode, Period: l.Period, Quantity: l.Quantity, ExtendParams: l.ExtendParams})
	}
	one := order.Choice{SKUCode: b.SKUCode, Period: b.Period, Quantity: b.Quantity, ExtendParams: b.ExtendParams}
	given := one.SKUCode != "" || one.Period != "" || one.Quantity != 0 || len(one.ExtendParams) > 0
	switch {
	case given && len(p.Lines) > 0:
		return nil, fmt.Errorf("%w: expected either lines, or skuCode with period, quantity and extendParams, not both", orderbook.ErrInvalid)
	case len(p.Lines) == 0 && one.SKUCode == "":
		return nil, fmt.Errorf("%w: skuCode: expected what is bought, or lines; listProducts tells what there is", orderbook.ErrInvalid)
	case given:
		p.Lines = []order.Choice{one}
	}
	o, instances, err := s.s.Book().Buy(ctx, p)
	placed, err := s.placed(ctx, o, instances, err)
	if err == nil && len(instances) == 0 {
		placed.Licenses, err = s.licensesOf(ctx, o)
	}
	return PlaceOrder201JSONResponse(placed), err
}

func (s *server) AcceptOrder(ctx context.Context, r AcceptOrderRequestObject) (AcceptOrderResponseObject, error) {
	if placed, err := s.acceptLicenses(ctx, r.OrderID); err != nil || len(placed.Licenses) > 0 {
		return AcceptOrder202JSONResponse(placed), err
	}
	o, instances, err := s.s.Book().AcceptOrder(ctx, r.OrderID)
	placed, err := s.placed(ctx, o, instances, err)
	return AcceptOrder202JSONResponse(placed), err
}

func (s *server) ListInstances(ctx context.Context, r ListInstancesRequestObject) (ListInstancesResponseObject, error) {
	f := store.InstanceFilter{
		SellerID: r.Params.SellerID, ProductCode: r.Params.ProductCode, BuyerID: r.Params.BuyerID, OrderID: r.Params.OrderID, Status: r.Params.Status,
	}
	if f.Status != "" && !f.Status.Valid() {
		return nil, fmt.Errorf("%w: status %q: no such status", orderbook.ErrInvalid, f.Status)
	}
	instances, err := s.s.Store().Instances(ctx, f, limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	list := ListInstances200JSONResponse{Instances: make([]sandboxapi.Instance, len(instances))}
	for n, i := range instances {
		if list.Instances[n], err = s.instanceView(ctx, i); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *server) GetInstance(ctx context.Context, r GetInstanceRequestObject) (GetInstanceResponseObject, error) {
	timeout := 10 * time.Second
	if r.Params.Timeout != "" {
		d, err := time.ParseDuration(r.Params.Timeout)
		if err != nil || d < 0 || d > maxWait {
			return nil, fmt.Errorf("%w: timeout %q: expected a duration from 0s to %s", orderbook.ErrInvalid, r.Params.Timeout, maxWait)
		}
		timeout = d
	}
	if r.Params.Until != "" && !r.Params.Until.Valid() {
		return nil, fmt.Errorf("%w: until %q: no such status", orderbook.ErrInvalid, r.Params.Until)
	}
	expired := time.NewTimer(timeout)
	defer expired.Stop()
	for {
		changed := s.s.Store().Changed() // before the look, so that no change falls between
		// What is under way is counted first, so that the instance is shown with what came of that which is not.
		pending, err := s.s.Store().PendingCalls(ctx, r.OrderLineID)
		if err != nil {
			return nil, err
		}
		i, err := s.s.Store().Instance(ctx, r.OrderLineID)
		if err != nil {
			return nil, err
		}
		view := viewOfInstance(i, pending)
		if r.Params.Until == "" || view.Status == r.Params.Until && view.CallsPending == 0 {
			return GetInstance200JSONResponse(view), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-expired.C:
			return nil, &problem{http.StatusRequestTimeout, "not-yet", fmt.Sprintf(
				"after %s the instance is %s with %d calls under way, not %s; the attempts tell why", timeout, view.Status, view.CallsPending, r.Params.Until)}
		}
	}
}

func (s *server) RenewInstance(ctx context.Context, r RenewInstanceRequestObject) (RenewInstanceResponseObject, error) {
	o, i, err := s.s.Book().Renew(ctx, r.OrderLineID, orderbook.Change{Period: r.Body.Period, SKUCode: r.Body.SKUCode, Quantity: r.Body.Quantity})
	placed, err := s.ordered(ctx, o, i, err)
	return RenewInstance201JSONResponse(placed), err
}

func (s *server) CancelRenewal(ctx context.Context, r CancelRenewalRequestObject) (CancelRenewalResponseObject, error) {
	o, i, err := s.s.Book().CancelRenewal(ctx, r.OrderLineID)
	placed, err := s.ordered(ctx, o, i, err)
	return CancelRenewal201JSONResponse(placed), err
}

func (s *server) ConvertTrial(ctx context.Context, r ConvertTrialRequestObject) (ConvertTrialResponseObject, error) {
	o, i, err := s.s.Book().Convert(ctx, r.OrderLineID, r.Body.Period)
	placed, err := s.ordered(ctx, o, i, err)
	return ConvertTrial201JSONResponse(placed), err
}

func (s *server) UpgradeInstance(ctx context.Context, r UpgradeInstanceRequestObject) (UpgradeInstanceResponseObject, error) {
	o, i, err := s.s.Book().Upgrade(ctx, r.OrderLineID, orderbook.Change{SKUCode: r.Body.SKUCode, Quantity: r.Body.Quantity})
	placed, err := s.ordered(ctx, o, i, err)
	return UpgradeInstance201JSONResponse(placed), err
}

func (s *server) ReleaseInstance(ctx context.Context, r ReleaseInstanceRequestObject) (ReleaseInstanceResponseObject, error) {
	o, i, err := s.s.Book().Release(ctx, r.OrderLineID)
	placed, err := s.ordered(ctx, o, i, err)
	return ReleaseInstance201JSONResponse(placed), err
}

func (s *server) FreezeInstance(ctx context.Context, r FreezeInstanceRequestObject) (FreezeInstanceResponseObject, error) {
	i, err := s.s.Book().Freeze(ctx, r.OrderLineID)
	if err != nil {
		return nil, err
	}
	view, err := s.instanceView(ctx, i)
	return FreezeInstance202JSONResponse(view), err
}

func (s *server) UnfreezeInstance(ctx context.Context, r UnfreezeInstanceRequestObject) (UnfreezeInstanceResponseObject, error) {
	i, err := s.s.Book().Unfreeze(ctx, r.OrderLineID)
	if err != nil {
		return nil, err
	}
	view, err := s.instanceView(ctx, i)
	return UnfreezeInstance202JSONResponse(view), err
}

func (s *server) CheckChange(ctx context.Context, r CheckChangeRequestObject) (CheckChangeResponseObject, error) {
	a, err := s.s.Book().CheckChange(ctx, r.OrderLineID, orderbook.Change{Period: r.Body.Period, SKUCode: r.Body.SKUCode, Quantity: r.Body.Quantity})
	return CheckChange200JSONResponse{CallID: a.CallID, Allowed: a.Allowed, ResultCode: a.ResultCode, Detail: a.Detail}, err
}

func (s *server) OpenDetails(ctx context.Context, r OpenDetailsRequestObject) (OpenDetailsResponseObject, error) {
	d, err := s.details(ctx, []string{r.OrderLineID})
	return OpenDetails200JSONResponse(d), err
}

func (s *server) OpenDetailsOfSeveral(ctx context.Context, r OpenDetailsOfSeveralRequestObject) (OpenDetailsOfSeveralResponseObject, error) {
	d, err := s.details(ctx, r.Body.OrderLineIDs)
	return OpenDetailsOfSeveral200JSONResponse(d), err
}

func (s *server) details(ctx context.Context, lineIDs []string) (sandboxapi.DetailsAnswer, error) {
	d, err := s.s.Book().OpenDetails(ctx, lineIDs)
	answer := sandboxapi.DetailsAnswer{CallID: d.CallID, Instances: make([]sandboxapi.InstanceDetails, len(d.Instances))}
	for n, i := range d.Instances {
		view := sandboxapi.InstanceDetails{
			OrderLineID: i.Instance.OrderLineID, InstanceID: i.Instance.InstanceID, Told: i.Told,
			FrontEndURL: i.Info.AppInfo.FrontEndURL, AdminURL: i.Info.AppInfo.AdminURL, UserName: i.Info.AppInfo.UserName, Memo: i.Info.AppInfo.Memo,
		}
		for _, u := range i.Info.UsageInfo {
			view.Usage = append(view.Usage, sandboxapi.InstanceUsage{
				UsageValue: u.UsageValue.String(), StatisticalTime: u.StatisticalTime, RelatedInstanceID: u.RelatedInstanceID, DashboardURL: u.DashboardURL,
			})
		}
		answer.Instances[n] = view
	}
	return answer, err
}
