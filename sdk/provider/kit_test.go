package provider_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	kitKey       = "demo-kit-key-0001"
	licenseKey   = "demo-license-key-0001"
	clientSecret = "client-secret-0001"
)

var oaep = sync.OnceValue(func() *secret.OAEP {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	o, err := secret.NewOAEP(secret.OAEPConfig{Key: key, InsecureAllowShortKey: true})
	if err != nil {
		panic(err)
	}
	return o
})

func withKit(cfg *provider.Config) { cfg.KitKeys, cfg.KitSecret = []string{kitKey}, oaep() }

// kitApp remembers the last kit call.
type kitApp struct {
	fullApp
	err  error
	last any
	n    int
}

func (a *kitApp) note(call any) error {
	a.last, a.n = call, a.n+1
	return a.err
}

func (a *kitApp) TenantSync(_ context.Context, c provider.TenantSync) error { return a.note(c) }
func (a *kitApp) ApplicationSync(_ context.Context, c provider.ApplicationSync) error {
	return a.note(c)
}
func (a *kitApp) AuthSync(_ context.Context, c provider.AuthSync) error { return a.note(c) }
func (a *kitApp) SingleOrgSync(_ context.Context, c provider.SingleOrgSync) error {
	return a.note(c)
}
func (a *kitApp) AllOrgSync(_ context.Context, c provider.AllOrgSync) error { return a.note(c) }

func kitSigner(t testing.TB, key string) *signature.Kit {
	t.Helper()
	k, err := signature.NewKit(signature.Config{Keys: []string{key}, Now: clock})
	require.NoError(t, err)
	return k
}

// kit signs body with the kit key and sends it to the sub-path of the call.
func (s *side) kit(name, body string) answer {
	return s.kitAt("/saas/produceAPI/v2/"+name, kitKey, body)
}

func (s *side) kitAt(path, key, body string) answer {
	s.t.Helper()
	params, err := kitSigner(s.t, key).Sign([]byte(body))
	require.NoError(s.t, err)
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	params.SetKitHeaders(req.Header)
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	for _, secret := range []string{kitKey, clientSecret, "13800000000"} {
		assert.NotContains(s.t, s.log.String(), secret)
	}
	return judge(s.t, body, rec.Code, rec.Header(), rec.Body.Bytes())
}

const kitEnd = `,"testFlag":0,"timeStamp":"20220413093539534"}`

func kitBodies(t testing.TB) map[string]string {
	t.Helper()
	cipherText, err := oaep().Encrypt(clientSecret, secret.DigestsJCE)
	require.NoError(t, err)
	return map[string]string{
		"tenantSync":      `{"domainName":"https://t.example.com","flag":1,"instanceId":"i-1","name":"T","orderId":"CS1","tenantCode":"tc","tenantId":"t-1"` + kitEnd,
		"applicationSync": `{"appId":"a-1","clientId":"c-1","clientSecret":"` + cipherText + `","flag":1,"instanceId":"","tenantId":"t-1"` + kitEnd,
		"authSync":        `{"appId":"a-1","currentSyncTime":"20220413093539534","flag":1,"instanceId":"i-1","tenantId":"t-1","userList":` + v2Users + kitEnd,
		"singleOrgSync":   `{"flag":2,"instanceId":"i-1","orgCode":"o-1","orgName":"Sales","parentCode":"","tenantId":"t-1"` + kitEnd,
		"allOrgSync":      `{"instanceId":"i-1","orgInfoList":[{"orgCode":"o-1","orgName":"Sales"},{"orgCode":"o-2","orgName":"East","parentCode":"o-1"}],"tenantId":"t-1"` + kitEnd,
	}
}

const (
	v2Users = `[{"userName":"z","name":"Z","orgCode":"o-1","role":"admin","enable":"true","employeeType":2,"workPlace":"W","entryDate":"2022-04-1","mobile":"13800000000"}]`
	v1Users = `[{"userName":"z","name":"Z","orgCode":"o-1","role":"admin","enable":"true","mobile":"13800000000","extension":{"employeeType":"2","workPlace":"W","entryDate":"2022-04-1"}}]`
)

