package delivery

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// ways are a call of each way to be signed, and what V1 wants to know about it.
func ways() map[string]struct {
	access catalogue.Access
	call   lifecycle.Call
} {
	type way = struct {
		access catalogue.Access
		call   lifecycle.Call
	}
	return map[string]way{
		"v2 base": {catalogue.AccessV2, newInstanceCall()}, "v2 kit": {catalogue.AccessV2, tenantCall(1)},
		"v1 base": {catalogue.AccessV1, newInstanceCall()}, "v1 kit": {catalogue.AccessV1, tenantCall(1)},
	}
}

// TestSend_ARightISVStandsDisturbedAttempts: what changes the attempt itself and still arrives is understood; what does not arrive
// is told so.
func TestSend_ARightISVStandsDisturbedAttempts(t *testing.T) {
	t.Parallel()
	for way, w := range ways() {
		for kind, outcome := range map[fault.Kind]sandboxapi.AttemptOutcome{
			fault.UnknownFields: sandboxapi.AttemptSucceeded, fault.UnsortedBody: sandboxapi.AttemptSucceeded, fault.SlowBody: sandboxapi.AttemptSucceeded,
			fault.DropAnswer: sandboxapi.AttemptTimeout, fault.Cut: sandboxapi.AttemptUnreachable,
		} {
			t.Run(way+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				i := newISV(t)
				p, err := Prepare(i.target(w.access), w.call, Facts{Order: orderOf("CS1"), Instance: instance(marketplaceapi.ChargingPeriod)}, Options{})
				require.NoError(t, err)
				s := NewSender(i.Client(), nil)
				start := time.Now()
				r, err := s.Send(t.Context(), p, fault.Exchange{Kind: kind, Over: 50 * time.Millisecond})
				require.NoError(t, err)
				require.Equal(t, outcome, r.Outcome, r.Detail)
				require.Equal(t, kind, r.Fault)
				calls := i.take()
				switch {
				case kind == fault.Cut && p.Method == http.MethodPost:
					require.Empty(t, calls, "half a body is no call")
				case kind != fault.Cut:
					require.NotEmpty(t, calls)
				}
				if kind == fault.SlowBody && p.Method == http.MethodPost {
					require.GreaterOrEqual(t, time.Since(start), 45*time.Millisecond)
				}
				if kind == fault.UnknownFields {
					require.Contains(t, r.URL+r.RequestBody, unknownField)
				}
				if kind == fault.UnsortedBody && p.Method == http.MethodPost {
					require.NotEqual(t, string(p.Body), r.RequestBody)
					require.True(t, strings.HasPrefix(r.RequestBody, `{ "`), r.RequestBody)
				}
				if outcome != sandboxapi.AttemptSucceeded {
					require.Empty(t, r.Answer)
					require.False(t, r.Succeeded(p.Activity))
				}
				// Afterwards it is as if nothing had been.
				r, err = s.Send(t.Context(), p, fault.Exchange{})
				require.NoError(t, err)
				require.True(t, r.Succeeded(p.Activity), r.Detail)
			})
		}
	}
}

var extras = []fault.Kind{fault.Duplicate, fault.Replay, fault.WrongSignature, fault.StaleTimestamp, fault.OtherKey}

// TestExtra_ARightISV has no violation, and does nothing for what is forged.
func TestExtra_ARightISV(t *testing.T) {
	t.Parallel()
	for way, w := range ways() {
		for _, kind := range extras {
			t.Run(way+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				i := newISV(t)
				p, err := Prepare(i.target(w.access), w.call, Facts{Order: orderOf("CS1"), Instance: instance(marketplaceapi.ChargingPeriod)}, Options{})
				require.NoError(t, err)
				s := NewSender(i.Client(), nil)
				attempt, err := s.Send(t.Context(), p, fault.Exchange{})
				require.NoError(t, err)
				require.True(t, attempt.Succeeded(p.Activity), attempt.Detail)
				i.take()
				r, err := s.Extra(t.Context(), p, attempt, fault.Exchange{Kind: kind})
				require.NoError(t, err)
				require.Empty(t, r.Violations)
				require.Equal(t, kind, r.Fault)
				same := attempt.URL == r.URL && fmt.Sprint(attempt.RequestHeaders) == fmt.Sprint(r.RequestHeaders) && attempt.RequestBody == r.RequestBody
				switch {
				case kind == fault.Replay:
					require.True(t, same, "the identical bytes")
				case p.Access == catalogue.AccessV1 && kind == fault.Duplicate: // V1 has no nonce
				default:
					require.False(t, same)
				}
				if kind.Forged() {
					require.NotEqual(t, "000000", r.ResultCode)
					require.Empty(t, i.take())
				}
			})
		}
	}
}

// TestExtra_AWrongISV: one that believes everything and counts every call as new shows a violation for every kind it gets wrong.
func TestExtra_AWrongISV(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		says{body: fmt.Sprintf(`{"resultCode":"000000","resultMsg":"success","instanceId":"i-%d"}`, n.Add(1))}.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	for way, w := range ways() {
		for _, kind := range extras {
			p, err := Prepare(Target{Address: server.URL, Access: w.access, Keys: keys}, w.call, Facts{Order: orderOf("CS1")}, Options{})
			require.NoError(t, err)
			s := NewSender(server.Client(), nil)
			attempt, err := s.Send(t.Context(), p, fault.Exchange{})
			require.NoError(t, err)
			require.True(t, attempt.Succeeded(p.Activity), attempt.Detail)
			r, err := s.Extra(t.Context(), p, attempt, fault.Exchange{Kind: kind})
			require.NoError(t, err)
			kit := w.call.Activity == "tenantSync"
			if w.access == catalogue.AccessV1 && kind == fault.StaleTimestamp || kit && !kind.Forged() {
				require.Empty(t, r.Violations, "%s %s", way, kind) // no window is documented; and a kit call has no instance to mistake
				continue
			}
			require.Len(t, r.Violations, 1, "%s %s", way, kind)
			require.Contains(t, r.Violations[0], string(kind)+": ")
		}
	}
}

