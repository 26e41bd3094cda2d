package delivery

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sdk/signature"
)

// says is an ISV that answers everything with the same text.
type says struct {
	status      int
	contentType string
	body        string
	bodySign    string // empty: the right one; "-": none
}

func (s says) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if s.contentType == "" {
		s.contentType = "application/json"
	}
	w.Header().Set("Content-Type", s.contentType)
	switch s.bodySign {
	case "":
		w.Header().Set("Body-Sign", signature.BodySign(keys.Base, []byte(s.body)))
	case "-":
	default:
		w.Header().Set("Body-Sign", s.bodySign)
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
	_, _ = io.WriteString(w, s.body)
}

func send(t testing.TB, handler http.Handler, access catalogue.Access, c lifecycle.Call, f Facts, o Options) (Prepared, Result) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	p, err := Prepare(Target{Address: server.URL, Access: access, Keys: keys}, c, f, o)
	require.NoError(t, err)
	require.Empty(t, p.Problem)
	r, err := NewSender(server.Client(), nil).Send(t.Context(), p, fault.Exchange{})
	require.NoError(t, err)
	return p, r
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const ok = `{"resultCode":"000000","resultMsg":"success"`
	v1, v2 := catalogue.AccessV1, catalogue.AccessV2
	byPeriod := Facts{Order: orderOf("CS1"), Instance: instance(marketplaceapi.ChargingPeriod)}
	onDemand := Facts{Order: orderOf("CS1"), Instance: instance(marketplaceapi.ChargingOnDemand)}
	for name, tc := range map[string]struct {
		access     catalogue.Access
		call       lifecycle.Call
		facts      Facts
		debug      bool
		answer     says
		outcome    sandboxapi.AttemptOutcome
		succeeded  bool
		detail     string
		violations string // part of one; empty: none at all
	}{
		"status":               {v2, releaseCall(), Facts{}, false, says{status: 201, body: ok + `}`}, sandboxapi.AttemptInvalidAnswer, false, "HTTP status 201", ""},
		"content type":         {v2, releaseCall(), Facts{}, false, says{contentType: "text/html", body: ok + `}`}, sandboxapi.AttemptInvalidAnswer, false, "text/html", ""},
		"no object":            {v2, releaseCall(), Facts{}, false, says{body: `[]`}, sandboxapi.AttemptInvalidAnswer, false, "no JSON object", "expected object"},
		"too long":             {v2, releaseCall(), Facts{}, false, says{body: strings.Repeat(" ", maxAnswer+1)}, sandboxapi.AttemptInvalidAnswer, false, "longer than", ""},
		"number as code":       {v2, releaseCall(), Facts{}, false, says{body: `{"resultCode":0,"resultMsg":"x"}`}, sandboxapi.AttemptInvalidAnswer, false, "no text", "resultCode"},
		"gone is gone":         {v2, releaseCall(), Facts{}, false, says{body: `{"resultCode":"000003","resultMsg":"x"}`}, sandboxapi.AttemptSucceeded, true, "", ""},
		"no message":           {v2, releaseCall(), Facts{}, false, says{body: `{"resultCode":"000000"}`}, sandboxapi.AttemptSucceeded, true, "", "resultMsg is missing"},
		"no instance":          {v2, newInstanceCall(), Facts{}, false, says{body: ok + `}`}, sandboxapi.AttemptInvalidAnswer, false, "instanceId is missing", "instanceId"},
		"at work":              {v2, newInstanceCall(), Facts{}, false, says{body: `{"resultCode":"000004","resultMsg":"x","instanceId":"i"}`}, sandboxapi.AttemptInProgress, true, "", ""},
		"usage":                {v2, queryCall(), onDemand, false, says{body: ok + `,"info":[{"instanceId":"i-1"}]}`}, sandboxapi.AttemptSucceeded, true, "", "usageInfo is missing"},
		"usage not needed":     {v2, queryCall(), byPeriod, false, says{body: ok + `,"info":[{"instanceId":"i-1"}]}`}, sandboxapi.AttemptSucceeded, true, "", ""},
		"other instance":       {v2, queryCall(), Facts{}, false, says{body: ok + `,"info":[{"instanceId":"i-2"}]}`}, sandboxapi.AttemptInvalidAnswer, false, "no entry", ""},
		"kit secret":           {v2, applicationCall(t), Facts{}, false, says{body: `{"resultCode":"000101","resultMsg":"x"}`}, sandboxapi.AttemptRefused, false, "could not be decrypted", ""},
		"kit key":              {v2, tenantCall(1), Facts{}, false, says{body: `{"resultCode":"000001","resultMsg":"x"}`}, sandboxapi.AttemptRefused, false, "ISVKIT_KIT_KEY", ""},
		"licence comes later":  {v2, exchanges(t)["v2 getLicenseAsync"].call, Facts{}, false, says{body: `{"resultCode":"000004","resultMsg":"x"}`}, sandboxapi.AttemptInProgress, true, "", ""},
		"refresh at work":      {v2, refreshCall("RENEWAL"), Facts{}, false, says{body: `{"resultCode":"000004","resultMsg":"x"}`}, sandboxapi.AttemptInProgress, false, "", ""},
		"debug":                {v2, releaseCall(), Facts{}, true, says{body: ok + `}`}, sandboxapi.AttemptSucceeded, true, "", ""},
		"debug, unknown":       {v2, releaseCall(), Facts{}, true, says{body: `{"resultCode":"000003","resultMsg":"x"}`}, sandboxapi.AttemptRefused, false, "whatever it names", ""},
		"debug, at work":       {v2, newInstanceCall(), Facts{}, true, says{body: `{"resultCode":"000004","resultMsg":"x","instanceId":"i"}`}, sandboxapi.AttemptRefused, false, "whatever it names", ""},
		"debug, violation":     {v2, queryCall(), Facts{}, true, says{body: ok + `,"info":[{"appInfo":{"frontEndUrl":"u"}}]}`}, sandboxapi.AttemptInvalidAnswer, false, "instanceId", "instanceId"},
		"debug, made-up":       {v2, queryCall(), Facts{}, true, says{body: ok + `,"info":[{"instanceId":"any"}]}`}, sandboxapi.AttemptSucceeded, true, "", ""},
		"v1":                   {v1, releaseCall(), byPeriod, false, says{body: ok + `}`}, sandboxapi.AttemptSucceeded, true, "", ""},
		"v1 unsigned":          {v1, releaseCall(), byPeriod, false, says{body: ok + `}`, bodySign: "-"}, sandboxapi.AttemptInvalidAnswer, false, "Body-Sign is missing", ""},
		"v1 signed otherwise":  {v1, releaseCall(), byPeriod, false, says{body: ok + `}`, bodySign: signature.BodySign(keys.Base, []byte(ok+` }`))}, sandboxapi.AttemptInvalidAnswer, false, "does not fit", ""},
		"v1 other key":         {v1, releaseCall(), byPeriod, false, says{body: ok + `}`, bodySign: signature.BodySign(keys.Kit, []byte(ok+`}`))}, sandboxapi.AttemptInvalidAnswer, false, "does not fit", ""},
		"v1 without quotes":    {v1, releaseCall(), byPeriod, false, says{body: ok + `}`, bodySign: `sign_type=HMAC-SHA256,signature=x`}, sandboxapi.AttemptInvalidAnswer, false, "cannot be read", ""},
		"v1 kit unsigned":      {v1, tenantCall(1), Facts{}, false, says{body: ok + `}`, bodySign: "-"}, sandboxapi.AttemptInvalidAnswer, false, "Body-Sign is missing", ""},
		"v1 at work":           {v1, newInstanceCall(), byPeriod, false, says{body: `{"resultCode":"000004","resultMsg":"x"}`}, sandboxapi.AttemptInProgress, false, "", ""},
		"v1 no site":           {v1, newInstanceCall(), byPeriod, false, says{body: ok + `,"instanceId":"i-1","appInfo":{}}`}, sandboxapi.AttemptSucceeded, true, "", "frontEndUrl"},
		"v1 details":           {v1, queryCall(), byPeriod, false, says{body: ok + `,"instanceId":"i-1"}`}, sandboxapi.AttemptSucceeded, true, "", ""},
		"v1 details of others": {v1, queryCall(), byPeriod, false, says{body: ok + `,"instanceId":"i-2"}`}, sandboxapi.AttemptInvalidAnswer, false, "another instanceId", ""},
		"v1 details, at work":  {v1, queryCall(), byPeriod, false, says{body: `{"resultCode":"000004","resultMsg":"x","instanceId":"i-1"}`}, sandboxapi.AttemptInProgress, false, "", ""},
		"v1 licence code":      {v1, releaseCall(), byPeriod, false, says{body: `{"resultCode":"000900","resultMsg":"x"}`}, sandboxapi.AttemptRefused, false, "000900", "resultCode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, r := send(t, tc.answer, tc.access, tc.call, tc.facts, Options{Debug: tc.debug})
			require.Equal(t, tc.outcome, r.Outcome, r.Detail)
			require.Equal(t, tc.succeeded, r.Succeeded(p.Activity))
			require.Contains(t, r.Detail, tc.detail)
			if tc.violations == "" {
				require.Empty(t, r.Violations)
			} else {
				require.Contains(t, strings.Join(r.Violations, "\n"), tc.violations)
			}
		})
	}
}

