package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// kitError makes an error of package kit one that is answered.
func kitError(err error) error {
	var illegal *kit.IllegalMoveError
	switch {
	case errors.As(err, &illegal):
		return &problem{http.StatusConflict, "illegal-move", illegal.Error()}
	case errors.Is(err, kit.ErrInvalid):
		return fmt.Errorf("%w: %s", orderbook.ErrInvalid, strings.TrimPrefix(err.Error(), "invalid: "))
	}
	return err
}

func callViews(calls []store.Call) []sandboxapi.Call {
	views := make([]sandboxapi.Call, len(calls))
	for i, c := range calls {
		views[i] = callView(c)
	}
	return views
}

func departmentsOf(list []sandboxapi.KitDepartment) []kit.Department {
	all := make([]kit.Department, len(list))
	for i, d := range list {
		all[i] = kit.Department{OrgCode: d.OrgCode, OrgName: d.OrgName, ParentCode: d.ParentCode}
	}
	return all
}

func tenantView(t kit.Tenant) sandboxapi.KitTenant {
	v := sandboxapi.KitTenant{
		TenantID: t.ID, TenantCode: t.Code, Name: t.Name, DomainName: t.Domain, Test: t.Test,
		Departments: make([]sandboxapi.KitDepartment, len(t.Departments)), Bindings: make([]sandboxapi.KitBinding, len(t.Bindings)),
	}
	for i, d := range t.Departments {
		v.Departments[i] = sandboxapi.KitDepartment{OrgCode: d.OrgCode, OrgName: d.OrgName, ParentCode: d.ParentCode}
	}
	for i, b := range t.Bindings {
		v.Bindings[i] = sandboxapi.KitBinding{
			AppID: b.Application.ID, ProductCode: b.Application.ProductCode, ClientID: b.Client.ID, OrderLineID: b.LineID, InstanceID: b.InstanceID,
		}
	}
	return v
}

func changed(t kit.Tenant, calls []store.Call, err error) (sandboxapi.KitTenantChanged, error) {
	if err != nil {
		return sandboxapi.KitTenantChanged{}, kitError(err)
	}
	return sandboxapi.KitTenantChanged{Tenant: tenantView(t), Calls: callViews(calls)}, nil
}

func userView(code string, u store.KitUser, grants []kit.Grant) sandboxapi.KitUserView {
	v := sandboxapi.KitUserView{
		UserName: u.UserName, Account: u.UserName + "@" + code, Name: u.Name, OrgCode: u.OrgCode, Position: u.Position, EmployeeCode: u.EmployeeCode,
		EmployeeType: int(u.EmployeeType), Role: string(u.Role), Enable: string(u.Enable), Mobile: u.Mobile, Email: u.Email, WorkPlace: u.WorkPlace,
		EntryDate: u.EntryDate, Authorisations: []sandboxapi.KitUserAuthorisation{},
	}
	for _, g := range grants {
		if g.UserName != u.UserName {
			continue
		}
		status := "authorised"
		if g.Cancelled {
			status = "cancelled"
		}
		v.Authorisations = append(v.Authorisations, sandboxapi.KitUserAuthorisation{AppID: g.AppID, OrderLineID: g.LineID, Status: status})
	}
	return v
}

// userChanged tells of a user as he is now.
func (s *server) userChanged(ctx context.Context, u store.KitUser, password string, calls []store.Call, err error) (v sandboxapi.KitUserChanged, _ error) {
	if err != nil {
		return v, kitError(err)
	}
	t, err := s.s.Store().KitTenant(ctx, u.TenantID)
	if err != nil {
		return v, err
	}
	grants, err := s.s.Store().KitGrantsOfUser(ctx, u.TenantID, u.UserName)
	return sandboxapi.KitUserChanged{TenantID: t.ID, User: userView(t.Code, u, grants), Password: password, Calls: callViews(calls)}, err
}

