package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/vectors"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

func TestHandler_EveryActivityReachesTheApplication(t *testing.T) {
	t.Parallel()
	var got string
	note := func(call any) { got = fmt.Sprintf("%T", call) }
	a := &fullApp{}
	a.newInstance = func(_ context.Context, c provider.NewInstance) (provider.Instance, error) {
		note(c)
		assert.Equal(t, providerapi.NewInstanceCall{Activity: "newInstance", BusinessID: "b-1", OrderID: "CS1", OrderLineID: "CS1-000001", TestFlag: "0"}, c.NewInstanceCall)
		return provider.Instance{ID: "i-1"}, nil
	}
	a.query = func(_ context.Context, c provider.QueryInstance) ([]provider.InstanceInfo, error) {
		note(c)
		assert.Equal(t, []string{"i-1"}, c.InstanceIDs())
		return []provider.InstanceInfo{{InstanceID: "i-1", AppInfo: provider.AppInfo{FrontEndURL: "https://a.example.com/?a=1&b=2", Password: password}}}, nil
	}
	a.refresh = func(_ context.Context, c provider.RefreshInstance) error {
		note(c)
		assert.Equal(t, time.Date(2023, 11, 24, 15, 59, 59, 0, time.UTC), c.Expiry())
		assert.Equal(t, providerapi.RefreshInstanceCall{Activity: "refreshInstance", ExpireTime: "20231124155959", InstanceID: "i-1", OrderID: "CS2", OrderLineID: "CS2-000001", Scene: "RENEWAL"}, c.RefreshInstanceCall)
		return nil
	}
	a.status = func(_ context.Context, c provider.UpdateInstanceStatus) error {
		note(c)
		assert.Equal(t, providerapi.StatusFreeze, c.Status)
		return nil
	}
	a.release = func(_ context.Context, c provider.ReleaseInstance) error {
		note(c)
		assert.Equal(t, "i-1", c.InstanceID)
		return nil
	}
	a.upgrade = func(_ context.Context, c provider.UpgradeInstance) error {
		note(c)
		assert.Equal(t, "CS3", c.OrderID)
		return nil
	}
	a.check = func(_ context.Context, c provider.ChangeCheck) error {
		note(c)
		p, err := c.Product()
		assert.NoError(t, err)
		assert.Equal(t, providerapi.TargetProduct{ProductID: "OFFI1", LinearValue: 5}, p)
		return nil
	}
	a.notify = func(_ context.Context, c provider.OrderNotify) error {
		note(c)
		assert.Equal(t, "CS1-000001", c.OrderLineID)
		return nil
	}
	s := setup(t, a)
	for body, want := range map[string]string{
		`{"activity":"newInstance","businessId":"b-1","orderId":"CS1","orderLineId":"CS1-000001","testFlag":"0"}`: "provider.NewInstance",
		queryBody: "provider.QueryInstance", refreshBody: "provider.RefreshInstance", statusBody: "provider.UpdateInstanceStatus",
		releaseBody: "provider.ReleaseInstance", upgradeBody: "provider.UpgradeInstance", checkBody: "provider.ChangeCheck",
		notifyBody: "provider.OrderNotify",
	} {
		by := s.base
		if body == notifyBody {
			by = s.general
		}
		ans := s.signed(by, body)
		assert.Equal(t, providerapi.ResultSuccess, ans.ResultCode, body)
		assert.Equal(t, "success", ans.ResultMsg)
		assert.Equal(t, want, got)
		if body == queryBody {
			require.Len(t, ans.Info, 1)
			assert.Equal(t, password, ans.Info[0].AppInfo.Password)
			assert.Contains(t, ans.raw, "a=1&b=2", "addresses are not escaped")
		}
	}
}

