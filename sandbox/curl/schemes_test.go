package curl_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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

// keyOf gives every class a key of its own, with everything in it that a shell may trip over.
func keyOf(variable string) string { return key + variable }

// TestLine_OtherSchemes: what the line sends is verified by the SDK, with freshness, and is the body that was asked for.
func TestLine_OtherSchemes(t *testing.T) {
	t.Parallel()
	const (
		kitBody = `{"domainName":"https://t.example.com","flag":1,"name":"it's 100% $HOME \\ 企业","testFlag":0,"timeStamp":"20220413093539534"}`
		v1Body  = `{"empty":"","flag":1,"nothing":null,"testFlag":0,"timeStamp":"20220413093539534","userList":"[{\"name\":\"it's $HOME 张\"}]"}`
	)
	base := func(variable string) *signature.Base {
		b, err := signature.NewBase(signature.Config{Keys: []string{keyOf(variable)}})
		require.NoError(t, err)
		return b
	}
	verifyBase := func(variable string) func(ctx context.Context, r *http.Request, body []byte) error {
		return func(ctx context.Context, r *http.Request, body []byte) error {
			p, err := signature.BaseParams(r.URL.Query())
			if err != nil {
				return err
			}
			return base(variable).Verify(ctx, p, body)
		}
	}
	kit, err := signature.NewKit(signature.Config{Keys: []string{keyOf("ISVKIT_KIT_KEY")}})
	require.NoError(t, err)
	v1, err := signature.NewV1(signature.V1Config{Keys: []string{keyOf("ISVKIT_BASE_KEY")}, Leeway: time.Minute})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		request curl.Request
		method  string
		verify  func(ctx context.Context, r *http.Request, body []byte) error
	}{
		"general": {curl.Request{URL: "/saas?tenant=1", Body: body, KeyVariable: "ISVKIT_GENERAL_KEY"}, "POST", verifyBase("ISVKIT_GENERAL_KEY")},
		"license": {curl.Request{URL: "/saas?tenant=1", Body: body, KeyVariable: "ISVKIT_LICENSE_KEY"}, "POST", verifyBase("ISVKIT_LICENSE_KEY")},
		"kit": {
			curl.Request{URL: "/saas/produceAPI/v2/tenantSync?tenant=1", Body: kitBody, Scheme: curl.Kit, KeyVariable: "ISVKIT_KIT_KEY"},
			"POST",
			func(ctx context.Context, r *http.Request, body []byte) error {
				p, err := signature.KitParams(r.Header)
				if err != nil {
					return err
				}
				return kit.Verify(ctx, p, body)
			},
		},
		"v1 query": {
			curl.Request{URL: "/saas?Zone=it%27s&activity=newInstance&email=a%2Bb%3D&name=%24HOME+%E5%AE%9E&zz=%26x%3D1&timeStamp=1&authToken=old", Scheme: curl.V1Query},
			"GET",
			func(_ context.Context, r *http.Request, _ []byte) error {
				_, err := v1.VerifyQuery(r.URL.Query())
				return err
			},
		},
		"v1 body": {
			curl.Request{URL: "/saas/produceAPI/authSync", Body: v1Body, Scheme: curl.V1Body},
			"POST",
			func(_ context.Context, r *http.Request, body []byte) error {
				_, err := v1.VerifyBody(r.Header.Get("authToken"), body)
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var verdicts []error
			var bodies []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				assert.Equal(t, tc.method, r.Method)
				verdicts, bodies = append(verdicts, tc.verify(r.Context(), r, body)), append(bodies, string(body))
				_, _ = io.WriteString(w, "answer")
			}))
			t.Cleanup(srv.Close)
			tc.request.URL = srv.URL + tc.request.URL
			line := curl.Line(tc.request, tc.request)
			assert.NotContains(t, line, "it's a")
			assert.NotContains(t, line, "\n")
			require.Equal(t, "answer\nanswer\n", keyedShell(t, line), line)
			require.Equal(t, []error{nil, nil}, verdicts, line)
			want := tc.request.Body
			if tc.request.Scheme == curl.V1Body {
				require.NotContains(t, bodies[0], "20220413093539534")
				stamp := bodies[0][strings.Index(bodies[0], `"timeStamp":"`)+len(`"timeStamp":"`):][:17]
				want = strings.Replace(want, "20220413093539534", stamp, 1)
			}
			require.Equal(t, want, bodies[0])
		})
	}
}

// TestLine_MixesSchemes: lines of several schemes stand side by side.
func TestLine_MixesSchemes(t *testing.T) {
	t.Parallel()
	v, srv := newVerifier(t)
	line := curl.Line(
		curl.Request{URL: srv.URL, Body: body}, curl.Request{URL: srv.URL, Body: "{}", Scheme: curl.Kit, KeyVariable: "ISVKIT_KIT_KEY"}, curl.Request{URL: srv.URL, Body: body},
	)
	shell(t, strings.ReplaceAll(line, "ISVKIT_KIT_KEY", "OTHER_KEY"))
	got := v.take()
	require.Len(t, got, 3)
	require.Equal(t, []string{body, "{}", body}, []string{got[0].body, got[1].body, got[2].body})
	require.Equal(t, "ok", got[0].verdict)
	require.NotEqual(t, "ok", got[1].verdict)
	require.Equal(t, "ok", got[2].verdict)
}

func keyedShell(t *testing.T, line string) string {
	t.Helper()
	for _, tool := range []string{"curl", "openssl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("skipped: needs curl and openssl (apt-get install curl openssl)")
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", line)
	for _, variable := range []string{"ISVKIT_BASE_KEY", "ISVKIT_KIT_KEY", "ISVKIT_GENERAL_KEY", "ISVKIT_LICENSE_KEY"} {
		cmd.Env = append(cmd.Environ(), variable+"="+keyOf(variable))
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", line, out)
	return string(out)
}