var wantUsers = []provider.User{{
	UserName: "z", Name: "Z", OrgCode: "o-1", Role: providerapi.RoleAdmin, Enable: providerapi.EnableTrue,
	EmployeeType: providerapi.EmployeeIntern, WorkPlace: "W", EntryDate: "2022-04-1", Mobile: "13800000000",
}}

func TestKit_EveryCallReachesTheApplication(t *testing.T) {
	t.Parallel()
	a := &kitApp{}
	s := setup(t, a, withKit)
	for name, body := range kitBodies(t) {
		a.last = nil
		ans := s.kit(name, body)
		require.Equal(t, providerapi.ResultSuccess, ans.ResultCode, "%s: %s", name, lastLine(s))
		switch call := a.last.(type) {
		case provider.TenantSync:
			assert.Equal(t, providerapi.TenantSyncCall{
				DomainName: "https://t.example.com", Flag: providerapi.FlagAdd, InstanceID: "i-1", Name: "T", OrderID: "CS1",
				TenantCode: "tc", TenantID: "t-1", TimeStamp: "20220413093539534",
			}, call.TenantSyncCall)
		case provider.ApplicationSync:
			assert.Equal(t, clientSecret, call.Secret)
			assert.Equal(t, "c-1", call.ClientID)
			for _, text := range []string{fmt.Sprint(call), fmt.Sprintf("%+v %#v %s", call, call, &call), slog.AnyValue(call).Resolve().String()} {
				assert.NotContains(t, text, clientSecret)
			}
			text, err := json.Marshal(call)
			require.NoError(t, err)
			assert.NotContains(t, string(text), clientSecret)
		case provider.AuthSync:
			assert.Equal(t, wantUsers, call.Users)
			assert.Equal(t, providerapi.AuthFlagAdd, call.Flag)
			assert.Equal(t, "20220413093539534", call.CurrentSyncTime)
		case provider.SingleOrgSync:
			assert.Equal(t, provider.Department{OrgCode: "o-1", OrgName: "Sales"}, call.Department())
			assert.Equal(t, providerapi.FlagModify, call.Flag)
		case provider.AllOrgSync:
			assert.Equal(t, []provider.Department{{OrgCode: "o-1", OrgName: "Sales"}, {OrgCode: "o-2", OrgName: "East", ParentCode: "o-1"}}, call.Departments)
		default:
			t.Errorf("%s: got %T", name, a.last)
		}
	}
	require.Equal(t, 5, a.n)
	body := kitBodies(t)["tenantSync"]
	for _, path := range []string{"/produceAPI/v2/tenantSync", "produceAPI/v2/tenantSync", "/a/b/produceAPI/v2/tenantSync"} {
		if strings.HasPrefix(path, "/") {
			assert.Equal(t, providerapi.ResultSuccess, s.kitAt(path, kitKey, body).ResultCode, path)
		}
	}
	for _, path := range []string{"/produceAPI/v2/tenantsync", "/produceAPI/v2/x/tenantSync", "/xproduceAPI/v2/tenantSync", "/produceAPI/tenantSync", "/produceAPI/v2/otherSync", "/tenantSync"} {
		assert.Equal(t, providerapi.ResultAuthenticationFailed, s.kitAt(path, kitKey, body).ResultCode, path)
	}
}