// TestHandler_RefusesWhatIsNotSignedRight changes one thing about a signed call at a time.
func TestHandler_RefusesWhatIsNotSignedRight(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(q url.Values)
		body   string // sent instead of what was signed
		want   providerapi.ResultCode
		log    string
	}{
		{name: "no query at all", change: func(q url.Values) { clear(q) }, want: "000001", log: "signature: missing"},
		{name: "signature missing", change: func(q url.Values) { q.Del("signature") }, want: "000001", log: "signature: missing"},
		{name: "signature empty", change: func(q url.Values) { q.Set("signature", "") }, want: "000001", log: "signature: missing"},
		{name: "signature malformed", change: func(q url.Values) { q.Set("signature", "xyz") }, want: "000001", log: "signature: malformed"},
		{name: "signature twice", change: func(q url.Values) { q.Add("signature", q.Get("signature")) }, want: "000001", log: "signature: malformed"},
		{name: "signature of something else", change: func(q url.Values) { q.Set("signature", strings.Repeat("0", 64)) }, want: "000001", log: "mismatch"},
		{name: "body changed", body: strings.Replace(releaseBody, "i-1", "i-2", 1), want: "000001", log: "mismatch"},
		{name: "nonce changed", change: func(q url.Values) { q.Set("nonce", "other") }, want: "000001", log: "mismatch"},
		{name: "timestamp changed", change: func(q url.Values) { q.Set("timestamp", "1680508066619") }, want: "000001", log: "mismatch"},
		{name: "timestamp missing", change: func(q url.Values) { q.Del("timestamp") }, want: "000002", log: "timestamp: missing"},
		{name: "timestamp malformed", change: func(q url.Values) { q.Set("timestamp", "yesterday") }, want: "000002", log: "timestamp: malformed"},
		{name: "timestamp twice", change: func(q url.Values) { q.Add("timestamp", "1") }, want: "000002", log: "timestamp: malformed"},
		{name: "timestamp too old", change: func(q url.Values) { q.Set("timestamp", millis(now.Add(-61*time.Second))) }, want: "000002", log: "stale"},
		{name: "timestamp too far ahead", change: func(q url.Values) { q.Set("timestamp", millis(now.Add(61*time.Second))) }, want: "000002", log: "stale"},
		{name: "nonce missing", change: func(q url.Values) { q.Del("nonce") }, want: "000002", log: "nonce: missing"},
		{name: "nonce too long", change: func(q url.Values) { q.Set("nonce", strings.Repeat("n", 129)) }, want: "000002", log: "nonce: malformed"},
		{name: "body is no JSON and not signed", body: "no JSON", want: "000001", log: "mismatch"},
		{name: "unknown activity and not signed", body: `{"activity":"unknown"}`, want: "000001", log: "mismatch"},
	}
	s := setup(t, untouched{t})
	for _, tt := range tests {
		params, err := s.base.Sign([]byte(releaseBody))
		require.NoError(t, err)
		query := params.Query()
		if tt.change != nil {
			tt.change(query)
		}
		body := releaseBody
		if tt.body != "" {
			body = tt.body
		}
		ans := s.send(http.MethodPost, query, body)
		assert.Equal(t, tt.want, ans.ResultCode, tt.name)
		assert.Equal(t, map[providerapi.ResultCode]string{"000001": "authentication failed", "000002": "invalid request parameter"}[tt.want], ans.ResultMsg, "the peer gets one text per code: %s", tt.name)
		assert.Contains(t, lastLine(s), tt.log, tt.name)
	}
}

func millis(at time.Time) string { return strconv.FormatInt(at.UnixMilli(), 10) }

func lastLine(s *side) string {
	all := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	return all[len(all)-1]
}

func TestHandler_RefusesReplays(t *testing.T) {
	t.Parallel()
	calls := 0
	s := setup(t, &app{release: func(context.Context, provider.ReleaseInstance) error { calls++; return nil }})
	params, err := s.base.Sign([]byte(releaseBody))
	require.NoError(t, err)
	assert.Equal(t, providerapi.ResultSuccess, s.send(http.MethodPost, params.Query(), releaseBody).ResultCode)
	ans := s.send(http.MethodPost, params.Query(), releaseBody)
	assert.Equal(t, providerapi.ResultAuthenticationFailed, ans.ResultCode)
	assert.Contains(t, lastLine(s), "replayed")
	assert.Equal(t, 1, calls)
}

