package marketplace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

var _ provider.OrderSource = (*marketplace.Client)(nil)

const (
	ak      = "demo-ak-0001"
	sk      = "demo-secret-key-0001"
	baseKey = "demo-access-key-0001"

	orderPath    = "/api/mkp-openapi-public/global/v1/order/query"
	usagePath    = "/api/mkp-openapi-public/global/v1/isv/usage-data"
	usageOldPath = "/rest/marketplace/v1/isv/usage-data"
)

// lines is a log that many goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// ticker is a clock that moves a second each time it is read.
type ticker struct {
	mu sync.Mutex
	at time.Time
}

func (c *ticker) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Second)
	return c.at
}

// seen is a request the marketplace received.
type seen struct {
	method, path, query, body string
	header                    http.Header
}

// side is a marketplace that verifies, and a client of it.
type side struct {
	t      testing.TB
	client *marketplace.Client
	log    *lines
	mu     sync.Mutex
	got    []seen
}

// setup starts a marketplace below a path of its own, to find out whether the client keeps it. answer gets the number of the
// attempt, from 1.
func setup(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request), change ...func(*marketplace.Config)) *side {
	t.Helper()
	clock := &ticker{at: time.UnixMilli(1709690865000)}
	aksk, err := signature.NewAKSK(signature.AKSKConfig{Now: clock.Now, Secret: func(_ context.Context, id string) (string, bool, error) {
		return sk, id == ak, nil
	}})
	require.NoError(t, err)
	usage, err := signature.NewUsage(signature.Config{Keys: []string{baseKey}, Now: clock.Now, Nonces: signature.NewReplayGuard(0, clock.Now)})
	require.NoError(t, err)
	s := &side{t: t, log: new(lines)}
	mux := http.NewServeMux()
	mux.HandleFunc("/behind/a/path/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		_, err = aksk.Verify(r, body)
		assert.NoError(t, err, "AK/SK")
		if strings.HasSuffix(r.URL.Path, usagePath) {
			params, err := signature.UsageParams(r.Header)
			assert.NoError(t, err)
			assert.NoError(t, usage.Verify(r.Context(), params, body), "usage")
		} else {
			assert.Empty(t, r.Header.Get("signature"))
		}
		if r.Method == http.MethodPost && r.Header.Get("Content-Type") == "application/json" {
			schema, err := contract.Marketplace().Request(r.Method, strings.TrimPrefix(r.URL.Path, "/behind/a/path"))
			if assert.NoError(t, err) {
				assert.Empty(t, schema.Violations(body))
			}
		}
		s.mu.Lock()
		s.got = append(s.got, seen{r.Method, strings.TrimPrefix(r.URL.Path, "/behind/a/path"), r.URL.RawQuery, string(body), r.Header.Clone()})
		n := len(s.got)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		answer(n, w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	cfg := marketplace.Config{
		URL: server.URL + "/behind/a/path", Credentials: signature.Credentials{AK: ak, SK: sk}, BaseKey: baseKey,
		HTTPClient: server.Client(), RetryWaitMin: time.Nanosecond, RetryWaitMax: time.Nanosecond,
		Now: clock.Now, Logger: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	s.client, err = marketplace.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { s.discreet(s.log.String()) })
	return s
}

// discreet holds that a text gives no secret away.
func (s *side) discreet(text string) {
	s.t.Helper()
	for _, secret := range []string{sk, baseKey} {
		assert.NotContains(s.t, text, secret)
	}
}

func (s *side) failed(err error) *marketplace.Error {
	s.t.Helper()
	require.Error(s.t, err)
	s.discreet(fmt.Sprintf("%v %+v %#v", err, err, err))
	var e *marketplace.Error
	require.ErrorAs(s.t, err, &e)
	return e
}

func say(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func always(status int, body string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { say(w, status, body) }
}

const orderAnswer = `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":{"orderId":"CS1","orderType":"NEW","createTime":"20241121090846",
 "orderLine":[{"orderLineId":"CS1-000001","chargingMode":"PERIOD","periodType":"year","periodNumber":1,"expireTime":"20251121155959",
 "productInfo":[{"productId":"OFFI1","linearValue":50}],"extendParams":null}],"buyerInfo":{"email":null,"customerType":0},"new":{"field":1}}}`

func record(n int) marketplaceapi.UsageRecord {
	return marketplaceapi.UsageRecord{
		InstanceID: "i-1", RecordTime: "20220809T091000Z", BeginTime: "20220809T080000Z", EndTime: "20220809T090000Z",
		UsageValue: "99", MeteringSN: fmt.Sprintf("sn-%04d", n),
	}
}

func recordOld() marketplaceapi.UsageRecordOld {
	return marketplaceapi.UsageRecordOld{
		InstanceID: "i-1", ProductID: "OFFI1", RecordTime: "20220809T091000Z", BeginTime: "20220809T080000Z", EndTime: "20220809T090000Z", UsageValue: "99",
	}
}

func TestQueryOrder(t *testing.T) {
	t.Parallel()
	s := setup(t, always(200, orderAnswer))
	order, err := s.client.QueryOrder(t.Context(), "CS1", "CS1-000001")
	require.NoError(t, err)
	assert.Equal(t, marketplaceapi.ChargingPeriod, order.OrderLine[0].ChargingMode)
	assert.Equal(t, 50, order.OrderLine[0].ProductInfo[0].LinearValue)
	_, err = s.client.QueryOrder(t.Context(), "CS1", "")
	require.NoError(t, err)
	require.Len(t, s.got, 2)
	assert.Equal(t, "GET", s.got[0].method)
	assert.Equal(t, orderPath, s.got[0].path)
	assert.Equal(t, "orderId=CS1&orderLineId=CS1-000001", s.got[0].query)
	assert.Equal(t, "orderId=CS1", s.got[1].query, "an empty line id is left out")
	assert.Empty(t, s.got[0].body)

	for _, ids := range [][2]string{{"", ""}, {strings.Repeat("x", 65), ""}, {"CS1", strings.Repeat("x", 65)}, {"\xff", ""}} {
		_, err = s.client.QueryOrder(t.Context(), ids[0], ids[1])
		require.Error(t, err)
	}
	assert.Len(t, s.got, 2, "nothing is sent")
}

func TestQueryOrder_AnswersThatAreNoOrder(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no order":      `{"resultCode":"MKT.0000","resultMsg":"Success"}`,
		"null":          `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":null}`,
		"another order": strings.ReplaceAll(orderAnswer, "CS1", "CS2"),
		"wrong types":   `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":{"orderId":5}}`,
	} {
		s := setup(t, always(200, body))
		order, err := s.client.QueryOrder(t.Context(), "CS1", "")
		require.Error(t, err, name)
		assert.Nil(t, order)
		assert.Len(t, s.got, 1)
	}
	s := setup(t, always(200, strings.Replace(orderAnswer, "MKT.0000", "CBC.0000", 1)))
	_, err := s.client.QueryOrder(t.Context(), "CS1", "")
	require.NoError(t, err, "the older prefix")
	for _, body := range []string{``, `{}`, `[]`, `null`, `hello`, `{"resultCode":5}`} {
		s := setup(t, always(200, body))
		_, err := s.client.QueryOrder(t.Context(), "CS1", "")
		assert.Equal(t, "the answer has no code", s.failed(err).Message, body)
	}
}

func TestClient_EveryAttemptIsSignedAfresh(t *testing.T) {
	t.Parallel()
	flaky := func(final string) func(n int, w http.ResponseWriter, _ *http.Request) {
		return func(n int, w http.ResponseWriter, _ *http.Request) {
			if n < 3 {
				say(w, 503, `gateway down`)
				return
			}
			say(w, 200, final)
		}
	}
	s := setup(t, flaky(`{"error_code":"MKT.0000","error_msg":"Success"}`)) // it verifies each attempt, with a replay guard
	res, err := s.client.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record(1)})
	require.NoError(t, err)
	assert.Equal(t, &marketplace.PushResult{Accepted: 1}, res)
	require.Len(t, s.got, 3)
	for _, name := range []string{"X-Sdk-Date", "Authorization", "Nonce", "Ts", "Signature"} {
		values := map[string]bool{}
		for _, r := range s.got {
			values[r.header.Get(name)] = true
		}
		assert.Len(t, values, 3, "%s differs on each attempt", name)
	}
	assert.Equal(t, s.got[0].body, s.got[2].body)
	assert.Equal(t, 2, strings.Count(s.log.String(), `"level":"INFO"`), "one line for each attempt that is repeated")
	assert.Equal(t, 1, strings.Count(s.log.String(), `"level":"DEBUG"`))
	assert.Equal(t, "application/json", s.got[2].header.Get("Content-Type"))

	s = setup(t, flaky(orderAnswer))
	_, err = s.client.QueryOrder(t.Context(), "CS1", "")
	require.NoError(t, err)
	require.Len(t, s.got, 3)
	assert.NotEqual(t, s.got[0].header.Get("X-Sdk-Date"), s.got[1].header.Get("X-Sdk-Date"))
}

