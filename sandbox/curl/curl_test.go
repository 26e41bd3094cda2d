package curl_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sdk/signature"
)

const key = "it's a \"key\" with $HOME and `x`"

// verifier answers ok or the kind of fault, and keeps what came.
type verifier struct {
	base *signature.Base
	mu   sync.Mutex
	got  []seen
}

type seen struct {
	verdict, method, body, query, extra string
}

func newVerifier(t *testing.T) (*verifier, *httptest.Server) {
	t.Helper()
	base, err := signature.NewBase(signature.Config{Keys: []string{key}, Nonces: &once{seen: map[string]bool{}}})
	require.NoError(t, err)
	v := &verifier{base: base}
	srv := httptest.NewServer(v)
	t.Cleanup(srv.Close)
	return v, srv
}

type once struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (o *once) Use(_ context.Context, nonce string, _ time.Time) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := !o.seen[nonce]
	o.seen[nonce] = true
	return fresh, nil
}

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	verdict := "ok"
	p, err := signature.BaseParams(r.URL.Query())
	if err == nil {
		err = v.base.Verify(r.Context(), p, body)
	}
	if err != nil {
		verdict = err.Error()
	}
	v.mu.Lock()
	v.got = append(v.got, seen{verdict, r.Method, string(body), r.URL.RawQuery, r.Header.Get("X-Extra")})
	v.mu.Unlock()
	_, _ = io.WriteString(w, verdict)
}

func (v *verifier) take() []seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	got := v.got
	v.got = nil
	return got
}

const body = `{"activity":"queryInstance","instanceId":"it's 100% $HOME \\ \"x\" 实例"}`

// variations are all ways a request can be, with what the verifier must say.
var variations = map[string]struct {
	v    curl.Variation
	want string
}{
	"right":             {curl.Variation{}, "ok"},
	"lower case":        {curl.Variation{Signature: curl.LowerCase}, "ok"},
	"last digit":        {curl.Variation{Signature: curl.LastDigit}, "signature: mismatch"},
	"one short":         {curl.Variation{Signature: curl.OneShort}, "signature: malformed"},
	"first digit":       {curl.Variation{Signature: curl.FirstDigit}, "signature: mismatch"},
	"middle digit":      {curl.Variation{Signature: curl.MiddleDigit}, "signature: mismatch"},
	"half":              {curl.Variation{Signature: curl.HalfCut}, "signature: malformed"},
	"one more":          {curl.Variation{Signature: curl.OneMore}, "signature: malformed"},
	"short nonce":       {curl.Variation{NonceLength: 31}, "ok"},
	"more query":        {curl.Variation{After: "trace=a%20b"}, "ok"},
	"query in front":    {curl.Variation{Before: "trace=1"}, "ok"},
	"not hex":           {curl.Variation{Signature: curl.NotHex}, "signature: malformed"},
	"other key":         {curl.Variation{Key: "some-other-key"}, "signature: mismatch"},
	"other body":        {curl.Variation{Signed: `{"activity":"queryInstance"}`}, "signature: mismatch"},
	"stale":             {curl.Variation{Offset: -2 * time.Minute}, "timestamp: stale"},
	"future":            {curl.Variation{Offset: 2 * time.Minute}, "timestamp: stale"},
	"text timestamp":    {curl.Variation{Timestamp: "yesterday"}, "timestamp: malformed"},
	"without signature": {curl.Variation{Without: []string{"signature"}}, "signature: missing"},
	"without timestamp": {curl.Variation{Without: []string{"timestamp"}}, "timestamp: missing"},
	"without nonce":     {curl.Variation{Without: []string{"nonce"}}, "nonce: missing"},
	"empty signature":   {curl.Variation{Empty: []string{"signature"}}, "signature: missing"},
	"empty timestamp":   {curl.Variation{Empty: []string{"timestamp"}}, "timestamp: missing"},
	"empty nonce":       {curl.Variation{Empty: []string{"nonce"}}, "nonce: missing"},
	"extra header":      {curl.Variation{Header: []string{"X-Extra: it's"}}, "ok"},
	"PUT":               {curl.Variation{Method: "PUT"}, "ok"},
}

func TestParams_MatchTheirVariation(t *testing.T) {
	t.Parallel()
	v, srv := newVerifier(t)
	for name, tc := range variations {
		r := curl.Request{URL: srv.URL + "/saas?tenant=1", Body: body, Variation: tc.v}
		params, err := r.Params(key, time.Now(), "nonce-"+strings.ReplaceAll(name, " ", "-"))
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(t.Context(), "POST", curl.Join(r.URL, params), strings.NewReader(body))
		require.NoError(t, err)
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		got := v.take()
		require.Len(t, got, 1)
		assert.Contains(t, got[0].verdict, tc.want, name)
		assertParams(t, name, tc.v, got[0])
	}
}

