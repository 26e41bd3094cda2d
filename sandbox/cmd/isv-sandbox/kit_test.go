package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func opened(_ int64, w http.ResponseWriter, lineID string) {
	_, _ = w.Write([]byte(`{"resultCode":"000000","resultMsg":"ok","instanceId":"i-` + lineID + `"}`))
}

// rsaKeyFile makes the ISV's key pair and writes it as openssl does.
func rsaKeyFile(t *testing.T, dir string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	file := filepath.Join(dir, "kit.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return file
}

// browser trusts the certificate in a file and does not follow redirects.
func browser(t *testing.T, trust string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(trust)
	require.NoError(t, err)
	require.NotContains(t, string(text), "PRIVATE")
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(text))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var (
	lineForm    = regexp.MustCompile(`line (\S+)`)
	accountForm = regexp.MustCompile(`(?m)^(ann@(demo-\S+))\s+(\S+)\s+admin`)
)

// TestKit_Demo: three commands from nothing to a user who logs in; then the rest of what kit can do.
func TestKit_Demo(t *testing.T) {
	t.Parallel()
	isv := provider(t, opened)
	dir := t.TempDir()
	p := serveProcess(t, dir, "--provider", isv.URL+"/saasproduce")
	key := rsaKeyFile(t, dir)
	line := lineForm.FindStringSubmatch(p.ok("buy", "--sku", "demo-kit-period"))[1]

	code, _, stderr := p.command("kit", "demo", line)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "add --callback")
	code, _, stderr = p.command("kit", "demo", line, "--callback", "http://127.0.0.1:9000/kit/callback")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "openssl genrsa -out kit.pem 3072")
	require.Contains(t, p.ok("kit", "key", "demo-kit", key), "encrypted with this key")
	out := p.ok("kit", "demo", line, "--callback", "http://127.0.0.1:9000/kit/callback")
	for _, want := range []string{"tenantSync       succeeded", "applicationSync  succeeded", "allOrgSync       succeeded", "authSync         succeeded", "log in at " + p.keys[envLoginPage] + "?appId="} {
		require.Contains(t, out, want)
	}
	ann := accountForm.FindStringSubmatch(out)
	require.NotNil(t, ann, out)
	page := out[strings.Index(out, "log in at ")+len("log in at ") : len(out)-1]
	b := browser(t, p.keys[envAuthCA])
	resp, err := b.PostForm(p.keys[envLoginPage], url.Values{"appId": {page[strings.Index(page, "appId=")+6:]}, "account": {ann[1]}, "password": {ann[3]}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusFound, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Location"), "http://127.0.0.1:9000/kit/callback?code=")

	tenant := ann[2]
	list := filepath.Join(dir, "departments.json")
	require.NoError(t, os.WriteFile(list, []byte(`[{"orgCode":"head","orgName":"Head"},{"orgCode":"sales","orgName":"Sales","parentCode":"head"},{"orgCode":"lab","orgName":"Lab"}]`), 0o600))
	for _, step := range []struct {
		args string
		want string
	}{
		{"tenants", tenant},
		{"tenant " + tenant, "department   sales, Sales, below head"},
		{"users " + tenant, "ann@" + tenant},
		{"calls " + tenant, "tenantSync"},
		{"rename " + tenant + " Acme", "tenantSync  succeeded"},
		{"department " + tenant + " x X --parent head", "singleOrgSync  succeeded"},
		{"drop-department " + tenant + " x", "singleOrgSync  succeeded"},
		{"departments " + tenant + " " + list, "allOrgSync  succeeded"},
		{"user " + tenant + " bob --role admin", "authSync  succeeded"},
		{"user " + tenant + " dan --org sales --name Dan", "told this once"},
		{"password " + tenant + " dan", "told this once"},
		{"authorise " + tenant + " " + line + " dan", "authSync  succeeded"},
		{"cancel " + tenant + " " + line + " dan", "authSync  succeeded"},
		{"drop-user " + tenant + " dan", "authSync  succeeded"},
		{"credential demo-kit", "call-back          http://127.0.0.1:9000/kit/callback"},
		{"credential demo-kit --callback http://127.0.0.1:9000/other --multi-instance", "several instances  true"},
		{"test-account demo-kit", "told this once"},
		{"renew-secrets demo-kit", "applicationSync"},
		{"create acme Acme", "tenant       acme, Acme"},
		{"rename acme Another", "no call follows"},
		{"delete acme", "tenant acme is gone"},
		{"unbind " + tenant + " " + line, "tenantSync       succeeded"},
		{"bind " + tenant + " " + line, "allOrgSync       succeeded"},
		{"unbind " + tenant + " " + line, "tenantSync       succeeded"},
		{"drop-credential demo-kit", "tenantSync"},
	} {
		require.Contains(t, p.ok(append([]string{"kit"}, strings.Fields(step.args)...)...), step.want, step.args)
	}
	require.Contains(t, p.ok("kit", "tenants", "--json"), `"tenantCode":"`+tenant+`"`)
}

func TestKit_Misuse(t *testing.T) {
	t.Parallel()
	p := serveProcess(t, t.TempDir(), "--auth-listen", "off")
	require.Contains(t, p.out, "login page   off")
	require.Empty(t, p.keys[envLoginPage])
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"kit":                            {2, "usage: isv-sandbox kit ACTION"},
		"kit dance":                      {2, `no action "dance"`},
		"kit bind acme":                  {2, "usage: isv-sandbox kit bind TENANT LINE"},
		"kit tenant acme":                {1, "not found"},
		"kit credential demo-kit":        {1, "--callback URL applies for one"},
		"kit key demo-kit nothing.pem":   {1, "nothing.pem"},
		"kit departments acme go.mod":    {1, "go.mod"},
		"kit demo nothing":               {1, "not found"},
		"kit demo nothing --json":        {2, "prints no JSON"},
		"kit delete acme":                {1, "not found"},
		"kit user acme ann":              {1, "not found"},
		"kit create a@b Acme":            {1, "tenantCode"},
		"kit test-account demo-kit":      {1, "not found"},
		"kit credential x --callback /x": {1, "not found"},
	} {
		code, _, stderr := p.command(strings.Fields(args)...)
		require.Equal(t, want.code, code, "%s: %s", args, stderr)
		require.Contains(t, stderr, want.text, args)
	}
}

