// Package kitbook carries joint operation out: it applies the moves of package kit to the store, and writes state and calls in one
// transaction. It is also what the auth centres know, see login.go.
package kitbook

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/authcentre"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/outbox"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// Book is the book of enterprises.
type Book struct {
	store  *store.Store
	clock  *clock.Clock
	centre func() string // base address of the auth centres, https://host; empty: none
}

// New gives a book. centre tells the base address of the auth centres; it may change while the sandbox runs.
func New(s *store.Store, c *clock.Clock, centre func() string) *Book { return &Book{s, c, centre} }

// domain is the address of a tenant's auth centre.
func (b *Book) domain(tenantID string) string {
	base := strings.TrimRight(b.centre(), "/")
	if base == "" {
		return ""
	}
	return base + authcentre.TenantPath(tenantID)
}

// addressed refuses a move that tells an ISV of an auth centre which it could not reach.
func (b *Book) addressed(move string) error {
	if err := kit.CheckDomain(b.centre()); err != nil {
		return &kit.IllegalMoveError{
			Move: move, Why: "the auth centre of the sandbox has no https address, and the contract wants one",
			Hint: "serve it over https: isv-sandbox serve and play --start do, unless --auth-listen is off; in a program set Config.AuthCentreURL",
		}
	}
	return nil
}

// add queues calls of a tenant and gives them as they stand in the store.
func add(tx *store.Tx, tenantID string, now time.Time, calls []kit.Call) ([]store.Call, error) {
	added := make([]store.Call, 0, len(calls))
	sellers := map[string]string{}
	for _, c := range calls {
		if _, ok := sellers[c.ProductCode]; !ok {
			p, err := tx.Product(c.ProductCode)
			if err != nil {
				return nil, fmt.Errorf("product %s: %w", c.ProductCode, err)
			}
			sellers[c.ProductCode] = p.SellerID
		}
		call := store.Call{
			About: store.About{Subject: store.KitSubject(tenantID), LineID: c.LineID, SellerID: sellers[c.ProductCode], ProductCode: c.ProductCode},
			Call:  c.Call, Status: sandboxapi.CallPending, CreatedAt: now, StartedAt: now, DueAt: now,
		}
		var err error
		if call.ID, err = tx.AddCall(call); err != nil {
			return nil, err
		}
		added = append(added, call)
	}
	return added, nil
}

// move changes a tenant and queues the calls that the change yields.
func (b *Book) move(ctx context.Context, tenantID string, f func(tx *store.Tx, t *kit.Tenant, now time.Time) ([]kit.Call, error)) (t kit.Tenant, added []store.Call, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		if t, err = tx.KitTenant(tenantID); err != nil {
			return err
		}
		now := b.clock.Now()
		calls, err := f(tx, &t, now)
		if err != nil {
			return err
		}
		added, err = add(tx, t.ID, now, calls)
		return err
	})
	return t, added, err
}

// CreateTenant makes a buyer's enterprise, for the seller who asks for it, or for the operator if sellerID is empty. No ISV hears of it
// before it binds an instance.
func (b *Book) CreateTenant(ctx context.Context, sellerID, code, name string, departments []kit.Department) (t kit.Tenant, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		t, err = b.createTenant(tx, kit.Tenant{SellerID: sellerID, Code: code, Name: name, Departments: departments})
		return err
	})
	return t, err
}

func (b *Book) createTenant(tx *store.Tx, t kit.Tenant) (kit.Tenant, error) {
	t.ID = kit.RandomText(16)
	t.Domain = b.domain(t.ID)
	if err := errors.Join(t.Check(), kit.CheckDepartments(t.Departments)); err != nil {
		return t, err
	}
	switch _, err := tx.KitTenantByCode(t.Code); {
	case err == nil:
		return t, fmt.Errorf("%w: tenantCode %s: there is a tenant of that code already", kit.ErrInvalid, t.Code)
	case !errors.Is(err, store.ErrNotFound):
		return t, err
	}
	return t, errors.Join(tx.AddKitTenant(t, b.clock.Now()), tx.ReplaceKitDepartments(t.ID, t.Departments))
}

