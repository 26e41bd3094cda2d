package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// CreateToken makes a token.
func (s *server) CreateToken(ctx context.Context, r CreateTokenRequestObject) (CreateTokenResponseObject, error) {
	role := access.Role(r.Body.Role)
	ttl := access.DefaultTTL
	if role == access.Seller && s.access.SellerTTL != 0 {
		ttl = s.access.SellerTTL
	}
	if r.Body.TTL != "" {
		d, err := clock.ParseDuration(r.Body.TTL)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("%w: ttl %q: expected a duration such as 24h or 30d", access.ErrInvalid, r.Body.TTL)
		}
		ttl = d
	}
	if r.Body.SellerID != "" {
		if _, err := s.s.Store().Seller(ctx, r.Body.SellerID); errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("%w: sellerId: there is no seller of that id; listSellers tells who there is", access.ErrInvalid)
		} else if err != nil {
			return nil, err
		}
	}
	keys, err := s.s.Store().TokenKeys(ctx)
	if err != nil {
		return nil, err
	}
	text, p, err := keys.Issue(role, r.Body.SellerID, ttl, s.access.Now())
	if err != nil {
		return nil, err
	}
	return CreateToken201JSONResponse{
		Token: text, TokenID: p.TokenID, KeyID: p.KeyID, Role: sandboxapi.TokenRole(p.Role), SellerID: p.SellerID, ExpireTime: p.Expires,
	}, nil
}

func tokenKeys(keys access.Ring) sandboxapi.TokenKeyList {
	list := sandboxapi.TokenKeyList{TokenKeys: make([]sandboxapi.TokenKey, len(keys))}
	newest, _ := keys.Newest()
	for i, k := range keys {
		list.TokenKeys[i] = sandboxapi.TokenKey{KeyID: k.ID, CreateTime: k.Created, Signs: k.ID == newest.ID}
	}
	return list
}

// ListTokenKeys lists the keys without their secrets.
func (s *server) ListTokenKeys(ctx context.Context, _ ListTokenKeysRequestObject) (ListTokenKeysResponseObject, error) {
	keys, err := s.s.Store().TokenKeys(ctx)
	return ListTokenKeys200JSONResponse(tokenKeys(keys)), err
}

// RotateTokenKey makes a new key.
func (s *server) RotateTokenKey(ctx context.Context, _ RotateTokenKeyRequestObject) (RotateTokenKeyResponseObject, error) {
	var keys access.Ring
	err := s.s.Store().Update(ctx, func(tx *store.Tx) (err error) {
		if keys, err = tx.TokenKeys(); err != nil {
			return err
		}
		k := access.NewKey(s.access.Now())
		// The newest signs, also where the clock of whoever made the last one was ahead of ours.
		if newest, ok := keys.Newest(); ok && !k.Created.Truncate(time.Millisecond).After(newest.Created) {
			k.Created = newest.Created.Add(time.Millisecond)
		}
		if err := tx.AddTokenKey(k); err != nil {
			return err
		}
		keys, err = tx.TokenKeys()
		return err
	})
	return RotateTokenKey201JSONResponse(tokenKeys(keys)), err
}

// RevokeTokenKey drops a key, and with it every token that it signed.
func (s *server) RevokeTokenKey(ctx context.Context, r RevokeTokenKeyRequestObject) (RevokeTokenKeyResponseObject, error) {
	var keys access.Ring
	err := s.s.Store().Update(ctx, func(tx *store.Tx) (err error) {
		if keys, err = tx.TokenKeys(); err != nil {
			return err
		}
		i := slices.IndexFunc(keys, func(k access.Key) bool { return k.ID == r.KeyID })
		if i < 0 {
			return store.ErrNotFound
		}
		if newest, _ := keys.Newest(); newest.ID == r.KeyID {
			return &problem{http.StatusConflict, "key-signs", "new tokens are signed with this key: rotate first, then revoke it"}
		}
		keys = slices.Delete(keys, i, i+1)
		return tx.DeleteTokenKey(r.KeyID)
	})
	return RevokeTokenKey200JSONResponse(tokenKeys(keys)), err
}

// ListAudit lists what was done.
func (s *server) ListAudit(ctx context.Context, r ListAuditRequestObject) (ListAuditResponseObject, error) {
	entries, err := s.s.Store().Audit(ctx, store.AuditFilter{SellerID: r.Params.SellerID, Operation: r.Params.Operation, Before: r.Params.Before}, limit(r.Params.Limit))
	list := ListAudit200JSONResponse{Audit: make([]sandboxapi.AuditEntry, len(entries))}
	for i, e := range entries {
		list.Audit[i] = sandboxapi.AuditEntry{
			AuditID: e.ID, Time: e.Time, TokenID: e.TokenID, Role: sandboxapi.TokenRole(e.Role), SellerID: e.SellerID, Operation: e.Operation, IDs: e.IDs,
			Status: e.Status, Outcome: e.Outcome,
		}
	}
	return list, err
}

// RotateSecrets seals everything with the newest secrets key.
func (s *server) RotateSecrets(ctx context.Context, _ RotateSecretsRequestObject) (RotateSecretsResponseObject, error) {
	n, err := s.s.Store().Reseal(ctx)
	v := RotateSecrets200JSONResponse{Sealed: n}
	for i, id := range s.s.Store().SecretsKeys() {
		if i == 0 {
			v.KeyID = id
		} else {
			v.OtherKeyIDs = append(v.OtherKeyIDs, id)
		}
	}
	return v, err
}
