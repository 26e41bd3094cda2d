package delivery

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/egress"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	// Timeout is how long the marketplace waits for an answer. The newest texts say 20 s, an older one 5 s.
	Timeout = 20 * time.Second
	// maxAnswer is how much of an answer is read.
	maxAnswer = 1 << 20
	// maxJournal is how much of an answer the journal keeps.
	maxJournal = 64 << 10
)

// Sender makes attempts. It is safe for concurrent use, and keeps the signers of the keys that it has seen.
type Sender struct {
	client  *http.Client
	observe func(Sent)
	timeout time.Duration // of an attempt, its answer included
	signers sync.Map      // of signerKey: *signature.Base, *signature.Kit or *signature.V1
}

type signerKey struct {
	class  providerapi.Class
	access catalogue.Access
	key    string
}

// NewSender gives a sender. The client's timeout and redirect policy are replaced by the marketplace's; a nil client means
// http.DefaultTransport. observe, if not nil, is called with every request before it leaves, from the goroutine that sends it.
func NewSender(client *http.Client, observe func(Sent)) *Sender {
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.Timeout = 0 // the request's context has the marketplace's; a client's costs a goroutine for each request
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Sender{client: &own, observe: observe, timeout: Timeout}
}

// Format keeps the keys out of logs.
func (s *Sender) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("{sender}")) }

// Result is what came of an attempt.
type Result struct {
	Method         string
	URL            string
	RequestHeaders map[string]string // those that belong to the call: of kit calls the signature. None is secret.
	RequestBody    string            // as sent: a fault may have changed it
	Status         int
	ContentType    string
	Answer         string // as the journal keeps it: cut, without passwords
	Duration       time.Duration
	Fault          fault.Kind // that the exchange was disturbed with
	Outcome        sandboxapi.AttemptOutcome
	ResultCode     string
	Detail         string   // the outcome in words
	Violations     []string // of the contract
	Lifecycle      lifecycle.Answer
	Usage          []providerapi.UsageInfo    // queryInstance: of the first instance asked for
	Info           []providerapi.InstanceInfo // queryInstance, and newInstance of V1: what a buyer is shown, without passwords

	inProgress bool // 000004 ends the call; what is under way is learned in another way
	sent       wire
}

// Succeeded tells whether the call is done. V2's newInstance is also done when the ISV is still at work on it, because the
// marketplace then asks with queryInstance, and so is getLicenseAsync, because the licence will be uploaded. A newInstance of V1 is
// made again.
func (r Result) Succeeded(providerapi.Activity) bool {
	return r.Outcome == sandboxapi.AttemptSucceeded || r.Outcome == sandboxapi.AttemptInProgress && r.inProgress
}

// wire is a signed request.
type wire struct {
	method, url string
	header      map[string]string
	body        []byte
}

// Send signs and sends. It fails only if the context is over; whatever the ISV does, and whatever keeps the call from being made,
// is a Result.
func (s *Sender) Send(ctx context.Context, p Prepared, x fault.Exchange) (Result, error) {
	if p.Problem != "" {
		return Result{Outcome: sandboxapi.AttemptUnreachable, Detail: "not sent: " + p.Problem}, ctx.Err()
	}
	w, err := s.sign(p, x.Kind)
	if err != nil {
		return Result{Fault: x.Kind, Outcome: sandboxapi.AttemptUnreachable, Detail: "not sent: " + err.Error()}, ctx.Err()
	}
	return s.exchange(ctx, p, w, x)
}

// Extra makes an exchange besides an attempt that was made, and judges what is answered to it against what was answered then.
func (s *Sender) Extra(ctx context.Context, p Prepared, attempt Result, x fault.Exchange) (Result, error) {
	if attempt.sent.url == "" {
		return Result{Fault: x.Kind, Outcome: sandboxapi.AttemptUnreachable, Detail: "not sent: the attempt was not sent either"}, ctx.Err()
	}
	w, err := attempt.sent, error(nil)
	if x.Kind != fault.Replay {
		w, err = s.sign(p, x.Kind)
	}
	if err != nil {
		return Result{Fault: x.Kind, Outcome: sandboxapi.AttemptUnreachable, Detail: "not sent: " + err.Error()}, ctx.Err()
	}
	r, err := s.exchange(ctx, p, w, x)
	if err == nil {
		judgeExtra(&r, p, attempt, x.Kind)
	}
	return r, err
}

// signers gives what signs with a key.
func (s *Sender) signer(class providerapi.Class, access catalogue.Access, key string) (signer any, err error) {
	id := signerKey{class, access, key}
	if signer, ok := s.signers.Load(id); ok {
		return signer, nil
	}
	switch {
	case access == catalogue.AccessV1:
		signer, err = signature.NewV1(signature.V1Config{Keys: []string{key}})
	case class == providerapi.ClassKit:
		signer, err = signature.NewKit(signature.Config{Keys: []string{key}})
	default:
		signer, err = signature.NewBase(signature.Config{Keys: []string{key}})
	}
	if err == nil {
		s.signers.Store(id, signer)
	}
	return signer, err
}