// TestHandler_RefusesWhatBreaksTheContract sends bodies that are signed, and wrong in one way each.
func TestHandler_RefusesWhatBreaksTheContract(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	tests := []struct{ name, body, msg string }{
		{"empty body", ``, "the body is not a JSON object in UTF-8"},
		{"no JSON", `hello`, "the body is not a JSON object in UTF-8"},
		{"an array", `[1]`, "the body is not a JSON object in UTF-8"},
		{"null", `null`, "the body is not a JSON object in UTF-8"},
		{"two objects", releaseBody + releaseBody, "the body is not a JSON object in UTF-8"},
		{"not UTF-8", "{\"activity\":\"releaseInstance\",\"instanceId\":\"\xff\"}", "the body is not a JSON object in UTF-8"},
		{"empty object", `{}`, "activity is missing"},
		{"activity null", `{"activity":null}`, "activity is missing"},
		{"activity a number", `{"activity":5}`, "activity must be text"},
		{"activity unknown", `{"activity":"expireInstance"}`, "activity is not one of the contract"},
		{"activity of the kit", `{"activity":"tenantSync"}`, "activity is not one of the contract"},
		{"activity in capitals", `{"activity":"NEWINSTANCE"}`, "activity is not one of the contract"},
		{"name given twice", `{"activity":"releaseInstance","instanceId":"i-1","instanceId":"i-2"}`, "the field instanceId is given twice"},
		{"name given twice, once escaped", `{"activity":"releaseInstance","instanceId":"i-1","instance\u0049d":"i-2"}`, "the field instanceId is given twice"},
		{"field missing", `{"activity":"newInstance","businessId":"b","orderLineId":"l"}`, "orderId is missing"},
		{"field null", `{"activity":"newInstance","businessId":"b","orderId":null,"orderLineId":"l"}`, "orderId is missing"},
		{"field in other letters", `{"activity":"newInstance","businessId":"b","orderID":"o","orderLineId":"l"}`, "orderId is missing"},
		{"field empty", `{"activity":"newInstance","businessId":"b","orderId":"","orderLineId":"l"}`, "orderId is empty"},
		{"field a number", `{"activity":"newInstance","businessId":"b","orderId":5,"orderLineId":"l"}`, "orderId must be text"},
		{"field an object", `{"activity":"newInstance","businessId":"b","orderId":{},"orderLineId":"l"}`, "orderId must be text"},
		{"field too long", `{"activity":"newInstance","businessId":"b","orderId":"` + long + `","orderLineId":"l"}`, "orderId is 65 characters long, expected at most 64"},
		{"two wrong", `{"activity":"newInstance","businessId":"b","orderId":""}`, "orderId is empty; orderLineId is missing"},
		{"testFlag unknown", `{"activity":"releaseInstance","instanceId":"i","testFlag":"2"}`, "testFlag must be one of 0, 1"},
		{"testFlag a number", `{"activity":"releaseInstance","instanceId":"i","testFlag":1}`, "testFlag must be text"},
		{"scene unknown", strings.Replace(refreshBody, "RENEWAL", "TRIAL", 1), "scene must be one of"},
		{"expireTime of no form", strings.Replace(refreshBody, "20231124155959", "2023-11-24", 1), "expireTime must match"},
		{"expireTime of no date", strings.Replace(refreshBody, "20231124155959", "20231324155959", 1), "expireTime is no date"},
		{"status unknown", strings.Replace(statusBody, "FREEZE", "FROZEN", 1), "status must be one of FREEZE, UNFREEZE"},
		{"one id too many", `{"activity":"queryInstance","instanceId":"` + strings.Repeat("i,", 100) + `i"}`, "instanceId has 101 items, expected at most 100"},
		{"an empty id", `{"activity":"queryInstance","instanceId":"i,,i"}`, "instanceId has an empty item at position 2"},
		{"productInfo a number", strings.Replace(checkBody, `{"productId":"OFFI1","linearValue":5}`, "5", 1), "productInfo must be an object or its JSON text"},
		{"productInfo text that is no JSON", strings.Replace(checkBody, `{"productId":"OFFI1","linearValue":5}`, `"OFFI1"`, 1), "productInfo must be an object or its JSON text"},
	}
	s := setup(t, untouched{t}, func(c *provider.Config) { c.Instances, c.Market = untouched{t}, untouched{t} })
	for _, tt := range tests {
		ans := s.call(tt.body)
		assert.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode, tt.name)
		assert.Contains(t, ans.ResultMsg, tt.msg, tt.name)
		assert.NotContains(t, ans.ResultMsg, long, "values are not quoted")
	}
}

