package kitbook

import (
	"context"
	"errors"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/authcentre"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

var _ authcentre.Book = (*Book)(nil)

// refused makes a refusal of what is not there, and leaves other errors.
func refused(err error, refusal *kit.Refusal) error {
	if errors.Is(err, store.ErrNotFound) {
		return refusal
	}
	return err
}

// Application implements authcentre.Book.
func (b *Book) Application(ctx context.Context, appID string) (kit.Application, error) {
	app, err := b.store.KitApplication(ctx, appID)
	return app, refused(err, kit.ErrBadClient)
}

// ClientApplication implements authcentre.Book.
func (b *Book) ClientApplication(ctx context.Context, tenantID, clientID string) (kit.Application, error) {
	app, err := b.store.KitApplicationOfClient(ctx, tenantID, clientID)
	return app, refused(err, kit.ErrBadClient)
}

// Accounts implements authcentre.Book.
func (b *Book) Accounts(ctx context.Context, appID, tenantID string, limit int) ([]string, error) {
	return b.store.KitAccounts(ctx, appID, tenantID, limit)
}

// allowed finds a user and refuses one who may not, or no longer, use an application.
func allowed(tx *store.Tx, tenantID, userName, appID string, refusal *kit.Refusal) (store.KitUser, error) {
	u, err := tx.KitUser(tenantID, userName)
	if err != nil {
		return u, refused(err, refusal)
	}
	grants, err := tx.KitGrantsOfUser(tenantID, userName)
	if err == nil && !kit.MayLogIn(u.User, grants, appID) {
		err = refusal
	}
	return u, err
}

// SignIn implements authcentre.Book.
func (b *Book) SignIn(ctx context.Context, in authcentre.SignIn) (signed authcentre.Signed, err error) {
	err = b.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
		userName, code, ok := kit.SplitAccount(in.Account)
		if !ok {
			return kit.ErrBadLogin
		}
		t, err := tx.KitTenantByCode(code)
		if err != nil {
			return refused(err, kit.ErrBadLogin)
		}
		if in.TenantID != "" && in.TenantID != t.ID {
			return kit.ErrBadLogin
		}
		u, err := allowed(tx, t.ID, userName, in.AppID, kit.ErrBadLogin)
		if err != nil {
			return err
		}
		if !kit.Matches(u.PasswordHash, in.Password) {
			return kit.ErrBadLogin
		}
		now := b.clock.Now()
		session, cookie := kit.NewToken(kit.SessionToken, t.ID, "", userName, "", now)
		if err := tx.AddKitToken(session, now); err != nil {
			return err
		}
		signed, err = b.signed(tx, session, in.AppID, now)
		signed.Session = cookie
		return err
	})
	return signed, err
}

// signed makes the code that a browser with a session takes along.
func (b *Book) signed(tx *store.Tx, session kit.Token, appID string, now time.Time) (authcentre.Signed, error) {
	app, err := tx.KitApplication(appID)
	if err != nil {
		return authcentre.Signed{}, refused(err, kit.ErrBadLogin)
	}
	code, value := kit.NewToken(kit.CodeToken, session.TenantID, appID, session.UserName, kit.RandomText(16), now)
	return authcentre.Signed{Application: app, TenantID: session.TenantID, Code: value}, tx.AddKitToken(code, now)
}

// Resume implements authcentre.Book.
func (b *Book) Resume(ctx context.Context, session, appID, tenantID string) (signed authcentre.Signed, err error) {
	err = b.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
		token, err := tx.KitToken(kit.Hash(session))
		if err != nil {
			return refused(err, kit.ErrBadLogin)
		}
		now := b.clock.Now()
		if tenantID == "" {
			tenantID = token.TenantID
		}
		if !token.Good(kit.SessionToken, tenantID, "", now) {
			return kit.ErrBadLogin
		}
		if _, err := allowed(tx, tenantID, token.UserName, appID, kit.ErrBadLogin); err != nil {
			return err
		}
		signed, err = b.signed(tx, token, appID, now)
		return err
	})
	return signed, err
}

