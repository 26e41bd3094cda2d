package signature_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sdk/signature"
)

// An ISV's service lets only signed calls of the marketplace through.
func ExampleBase_Verify() {
	base, err := signature.NewBase(signature.Config{
		Keys:   []string{"demo-access-key-0001"}, // the key bound to the base interfaces
		Nonces: signature.NewReplayGuard(0, nil),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			return
		}
		params, err := signature.BaseParams(r.URL.Query())
		if err == nil {
			err = base.Verify(r.Context(), params, body)
		}
		switch {
		case errors.Is(err, signature.ErrReplayed):
			fmt.Println("refused: seen before")
		case err != nil:
			fmt.Println("refused") // the reason goes to the log
		default:
			fmt.Println("accepted", string(body))
		}
	})

	// The marketplace calls, and somebody repeats what he overheard.
	body := `{"activity":"queryInstance","instanceId":"i-1","testFlag":"1"}`
	params, err := base.Sign([]byte(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		call := httptest.NewRequest(http.MethodPost, "/saasproduce?"+params.Query().Encode(), strings.NewReader(body))
		handler.ServeHTTP(httptest.NewRecorder(), call)
	}
	// Output:
	// accepted {"activity":"queryInstance","instanceId":"i-1","testFlag":"1"}
	// refused: seen before
}