// RenameTenant gives a tenant another name, and tells the present address of its auth centre.
func (b *Book) RenameTenant(ctx context.Context, tenantID, name string) (kit.Tenant, []store.Call, error) {
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		if len(t.Bindings) > 0 {
			if err := b.addressed("rename tenant " + t.Code); err != nil {
				return nil, err
			}
		}
		calls, err := t.Rename(name, b.domain(t.ID))
		if err != nil {
			return nil, err
		}
		return calls, tx.UpdateKitTenant(*t)
	})
}

// DeleteTenant deletes a tenant that has nothing bound.
func (b *Book) DeleteTenant(ctx context.Context, tenantID string) error {
	_, _, err := b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		if err := t.Delete(); err != nil {
			return nil, err
		}
		return nil, tx.DeleteKitTenant(t.ID)
	})
	return err
}

// PutDepartment adds a department or changes one.
func (b *Book) PutDepartment(ctx context.Context, tenantID string, d kit.Department) (kit.Tenant, []store.Call, error) {
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		calls, err := t.PutDepartment(d)
		if err != nil {
			return nil, err
		}
		return calls, tx.PutKitDepartment(t.ID, d)
	})
}

// DeleteDepartment deletes a department that is a leaf and has no users.
func (b *Book) DeleteDepartment(ctx context.Context, tenantID, code string) (kit.Tenant, []store.Call, error) {
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		inUse, err := tx.KitDepartmentsInUse(t.ID)
		if err != nil {
			return nil, err
		}
		calls, err := t.DeleteDepartment(code, inUse)
		if err != nil {
			return nil, err
		}
		return calls, tx.DeleteKitDepartment(t.ID, code)
	})
}

// ReplaceDepartments replaces all departments of a tenant.
func (b *Book) ReplaceDepartments(ctx context.Context, tenantID string, list []kit.Department) (kit.Tenant, []store.Call, error) {
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		inUse, err := tx.KitDepartmentsInUse(t.ID)
		if err != nil {
			return nil, err
		}
		calls, err := t.ReplaceDepartments(list, inUse)
		if err != nil {
			return nil, err
		}
		return calls, tx.ReplaceKitDepartments(t.ID, t.Departments)
	})
}

// PutUser adds a user or changes one. A new one gets a password, which is told here and never again.
func (b *Book) PutUser(ctx context.Context, tenantID string, user kit.User) (u store.KitUser, password string, calls []store.Call, err error) {
	_, calls, err = b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) (yield []kit.Call, err error) {
		u, err = tx.KitUser(t.ID, user.UserName)
		if errors.Is(err, store.ErrNotFound) {
			u, password, err = addUser(tx, t, user)
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		grants, err := tx.KitGrantsOfUser(t.ID, user.UserName)
		if err != nil {
			return nil, err
		}
		if yield, err = t.ChangeUser(u.User, &user, grants); err != nil {
			return nil, err
		}
		u.User = user
		return yield, tx.PutKitUser(u)
	})
	return u, password, calls, err
}

func addUser(tx *store.Tx, t *kit.Tenant, user kit.User) (u store.KitUser, password string, err error) {
	if err := t.AddUser(&user); err != nil {
		return u, "", err
	}
	password = kit.NewPassword()
	u = store.KitUser{User: user, TenantID: t.ID, CentreID: kit.RandomText(16), AccountID: kit.RandomText(16), PasswordHash: kit.Hash(password)}
	return u, password, tx.PutKitUser(u)
}

// ResetPassword gives a user a new password.
func (b *Book) ResetPassword(ctx context.Context, tenantID, userName string) (u store.KitUser, password string, err error) {
	_, _, err = b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) (_ []kit.Call, err error) {
		if u, err = tx.KitUser(t.ID, userName); err != nil {
			return nil, err
		}
		password = kit.NewPassword()
		u.PasswordHash = kit.Hash(password)
		return nil, tx.PutKitUser(u)
	})
	return u, password, err
}

// DeleteUser deletes a user.
func (b *Book) DeleteUser(ctx context.Context, tenantID, userName string) ([]store.Call, error) {
	_, calls, err := b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		u, err := tx.KitUser(t.ID, userName)
		if err != nil {
			return nil, err
		}
		grants, err := tx.KitGrantsOfUser(t.ID, userName)
		if err != nil {
			return nil, err
		}
		return t.DeleteUser(u.User, grants), tx.DeleteKitUser(t.ID, userName)
	})
	return calls, err
}

