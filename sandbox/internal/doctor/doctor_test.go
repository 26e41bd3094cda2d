package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/doctor"
	"github.com/isvkit/isvkit/sdk/provider"
)

const key = "doctor-base-key"

// right is a right ISV, made with the SDK.
func right(t *testing.T, change func(*provider.Config)) http.Handler {
	t.Helper()
	cfg := provider.Config{BaseKeys: []string{key}, V1: provider.V1Config{Keys: []string{key}}, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	h, err := provider.NewHandler(nobody{}, cfg)
	require.NoError(t, err)
	return h
}

// nobody is asked by debug calls only, which the SDK answers itself.
type nobody struct{ provider.Application }

func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// certificate makes one, signed by itself.
func certificate(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Doctor's Test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: parsed}, pool
}

func serveTLS(t *testing.T, cert tls.Certificate, versions ...uint16) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(right(t, nil))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10}
	if len(versions) > 0 {
		srv.TLS.MaxVersion = versions[0]
	}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func of(findings []doctor.Finding, about string) doctor.Finding {
	for _, f := range findings {
		if f.About == about {
			return f
		}
	}
	return doctor.Finding{}
}

// wants looks at one finding, and that everything before it is fine and, if it is wrong, that nothing comes after it.
func wants(t *testing.T, findings []doctor.Finding, about string, severity sandboxapi.Severity, text string) {
	t.Helper()
	f := of(findings, about)
	require.Equal(t, severity, f.Severity, "%s: %+v", about, findings)
	require.Contains(t, f.Found+"\n"+f.Mend, text)
	if severity != sandboxapi.SeverityOk {
		require.NotEmpty(t, f.Means)
		require.NotEmpty(t, f.Mend)
	}
	for _, one := range findings {
		require.NotContains(t, fmt.Sprint(one), key)
		require.NotContains(t, fmt.Sprint(one), "signature=")
	}
}

func TestExamine_ARightISV(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(right(t, nil))
	defer srv.Close()
	for _, v1 := range []bool{false, true} {
		findings := doctor.Examine(t.Context(), doctor.Patient{Address: srv.URL + "/saasproduce?tenant=a", BaseKey: key, V1: v1})
		var looked []string
		for _, f := range findings {
			require.Equal(t, sandboxapi.SeverityOk, f.Severity, "%+v", f)
			looked = append(looked, f.About)
		}
		require.Equal(t, []string{"address", "connection", "answer", "key", "wrong-key", "clock"}, looked)
	}
	cert, pool := certificate(t, func(*x509.Certificate) {})
	findings := doctor.Examine(t.Context(), doctor.Patient{Address: serveTLS(t, cert).URL, BaseKey: key, RootCAs: pool})
	wants(t, findings, doctor.AboutTLS, sandboxapi.SeverityOk, "TLS 1.3, certificate of Doctor's Test until ")
	wants(t, findings, doctor.AboutClock, sandboxapi.SeverityOk, "refuses what was signed long ago")
}

func TestExamine_TLS(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change   func(*x509.Certificate)
		trusted  bool
		version  uint16
		severity sandboxapi.Severity
		want     string
	}{
		"signed by itself": {func(*x509.Certificate) {}, false, 0, sandboxapi.SeverityWrong, "signed by itself"},
		"another name": {func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"crm.example.com"}
		}, true, 0, sandboxapi.SeverityWrong, "not for 127.0.0.1 but for crm.example.com"},
		"no name": {func(c *x509.Certificate) { c.IPAddresses = nil }, true, 0, sandboxapi.SeverityWrong, "but for no name at all"},
		"expired": {func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2021, 1, 2, 3, 4, 5, 0, time.UTC)
		}, true, 0, sandboxapi.SeverityWrong, "expired on 2021-01-02 03:04:05 UTC"},
		"not yet valid": {func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(24 * time.Hour)
		}, true, 0, sandboxapi.SeverityWrong, "valid only from"},
		"expires soon": {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(73 * time.Hour) }, true, 0, sandboxapi.SeverityWarning, "expires in 3 days"},
		"TLS 1.1":      {func(*x509.Certificate) {}, true, tls.VersionTLS11, sandboxapi.SeverityWrong, "Offer TLS 1.2 or 1.3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, pool := certificate(t, tc.change)
			p := doctor.Patient{BaseKey: key}
			if tc.trusted {
				p.RootCAs = pool
			}
			var versions []uint16
			if tc.version != 0 {
				versions = []uint16{tc.version}
			}
			p.Address = serveTLS(t, cert, versions...).URL
			findings := doctor.Examine(t.Context(), p)
			wants(t, findings, doctor.AboutTLS, tc.severity, tc.want)
			if tc.severity == sandboxapi.SeverityWrong {
				require.Equal(t, doctor.AboutTLS, findings[len(findings)-1].About, "nothing can be sent")
			}
		})
	}
}