// A test plays the marketplace with a fixed time and nonce.
func ExampleBase_SignAt() {
	base, err := signature.NewBase(signature.Config{Keys: []string{"demo-access-key-0001"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	body := []byte(`{"activity":"queryInstance","instanceId":"i-1,i-2","testFlag":"1"}`)
	fmt.Println(base.SignAt(body, "1680508066618", "ABCDEF0123456789ABCDEF0123456789"))
	// Output:
	// CBDCAB395BB6DBD84423F4F62824691286ECBAED879C361D0D9CCE7956A26E2F
}

// The reason of a refusal is in the error, for the log.
func ExampleError() {
	now := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	base, err := signature.NewBase(signature.Config{Keys: []string{"k"}, Now: func() time.Time { return now }})
	if err != nil {
		fmt.Println(err)
		return
	}
	params, err := base.Sign(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	now = now.Add(2 * time.Minute)
	err = base.Verify(context.Background(), params, nil)
	fmt.Println(err)
	var fault *signature.Error
	fmt.Println(errors.As(err, &fault) && fault.Field == "timestamp", errors.Is(err, signature.ErrStale))
	// Output:
	// signature: base: timestamp: stale: expected within 1m0s of 2024-01-02T03:06:05.000Z, got 1704164645000 (2m0s away)
	// true true
}

// An ISV signs its usage records.
func ExampleUsage_Sign() {
	usage, err := signature.NewUsage(signature.Config{
		Keys: []string{"demo-access-key-0001"},
		Now:  func() time.Time { return time.UnixMilli(1709690865879) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	body, ok := signature.CanonicalUsageBody([]byte(`{"usage_records": [{"metering_sn": "sn-1", "instance_id": "i-1", "usage_value": "99"}]}`))
	if !ok {
		fmt.Println("not a JSON object")
		return
	}
	params, err := usage.Sign(body)
	if err != nil {
		fmt.Println(err)
		return
	}
	req := httptest.NewRequest(http.MethodPost, "https://mkt.example.com/api/mkp-openapi-public/global/v1/isv/usage-data", nil)
	params.SetUsageHeaders(req.Header)
	fmt.Println(string(body))
	fmt.Println(req.Header.Get("ts"), len(req.Header.Get("signature")))
	// Output:
	// {"usage_records":[{"instance_id":"i-1","metering_sn":"sn-1","usage_value":"99"}]}
	// 1709690865879 44
}

// Every request of this client is signed with AK/SK.
func ExampleCredentials_Transport() {
	credentials := signature.Credentials{AK: "test", SK: "123"}
	clock := func() time.Time { return time.Date(2024, 3, 17, 14, 42, 37, 0, time.UTC) }
	verifier, err := signature.NewAKSK(signature.AKSKConfig{
		Secret: func(_ context.Context, ak string) (string, bool, error) {
			return credentials.SK, ak == credentials.AK, nil
		},
		Now: clock,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	marketplace := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ak, err := verifier.Verify(r, nil)
		fmt.Println(r.Header.Get("X-Sdk-Date"), ak, err)
	}))
	defer marketplace.Close()

	client := &http.Client{Transport: credentials.Transport(nil, clock)}
	resp, err := client.Get(marketplace.URL + "/api/mkp-openapi-public/global/v1/order/query?orderId=CS1")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	// Output:
	// 20240317T144237Z test <nil>
}

// When a signature does not match, the text that was signed shows where the two sides differ.
func ExampleCanonicalRequest() {
	req := httptest.NewRequest(http.MethodGet, "https://mkt.example.com/v1/path?b=2&a=1", nil)
	req.Header.Set("X-Sdk-Date", "20240102T030405Z")
	text, err := signature.CanonicalRequest(req, []string{"host", "x-sdk-date"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(text)
	fmt.Println()
	fmt.Println(signature.StringToSign("20240102T030405Z", text))
	// Output:
	// GET
	// /v1/path/
	// a=1&b=2
	// host:mkt.example.com
	// x-sdk-date:20240102T030405Z
	//
	// host;x-sdk-date
	// e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
	//
	// SDK-HMAC-SHA256
	// 20240102T030405Z
	// 5f92c42e56644ee5263c1caadb983770e2ec71b5a4a09f7cbb364dc50ad4cee9
}

// An ISV's service checks a kit call, whose signature travels in headers.
func ExampleKit_Verify() {
	kit, err := signature.NewKit(signature.Config{
		Keys:   []string{"demo-kit-key-0001"}, // the key bound to the kit interfaces
		Now:    func() time.Time { return time.UnixMilli(1680508066618) },
		Nonces: signature.NewReplayGuard(0, nil),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	h.Set("x-sign", "33EFE7DD880E2E04DD3955E5AF177A64F62075FCD0A713C19C2D936072D56DDB")
	h.Set("x-timestamp", "1680508066618")
	h.Set("x-nonce", "ABCDEF0123456789ABCDEF0123456789")
	body := `{"appId":"a-1","clientId":"c-1","clientSecret":"QUJD","flag":1,"instanceId":"i-1","tenantId":"t-1",` +
		`"testFlag":0,"timeStamp":"20220413093539534"}`
	params, err := signature.KitParams(h)
	if err == nil {
		err = kit.Verify(context.Background(), params, []byte(body))
	}
	fmt.Println(err)
	// Output:
	// <nil>
}

// A V1 service checks a call and signs its answer with the key that fitted.
func ExampleV1_VerifyQuery() {
	v1, err := signature.NewV1(signature.V1Config{Keys: []string{"a-new-key", "xxxxxxx"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	q, err := url.ParseQuery("activity=newInstance&businessId=61e834ba-7b97-4418-b8f7-e5345137278c" +
		"&customerId=68cbc86abc2018ab880d92f36422fa0e&expireTime=20200727153156&orderId=CS1906666666ABCDE" +
		"&productId=00301-666666-0--0&testFlag=1&timeStamp=20200727073711903" +
		"&authToken=Gzbfjf9LHRBcI3bFVi%2B%2BsLinCNOBF6qa7is1fvjEgYQ%3D")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := v1.VerifyQuery(q)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := []byte(`{"resultCode":"000000","resultMsg":"success."}`)
	fmt.Println("Body-Sign:", signature.BodySign(key, answer))
	// Output:
	// Body-Sign: sign_type="HMAC-SHA256", signature= "YB9MRaDz8ENM8JzoKzW8YT4yUrcMdby3kM31MTz8tO4="
}

// A developer looks for his mistake: he has signed what json.dumps made of the body.
func ExampleBase_Explain() {
	now := func() time.Time { return time.UnixMilli(1680508066618) }
	base, err := signature.NewBase(signature.Config{Keys: []string{"demo-access-key-0001"}, Now: now})
	if err != nil {
		fmt.Println(err)
		return
	}
	sent, signed := []byte(`{"a":1,"b":"张"}`), []byte(`{"a": 1, "b": "\u5f20"}`)
	params := signature.Params{Timestamp: "1680508066618", Nonce: "n"}
	params.Signature = base.SignAt(signed, params.Timestamp, params.Nonce)
	for _, finding := range base.Explain(params, sent) {
		fmt.Println(finding.Mistake+":", finding.Explanation)
	}
	// Output:
	// spaces: The body was signed with spaces after colons and commas.
	// non-ascii-escaped: Characters beyond ASCII were signed as \uXXXX.
}