func (s *server) ListKitTenants(ctx context.Context, r ListKitTenantsRequestObject) (ListKitTenantsResponseObject, error) {
	var tenants []kit.Tenant
	var err error
	if seller := access.From(ctx).Scope(); seller != "" {
		tenants, err = s.s.Store().KitTenantsOfSeller(ctx, seller, limit(r.Params.Limit))
	} else {
		tenants, err = s.s.Store().KitTenants(ctx, limit(r.Params.Limit))
	}
	list := ListKitTenants200JSONResponse{Tenants: make([]sandboxapi.KitTenant, len(tenants))}
	for i, t := range tenants {
		list.Tenants[i] = tenantView(t)
	}
	return list, err
}

func (s *server) CreateKitTenant(ctx context.Context, r CreateKitTenantRequestObject) (CreateKitTenantResponseObject, error) {
	t, err := s.s.Kit().CreateTenant(ctx, access.From(ctx).Scope(), r.Body.TenantCode, r.Body.Name, departmentsOf(r.Body.Departments))
	return CreateKitTenant201JSONResponse(tenantView(t)), kitError(err)
}

func (s *server) GetKitTenant(ctx context.Context, r GetKitTenantRequestObject) (GetKitTenantResponseObject, error) {
	t, err := s.s.Store().KitTenant(ctx, r.TenantID)
	return GetKitTenant200JSONResponse(tenantView(t)), err
}

func (s *server) RenameKitTenant(ctx context.Context, r RenameKitTenantRequestObject) (RenameKitTenantResponseObject, error) {
	v, err := changed(s.s.Kit().RenameTenant(ctx, r.TenantID, r.Body.Name))
	return RenameKitTenant200JSONResponse(v), err
}

func (s *server) DeleteKitTenant(ctx context.Context, r DeleteKitTenantRequestObject) (DeleteKitTenantResponseObject, error) {
	return DeleteKitTenant204Response{}, kitError(s.s.Kit().DeleteTenant(ctx, r.TenantID))
}

func (s *server) ListKitCalls(ctx context.Context, r ListKitCallsRequestObject) (ListKitCallsResponseObject, error) {
	t, err := s.s.Store().KitTenant(ctx, r.TenantID)
	if err != nil {
		return nil, err
	}
	calls, err := s.s.Store().CallsOf(ctx, store.KitSubject(t.ID), limit(r.Params.Limit))
	return ListKitCalls200JSONResponse{Calls: callViews(calls)}, err
}

func (s *server) ReplaceKitDepartments(ctx context.Context, r ReplaceKitDepartmentsRequestObject) (ReplaceKitDepartmentsResponseObject, error) {
	v, err := changed(s.s.Kit().ReplaceDepartments(ctx, r.TenantID, departmentsOf(r.Body.Departments)))
	return ReplaceKitDepartments200JSONResponse(v), err
}

func (s *server) PutKitDepartment(ctx context.Context, r PutKitDepartmentRequestObject) (PutKitDepartmentResponseObject, error) {
	v, err := changed(s.s.Kit().PutDepartment(ctx, r.TenantID, kit.Department{OrgCode: r.OrgCode, OrgName: r.Body.OrgName, ParentCode: r.Body.ParentCode}))
	return PutKitDepartment200JSONResponse(v), err
}

func (s *server) DeleteKitDepartment(ctx context.Context, r DeleteKitDepartmentRequestObject) (DeleteKitDepartmentResponseObject, error) {
	v, err := changed(s.s.Kit().DeleteDepartment(ctx, r.TenantID, r.OrgCode))
	return DeleteKitDepartment200JSONResponse(v), err
}

