package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// rule says who may use an operation.
type rule struct {
	role  access.Role
	reads bool // it changes nothing, and is not in the audit log
	calls bool // it makes calls to the ISV, of which a seller may have only so many
	// check is asked for sellers. It refuses what is about another's things with store.ErrNotFound, as if they did not exist, and narrows
	// lists to the seller. Without a check the operation itself keeps to the seller in the context.
	check func(s *scope, request any) (any, error)
	ids   func(request any) map[string]string // ids in the body, for the audit log
}

// about makes a check of one that knows the request's type.
func about[R any](check func(s *scope, r *R) error) func(s *scope, request any) (any, error) {
	return func(s *scope, request any) (any, error) {
		r, ok := request.(R)
		if !ok {
			return nil, fmt.Errorf("the rule expects a %T, the request is a %T", r, request)
		}
		return r, check(s, &r)
	}
}

// named finds ids in a body.
func named[R any](ids func(r R) map[string]string) func(request any) map[string]string {
	return func(request any) map[string]string {
		r, ok := request.(R)
		if !ok {
			return nil
		}
		return ids(r)
	}
}

type idMap = map[string]string

// rules says of every operation of openapi/sandbox.yaml whose it is. A test fails if one is missing, or is not as x-role says there.
var rules = map[string]rule{
	"getStatus":   {role: access.Seller, reads: true},
	"setProvider": {role: access.Seller},

	// Time is everybody's, and so is all that a snapshot holds.
	"advanceClock":    {role: access.Operator},
	"holdClock":       {role: access.Operator},
	"runClock":        {role: access.Operator},
	"settle":          {role: access.Operator, reads: true},
	"takeSnapshot":    {role: access.Operator}, // changes nothing, but who took everything away is worth knowing
	"restoreSnapshot": {role: access.Operator},
	"reset":           {role: access.Operator},

	"getJournal":  {role: access.Operator, reads: true},
	"trimJournal": {role: access.Operator},

	"createToken": {role: access.Operator, ids: named(func(r CreateTokenRequestObject) idMap {
		return idMap{"role": string(r.Body.Role), "sellerId": r.Body.SellerID}
	})},
	"listTokenKeys":  {role: access.Operator, reads: true},
	"rotateTokenKey": {role: access.Operator},
	"revokeTokenKey": {role: access.Operator},
	"rotateSecrets":  {role: access.Operator},
	"listAudit":      {role: access.Operator, reads: true},

	"listSellers": {role: access.Seller, reads: true},
	"putSeller":   {role: access.Seller, check: about(func(s *scope, r *PutSellerRequestObject) error { return s.ownSeller(r.SellerID) })},
	"listBuyers":  {role: access.Operator, reads: true},
	"putBuyer":    {role: access.Operator},

	"listMarkets": {role: access.Seller, reads: true},
	"getMarket":   {role: access.Seller, reads: true, check: about(func(s *scope, r *GetMarketRequestObject) error { return s.ownSeller(r.SellerID) })},
	"putMarket":   {role: access.Seller, check: about(func(s *scope, r *PutMarketRequestObject) error { return s.ownSeller(r.SellerID) })},
	"moveMoney": {
		role: access.Seller, check: about(func(s *scope, r *MoveMoneyRequestObject) error { return s.ownSeller(r.SellerID) }),
		ids: named(func(r MoveMoneyRequestObject) idMap { return idMap{"kind": string(r.Body.Kind)} }),
	},
	"getStatement": {role: access.Seller, reads: true, check: about(func(s *scope, r *GetStatementRequestObject) error { return s.ownSeller(r.SellerID) })},

	"listProducts": {role: access.Seller, reads: true, check: about(func(s *scope, r *ListProductsRequestObject) error {
		return s.only(&r.Params.SellerID)
	})},
	"getProduct": {role: access.Seller, reads: true, check: about(func(s *scope, r *GetProductRequestObject) error { return s.product(r.ProductCode) })},
	"putProduct": {role: access.Seller, check: about(func(s *scope, r *PutProductRequestObject) error {
		if r.Body.SellerID != s.seller {
			return store.ErrNotFound
		}
		return s.newProduct(r.ProductCode, r.Body)
	})},
	"setProductStatus": {role: access.Seller, check: about(func(s *scope, r *SetProductStatusRequestObject) error { return s.product(r.ProductCode) })},
	"listCases":        {role: access.Seller, reads: true, check: about(func(s *scope, r *ListCasesRequestObject) error { return s.product(r.ProductCode) })},
	"saveCase": {role: access.Seller, calls: true, check: about(func(s *scope, r *SaveCaseRequestObject) error {
		return s.product(r.ProductCode)
	})},
	"saveNeededCases": {role: access.Seller, calls: true, check: about(func(s *scope, r *SaveNeededCasesRequestObject) error { return s.product(r.ProductCode) })},
	"probeProduct":    {role: access.Seller, calls: true, check: about(func(s *scope, r *ProbeProductRequestObject) error { return s.product(r.ProductCode) })},

	"listOrders": {role: access.Seller, reads: true, check: about(func(s *scope, r *ListOrdersRequestObject) error {
		return errors.Join(s.only(&r.Params.SellerID), s.product(r.Params.ProductCode), s.line(r.Params.OrderLineID), s.buyer(r.Params.BuyerID))
	})},
	"getOrder": {role: access.Seller, reads: true, check: about(func(s *scope, r *GetOrderRequestObject) error { return s.order(r.OrderID) })},
	"placeOrder": {
		role: access.Seller, calls: true,
		check: about(func(s *scope, r *PlaceOrderRequestObject) error {
			err := errors.Join(s.buyer(r.Body.BuyerID), s.sku(r.Body.SKUCode))
			for _, l := range r.Body.Lines {
				err = errors.Join(err, s.sku(l.SKUCode))
			}
			return err
		}),
		ids: named(func(r PlaceOrderRequestObject) idMap {
			return idMap{"skuCode": r.Body.SKUCode, "buyerId": r.Body.BuyerID}
		}),
	},
	"acceptOrder": {role: access.Seller, calls: true, check: about(func(s *scope, r *AcceptOrderRequestObject) error { return s.order(r.OrderID) })},

	"listInstances": {role: access.Seller, reads: true, check: about(func(s *scope, r *ListInstancesRequestObject) error {
		return errors.Join(s.only(&r.Params.SellerID), s.product(r.Params.ProductCode), s.order(r.Params.OrderID), s.buyer(r.Params.BuyerID))
	})},
	"getInstance":     {role: access.Seller, reads: true, check: about(func(s *scope, r *GetInstanceRequestObject) error { return s.line(r.OrderLineID) })},
	"renewInstance":   {role: access.Seller, calls: true, check: about(func(s *scope, r *RenewInstanceRequestObject) error { return s.line(r.OrderLineID) })},
	"upgradeInstance": {role: access.Seller, calls: true, check: about(func(s *scope, r *UpgradeInstanceRequestObject) error { return s.line(r.OrderLineID) })},
	"convertTrial":    {role: access.Seller, calls: true, check: about(func(s *scope, r *ConvertTrialRequestObject) error { return s.line(r.OrderLineID) })},
	"cancelRenewal":   {role: access.Seller, calls: true, check: about(func(s *scope, r *CancelRenewalRequestObject) error { return s.line(r.OrderLineID) })},
	"freezeInstance":  {role: access.Seller, calls: true, check: about(func(s *scope, r *FreezeInstanceRequestObject) error { return s.line(r.OrderLineID) })},
	"unfreezeInstance": {role: access.Seller, calls: true, check: about(func(s *scope, r *UnfreezeInstanceRequestObject) error {
		return s.line(r.OrderLineID)
	})},
	"releaseInstance": {role: access.Seller, calls: true, check: about(func(s *scope, r *ReleaseInstanceRequestObject) error { return s.line(r.OrderLineID) })},
	"checkChange":     {role: access.Seller, calls: true, check: about(func(s *scope, r *CheckChangeRequestObject) error { return s.line(r.OrderLineID) })},
	"openDetails":     {role: access.Seller, calls: true, check: about(func(s *scope, r *OpenDetailsRequestObject) error { return s.line(r.OrderLineID) })},
	"openDetailsOfSeveral": {role: access.Seller, calls: true, check: about(func(s *scope, r *OpenDetailsOfSeveralRequestObject) error {
		for _, id := range r.Body.OrderLineIDs {
			if id == "" {
				return store.ErrNotFound
			}
			if err := s.line(id); err != nil {
				return err
			}
		}
		return nil
	})},

	"listCalls":   {role: access.Seller, reads: true, check: about(func(s *scope, r *ListCallsRequestObject) error { return s.line(r.Params.OrderLineID) })},
	"restartCall": {role: access.Seller, calls: true, check: about(func(s *scope, r *RestartCallRequestObject) error { return s.call(r.CallID) })},
	"redeliver": {
		role: access.Seller, calls: true, // of a range, the operation takes the seller's own
		check: about(func(s *scope, r *RedeliverRequestObject) error {
			return errors.Join(s.line(r.Body.OrderLineID), s.call(r.Body.FromCallID), s.call(r.Body.ToCallID))
		}),
		ids: named(func(r RedeliverRequestObject) idMap {
			return idMap{"orderLineId": r.Body.OrderLineID, "fromCallId": number(r.Body.FromCallID), "toCallId": number(r.Body.ToCallID)}
		}),
	},
	"listAttempts": {role: access.Seller, reads: true, check: about(func(s *scope, r *ListAttemptsRequestObject) error {
		p := &r.Params
		return errors.Join(s.only(&p.SellerID), s.line(p.OrderLineID), s.product(p.ProductCode), s.call(p.CallID), s.subject(p.Subject))
	})},
	"getAttempt": {role: access.Seller, reads: true, check: about(func(s *scope, r *GetAttemptRequestObject) error { return s.attempt(r.AttemptID) })},
	"listEvents": {role: access.Seller, reads: true, check: about(func(s *scope, r *ListEventsRequestObject) error {
		return errors.Join(s.only(&r.Params.SellerID), s.subject(r.Params.Subject))
	})},
	"streamEvents": {role: access.Seller, reads: true, check: about(func(s *scope, r *StreamEventsRequestObject) error {
		return errors.Join(s.only(&r.Params.SellerID), s.subject(r.Params.Subject))
	})},
	"examine": {role: access.Seller, check: about(func(s *scope, r *ExamineRequestObject) error { return s.only(&r.Body.SellerID) })},

	"listUsageRecords": {role: access.Seller, reads: true},
	"listBills":        {role: access.Seller, reads: true, check: about(func(s *scope, r *ListBillsRequestObject) error { return s.instance(r.Params.Instance) })},
	"listPackages":     {role: access.Seller, reads: true},

	"listLicenses":     {role: access.Seller, reads: true, check: about(func(s *scope, r *ListLicensesRequestObject) error { return s.order(r.Params.OrderID) })},
	"getLicense":       {role: access.Seller, reads: true, check: about(func(s *scope, r *GetLicenseRequestObject) error { return s.license(r.License) })},
	"handOverLicense":  {role: access.Seller, calls: true, check: about(func(s *scope, r *HandOverLicenseRequestObject) error { return s.license(r.License) })},
	"renewLicense":     {role: access.Seller, calls: true, check: about(func(s *scope, r *RenewLicenseRequestObject) error { return s.license(r.License) })},
	"freezeLicense":    {role: access.Seller, calls: true, check: about(func(s *scope, r *FreezeLicenseRequestObject) error { return s.license(r.License) })},
	"unfreezeLicense":  {role: access.Seller, calls: true, check: about(func(s *scope, r *UnfreezeLicenseRequestObject) error { return s.license(r.License) })},
	"askLicenseFile":   {role: access.Seller, calls: true, check: about(func(s *scope, r *AskLicenseFileRequestObject) error { return s.line(r.OrderLineID) })},
	"listLicenseFiles": {role: access.Seller, reads: true, check: about(func(s *scope, r *ListLicenseFilesRequestObject) error { return s.line(r.Params.OrderLineID) })},
	"getLicenseFile":   {role: access.Seller, reads: true, check: about(func(s *scope, r *GetLicenseFileRequestObject) error { return s.licenseFile(r.EventID) })},
	"cancelLicenseRenewal": {role: access.Seller, calls: true, check: about(func(s *scope, r *CancelLicenseRenewalRequestObject) error {
		return s.license(r.License)
	})},
	"unsubscribeLicense": {role: access.Seller, calls: true, check: about(func(s *scope, r *UnsubscribeLicenseRequestObject) error {
		return s.license(r.License)
	})},
	"downloadLicenseFile": {role: access.Seller, reads: true, check: about(func(s *scope, r *DownloadLicenseFileRequestObject) error {
		return s.licenseFile(r.EventID)
	})},

	"listFaults": {role: access.Seller, reads: true},
	"putFault": {role: access.Seller, check: about(func(s *scope, r *PutFaultRequestObject) error {
		if r.Body.ProductCode == "" {
			return &problem{http.StatusForbidden, "forbidden", "productCode: expected one of your products; faults of everything, and those of the open API, are the operator's"}
		}
		if err := s.product(r.Body.ProductCode); err != nil {
			return err
		}
		return s.newFault(r.FaultID)
	}), ids: named(func(r PutFaultRequestObject) idMap {
		return idMap{"productCode": r.Body.ProductCode, "kind": string(r.Body.Kind)}
	})},
	"deleteFault":  {role: access.Seller, check: about(func(s *scope, r *DeleteFaultRequestObject) error { return s.fault(r.FaultID) })},
	"deleteFaults": {role: access.Operator},

	// A tenant is the seller's who made it, or whose credential it is the test tenant of.
	"listKitTenants":  {role: access.Seller, reads: true},
	"createKitTenant": {role: access.Seller, ids: named(func(r CreateKitTenantRequestObject) idMap { return idMap{"tenantCode": r.Body.TenantCode} })},
	"getKitTenant":    {role: access.Seller, reads: true, check: about(func(s *scope, r *GetKitTenantRequestObject) error { return s.tenant(r.TenantID) })},
	"renameKitTenant": {role: access.Seller, calls: true, check: about(func(s *scope, r *RenameKitTenantRequestObject) error { return s.tenant(r.TenantID) })},
	"deleteKitTenant": {role: access.Seller, check: about(func(s *scope, r *DeleteKitTenantRequestObject) error { return s.tenant(r.TenantID) })},
	"listKitCalls":    {role: access.Seller, reads: true, check: about(func(s *scope, r *ListKitCallsRequestObject) error { return s.tenant(r.TenantID) })},
	"replaceKitDepartments": {role: access.Seller, calls: true, check: about(func(s *scope, r *ReplaceKitDepartmentsRequestObject) error {
		return s.tenant(r.TenantID)
	})},
	"putKitDepartment": {role: access.Seller, calls: true, check: about(func(s *scope, r *PutKitDepartmentRequestObject) error { return s.tenant(r.TenantID) })},
	"deleteKitDepartment": {role: access.Seller, calls: true, check: about(func(s *scope, r *DeleteKitDepartmentRequestObject) error {
		return s.tenant(r.TenantID)
	})},
	"listKitUsers":     {role: access.Seller, reads: true, check: about(func(s *scope, r *ListKitUsersRequestObject) error { return s.tenant(r.TenantID) })},
	"getKitUser":       {role: access.Seller, reads: true, check: about(func(s *scope, r *GetKitUserRequestObject) error { return s.tenant(r.TenantID) })},
	"putKitUser":       {role: access.Seller, calls: true, check: about(func(s *scope, r *PutKitUserRequestObject) error { return s.tenant(r.TenantID) })},
	"deleteKitUser":    {role: access.Seller, calls: true, check: about(func(s *scope, r *DeleteKitUserRequestObject) error { return s.tenant(r.TenantID) })},
	"resetKitPassword": {role: access.Seller, check: about(func(s *scope, r *ResetKitPasswordRequestObject) error { return s.tenant(r.TenantID) })},
	"bindKitInstance": {
		role: access.Seller, calls: true,
		check: about(func(s *scope, r *BindKitInstanceRequestObject) error {
			return errors.Join(s.tenant(r.TenantID), s.line(r.Body.OrderLineID))
		}),
		ids: named(func(r BindKitInstanceRequestObject) idMap { return idMap{"orderLineId": r.Body.OrderLineID} }),
	},
	"unbindKitInstance": {role: access.Seller, calls: true, check: about(func(s *scope, r *UnbindKitInstanceRequestObject) error {
		return errors.Join(s.tenant(r.TenantID), s.line(r.OrderLineID))
	})},
	"authoriseKitUsers": {
		role: access.Seller, calls: true,
		check: about(func(s *scope, r *AuthoriseKitUsersRequestObject) error {
			return errors.Join(s.tenant(r.TenantID), s.line(r.Body.OrderLineID))
		}),
		ids: named(func(r AuthoriseKitUsersRequestObject) idMap { return idMap{"orderLineId": r.Body.OrderLineID} }),
	},
	"cancelKitUsers": {
		role: access.Seller, calls: true,
		check: about(func(s *scope, r *CancelKitUsersRequestObject) error {
			return errors.Join(s.tenant(r.TenantID), s.line(r.Body.OrderLineID))
		}),
		ids: named(func(r CancelKitUsersRequestObject) idMap { return idMap{"orderLineId": r.Body.OrderLineID} }),
	},
	"setKitPublicKey":   {role: access.Seller, check: about(func(s *scope, r *SetKitPublicKeyRequestObject) error { return s.product(r.ProductCode) })},
	"getKitApplication": {role: access.Seller, reads: true, check: about(func(s *scope, r *GetKitApplicationRequestObject) error { return s.product(r.ProductCode) })},
	"createKitApplication": {role: access.Seller, calls: true, check: about(func(s *scope, r *CreateKitApplicationRequestObject) error {
		return s.product(r.ProductCode)
	})},
	"changeKitApplication": {role: access.Seller, calls: true, check: about(func(s *scope, r *ChangeKitApplicationRequestObject) error {
		return s.product(r.ProductCode)
	})},
	"deleteKitApplication": {role: access.Seller, calls: true, check: about(func(s *scope, r *DeleteKitApplicationRequestObject) error {
		return s.product(r.ProductCode)
	})},
	"renewKitSecrets": {role: access.Seller, calls: true, check: about(func(s *scope, r *RenewKitSecretsRequestObject) error { return s.product(r.ProductCode) })},
	"createKitTestAccount": {role: access.Seller, calls: true, check: about(func(s *scope, r *CreateKitTestAccountRequestObject) error {
		return s.product(r.ProductCode)
	})},
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// scope is what a seller may see. Its methods give store.ErrNotFound for what is another's and for what does not exist alike; an id that
// was not given, as in a filter, is nobody's and passes.
type scope struct {
	ctx    context.Context //nolint:containedctx // of one request
	store  *store.Store
	seller string
}

// own judges what was found.
func (s *scope) own(sellerID string, err error) error {
	if err != nil {
		return err
	}
	return s.ownSeller(sellerID)
}

func (s *scope) ownSeller(id string) error {
	if id != s.seller {
		return store.ErrNotFound
	}
	// A token may outlive its seller.
	_, err := s.store.Seller(s.ctx, id)
	return err
}

// only narrows a filter to the seller.
func (s *scope) only(filter *string) error {
	if *filter != "" && *filter != s.seller {
		return store.ErrNotFound
	}
	*filter = s.seller
	return nil
}

func (s *scope) product(code string) error {
	if code == "" {
		return nil
	}
	p, err := s.store.Product(s.ctx, code)
	return s.own(p.SellerID, err)
}

// newProduct lets a seller make a product, or change its own. Codes of products and SKUs are the whole marketplace's, so one that is taken
// cannot be had; by whom is not told.
func (s *scope) newProduct(code string, body *sandboxapi.Product) error {
	if err := s.product(code); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	} else if _, found := s.store.Product(s.ctx, code); err != nil && found == nil {
		return err
	}
	for _, sku := range body.SKUs {
		p, err := s.productBySKU(sku.SKUCode)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case p.SellerID != s.seller:
			return fmt.Errorf("%w: skuCode %q is taken; codes are unique on the whole marketplace", catalogue.ErrInvalid, sku.SKUCode)
		}
	}
	return nil
}