// assertParams: what is left out must be absent, and what is empty present.
func assertParams(t *testing.T, name string, v curl.Variation, got seen) {
	t.Helper()
	q, err := url.ParseQuery(got.query)
	require.NoError(t, err)
	for _, p := range v.Without {
		assert.False(t, q.Has(p), name)
	}
	for _, p := range v.Empty {
		assert.True(t, q.Has(p), name)
	}
}

func shell(t *testing.T, line string) string {
	t.Helper()
	for _, tool := range []string{"curl", "openssl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("skipped: needs curl and openssl (apt-get install curl openssl)")
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", line)
	cmd.Env = append(cmd.Environ(), "ISVKIT_BASE_KEY="+key, "OTHER_KEY=other")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", line, out)
	return string(out)
}

func TestLine_SendsWhatParamsSends(t *testing.T) {
	t.Parallel()
	for name, tc := range variations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, srv := newVerifier(t)
			line := curl.Line(curl.Request{URL: srv.URL + "/saas?tenant=1", Body: body, Variation: tc.v})
			assert.NotContains(t, line, key)
			assert.NotContains(t, line, "\n")
			out := shell(t, line)
			got := v.take()
			require.Len(t, got, 1, line)
			assert.Contains(t, got[0].verdict, tc.want, line)
			assert.Equal(t, got[0].verdict+"\n", out)
			assert.Equal(t, body, got[0].body)
			assert.Contains(t, got[0].query, "tenant=1&")
			assertParams(t, name, tc.v, got[0])
			if tc.v.Method != "" {
				assert.Equal(t, tc.v.Method, got[0].method)
			}
			if len(tc.v.Header) > 0 {
				assert.Equal(t, "it's", got[0].extra)
			}
		})
	}
}

func TestLine_SeveralRequests(t *testing.T) {
	t.Parallel()
	v, srv := newVerifier(t)
	line := curl.Line(
		curl.Request{URL: srv.URL, Body: `{"n":1}`},
		curl.Request{URL: srv.URL, Body: `{"n":2}`, Variation: curl.Variation{Key: "wrong"}},
		curl.Request{URL: srv.URL, Body: `{"n":3}`},
		curl.Request{Variation: curl.Variation{Again: true}},
		curl.Request{URL: srv.URL + "/other", Body: "@/etc/hostname", KeyVariable: "OTHER_KEY"},
		curl.Request{URL: srv.URL, Body: "", Variation: curl.Variation{Method: "GET"}},
	)
	shell(t, line)
	var verdicts, bodies []string
	for _, s := range v.take() {
		verdicts = append(verdicts, strings.SplitN(s.verdict, ": ", 5)[len(strings.SplitN(s.verdict, ": ", 5))-1])
		bodies = append(bodies, s.body)
	}
	require.Len(t, verdicts, 6, line)
	assert.Equal(t, []string{`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":3}`, "@/etc/hostname", ""}, bodies)
	assert.Equal(t, "ok", verdicts[0])
	assert.Contains(t, verdicts[1], "no key of 1 signs")
	assert.Equal(t, "ok", verdicts[2])
	assert.Contains(t, verdicts[3], "was used before")
	assert.Contains(t, verdicts[4], "no key of 1 signs")
	assert.Equal(t, "ok", verdicts[5])
}

func TestLine_Together(t *testing.T) {
	t.Parallel()
	v, srv := newVerifier(t)
	together := curl.Variation{Together: true}
	line := curl.Line(
		curl.Request{URL: srv.URL, Body: `{"n":1}`, Variation: together},
		curl.Request{URL: srv.URL, Body: `{"n":2}`, Variation: together},
		curl.Request{URL: srv.URL, Body: `{"n":3}`},
	)
	assert.Contains(t, line, " & call ")
	shell(t, line)
	got := v.take()
	require.Len(t, got, 3)
	assert.Equal(t, `{"n":3}`, got[2].body)
	for _, s := range got {
		assert.Equal(t, "ok", s.verdict)
	}
}

func TestLine_OfNothing(t *testing.T) {
	t.Parallel()
	assert.Empty(t, curl.Line())
}

// TestLine_NeedsItsKey runs lines in a shell that has no key: they say so, and nothing is sent that is signed with an empty one.
func TestLine_NeedsItsKey(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "openssl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("skipped: needs curl and openssl (apt-get install curl openssl)")
		}
	}
	v, srv := newVerifier(t)
	for _, variation := range []curl.Variation{{}, {Offset: -time.Hour}} {
		line := curl.Line(curl.Request{URL: srv.URL + "/saas", Body: body, Variation: variation, KeyVariable: "ISVKIT_TEST_NO_SUCH_KEY"})
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "ISVKIT_TEST_NO_SUCH_KEY: set it to the access key")
	}
	require.Empty(t, v.take())
}