func TestKit_Lists(t *testing.T) {
	t.Parallel()
	a := &kitApp{}
	s := setup(t, a, withKit)
	bodies := kitBodies(t)
	text := func(list string) string { b, _ := json.Marshal(list); return string(b) }
	users := func(list string) answer {
		return s.kit("authSync", strings.Replace(bodies["authSync"], v2Users, list, 1))
	}
	extensionAsText := strings.Replace(v1Users, `{"employeeType":"2","workPlace":"W","entryDate":"2022-04-1"}`, text(`{"employeeType":2,"workPlace":"W","entryDate":"2022-04-1"}`), 1)
	for _, list := range []string{v1Users, text(v1Users), text(v2Users), text(" " + v2Users), strings.Replace(v1Users, `{"employeeType`, `{"x":1,"employeeType`, 1), extensionAsText, strings.Replace(v2Users, `"true"`, "true", 1)} {
		ans := users(list)
		require.Equal(t, providerapi.ResultSuccess, ans.ResultCode, ans.ResultMsg)
		require.Equal(t, wantUsers, a.last.(provider.AuthSync).Users)
	}
	one := `{"userName":"z","name":"Z","orgCode":"o-1","role":"user","enable":"true"}`
	many := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]" }
	require.Equal(t, providerapi.ResultSuccess, users(many(500)).ResultCode)
	require.Len(t, a.last.(provider.AuthSync).Users, 500)
	require.Equal(t, providerapi.ResultSuccess, users("[]").ResultCode)
	n := a.n
	for _, list := range []string{
		many(501), text(many(501)), `{}`, `"x"`, `[1]`, `[null]`, `[{}]`, `"null"`, `[{"userName":""}]`,
		strings.Replace(many(1), `"user"`, `"root"`, 1), strings.Replace(many(1), `"true"`, `"yes"`, 1), strings.Replace(many(1), `"true"`, `{}`, 1),
		strings.Replace(many(1), `"z"`, `"`+strings.Repeat("z", 65)+`"`, 1), strings.Replace(v2Users, `:2`, `:5`, 1),
	} {
		ans := users(list)
		require.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode, "%.80s", list)
		require.Contains(t, ans.ResultMsg, "userList")
	}
	require.Equal(t, n, a.n, "none of these reached the Application")
	gone := strings.Replace(strings.Replace(bodies["authSync"], v2Users, `[{"userName":"z"}]`, 1), `"flag":1`, `"flag":0`, 1)
	require.Equal(t, providerapi.ResultSuccess, s.kit("authSync", gone).ResultCode, "one who is deleted needs a name and no more")

	departments := bodies["allOrgSync"]
	list := departments[strings.Index(departments, "[") : strings.Index(departments, "]")+1]
	for _, form := range []string{text(list), strings.ReplaceAll(list, "orgName", "name")} {
		require.Equal(t, providerapi.ResultSuccess, s.kit("allOrgSync", strings.Replace(departments, list, form, 1)).ResultCode)
		require.Equal(t, "East", a.last.(provider.AllOrgSync).Departments[1].OrgName)
	}
	for _, form := range []string{`[{}]`, `[{"orgCode":"` + strings.Repeat("o", 65) + `"}]`, `[{"orgCode":"o","orgName":"` + strings.Repeat("o", 129) + `"}]`, `"{}"`} {
		require.Equal(t, providerapi.ResultInvalidParameter, s.kit("allOrgSync", strings.Replace(departments, list, form, 1)).ResultCode)
	}
}