func (s *scope) productBySKU(code string) (p catalogue.Product, err error) {
	err = s.store.View(s.ctx, func(tx *store.Tx) error {
		p, err = tx.ProductBySKU(code)
		return err
	})
	return p, err
}

func (s *scope) sku(code string) error {
	if code == "" {
		return nil
	}
	p, err := s.productBySKU(code)
	return s.own(p.SellerID, err)
}

// buyer lets a seller name the buyers that it has, and the one that every sandbox has. Who else there is, is the operator's business.
func (s *scope) buyer(id string) error {
	if id == "" || id == catalogue.DemoBuyer.ID {
		return nil
	}
	orders, err := s.store.Orders(s.ctx, store.OrderFilter{SellerID: s.seller, BuyerID: id}, 1)
	if err == nil && len(orders) == 0 {
		return store.ErrNotFound
	}
	return err
}

func (s *scope) order(id string) error {
	if id == "" {
		return nil
	}
	o, err := s.store.Order(s.ctx, id)
	return s.own(o.SellerID, err)
}

// line is an instance by the order line that created it.
func (s *scope) line(id string) error {
	if id == "" {
		return nil
	}
	i, err := s.store.Instance(s.ctx, id)
	return s.own(i.SellerID, err)
}

// instance is an instance by its order line, or by its id at the ISV.
func (s *scope) instance(id string) error {
	err := s.line(id)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	i, err := s.store.InstanceByID(s.ctx, s.seller, id)
	return s.own(i.SellerID, err)
}

