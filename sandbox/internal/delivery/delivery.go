// Package delivery makes one attempt at a call: it encodes the body, signs it, posts it to the ISV, and judges the answer as
// the marketplace would. It keeps nothing; the journal is the caller's.
package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
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

// Sender makes attempts.
type Sender struct {
	client  *http.Client
	signers sync.Map // *signature.Base by key
}

// NewSender gives a sender. The client's timeout and redirect policy are replaced by the marketplace's; a nil client means
// http.DefaultTransport.
func NewSender(client *http.Client) *Sender {
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.Timeout = Timeout
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Sender{client: &own}
}

func (s *Sender) signer(key string) (*signature.Base, error) {
	if v, ok := s.signers.Load(key); ok {
		return v.(*signature.Base), nil //nolint:forcetypeassert // nothing else is stored
	}
	signer, err := signature.NewBase(signature.Config{Keys: []string{key}})
	if err != nil {
		return nil, err
	}
	s.signers.Store(key, signer)
	return signer, nil
}

// Target is where a call goes and what signs it.
type Target struct {
	Address string
	Access  catalogue.Access
	Keys    catalogue.Keys
}

// Prepared is an attempt that is ready to be sent. Signature and timestamp are made by [Sender.Send].
type Prepared struct {
	Activity   providerapi.Activity
	InstanceID string // queryInstance: the instance asked for
	Address    string
	Body       []byte
	key        string
}