func TestKit_RefusesWhatIsNotSignedRight(t *testing.T) {
	t.Parallel()
	a := &kitApp{}
	s := setup(t, a, withKit)
	body := kitBodies(t)["applicationSync"]
	tampered := strings.Replace(body, `"clientSecret":"`, `"clientSecret":"x`, 1)
	send := func(s *side, body string, change func(http.Header)) answer {
		params, err := kitSigner(t, kitKey).Sign([]byte(kitBodies(t)["tenantSync"]))
		require.NoError(t, err)
		req := httptest.NewRequest(http.MethodPost, "/produceAPI/v2/tenantSync", strings.NewReader(body))
		params.SetKitHeaders(req.Header)
		change(req.Header)
		rec := httptest.NewRecorder()
		s.handler.ServeHTTP(rec, req)
		return judge(t, body, rec.Code, rec.Header(), rec.Body.Bytes())
	}
	tests := map[string]struct {
		body   string
		change func(http.Header)
		want   providerapi.ResultCode
	}{
		"no sign":          {kitBodies(t)["tenantSync"], func(h http.Header) { h.Del("x-sign") }, "000001"},
		"no timestamp":     {kitBodies(t)["tenantSync"], func(h http.Header) { h.Del("x-timestamp") }, "000002"},
		"no nonce":         {kitBodies(t)["tenantSync"], func(h http.Header) { h.Del("x-nonce") }, "000002"},
		"another body":     {tampered, func(http.Header) {}, "000001"},
		"not even JSON":    {"x", func(http.Header) {}, "000001"},
		"another nonce":    {kitBodies(t)["tenantSync"], func(h http.Header) { h.Set("x-nonce", "other") }, "000001"},
		"sign given twice": {kitBodies(t)["tenantSync"], func(h http.Header) { h.Add("x-sign", h.Get("x-sign")) }, "000001"},
	}
	for name, tt := range tests {
		require.Equal(t, tt.want, send(s, tt.body, tt.change).ResultCode, name)
	}
	require.Zero(t, a.n)
	require.Equal(t, providerapi.ResultAuthenticationFailed, s.kitAt("/produceAPI/v2/tenantSync", baseKey, kitBodies(t)["tenantSync"]).ResultCode)
	require.Equal(t, providerapi.ResultAuthenticationFailed, setup(t, a).kit("tenantSync", kitBodies(t)["tenantSync"]).ResultCode, "no kit keys")
	rotating := setup(t, a, func(c *provider.Config) { c.KitKeys = []string{"new-kit-key", kitKey} })
	require.Equal(t, providerapi.ResultSuccess, rotating.kit("tenantSync", kitBodies(t)["tenantSync"]).ResultCode)
	require.Equal(t, 1, a.n)
	require.Equal(t, providerapi.ResultInvalidParameter, s.kit("tenantSync", `{"flag":1}`).ResultCode)
	require.Equal(t, providerapi.ResultInvalidParameter, s.kit("tenantSync", `[]`).ResultCode)
}

func TestKit_DebugCallsTouchNothingAndStillDecrypt(t *testing.T) {
	t.Parallel()
	s := setup(t, struct {
		untouched
		provider.Kit
	}{untouched{t}, nil}, withKit)
	for name, body := range kitBodies(t) {
		body = strings.Replace(body, `"testFlag":0`, `"testFlag":1`, 1)
		require.Equal(t, providerapi.ResultSuccess, s.kit(name, body).ResultCode, name)
		if name == "applicationSync" {
			wrong := strings.Replace(body, `"clientSecret":"`, `"clientSecret":"AAAA`, 1)
			ans := s.kit(name, wrong)
			require.Equal(t, providerapi.ResultCode("000101"), ans.ResultCode)
			require.Equal(t, "the client secret cannot be decrypted", ans.ResultMsg)
		}
	}
	without := setup(t, &kitApp{}, func(c *provider.Config) { c.KitKeys = []string{kitKey} })
	require.Equal(t, providerapi.ResultCode("000101"), without.kit("applicationSync", kitBodies(t)["applicationSync"]).ResultCode)
	require.Contains(t, lastLine(without), "Config.KitSecret is nil")
}

func TestKit_WhatTheApplicationAnswers(t *testing.T) {
	t.Parallel()
	a := &kitApp{}
	s := setup(t, a, withKit)
	bodies := kitBodies(t)
	for _, tt := range []struct {
		err  error
		name string
		want providerapi.ResultCode
		msg  string
	}{
		{provider.ErrClientSecret, "applicationSync", "000101", "the client secret cannot be decrypted"},
		{provider.ErrMobileInUse, "applicationSync", "000101", "the client secret cannot be decrypted"},
		{provider.ErrClientSecret, "tenantSync", "000005", "internal error"},
		{provider.ErrSoldOut, "applicationSync", "000005", "internal error"},
		{provider.ErrLicense900, "tenantSync", "000005", "internal error"},
		{errors.New("x"), "authSync", "000005", "internal error"},
		{&provider.Error{Code: "000002", Message: "no such department"}, "singleOrgSync", "000002", "no such department"},
	} {
		a.err = tt.err
		ans := s.kit(tt.name, bodies[tt.name])
		require.Equal(t, tt.want, ans.ResultCode, tt.name)
		require.Equal(t, tt.msg, ans.ResultMsg)
	}
	plain := setup(t, &app{}, withKit)
	for name, body := range bodies {
		ans := plain.kit(name, body)
		require.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode)
		require.Contains(t, ans.ResultMsg, "not supported")
	}
}