func TestExamine_BrokenServers(t *testing.T) {
	t.Parallel()
	const success = `{"resultCode":"000000","resultMsg":"ok","info":[]}`
	for name, tc := range map[string]struct {
		handler  http.Handler
		about    string
		severity sandboxapi.Severity
		want     string
	}{
		"redirect": {http.RedirectHandler("/elsewhere", http.StatusMovedPermanently), "answer", sandboxapi.SeverityWrong, "HTTP 301, a redirect"},
		"HTML":     {says(200, "text/html", "<html>"), "answer", sandboxapi.SeverityWrong, "That is a page"},
		"no type":  {says(200, "text/plain", success), "answer", sandboxapi.SeverityWrong, `Content-Type "text/plain", expected application/json`},
		"500":      {says(500, "application/json", success), "answer", sandboxapi.SeverityWrong, "HTTP 500"},
		"404":      {http.NotFoundHandler(), "answer", sandboxapi.SeverityWrong, "HTTP 404 at http://127.0.0.1"},
		"401":      {says(401, "application/json", "{}"), "answer", sandboxapi.SeverityWrong, "take the production address out of what asks for one"},
		"no JSON":  {says(200, "application/json", "ok"), "answer", sandboxapi.SeverityWrong, "no JSON object with a resultCode"},
		"no code":  {says(200, "application/json", "{}"), "answer", sandboxapi.SeverityWrong, "no JSON object with a resultCode"},
		"panics":   {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "answer", sandboxapi.SeverityWrong, "no answer: EOF"},
		"hangs": {http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection goes unnoticed
			<-r.Context().Done()
		}), "answer", sandboxapi.SeverityWrong, "no answer within 300ms"},
		"another key": {right(t, func(c *provider.Config) { c.BaseKeys = []string{"another"} }), "key", sandboxapi.SeverityWrong, "Has the ISV the base key"},
		"takes all":   {says(200, "application/json", success), "wrong-key", sandboxapi.SeverityWrong, "signed with another key succeeds"},
		"takes old":   {right(t, func(c *provider.Config) { c.Leeway = time.Hour }), "clock", sandboxapi.SeverityWarning, "signed 10m0s ago is answered 000000"},
		"refuses old": {right(t, func(c *provider.Config) { c.Leeway = 5 * time.Second }), "clock", sandboxapi.SeverityWrong, "signed 50s ago is refused"},
		"Date is skewed": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(-30*time.Second).UTC().Format(http.TimeFormat))
			right(t, nil).ServeHTTP(w, r)
		}), "clock", sandboxapi.SeverityWarning, "the ISV's clock is 30s slow"},
		"clock is off": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			right(t, func(c *provider.Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } }).ServeHTTP(w, r)
		}), "key", sandboxapi.SeverityWrong, "Set the ISV's clock: it is 1h0m0s fast,"},
		"debug fails": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			right(t, nil).ServeHTTP(rec, r)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), "000000", "000003"))
		}), "key", sandboxapi.SeverityWarning, "is answered 000003"},
		"refuses by status": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			right(t, nil).ServeHTTP(rec, r)
			if strings.Contains(rec.Body.String(), "000001") {
				says(403, "text/plain", "no")(w, r)
				return
			}
			says(200, "application/json", rec.Body.String())(w, r)
		}), "wrong-key", sandboxapi.SeverityWarning, "answered HTTP 403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(tc.handler)
			t.Cleanup(srv.Close)
			limit := 5 * time.Second
			if name == "hangs" {
				limit = 300 * time.Millisecond
			}
			wants(t, doctor.Examine(t.Context(), doctor.Patient{Address: srv.URL, BaseKey: key, Limit: limit}), tc.about, tc.severity, tc.want)
		})
	}
}