func TestHandler_ManyViolationsFitIntoTheMessage(t *testing.T) {
	t.Parallel()
	s := setup(t, untouched{t})
	ans := s.call(`{"activity":"refreshInstance","expireTime":"x","instanceId":"` + strings.Repeat("x", 99) + `","orderId":"` + strings.Repeat("x", 99) +
		`","orderLineId":"` + strings.Repeat("x", 99) + `","scene":"x","productId":"` + strings.Repeat("x", 99) + `"}`)
	assert.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode)
	assert.Contains(t, ans.ResultMsg, "expireTime must match")
}

func TestHandler_OnlyPOST(t *testing.T) {
	t.Parallel()
	s := setup(t, untouched{t})
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		ans := s.send(method, nil, "")
		assert.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode, method)
		assert.Equal(t, "expected the method POST", ans.ResultMsg)
	}
}

func TestHandler_BodyLimit(t *testing.T) {
	t.Parallel()
	s := setup(t, &app{}, func(c *provider.Config) { c.MaxBody = int64(len(releaseBody)) })
	assert.Equal(t, providerapi.ResultSuccess, s.call(releaseBody).ResultCode)
	for _, body := range []string{releaseBody + " ", releaseBody + strings.Repeat(" ", 100<<10)} {
		ans := s.call(body)
		assert.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode)
		assert.Contains(t, ans.ResultMsg, "the body is longer than")
	}
	// a body that does not say how long it is
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(releaseBody+" "))
	req.ContentLength = -1
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	assert.Contains(t, judge(t, "", rec.Code, rec.Header(), rec.Body.Bytes()).ResultMsg, "the body is longer than")
	// one that is shorter than it says
	req = httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
	req.ContentLength = 5
	rec = httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	assert.Equal(t, "the body cannot be read", judge(t, "", rec.Code, rec.Header(), rec.Body.Bytes()).ResultMsg)
	// none at all
	req = httptest.NewRequest(http.MethodPost, "/", nil)
	req.Body = nil
	rec = httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	assert.Equal(t, providerapi.ResultAuthenticationFailed, judge(t, "", rec.Code, rec.Header(), rec.Body.Bytes()).ResultCode)
}

func TestHandler_UnknownFieldsAreTolerated(t *testing.T) {
	t.Parallel()
	s := setup(t, &app{release: func(_ context.Context, c provider.ReleaseInstance) error {
		assert.Equal(t, "i-1", c.InstanceID, "a name in other letters is another name")
		return nil
	}})
	for _, body := range []string{
		strings.TrimSuffix(releaseBody, "}") + `,"customer":{"name":["x"]},"n":-1.5e3,"t":true,"z":null}`,
		strings.TrimSuffix(releaseBody, "}") + `,"INSTANCEID":"i-2"}`,
		" {\n\t\"activity\" : \"releaseInstance\" ,\r\n \"instanceId\" : \"i-1\" } ",
		`{"activity":"releaseInstance","instanceId":"\u0069-1"}`,
	} {
		assert.Equal(t, providerapi.ResultSuccess, s.call(body).ResultCode, body)
	}
}