// Bind binds an instance to a tenant's organisation.
func (b *Book) Bind(ctx context.Context, tenantID, lineID string) (kit.Tenant, []store.Call, error) {
	move := "bind the instance of line " + lineID
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		i, err := instance(tx, lineID)
		if err != nil {
			return nil, err
		}
		product, err := kitProduct(tx, move, i.ProductCode)
		if err != nil {
			return nil, err
		}
		app, err := tx.KitApplicationOf(product.Code)
		if errors.Is(err, store.ErrNotFound) {
			return nil, &kit.IllegalMoveError{
				Move: move, Why: "product " + product.Code + " has no application credential",
				Hint: "create one: isv-sandbox kit credential " + product.Code + " --callback URL",
			}
		}
		if err := errors.Join(err, b.addressed(move)); err != nil {
			return nil, err
		}
		var calls []kit.Call
		if domain := b.domain(t.ID); t.Domain != domain { // the sandbox is at another address than when the tenant was made
			if calls, err = t.Rename(t.Name, domain); err != nil {
				return nil, err
			}
		}
		client, err := clientOf(tx, move, t.ID, app, product)
		if err != nil {
			return nil, err
		}
		announced, err := t.Bind(app, client, i)
		if err != nil {
			return nil, err
		}
		return append(calls, announced...), errors.Join(tx.UpdateKitTenant(*t), tx.PutKitClient(t.ID, app.ID, client),
			tx.AddKitBinding(t.ID, t.Bindings[len(t.Bindings)-1]))
	})
}

// instance is an instance as the rules of kit see it.
func instance(tx *store.Tx, lineID string) (kit.Instance, error) {
	i, err := tx.Instance(lineID)
	if err != nil {
		return kit.Instance{}, err
	}
	status := i.Status
	if i.Intent != i.Status && i.Intent != "" {
		status = i.Intent // it is being frozen or released
	}
	view := kit.Instance{LineID: lineID, OrderID: i.OrderID, InstanceID: i.InstanceID, ProductCode: i.ProductCode, Status: string(status)}
	if i.Status == sandboxapi.InstanceCreating || i.Status == sandboxapi.InstanceOpening {
		view.Status = string(i.Status)
	}
	t, err := tx.KitTenantOfLine(lineID)
	if errors.Is(err, store.ErrNotFound) {
		return view, nil
	}
	view.Tenant = t.Code
	return view, err
}

// kitProduct finds a product and refuses one that is not sold in joint operation.
func kitProduct(tx *store.Tx, move, code string) (catalogue.Product, error) {
	p, err := tx.Product(code)
	if err == nil && !p.Kit {
		return p, &kit.IllegalMoveError{Move: move, Why: "product " + code + " is no kit product", Hint: "choose one that is, such as demo-kit"}
	}
	return p, err
}

// publicKey is the ISV's, or an error that says how to make one.
func publicKey(move string, p catalogue.Product) (*rsa.PublicKey, error) {
	if p.KitPublicKey == "" {
		return nil, &kit.IllegalMoveError{
			Move: move, Why: "product " + p.Code + " has no kit public key to encrypt the client secret with",
			Hint: kit.HowToMakeAKey + ": isv-sandbox kit key " + p.Code + " FILE",
		}
	}
	key, _, err := kit.ParsePublicKey(p.KitPublicKey)
	return key, err
}

// clientOf finds the client of an application at a tenant, or makes it.
func clientOf(tx *store.Tx, move, tenantID string, app kit.Application, p catalogue.Product) (kit.Client, error) {
	client, err := tx.KitClient(tenantID, app.ID)
	if !errors.Is(err, store.ErrNotFound) {
		return client, err
	}
	key, err := publicKey(move, p)
	if err != nil {
		return client, err
	}
	return kit.NewClient("", key, app.Digests)
}

// Unbind ends the binding of an instance to a tenant's organisation.
func (b *Book) Unbind(ctx context.Context, tenantID, lineID string) (kit.Tenant, []store.Call, error) {
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		if t.Test {
			return nil, &kit.IllegalMoveError{Move: "unbind the test tenant", Why: "it belongs to an application credential", Hint: "delete the credential"}
		}
		return unbind(tx, t, lineID)
	})
}

func unbind(tx *store.Tx, t *kit.Tenant, lineID string) ([]kit.Call, error) {
	binding, _ := t.Binding(lineID) // Unbind refuses what is not there
	users, err := tx.KitUsersKnown(t.ID, binding.Application.ID, lineID)
	if err != nil {
		return nil, err
	}
	calls, err := t.Unbind(lineID, plain(users))
	if err != nil {
		return nil, err
	}
	return calls, tx.DeleteKitBinding(t.ID, binding)
}

