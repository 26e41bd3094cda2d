package curl_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sdk/signature"
)

// witness verifies calls of all schemes but Base, and keeps what came.
type witness struct {
	kit *signature.Kit
	v1  *signature.V1

	mu  sync.Mutex
	got []witnessed
}

type witnessed struct {
	method, query, body, verdict, extra string
	header                              http.Header
}

const (
	kitText    = `{"domainName":"https://t.example.com","flag":1,"name":"it's 100% $HOME \\ 企业","testFlag":0,"timeStamp":"20220413093539534"}`
	v1KitText  = `{"flag":1,"testFlag":0,"timeStamp":"20220413093539534","userList":"[{\"name\":\"it's $HOME 张\"}]"}`
	kitAddress = "/saas/produceAPI/v2/tenantSync?zone=1"
	v1Address  = "/saas?activity=queryInstance&note=a%20b+c%2fd&name=%24HOME+%E5%AE%9E%27"
	v1KitPath  = "/saas/produceAPI/authSync"
)

func newWitness(t *testing.T, nonces signature.NonceStore) (*witness, *httptest.Server) {
	t.Helper()
	kit, err := signature.NewKit(signature.Config{Keys: []string{keyOf("ISVKIT_KIT_KEY")}, Nonces: nonces})
	require.NoError(t, err)
	v1, err := signature.NewV1(signature.V1Config{Keys: []string{keyOf("ISVKIT_BASE_KEY")}})
	require.NoError(t, err)
	w := &witness{kit: kit, v1: v1}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return w, server
}

func (v *witness) verify(ctx context.Context, r *http.Request, body []byte) error {
	switch {
	case strings.Contains(r.URL.Path, "/v2/"):
		p, err := signature.KitParams(r.Header)
		if err != nil {
			return err
		}
		return v.kit.Verify(ctx, p, body)
	case strings.Contains(r.URL.Path, "/produceAPI/"):
		_, err := v.v1.VerifyBody(r.Header.Get("authToken"), body)
		return err
	}
	_, err := v.v1.VerifyQuery(r.URL.Query())
	return err
}

func (v *witness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	verdict := "ok"
	if err := v.verify(r.Context(), r, body); err != nil {
		verdict = err.Error()
	}
	v.mu.Lock()
	v.got = append(v.got, witnessed{r.Method, r.URL.RawQuery, string(body), verdict, r.Header.Get("X-Extra"), r.Header})
	v.mu.Unlock()
	_, _ = io.WriteString(w, verdict)
}

func (v *witness) take() []witnessed {
	v.mu.Lock()
	defer v.mu.Unlock()
	got := v.got
	v.got = nil
	return got
}