// TestExplain has the log say which mistake a signature was made with, and the answer not.
func TestExplain(t *testing.T) {
	t.Parallel()
	for _, explain := range []bool{true, false} {
		s := setup(t, untouched{t}, withKit, withV1, withLicense, func(c *provider.Config) { c.Explain = explain })
		mistakes := map[string]func() string{
			"base by the kit key":     func() string { return s.signed(signer(t, kitKey), releaseBody).ResultMsg },
			"license by the base key": func() string { return s.signed(s.base, releaseLicenseBody).ResultMsg },
			"notify by the base key":  func() string { return s.signed(s.base, notifyBody).ResultMsg },
			"kit by the base key": func() string {
				return s.kitAt("/produceAPI/v2/tenantSync", baseKey, kitBodies(t)["tenantSync"]).ResultMsg
			},
			"V1 by the base key": func() string {
				q := v1Params("activity", "releaseInstance", "instanceId", "i", "orderId", "o")
				token, err := v1Signer(t, baseKey).SignQuery(q)
				require.NoError(t, err)
				q.Set("authToken", token)
				return s.v1Send(httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil), "releaseInstance", v1Key).ResultMsg
			},
		}
		for name, send := range mistakes {
			require.Equal(t, "authentication failed", send(), name)
			if explain {
				require.Contains(t, lastLine(s), "likely mistake", name)
			} else {
				require.NotContains(t, lastLine(s), "likely mistake", name)
			}
		}
		for _, key := range []string{baseKey, kitKey, v1Key, licenseKey, generalKey} {
			require.NotContains(t, s.log.String(), key)
		}
	}
}

func TestConfig_KeysOfEveryClass(t *testing.T) {
	t.Parallel()
	all := provider.Config{
		BaseKeys: []string{baseKey}, GeneralKeys: []string{generalKey}, KitKeys: []string{kitKey}, LicenseKeys: []string{licenseKey},
		V1: provider.V1Config{Keys: []string{v1Key}}, KitSecret: oaep(),
	}
	h, err := provider.NewHandler(&app{}, all)
	require.NoError(t, err)
	for _, v := range []any{all, &all, all.V1, h} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			text := fmt.Sprintf(verb, v)
			for _, key := range []string{baseKey, generalKey, kitKey, licenseKey, v1Key} {
				require.NotContains(t, text, key, "%s of %T", verb, v)
			}
		}
	}
	require.NotContains(t, slog.AnyValue(all.V1).Resolve().String(), v1Key)
	for name, change := range map[string]func(*provider.Config){
		"KitKeys[0] is also in BaseKeys":        func(c *provider.Config) { c.KitKeys = []string{baseKey} },
		"LicenseKeys[1] is also in GeneralKeys": func(c *provider.Config) { c.LicenseKeys = []string{"x", generalKey} },
		"Config.KitKeys":                        func(c *provider.Config) { c.KitKeys = []string{""} },
		"Config.LicenseKeys":                    func(c *provider.Config) { c.LicenseKeys = []string{""} },
		"Config.V1":                             func(c *provider.Config) { c.V1.Keys = []string{""} },
		"Config.V1: secret":                     func(c *provider.Config) { c.V1.FieldSize = 192 },
		"BaseKeys is empty":                     func(c *provider.Config) { c.BaseKeys, c.V1.Keys = nil, nil },
	} {
		cfg := all
		change(&cfg)
		_, err := provider.NewHandler(&app{}, cfg)
		require.ErrorContains(t, err, name)
	}
	onlyV1 := setup(t, &app{}, withV1, func(c *provider.Config) { c.BaseKeys = nil })
	require.Equal(t, providerapi.ResultSuccess, onlyV1.get("activity", "releaseInstance", "instanceId", "i", "orderId", "o").ResultCode)
	require.Equal(t, providerapi.ResultAuthenticationFailed, onlyV1.call(releaseBody).ResultCode)
}
