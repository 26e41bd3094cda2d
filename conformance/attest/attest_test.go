package attest_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/attest"
	"github.com/isvkit/isvkit/conformance/report"
)

const judged = `{"verdict":"conformant","target":"https://isv.example/saasproduce","suiteVersion":"1.2.3","contractVersion":"2","build":"crm 4.2","charging":["period"],
"with":[],"level":"must","startedAt":"2026-11-22T01:00:00Z","checks":[{"id":"a/passed","outcome":"pass"},{"id":"a/warned","outcome":"warning"},{"id":"a/na","outcome":"not-applicable"}]}`

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func keys(t testing.TB) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	private, public, err := attest.NewKey()
	require.NoError(t, err)
	priv, err := attest.ParsePrivateKey(private)
	require.NoError(t, err)
	pub, err := attest.ParsePublicKey(public)
	require.NoError(t, err)
	return priv, pub
}

func options() attest.Options {
	return attest.Options{Issuer: "https://market.example", Valid: 24 * time.Hour, Now: noon}
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	token, err := attest.Sign([]byte(judged), private, options())
	require.NoError(t, err)
	s, err := attest.Verify(token, []byte(judged), public, noon.Add(time.Hour))
	require.NoError(t, err)
	assert.Equal(t, report.Conformant, s.Verdict)
	assert.Equal(t, "https://market.example", s.Issuer)
	assert.Equal(t, "https://isv.example/saasproduce", s.Subject)
	assert.Equal(t, "crm 4.2", s.Build)
	assert.Equal(t, "1.2.3", s.SuiteVersion)
	assert.Equal(t, noon.Add(24*time.Hour), s.ExpiresAt.UTC())
	assert.Equal(t, map[report.Outcome][]string{"pass": {"a/passed"}, "warning": {"a/warned"}, "not-applicable": {"a/na"}}, s.Outcomes)
}

func TestSign_Refuses(t *testing.T) {
	t.Parallel()
	private, _ := keys(t)
	for want, change := range map[string]func(text string, o *attest.Options) string{
		"no report in JSON": func(string, *attest.Options) string { return "nonsense" },
		"has no verdict":    func(s string, _ *attest.Options) string { return strings.Replace(s, "conformant", "error", 1) },
		"about 3 checks that": func(s string, _ *attest.Options) string {
			return strings.Replace(s, `"checks"`, `"notSelected":5,"checks"`, 1)
		},
		"no issuer is given":       func(s string, o *attest.Options) string { o.Issuer = ""; return s },
		"expired already":          func(s string, o *attest.Options) string { o.Valid = 0; return s },
		"no build is given":        func(s string, _ *attest.Options) string { return strings.Replace(s, "crm 4.2", "", 1) },
		`build "crm 4.2", not "x"`: func(s string, o *attest.Options) string { o.Build = "x"; return s },
	} {
		o := options()
		text := change(judged, &o)
		_, err := attest.Sign([]byte(text), private, o)
		assert.ErrorContains(t, err, want)
	}
	o := options()
	o.Build = "crm 4.3"
	_, err := attest.Sign([]byte(strings.Replace(judged, "crm 4.2", "", 1)), private, o)
	assert.NoError(t, err)
	_, err = attest.Sign([]byte(strings.Replace(judged, `"verdict":"conformant"`, `"verdict":"not-conformant"`, 1)), private, options())
	assert.NoError(t, err, "a bad verdict is a verdict")
}

func TestVerify_Refuses(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	_, otherPublic := keys(t)
	right, err := attest.Sign([]byte(judged), private, options())
	require.NoError(t, err)
	parts := strings.Split(right, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims jwt.MapClaims
	require.NoError(t, json.Unmarshal(payload, &claims))
	signed := func(method jwt.SigningMethod, key any, typ any) string {
		token := jwt.NewWithClaims(method, claims)
		token.Header["typ"] = typ
		text, err := token.SignedString(key)
		require.NoError(t, err)
		return text
	}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})

	type attempt struct {
		token  string
		report string
		key    ed25519.PublicKey
		at     time.Time
		want   string
	}
	for name, a := range map[string]attempt{
		"payload changed":           {parts[0] + "." + encode(strings.Replace(string(payload), "conformant", "Conformant", 1)) + "." + parts[2], judged, public, noon, "was changed, or signed by somebody else"},
		"verdict changed":           {parts[0] + "." + encode(strings.Replace(string(payload), `"a/warned"`, `"a/other"`, 1)) + "." + parts[2], judged, public, noon, "was changed, or signed by somebody else"},
		"report changed":            {right, judged + " ", public, noon, "another report, or this one was changed"},
		"another key":               {right, judged, otherPublic, noon, "signed by somebody else"},
		"expired":                   {right, judged, public, noon.Add(25 * time.Hour), "expired on Mon, 23 Nov 2026 12:00:00 UTC"},
		"from the future":           {right, judged, public, noon.Add(-time.Hour), "from the future"},
		"alg none":                  {signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, attest.Type), judged, public, noon, "in another way than with Ed25519"},
		"alg none, no signature":    {encode(`{"alg":"none","typ":"`+attest.Type+`"}`) + "." + parts[1] + ".", judged, public, noon, "in another way than with Ed25519"},
		"HS256 with the public key": {signed(jwt.SigningMethodHS256, []byte(public), attest.Type), judged, public, noon, "in another way than with Ed25519"},
		"HS256 with the PEM":        {signed(jwt.SigningMethodHS256, publicPEM, attest.Type), judged, public, noon, "in another way than with Ed25519"},
		"ES256":                     {signed(jwt.SigningMethodES256, ec, attest.Type), judged, public, noon, "in another way than with Ed25519"},
		"a token for another thing": {signed(jwt.SigningMethodEdDSA, private, "JWT"), judged, public, noon, "of the type"},
		"no token":                  {"nonsense", judged, public, noon, "no statement"},
		"empty":                     {"", judged, public, noon, "no statement"},
	} {
		_, err := attest.Verify(a.token, []byte(a.report), a.key, a.at)
		assert.ErrorContains(t, err, a.want, name)
	}

	delete(claims, "exp")
	_, err = attest.Verify(signed(jwt.SigningMethodEdDSA, private, attest.Type), []byte(judged), public, noon)
	assert.Error(t, err, "a statement for ever is none")
	claims = jwt.MapClaims{"exp": claims["iat"].(float64) + 1000}
	_, err = attest.Verify(signed(jwt.SigningMethodEdDSA, private, attest.Type), []byte(judged), public, noon)
	assert.ErrorContains(t, err, "the verdict or the report is missing")
}

