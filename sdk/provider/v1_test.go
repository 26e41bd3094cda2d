package provider_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/vectors"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
	"github.com/isvkit/isvkit/sdk/signature"
)

const v1Key = "demo-v1-key-0001"

func withV1(cfg *provider.Config) { cfg.V1.Keys = []string{v1Key} }

func v1Signer(t testing.TB, key string) *signature.V1 {
	t.Helper()
	v, err := signature.NewV1(signature.V1Config{Keys: []string{key}})
	require.NoError(t, err)
	return v
}

func v1Fields(t testing.TB, size secret.FieldSize) *secret.Fields {
	t.Helper()
	f, err := secret.NewFields(v1Key, size)
	require.NoError(t, err)
	return f
}

// v1Answer is what came back by V1.
type v1Answer struct {
	ResultCode  providerapi.ResultCode     `json:"resultCode"`
	ResultMsg   string                     `json:"resultMsg"`
	EncryptType string                     `json:"encryptType"`
	InstanceID  string                     `json:"instanceId"`
	AppInfo     provider.AppInfo           `json:"appInfo"`
	Info        []providerapi.InstanceInfo `json:"info"`
	raw         string
}

// v1Params are the parameters of a base call, with a time.
func v1Params(pairs ...string) url.Values {
	q := url.Values{"timeStamp": {"20230403074746618"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

// get signs a base call of V1 and sends it.
func (s *side) get(pairs ...string) v1Answer {
	s.t.Helper()
	q := v1Params(pairs...)
	token, err := v1Signer(s.t, v1Key).SignQuery(q)
	require.NoError(s.t, err)
	q.Set("authToken", token)
	return s.v1Send(httptest.NewRequest(http.MethodGet, "/saasproduce?"+q.Encode(), nil), q.Get("activity"), v1Key)
}

// postV1 signs a kit call of V1 and sends it.
func (s *side) postV1(name, body string) v1Answer {
	s.t.Helper()
	token, err := v1Signer(s.t, v1Key).SignBody([]byte(body))
	require.NoError(s.t, err)
	req := httptest.NewRequest(http.MethodPost, "/saasproduce/produceAPI/"+name, strings.NewReader(body))
	req.Header.Set("authToken", token)
	return s.v1Send(req, name, v1Key)
}

// v1Send holds every answer against the contract and its Body-Sign.
func (s *side) v1Send(req *http.Request, name, key string) v1Answer {
	s.t.Helper()
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return v1Judge(s.t, rec, name, key, s.log)
}

func v1Judge(t testing.TB, rec *httptest.ResponseRecorder, name, key string, log *lines) (a v1Answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, "application/json;charset=utf-8", rec.Header().Get("Content-Type"))
	body := rec.Body.Bytes()
	require.NoError(t, signature.VerifyBodySign([]string{key}, rec.Header().Get("Body-Sign"), body), "%s", body)
	if _, known := providerapi.LookupV1(name); !known {
		name = "releaseInstance"
	}
	schema, err := contract.ProviderV1().Answer(name)
	require.NoError(t, err)
	require.Empty(t, schema.Violations(body), "%s", body)
	require.NoError(t, json.Unmarshal(body, &a))
	require.NotEmpty(t, a.ResultMsg)
	for _, b := range body {
		require.Less(t, b, byte(0x80), "%s", body)
	}
	a.raw = string(body)
	if log != nil {
		for _, secret := range []string{v1Key, password, "13800000000"} {
			assert.NotContains(t, log.String(), secret)
		}
	}
	return a
}

func TestV1_NewInstance(t *testing.T) {
	t.Parallel()
	for _, size := range []secret.FieldSize{0, secret.AES128, secret.AES256} {
		var order *marketplaceapi.OrderInfo
		var asked provider.NewInstance
		a := &app{}
		calls := 0
		a.newInstance = func(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
			calls++
			asked = call
			var err error
			order, err = call.Order(ctx)
			if err != nil {
				return provider.Instance{}, err
			}
			_, err = call.OrderLine(ctx)
			return provider.Instance{}, err
		}
		a.query = func(_ context.Context, call provider.QueryInstance) ([]provider.InstanceInfo, error) {
			return []provider.InstanceInfo{{InstanceID: call.InstanceID, AppInfo: provider.AppInfo{
				FrontEndURL: "https://app.example.com", UserName: "admin", Password: password, Memo: "飞蝶 𝄞",
			}}}, nil
		}
		s := setup(t, a, withV1, func(c *provider.Config) { c.V1.FieldSize, c.Market = size, untouched{t} })
		crypt := v1Fields(t, cmp.Or(size, secret.AES256))
		phone, err := crypt.Encrypt("13800000000")
		require.NoError(t, err)
		extend := base64.StdEncoding.EncodeToString([]byte(`[{"name":"域","value":"a+b"},{"name":"platformParams","value":{"userId":"u"}}]`))
		pairs := []string{
			"activity", "newInstance", "businessId", "b-1", "orderId", "CS1", "customerId", "c-1", "customerName", "飞蝶 测试", "productId", "P1", "skuCode", "S1",
			"chargingMode", "1", "periodType", "year", "periodNumber", "2", "amount", "50", "expireTime", "20250102030405", "orderAmount", "100.000",
			"mobilePhone", phone, "saasExtendParams", extend, "trialFlag", "0",
		}
		if size == secret.AES128 { // still URL-encoded, as it was before the query was
			pairs[slices.Index(pairs, extend)] = url.QueryEscape(extend)
		}
		ans := s.get(pairs...)
		require.Equal(t, providerapi.ResultSuccess, ans.ResultCode, lastLine(s))
		require.Equal(t, asked.SuggestedID(), ans.InstanceID)
		require.Equal(t, provider.OrderLineKey{OrderID: "CS1"}, provider.OrderLineKey{OrderID: asked.OrderID, OrderLineID: asked.OrderLineID})
		require.Equal(t, map[secret.FieldSize]string{0: "1", secret.AES256: "1", secret.AES128: "2"}[size], ans.EncryptType)
		for cipherText, want := range map[string]string{ans.AppInfo.UserName: "admin", ans.AppInfo.Password: password} {
			got, err := crypt.Decrypt(cipherText)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		require.Equal(t, "飞蝶 𝄞", ans.AppInfo.Memo)
		require.Equal(t, &marketplaceapi.OrderInfo{
			OrderID: "CS1", OrderType: marketplaceapi.OrderNew,
			BuyerInfo: marketplaceapi.BuyerInfo{CustomerID: "c-1", CustomerName: "飞蝶 测试", MobilePhone: "13800000000"},
			OrderLine: []marketplaceapi.OrderLine{{
				ChargingMode: marketplaceapi.ChargingPeriod, ExpireTime: "20250102030405", PeriodType: marketplaceapi.PeriodYear, PeriodNumber: 2,
				CurrencyAfterDiscount: "100.000", ProductInfo: []marketplaceapi.ProductInfo{{ProductID: "P1", SKUCode: "S1", LinearValue: 50}},
				ExtendParams: []marketplaceapi.ExtendParam{{Name: "域", Value: "a+b"}, {Name: "platformParams", Value: `{"userId":"u"}`}},
			}},
		}, order)
		again := s.get(pairs...)
		require.Equal(t, ans.InstanceID, again.InstanceID)
		require.Equal(t, 1, calls)
	}
}

func TestV1_OnDemandOrdersHaveAnInstanceForEachProduct(t *testing.T) {
	t.Parallel()
	s := setup(t, &app{}, withV1)
	ids := map[string]bool{}
	for range 2 {
		for _, product := range []string{"P1", "P2"} {
			ids[s.get("activity", "newInstance", "businessId", "b", "orderId", "CS1", "customerId", "c", "productId", product, "chargingMode", "0").InstanceID] = true
		}
	}
	require.Len(t, ids, 2)
	require.Equal(t, s.get("activity", "newInstance", "businessId", "b", "orderId", "CS2", "customerId", "c", "productId", "P1", "chargingMode", "3").InstanceID,
		s.get("activity", "newInstance", "businessId", "b", "orderId", "CS2", "customerId", "c", "productId", "P2", "chargingMode", "3").InstanceID)
}

func TestV1_CallsBecomeThoseOfV2(t *testing.T) {
	t.Parallel()
	var last any
	a := &fullApp{}
	var orderType marketplaceapi.OrderType
	a.refresh = func(ctx context.Context, c provider.RefreshInstance) error {
		order, err := c.Order(ctx)
		orderType, last = order.OrderType, c.RefreshInstanceCall
		return err
	}
	a.status = func(_ context.Context, c provider.UpdateInstanceStatus) error { last = c.Status; return nil }
	a.release = func(_ context.Context, c provider.ReleaseInstance) error { last = c.ReleaseInstanceCall; return nil }
	a.upgrade = func(ctx context.Context, c provider.UpgradeInstance) error {
		line, err := c.OrderLine(ctx)
		if err == nil {
			last = line.ProductInfo[0]
		}
		return err
	}
	s := setup(t, a, withV1)
	refresh := func(scene providerapi.Scene) providerapi.RefreshInstanceCall {
		return providerapi.RefreshInstanceCall{Activity: "refreshInstance", Scene: scene, InstanceID: "i-1", OrderID: "CS2", ExpireTime: "20250102030405", ProductID: "P2"}
	}
	renewal := []string{"activity", "refreshInstance", "instanceId", "i-1", "orderId", "CS2", "expireTime", "20250102030405", "productId", "P2"}
	for _, tt := range []struct {
		pairs []string
		want  any
	}{
		{append(renewal, "orderAmount", "10"), refresh(providerapi.SceneRenewal)},
		{append(renewal, "orderAmount", "-0.00"), refresh(providerapi.SceneRenewal)},
		{append(renewal, "orderAmount", "-10.5"), refresh(providerapi.SceneUnsubscribeRenewalPeriod)},
		{append(renewal, "trialToFormal", "1"), refresh(providerapi.SceneTrialToFormal)},
		{[]string{"activity", "expireInstance", "instanceId", "i-1", "orderId", "CS1"}, providerapi.StatusFreeze},
		{[]string{"activity", "instanceStatus", "instanceId", "i-1", "instanceStatus", "FREEZE"}, providerapi.StatusFreeze},
		{[]string{"activity", "instanceStatus", "instanceId", "i-1", "instanceStatus", "NORMAL", "testFlag", "0"}, providerapi.StatusUnfreeze},
		{[]string{"activity", "releaseInstance", "instanceId", "i-1", "orderId", "CS1"}, providerapi.ReleaseInstanceCall{Activity: "releaseInstance", InstanceID: "i-1"}},
		{[]string{"activity", "upgrade", "instanceId", "i-1", "orderId", "CS3", "skuCode", "S", "productId", "P", "bandWidth", "7"}, marketplaceapi.ProductInfo{ProductID: "P", SKUCode: "S", LinearValue: 7}},
	} {
		last = nil
		require.Equal(t, providerapi.ResultSuccess, s.get(tt.pairs...).ResultCode, "%v: %s", tt.pairs, lastLine(s))
		require.Equal(t, tt.want, last)
		last = nil
		if tt.pairs[len(tt.pairs)-2] != "testFlag" {
			require.Equal(t, providerapi.ResultSuccess, s.get(append(tt.pairs, "testFlag", "1")...).ResultCode)
			require.Nil(t, last, "a debug call")
		}
	}
	require.Equal(t, marketplaceapi.OrderTrialToFormal, orderType)
	require.Contains(t, s.log.String(), `"v1Activity":"expireInstance"`)
	require.Equal(t, providerapi.ResultInvalidParameter, setup(t, &app{}, withV1).get("activity", "upgrade", "instanceId", "i-1", "orderId", "CS3", "skuCode", "S", "productId", "P").ResultCode)
}

func TestV1_QueryInstance(t *testing.T) {
	t.Parallel()
	a := &app{}
	a.query = func(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, err error) {
		for _, id := range call.InstanceIDs() {
			infos = append(infos, provider.InstanceInfo{
				InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://a", Password: password},
				UsageInfo: []provider.UsageInfo{{UsageValue: "1.5", StatisticalTime: "20221124023618256"}},
			})
		}
		return infos, nil
	}
	s := setup(t, a, withV1)
	for _, debug := range []string{"0", "1"} {
		ans := s.get("activity", "queryInstance", "instanceId", "i-1,i-2", "testFlag", debug)
		require.Equal(t, providerapi.ResultSuccess, ans.ResultCode)
		require.Len(t, ans.Info, 2)
		require.Equal(t, "i-2", ans.Info[1].InstanceID)
		if debug == "0" {
			got, err := v1Fields(t, secret.AES256).Decrypt(ans.Info[1].AppInfo.Password)
			require.NoError(t, err)
			require.Equal(t, password, got)
			require.Equal(t, "1", ans.EncryptType)
		}
	}
	a.query = func(context.Context, provider.QueryInstance) ([]provider.InstanceInfo, error) { return nil, nil }
	require.Equal(t, providerapi.ResultInstanceNotFound, s.get("activity", "queryInstance", "instanceId", "i-1").ResultCode)
}

func TestV1_AccessInformationOfNewInstance(t *testing.T) {
	t.Parallel()
	a := &app{}
	s := setup(t, a, withV1, func(c *provider.Config) {
		c.DebugInfo = func(string) provider.InstanceInfo {
			return provider.InstanceInfo{AppInfo: provider.AppInfo{FrontEndURL: "https://debug", UserName: "u"}}
		}
	})
	buy := func(more ...string) v1Answer {
		return s.get(append([]string{"activity", "newInstance", "businessId", "b", "orderId", "CS1", "customerId", "c", "productId", "P1"}, more...)...)
	}
	for _, tt := range []struct {
		infos []provider.InstanceInfo
		err   error
		want  providerapi.ResultCode
	}{
		{nil, provider.ErrInProgress, "000004"},
		{nil, errors.New("x"), "000005"},
		{nil, provider.ErrInvalidParameter, "000005"},
		{[]provider.InstanceInfo{{AppInfo: provider.AppInfo{FrontEndURL: "https://a", UserName: strings.Repeat("u", 80)}}}, nil, "000005"},
		{[]provider.InstanceInfo{{AppInfo: provider.AppInfo{UserName: "u"}}}, nil, "000005"},
		{nil, provider.ErrInstanceNotFound, "000000"},
		{nil, nil, "000000"},
		{[]provider.InstanceInfo{{}}, nil, "000000"},
		{[]provider.InstanceInfo{{AppInfo: provider.AppInfo{FrontEndURL: "https://a", UserName: strings.Repeat("u", 79)}}}, nil, "000000"},
	} {
		a.query = func(_ context.Context, call provider.QueryInstance) ([]provider.InstanceInfo, error) {
			for i := range tt.infos {
				tt.infos[i].InstanceID = call.InstanceID
			}
			return tt.infos, tt.err
		}
		ans := buy()
		require.Equal(t, tt.want, ans.ResultCode, lastLine(s))
		if tt.want == "000000" || tt.want == "000004" {
			require.NotEmpty(t, ans.InstanceID)
		}
	}
	debug := buy("testFlag", "1")
	require.Equal(t, "https://debug", debug.AppInfo.FrontEndURL)
	got, err := v1Fields(t, secret.AES256).Decrypt(debug.AppInfo.UserName)
	require.NoError(t, err)
	require.Equal(t, "u", got)
}

func TestV1_RefusesWhatIsNotRight(t *testing.T) {
	t.Parallel()
	s := setup(t, untouched{t}, withV1, func(c *provider.Config) { c.V1.Keys = []string{"new-v1-key-0002", v1Key}; c.Explain = true })
	release := []string{"activity", "releaseInstance", "instanceId", "i-1", "orderId", "CS1"}
	send := func(change func(url.Values)) v1Answer {
		q := v1Params(release...)
		token, err := v1Signer(t, v1Key).SignQuery(q)
		require.NoError(t, err)
		q.Set("authToken", token)
		change(q)
		return s.v1Send(httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil), "releaseInstance", "new-v1-key-0002")
	}
	for name, tt := range map[string]struct {
		change func(url.Values)
		want   providerapi.ResultCode
	}{
		"no token":     {func(q url.Values) { q.Del("authToken") }, "000001"},
		"wrong token":  {func(q url.Values) { q.Set("authToken", "Gzbfjf9LHRBcI3bFVi++sLinCNOBF6qa7is1fvjEgYQ=") }, "000001"},
		"changed":      {func(q url.Values) { q.Set("instanceId", "i-2") }, "000001"},
		"one more":     {func(q url.Values) { q.Set("testFlag", "1") }, "000001"},
		"no timeStamp": {func(q url.Values) { q.Del("timeStamp") }, "000002"},
		"nothing":      {func(q url.Values) { clear(q) }, "000001"},
	} {
		require.Equal(t, tt.want, send(tt.change).ResultCode, name)
	}
	for want, pairs := range map[string][]string{
		"instanceId has a comma or a control":     {"activity", "queryInstance", "instanceId", "i\x15"},
		"the value of orderId is not UTF-8":       {"activity", "expireInstance", "instanceId", "i", "orderId", "\xff"},
		"productId is missing":                    {"activity", "newInstance", "businessId", "b", "orderId", "o", "customerId", "c", "chargingMode", "0"},
		"activity is missing":                     {"instanceId", "i"},
		"activity is not one of the contract":     {"activity", "tenantSync"},
		"instanceId is missing":                   {"activity", "releaseInstance", "orderId", "CS1"},
		"orderId is 65":                           {"activity", "releaseInstance", "instanceId", "i", "orderId", strings.Repeat("x", 65)},
		"instanceStatus must be one of":           {"activity", "instanceStatus", "instanceId", "i", "instanceStatus", "UNFREEZE"},
		"amount must match":                       {"activity", "upgrade", "instanceId", "i", "orderId", "o", "skuCode", "s", "productId", "p", "amount", "many"},
		"expireTime is no date":                   {"activity", "refreshInstance", "instanceId", "i", "orderId", "o", "expireTime", "20251332000000"},
		"mobilePhone cannot be decrypted":         {"activity", "newInstance", "businessId", "b", "orderId", "o", "customerId", "c", "productId", "p", "mobilePhone", "AbCd0123EfGh4567GGHJQOk4FFa/4HlplYKtjQ=="},
		"saasExtendParams is no Base64 of a JSON": {"activity", "newInstance", "businessId", "b", "orderId", "o", "customerId", "c", "productId", "p", "saasExtendParams", "e30="},
		"saasExtendParams is no Base64 of":        {"activity", "upgrade", "instanceId", "i", "orderId", "o", "skuCode", "s", "productId", "p", "saasExtendParams", "%"},
	} {
		ans := s.get(pairs...)
		require.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode, want)
		require.Contains(t, ans.ResultMsg, want)
	}
	off := setup(t, untouched{t})
	rec := httptest.NewRecorder()
	off.handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/?activity=releaseInstance", nil))
	require.Contains(t, rec.Body.String(), "expected the method POST", "V1 is off")
	require.Empty(t, rec.Header().Get("Body-Sign"))
}

// TestV1_ToleratesPlusSignsThatWereNotEscaped sends the query with raw "+", which arrive as blanks.
func TestV1_ToleratesPlusSignsThatWereNotEscaped(t *testing.T) {
	t.Parallel()
	var phone string
	a := &app{newInstance: func(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
		order, err := call.Order(ctx)
		if err == nil {
			phone = order.BuyerInfo.MobilePhone
		}
		return provider.Instance{}, err
	}}
	s := setup(t, a, withV1)
	seen := 0
	for i := range 60 {
		cipherText, err := v1Fields(t, secret.AES256).Encrypt(fmt.Sprintf("13%09d", i))
		require.NoError(t, err)
		q := v1Params("activity", "newInstance", "businessId", "b", "orderId", fmt.Sprint("CS", i), "customerId", "c", "productId", "P1", "mobilePhone", cipherText)
		token, err := v1Signer(t, v1Key).SignQuery(q)
		require.NoError(t, err)
		q.Set("authToken", token)
		raw := strings.ReplaceAll(q.Encode(), "%2B", "+")
		if strings.Contains(cipherText+token, "+") {
			seen++
		}
		ans := s.v1Send(httptest.NewRequest(http.MethodGet, "/?"+raw, nil), "newInstance", v1Key)
		require.Equal(t, providerapi.ResultSuccess, ans.ResultCode, lastLine(s))
		require.Equal(t, fmt.Sprintf("13%09d", i), phone)
	}
	require.Positive(t, seen)
}

func v1KitBodies(t testing.TB) map[string]string {
	t.Helper()
	quoted := func(list string) string { b, _ := json.Marshal(list); return string(b) }
	bodies := kitBodies(t)
	bodies["authSync"] = strings.Replace(bodies["authSync"], v2Users, quoted(v1Users), 1)
	bodies["singleOrgSync"] = strings.Replace(bodies["singleOrgSync"], `"flag":2`, `"flag":1`, 1)
	bodies["allOrgSync"] = `{"instanceId":"i-1","orgInfo":` + quoted(`[{"orgCode":"o-1","name":"Sales"},{"orgCode":"o-2","name":"East","parentCode":"o-1"}]`) + `,"tenantId":"t-1"` + kitEnd
	return bodies
}

func TestV1_KitCalls(t *testing.T) {
	t.Parallel()
	a := &kitApp{}
	s := setup(t, a, withV1, withKit)
	for name, body := range v1KitBodies(t) {
		a.last = nil
		ans := s.postV1(name, body)
		require.Equal(t, providerapi.ResultSuccess, ans.ResultCode, "%s: %s", name, lastLine(s))
		switch call := a.last.(type) {
		case provider.TenantSync:
			assert.Equal(t, "https://t.example.com", call.DomainName)
		case provider.ApplicationSync:
			assert.Equal(t, clientSecret, call.Secret)
		case provider.AuthSync:
			assert.Equal(t, wantUsers, call.Users)
		case provider.SingleOrgSync:
			assert.Equal(t, provider.Department{OrgCode: "o-1", OrgName: "Sales"}, call.Department())
		case provider.AllOrgSync:
			assert.Equal(t, []provider.Department{{OrgCode: "o-1", OrgName: "Sales"}, {OrgCode: "o-2", OrgName: "East", ParentCode: "o-1"}}, call.Departments)
		default:
			t.Errorf("%s: got %T", name, a.last)
		}
		n := a.n
		require.Equal(t, providerapi.ResultSuccess, s.postV1(name, strings.Replace(body, `"testFlag":0`, `"testFlag":1`, 1)).ResultCode)
		require.Equal(t, n, a.n, "a debug call")
		require.Equal(t, providerapi.ResultInvalidParameter, s.postV1(name, strings.Replace(body, `"tenantId":"t-1"`, `"tenantId":""`, 1)).ResultCode)
		require.Equal(t, providerapi.ResultInvalidParameter, s.postV1(name, strings.TrimSuffix(body, "}")+`,"x":1,"x":1}`).ResultCode)
	}
	// Values that arrive URL-encoded are what the decoded ones are.
	users := v1KitBodies(t)["authSync"]
	quoted, _ := json.Marshal(v1Users)
	escaped := strings.Replace(users, string(quoted), `"`+url.QueryEscape(v1Users)+`"`, 1)
	token, err := v1Signer(t, v1Key).SignBody([]byte(users))
	require.NoError(t, err)
	for _, by := range []string{users, escaped} {
		if by == escaped {
			token, err = v1Signer(t, v1Key).SignBody([]byte(escaped))
			require.NoError(t, err)
		}
		req := httptest.NewRequest(http.MethodPost, "/produceAPI/authSync", strings.NewReader(escaped))
		req.Header.Set("authToken", token)
		a.last = nil
		require.Equal(t, providerapi.ResultSuccess, s.v1Send(req, "authSync", v1Key).ResultCode, lastLine(s))
		require.Equal(t, wantUsers, a.last.(provider.AuthSync).Users)
	}
	req := httptest.NewRequest(http.MethodPost, "/produceAPI/authSync", strings.NewReader(users))
	require.Equal(t, providerapi.ResultAuthenticationFailed, s.v1Send(req, "authSync", v1Key).ResultCode)
}

func TestVerify_Middleware(t *testing.T) {
	t.Parallel()
	log := new(lines)
	cfg := provider.Config{BaseKeys: []string{baseKey}, KitKeys: []string{kitKey}, V1: provider.V1Config{Keys: []string{v1Key}}, Now: clock, Logger: jsonLogger(log)}
	middleware, err := provider.Verify(cfg)
	require.NoError(t, err)
	var got provider.Verified
	passed := 0
	h := middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed++
		var ok bool
		got, ok = provider.VerifiedFrom(r.Context())
		assert.True(t, ok)
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, string(got.Body), string(body))
		assert.EqualValues(t, len(body), max(r.ContentLength, 0))
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, `{"resultCode":"000000",`)
		_, _ = io.WriteString(w, `"resultMsg":"mine","instanceId":"i-1"}`)
	}))
	send := func(req *http.Request) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec
	}
	params, err := signer(t, baseKey).Sign([]byte(debugBody(releaseBody)))
	require.NoError(t, err)
	signed := func() *http.Request {
		return httptest.NewRequest(http.MethodPost, "/?"+params.Query().Encode(), strings.NewReader(debugBody(releaseBody)))
	}
	rec := send(signed())
	require.JSONEq(t, `{"resultCode":"000000","resultMsg":"mine","instanceId":"i-1"}`, rec.Body.String())
	require.Empty(t, rec.Header().Get("Body-Sign"))
	require.Equal(t, provider.Verified{Name: "releaseInstance", Class: providerapi.ClassBase, Debug: true, Body: []byte(debugBody(releaseBody))}, got)
	require.Contains(t, send(signed()).Body.String(), "000001", "a replay")
	require.Contains(t, log.String(), "replayed")

	q := v1Params("activity", "newInstance", "businessId", "b", "orderId", "CS1", "customerId", "c", "productId", "P1")
	token, err := v1Signer(t, v1Key).SignQuery(q)
	require.NoError(t, err)
	q.Set("authToken", token)
	ans := v1Judge(t, send(httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil)), "newInstance", v1Key, log)
	require.Equal(t, "mine", ans.ResultMsg)
	require.True(t, got.V1)
	require.Equal(t, "P1", got.Values["productId"])
	require.Equal(t, 2, passed)

	_, err = provider.Verify(provider.Config{})
	require.ErrorContains(t, err, "BaseKeys")
	_, ok := provider.VerifiedFrom(t.Context())
	require.False(t, ok)
}

