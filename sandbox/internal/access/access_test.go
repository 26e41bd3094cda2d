package access

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

var now = time.Date(2026, 5, 20, 8, 0, 0, 0, time.UTC)

func TestRing_IssueAndVerify(t *testing.T) {
	old, young := NewKey(now.Add(-time.Hour)), NewKey(now)
	ring := Ring{young, old}
	text, issued, err := ring.Issue(Seller, "acme", time.Hour, now)
	require.NoError(t, err)
	require.Equal(t, young.ID, issued.KeyID, "the newest key signs")
	got, err := ring.Verify(text, now)
	require.NoError(t, err)
	require.Equal(t, issued.TokenID, got.TokenID)
	require.Equal(t, Seller, got.Role)
	require.Equal(t, "acme", got.SellerID)
	require.Equal(t, "acme", got.Scope())
	require.True(t, got.Expires.Equal(now.Add(time.Hour)))

	text, _, err = ring.Issue(Operator, "", 0, now)
	require.NoError(t, err)
	got, err = ring.Verify(text, now.Add(DefaultTTL-time.Second))
	require.NoError(t, err)
	require.Equal(t, "", got.Scope())
}

func TestRing_IssueRefuses(t *testing.T) {
	ring := Ring{NewKey(now)}
	for _, c := range []struct {
		role   Role
		seller string
		ttl    time.Duration
		want   string
	}{
		{"admin", "", 0, "expected operator or seller"},
		{Seller, "", 0, "sellerId"},
		{Operator, "acme", 0, "of no seller"},
		{Operator, "", time.Second, "ttl"},
		{Operator, "", -time.Hour, "ttl"},
		{Seller, "acme", MaxTTL + 1, "ttl"},
	} {
		_, _, err := ring.Issue(c.role, c.seller, c.ttl, now)
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, c.want)
	}
	_, _, err := Ring{}.Issue(Operator, "", 0, now)
	require.Error(t, err)
}

func TestRing_RotationAndRevocation(t *testing.T) {
	first := NewKey(now)
	ring := Ring{first}
	text, _, err := ring.Issue(Seller, "acme", 0, now)
	require.NoError(t, err)
	second := NewKey(now.Add(time.Minute))
	_, err = Ring{first, second}.Verify(text, now.Add(time.Hour))
	require.NoError(t, err, "old tokens go on after a rotation")
	_, err = Ring{second}.Verify(text, now.Add(time.Hour))
	require.ErrorIs(t, err, ErrToken)
	require.ErrorContains(t, err, "not in force")
}

