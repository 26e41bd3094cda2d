package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/kit"
)

// KitSubject is the subject of a tenant's calls.
func KitSubject(tenantID string) string { return "kit/" + tenantID }

// KitUser is a user with what the auth centre knows of him.
type KitUser struct {
	kit.User
	TenantID     string
	CentreID     string // his name at the auth centre
	AccountID    string // his name in the marketplace's account system
	PasswordHash string
}

const tenantColumns = "tenant_id, code, name, domain, test, seller_id"

func scanTenant(row interface{ Scan(...any) error }) (t kit.Tenant, err error) {
	err = row.Scan(&t.ID, &t.Code, &t.Name, &t.Domain, &t.Test, &t.SellerID)
	return t, err
}

const applicationColumns = "app_id, product_code, name, callback_url, multi_instance, digests, test_tenant_id"

func applicationFields(a *kit.Application) []any {
	return []any{&a.ID, &a.ProductCode, &a.Name, &a.CallbackURL, &a.MultiInstance, &a.Digests, &a.TestTenantID}
}

func scanApplication(row interface{ Scan(...any) error }) (a kit.Application, err error) {
	err = row.Scan(applicationFields(&a)...)
	return a, err
}

func scanDepartment(row interface{ Scan(...any) error }) (d kit.Department, err error) {
	err = row.Scan(&d.OrgCode, &d.OrgName, &d.ParentCode)
	return d, err
}

func scanBinding(row interface{ Scan(...any) error }) (b kit.Binding, err error) {
	fields := append(applicationFields(&b.Application), &b.Client.ID, &b.Client.Secret, &b.Client.Hash, &b.LineID, &b.OrderID, &b.InstanceID)
	err = row.Scan(fields...)
	return b, err
}

func scanClient(row interface{ Scan(...any) error }) (c kit.Client, err error) {
	err = row.Scan(&c.ID, &c.Secret, &c.Hash)
	return c, err
}

const userColumns = "document, tenant_id, centre_id, account_id, password_hash"

func scanKitUser(row interface{ Scan(...any) error }) (u KitUser, err error) {
	var document []byte
	if err := row.Scan(&document, &u.TenantID, &u.CentreID, &u.AccountID, &u.PasswordHash); err != nil {
		return u, err
	}
	return u, json.Unmarshal(document, &u.User)
}

func scanGrant(row interface{ Scan(...any) error }) (g kit.Grant, err error) {
	err = row.Scan(&g.UserName, &g.AppID, &g.LineID, &g.Cancelled)
	return g, err
}

func scanKitToken(row interface{ Scan(...any) error }) (t kit.Token, err error) {
	var expires sql.NullInt64
	err = row.Scan(&t.Hash, &t.Kind, &t.TenantID, &t.AppID, &t.UserName, &t.Family, &t.Used, &expires)
	t.ExpiresAt = fromMillis(expires)
	return t, err
}

// Departments and bindings make a tenant whole.
const (
	departmentsOf = "SELECT org_code, org_name, parent_code FROM kit_departments WHERE tenant_id = ? ORDER BY rowid"
	bindingsOf    = `SELECT a.app_id, a.product_code, a.name, a.callback_url, a.multi_instance, a.digests, a.test_tenant_id,
		c.client_id, c.secret, c.secret_hash, b.line_id, b.order_id, b.instance_id
		FROM kit_bindings b JOIN kit_applications a ON a.app_id = b.app_id JOIN kit_clients c ON c.tenant_id = b.tenant_id AND c.app_id = b.app_id
		WHERE b.tenant_id = ? ORDER BY b.binding_id`
)

func (s *Store) wholeTenant(ctx context.Context, q querier, t kit.Tenant, err error) (kit.Tenant, error) {
	if err != nil {
		return t, err
	}
	if t.Departments, err = collect(ctx, q, scanDepartment, departmentsOf, t.ID); err != nil {
		return t, err
	}
	t.Bindings, err = collect(ctx, q, func(row interface{ Scan(...any) error }) (kit.Binding, error) {
		b, err := scanBinding(row)
		b.Client, err = s.client(b.Client, err)
		return b, err
	}, bindingsOf, t.ID)
	return t, err
}

// wholeTenant claims the tenant: what is decided about one depends on all that belongs to it.
func (tx *Tx) wholeTenant(t kit.Tenant, err error) (kit.Tenant, error) {
	if err == nil {
		err = tx.claim("UPDATE kit_tenants SET tenant_id = tenant_id WHERE tenant_id = ?", t.ID)
	}
	return tx.store.wholeTenant(tx.ctx, tx.tx, t, err)
}

