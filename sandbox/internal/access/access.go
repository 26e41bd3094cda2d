// Package access says who may use the control API, and how much: tokens with a role, keys that sign them, and rates. It is pure but
// for the random bytes of new keys and ids. All of it is ours; the marketplace has no such thing.
package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Role is what somebody may do.
type Role string

// The roles.
const (
	Operator Role = "operator" // everything
	Seller   Role = "seller"   // what belongs to one seller
)

const (
	// Issuer is where tokens say that they come from.
	Issuer = "isvkit-sandbox"
	// Audience is what tokens say that they are for.
	Audience = "isvkit-sandbox-control"
	// DefaultTTL is how long a token is good if nobody says otherwise.
	DefaultTTL = 24 * time.Hour
	// MaxTTL is the longest life of a token. What lives longer than its key's rotation cannot be taken back one by one.
	MaxTTL = 90 * 24 * time.Hour
	// MinTTL is the shortest.
	MinTTL = time.Minute
	// Leeway is how far the clocks of two processes may differ.
	Leeway = 30 * time.Second
	// maxToken is far more than any token of ours has.
	maxToken = 2048
)

// Principal is who asks.
type Principal struct {
	TokenID  string // jti; empty for the control token of laptop mode
	KeyID    string // of the key that signed the token
	Role     Role
	SellerID string    // of a seller
	Expires  time.Time // zero: never
}

// Scope is the seller to whom everything is limited; empty for the operator.
func (p Principal) Scope() string {
	if p.Role == Operator {
		return ""
	}
	return p.SellerID
}

type contextKey struct{}

// With notes who asks.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From tells who asks. Without a note it is a seller without a name, who may do nothing.
func From(ctx context.Context) Principal {
	p, ok := ctx.Value(contextKey{}).(Principal)
	if !ok {
		return Principal{Role: Seller, SellerID: "\x00nobody"}
	}
	return p
}

// Key signs tokens. Its secret is 32 random bytes.
type Key struct {
	ID      string
	Secret  []byte
	Created time.Time
}

// Format keeps the secret out of logs.
func (k Key) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("{key " + k.ID + ", secret redacted}"))
}

// NewKey makes a key.
func NewKey(now time.Time) Key {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, see crypto/rand
	return Key{ID: randomID(8), Secret: secret, Created: now}
}

func randomID(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// Ring holds the keys that are in force. The newest signs; a token is good as long as the key that signed it is in the ring.
type Ring []Key

// Newest is the key that signs new tokens.
func (r Ring) Newest() (Key, bool) {
	if len(r) == 0 {
		return Key{}, false
	}
	return slices.MaxFunc(r, func(a, b Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	}), true
}

func (r Ring) find(id string) (Key, bool) {
	i := slices.IndexFunc(r, func(k Key) bool { return k.ID == id })
	if i < 0 {
		return Key{}, false
	}
	return r[i], true
}

// claims are what a token says.
type claims struct {
	jwt.RegisteredClaims
	Role     Role   `json:"role"`
	SellerID string `json:"seller,omitempty"`
}

// ErrInvalid is wrapped by errors about a token that was asked for.
var ErrInvalid = errors.New("invalid")

// Issue makes a token for role, and for a seller its id. ttl 0 is [DefaultTTL].
func (r Ring) Issue(role Role, sellerID string, ttl time.Duration, now time.Time) (string, Principal, error) {
	if ttl == 0 {
		ttl = DefaultTTL
	}
	switch {
	case role != Operator && role != Seller:
		return "", Principal{}, fmt.Errorf("%w: role %q: expected operator or seller", ErrInvalid, role)
	case role == Seller && sellerID == "":
		return "", Principal{}, fmt.Errorf("%w: sellerId: expected the seller whose token it is", ErrInvalid)
	case role == Operator && sellerID != "":
		return "", Principal{}, fmt.Errorf("%w: sellerId: an operator's token is of no seller", ErrInvalid)
	case ttl < MinTTL || ttl > MaxTTL:
		return "", Principal{}, fmt.Errorf("%w: ttl %s: expected %s to %s", ErrInvalid, ttl, MinTTL, MaxTTL)
	}
	key, ok := r.Newest()
	if !ok {
		return "", Principal{}, errors.New("there is no key to sign tokens with")
	}
	now = now.Truncate(time.Second) // as tokens have it
	p := Principal{TokenID: randomID(12), KeyID: key.ID, Role: role, SellerID: sellerID, Expires: now.Add(ttl)}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Audience: jwt.ClaimStrings{Audience}, ID: p.TokenID, Subject: subject(p),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(p.Expires),
		},
		Role: role, SellerID: sellerID,
	})
	token.Header["kid"] = key.ID
	text, err := token.SignedString(key.Secret)
	return text, p, err
}

func subject(p Principal) string {
	if p.Role == Operator {
		return string(Operator)
	}
	return "seller/" + p.SellerID
}

// ErrToken is wrapped by what Verify returns. Its text says what is wrong and never holds the token.
var ErrToken = errors.New("token refused")

// Verify reads a token. The algorithm is pinned, so that "none" and keys of another kind are refused.
func (r Ring) Verify(text string, now time.Time) (Principal, error) {
	refused := func(why string) (Principal, error) { return Principal{}, fmt.Errorf("%w: %s", ErrToken, why) }
	if len(text) > maxToken {
		return refused("it is too long to be one of this sandbox")
	}
	var c claims
	var kid string
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(Issuer), jwt.WithAudience(Audience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(Leeway), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding(),
	)
	_, err := parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		kid, _ = t.Header["kid"].(string)
		key, ok := r.find(kid)
		if !ok {
			return nil, errUnknownKey
		}
		return key.Secret, nil
	})
	switch {
	case errors.Is(err, errUnknownKey):
		return refused("the key that signed it is not in force any more, or never was; ask the operator for a new one")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refused("it is no token of this sandbox")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return refused("its signature is not right")
	case errors.Is(err, jwt.ErrTokenExpired):
		return refused("it has expired; ask the operator for a new one")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refused("it is from the future; are the clocks right?")
	case err != nil:
		return refused("it was not made for this API")
	}
	p := Principal{TokenID: c.ID, KeyID: kid, Role: c.Role, SellerID: c.SellerID, Expires: c.ExpiresAt.Time}
	if p.TokenID == "" || p.Role == Operator && p.SellerID != "" || p.Role == Seller && p.SellerID == "" || p.Role != Operator && p.Role != Seller {
		return refused("it was not made for this API")
	}
	return p, nil
}

var errUnknownKey = errors.New("unknown key")

// LooksLikeToken tells a token of this kind from a control token: three parts of Base64, the first a JSON object.
func LooksLikeToken(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return false
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	return err == nil && strings.HasPrefix(string(head), "{")
}
