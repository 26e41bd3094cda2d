// Package doctor finds out what is wrong between the sandbox and an ISV: from the address to the key, one thing after the other,
// each with what it means and how to mend it. It keeps nothing, and sends only debug calls, which an ISV answers and does nothing
// about.
package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/egress"
	"github.com/isvkit/isvkit/sdk/signature"
)

// The things that are looked at.
const (
	AboutAddress      = "address"
	AboutName         = "name"
	AboutConnection   = "connection"
	AboutTLS          = "tls"
	AboutAnswer       = "answer"
	AboutKey          = "key"
	AboutWrongKey     = "wrong-key"
	AboutClock        = "clock"
	AboutOrderQuery   = "order-query"
	AboutSandboxClock = "sandbox-clock"
	AboutCalls        = "calls"
	AboutStored       = "stored-addresses"
)

// Finding is what was found about one thing.
type Finding = sandboxapi.Finding

// ok, warning and wrong make findings.
func ok(about, found string) Finding {
	return Finding{About: about, Severity: sandboxapi.SeverityOk, Found: found}
}

func warning(about, found, means, mend string) Finding {
	return Finding{About: about, Severity: sandboxapi.SeverityWarning, Found: found, Means: means, Mend: mend}
}

func wrong(about, found, means, mend string) Finding {
	return Finding{About: about, Severity: sandboxapi.SeverityWrong, Found: found, Means: means, Mend: mend}
}

// Patient is the ISV to examine.
type Patient struct {
	Address string // production address
	V1      bool   // speak access interface V1
	BaseKey string // access key that the ISV should have
	// Gate makes the connections. Default: one with the policy of a laptop.
	Gate *egress.Gate
	// RootCAs are who certificates are trusted from. Default: whom the gate's policy trusts.
	RootCAs *x509.CertPool
	// Limit is how long the ISV may take to answer. Default: 20 s, as the guides say.
	Limit time.Duration
	// Now is real time. Default: time.Now.
	Now func() time.Time
}

// The limits.
const (
	answerLimit  = 20 * time.Second // the guides; an older one says 5 s
	slow         = 5 * time.Second
	connectLimit = 5 * time.Second
	maxAnswer    = 1 << 20
	maxHeader    = 64 << 10
	leeway       = 60 * time.Second       // of timestamps, as the guides say
	old          = 50 * time.Second       // within the leeway, so an ISV has to take it
	stale        = 10 * time.Minute       // far outside
	soon         = 14 * 24 * time.Hour    // an expiry to warn of
	noKey        = "isvkit-doctor-no-key" // signs what has to be refused
)