// TestClient_RetryRules counts attempts for every kind of answer.
func TestClient_RetryRules(t *testing.T) {
	t.Parallel()
	mkt := func(code string) string {
		return fmt.Sprintf(`{"resultCode":%q,"resultMsg":"m","error_code":%q,"error_msg":"m"}`, code, code)
	}
	const all, one = 3, 1
	tests := []struct {
		name                 string
		status               int
		body                 string
		order, push, pushOld int
		kind                 error
	}{
		{"too many requests", 429, ``, all, all, all, marketplace.ErrRateLimited},
		{"too many requests, by the gateway", 429, `{"error_code":"APIGW.0308","error_msg":"throttled","request_id":"r-1"}`, all, all, all, marketplace.ErrRateLimited},
		{"frequency limit", 406, mkt("MKT.0250"), all, all, all, marketplace.ErrRateLimited},
		{"frequency limit, older prefix", 406, mkt("CBC.0250"), all, all, all, marketplace.ErrRateLimited},
		{"internal error", 500, mkt("MKT.0999"), all, all, one, marketplace.ErrInternal},
		{"bad gateway", 502, `<html>`, all, all, one, marketplace.ErrInternal},
		{"unavailable", 503, `{"error_code":"APIGW.0201","error_msg":"backend"}`, all, all, one, marketplace.ErrInternal},
		{"500 without a code", 500, ``, all, all, one, marketplace.ErrInternal},
		{"not implemented", 501, ``, one, one, one, marketplace.ErrInternal},
		{"parameter", 500, mkt("MKT.0100"), one, one, one, marketplace.ErrInvalidParameter},
		{"parameter missing", 400, mkt("MKT.0101"), one, one, one, marketplace.ErrInvalidParameter},
		{"body signature", 400, mkt("MKT.0102"), one, one, one, marketplace.ErrBadSignature},
		{"another ISV's", 401, mkt("MKT.0150"), one, one, one, marketplace.ErrNotYours},
		{"no seller", 401, mkt("MKT.0151"), one, one, one, marketplace.ErrNotSeller},
		{"token", 401, mkt("MKT.0154"), one, one, one, marketplace.ErrIllegalToken},
		{"instance", 500, mkt("MKT.9001"), one, one, one, marketplace.ErrInstanceNotFound},
		{"usage", 500, mkt("MKT.9002"), one, one, one, marketplace.ErrInvalidUsage},
		{"count", 500, mkt("MKT.9003"), one, one, one, marketplace.ErrTooManyRecords},
		{"age", 500, mkt("MKT.9004"), one, one, one, marketplace.ErrTooOld},
		{"unknown code", 500, mkt("MKT.7777"), one, one, one, nil},
		{"signature, by the gateway", 401, `{"error_code":"APIGW.0301","error_msg":"verify aksk signature fail","request_id":"r-1"}`, one, one, one, marketplace.ErrBadSignature},
		{"redirect", 302, ``, one, one, one, nil},
		{"not found", 404, `<html>`, one, one, one, nil},
		{"refusal with 200", 200, mkt("MKT.0150"), one, one, one, marketplace.ErrNotYours},
		{"internal error with 200", 200, mkt("MKT.0999"), all, all, one, marketplace.ErrInternal},
		{"some records, and not which", 200, mkt("94060999"), one, one, one, nil},
		{"internal error of another service", 200, mkt("92020001"), all, all, one, marketplace.ErrInternal},
		{"parameter of a licence", 200, mkt("92020002"), one, one, one, marketplace.ErrInvalidParameter},
		{"licence active before", 200, mkt("92020003"), one, one, one, marketplace.ErrLicenseState},
		{"licence not received", 200, mkt("92020004"), one, one, one, marketplace.ErrLicenseState},
		{"no licence", 200, mkt("92020005"), one, one, one, marketplace.ErrLicenseNotFound},
		{"licence not active", 200, mkt("92020011"), one, one, one, marketplace.ErrLicenseState},
		{"one of the licences", 200, mkt("92020020"), one, one, one, marketplace.ErrLicenseNotFound},
		{"state of a licence", 200, mkt("91381034"), one, one, one, marketplace.ErrLicenseState},
		{"content type", 415, mkt("95000003"), one, one, one, marketplace.ErrInvalidParameter},
		{"unknown code of eight digits", 500, mkt("91389999"), one, one, one, nil},
		{"throttled with a code of our own", 429, mkt("MKT.0150"), one, one, one, marketplace.ErrNotYours},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				say(w, tt.status, strings.Replace(tt.body, `"m"`, fmt.Sprintf(`"answer %d"`, n), 2))
			}, func(c *marketplace.Config) { c.RetryMax = all - 1 })
			for _, op := range []struct {
				name string
				want int
				call func() error
			}{
				{"queryOrder", tt.order, func() error { _, err := s.client.QueryOrder(t.Context(), "CS1", ""); return err }},
				{"pushUsage", tt.push, func() error {
					_, err := s.client.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record(1)})
					return err
				}},
				{"pushUsageOld", tt.pushOld, func() error {
					return s.client.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{recordOld()})
				}},
				{"licenseHeartbeat", tt.order, func() error { _, err := s.client.LicenseHeartbeat(t.Context(), "PL1"); return err }},
				{"licenseHeartbeats", tt.order, func() error { _, err := s.client.LicenseHeartbeats(t.Context(), []string{"PL1"}); return err }},
				{"activateLicense", tt.pushOld, func() error { _, err := s.client.ActivateLicense(t.Context(), "PL1", time.Time{}); return err }},
				{"activateLicenses", tt.pushOld, func() error {
					_, err := s.client.ActivateLicenses(t.Context(), []string{"PL1"}, time.Time{})
					return err
				}},
				{"uploadFile", tt.order, func() error { return s.client.UploadFile(t.Context(), "e-1", marketplace.FileOf("a.lic", []byte("x"))) }},
				{"uploadFile", tt.order, func() error { return s.client.UploadCharacters(t.Context(), "e-1", "x") }},
			} {
				s.mu.Lock()
				s.got = nil
				s.mu.Unlock()
				e := s.failed(op.call())
				assert.Len(t, s.got, op.want, op.name)
				assert.Equal(t, op.name, e.Operation)
				assert.Equal(t, tt.status, e.Status)
				if tt.kind != nil {
					require.ErrorIs(t, e, tt.kind)
				}
				for _, other := range []error{
					marketplace.ErrInvalidParameter, marketplace.ErrBadSignature, marketplace.ErrNotYours, marketplace.ErrRateLimited, marketplace.ErrInternal,
				} {
					assert.Equal(t, other == tt.kind, errors.Is(e, other), "%v is %v", e, other)
				}
				if strings.Contains(tt.body, `"m"`) {
					assert.Equal(t, fmt.Sprintf("answer %d", op.want), e.Message, "the last answer is kept")
				}
				if strings.Contains(tt.body, "r-1") {
					assert.Equal(t, "r-1", e.RequestID)
				}
			}
		})
	}
}