func TestHandler_KeyClasses(t *testing.T) {
	t.Parallel()
	s := setup(t, &fullApp{})
	assert.Equal(t, providerapi.ResultSuccess, s.signed(s.general, notifyBody).ResultCode)
	assert.Equal(t, providerapi.ResultAuthenticationFailed, s.signed(s.base, notifyBody).ResultCode, "base key on a general call")
	assert.Equal(t, providerapi.ResultAuthenticationFailed, s.signed(s.general, releaseBody).ResultCode, "general key on a base call")
	assert.Equal(t, providerapi.ResultAuthenticationFailed, s.signed(s.general, "no JSON").ResultCode, "base key judges what cannot be read")

	// An activity whose name is escaped, or given twice, does not slip past the choice of the key.
	assert.Equal(t, providerapi.ResultSuccess, s.signed(s.general, strings.Replace(notifyBody, "activity", `activit\u0079`, 1)).ResultCode)
	twice := `{"activity":"releaseInstance","activity":"orderNotify","orderId":"CS1","orderLineId":"CS1-000001"}`
	assert.Equal(t, "the field activity is given twice", s.signed(s.general, twice).ResultMsg)
	assert.Equal(t, providerapi.ResultAuthenticationFailed, s.signed(s.base, twice).ResultCode)

	s = setup(t, &fullApp{}, func(c *provider.Config) { c.GeneralKeys = nil })
	assert.Equal(t, providerapi.ResultAuthenticationFailed, s.signed(s.general, notifyBody).ResultCode)
	assert.Contains(t, lastLine(s), "Config.GeneralKeys is empty")
	ans := s.signed(s.base, notifyBody)
	assert.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode)
	assert.Equal(t, "the activity orderNotify is not supported by this product", ans.ResultMsg)
}

func TestHandler_KeyRotation(t *testing.T) {
	t.Parallel()
	s := setup(t, &app{}, func(c *provider.Config) { c.BaseKeys = []string{"new-key-0002", baseKey} })
	assert.Equal(t, providerapi.ResultSuccess, s.call(releaseBody).ResultCode)
	assert.Equal(t, providerapi.ResultSuccess, s.signed(signer(t, "new-key-0002"), releaseBody).ResultCode)
	assert.Equal(t, providerapi.ResultAuthenticationFailed, s.signed(signer(t, "other"), releaseBody).ResultCode)
}

func TestHandler_OptionalCapabilities(t *testing.T) {
	t.Parallel()
	s := setup(t, &app{})
	for _, body := range []string{upgradeBody, checkBody, debugBody(upgradeBody), debugBody(checkBody)} {
		ans := s.call(body)
		assert.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode, body)
		assert.Contains(t, ans.ResultMsg, "is not supported by this product")
	}
	assert.Contains(t, s.signed(s.general, notifyBody).ResultMsg, "is not supported by this product")
}

func TestHandler_DebugCallsTouchNothing(t *testing.T) {
	t.Parallel()
	s := setup(t, untouched{t}, func(c *provider.Config) { c.Instances, c.Market = untouched{t}, untouched{t} })
	first := s.call(debugBody(newInstanceBody("CS1", "b-1")))
	assert.Equal(t, providerapi.ResultSuccess, first.ResultCode)
	assert.NotEmpty(t, first.InstanceID)
	assert.Equal(t, first.InstanceID, s.call(debugBody(newInstanceBody("CS1", "b-2"))).InstanceID, "cases are repeatable")
	for _, body := range []string{refreshBody, statusBody, releaseBody, upgradeBody, checkBody} {
		assert.Equal(t, providerapi.ResultSuccess, s.call(debugBody(body)).ResultCode, body)
	}
	assert.Equal(t, providerapi.ResultSuccess, s.signed(s.general, debugBody(notifyBody)).ResultCode)

	ans := s.call(debugBody(`{"activity":"queryInstance","instanceId":"i-1,i-2"}`))
	assert.Equal(t, providerapi.ResultSuccess, ans.ResultCode)
	require.Len(t, ans.Info, 2)
	for i, info := range ans.Info {
		assert.Equal(t, fmt.Sprintf("i-%d", i+1), info.InstanceID)
		assert.NotEmpty(t, info.AppInfo.FrontEndURL)
		require.Len(t, info.UsageInfo, 1)
		assert.Equal(t, "20230403074746618", info.UsageInfo[0].StatisticalTime)
	}

	// Debugging does not excuse anything else.
	assert.Equal(t, providerapi.ResultAuthenticationFailed, s.signed(s.general, debugBody(releaseBody)).ResultCode)
	assert.Equal(t, providerapi.ResultInvalidParameter, s.call(`{"activity":"releaseInstance","instanceId":"","testFlag":"1"}`).ResultCode)
}