func (s *scope) license(code string) error {
	_, err := s.store.License(s.ctx, s.seller, code)
	return err
}

func (s *scope) licenseFile(eventID string) error {
	f, err := s.store.LicenseFile(s.ctx, eventID)
	return s.own(f.SellerID, err)
}

func (s *scope) tenant(id string) error {
	t, err := s.store.KitTenant(s.ctx, id)
	return s.own(t.SellerID, err)
}

func (s *scope) call(id int64) error {
	if id == 0 {
		return nil
	}
	return s.store.View(s.ctx, func(tx *store.Tx) error {
		c, err := tx.Call(id)
		return s.own(c.SellerID, err)
	})
}

func (s *scope) attempt(id int64) error {
	a, err := s.store.Attempt(s.ctx, id)
	return s.own(a.SellerID, err)
}

// subject is what calls and events are about. They are narrowed to the seller besides; this is so that an id of another is answered alike
// everywhere.
func (s *scope) subject(subject string) error {
	if subject == "" {
		return nil
	}
	calls, err := s.store.CallsOf(s.ctx, subject, 1)
	if err == nil && len(calls) > 0 && calls[0].SellerID != s.seller {
		return store.ErrNotFound
	}
	return err
}

// fault is a fault that is limited to a product of the seller.
func (s *scope) fault(id string) error {
	f, found, err := s.findFault(id)
	if err != nil || !found || f.ProductCode == "" {
		return errors.Join(err, store.ErrNotFound)
	}
	return s.product(f.ProductCode)
}

// newFault lets a seller make a fault, or change its own.
func (s *scope) newFault(id string) error {
	f, found, err := s.findFault(id)
	switch {
	case err != nil || !found:
		return err
	case f.ProductCode == "":
		return store.ErrNotFound
	}
	return s.product(f.ProductCode)
}

func (s *scope) findFault(id string) (f store.Fault, found bool, err error) {
	faults, err := s.store.Faults(s.ctx)
	for _, f := range faults {
		if f.ID == id {
			return f, true, nil
		}
	}
	return f, false, err
}