func TestRing_VerifyRefuses(t *testing.T) {
	key := NewKey(now)
	ring := Ring{key}
	good := func() (jwt.MapClaims, map[string]any) {
		return jwt.MapClaims{
			"iss": Issuer, "aud": Audience, "jti": "t1", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "role": "seller", "seller": "acme",
		}, map[string]any{"kid": key.ID}
	}
	sign := func(method jwt.SigningMethod, secret any, change func(c jwt.MapClaims, h map[string]any)) string {
		c, h := good()
		if change != nil {
			change(c, h)
		}
		token := jwt.NewWithClaims(method, c)
		for k, v := range h {
			token.Header[k] = v
		}
		text, err := token.SignedString(secret)
		require.NoError(t, err)
		return text
	}
	right := sign(jwt.SigningMethodHS256, key.Secret, nil)
	_, err := ring.Verify(right, now)
	require.NoError(t, err, "the base of this table")
	set := func(name string, value any) func(jwt.MapClaims, map[string]any) {
		return func(c jwt.MapClaims, _ map[string]any) { c[name] = value }
	}
	without := func(name string) func(jwt.MapClaims, map[string]any) {
		return func(c jwt.MapClaims, _ map[string]any) { delete(c, name) }
	}
	unsigned := strings.Split(right, ".")
	for name, text := range map[string]string{
		"empty":                "",
		"text":                 "hello",
		"too long":             right + strings.Repeat("a", maxToken),
		"none":                 sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"no signature":         unsigned[0] + "." + unsigned[1] + ".",
		"none, old signature":  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+key.ID+`"}`)) + "." + unsigned[1] + "." + unsigned[2],
		"HS512":                sign(jwt.SigningMethodHS512, key.Secret, nil),
		"other secret":         sign(jwt.SigningMethodHS256, NewKey(now).Secret, nil),
		"other kid":            sign(jwt.SigningMethodHS256, key.Secret, func(_ jwt.MapClaims, h map[string]any) { h["kid"] = "other" }),
		"kid no text":          sign(jwt.SigningMethodHS256, key.Secret, func(_ jwt.MapClaims, h map[string]any) { h["kid"] = 1 }),
		"other issuer":         sign(jwt.SigningMethodHS256, key.Secret, set("iss", "someone")),
		"other audience":       sign(jwt.SigningMethodHS256, key.Secret, set("aud", "someone")),
		"no audience":          sign(jwt.SigningMethodHS256, key.Secret, without("aud")),
		"expired":              sign(jwt.SigningMethodHS256, key.Secret, set("exp", now.Add(-31*time.Second).Unix())),
		"never expires":        sign(jwt.SigningMethodHS256, key.Secret, without("exp")),
		"not yet":              sign(jwt.SigningMethodHS256, key.Secret, set("nbf", now.Add(31*time.Second).Unix())),
		"issued in the future": sign(jwt.SigningMethodHS256, key.Secret, set("iat", now.Add(31*time.Second).Unix())),
		"no role":              sign(jwt.SigningMethodHS256, key.Secret, without("role")),
		"other role":           sign(jwt.SigningMethodHS256, key.Secret, set("role", "root")),
		"seller of nobody":     sign(jwt.SigningMethodHS256, key.Secret, without("seller")),
		"operator of a seller": sign(jwt.SigningMethodHS256, key.Secret, set("role", "operator")),
		"no id":                sign(jwt.SigningMethodHS256, key.Secret, without("jti")),
		"changed claims":       unsigned[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"role":"operator"}`)) + "." + unsigned[2],
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ring.Verify(text, now)
			require.ErrorIs(t, err, ErrToken)
			require.Zero(t, p)
			if len(text) > 20 {
				require.NotContains(t, err.Error(), text[:20])
			}
		})
	}
	for _, skew := range []time.Duration{-29 * time.Second, time.Hour + 29*time.Second} {
		_, err := ring.Verify(right, now.Add(skew))
		require.NoError(t, err, "30 s of skew are forgiven: %s", skew)
	}
}

func FuzzVerify(f *testing.F) {
	ring := Ring{{ID: "k", Secret: make([]byte, 32), Created: now}}
	text, _, _ := ring.Issue(Operator, "", 0, now)
	f.Add(text)
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ring.Verify(s, now); err == nil && (p.Role != Operator || p.KeyID != "k") {
			t.Errorf("%q gives %+v", s, p)
		}
		LooksLikeToken(s)
	})
}

func TestKey_IsNotPrinted(t *testing.T) {
	k := NewKey(now)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, "{key "+k.ID+", secret redacted}", fmt.Sprintf(verb, k))
	}
}

func TestFrom_NobodyMayDoNothing(t *testing.T) {
	p := From(t.Context())
	require.NotEqual(t, Operator, p.Role)
	require.NotEmpty(t, p.Scope())
	require.Equal(t, "acme", From(With(t.Context(), Principal{Role: Seller, SellerID: "acme"})).Scope())
}

func TestLooksLikeToken(t *testing.T) {
	text, _, err := Ring{NewKey(now)}.Issue(Operator, "", 0, now)
	require.NoError(t, err)
	require.True(t, LooksLikeToken(text))
	require.False(t, LooksLikeToken("0123456789abcdef0123456789abcdef"))
	require.False(t, LooksLikeToken("a.b.c"))
}

func TestRates(t *testing.T) {
	clock := now
	r := NewRates(5, func() time.Time { return clock })
	for range 10 {
		_, ok := r.Take("acme")
		require.True(t, ok, "two seconds' worth at once")
	}
	wait, ok := r.Take("acme")
	require.False(t, ok)
	require.Equal(t, time.Second, wait)
	_, ok = r.Take("other")
	require.True(t, ok, "everybody has a bucket of his own")
	clock = clock.Add(200 * time.Millisecond)
	_, ok = r.Take("acme")
	require.True(t, ok)
	_, ok = r.Take("acme")
	require.False(t, ok)
	clock = clock.Add(-time.Hour)
	_, ok = r.Take("acme")
	require.False(t, ok, "a clock that goes back takes and gives nothing")
	clock = clock.Add(2 * time.Hour)
	for range 10 {
		_, ok = r.Take("acme")
		require.True(t, ok)
	}
	_, ok = r.Take("acme")
	require.False(t, ok, "a bucket never holds more")

	slow := NewRates(0.1, func() time.Time { return clock })
	_, ok = slow.Take("acme")
	require.True(t, ok, "at least one request fits")
	wait, ok = slow.Take("acme")
	require.False(t, ok)
	require.Equal(t, 10*time.Second, wait)

	off := NewRates(0, func() time.Time { return clock })
	for range 1000 {
		_, ok = off.Take("acme")
		require.True(t, ok)
	}
}

func TestRates_StayFew(t *testing.T) {
	clock := now
	r := NewRates(1, func() time.Time { return clock })
	for n := range 3 * maxBuckets {
		clock = clock.Add(time.Millisecond)
		r.Take(fmt.Sprint(n))
	}
	require.LessOrEqual(t, len(r.buckets), maxBuckets+1)
}

func TestExposure(t *testing.T) {
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		require.NoError(t, err)
		return a
	}
	const good = "3f0e9a41c7d25b8866aa01fe"
	for _, c := range []struct {
		name            string
		control, market string
		tokens          bool
		key             string
		want            string // of the error; empty: fine
	}{
		{"laptop", "127.0.0.1:1", "127.0.0.1:2", false, "x", ""},
		{"laptop, IPv6", "[::1]:1", "[::1]:2", false, "x", ""},
		{"laptop with tokens", "127.0.0.1:1", "127.0.0.1:2", true, "x", ""},
		{"all addresses", "0.0.0.0:1", "127.0.0.1:2", false, good, "control API would listen on 0.0.0.0:1"},
		{"all addresses, IPv6", "[::]:1", "127.0.0.1:2", false, good, "control API"},
		{"no host", ":1", "127.0.0.1:2", false, good, "control API"},
		{"private network", "192.168.1.5:1", "127.0.0.1:2", false, good, "control API"},
		{"mapped loopback", "[::ffff:127.0.0.1]:1", "127.0.0.1:2", false, "x", ""},
		{"mapped other", "[::ffff:10.0.0.1]:1", "127.0.0.1:2", false, good, "control API"},
		{"tokens", "0.0.0.0:1", "0.0.0.0:2", true, good, ""},
		{"only the open API", "127.0.0.1:1", "0.0.0.0:2", false, good, ""},
		{"short", "127.0.0.1:1", "0.0.0.0:2", false, "3f0e9a41c7d25b8", "ISVKIT_BASE_KEY: shorter than 16"},
		{"empty", "127.0.0.1:1", "0.0.0.0:2", false, "", "ISVKIT_BASE_KEY"},
		{"of a test", "0.0.0.0:1", "127.0.0.1:2", true, "my-Test-base-key-0123", "ISVKIT_BASE_KEY"},
		{"repeated", "0.0.0.0:1", "127.0.0.1:2", true, "0101010101010101", "ISVKIT_BASE_KEY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Exposure{Addresses: []net.Addr{tcp(c.control), tcp(c.market)}, Control: tcp(c.control), Tokens: c.tokens, Secrets: map[string]string{"ISVKIT_BASE_KEY": c.key}}
			err := e.Check()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			var exposed *ExposureError
			require.ErrorAs(t, err, &exposed)
			require.NotEmpty(t, exposed.Mend)
			if len(c.key) > 3 {
				require.NotContains(t, err.Error()+exposed.Mend, c.key)
			}
		})
	}
}