// wire is a transport without a network.
type wire func(*http.Request) (*http.Response, error)

func (f wire) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func offline(t testing.TB, transport wire, change ...func(*marketplace.Config)) *marketplace.Client {
	t.Helper()
	cfg := marketplace.Config{
		URL: "https://marketplace.example.com", Credentials: signature.Credentials{AK: ak, SK: sk}, BaseKey: baseKey,
		HTTPClient: &http.Client{Transport: transport}, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := marketplace.New(cfg)
	require.NoError(t, err)
	return c
}

func response(r *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

func TestClient_RetriesWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	broken := func() io.ReadCloser { return io.NopCloser(io.MultiReader(strings.NewReader(`{"resu`), errReader{})) }
	tests := []struct {
		name                 string
		fail                 func(*http.Request) (*http.Response, error)
		order, push, pushOld int
	}{
		{"no connection", func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}, 5, 5, 5},
		{"no such host", func(*http.Request) (*http.Response, error) { return nil, &net.DNSError{Err: "no such host"} }, 5, 5, 5},
		{"no connection in time", func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).GetConn("host:443")
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 5, 5, 5},
		{"no answer in time", func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).GetConn("host:443")
			httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 5, 5, 1},
		{"connection lost", func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "read", Err: errors.New("connection reset")}
		}, 5, 5, 1},
		{"answer breaks off", func(r *http.Request) (*http.Response, error) {
			resp := response(r, 200, "")
			resp.Body = broken()
			return resp, nil
		}, 5, 5, 1},
		{"answer without end", func(r *http.Request) (*http.Response, error) {
			return response(r, 200, strings.Repeat("x", 4<<20+1)), nil
		}, 1, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				c := offline(t, func(r *http.Request) (*http.Response, error) { n++; return tt.fail(r) })
				_, err := c.QueryOrder(t.Context(), "CS1", "")
				require.ErrorContains(t, err, fmt.Sprintf("after %d attempts", tt.order))
				assert.Equal(t, tt.order, n)
				n = 0
				_, err = c.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record(1)})
				require.Error(t, err)
				assert.Equal(t, tt.push, n)
				n = 0
				require.Error(t, c.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{recordOld()}))
				assert.Equal(t, tt.pushOld, n)
			})
		})
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestClient_Waits(t *testing.T) {
	t.Parallel()
	const date = "Fri, 31 Dec 1999 23:59:00 GMT"
	tests := []struct {
		name        string
		header      []string
		least, most time.Duration // of all four waits together
	}{
		{"doubling with jitter", nil, 1 * time.Second * 5, 15 * time.Second},
		{"Retry-After in seconds", []string{"Retry-After", "7"}, 28 * time.Second, 28 * time.Second},
		{"Retry-After is capped", []string{"Retry-After", "86400"}, 120 * time.Second, 120 * time.Second},
		{"Retry-After 0 is not at once", []string{"Retry-After", "0"}, 4 * time.Second, 4 * time.Second},
		{"Retry-After as a date", []string{"Retry-After", "Fri, 31 Dec 1999 23:59:10 GMT", "Date", date}, 40 * time.Second, 40 * time.Second},
		{"Retry-After in the past", []string{"Retry-After", "Fri, 31 Dec 1999 23:00:00 GMT", "Date", date}, 4 * time.Second, 4 * time.Second},
		{"Retry-After that cannot be read", []string{"Retry-After", "soon"}, 1 * time.Second * 5, 15 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := offline(t, func(r *http.Request) (*http.Response, error) { return response(r, 503, "", tt.header...), nil })
				start := time.Now()
				_, err := c.QueryOrder(t.Context(), "CS1", "")
				require.ErrorIs(t, err, marketplace.ErrInternal)
				assert.GreaterOrEqual(t, time.Since(start), tt.least)
				assert.LessOrEqual(t, time.Since(start), tt.most)
			})
		})
	}
}