// Prepare encodes the body. A newInstance gets a new businessId each time.
func Prepare(t Target, call lifecycle.Call) (Prepared, error) {
	p := Prepared{Activity: call.Activity, Address: t.Address, key: t.Keys.Base}
	switch body := call.Body.(type) {
	case providerapi.NewInstanceCall:
		body.BusinessID = uuid.NewString()
		call.Body = body
	case providerapi.QueryInstanceCall:
		p.InstanceID = body.InstanceID
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the marketplace's encoder does not
	if err := enc.Encode(call.Body); err != nil {
		return p, fmt.Errorf("encode %s: %w", call.Activity, err)
	}
	p.Body = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return p, nil
}

// Result is what came of an attempt.
type Result struct {
	URL         string
	Status      int
	ContentType string
	Answer      string // as the journal keeps it: cut, without passwords
	Duration    time.Duration
	Outcome     sandboxapi.AttemptOutcome
	ResultCode  string
	Detail      string   // the outcome in words
	Violations  []string // of the contract
	Lifecycle   lifecycle.Answer
}

// Succeeded tells whether the call is done; newInstance is also done when the ISV is still at work on it.
func (r Result) Succeeded(activity providerapi.Activity) bool {
	return r.Outcome == sandboxapi.AttemptSucceeded ||
		r.Outcome == sandboxapi.AttemptInProgress && activity == providerapi.ActivityNewInstance
}

// Send signs and posts. It fails only if the context is over or the address unusable; whatever the ISV does is a Result.
func (s *Sender) Send(ctx context.Context, p Prepared) (Result, error) {
	signer, err := s.signer(p.key)
	if err != nil {
		return Result{}, err
	}
	params, err := signer.Sign(p.Body)
	if err != nil {
		return Result{}, err
	}
	target, err := url.Parse(p.Address)
	if err != nil {
		return Result{}, fmt.Errorf("production address: %w", err)
	}
	query := target.Query()
	for name, values := range params.Query() {
		query[name] = values
	}
	target.RawQuery = query.Encode()
	r := Result{URL: target.String()}

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(p.Body))
	if err != nil {
		return r, fmt.Errorf("production address: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json;charset=utf8")
	req.Header.Set("User-Agent", "isvkit-sandbox")

	start := time.Now()
	resp, err := s.client.Do(req)
	if err != nil {
		return s.failed(ctx, r, start, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	r.Status, r.ContentType = resp.StatusCode, resp.Header.Get("Content-Type")
	if err != nil {
		return s.failed(ctx, r, start, err)
	}
	r.Duration = time.Since(start)
	r.Answer = ForJournal(body)
	judge(&r, p, body)
	return r, nil
}

func (s *Sender) failed(ctx context.Context, r Result, start time.Time, err error) (Result, error) {
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	r.Duration = time.Since(start)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		r.Outcome, r.Detail = sandboxapi.AttemptTimeout, fmt.Sprintf("no answer within %s", Timeout)
		return r, nil
	}
	r.Outcome = sandboxapi.AttemptUnreachable
	// The URL in the error would repeat the whole query.
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	r.Detail = "no answer: " + err.Error()
	return r, nil
}

// judge decides what an answer is worth. The transport rules and the result code decide; everything else that is not as the
// contract says is told as a violation.
func judge(r *Result, p Prepared, body []byte) {
	r.Outcome = sandboxapi.AttemptInvalidAnswer
	if r.Status != http.StatusOK {
		r.Detail = fmt.Sprintf("HTTP status %d, expected 200 whatever happens", r.Status)
		return
	}
	if media, _, err := mime.ParseMediaType(r.ContentType); err != nil || media != "application/json" {
		r.Detail = fmt.Sprintf("Content-Type %q, expected application/json", r.ContentType)
		return
	}
	if len(body) > maxAnswer {
		r.Detail = fmt.Sprintf("the answer is longer than %d bytes", maxAnswer)
		return
	}
	schema, err := contract.Provider().Answer(string(p.Activity))
	if err != nil {
		r.Detail = err.Error()
		return
	}
	r.Violations = schema.Violations(body)
	var answer struct {
		ResultCode json.RawMessage `json:"resultCode"`
		ResultMsg  json.RawMessage `json:"resultMsg"`
		InstanceID json.RawMessage `json:"instanceId"`
		Info       json.RawMessage `json:"info"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		r.Detail = "the answer is no JSON object"
		return
	}
	if len(answer.ResultMsg) == 0 {
		r.Violations = append(r.Violations, "resultMsg is missing; the guides differ on whether it may be, send it")
	}
	if err := json.Unmarshal(answer.ResultCode, &r.ResultCode); err != nil || r.ResultCode == "" {
		r.Detail = "resultCode is missing, or no text"
		return
	}
	switch providerapi.ResultCode(r.ResultCode) {
	case providerapi.ResultSuccess:
		r.Outcome = sandboxapi.AttemptSucceeded
	case providerapi.ResultInProgress:
		r.Outcome, r.Detail = sandboxapi.AttemptInProgress, "the ISV is still at work on it"
	case providerapi.ResultInstanceNotFound:
		r.Outcome, r.Detail = sandboxapi.AttemptRefused, "the ISV knows no such instance"
		if p.Activity == providerapi.ActivityReleaseInstance {
			r.Outcome = sandboxapi.AttemptSucceeded // gone is gone
		}
	default:
		r.Outcome, r.Detail = sandboxapi.AttemptRefused, "result code "+r.ResultCode
		if meaning := contract.Provider().Meaning("ResultCode", r.ResultCode); meaning != "" {
			r.Detail += ": " + meaning
		}
		if r.ResultCode == string(providerapi.ResultAuthenticationFailed) {
			r.Detail += "; has the ISV the base key of this sandbox's key file?"
		}
	}
	switch {
	case p.Activity == providerapi.ActivityNewInstance && r.Succeeded(p.Activity):
		judgeInstanceID(r, answer.InstanceID)
	case p.Activity == providerapi.ActivityQueryInstance && r.Outcome == sandboxapi.AttemptSucceeded:
		judgeInfo(r, answer.Info, p.InstanceID)
	}
}

func judgeInstanceID(r *Result, raw json.RawMessage) {
	var id string
	if err := json.Unmarshal(raw, &id); err != nil || id == "" {
		r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "instanceId is missing, or no text"
		return
	}
	if n := utf8.RuneCountInString(id); n > 64 {
		r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, fmt.Sprintf("instanceId is %d characters long, expected at most 64", n)
		return
	}
	r.Lifecycle = lifecycle.Answer{InProgress: r.Outcome == sandboxapi.AttemptInProgress, InstanceID: id}
}

func judgeInfo(r *Result, raw json.RawMessage, instanceID string) {
	var info []providerapi.InstanceInfo
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &info); err != nil {
			r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "info is not as the contract says"
			return
		}
	}
	i := slices.IndexFunc(info, func(i providerapi.InstanceInfo) bool { return i.InstanceID == instanceID })
	if i < 0 {
		r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "info has no entry for the instance that was asked for"
		return
	}
	r.Lifecycle.FrontEndURL = info[i].AppInfo.FrontEndURL
}

var passwordForm = regexp.MustCompile(`("(?i:password)"\s*:\s*)"(?:[^"\\]|\\.)*"`)

// ForJournal cuts an answer and blanks the initial passwords in it, so that it can be kept and shown.
func ForJournal(body []byte) string {
	// Blank first: a cut in the middle of a password would hide it from the pattern.
	blanked := passwordForm.ReplaceAll(body, []byte(`$1"***"`))
	return strings.ToValidUTF8(string(blanked[:min(len(blanked), maxJournal)]), "\uFFFD")
}