// KitTenant finds a tenant by its id or its short name. No short name looks like an id.
func (s *Store) KitTenant(ctx context.Context, id string) (kit.Tenant, error) {
	t, err := one(scanTenant(s.read.QueryRowContext(ctx, "SELECT "+tenantColumns+" FROM kit_tenants WHERE tenant_id = ?1 OR lower(code) = lower(?1)", id)))
	return s.wholeTenant(ctx, s.read, t, err)
}

// KitTenants lists tenants, newest first.
func (s *Store) KitTenants(ctx context.Context, limit int) ([]kit.Tenant, error) {
	list, err := collect(ctx, s.read, scanTenant, "SELECT "+tenantColumns+" FROM kit_tenants ORDER BY created_at DESC, rowid DESC LIMIT ?", limit)
	for i := range list {
		list[i], err = s.wholeTenant(ctx, s.read, list[i], err)
	}
	return list, err
}

// KitTenant finds a tenant by its id or its short name. No short name looks like an id.
func (tx *Tx) KitTenant(id string) (kit.Tenant, error) {
	t, err := one(scanTenant(tx.row("SELECT "+tenantColumns+" FROM kit_tenants WHERE tenant_id = ?1 OR lower(code) = lower(?1)", id)))
	return tx.wholeTenant(t, err)
}

// KitTenantByCode finds a tenant by its short name, in capitals or not.
func (tx *Tx) KitTenantByCode(code string) (kit.Tenant, error) {
	t, err := one(scanTenant(tx.row("SELECT "+tenantColumns+" FROM kit_tenants WHERE lower(code) = lower(?)", code)))
	return tx.wholeTenant(t, err)
}

// KitTenantOfLine finds the tenant that an instance is bound to.
func (tx *Tx) KitTenantOfLine(lineID string) (kit.Tenant, error) {
	t, err := one(scanTenant(tx.row("SELECT t.tenant_id, t.code, t.name, t.domain, t.test, t.seller_id FROM kit_tenants t JOIN kit_bindings b ON b.tenant_id = t.tenant_id WHERE b.line_id = ? AND b.line_id <> ''", lineID)))
	return tx.wholeTenant(t, err)
}

// KitTenantsOfApplication lists the ids of the tenants in which an application has bindings, its test tenant among them.
func (tx *Tx) KitTenantsOfApplication(appID string) ([]string, error) {
	return collect(tx.ctx, tx.tx, scanText, "SELECT tenant_id FROM kit_bindings WHERE app_id = ? GROUP BY tenant_id ORDER BY min(binding_id)", appID)
}

// AddKitTenant writes a new tenant, without departments or bindings.
func (tx *Tx) AddKitTenant(t kit.Tenant, now time.Time) error {
	return tx.exec("INSERT INTO kit_tenants ("+tenantColumns+", created_at) VALUES (?, ?, ?, ?, ?, ?, ?)", t.ID, t.Code, t.Name, t.Domain, t.Test, t.SellerID, millis(now))
}

// UpdateKitTenant writes a tenant's name and address.
func (tx *Tx) UpdateKitTenant(t kit.Tenant) error {
	return tx.exec("UPDATE kit_tenants SET name = ?, domain = ? WHERE tenant_id = ?", t.Name, t.Domain, t.ID)
}

// DeleteKitTenant deletes a tenant that has no bindings, and everybody in it.
func (tx *Tx) DeleteKitTenant(id string) error {
	for _, query := range []string{
		"DELETE FROM kit_tokens WHERE tenant_id = ?", "DELETE FROM kit_grants WHERE tenant_id = ?", "DELETE FROM kit_users WHERE tenant_id = ?",
		"DELETE FROM kit_departments WHERE tenant_id = ?", "DELETE FROM kit_clients WHERE tenant_id = ?", "DELETE FROM kit_tenants WHERE tenant_id = ?",
	} {
		if err := tx.exec(query, id); err != nil {
			return err
		}
	}
	return nil
}

// PutKitDepartment writes a department, new or not.
func (tx *Tx) PutKitDepartment(tenantID string, d kit.Department) error {
	return tx.exec(`INSERT INTO kit_departments (tenant_id, org_code, org_name, parent_code) VALUES (?, ?, ?, ?)
		ON CONFLICT (tenant_id, org_code) DO UPDATE SET org_name = excluded.org_name, parent_code = excluded.parent_code`,
		tenantID, d.OrgCode, d.OrgName, d.ParentCode)
}

// DeleteKitDepartment deletes a department.
func (tx *Tx) DeleteKitDepartment(tenantID, code string) error {
	return tx.exec("DELETE FROM kit_departments WHERE tenant_id = ? AND org_code = ?", tenantID, code)
}