// Examine looks at everything there is to see from outside, in order, and stops where the next thing cannot be looked at.
func Examine(ctx context.Context, p Patient) []Finding {
	if p.Limit == 0 {
		p.Limit = answerLimit
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Gate == nil {
		laptop, err := egress.New(egress.Rules{})
		if err != nil {
			return []Finding{wrong(AboutAddress, err.Error(), "Nothing can be called.", "Mend the egress policy.")}
		}
		p.Gate = egress.NewGate(laptop, egress.Options{})
	}
	if p.RootCAs == nil {
		p.RootCAs = p.Gate.Policy().RootCAs()
	}
	e := &examination{Patient: p}
	for _, look := range []func(context.Context) bool{e.address, e.name, e.connection, e.tls, e.answer, e.wrongKey, e.clock} {
		if ctx.Err() != nil || !look(ctx) {
			break
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.note(warning(AboutAnswer, "the ISV answers so slowly that the time for the examination is over",
			"What comes after this was not looked at.", "Answer within 5 s: with 000004 at once, and work on in the background; then ask again."))
	}
	return e.findings
}

type examination struct {
	Patient
	url      *url.URL
	host     string // with port
	local    bool
	date     string // of the first answer
	sent     time.Time
	findings []Finding
}

func (e *examination) note(f Finding) bool {
	e.findings = append(e.findings, f)
	return f.Severity != sandboxapi.SeverityWrong
}

func (e *examination) address(context.Context) bool {
	u, err := url.Parse(e.Address)
	switch {
	case e.Address == "":
		return e.note(wrong(AboutAddress, "no production address is known", "Nothing can be called.",
			"isv-sandbox provider http://127.0.0.1:9000/saasproduce, or serve --provider."))
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return e.note(wrong(AboutAddress, "the production address is no http or https address", "Nothing can be called.",
			"Expected an address such as http://127.0.0.1:9000/saasproduce."))
	}
	if err := e.Gate.Policy().Check(e.Address); err != nil {
		return e.refused(AboutAddress, err)
	}
	e.url, e.host = u, u.Host
	if u.Port() == "" {
		e.host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	ip := net.ParseIP(u.Hostname())
	e.local = u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "http" && !e.local {
		return e.note(warning(AboutAddress, e.shown()+" is plain HTTP",
			"The marketplace itself calls https only, and whoever sees the traffic sees your buyers.", "Serve https, with a certificate of a public authority."))
	}
	return e.note(ok(AboutAddress, e.shown()))
}

// refused notes that the policy is in the way.
func (e *examination) refused(about string, err error) bool {
	var r *egress.Refusal
	if !errors.As(err, &r) {
		return e.note(wrong(about, egress.Explain(err), "The sandbox cannot call it.", "Use another address."))
	}
	return e.note(wrong(about, r.What(), "The sandbox does not call it. The marketplace itself calls public addresses over https.", cmp.Or(r.Allow, "Use another address.")))
}

func isRefusal(err error) bool {
	var r *egress.Refusal
	return errors.As(err, &r)
}

// shown is the address without its query, which may hold secrets.
func (e *examination) shown() string { return e.url.Scheme + "://" + e.url.Host + e.url.EscapedPath() }

func (e *examination) name(ctx context.Context) bool {
	if net.ParseIP(e.url.Hostname()) != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	addresses, err := e.Gate.Lookup(ctx, e.Address)
	switch {
	case isRefusal(err):
		return e.refused(AboutName, err)
	case err != nil:
		return e.note(wrong(AboutName, egress.Explain(err), "The marketplace cannot find you.",
			"Check the spelling, and the DNS record where the sandbox runs; within containers localhost is the container itself."))
	case e.Gate.Policy().Discreet():
		return e.note(ok(AboutName, e.url.Hostname()+" has an address, and the egress policy allows it"))
	}
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return e.note(ok(AboutName, e.url.Hostname()+" is "+strings.Join(texts, ", ")))
}

func (e *examination) connection(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	conn, err := e.Gate.Dial(ctx, e.url.Scheme, e.host)
	switch {
	case isRefusal(err):
		return e.refused(AboutConnection, err)
	case err != nil:
		return e.note(wrong(AboutConnection, egress.Explain(err), "The marketplace cannot reach you.",
			"Is the ISV running, on that port, and listening on that interface? Does a firewall or a proxy stand between?"))
	}
	_ = conn.Close()
	return e.note(ok(AboutConnection, e.host+" takes connections"))
}

func (e *examination) tls(ctx context.Context) bool {
	if e.url.Scheme != "https" {
		return true
	}
	cfg := &tls.Config{ServerName: e.url.Hostname(), RootCAs: e.RootCAs, MinVersion: tls.VersionTLS12, Time: e.Now}
	state, err := e.handshake(ctx, cfg)
	if err == nil {
		certificate := state.PeerCertificates[0]
		found := fmt.Sprintf("%s, certificate of %s until %s", tls.VersionName(state.Version), certificate.Issuer.CommonName, certificate.NotAfter.UTC().Format(time.DateOnly))
		if left := certificate.NotAfter.Sub(e.Now()); left < soon {
			return e.note(warning(AboutTLS, fmt.Sprintf("%s; it expires in %d days", found, int(left.Hours()/24)), "From then on every call fails.", "Renew the certificate."))
		}
		return e.note(ok(AboutTLS, found))
	}
	const means = "The marketplace gives up before it sends anything."
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &record):
		return e.note(wrong(AboutTLS, "what listens there does not speak TLS", means, "Is it plain HTTP? Then the address begins with http://. Or serve https on this port."))
	case errors.As(err, &name):
		return e.note(wrong(AboutTLS, fmt.Sprintf("the certificate is not for %s but for %s", e.url.Hostname(), names(name.Certificate)), means,
			"Get a certificate with this name, or use the name that the certificate has."))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c := invalid.Cert
		if e.Now().Before(c.NotBefore) {
			return e.note(wrong(AboutTLS, "the certificate is valid only from "+c.NotBefore.UTC().Format(time.DateTime)+" UTC", means, "Check the clock here and where it was made."))
		}
		return e.note(wrong(AboutTLS, "the certificate expired on "+c.NotAfter.UTC().Format(time.DateTime)+" UTC", means, "Renew the certificate."))
	case errors.As(err, &authority):
		who := "an authority that is not trusted here"
		if c := authority.Cert; c != nil && bytes.Equal(c.RawIssuer, c.RawSubject) {
			who = "itself"
		}
		return e.note(wrong(AboutTLS, "the certificate is signed by "+who, means,
			"Use a certificate of a public authority, and send the intermediate certificates with it. On your own machine plain http will do."))
	case errors.As(err, &alert):
		return e.note(wrong(AboutTLS, "the handshake was refused: "+egress.Explain(err), means, "Offer TLS 1.2 or 1.3, and ask for no client certificate."))
	}
	return e.note(wrong(AboutTLS, "the handshake failed: "+egress.Explain(err), means, "Offer TLS 1.2 or 1.3 with a certificate of a public authority."))
}

// names of a certificate, for people.
func names(c *x509.Certificate) string {
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no name at all"
	}
	return strings.Join(all, ", ")
}