// forms are the schemes and their variations, with what the SDK must say to each.
var forms = map[string]struct {
	request    curl.Request
	variations map[string]formed
}{
	"kit": {
		curl.Request{URL: kitAddress, Body: kitText, Scheme: curl.Kit, KeyVariable: "ISVKIT_KIT_KEY"},
		map[string]formed{
			"right":             {curl.Variation{}, "ok"},
			"lower case":        {curl.Variation{Signature: curl.LowerCase}, "ok"},
			"last digit":        {curl.Variation{Signature: curl.LastDigit}, "x-sign: mismatch"},
			"one short":         {curl.Variation{Signature: curl.OneShort}, "x-sign: malformed"},
			"not hex":           {curl.Variation{Signature: curl.NotHex}, "x-sign: malformed"},
			"other key":         {curl.Variation{Key: "some-other-key"}, "x-sign: mismatch"},
			"other body":        {curl.Variation{Signed: `{"flag":0}`}, "x-sign: mismatch"},
			"stale":             {curl.Variation{Offset: -2 * time.Minute}, "x-timestamp: stale"},
			"future":            {curl.Variation{Offset: 2 * time.Minute}, "x-timestamp: stale"},
			"text timestamp":    {curl.Variation{Timestamp: "yesterday"}, "x-timestamp: malformed"},
			"without signature": {curl.Variation{Without: []string{"signature"}}, "x-sign: missing"},
			"without timestamp": {curl.Variation{Without: []string{"timestamp"}}, "x-timestamp: missing"},
			"without nonce":     {curl.Variation{Without: []string{"nonce"}}, "x-nonce: missing"},
			"empty signature":   {curl.Variation{Empty: []string{"signature"}}, "x-sign: missing"},
			"empty timestamp":   {curl.Variation{Empty: []string{"timestamp"}}, "x-timestamp: missing"},
			"empty nonce":       {curl.Variation{Empty: []string{"nonce"}}, "x-nonce: missing"},
			"short nonce":       {curl.Variation{NonceLength: 31}, "ok"},
			"extra header":      {curl.Variation{Header: []string{"X-Extra: it's"}}, "ok"},
			"PUT":               {curl.Variation{Method: "PUT"}, "ok"},
		},
	},
	"v1 query": {
		curl.Request{URL: v1Address, Scheme: curl.V1Query},
		map[string]formed{
			"right":               {curl.Variation{}, "ok"},
			"lower case":          {curl.Variation{Signature: curl.LowerCase}, "authToken: m"},
			"first character":     {curl.Variation{Signature: curl.LastDigit}, "authToken: mismatch"},
			"four short":          {curl.Variation{Signature: curl.OneShort}, "authToken: malformed"},
			"not base64":          {curl.Variation{Signature: curl.NotHex}, "authToken: malformed"},
			"other key":           {curl.Variation{Key: "some-other-key"}, "authToken: mismatch"},
			"other query":         {curl.Variation{Signed: "activity=other"}, "authToken: mismatch"},
			"without signature":   {curl.Variation{Without: []string{"signature"}}, "authToken: missing"},
			"without timestamp":   {curl.Variation{Without: []string{"timestamp"}}, "timeStamp: missing"},
			"empty signature":     {curl.Variation{Empty: []string{"signature"}}, "authToken: missing"},
			"empty timestamp":     {curl.Variation{Empty: []string{"timestamp"}}, "timeStamp: missing"},
			"fixed timestamp":     {curl.Variation{Timestamp: "20200101000000000"}, "ok"},
			"unsigned parameter":  {curl.Variation{After: "trialFlag=1"}, "authToken: mismatch"},
			"unsigned duplicate":  {curl.Variation{After: "note=it%27s"}, "ok"},
			"plus in token":       {curl.Variation{RawToken: true}, "ok"},
			"extra header":        {curl.Variation{Header: []string{"X-Extra: it's"}}, "ok"},
			"POST":                {curl.Variation{Method: "POST"}, "ok"},
			"first and unsigned":  {curl.Variation{Signature: curl.LastDigit, After: "x=1"}, "authToken: mismatch"},
			"other key and first": {curl.Variation{Key: "k", Without: []string{"timestamp"}}, "timeStamp: missing"},
		},
	},
	"v1 body": {
		curl.Request{URL: v1KitPath, Body: v1KitText, Scheme: curl.V1Body},
		map[string]formed{
			"right":             {curl.Variation{}, "ok"},
			"first character":   {curl.Variation{Signature: curl.LastDigit}, "authToken: mismatch"},
			"four short":        {curl.Variation{Signature: curl.OneShort}, "authToken: malformed"},
			"not base64":        {curl.Variation{Signature: curl.NotHex}, "authToken: malformed"},
			"other key":         {curl.Variation{Key: "some-other-key"}, "authToken: mismatch"},
			"other body":        {curl.Variation{Signed: `{"flag":0,"timeStamp":"1"}`}, "authToken: mismatch"},
			"without signature": {curl.Variation{Without: []string{"signature"}}, "authToken: missing"},
			"empty signature":   {curl.Variation{Empty: []string{"signature"}}, "authToken: missing"},
			"extra header":      {curl.Variation{Header: []string{"X-Extra: it's"}}, "ok"},
			"fixed timestamp":   {curl.Variation{Timestamp: "20200101000000000"}, "ok"},
		},
	},
}

type formed struct {
	v    curl.Variation
	want string
}