func TestForJournal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"password":"x"}`:                       `{"password":"***"}`,
		`{"Password" : "a\"b\\","userName":"u"}`: `{"Password" : "***","userName":"u"}`,
		`{"password":7}`:                         `{"password":"***"}`,
		`{"client_secret":{"a":["x"]},"b":1}`:    `{"client_secret":"***","b":1}`,
		`{"password":"never ends`:                `{"password":"***"`,
		`{"password":"never ends\`:               `{"password":"***"`,
		`you signed with the-key`:                `you signed with ***`,
		"\xff":                                   "\uFFFD",
	} {
		require.Equal(t, want, ForJournal([]byte(in), "the-key", ""))
	}
	// A password that the cut would fall into.
	long := `{"a":"` + strings.Repeat("x", maxJournal-20) + `","password":"secret-secret-secret"}`
	require.NotContains(t, ForJournal([]byte(long)), "secret")
	require.LessOrEqual(t, len(ForJournal([]byte(long))), maxJournal)
}

// FuzzJudge: whatever an ISV answers, the judgement ends, says why, shows no key, and success always comes with what success needs.
func FuzzJudge(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `null`, `"x"`, `{"resultCode":"000000"}`, `{"resultCode":"000000","instanceId":"i-1"}`, `{"resultCode":"000004","instanceId":"i"}`,
		`{"resultCode":0,"info":{}}`, `{"resultCode":"000000","info":[{"instanceId":"i-1","appInfo":{"frontEndUrl":"u"}}]}`, `{"resultCode":"000003"}`,
		`{"resultCode":"000000","info":[null,{"instanceId":null}]}`, `{"resultCode":"000000","instanceId":{"a":[1e999]}}`,
		`{"resultCode":"000000","instanceId":"i-1","appInfo":{"frontEndUrl":7}}`, `{"resultMsg":"base-key-of-the-seller"}`,
	} {
		f.Add(200, "application/json", signature.BodySign(keys.Base, []byte(s)), []byte(s))
	}
	f.Add(500, "text/html; charset", `sign_type="`, []byte("<html>"))
	var attempts []Prepared
	for _, access := range []catalogue.Access{catalogue.AccessV2, catalogue.AccessV1} {
		for _, c := range []lifecycle.Call{newInstanceCall(), queryCall(), releaseCall(), tenantCall(1)} {
			for _, debug := range []bool{false, true} {
				p, err := Prepare(Target{Address: "http://isv", Access: access, Keys: keys}, c,
					Facts{Order: orderOf("CS1"), Instance: instance(marketplaceapi.ChargingPeriod)}, Options{Debug: debug})
				require.NoError(f, err)
				attempts = append(attempts, p)
			}
		}
	}
	f.Fuzz(func(t *testing.T, status int, contentType, bodySign string, body []byte) {
		for _, p := range attempts {
			r := Result{Status: status, ContentType: contentType, Answer: ForJournal(body, p.key)}
			judge(&r, p, bodySign, body)
			require.True(t, r.Outcome.Valid(), r.Outcome)
			require.NotContains(t, fmt.Sprintf("%+v", []any{r.Detail, r.Violations, r.Answer}), p.key)
			require.True(t, utf8.ValidString(r.Answer))
			if r.Outcome != sandboxapi.AttemptSucceeded {
				require.NotEmpty(t, r.Detail)
			}
			if r.Succeeded(p.Activity) {
				require.Equal(t, 200, status)
				require.True(t, json.Valid(body))
				if p.Name == "newInstance" {
					require.NotEmpty(t, r.Lifecycle.InstanceID)
					require.LessOrEqual(t, utf8.RuneCountInString(r.Lifecycle.InstanceID), 64)
				}
				if p.Access == catalogue.AccessV1 {
					require.NoError(t, signature.VerifyBodySign([]string{keys.Base}, bodySign, body))
				}
			}
			for _, kind := range fault.Kinds() {
				x := r
				judgeExtra(&x, p, r, kind)
				require.Equal(t, r.Outcome, x.Outcome)
			}
		}
	})
}
