package delivery

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

func TestPrepare_SortedCompactAndUnescaped(t *testing.T) {
	t.Parallel()
	p, err := Prepare(Target{Address: "http://isv"}, lifecycle.Call{Activity: providerapi.ActivityReleaseInstance, Body: providerapi.ReleaseInstanceCall{
		Activity: providerapi.ActivityReleaseInstance, InstanceID: "<实例>&", OrderID: "CS1",
	}})
	require.NoError(t, err)
	require.Equal(t, `{"activity":"releaseInstance","instanceId":"<实例>&","orderId":"CS1"}`, string(p.Body))
}

func TestForJournal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"password":"x"}`:                       `{"password":"***"}`,
		`{"Password" : "a\"b\\","userName":"u"}`: `{"Password" : "***","userName":"u"}`,
		`{"password":7}`:                         `{"password":7}`,
		"\xff":                                   "\uFFFD",
	} {
		require.Equal(t, want, ForJournal([]byte(in)))
	}
	// A password that the cut would fall into.
	long := `{"a":"` + strings.Repeat("x", maxJournal-20) + `","password":"secret-secret-secret"}`
	require.NotContains(t, ForJournal([]byte(long)), "secret")
	require.LessOrEqual(t, len(ForJournal([]byte(long))), maxJournal)
}

// FuzzJudge: whatever an ISV answers, the judgement ends, says why, and success always comes with what success needs.
func FuzzJudge(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `null`, `"x"`, `{"resultCode":"000000"}`, `{"resultCode":"000000","instanceId":"i-1"}`, `{"resultCode":"000004","instanceId":"i"}`,
		`{"resultCode":0,"info":{}}`, `{"resultCode":"000000","info":[{"instanceId":"i-1","appInfo":{"frontEndUrl":"u"}}]}`, `{"resultCode":"000003"}`,
		`{"resultCode":"000000","info":[null,{"instanceId":null}]}`, `{"resultCode":"000000","instanceId":{"a":[1e999]}}`,
	} {
		f.Add(200, "application/json", []byte(s))
	}
	f.Add(500, "text/html; charset", []byte("<html>"))
	activities := []providerapi.Activity{providerapi.ActivityNewInstance, providerapi.ActivityQueryInstance, providerapi.ActivityReleaseInstance}
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		for _, activity := range activities {
			r := Result{Status: status, ContentType: contentType}
			judge(&r, Prepared{Activity: activity, InstanceID: "i-1"}, body)
			require.True(t, r.Outcome.Valid(), r.Outcome)
			if r.Outcome != sandboxapi.AttemptSucceeded {
				require.NotEmpty(t, r.Detail)
			}
			if r.Succeeded(activity) {
				require.Equal(t, 200, status)
				require.True(t, json.Valid(body))
				if activity == providerapi.ActivityNewInstance {
					require.NotEmpty(t, r.Lifecycle.InstanceID)
					require.LessOrEqual(t, utf8.RuneCountInString(r.Lifecycle.InstanceID), 64)
				}
			}
			require.True(t, utf8.ValidString(ForJournal(body)))
		}
	})
}