func (e *examination) handshake(ctx context.Context, cfg *tls.Config) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	conn, err := e.Gate.Dial(ctx, e.url.Scheme, e.host)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	c := tls.Client(conn, cfg)
	err = c.HandshakeContext(ctx)
	return c.ConnectionState(), err
}

// reply is what came of one debug call.
type reply struct {
	status      int
	contentType string
	date        string
	body        []byte
	code        string // result code; empty without one
	took        time.Duration
}

// ask sends a debug queryInstance, signed with a key as of a time.
func (e *examination) ask(ctx context.Context, key string, at time.Time) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Limit)
	defer cancel()
	req, err := e.request(ctx, key, at)
	if err != nil {
		return reply{}, err
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return e.Gate.Dial(ctx, e.url.Scheme, address)
		},
		TLSClientConfig:        &tls.Config{RootCAs: e.RootCAs, MinVersion: tls.VersionTLS12, Time: e.Now},
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	egress.EndUpgrade(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return reply{}, err
	}
	r := reply{status: resp.StatusCode, contentType: resp.Header.Get("Content-Type"), date: resp.Header.Get("Date"), body: body, took: time.Since(start)}
	var answer struct {
		ResultCode json.RawMessage `json:"resultCode"`
	}
	if json.Unmarshal(body, &answer) == nil {
		_ = json.Unmarshal(answer.ResultCode, &r.code)
	}
	return r, nil
}

func (e *examination) request(ctx context.Context, key string, at time.Time) (*http.Request, error) {
	const instance = "isvkit-doctor"
	query := e.url.Query()
	method, body := http.MethodPost, []byte(nil)
	if e.V1 {
		signer, err := signature.NewV1(signature.V1Config{Keys: []string{key}})
		if err != nil {
			return nil, err
		}
		q := merge(query, url.Values{ // what the address has of its own is signed as well
			"activity": {string(providerapi.ActivityQueryInstance)}, "instanceId": {instance}, "testFlag": {"1"},
			"timeStamp": {strings.Replace(at.UTC().Format("20060102150405.000"), ".", "", 1)},
		})
		token, err := signer.SignQuery(q)
		if err != nil {
			return nil, err
		}
		q.Set("authToken", token)
		method, query = http.MethodGet, q
	} else {
		var err error
		if body, err = json.Marshal(providerapi.QueryInstanceCall{Activity: providerapi.ActivityQueryInstance, InstanceID: instance, TestFlag: providerapi.TestFlagDebug}); err != nil {
			return nil, err
		}
		signer, err := signature.NewBase(signature.Config{Keys: []string{key}, Now: func() time.Time { return at }})
		if err != nil {
			return nil, err
		}
		params, err := signer.Sign(body)
		if err != nil {
			return nil, err
		}
		query = merge(query, params.Query())
	}
	target := *e.url
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json;charset=utf8")
	}
	req.Header.Set("User-Agent", "isvkit-sandbox")
	return req, nil
}