// ReplaceKitDepartments writes all departments of a tenant.
func (tx *Tx) ReplaceKitDepartments(tenantID string, list []kit.Department) error {
	if err := tx.exec("DELETE FROM kit_departments WHERE tenant_id = ?", tenantID); err != nil {
		return err
	}
	for _, d := range list {
		if err := tx.PutKitDepartment(tenantID, d); err != nil {
			return err
		}
	}
	return nil
}

// KitDepartmentsInUse lists the departments that have users.
func (tx *Tx) KitDepartmentsInUse(tenantID string) ([]string, error) {
	return collect(tx.ctx, tx.tx, scanText, "SELECT DISTINCT org_code FROM kit_users WHERE tenant_id = ? ORDER BY org_code", tenantID)
}

// KitUser finds a user.
func (s *Store) KitUser(ctx context.Context, tenantID, userName string) (KitUser, error) {
	return one(scanKitUser(s.read.QueryRowContext(ctx, "SELECT "+userColumns+" FROM kit_users WHERE tenant_id = ? AND user_name = ?", tenantID, userName)))
}

// KitUser finds a user.
func (tx *Tx) KitUser(tenantID, userName string) (KitUser, error) {
	return one(scanKitUser(tx.row("SELECT "+userColumns+" FROM kit_users WHERE tenant_id = ? AND user_name = ?", tenantID, userName)))
}

// KitUsers lists users by name, from the one after the given name on.
func (s *Store) KitUsers(ctx context.Context, tenantID, after string, limit int) ([]KitUser, error) {
	return collect(ctx, s.read, scanKitUser, "SELECT "+userColumns+" FROM kit_users WHERE tenant_id = ? AND user_name > ? ORDER BY user_name LIMIT ?", tenantID, after, limit)
}

// KitUsersWithout lists the users who are not authorised for an instance, by name.
func (tx *Tx) KitUsersWithout(tenantID, appID, lineID string) ([]KitUser, error) {
	return collect(tx.ctx, tx.tx, scanKitUser, "SELECT "+userColumns+` FROM kit_users u WHERE tenant_id = ? AND NOT EXISTS (SELECT 1 FROM kit_grants g
		WHERE g.tenant_id = u.tenant_id AND g.user_name = u.user_name AND g.app_id = ? AND g.line_id = ? AND g.cancelled = 0) ORDER BY user_name`, tenantID, appID, lineID)
}

// KitUsersKnown lists the users whom the ISV was told of for an instance, by name.
func (tx *Tx) KitUsersKnown(tenantID, appID, lineID string) ([]KitUser, error) {
	return collect(tx.ctx, tx.tx, scanKitUser, `SELECT u.document, u.tenant_id, u.centre_id, u.account_id, u.password_hash FROM kit_users u
		JOIN kit_grants g ON g.tenant_id = u.tenant_id AND g.user_name = u.user_name
		WHERE u.tenant_id = ? AND g.app_id = ? AND g.line_id = ? ORDER BY u.user_name`, tenantID, appID, lineID)
}

// PutKitUser writes a user, new or not.
func (tx *Tx) PutKitUser(u KitUser) error {
	document, err := json.Marshal(u.User)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO kit_users (user_name, org_code, `+userColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id, user_name) DO UPDATE SET org_code = excluded.org_code, document = excluded.document, password_hash = excluded.password_hash`,
		u.UserName, u.OrgCode, string(document), u.TenantID, u.CentreID, u.AccountID, u.PasswordHash)
}

// DeleteKitUser deletes a user, his authorisations and his tokens.
func (tx *Tx) DeleteKitUser(tenantID, userName string) error {
	for _, query := range []string{
		"DELETE FROM kit_tokens WHERE tenant_id = ? AND user_name = ?", "DELETE FROM kit_grants WHERE tenant_id = ? AND user_name = ?",
		"DELETE FROM kit_users WHERE tenant_id = ? AND user_name = ?",
	} {
		if err := tx.exec(query, tenantID, userName); err != nil {
			return err
		}
	}
	return nil
}

// KitGrantsOfUser lists the authorisations of a user.
func (tx *Tx) KitGrantsOfUser(tenantID, userName string) ([]kit.Grant, error) {
	return collect(tx.ctx, tx.tx, scanGrant, "SELECT user_name, app_id, line_id, cancelled FROM kit_grants WHERE tenant_id = ? AND user_name = ? ORDER BY app_id, line_id", tenantID, userName)
}

