package conformance_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
)

// verifying is an ISV that does nothing but verify, in a way of its own.
func verifying(t *testing.T, sign func(key, body, timestamp, nonce string) string) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		q := r.URL.Query()
		code := "000001"
		if hmac.Equal([]byte(strings.ToLower(q.Get("signature"))), []byte(sign(baseKey, string(body), q.Get("timestamp"), q.Get("nonce")))) {
			code = "000000"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"resultCode":"` + code + `","resultMsg":"x","instanceId":"i-1"}`))
	})
}

func hexMAC(key, text string) string {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

// A refused right signature is the wall of the first day. The report says how the ISV verifies instead.
func TestRun_SaysHowTheISVVerifies(t *testing.T) {
	t.Parallel()
	for want, sign := range map[string]func(k, b, ts, n string) string{
		"key + timestamp as the key of the outer": func(k, b, ts, n string) string { return hexMAC(k+ts, k+n+ts+hexMAC(k, b)) },
		"without a key (SHA-256)": func(k, b, ts, n string) string {
			sum := sha256.Sum256([]byte(b))
			return hexMAC(k, k+n+ts+hex.EncodeToString(sum[:]))
		},
		"the timestamp before the nonce": func(k, b, ts, n string) string { return hexMAC(k, k+ts+n+hexMAC(k, b)) },
		"made with the key general": func(_, b, ts, n string) string {
			return hexMAC("general-key", "general-key"+n+ts+hexMAC("general-key", b))
		},
		"has another base key than this": func(_, b, ts, n string) string { return hexMAC("unknown", "unknown"+n+ts+hexMAC("unknown", b)) },
		"takes the timestamp for seconds": func(k, b, ts, n string) string {
			if len(ts) != 10 {
				return "refused"
			}
			return hexMAC(k, k+n+ts+hexMAC(k, b))
		},
	} {
		o := options(verifying(t, sign))
		o.GeneralKey = "general-key"
		o.Run = []string{"signing/right-signature-is-accepted"}
		r, err := conformance.Run(t.Context(), o)
		require.NoError(t, err)
		require.Len(t, r.Failures(), 1, want)
		assert.Contains(t, r.Failures()[0].Cause, want)
		var b bytes.Buffer
		require.NoError(t, r.WriteText(&b))
		assert.Contains(t, b.String(), "  cause ")
		assert.NotContains(t, b.String(), baseKey)
	}
}