func (s *server) ListKitUsers(ctx context.Context, r ListKitUsersRequestObject) (ListKitUsersResponseObject, error) {
	t, err := s.s.Store().KitTenant(ctx, r.TenantID)
	if err != nil {
		return nil, err
	}
	users, err := s.s.Store().KitUsers(ctx, t.ID, r.Params.After, limit(r.Params.Limit))
	if err != nil || len(users) == 0 {
		return ListKitUsers200JSONResponse{Users: []sandboxapi.KitUserView{}}, err
	}
	grants, err := s.s.Store().KitGrantsBetween(ctx, t.ID, users[0].UserName, users[len(users)-1].UserName)
	if err != nil {
		return nil, err
	}
	byUser := map[string][]kit.Grant{}
	for _, g := range grants {
		byUser[g.UserName] = append(byUser[g.UserName], g)
	}
	list := ListKitUsers200JSONResponse{Users: make([]sandboxapi.KitUserView, len(users))}
	for i, u := range users {
		list.Users[i] = userView(t.Code, u, byUser[u.UserName])
	}
	return list, nil
}

func (s *server) GetKitUser(ctx context.Context, r GetKitUserRequestObject) (GetKitUserResponseObject, error) {
	t, err := s.s.Store().KitTenant(ctx, r.TenantID)
	if err != nil {
		return nil, err
	}
	u, err := s.s.Store().KitUser(ctx, t.ID, r.UserName)
	if err != nil {
		return nil, err
	}
	grants, err := s.s.Store().KitGrantsOfUser(ctx, t.ID, u.UserName)
	return GetKitUser200JSONResponse(userView(t.Code, u, grants)), err
}

func (s *server) PutKitUser(ctx context.Context, r PutKitUserRequestObject) (PutKitUserResponseObject, error) {
	b := r.Body
	u, password, calls, err := s.s.Kit().PutUser(ctx, r.TenantID, kit.User{
		UserName: r.UserName, Name: b.Name, OrgCode: b.OrgCode, Position: b.Position, EmployeeCode: b.EmployeeCode,
		EmployeeType: providerapi.UserEmployeeType(b.EmployeeType), Role: providerapi.UserRole(b.Role), Enable: providerapi.UserEnable(b.Enable),
		Mobile: b.Mobile, Email: b.Email, WorkPlace: b.WorkPlace, EntryDate: b.EntryDate,
	})
	v, err := s.userChanged(ctx, u, password, calls, err)
	return PutKitUser200JSONResponse(v), err
}

func (s *server) DeleteKitUser(ctx context.Context, r DeleteKitUserRequestObject) (DeleteKitUserResponseObject, error) {
	calls, err := s.s.Kit().DeleteUser(ctx, r.TenantID, r.UserName)
	return DeleteKitUser200JSONResponse{Calls: callViews(calls)}, kitError(err)
}

func (s *server) ResetKitPassword(ctx context.Context, r ResetKitPasswordRequestObject) (ResetKitPasswordResponseObject, error) {
	u, password, err := s.s.Kit().ResetPassword(ctx, r.TenantID, r.UserName)
	v, err := s.userChanged(ctx, u, password, nil, err)
	return ResetKitPassword200JSONResponse(v), err
}

func (s *server) BindKitInstance(ctx context.Context, r BindKitInstanceRequestObject) (BindKitInstanceResponseObject, error) {
	v, err := changed(s.s.Kit().Bind(ctx, r.TenantID, r.Body.OrderLineID))
	return BindKitInstance201JSONResponse(v), err
}

func (s *server) UnbindKitInstance(ctx context.Context, r UnbindKitInstanceRequestObject) (UnbindKitInstanceResponseObject, error) {
	v, err := changed(s.s.Kit().Unbind(ctx, r.TenantID, r.OrderLineID))
	return UnbindKitInstance200JSONResponse(v), err
}

func (s *server) AuthoriseKitUsers(ctx context.Context, r AuthoriseKitUsersRequestObject) (AuthoriseKitUsersResponseObject, error) {
	v, err := changed(s.s.Kit().Authorise(ctx, r.TenantID, r.Body.OrderLineID, r.Body.Users))
	return AuthoriseKitUsers201JSONResponse(v), err
}