func TestHandler_DebugInfo(t *testing.T) {
	t.Parallel()
	s := setup(t, untouched{t}, func(c *provider.Config) {
		c.DebugInfo = func(id string) provider.InstanceInfo {
			if id == "bad" {
				return provider.InstanceInfo{AppInfo: provider.AppInfo{UserName: "admin"}}
			}
			return provider.InstanceInfo{AppInfo: provider.AppInfo{FrontEndURL: "https://demo.example.com/" + id}}
		}
	})
	ans := s.call(debugBody(queryBody))
	require.Len(t, ans.Info, 1)
	assert.Equal(t, "https://demo.example.com/i-1", ans.Info[0].AppInfo.FrontEndURL)
	assert.Equal(t, "i-1", ans.Info[0].InstanceID)
	assert.Equal(t, providerapi.ResultInternalError, s.call(debugBody(`{"activity":"queryInstance","instanceId":"bad"}`)).ResultCode)
}

func TestHandler_ErrorsBecomeResultCodes(t *testing.T) {
	t.Parallel()
	all := map[providerapi.ResultCode]*provider.Error{
		"000002": provider.ErrInvalidParameter, "000003": provider.ErrInstanceNotFound, "000004": provider.ErrInProgress,
		"000100": provider.ErrNoResource, "000101": provider.ErrMobileInUse, "000102": provider.ErrEmailInUse,
		"000103": provider.ErrCannotBuyAgain, "000104": provider.ErrServiceError, "000105": provider.ErrBenefitExists,
		"000106": provider.ErrSoldOut, "000107": provider.ErrEmailDomainExists,
	}
	var next error
	a := &fullApp{}
	a.newInstance = func(context.Context, provider.NewInstance) (provider.Instance, error) {
		return provider.Instance{}, next
	}
	a.release = func(context.Context, provider.ReleaseInstance) error { return next }
	a.query = func(context.Context, provider.QueryInstance) ([]provider.InstanceInfo, error) { return nil, next }
	a.notify = func(context.Context, provider.OrderNotify) error { return next }
	s := setup(t, a)
	for code, sentinel := range all {
		for _, next = range []error{sentinel, fmt.Errorf("wrapped: %w", sentinel), errors.Join(errors.New("and"), sentinel), custom{sentinel}} {
			onCreate, onRelease, onNotify := code, code, code
			if code == "000003" {
				onCreate, onNotify = "000005", "000005"
			}
			if code >= "000100" {
				onRelease, onNotify = "000005", "000005"
			}
			assert.Equal(t, onCreate, s.call(newInstanceBody("CS"+string(code), "b")).ResultCode, "newInstance %v", next)
			assert.Equal(t, onRelease, s.call(releaseBody).ResultCode, "releaseInstance %v", next)
			assert.Equal(t, onRelease, s.call(queryBody).ResultCode, "queryInstance %v", next)
			assert.Equal(t, onNotify, s.signed(s.general, notifyBody).ResultCode, "orderNotify %v", next)
		}
	}

	next = errors.New("the database at 10.0.0.7 is down")
	ans := s.call(releaseBody)
	assert.Equal(t, providerapi.ResultInternalError, ans.ResultCode)
	assert.Equal(t, "internal error", ans.ResultMsg, "details are for the log")
	assert.Contains(t, lastLine(s), "10.0.0.7")

	next = &provider.Error{Code: "000002", Message: strings.Repeat("席", 300) + "\n"}
	ans = s.call(releaseBody)
	assert.Equal(t, strings.Repeat("席", 255), ans.ResultMsg)
	assert.True(t, errors.Is(next, provider.ErrInvalidParameter))
	assert.False(t, errors.Is(provider.ErrInvalidParameter, next)) //nolint:staticcheck // the other way round, on purpose

	for _, code := range []providerapi.ResultCode{"000000", "000001", "000999", "", "nonsense"} {
		next = &provider.Error{Code: code, Message: "x"}
		assert.Equal(t, providerapi.ResultInternalError, s.call(releaseBody).ResultCode, code)
		assert.Equal(t, providerapi.ResultInternalError, s.call(newInstanceBody("CS9", "b")).ResultCode, code)
	}
}