func merge(a, b url.Values) url.Values {
	for name, values := range b {
		a[name] = values
	}
	return a
}

// answer looks at form and key in one call.
func (e *examination) answer(ctx context.Context) bool {
	e.sent = e.Now()
	r, err := e.ask(ctx, e.BaseKey, e.sent)
	if err != nil {
		return e.unanswered(ctx, err)
	}
	e.date = r.date
	if !e.form(r) {
		return false
	}
	return e.key(r)
}

func (e *examination) unanswered(ctx context.Context, err error) bool {
	var timeout net.Error
	const means = "The marketplace counts the call as failed, and repeats it."
	switch {
	case ctx.Err() != nil:
		return false
	case errors.As(err, &timeout) && timeout.Timeout():
		return e.note(wrong(AboutAnswer, fmt.Sprintf("no answer within %s", e.Limit), means, "Answer 000004 at once, and work on in the background; the marketplace asks again."))
	}
	return e.note(wrong(AboutAnswer, "no answer: "+egress.Explain(err), means, "What does the ISV's log say about this call? Did its handler panic?"))
}

// form is what is demanded of every answer, whatever it says.
func (e *examination) form(r reply) bool {
	const means = "The marketplace counts the call as failed, whatever the body says."
	switch {
	case 300 <= r.status && r.status < 400:
		return e.note(wrong(AboutAnswer, fmt.Sprintf("HTTP %d, a redirect", r.status), "The marketplace follows no redirects.",
			"Use the address that it redirects to; watch a slash at the end, and http against https."))
	case r.status == http.StatusBadRequest && e.url.Scheme == "http" && bytes.Contains(bytes.ToLower(r.body), []byte("https")):
		return e.note(wrong(AboutAnswer, "HTTP 400: the port speaks TLS", means, "The address begins with https://."))
	case r.status == http.StatusNotFound:
		return e.note(wrong(AboutAnswer, "HTTP 404 at "+e.shown(), means, "Is the path the one that the ISV serves? Is another program on this port?"))
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		return e.note(wrong(AboutAnswer, fmt.Sprintf("HTTP %d", r.status), means,
			"The calls carry a signature and no login: take the production address out of what asks for one. A wrong signature is answered 000001 with HTTP 200."))
	case r.status != http.StatusOK:
		return e.note(wrong(AboutAnswer, fmt.Sprintf("HTTP %d", r.status), means, "Answer 200 always; the result code tells how it went. The ISV's log tells why it did not."))
	}
	media, _, err := mime.ParseMediaType(r.contentType)
	if err != nil || media != "application/json" {
		mend := "Set the Content-Type application/json."
		if media == "text/html" {
			mend = "That is a page: is it a web server's, a proxy's or a login's, in front of the ISV?"
		}
		return e.note(wrong(AboutAnswer, fmt.Sprintf("Content-Type %q, expected application/json", r.contentType), means, mend))
	}
	if r.code == "" {
		return e.note(wrong(AboutAnswer, "the answer is no JSON object with a resultCode", means, "Answer such as {\"resultCode\":\"000000\",\"resultMsg\":\"success\"}."))
	}
	found := fmt.Sprintf("HTTP 200, application/json, in %d ms", r.took.Milliseconds())
	if r.took > slow {
		return e.note(warning(AboutAnswer, found, "The newest guide gives 20 s, an older one 5 s.", "Answer 000004 at once, and work on in the background."))
	}
	return e.note(ok(AboutAnswer, found))
}

// refusedSignature tells whether the answer refuses a signature or its timestamp.
func (r reply) refusedSignature() bool {
	return r.code == string(providerapi.ResultAuthenticationFailed) || r.code == string(providerapi.ResultInvalidParameter)
}