// TestV1_PublishedVectors serves the calls of the vectors' file, the vendor's own among them.
func TestV1_PublishedVectors(t *testing.T) {
	t.Parallel()
	text, err := vectors.FS.ReadFile("v1.json")
	require.NoError(t, err)
	var file struct {
		AuthToken []struct {
			Name, Transport, Key, AuthToken string
			Params                          map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(text, &file))
	served := 0
	for _, v := range file.AuthToken {
		if v.Transport != "GET query" {
			continue
		}
		q := url.Values{"authToken": {v.AuthToken}}
		for name, value := range v.Params {
			q.Set(name, fmt.Sprint(value))
		}
		s := setup(t, &fullApp{}, func(c *provider.Config) { c.V1.Keys = []string{v.Key} })
		ans := s.v1Send(httptest.NewRequest(http.MethodGet, "/produceAPI?"+q.Encode(), nil), q.Get("activity"), v.Key)
		require.NotEqual(t, providerapi.ResultAuthenticationFailed, ans.ResultCode, v.Name)
		require.NotEqual(t, providerapi.ResultInternalError, ans.ResultCode, v.Name)
		if v.Name == "published-newInstance" {
			require.Equal(t, providerapi.ResultSuccess, ans.ResultCode, lastLine(s))
			require.NotEmpty(t, ans.InstanceID)
		}
		served++
	}
	require.Greater(t, served, 2)
}