// custom is an error type of an Application with an Is method of its own.
type custom struct{ as error }

func (custom) Error() string          { return "custom" }
func (c custom) Is(target error) bool { return target == c.as }

func TestHandler_PanicsAreAnswered(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"boom", errors.New("boom"), http.ErrAbortHandler} {
		a := &app{
			newInstance: func(context.Context, provider.NewInstance) (provider.Instance, error) { panic(value) },
			query:       func(context.Context, provider.QueryInstance) ([]provider.InstanceInfo, error) { panic(value) },
			release:     func(context.Context, provider.ReleaseInstance) error { panic(value) },
		}
		s := setup(t, a)
		for _, body := range []string{newInstanceBody("CS1", "b-1"), newInstanceBody("CS1", "b-2"), queryBody, releaseBody} {
			ans := s.call(body)
			assert.Equal(t, providerapi.ResultInternalError, ans.ResultCode, body)
			assert.Equal(t, "internal error", ans.ResultMsg)
			assert.Contains(t, lastLine(s), `"stack"`)
			assert.Contains(t, lastLine(s), "handler_test.go", "the stack leads to the Application")
		}
	}
	s := setup(t, &app{}, func(c *provider.Config) { c.Nonces = nonces(func() (bool, error) { panic("nonces") }) })
	assert.Equal(t, providerapi.ResultInternalError, s.call(releaseBody).ResultCode)
}

type nonces func() (bool, error)

func (f nonces) Use(context.Context, string, time.Time) (bool, error) { return f() }

func TestHandler_NonceStoreThatFailsIsOurFault(t *testing.T) {
	t.Parallel()
	s := setup(t, untouched{t}, func(c *provider.Config) {
		c.Nonces = nonces(func() (bool, error) { return false, errors.New("store is down") })
	})
	assert.Equal(t, providerapi.ResultInternalError, s.call(releaseBody).ResultCode)
	assert.Contains(t, lastLine(s), "store is down")
}

func TestHandler_QueryAnswers(t *testing.T) {
	t.Parallel()
	var infos []provider.InstanceInfo
	s := setup(t, &app{query: func(context.Context, provider.QueryInstance) ([]provider.InstanceInfo, error) { return infos, nil }})
	two := `{"activity":"queryInstance","instanceId":"i-1,i-2"}`

	infos = []provider.InstanceInfo{{InstanceID: "i-2"}}
	ans := s.call(two)
	assert.Equal(t, providerapi.ResultSuccess, ans.ResultCode)
	require.Len(t, ans.Info, 1, "fewer than asked for is answered as it is")
	assert.NotContains(t, ans.raw, "appInfo", "an empty appInfo is left out")

	infos = append(infos, provider.InstanceInfo{InstanceID: "i-3", AppInfo: provider.AppInfo{FrontEndURL: "https://x", Password: password}})
	ans = s.call(two)
	require.Len(t, ans.Info, 1, "what was not asked for is not told")
	assert.NotContains(t, ans.raw, password)
	assert.Contains(t, lastLine(s), "not asked for")

	for _, infos = range [][]provider.InstanceInfo{nil, {}, {{InstanceID: "i-3"}}} {
		ans = s.call(two)
		assert.Equal(t, providerapi.ResultInstanceNotFound, ans.ResultCode, "nothing of what was asked for")
		assert.Empty(t, ans.Info)
	}

	for problem, info := range map[string]provider.InstanceInfo{
		"appInfo.frontEndUrl is empty": {AppInfo: provider.AppInfo{Password: password}},
		"appInfo.frontEndUrl is 513":   {AppInfo: provider.AppInfo{FrontEndURL: strings.Repeat("x", 513)}},
		"appInfo.password is 129":      {AppInfo: provider.AppInfo{FrontEndURL: "x", Password: strings.Repeat("x", 129)}},
		"usageInfo[0].statisticalTime": {UsageInfo: []provider.UsageInfo{{UsageValue: "1", StatisticalTime: "2023"}}},
		"usageInfo[0].usageValue":      {UsageInfo: []provider.UsageInfo{{UsageValue: "-1", StatisticalTime: "20230403074746"}}},
		"usageInfo[1].usageValue": {UsageInfo: []provider.UsageInfo{
			{UsageValue: "1.2345", StatisticalTime: "20230403074746618"}, {StatisticalTime: "20230403074746618"},
		}},
		"usageInfo[0].dashboardUrl":      {UsageInfo: []provider.UsageInfo{{UsageValue: "1", StatisticalTime: "20230403074746", DashboardURL: strings.Repeat("x", 513)}}},
		"usageInfo[0].relatedInstanceId": {UsageInfo: []provider.UsageInfo{{UsageValue: "1", StatisticalTime: "20230403074746", RelatedInstanceID: strings.Repeat("x", 65)}}},
	} {
		info.InstanceID = "i-1"
		infos = []provider.InstanceInfo{info}
		assert.Equal(t, providerapi.ResultInternalError, s.call(two).ResultCode, problem)
		assert.Contains(t, lastLine(s), problem)
	}
}