func TestExamine_NotReached(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(right(t, nil))
	defer plain.Close()
	cert, _ := certificate(t, func(*x509.Certificate) {})
	secure := serveTLS(t, cert)
	var lc net.ListenConfig
	closed, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for address, want := range map[string][2]string{
		"":                                 {"address", "isv-sandbox provider"},
		"localhost:9000":                   {"address", "no http or https address"},
		"http://no-such-host.invalid/x":    {"name", "has no address"},
		"http://" + closed.Addr().String(): {"connection", "no connection to"},
		"https" + plain.URL[len("http"):]:  {"tls", "does not speak TLS"},
		"http" + secure.URL[len("https"):]: {"answer", "the port speaks TLS"},
	} {
		findings := doctor.Examine(t.Context(), doctor.Patient{Address: address, BaseKey: key})
		wants(t, findings, want[0], sandboxapi.SeverityWrong, want[1])
		require.Equal(t, want[0], findings[len(findings)-1].About, "the next thing cannot be looked at")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, doctor.Examine(ctx, doctor.Patient{Address: plain.URL, BaseKey: key}))
}

func TestExamine_SaysThatItCouldNotLookAtEverything(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	isv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ctx.Done() }))
	defer isv.Close()
	wants(t, doctor.Examine(ctx, doctor.Patient{Address: isv.URL, BaseKey: key}), doctor.AboutAnswer, sandboxapi.SeverityWarning, "the time for the examination is over")
}

func TestAtHome(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		home     doctor.Home
		about    string
		severity sandboxapi.Severity
		want     string
	}{
		"nothing yet":   {doctor.Home{}, "order-query", sandboxapi.SeverityOk, "nobody has ordered"},
		"never asked":   {doctor.Home{Orders: 1, MarketURL: "http://m"}, "order-query", sandboxapi.SeverityWarning, "this sandbox at http://m?"},
		"asked":         {doctor.Home{Orders: 1, Last: &doctor.Asked{Operation: "queryOrder", Status: 200, Code: "MKT.0000"}}, "order-query", sandboxapi.SeverityOk, "HTTP 200, MKT.0000"},
		"no such order": {doctor.Home{Orders: 1, Last: &doctor.Asked{Operation: "queryOrder", Status: 401, Code: "MKT.0150"}}, "order-query", sandboxapi.SeverityOk, "MKT.0150"},
		"wrong AK":      {doctor.Home{Orders: 1, Last: &doctor.Asked{Operation: "queryOrder", Status: 401, Code: "APIGW.0301", Detail: "no such AK"}}, "order-query", sandboxapi.SeverityWrong, "no such AK"},
		"wrong path":    {doctor.Home{Last: &doctor.Asked{Path: "/api/api/query", Status: 404}}, "order-query", sandboxapi.SeverityWrong, "/api/api/query, which is none"},
		"real time":     {doctor.Home{}, "sandbox-clock", sandboxapi.SeverityOk, "real time"},
		"ahead":         {doctor.Home{Ahead: 366 * 24 * time.Hour}, "sandbox-clock", sandboxapi.SeverityWarning, "8784h0m0s ahead"},
		"none waiting":  {doctor.Home{}, "calls", sandboxapi.SeverityOk, "no call waits"},
		"calls waiting": {doctor.Home{CallsWaiting: 3}, "calls", sandboxapi.SeverityWarning, "3 calls are no longer retried"},
	} {
		findings := doctor.AtHome(tc.home)
		require.Len(t, findings, 3, name)
		wants(t, findings, tc.about, tc.severity, tc.want)
	}
}