// random gives n random bytes as upper-case hexadecimal digits.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return strings.ToUpper(hex.EncodeToString(b))
}

// sign makes the request, wrong in the way the fault says.
func (s *Sender) sign(p Prepared, kind fault.Kind) (wire, error) {
	at, key := p.now(), p.key
	switch kind {
	case fault.StaleTimestamp:
		at = at.Add(-fault.Stale)
	case fault.OtherKey:
		key = random(24)
	}
	var signer any
	var err error
	if kind == fault.OtherKey { // not to be kept
		signer, err = new(Sender).signer(p.Class, p.Access, key)
	} else {
		signer, err = s.signer(p.Class, p.Access, key)
	}
	if err != nil {
		return wire{}, err
	}
	switch signer := signer.(type) {
	case *signature.V1:
		if p.Method == http.MethodGet {
			return signV1Query(p, signer, kind, at)
		}
		return signV1Body(p, signer, kind, at)
	case *signature.Kit:
		body, signed, err := disturbed(p.Body, kind)
		params := signature.Params{Timestamp: millis(at), Nonce: random(32)}
		params.Signature = spoiled(signer.SignAt(signed, params.Timestamp, params.Nonce), kind)
		return wire{p.Method, p.Address, map[string]string{
			"x-sign": params.Signature, "x-timestamp": params.Timestamp, "x-nonce": params.Nonce,
		}, body}, err
	case *signature.Base:
		body, signed, err := disturbed(p.Body, kind)
		if err != nil {
			return wire{}, err
		}
		params := signature.Params{Timestamp: millis(at), Nonce: random(32)}
		params.Signature = spoiled(signer.SignAt(signed, params.Timestamp, params.Nonce), kind)
		target, err := url.Parse(p.Address)
		if err != nil {
			return wire{}, errors.New("the production address cannot be read")
		}
		query := target.Query()
		for name, values := range params.Query() {
			query[name] = values
		}
		target.RawQuery = query.Encode()
		return wire{method: p.Method, url: target.String(), body: body}, nil
	}
	return wire{}, fmt.Errorf("no signature for %s calls", p.Class)
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// spoiled changes the last digit of a signature in hexadecimal, or the last but one character of one in Base64.
func spoiled(sig string, kind fault.Kind) string {
	if kind != fault.WrongSignature {
		return sig
	}
	i := len(strings.TrimRight(sig, "=")) - 2 // the last character of Base64 has bits that mean nothing
	c := byte('0')
	if sig[i] == '0' {
		c = '1'
	}
	return sig[:i] + string(c) + sig[i+1:]
}

// unknownField is what the fault unknown-fields adds.
const unknownField = "addedByTheFault"

const unknownValue = "a field that the contract does not know"

// disturbed gives the body to send, and what of it is signed: the sorted compact form where the body is not sorted.
func disturbed(body []byte, kind fault.Kind) (sent, signed []byte, err error) {
	if kind != fault.UnknownFields && kind != fault.UnsortedBody {
		return body, body, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, nil, err
	}
	if kind == fault.UnknownFields {
		fields[unknownField] = json.RawMessage(strconv.Quote(unknownValue))
		sent, err = encode(fields)
		return sent, sent, err
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	var b bytes.Buffer
	for i, name := range names {
		b.WriteString([]string{", ", "{ "}[btoi(i == 0)] + strconv.Quote(name) + ": ")
		b.Write(fields[name])
	}
	b.WriteString(" }")
	return b.Bytes(), body, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func signV1Query(p Prepared, signer *signature.V1, kind fault.Kind, at time.Time) (wire, error) {
	query := url.Values{}
	for name, values := range p.query {
		query[name] = values
	}
	if kind == fault.UnknownFields {
		query.Set(unknownField, unknownValue)
	}
	names := make([]string, 0, len(query)+1)
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	if kind == fault.UnsortedBody {
		slices.Reverse(names)
	}
	names = append(names, "timeStamp")
	query.Set("timeStamp", v1Time(at))
	token, err := signer.SignQuery(query)
	if err != nil {
		return wire{}, err
	}
	var b strings.Builder
	for _, name := range names {
		b.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(query.Get(name)) + "&")
	}
	b.WriteString("authToken=" + url.QueryEscape(spoiled(token, kind)))
	address := strings.TrimSuffix(p.Address, p.query.Encode())
	return wire{method: p.Method, url: address + b.String()}, nil
}

func signV1Body(p Prepared, signer *signature.V1, kind fault.Kind, at time.Time) (wire, error) {
	body := p.Body
	if kind == fault.StaleTimestamp {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			return wire{}, err
		}
		fields["timeStamp"] = json.RawMessage(strconv.Quote(digitsOf(at.In(beijing))))
		var err error
		if body, err = encode(fields); err != nil {
			return wire{}, err
		}
	}
	body, _, err := disturbed(body, kind)
	if err != nil {
		return wire{}, err
	}
	token, err := signer.SignBody(body)
	if err != nil {
		return wire{}, err
	}
	return wire{p.Method, p.Address, map[string]string{"authToken": spoiled(token, kind)}, body}, nil
}

// errCut is what the body of a cut exchange ends with.
var errCut = errors.New("cut by the fault")

// cutBody gives half of a body, then fails, so that the connection is closed.
type cutBody struct{ half io.Reader }

func (c *cutBody) Read(p []byte) (int, error) {
	n, err := c.half.Read(p)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

// slowBody trickles.
type slowBody struct {
	ctx   context.Context //nolint:containedctx // a reader has no other way to hear of it
	rest  []byte
	chunk int
	pause time.Duration
}

const slowSteps = 10

func newSlowBody(ctx context.Context, body []byte, over time.Duration) *slowBody {
	return &slowBody{ctx, body, max(1, len(body)/slowSteps), over / slowSteps}
}

func (s *slowBody) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-time.After(s.pause):
	}
	n := copy(p, s.rest[:min(s.chunk, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

func (s *Sender) exchange(ctx context.Context, p Prepared, w wire, x fault.Exchange) (Result, error) {
	r := Result{
		Method: w.method, URL: w.url, RequestHeaders: w.header, RequestBody: string(w.body), Fault: x.Kind, sent: w,
		inProgress: p.Activity == providerapi.ActivityNewInstance && p.Access != catalogue.AccessV1 || p.Activity == providerapi.ActivityGetLicenseAsync,
	}
	reqCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// Never http.NoBody: the transport would send a GET that failed once more by itself.
	var body io.Reader = bytes.NewReader(w.body)
	switch {
	case x.Kind == fault.SlowBody && len(w.body) > 0:
		body = newSlowBody(reqCtx, w.body, x.Over)
	case x.Kind == fault.Cut && len(w.body) > 0:
		body = &cutBody{bytes.NewReader(w.body[:len(w.body)/2])}
	case x.Kind == fault.Cut: // no body to cut: the connection ends behind the request
		reqCtx = httptrace.WithClientTrace(reqCtx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	}
	req, err := http.NewRequestWithContext(reqCtx, w.method, w.url, io.NopCloser(body))
	if err != nil {
		r.Outcome, r.Detail = sandboxapi.AttemptUnreachable, "not sent: the production address is no address for HTTP"
		return r, ctx.Err()
	}
	req.ContentLength = int64(len(w.body))
	req.Header.Set("Accept", "application/json")
	if w.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json;charset=utf8")
	}
	req.Header.Set("User-Agent", "isvkit-sandbox")
	for name, value := range w.header {
		req.Header[name] = []string{value} // in the letter case of the guides
	}

	if s.observe != nil {
		s.observe(Sent{Activity: string(p.Activity), Method: w.method, URL: w.url, Body: w.body, Fault: string(x.Kind)})
	}
	start := time.Now()
	resp, err := s.client.Do(req)
	if x.Kind == fault.Cut && !refused(err) {
		if err == nil {
			_ = resp.Body.Close()
		}
		r.Duration, r.Outcome, r.Detail = time.Since(start), sandboxapi.AttemptUnreachable, "the connection was cut by the fault"
		return r, ctx.Err()
	}
	if err != nil {
		return failed(ctx, r, start, err)
	}
	defer func() { _ = resp.Body.Close() }()
	egress.EndUpgrade(resp)
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if x.Kind == fault.DropAnswer {
		r.Duration, r.Outcome, r.Detail = time.Since(start), sandboxapi.AttemptTimeout, "the answer was lost by the fault"
		return r, ctx.Err()
	}
	r.Status, r.ContentType = resp.StatusCode, resp.Header.Get("Content-Type")
	if err != nil {
		return failed(ctx, r, start, err)
	}
	r.Duration = time.Since(start)
	r.Answer = ForJournal(answer, p.key)
	judge(&r, p, resp.Header.Get("Body-Sign"), answer)
	return r, nil
}

// refused tells whether the egress policy did not let a request out.
func refused(err error) bool {
	var r *egress.Refusal
	return errors.As(err, &r)
}

func failed(ctx context.Context, r Result, start time.Time, err error) (Result, error) {
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	r.Duration = time.Since(start)
	if refused(err) {
		r.Outcome, r.Detail = sandboxapi.AttemptUnreachable, "not sent: "+egress.Explain(err)
		return r, nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		r.Outcome, r.Detail = sandboxapi.AttemptTimeout, fmt.Sprintf("no answer within %s", Timeout)
		return r, nil
	}
	r.Outcome, r.Detail = sandboxapi.AttemptUnreachable, "no answer: "+egress.Explain(err)
	return r, nil
}
