package provider_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
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

// FuzzKit sends any body to every kit address, of V2 and V1, signed and unsigned: never a panic, and an Application that is
// called only with users that are as the contract says.
func FuzzKit(f *testing.F) {
	for name, body := range kitBodies(f) {
		f.Add(name, []byte(body))
		f.Add(name, []byte(v1KitBodies(f)[name]))
	}
	f.Add("authSync", []byte(`{"userList":"%5B%7B%7D%5D","timeStamp":"20220413093539534"}`))
	f.Add("otherSync", []byte(`{"flag":1,"flag":1}`))
	s := setup(f, &kitApp{}, withKit, withV1)
	kit, v1 := kitSigner(f, kitKey), v1Signer(f, v1Key)
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		path := (&url.URL{Path: "/produceAPI/v2/" + name}).EscapedPath()
		for _, signed := range []bool{false, true} {
			req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
			req.URL.Path = "/produceAPI/v2/" + name
			req.URL.RawPath = path
			if signed {
				const at = "1680508066618"
				nonce := kit.SignAt(body, at, name)[:32]
				signature.Params{Signature: kit.SignAt(body, at, nonce), Timestamp: at, Nonce: nonce}.SetKitHeaders(req.Header)
			}
			rec := httptest.NewRecorder()
			s.handler.ServeHTTP(rec, req)
			if a := judge(t, string(body), rec.Code, rec.Header(), rec.Body.Bytes()); a.ResultCode == "000005" {
				t.Errorf("an internal error for %q", body)
			}

			req = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
			req.URL.Path = "/produceAPI/" + name
			if token, err := v1.SignBody(body); signed && err == nil {
				req.Header.Set("authToken", token)
			}
			rec = httptest.NewRecorder()
			s.handler.ServeHTTP(rec, req)
			if rec.Header().Get("Body-Sign") == "" {
				judge(t, "", rec.Code, rec.Header(), rec.Body.Bytes()) // the name was none of V1
			} else if a := v1Judge(t, rec, "tenantSync", v1Key, nil); a.ResultCode == "000005" {
				t.Errorf("an internal error for %q", body)
			}
		}
	})
}

// FuzzV1Query sends any query as a base call of V1, unsigned and signed: never a panic, and always an answer that is signed and
// as the contract says.
func FuzzV1Query(f *testing.F) {
	for _, query := range []string{
		"activity=newInstance&businessId=b&orderId=o&customerId=c&productId=p&chargingMode=0&saasExtendParams=W3sibmFtZSI6ImEiLCJ2YWx1ZSI6ImIrYyJ9XQ%3D%3D",
		"activity=newInstance&businessId=b&orderId=o&customerId=c&productId=p&mobilePhone=AbCd0123EfGh4567GGHJQOk4FFa/4HlplYKtjQ==&amount=9999999",
		"activity=refreshInstance&orderId=o&instanceId=i&expireTime=20250102030405&orderAmount=-1.5", "activity=expireInstance&instanceId=i&orderId=o",
		"activity=releaseInstance&instanceId=i&orderId=o&testFlag=1", "activity=upgrade&instanceId=i&orderId=o&skuCode=s&productId=p",
		"activity=instanceStatus&instanceId=i&instanceStatus=NORMAL", "activity=queryInstance&instanceId=i,j,,", "activity=tenantSync", "", "%zz;&&a=%00", "activity=a&activity=b",
	} {
		f.Add(query)
	}
	s := setup(f, &fullApp{}, withV1)
	v1 := v1Signer(f, v1Key)
	f.Fuzz(func(t *testing.T, query string) {
		send := func(query string) {
			req := httptest.NewRequest(http.MethodGet, "/saasproduce", nil)
			req.URL.RawQuery = query
			name := req.URL.Query().Get("activity")
			rec := httptest.NewRecorder()
			s.handler.ServeHTTP(rec, req)
			if a := v1Judge(t, rec, name, v1Key, nil); a.ResultCode == "000005" {
				t.Errorf("an internal error for %q", query)
			}
		}
		send(query)
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q.Del("authToken")
		if !q.Has("timeStamp") {
			q.Set("timeStamp", "20230403074746618")
		}
		if token, err := v1.SignQuery(q); err == nil {
			q.Set("authToken", token)
			send(q.Encode())
		}
	})
}