func TestVerifyEarlier_MayHaveExpired(t *testing.T) {
	t.Parallel()
	private, public := keys(t)
	o := options()
	o.Now = noon.AddDate(-3, 0, 0)
	token, err := attest.Sign([]byte(judged), private, o)
	require.NoError(t, err)
	s, err := attest.VerifyEarlier(token, public)
	require.NoError(t, err)
	assert.Equal(t, "crm 4.2", s.Build)
	_, other := keys(t)
	_, err = attest.VerifyEarlier(token, other)
	assert.ErrorContains(t, err, "signed by somebody else")
}

func TestCompare(t *testing.T) {
	t.Parallel()
	earlier := &attest.Statement{Verdict: report.NotConformant, Build: "1", Charging: []string{"period"}, Outcomes: map[report.Outcome][]string{
		"pass": {"a/1", "a/2", "a/gone"}, "fail": {"a/3", "a/4"}, "warning": {"a/5"}, "skip": {"a/6"},
	}}
	now := &attest.Statement{Verdict: report.Conformant, Build: "2", Charging: []string{"period"}, Outcomes: map[report.Outcome][]string{
		"pass": {"a/1", "a/3", "a/new", "a/6"}, "warning": {"a/2", "a/4", "a/5"}, "not-applicable": {"a/gone"},
	}}
	d := attest.Compare(earlier, now)
	assert.Equal(t, []string{"a/3", "a/4"}, d.Better)
	assert.Equal(t, []string{"a/2"}, d.Worse)
	assert.Equal(t, []string{"a/6", "a/new"}, d.Added)
	assert.Equal(t, []string{"a/gone"}, d.Dropped)
	assert.Equal(t, []string{"verdict: conformant, earlier not-conformant", "build: 2, earlier 1"}, d.Notes)
	assert.Empty(t, attest.Compare(now, now))
}

func TestParseKeys_Refuse(t *testing.T) {
	t.Parallel()
	private, public, err := attest.NewKey()
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ecDER, err := x509.MarshalPKCS8PrivateKey(ec)
	require.NoError(t, err)
	ecPublic, err := x509.MarshalPKIXPublicKey(ec.Public())
	require.NoError(t, err)
	for want, text := range map[string][]byte{
		"not in PEM":        []byte("secret-text"),
		`a "PUBLIC KEY"`:    public,
		"another algorithm": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: ecDER}),
	} {
		_, err := attest.ParsePrivateKey(text)
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "secret-text")
	}
	for want, text := range map[string][]byte{
		"not in PEM":        []byte("x"),
		`a "PRIVATE KEY"`:   private,
		"another algorithm": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: ecPublic}),
	} {
		_, err := attest.ParsePublicKey(text)
		assert.ErrorContains(t, err, want)
	}
}

func FuzzVerify(f *testing.F) {
	private, public, err := attest.NewKey()
	require.NoError(f, err)
	priv, err := attest.ParsePrivateKey(private)
	require.NoError(f, err)
	pub, err := attest.ParsePublicKey(public)
	require.NoError(f, err)
	token, err := attest.Sign([]byte(judged), priv, options())
	require.NoError(f, err)
	f.Add(token + "x")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := attest.Verify(text, []byte(judged), pub, noon); err == nil {
			assert.Equal(t, report.Conformant, s.Verdict, "only the one that was signed")
			assert.Equal(t, strings.SplitN(token, ".", 3)[1], strings.SplitN(text, ".", 3)[1])
		}
	})
}