func (e *examination) key(r reply) bool {
	if skew, known := e.skew(); known && skew.Abs() > leeway && r.refusedSignature() {
		return e.note(wrong(AboutKey, "a call that is signed rightly is refused with "+r.code, "Every call is refused.",
			fmt.Sprintf("Set the ISV's clock: it is %s, and signatures are good for a minute.", describe(skew))))
	}
	switch r.code {
	case string(providerapi.ResultAuthenticationFailed):
		return e.note(wrong(AboutKey, "a call that is signed rightly is refused with 000001", "Every call is refused.",
			"Has the ISV the base key of this sandbox (isv-sandbox env)? Does it verify the raw bytes of the body? Is its clock right?"))
	case string(providerapi.ResultSuccess):
		return e.note(ok(AboutKey, "a debug call that is signed rightly succeeds"))
	}
	return e.note(warning(AboutKey, "a debug call that is signed rightly is answered "+r.code,
		"The signature was not refused. But the console saves debug calls and replays them as probes, and a probe that fails for days takes the product off sale.",
		"Answer calls with testFlag 1 with 000000 and plausible contents, for instances that do not exist too."))
}

func (e *examination) wrongKey(ctx context.Context) bool {
	r, err := e.ask(ctx, noKey, e.Now())
	if err != nil {
		return e.unanswered(ctx, err)
	}
	switch {
	case r.code == string(providerapi.ResultAuthenticationFailed) && r.status == http.StatusOK:
		return e.note(ok(AboutWrongKey, "a call that is signed with another key is refused with 000001"))
	case r.code == string(providerapi.ResultSuccess):
		e.note(wrong(AboutWrongKey, "a call that is signed with another key succeeds", "Anybody can make and delete instances.",
			"Verify the signature before anything else, debug calls included."))
	default:
		e.note(warning(AboutWrongKey, fmt.Sprintf("a call that is signed with another key is answered HTTP %d, result code %q", r.status, r.code),
			"The documented answer is HTTP 200 with 000001; the marketplace's tests before listing look for it.", "Answer 000001 with HTTP 200."))
	}
	return true
}

// skew is how far the ISV's clock is ahead, as its Date header says, to the second.
func (e *examination) skew() (time.Duration, bool) {
	date, err := http.ParseTime(e.date)
	if err != nil {
		return 0, false
	}
	return date.Sub(e.sent.Truncate(time.Second)), true
}

func describe(skew time.Duration) string {
	if skew < 0 {
		return (-skew).String() + " slow"
	}
	return skew.String() + " fast"
}

func (e *examination) clock(ctx context.Context) bool {
	skew, known := e.skew()
	if known && skew.Abs() > 5*time.Second {
		found := "the ISV's clock is " + describe(skew)
		if skew.Abs() > leeway {
			e.note(wrong(AboutClock, found, "Signatures are good for a minute: calls are refused as stale, and your requests are refused beyond 15 minutes.",
				"Set the clock; use NTP."))
		} else {
			e.note(warning(AboutClock, found, "Signatures are good for a minute, and that much of it is gone.", "Set the clock; use NTP."))
		}
	}
	if e.V1 { // V1 documents no window
		if known && skew.Abs() <= 5*time.Second {
			e.note(ok(AboutClock, "the ISV's clock is right"))
		}
		return true
	}
	late, err := e.ask(ctx, e.BaseKey, e.Now().Add(-old))
	if err != nil {
		return e.unanswered(ctx, err)
	}
	if late.refusedSignature() {
		e.note(wrong(AboutClock, fmt.Sprintf("a call that was signed %s ago is refused", old), "Calls that are under way for a while are lost.",
			"Allow 60 s in both directions, in milliseconds, and set the clock."))
		return true
	}
	ancient, err := e.ask(ctx, e.BaseKey, e.Now().Add(-stale))
	if err != nil {
		return e.unanswered(ctx, err)
	}
	switch {
	case !ancient.refusedSignature():
		e.note(warning(AboutClock, fmt.Sprintf("a call that was signed %s ago is answered %s", stale, ancient.code),
			"Whoever has seen a call can send it again later.", "Refuse timestamps that are more than 60 s off with 000001 or 000002, and nonces that were used."))
	case known && skew.Abs() <= 5*time.Second:
		e.note(ok(AboutClock, "the ISV's clock is right, and it refuses what was signed long ago"))
	case !known:
		e.note(ok(AboutClock, "the ISV takes what was signed just now, and refuses what was signed long ago"))
	}
	return true
}
