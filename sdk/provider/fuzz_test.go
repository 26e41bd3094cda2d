package provider_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/isvkit/isvkit/sdk/provider"
)

// FuzzHandler sends any query with any body, unsigned and signed: never a panic, always 200, JSON and a documented result code.
func FuzzHandler(f *testing.F) {
	for _, body := range []string{
		newInstanceBody("CS1", "b"), queryBody, refreshBody, statusBody, releaseBody, upgradeBody, checkBody, notifyBody, debugBody(queryBody),
		``, `{}`, `[]`, `null`, `{"activity":"newInstance"}`, `{"activity":{}}`, `{"a":1,"a":2}`, ` { "\u0061ctivity" : "orderNotify" } `,
		`{"activity":"queryInstance","instanceId":",,,"}`, "{\"activity\":\"\xff\"}", `{"a":"\\\"","b":[{"c":"]}"}],"activity":"releaseInstance","instanceId":"\ud800"}`,
		strings.Replace(checkBody, `{"productId":"OFFI1","linearValue":5}`, `"{}"`, 1),
	} {
		f.Add("signature=00&timestamp=1680508066618&nonce=n", []byte(body))
	}
	f.Add("signature=%zz;&&timestamp=&nonce=\x00", []byte("x"))
	a := &fullApp{check: func(_ context.Context, call provider.ChangeCheck) error { _, err := call.Product(); return err }}
	s := setup(f, a)
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		send := func(query string) {
			req := httptest.NewRequest(http.MethodPost, "/saasproduce", strings.NewReader(string(body)))
			req.URL.RawQuery = query
			rec := httptest.NewRecorder()
			s.handler.ServeHTTP(rec, req)
			a := judge(t, string(body), rec.Code, rec.Header(), rec.Body.Bytes())
			if strings.Contains(a.raw, "internal error") {
				t.Errorf("an internal error for %q", body)
			}
		}
		send(query)
		for _, by := range []interface {
			SignAt([]byte, string, string) string
		}{s.base, s.general} {
			nonce := by.SignAt(body, "1680508066618", "unique")[:32]
			send("signature=" + by.SignAt(body, "1680508066618", nonce) + "&timestamp=1680508066618&nonce=" + nonce)
		}
	})
}
