package kitbook

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/authcentre"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// SetPublicKey sets the ISV's public key of a product. Secrets that were sent before stay as they are, see RenewSecrets.
func (b *Book) SetPublicKey(ctx context.Context, productCode, value string) (p catalogue.Product, err error) {
	_, text, err := kit.ParsePublicKey(value)
	if err != nil {
		return p, err
	}
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		if p, err = kitProduct(tx, "set the kit public key", productCode); err != nil {
			return err
		}
		p.KitPublicKey = text
		return tx.PutProduct(p)
	})
	return p, err
}

// CreateApplication makes the application credential of a product, and its test tenant, of which the ISV is told with empty
// instance ids.
func (b *Book) CreateApplication(ctx context.Context, app kit.Application) (_ kit.Application, calls []store.Call, err error) {
	move := "create the application credential of product " + app.ProductCode
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		p, err := kitProduct(tx, move, app.ProductCode)
		if err != nil {
			return err
		}
		if err := errors.Join(app.Check(), b.addressed(move)); err != nil {
			return err
		}
		switch _, err := tx.KitApplicationOf(p.Code); {
		case err == nil:
			return &kit.IllegalMoveError{Move: move, Why: "it has one already", Hint: "change that one, or delete it first"}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		app.ID = "KAPP-" + kit.RandomText(12)
		t, err := b.createTenant(tx, kit.Tenant{
			Code: "test-" + kit.RandomText(4), Name: "Test tenant of " + app.ProductCode, Test: true, SellerID: p.SellerID,
			Departments: []kit.Department{{OrgCode: testDepartment, OrgName: "Test department"}},
		})
		if err != nil {
			return err
		}
		app.TestTenantID = t.ID
		client, err := clientOf(tx, move, t.ID, app, p)
		if err != nil {
			return err
		}
		yield, err := t.OpenTest(app, client)
		if err != nil {
			return err
		}
		now := b.clock.Now()
		if err := errors.Join(tx.PutKitApplication(app, now), tx.PutKitClient(t.ID, app.ID, client), tx.AddKitBinding(t.ID, t.Bindings[0])); err != nil {
			return err
		}
		calls, err = add(tx, t.ID, now, yield)
		return err
	})
	return app, calls, err
}

// testDepartment is the department of test accounts.
const testDepartment = "test"

// ChangeApplication changes name, call-back address, digests, and multi-instance binding, which cannot be taken back. The ISV is told
// nothing of these; other digests hold from the next secret on.
func (b *Book) ChangeApplication(ctx context.Context, change kit.Application) (app kit.Application, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.KitApplicationOf(change.ProductCode); err != nil {
			return err
		}
		if app.MultiInstance && !change.MultiInstance {
			return &kit.IllegalMoveError{
				Move: "change the application credential of product " + app.ProductCode, Why: "multiInstance cannot go back to no",
				Hint: "leave it true, or delete the credential and create another",
			}
		}
		app.Name, app.CallbackURL, app.Digests, app.MultiInstance = change.Name, change.CallbackURL, change.Digests, change.MultiInstance
		if err := app.Check(); err != nil {
			return err
		}
		return tx.PutKitApplication(app, b.clock.Now())
	})
	return app, err
}

// DeleteApplication deletes an application credential that no buyer uses, and its test tenant.
func (b *Book) DeleteApplication(ctx context.Context, productCode string) (calls []store.Call, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.KitApplicationOf(productCode)
		if err != nil {
			return err
		}
		tenants, err := tx.KitTenantsOfApplication(app.ID)
		if err != nil {
			return err
		}
		if n := len(tenants) - 1; n > 0 {
			return &kit.IllegalMoveError{
				Move: "delete the application credential of product " + productCode, Why: fmt.Sprintf("%d tenants have bound instances of the product", n),
				Hint: "unbind them first",
			}
		}
		t, err := tx.KitTenant(app.TestTenantID)
		if err != nil {
			return err
		}
		yield, err := unbind(tx, &t, "")
		if err != nil {
			return err
		}
		if calls, err = add(tx, t.ID, b.clock.Now(), yield); err != nil {
			return err
		}
		return errors.Join(tx.DeleteKitApplication(app.ID), tx.DeleteKitTenant(t.ID))
	})
	return calls, err
}

// RenewSecrets gives every tenant of an application another client secret, encrypted with the product's present public key.
func (b *Book) RenewSecrets(ctx context.Context, productCode string) (calls []store.Call, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		calls = nil // an update may be run again
		app, err := tx.KitApplicationOf(productCode)
		if err != nil {
			return err
		}
		p, err := tx.Product(productCode)
		if err != nil {
			return err
		}
		key, err := publicKey("renew the client secrets of product "+productCode, p)
		if err != nil {
			return err
		}
		tenants, err := tx.KitTenantsOfApplication(app.ID)
		if err != nil {
			return err
		}
		for _, id := range tenants {
			t, err := tx.KitTenant(id)
			if err != nil {
				return err
			}
			old, err := tx.KitClient(id, app.ID)
			if err != nil {
				return err
			}
			client, err := kit.NewClient(old.ID, key, app.Digests)
			if err != nil {
				return err
			}
			if err := tx.PutKitClient(id, app.ID, client); err != nil {
				return err
			}
			added, err := add(tx, id, b.clock.Now(), t.RenewClient(app.ID, client))
			if err != nil {
				return err
			}
			calls = append(calls, added...)
		}
		return nil
	})
	return calls, err
}

// TestAccount makes a user in the test tenant of a product's application and authorises him.
func (b *Book) TestAccount(ctx context.Context, productCode string) (u store.KitUser, password string, calls []store.Call, err error) {
	app, err := b.store.KitApplicationOf(ctx, productCode)
	if err != nil {
		return u, "", nil, err
	}
	_, calls, err = b.move(ctx, app.TestTenantID, func(tx *store.Tx, t *kit.Tenant, _ time.Time) (_ []kit.Call, err error) {
		if u, password, err = addUser(tx, t, kit.User{UserName: "test-" + kit.RandomText(3), Name: "Test account", OrgCode: testDepartment}); err != nil {
			return nil, err
		}
		return authorise(tx, t, t.Bindings[0], []kit.User{u.User})
	})
	return u, password, calls, err
}

// LoginURL is the login page of an application; empty if the auth centre has no address.
func (b *Book) LoginURL(app kit.Application) string {
	base := strings.TrimRight(b.centre(), "/")
	if base == "" {
		return ""
	}
	return base + authcentre.LoginPath + "?appId=" + url.QueryEscape(app.ID)
}
