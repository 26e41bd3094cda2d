package vendorbench_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/signer"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	ak, sk = "AccessKey", "SecretKey"
	host   = "mkt.example.com"
	date   = "20240102T030405Z"
)

var at = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

type pair struct{ name, value string }

// call is one request, described once and built for both sides.
type call struct {
	name, method, path, wirePath string
	query                        []pair
	wireQuery                    string
	headers                      []pair
	body                         string
}

var calls = []call{
	{name: "get", method: "GET", path: "/v1/path", headers: []pair{{"X-Stage", "RELEASE"}}},
	{
		name: "order query", method: "GET", path: "/api/mkp-openapi-public/global/v1/order/query",
		query:     []pair{{"orderId", "CS2207261447AUY4H"}, {"orderLineId", "CS2207261447AUY4H-000001"}},
		wireQuery: "orderLineId=CS2207261447AUY4H-000001&orderId=CS2207261447AUY4H",
	},
	{
		name: "unicode and blanks", method: "GET", path: "/v1/云 商店/a*b~c/", wirePath: "/v1/%E4%BA%91%20%E5%95%86%E5%BA%97/a*b~c/",
		query: []pair{{"q", "a b/*"}, {"名", "值"}}, wireQuery: "q=a+b%2F*&%E5%90%8D=%E5%80%BC",
	},
	{
		name: "post", method: "POST", path: "/rest/marketplace/v1/isv/usage-data", headers: []pair{{"X-Project-Id", " p-1 "}},
		body: `{"usage_records":[{"instance_id":"inst-0001","usage_value":"99"}]}`,
	},
	{name: "query and body", method: "PUT", path: "/", query: []pair{{"k", "v"}}, wireQuery: "k=v", body: strings.Repeat("x", 5000)},
}

// vendor builds the request for the vendor's SDK. Host is among the headers so that it gets signed.
func (c call) vendor() *request.DefaultHttpRequest {
	b := request.NewHttpRequestBuilder().WithEndpoint("https://"+host).WithPath(c.path).WithMethod(c.method).
		AddHeaderParam("Host", host).AddHeaderParam("X-Sdk-Date", date)
	for _, q := range c.query {
		b.AddQueryParam(q.name, reflect.ValueOf(q.value))
	}
	for _, h := range c.headers {
		b.AddHeaderParam(h.name, h.value)
	}
	if c.body != "" {
		b.WithBody("", c.body)
	}
	return b.Build()
}

// ours builds the request for package signature.
func (c call) ours(t testing.TB) *http.Request {
	t.Helper()
	path := c.path
	if c.wirePath != "" {
		path = c.wirePath
	}
	req, err := http.NewRequestWithContext(context.Background(), c.method, "https://"+host+path+"?"+c.wireQuery, strings.NewReader(c.body))
	require.NoError(t, err)
	for _, h := range c.headers {
		req.Header.Set(h.name, h.value)
	}
	return req
}

func TestSameSignatureForTheSameSignedHeaders(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(calls), 5)
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			headers, err := signer.Sign(c.vendor(), ak, sk)
			require.NoError(t, err)
			req := c.ours(t)
			require.NoError(t, signature.Credentials{AK: ak, SK: sk}.SignRequest(req, []byte(c.body), at))
			require.Equal(t, date, headers["X-Sdk-Date"])
			require.Equal(t, date, req.Header.Get("X-Sdk-Date"))
			require.Equal(t, headers["Authorization"], req.Header.Get("Authorization"))
		})
	}
}

// What the vendor's signer makes, with headers we would sign and it does not, passes our verifier.
func TestVendorRequestsAreAccepted(t *testing.T) {
	t.Parallel()
	verifier, err := signature.NewAKSK(signature.AKSKConfig{
		Secret: func(_ context.Context, id string) (string, bool, error) { return sk, id == ak, nil },
		Now:    func() time.Time { return at },
	})
	require.NoError(t, err)
	for _, contentType := range []string{"application/json", "text/plain"} {
		c := calls[3]
		c.headers = append(slices.Clone(c.headers), pair{"Content-Type", contentType})
		vendor := c.vendor()
		headers, err := signer.Sign(vendor, ak, sk)
		require.NoError(t, err)
		req := c.ours(t)
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		if hash := vendor.GetHeaderParams()["X-Sdk-Content-Sha256"]; hash != "" {
			req.Header.Set("X-Sdk-Content-Sha256", hash)
		}
		_, err = verifier.Verify(req, []byte(c.body))
		require.NoError(t, err, contentType)
	}
}

// benchCalls are the two calls an ISV makes all day.
var benchCalls = []call{
	{
		name: "usage push of 1 kB", method: "POST", path: "/rest/marketplace/v1/isv/usage-data",
		headers: []pair{{"Content-Type", "application/json"}, {"Accept", "application/json"}},
		body:    `{"usage_records":[` + strings.Repeat(`{"instance_id":"inst-0001","usage_value":"99"},`, 21) + `{}]}`,
	},
	{
		name: "order query", method: "GET", path: "/api/mkp-openapi-public/global/v1/order/query",
		headers:   []pair{{"Content-Type", "application/json"}, {"Accept", "application/json"}},
		query:     []pair{{"orderId", "CS2207261447AUY4H"}, {"orderLineId", "CS2207261447AUY4H-000001"}},
		wireQuery: "orderLineId=CS2207261447AUY4H-000001&orderId=CS2207261447AUY4H",
	},
}

// BenchmarkVendorRatio signs the same request on both sides in turns and reports the median of ours/theirs as vendor-ratio.
// Building the request is not measured on either side. Ours signs Content-Type in addition.
func BenchmarkVendorRatio(b *testing.B) {
	for _, c := range benchCalls {
		b.Run(c.name, func(b *testing.B) {
			vendor, req, body := c.vendor(), c.ours(b), []byte(c.body)
			credentials := signature.Credentials{AK: ak, SK: sk}
			theirs := func() {
				if _, err := signer.Sign(vendor, ak, sk); err != nil {
					b.Fatal(err)
				}
			}
			ours := func() {
				if err := credentials.SignRequest(req, body, at); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				ours()
			}
			b.ReportMetric(ratio(ours, theirs), "vendor-ratio")
		})
	}
}

func BenchmarkVendorSign(b *testing.B) {
	for _, c := range benchCalls {
		b.Run(c.name, func(b *testing.B) {
			vendor := c.vendor()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(vendor, ak, sk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// ratio runs both sides in turns, so that both see the same machine, and returns the median of ours/theirs.
func ratio(ours, theirs func()) float64 {
	const rounds, times = 101, 50
	measure := func(f func()) time.Duration {
		start := time.Now()
		for range times {
			f()
		}
		return time.Since(start)
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		mine := measure(ours)
		ratios[i] = float64(mine) / float64(measure(theirs))
	}
	slices.Sort(ratios)
	return ratios[rounds/2]
}