func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, trust := filepath.Join(dir, "tls.pem"), filepath.Join(dir, "ca.pem")
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	first, err := ownCertificate(file, trust, hosts, now)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, err := ownCertificate(file, trust, hosts, now.Add(300*24*time.Hour))
	require.NoError(t, err)
	require.Equal(t, first.Certificate, again.Certificate, "it is kept: the ISV trusts it")
	later, err := ownCertificate(file, trust, hosts, now.Add(380*24*time.Hour))
	require.NoError(t, err)
	require.NotEqual(t, first.Certificate, later.Certificate, "before it ends there is another")
	other, err := ownCertificate(file, trust, append(hosts, "sandbox.example.com"), now.Add(380*24*time.Hour))
	require.NoError(t, err)
	require.NoError(t, other.Leaf.VerifyHostname("sandbox.example.com"))
	require.NoError(t, os.WriteFile(file, []byte("rubbish"), 0o600))
	_, err = ownCertificate(file, trust, hosts, now)
	require.NoError(t, err)
	_, err = ownCertificate(filepath.Join(dir, "nowhere", "tls.pem"), trust, hosts, now)
	require.Error(t, err)
}

func TestServe_AuthListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveProcess(t, dir)
	first, err := os.ReadFile(p.keys[envAuthCA])
	require.NoError(t, err)
	resp, err := browser(t, p.keys[envAuthCA]).Get(p.keys[envLoginPage])
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "no application named")
	p.kill()
	p = serveProcess(t, dir)
	again, err := os.ReadFile(p.keys[envAuthCA])
	require.NoError(t, err)
	require.Equal(t, string(first), string(again))
}

// TestKit_SaysThatTheISVRefused has an ISV that takes instances and no kit calls.
func TestKit_SaysThatTheISVRefused(t *testing.T) {
	t.Parallel()
	var refuses atomic.Bool
	right := provider(t, opened)
	isv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses.Load() {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"resultCode":"000001","resultMsg":"who are you?"}`))
			return
		}
		right.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(isv.Close)
	dir := t.TempDir()
	p := serveProcess(t, dir, "--provider", isv.URL+"/saasproduce")
	line := lineForm.FindStringSubmatch(p.ok("buy", "--sku", "demo-kit-period"))[1]
	p.ok("kit", "key", "demo-kit", rsaKeyFile(t, dir))
	p.ok("kit", "credential", "demo-kit", "--callback", "http://127.0.0.1:9000/kit/callback")
	refuses.Store(true)
	code, out, stderr := p.command("kit", "demo", line)
	require.Equal(t, 1, code, out)
	require.Contains(t, stderr, "the ISV has not done")
	require.Contains(t, out, "has the ISV the kit key of its seller (ISVKIT_KIT_KEY; the key file has the demo seller's, another's was shown when it was made)?")
	require.Regexp(t, accountForm, out, "passwords are told once, and are told")
	require.NotContains(t, out, "has bound the instance")
}