// KitGrants lists the authorisations for an instance, by user.
func (tx *Tx) KitGrants(tenantID, appID, lineID string) ([]kit.Grant, error) {
	return collect(tx.ctx, tx.tx, scanGrant, "SELECT user_name, app_id, line_id, cancelled FROM kit_grants WHERE tenant_id = ? AND app_id = ? AND line_id = ? ORDER BY user_name", tenantID, appID, lineID)
}

// KitGrantsOfUser lists the authorisations of a user.
func (s *Store) KitGrantsOfUser(ctx context.Context, tenantID, userName string) ([]kit.Grant, error) {
	return s.KitGrantsBetween(ctx, tenantID, userName, userName)
}

// KitGrantsBetween lists the authorisations of users from one name to another.
func (s *Store) KitGrantsBetween(ctx context.Context, tenantID, from, to string) ([]kit.Grant, error) {
	return collect(ctx, s.read, scanGrant, "SELECT user_name, app_id, line_id, cancelled FROM kit_grants WHERE tenant_id = ? AND user_name BETWEEN ? AND ? ORDER BY user_name, app_id, line_id", tenantID, from, to)
}

// PutKitGrant writes an authorisation, new or not.
func (tx *Tx) PutKitGrant(tenantID string, g kit.Grant) error {
	return tx.exec(`INSERT INTO kit_grants (tenant_id, user_name, app_id, line_id, cancelled) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id, user_name, app_id, line_id) DO UPDATE SET cancelled = excluded.cancelled`, tenantID, g.UserName, g.AppID, g.LineID, g.Cancelled)
}

// KitAccounts lists the accounts, user@code, that may use an application; of one tenant if tenantID is not empty.
func (s *Store) KitAccounts(ctx context.Context, appID, tenantID string, limit int) ([]string, error) {
	return collect(ctx, s.read, scanText, `SELECT u.user_name || '@' || t.code FROM kit_grants g JOIN kit_tenants t ON t.tenant_id = g.tenant_id
		JOIN kit_users u ON u.tenant_id = g.tenant_id AND u.user_name = g.user_name
		WHERE g.app_id = ?1 AND g.cancelled = 0 AND (?2 = '' OR g.tenant_id = ?2) AND json_extract(u.document, '$.enable') = 'true' GROUP BY t.code, u.user_name ORDER BY t.code, u.user_name LIMIT ?3`,
		appID, tenantID, limit)
}

// KitApplication finds an application credential.
func (s *Store) KitApplication(ctx context.Context, appID string) (kit.Application, error) {
	return one(scanApplication(s.read.QueryRowContext(ctx, "SELECT "+applicationColumns+" FROM kit_applications WHERE app_id = ?", appID)))
}

// KitApplicationOf finds the application credential of a product.
func (s *Store) KitApplicationOf(ctx context.Context, productCode string) (kit.Application, error) {
	return one(scanApplication(s.read.QueryRowContext(ctx, "SELECT "+applicationColumns+" FROM kit_applications WHERE product_code = ?", productCode)))
}

// KitApplicationOf finds the application credential of a product.
func (tx *Tx) KitApplicationOf(productCode string) (kit.Application, error) {
	return one(scanApplication(tx.row("SELECT "+applicationColumns+" FROM kit_applications WHERE product_code = ?", productCode)))
}

// PutKitApplication writes an application credential, new or not.
func (tx *Tx) PutKitApplication(a kit.Application, now time.Time) error {
	return tx.exec("INSERT INTO kit_applications ("+applicationColumns+`, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app_id) DO UPDATE SET name = excluded.name, callback_url = excluded.callback_url, multi_instance = excluded.multi_instance, digests = excluded.digests`,
		a.ID, a.ProductCode, a.Name, a.CallbackURL, a.MultiInstance, a.Digests, a.TestTenantID, millis(now))
}

// DeleteKitApplication deletes an application credential that has no bindings.
func (tx *Tx) DeleteKitApplication(appID string) error {
	if err := tx.exec("DELETE FROM kit_clients WHERE app_id = ?", appID); err != nil {
		return err
	}
	return tx.exec("DELETE FROM kit_applications WHERE app_id = ?", appID)
}

// KitClient finds the client of an application at a tenant.
func (tx *Tx) KitClient(tenantID, appID string) (kit.Client, error) {
	return tx.store.client(one(scanClient(tx.row("SELECT client_id, secret, secret_hash FROM kit_clients WHERE tenant_id = ? AND app_id = ?", tenantID, appID))))
}

const applicationOfClient = `SELECT a.app_id, a.product_code, a.name, a.callback_url, a.multi_instance, a.digests, a.test_tenant_id
	FROM kit_applications a JOIN kit_clients c ON c.app_id = a.app_id WHERE c.tenant_id = ? AND c.client_id = ?`