func TestClient_ContextEndsAWaitAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := offline(t, func(r *http.Request) (*http.Response, error) { n++; return response(r, 503, ""), nil },
			func(c *marketplace.Config) { c.RetryWaitMin, c.RetryWaitMax = time.Hour, time.Hour })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := c.QueryOrder(ctx, "CS1", "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, 1, n)
	})
}

func TestClient_TimeoutIsPerAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := offline(t, func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return response(r, 200, orderAnswer), nil
		})
		start := time.Now()
		_, err := c.QueryOrder(t.Context(), "CS1", "")
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		assert.GreaterOrEqual(t, time.Since(start), 20*time.Second)
	})
}

func TestClient_LeavesTheCallersClientAlone(t *testing.T) {
	t.Parallel()
	hc := &http.Client{Timeout: time.Second, Transport: wire(func(r *http.Request) (*http.Response, error) { return response(r, 200, orderAnswer), nil })}
	before := *hc
	c := offline(t, nil, func(c *marketplace.Config) { c.HTTPClient = hc })
	_, err := c.QueryOrder(t.Context(), "CS1", "")
	require.NoError(t, err)
	assert.Equal(t, before.Timeout, hc.Timeout)
	assert.Nil(t, hc.CheckRedirect)
	assert.Equal(t, reflect.ValueOf(before.Transport).Pointer(), reflect.ValueOf(hc.Transport).Pointer())
}