// Token implements authcentre.Book.
func (b *Book) Token(ctx context.Context, tenantID string, r marketplaceapi.KitTokenRequest) (answer marketplaceapi.KitToken, err error) {
	kind, value, refusal := kit.CodeToken, r.Code, kit.ErrBadCode
	switch r.GrantType {
	case marketplaceapi.GrantCode:
	case marketplaceapi.GrantRefresh:
		kind, value, refusal = kit.RefreshToken, r.RefreshToken, kit.ErrBadRefresh
	case "":
		return answer, &kit.Refusal{Code: "invalid_request", Description: "grant_type is missing"}
	default:
		return answer, &kit.Refusal{Code: "unsupported_grant_type", Description: "grant_type: expected authorization_code or refresh_token"}
	}
	for _, f := range []struct{ name, value string }{{"client_id", r.ClientID}, {"client_secret", r.ClientSecret}, {string(kind), value}} {
		if f.value == "" {
			if f.name == string(kit.RefreshToken) {
				f.name = "refresh_token"
			}
			return answer, &kit.Refusal{Code: "invalid_request", Description: f.name + " is missing; parameters are taken from the form in the body"}
		}
	}
	var again error // what was used before is refused, and what came from it is forgotten, which must be committed
	err = b.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
		again = nil // an update may be run again
		app, err := tx.KitApplicationOfClient(tenantID, r.ClientID)
		if err != nil {
			return refused(err, kit.ErrBadClient)
		}
		client, err := tx.KitClient(tenantID, app.ID)
		if err != nil {
			return err
		}
		if !kit.Matches(client.Hash, r.ClientSecret) {
			return kit.ErrBadClient
		}
		token, err := tx.KitToken(kit.Hash(value))
		if err != nil {
			return refused(err, refusal)
		}
		now := b.clock.Now()
		if !token.Good(kind, tenantID, app.ID, now) {
			again = refusal
			if token.Used && token.Kind == kind && token.TenantID == tenantID && token.AppID == app.ID {
				return tx.DeleteKitFamily(token.Family)
			}
			return nil
		}
		if r.RedirectURI != "" && r.RedirectURI != app.CallbackURL {
			return kit.ErrBadRedirect
		}
		if _, err := allowed(tx, tenantID, token.UserName, app.ID, refusal); err != nil {
			return err
		}
		access, accessValue := kit.NewToken(kit.AccessToken, tenantID, app.ID, token.UserName, token.Family, now)
		refresh, refreshValue := kit.NewToken(kit.RefreshToken, tenantID, app.ID, token.UserName, token.Family, now)
		answer = marketplaceapi.KitToken{
			AccessToken: accessValue, TokenType: "Bearer", ExpiresIn: int(kit.AccessLife.Seconds()), Scope: "get_user_info", RefreshToken: refreshValue,
		}
		return errors.Join(tx.UseKitToken(token.Hash), tx.AddKitToken(access, now), tx.AddKitToken(refresh, now))
	})
	return answer, errors.Join(err, again)
}

// UserInfo implements authcentre.Book.
func (b *Book) UserInfo(ctx context.Context, tenantID, accessToken string) (info marketplaceapi.KitUser, err error) {
	err = b.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
		token, err := tx.KitToken(kit.Hash(accessToken))
		if err != nil {
			return refused(err, kit.ErrUnauthorized)
		}
		if !token.Good(kit.AccessToken, tenantID, token.AppID, b.clock.Now()) {
			return kit.ErrUnauthorized
		}
		u, err := allowed(tx, tenantID, token.UserName, token.AppID, kit.ErrUnauthorized)
		if err != nil {
			return err
		}
		t, err := tx.KitTenant(tenantID)
		if err != nil {
			return err
		}
		info = marketplaceapi.KitUser{
			ID: u.CentreID, UserName: u.UserName, Name: u.Name, Email: u.Email, Mobile: u.Mobile, Role: string(u.Role), OrganizationCode: u.OrgCode,
			UserID: u.AccountID, AccName: t.Code, LoginName: u.UserName + "@" + t.Code, ProjectName: t.Name, Tenant: t.ID,
		}
		for _, d := range t.Departments {
			if d.OrgCode == u.OrgCode {
				info.OrganizationName = d.OrgName
			}
		}
		return nil
	})
	return info, err
}

// SignOut implements authcentre.Book. Codes and tokens that an ISV has stay good: it ends its own session itself.
func (b *Book) SignOut(ctx context.Context, tenantID, session string) (callbacks []string, err error) {
	err = b.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
		callbacks = nil // an update may be run again
		token, err := tx.KitToken(kit.Hash(session))
		switch {
		case err == nil && token.Kind == kit.SessionToken && token.TenantID == tenantID:
			if err := tx.DeleteKitToken(token.Hash); err != nil {
				return err
			}
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		}
		t, err := tx.KitTenant(tenantID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		for _, binding := range t.Bindings {
			callbacks = append(callbacks, binding.Application.CallbackURL)
		}
		return err
	})
	return callbacks, err
}