// KitApplicationOfClient finds the application that a tenant has a client for.
func (s *Store) KitApplicationOfClient(ctx context.Context, tenantID, clientID string) (kit.Application, error) {
	return one(scanApplication(s.read.QueryRowContext(ctx, applicationOfClient, tenantID, clientID)))
}

// KitApplicationOfClient finds the application that a tenant has a client for.
func (tx *Tx) KitApplicationOfClient(tenantID, clientID string) (kit.Application, error) {
	return one(scanApplication(tx.row(applicationOfClient, tenantID, clientID)))
}

// KitApplication finds an application credential.
func (tx *Tx) KitApplication(appID string) (kit.Application, error) {
	return one(scanApplication(tx.row("SELECT "+applicationColumns+" FROM kit_applications WHERE app_id = ?", appID)))
}

// PutKitClient writes a client, new or not.
func (tx *Tx) PutKitClient(tenantID, appID string, c kit.Client) error {
	tx.store.seal(sealedClient(&c))
	return tx.exec(`INSERT INTO kit_clients (tenant_id, app_id, client_id, secret, secret_hash) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id, app_id) DO UPDATE SET client_id = excluded.client_id, secret = excluded.secret, secret_hash = excluded.secret_hash`,
		tenantID, appID, c.ID, c.Secret, c.Hash)
}

// AddKitBinding writes a binding.
func (tx *Tx) AddKitBinding(tenantID string, b kit.Binding) error {
	return tx.exec("INSERT INTO kit_bindings (tenant_id, app_id, line_id, order_id, instance_id) VALUES (?, ?, ?, ?, ?)",
		tenantID, b.Application.ID, b.LineID, b.OrderID, b.InstanceID)
}

// DeleteKitBinding deletes a binding and its authorisations. With the last binding of an application go its client and tokens.
func (tx *Tx) DeleteKitBinding(tenantID string, b kit.Binding) error {
	for _, query := range []string{
		"DELETE FROM kit_grants WHERE tenant_id = ? AND app_id = ? AND line_id = ?", "DELETE FROM kit_bindings WHERE tenant_id = ? AND app_id = ? AND line_id = ?",
	} {
		if err := tx.exec(query, tenantID, b.Application.ID, b.LineID); err != nil {
			return err
		}
	}
	const rest = " WHERE tenant_id = ?1 AND app_id = ?2 AND NOT EXISTS (SELECT 1 FROM kit_bindings b WHERE b.tenant_id = ?1 AND b.app_id = ?2)"
	if err := tx.exec("DELETE FROM kit_tokens"+rest, tenantID, b.Application.ID); err != nil {
		return err
	}
	return tx.exec("DELETE FROM kit_clients"+rest, tenantID, b.Application.ID)
}

// KitToken finds a token by its hash.
func (tx *Tx) KitToken(hash string) (kit.Token, error) {
	return one(scanKitToken(tx.row("SELECT token_hash, kind, tenant_id, app_id, user_name, family, used, expires_at FROM kit_tokens WHERE token_hash = ?", hash)))
}

// AddKitToken writes a new token, and forgets those that were over at now.
func (tx *Tx) AddKitToken(t kit.Token, now time.Time) error {
	if err := tx.exec("DELETE FROM kit_tokens WHERE expires_at < ?", now.UnixMilli()); err != nil {
		return err
	}
	return tx.exec("INSERT INTO kit_tokens (token_hash, kind, tenant_id, app_id, user_name, family, used, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		t.Hash, t.Kind, t.TenantID, t.AppID, t.UserName, t.Family, t.Used, millis(t.ExpiresAt))
}

// UseKitToken marks a token as used.
func (tx *Tx) UseKitToken(hash string) error {
	return tx.exec("UPDATE kit_tokens SET used = 1 WHERE token_hash = ?", hash)
}

// DeleteKitToken forgets a token.
func (tx *Tx) DeleteKitToken(hash string) error {
	return tx.exec("DELETE FROM kit_tokens WHERE token_hash = ?", hash)
}

// DeleteKitFamily forgets all tokens that came from one login.
func (tx *Tx) DeleteKitFamily(family string) error {
	return tx.exec("DELETE FROM kit_tokens WHERE family = ?", family)
}

// CallsOf lists the calls of a subject, newest first.
func (s *Store) CallsOf(ctx context.Context, subject string, limit int) ([]Call, error) {
	return collect(ctx, s.read, scanCall, "SELECT "+callColumns+" FROM calls WHERE subject = ? ORDER BY call_id DESC LIMIT ?", subject, limit)
}
