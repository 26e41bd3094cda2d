package conformance_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/suite"
)

// An ISV can have a secret in any place, and none may get into a report: it is a file that goes into a CI system or to a marketplace.
func TestReports_HoldNoSecrets(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"base key": `canary/base+key "1"`, "general key": "canary-general-key", "kit key": "canary-kit-key", "V1 key": "canary-v1-key", "licence key": "canary-licence-key",
		"SK": "canary-sk", "password": "canary-password", "token in the target": "canary-target-token",
	}
	all := func() string {
		var b strings.Builder
		for _, s := range secrets {
			quoted, err := json.Marshal(s)
			assert.NoError(t, err)
			_, _ = fmt.Fprintf(&b, "%s %s %s %s ", string(quoted[1:len(quoted)-1]), url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
		}
		return b.String()
	}()
	var n atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Echo", all)
		w.Header().Set("Set-Cookie", "session="+secrets["password"])
		w.Header().Set("Location", "/?"+all)
		w.Header().Set("Content-Type", "application/json")
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "<html>panic: "+all)
		case 1:
			_, _ = io.WriteString(w, `{"resultCode":"000000","resultMsg":"`+all+`","instanceId":"`+all+`","info":[{"instanceId":"i","appInfo":{"password":"`+secrets["password"]+`"}}]}`)
		case 2:
			_, _ = io.WriteString(w, `{"resultCode":"`+all+`","appInfo":{"initialPassword":"`+secrets["password"]+`"},"memo":"`+secrets["password"]+`"}`)
		default:
			_, _ = io.WriteString(w, all)
		}
	})
	o := options(target + "?accessToken=" + secrets["token in the target"])
	o.Parallel = 1
	o.BaseKey, o.GeneralKey, o.KitKey, o.V1Key, o.LicenseKey, o.SK = secrets["base key"], secrets["general key"], secrets["kit key"], secrets["V1 key"], secrets["licence key"], secrets["SK"]
	o.KitPublicKey = mutant.KitPublicKey()
	o.Charging, o.With = suite.Modes(), suite.Capabilities()
	o.Build = "built with " + secrets["SK"]
	o.Timeout = time.Minute
	r, err := conformance.Run(t.Context(), o)
	require.NoError(t, err)
	require.Positive(t, r.Counts[suite.Fail])
	attempts := 0
	for _, c := range r.Checks {
		attempts += len(c.Attempts)
	}
	require.Greater(t, attempts, 50, "the exchanges are there")
	unjudged := conformance.Unjudged(o, fmt.Errorf("no answer from %s with %s and %s", o.Target, o.SK, url.QueryEscape(o.BaseKey)))
	for _, r := range []*conformance.Report{r, unjudged} {
		for format, write := range map[string]func(io.Writer) error{
			"text": r.WriteText, "colours": r.WriteColours, "JSON": r.WriteJSON, "JUnit": r.WriteJUnit, "HTML": r.WriteHTML, "SARIF": r.WriteSARIF,
		} {
			var b bytes.Buffer
			require.NoError(t, write(&b))
			assert.Contains(t, b.String(), "***", format)
			for what, s := range secrets {
				for _, form := range []string{s, url.QueryEscape(s), strings.ReplaceAll(s, `"`, `\"`), base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s))} {
					if i := strings.Index(b.String(), form); i >= 0 {
						assert.Fail(t, "a secret", "%s has the %s: …%s…", format, what, b.String()[max(0, i-80):min(b.Len(), i+80)])
					}
				}
			}
			assert.NotContains(t, b.String(), "session=", format)
		}
	}
}