// TestExtra_Judgement is the table of what a second answer may be.
func TestExtra_Judgement(t *testing.T) {
	t.Parallel()
	newInstance, err := Prepare(Target{Address: "http://isv", Keys: keys}, newInstanceCall(), Facts{}, Options{})
	require.NoError(t, err)
	release, err := Prepare(Target{Address: "http://isv", Keys: keys}, releaseCall(), Facts{}, Options{})
	require.NoError(t, err)
	answered := func(p Prepared, code, id string) Result {
		r := Result{Status: 200, ContentType: "application/json"}
		r.inProgress = p.Name == "newInstance"
		judge(&r, p, "", fmt.Appendf(nil, `{"resultCode":%q,"resultMsg":"x","instanceId":%q}`, code, id))
		r.Violations = nil
		return r
	}
	unreachable := Result{Outcome: sandboxapi.AttemptUnreachable}
	for name, tc := range map[string]struct {
		p             Prepared
		kind          fault.Kind
		first, second Result
		violation     string
	}{
		"the same":                   {newInstance, fault.Duplicate, answered(newInstance, "000000", "i"), answered(newInstance, "000000", "i"), ""},
		"another instance":           {newInstance, fault.Duplicate, answered(newInstance, "000000", "i"), answered(newInstance, "000000", "j"), "another instanceId"},
		"another code":               {newInstance, fault.Duplicate, answered(newInstance, "000000", "i"), answered(newInstance, "000103", "i"), "answered 000103"},
		"no code":                    {newInstance, fault.Duplicate, answered(newInstance, "000000", "i"), Result{Outcome: sandboxapi.AttemptInvalidAnswer}, "nothing that is a result code"},
		"no answer":                  {newInstance, fault.Duplicate, answered(newInstance, "000000", "i"), unreachable, "no answer"},
		"ready by then":              {newInstance, fault.Duplicate, answered(newInstance, "000004", "i"), answered(newInstance, "000000", "i"), ""},
		"ready, then at work":        {newInstance, fault.Duplicate, answered(newInstance, "000000", "i"), answered(newInstance, "000004", "i"), "answered 000004"},
		"failed, then not":           {newInstance, fault.Duplicate, answered(newInstance, "000005", ""), answered(newInstance, "000000", "i"), ""},
		"released":                   {release, fault.Duplicate, answered(release, "000000", ""), answered(release, "000003", ""), ""},
		"replay refused":             {newInstance, fault.Replay, answered(newInstance, "000000", "i"), answered(newInstance, "000001", ""), ""},
		"replay makes another":       {newInstance, fault.Replay, answered(newInstance, "000000", "i"), answered(newInstance, "000000", "j"), "another instanceId"},
		"forged refused":             {newInstance, fault.OtherKey, answered(newInstance, "000000", "i"), answered(newInstance, "000001", ""), ""},
		"forged not answered":        {newInstance, fault.OtherKey, answered(newInstance, "000000", "i"), unreachable, ""},
		"forged believed":            {newInstance, fault.WrongSignature, answered(newInstance, "000000", "i"), answered(newInstance, "000000", "i"), "must not be believed"},
		"forged taken up":            {newInstance, fault.StaleTimestamp, answered(newInstance, "000000", "i"), answered(newInstance, "000004", "i"), "must not be believed"},
		"forged after a lost answer": {release, fault.OtherKey, unreachable, answered(release, "000000", ""), "must not be believed"},
		"forged, instance unknown":   {release, fault.OtherKey, answered(release, "000000", ""), answered(release, "000003", ""), ""},
	} {
		judgeExtra(&tc.second, tc.p, tc.first, tc.kind)
		if tc.violation == "" {
			require.Empty(t, tc.second.Violations, name)
		} else {
			require.Len(t, tc.second.Violations, 1, name)
			require.Contains(t, tc.second.Violations[0], tc.violation, name)
		}
	}
}

// TestSend_NeverTwiceByItself: a GET whose connection breaks is not sent again behind our back.
func TestSend_NeverTwiceByItself(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
		says{body: `{"resultCode":"000000","resultMsg":"success"}`}.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p, err := Prepare(Target{Address: server.URL, Access: catalogue.AccessV1, Keys: keys}, releaseCall(), Facts{Instance: instance(marketplaceapi.ChargingPeriod)}, Options{})
	require.NoError(t, err)
	s := NewSender(server.Client(), nil)
	r, err := s.Send(t.Context(), p, fault.Exchange{})
	require.NoError(t, err)
	require.True(t, r.Succeeded(p.Activity), r.Detail)
	r, err = s.Send(t.Context(), p, fault.Exchange{}) // on the connection that is there
	require.NoError(t, err)
	require.Equal(t, sandboxapi.AttemptUnreachable, r.Outcome)
	require.EqualValues(t, 2, n.Load())
}