func TestNew_ChecksItsConfig(t *testing.T) {
	t.Parallel()
	creds := signature.Credentials{AK: ak, SK: sk}
	for _, tt := range []struct {
		want string
		cfg  marketplace.Config
	}{
		{"Config.URL is not of the form", marketplace.Config{Credentials: creds}},
		{"Config.URL is not of the form", marketplace.Config{URL: "mkt.example.com", Credentials: creds}},
		{"Config.URL is not of the form", marketplace.Config{URL: "ftp://mkt.example.com", Credentials: creds}},
		{"has a user", marketplace.Config{URL: "https://u:" + sk + "@mkt.example.com", Credentials: creds}},
		{"a query", marketplace.Config{URL: "https://mkt.example.com/?a=b", Credentials: creds}},
		{"in the clear", marketplace.Config{URL: "http://mkt.example.com", Credentials: creds}},
		{"no AK or no SK", marketplace.Config{URL: "https://mkt.example.com", Credentials: signature.Credentials{AK: ak}}},
		{"Config.Region is \"mars\"", marketplace.Config{Region: "mars", Credentials: creds}},
		{"a Region and a URL", marketplace.Config{Region: marketplace.China, URL: "https://mkt.example.com", Credentials: creds}},
		{"RequestsPerSecond is -1", marketplace.Config{Region: marketplace.China, Credentials: creds, RequestsPerSecond: -1}},
		{"RequestsPerSecond is NaN", marketplace.Config{Region: marketplace.China, Credentials: creds, RequestsPerSecond: math.NaN()}},
		{"Timeout -1s", marketplace.Config{URL: "https://mkt.example.com", Credentials: creds, Timeout: -time.Second}},
		{"RetryWaitMax is 1s", marketplace.Config{URL: "https://mkt.example.com", Credentials: creds, RetryWaitMin: time.Minute, RetryWaitMax: time.Second}},
	} {
		_, err := marketplace.New(tt.cfg)
		require.ErrorContains(t, err, tt.want)
		assert.NotContains(t, err.Error(), sk)
	}
	for _, cfg := range []marketplace.Config{
		{URL: "http://localhost:8080"}, {URL: "http://127.0.0.1"}, {URL: "http://[::1]:80/x/"}, {URL: "http://sandbox:80", InsecureAllowHTTP: true},
	} {
		cfg.Credentials = creds
		_, err := marketplace.New(cfg)
		require.NoError(t, err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	cfg := marketplace.Config{URL: "https://mkt.example.com", Credentials: signature.Credentials{AK: ak, SK: sk}, BaseKey: baseKey}
	c, err := marketplace.New(cfg)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "cfg", cfg, "client", c)
	text := log.String()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text += fmt.Sprintf(format+format+format, cfg, &cfg, c)
	}
	assert.NotContains(t, text, sk)
	assert.NotContains(t, text, baseKey)
	assert.Contains(t, text, "mkt.example.com")
}

func TestError_IsOneTameLine(t *testing.T) {
	t.Parallel()
	e := &marketplace.Error{
		Operation: "queryOrder", Status: 400, Code: "MKT.0100", Message: "bad\nline" + strings.Repeat("x", 5000), ExtraInfo: "orderId\x00", RequestID: "r-1",
	}
	assert.True(t, strings.HasPrefix(e.Error(), "marketplace: queryOrder: HTTP 400, MKT.0100: bad line"))
	assert.True(t, strings.HasSuffix(e.Error(), "(orderId ) [request r-1]"))
	assert.Less(t, len(e.Error()), 1500)
}