// TestSent_AndLine_SendTheSame: what goes over the wire now, and what the line sends later, differ in time, nonce and signature only.
func TestSent_AndLine_SendTheSame(t *testing.T) {
	t.Parallel()
	for scheme, form := range forms {
		for name, tc := range form.variations {
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				w, server := newWitness(t, nil)
				r := form.request
				r.URL, r.Variation = server.URL+r.URL, tc.v
				now := transmit(t, server, r, "nonce-1", w)
				line := curl.Line(r)
				assert.NotContains(t, line, "it's a")
				assert.NotContains(t, line, "\n")
				out := keyedShell(t, line)
				got := w.take()
				require.Len(t, got, 1, line)
				later := got[0]
				assert.Equal(t, later.verdict+"\n", out)
				assert.Contains(t, later.verdict, tc.want, line)
				assert.Contains(t, now.verdict, tc.want)
				assert.Equal(t, now.method, later.method)
				assert.Equal(t, now.extra, later.extra)
				assert.Equal(t, withoutTime(now.body), withoutTime(later.body))
				assert.Equal(t, parts(now.query), parts(later.query))
				for _, name := range []string{"X-Sign", "X-Timestamp", "X-Nonce", "Authtoken"} {
					assert.Equal(t, len(now.header[name]), len(later.header[name]), name)
				}
				if tc.v.RawToken {
					for _, query := range []string{now.query, later.query} {
						_, token, _ := strings.Cut(query, "authToken=")
						assert.Contains(t, token, "+")
					}
				}
			})
		}
	}
}

// transmit sends a request as Sent says, without a shell.
func transmit(t *testing.T, server *httptest.Server, r curl.Request, nonce string, w *witness) witnessed {
	t.Helper()
	variable := r.KeyVariable
	if variable == "" {
		variable = "ISVKIT_BASE_KEY"
	}
	s, err := r.Sent(keyOf(variable), time.Now(), nonce)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), s.Method, s.URL, strings.NewReader(s.Body))
	require.NoError(t, err)
	req.Header = s.Header
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	got := w.take()
	require.Len(t, got, 1)
	return got[0]
}

// withoutTime replaces the time in a body of V1.
func withoutTime(body string) string {
	before, after, found := strings.Cut(body, `"timeStamp":"`)
	if !found || len(after) < 17 {
		return body
	}
	return before + after[17:]
}

// parts are the parameters of a query with the values of those that do not change.
func parts(query string) []string {
	pairs := strings.Split(query, "&")
	for i, p := range pairs {
		if name, value, _ := strings.Cut(p, "="); (name == "timeStamp" || name == "authToken") && value != "" {
			pairs[i] = name
		}
	}
	return pairs
}

func TestLine_OtherSchemesAgainAndTogether(t *testing.T) {
	t.Parallel()
	w, server := newWitness(t, &once{seen: map[string]bool{}})
	kit, query := forms["kit"].request, forms["v1 query"].request
	kit.URL, query.URL = server.URL+kit.URL, server.URL+query.URL
	again, beside := kit, query
	again.Again, beside.Together = true, true
	keyedShell(t, curl.Line(kit, again, beside, beside, query))
	got := w.take()
	require.Len(t, got, 5)
	assert.Equal(t, got[0].body, got[1].body)
	assert.Equal(t, got[0].header["X-Sign"], got[1].header["X-Sign"])
	assert.Equal(t, "ok", got[0].verdict)
	assert.Contains(t, got[1].verdict, "was used before")
	for _, g := range got[2:] {
		assert.Equal(t, "ok", g.verdict)
	}
}

func TestSent_OfBase(t *testing.T) {
	t.Parallel()
	v, server := newVerifier(t)
	s, err := curl.Request{URL: server.URL + "/saas?tenant=1", Body: body}.Sent(key, time.Now(), "n-1")
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), s.Method, s.URL, strings.NewReader(s.Body))
	require.NoError(t, err)
	req.Header = s.Header
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	got := v.take()
	require.Len(t, got, 1)
	assert.Equal(t, "ok", got[0].verdict)
	assert.Equal(t, curl.ContentType, s.Header.Get("Content-Type"))
}

func TestSent_KnowsNoOffsetInV1(t *testing.T) {
	t.Parallel()
	r := forms["v1 query"].request
	r.Offset = time.Minute
	_, err := r.Sent(key, time.Now(), "")
	require.ErrorContains(t, err, "no window")
}