func (s *server) CancelKitUsers(ctx context.Context, r CancelKitUsersRequestObject) (CancelKitUsersResponseObject, error) {
	v, err := changed(s.s.Kit().Cancel(ctx, r.TenantID, r.Body.OrderLineID, r.Body.Users))
	return CancelKitUsers201JSONResponse(v), err
}

func (s *server) SetKitPublicKey(ctx context.Context, r SetKitPublicKeyRequestObject) (SetKitPublicKeyResponseObject, error) {
	p, err := s.s.Kit().SetPublicKey(ctx, r.ProductCode, r.Body.KitPublicKey)
	return SetKitPublicKey200JSONResponse{KitPublicKey: p.KitPublicKey}, kitError(err)
}

func (s *server) applicationView(a kit.Application) sandboxapi.KitApplication {
	return sandboxapi.KitApplication{
		AppID: a.ID, ProductCode: a.ProductCode, Name: a.Name, CallbackURL: a.CallbackURL, MultiInstance: a.MultiInstance, Oaep: a.Digests.String(),
		TestTenantID: a.TestTenantID, LoginURL: s.s.Kit().LoginURL(a),
	}
}

func applicationOf(productCode string, in *sandboxapi.KitApplicationInput) (kit.Application, error) {
	digests, err := kit.ParseDigests(in.Oaep)
	return kit.Application{ProductCode: productCode, Name: in.Name, CallbackURL: in.CallbackURL, MultiInstance: in.MultiInstance, Digests: digests}, err
}

func (s *server) GetKitApplication(ctx context.Context, r GetKitApplicationRequestObject) (GetKitApplicationResponseObject, error) {
	a, err := s.s.Store().KitApplicationOf(ctx, r.ProductCode)
	return GetKitApplication200JSONResponse(s.applicationView(a)), err
}

func (s *server) CreateKitApplication(ctx context.Context, r CreateKitApplicationRequestObject) (CreateKitApplicationResponseObject, error) {
	a, err := applicationOf(r.ProductCode, r.Body)
	if err != nil {
		return nil, kitError(err)
	}
	a, calls, err := s.s.Kit().CreateApplication(ctx, a)
	return CreateKitApplication201JSONResponse{Application: s.applicationView(a), Calls: callViews(calls)}, kitError(err)
}

func (s *server) ChangeKitApplication(ctx context.Context, r ChangeKitApplicationRequestObject) (ChangeKitApplicationResponseObject, error) {
	a, err := applicationOf(r.ProductCode, r.Body)
	if err != nil {
		return nil, kitError(err)
	}
	a, err = s.s.Kit().ChangeApplication(ctx, a)
	return ChangeKitApplication200JSONResponse(s.applicationView(a)), kitError(err)
}

func (s *server) DeleteKitApplication(ctx context.Context, r DeleteKitApplicationRequestObject) (DeleteKitApplicationResponseObject, error) {
	calls, err := s.s.Kit().DeleteApplication(ctx, r.ProductCode)
	return DeleteKitApplication200JSONResponse{Calls: callViews(calls)}, kitError(err)
}

func (s *server) RenewKitSecrets(ctx context.Context, r RenewKitSecretsRequestObject) (RenewKitSecretsResponseObject, error) {
	calls, err := s.s.Kit().RenewSecrets(ctx, r.ProductCode)
	return RenewKitSecrets202JSONResponse{Calls: callViews(calls)}, kitError(err)
}

func (s *server) CreateKitTestAccount(ctx context.Context, r CreateKitTestAccountRequestObject) (CreateKitTestAccountResponseObject, error) {
	u, password, calls, err := s.s.Kit().TestAccount(ctx, r.ProductCode)
	v, err := s.userChanged(ctx, u, password, calls, err)
	return CreateKitTestAccount201JSONResponse(v), err
}