// TestHandler_SortedCompactFallback sends the body of a vector that differs from the form that was signed.
func TestHandler_SortedCompactFallback(t *testing.T) {
	t.Parallel()
	data, err := vectors.FS.ReadFile("v2.json")
	require.NoError(t, err)
	var all []struct{ Name, Key, Timestamp, Nonce, Body, SignedBody, Signature string }
	require.NoError(t, json.Unmarshal(data, &all))
	seen := 0
	for _, v := range all {
		if v.Name != "base-wire-body-unsorted" {
			continue
		}
		seen++
		s := setup(t, &app{}, func(c *provider.Config) { c.BaseKeys = []string{v.Key} })
		p := signature.Params{Signature: v.Signature, Timestamp: v.Timestamp, Nonce: v.Nonce}
		assert.Equal(t, providerapi.ResultSuccess, s.send(http.MethodPost, p.Query(), v.Body).ResultCode)
	}
	assert.Equal(t, 1, seen)
}

func TestHandler_ApplicationsContextEnds(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	s := setup(t, &app{
		newInstance: func(ctx context.Context, _ provider.NewInstance) (provider.Instance, error) {
			return provider.Instance{}, wait(ctx)
		},
		release: func(ctx context.Context, _ provider.ReleaseInstance) error { return wait(ctx) },
	}, func(c *provider.Config) { c.Timeout = time.Millisecond })
	assert.Equal(t, providerapi.ResultInternalError, s.call(releaseBody).ResultCode)
	assert.Equal(t, providerapi.ResultInternalError, s.call(newInstanceBody("CS1", "b")).ResultCode)
}

func TestNewHandler_ChecksItsConfig(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]provider.Config{
		"BaseKeys is empty":                  {},
		"Keys[0] is empty":                   {BaseKeys: []string{""}},
		"GeneralKeys[1] is also in BaseKeys": {BaseKeys: []string{baseKey}, GeneralKeys: []string{"g", baseKey}},
		"GeneralKeys: ":                      {BaseKeys: []string{baseKey}, GeneralKeys: []string{""}},
		"MaxBody is -1":                      {BaseKeys: []string{baseKey}, MaxBody: -1},
		"Timeout -1s":                        {BaseKeys: []string{baseKey}, Timeout: -time.Second},
		"Leeway is -1s":                      {BaseKeys: []string{baseKey}, Leeway: -time.Second},
	} {
		_, err := provider.NewHandler(&app{}, cfg)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), baseKey)
	}
	_, err := provider.NewHandler(nil, provider.Config{BaseKeys: []string{baseKey}})
	require.Error(t, err)
}

func TestConfig_IsNotPrinted(t *testing.T) {
	t.Parallel()
	cfg := provider.Config{BaseKeys: []string{baseKey}, GeneralKeys: []string{generalKey}}
	s := setup(t, &app{})
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{cfg, &cfg, s.handler} {
			text := fmt.Sprintf(format, v)
			assert.NotContains(t, text, baseKey)
			assert.NotContains(t, text, generalKey)
		}
	}
}