func plain(users []store.KitUser) []kit.User {
	list := make([]kit.User, len(users))
	for i, u := range users {
		list[i] = u.User
	}
	return list
}

// Authorise lets users use a bound instance; without names everybody who may not yet. An empty line is the credential's test tenant.
func (b *Book) Authorise(ctx context.Context, tenantID, lineID string, userNames []string) (kit.Tenant, []store.Call, error) {
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		binding, err := bindingOf(t, "authorise users", lineID)
		if err != nil {
			return nil, err
		}
		users, err := named(tx, t, userNames)
		if len(userNames) == 0 && err == nil {
			var all []store.KitUser
			all, err = tx.KitUsersWithout(t.ID, binding.Application.ID, lineID)
			users = plain(all)
		}
		if err != nil {
			return nil, err
		}
		return authorise(tx, t, binding, users)
	})
}

func authorise(tx *store.Tx, t *kit.Tenant, binding kit.Binding, users []kit.User) ([]kit.Call, error) {
	grants, err := tx.KitGrants(t.ID, binding.Application.ID, binding.LineID)
	if err != nil {
		return nil, err
	}
	calls, err := t.Authorise(binding, users, grants)
	if err != nil {
		return nil, err
	}
	return calls, grant(tx, t, binding, users, false)
}

// Cancel takes the authorisation of users back.
func (b *Book) Cancel(ctx context.Context, tenantID, lineID string, userNames []string) (kit.Tenant, []store.Call, error) {
	return b.move(ctx, tenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) ([]kit.Call, error) {
		binding, err := bindingOf(t, "cancel authorisations", lineID)
		if err != nil {
			return nil, err
		}
		users, err := named(tx, t, userNames)
		if err != nil {
			return nil, err
		}
		grants, err := tx.KitGrants(t.ID, binding.Application.ID, lineID)
		if err != nil {
			return nil, err
		}
		calls, err := t.Cancel(binding, users, grants)
		if err != nil {
			return nil, err
		}
		return calls, grant(tx, t, binding, users, true)
	})
}

func bindingOf(t *kit.Tenant, move, lineID string) (kit.Binding, error) {
	binding, ok := t.Binding(lineID)
	if !ok {
		return binding, &kit.IllegalMoveError{Move: move, Why: fmt.Sprintf("tenant %s has not bound the instance of line %q", t.Code, lineID), Hint: "bind it first"}
	}
	return binding, nil
}

// named finds users by their names.
func named(tx *store.Tx, t *kit.Tenant, userNames []string) ([]kit.User, error) {
	users := make([]kit.User, len(userNames))
	for i, name := range userNames {
		u, err := tx.KitUser(t.ID, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("%w: users: tenant %s has no user %q", kit.ErrInvalid, t.Code, name)
		}
		if err != nil {
			return nil, err
		}
		users[i] = u.User
	}
	return users, nil
}

func grant(tx *store.Tx, t *kit.Tenant, binding kit.Binding, users []kit.User, cancelled bool) error {
	for _, u := range users {
		g := kit.Grant{LineID: binding.LineID, AppID: binding.Application.ID, UserName: u.UserName, Cancelled: cancelled}
		if err := tx.PutKitGrant(t.ID, g); err != nil {
			return err
		}
	}
	return nil
}

// AfterRelease is a handler of the calls about instances that lets next do its work, and then unbinds an instance that was released.
func (b *Book) AfterRelease(next outbox.Handler) outbox.Handler { return &afterRelease{next, b} }

type afterRelease struct {
	outbox.Handler
	book *Book
}

// Ended implements outbox.Handler.
func (a *afterRelease) Ended(tx *store.Tx, call store.Call, r delivery.Result, succeeded bool, now time.Time) error {
	if err := a.Handler.Ended(tx, call, r, succeeded, now); err != nil || !succeeded || call.Call.Activity != providerapi.ActivityReleaseInstance {
		return err
	}
	t, err := tx.KitTenantOfLine(call.LineID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	calls, err := unbind(tx, &t, call.LineID)
	if err != nil {
		return err
	}
	_, err = add(tx, t.ID, now, calls)
	return err
}
