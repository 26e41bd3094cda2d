package sandbox_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/kitlogin"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
)

const testKitKey = "test-kit-key"

// isvPassword is an initial password that the ISV tells in an answer.
const isvPassword = "canary-initial-password"

// kitRSA is the ISV's key; making one takes a while.
var kitRSA = sync.OnceValue(func() *secret.OAEP {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		panic(err)
	}
	oaep, err := secret.NewOAEP(secret.OAEPConfig{Key: key})
	if err != nil {
		panic(err)
	}
	return oaep
})

// kitISV is an ISV of a kit product, made with the SDK: it keeps what it is told and logs users in.
type kitISV struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	told    []string // every kit call, in its order
	tenants map[string]kitlogin.Tenant
	secrets []string
	users   map[string]provider.User // by instance and user name
	refuse  map[string]error         // by call
	login   *kitlogin.Login
}

func newKitISV(t *testing.T) *kitISV {
	t.Helper()
	i := &kitISV{t: t, tenants: map[string]kitlogin.Tenant{}, users: map[string]provider.User{}, refuse: map[string]error{}}
	h, err := provider.NewHandler(i, provider.Config{
		BaseKeys: []string{testKeys.BaseKey}, KitKeys: []string{testKitKey}, KitSecret: kitRSA(), Logger: slog.New(slog.DiscardHandler),
		V1: provider.V1Config{Keys: []string{testKeys.BaseKey}},
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/saasproduce/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if _, name, ok := strings.Cut(r.URL.Path, "/produceAPI/"); ok {
			document, name := contract.ProviderV1(), name
			if v2, ok := strings.CutPrefix(name, "v2/"); ok {
				document, name = contract.Provider(), v2
			}
			schema, err := document.Call(name)
			if err != nil {
				t.Errorf("the sandbox's call: %v", err)
			} else if v := schema.Violations(body); len(v) > 0 {
				t.Errorf("%s is not as the contract says: %v", name, v)
			}
		}
		h.ServeHTTP(w, r)
	})
	mux.Handle("/saasproduce", h)
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { i.login.LoginHandler().ServeHTTP(w, r) })
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		i.login.CallbackHandler(func(w http.ResponseWriter, _ *http.Request, user kitlogin.User, token kitlogin.Token) {
			again, err := i.login.Refresh(r.Context(), token.TenantID, token.RefreshToken)
			if err == nil {
				_, err = i.login.UserInfo(r.Context(), again)
			}
			_, _ = fmt.Fprintf(w, "%s %s %s %v", user.UserName, user.Role, user.OrganizationCode, err)
		}).ServeHTTP(w, r)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *kitISV) note(call, instanceID, format string, args ...any) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.told = append(i.told, strings.TrimSpace(call+" "+instanceID+" "+fmt.Sprintf(format, args...)))
	return i.refuse[call]
}

// heard gives the calls since the last time it was asked.
func (i *kitISV) heard() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	told := i.told
	i.told = nil
	return told
}

// refuses makes the ISV answer a call with an error, or take it again.
func (i *kitISV) refuses(call string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refuse[call] = err
}

func (i *kitISV) NewInstance(_ context.Context, call provider.NewInstance) (provider.Instance, error) {
	return provider.Instance{ID: "i-" + cmp.Or(call.OrderLineID, call.OrderID)}, nil // V1 names no line
}

func (i *kitISV) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range call.InstanceIDs() {
		infos = append(infos, provider.InstanceInfo{InstanceID: id, AppInfo: providerapi.AppInfo{FrontEndURL: "https://crm.example.com", UserName: "admin", Password: isvPassword}})
	}
	return infos, nil
}

func (i *kitISV) RefreshInstance(context.Context, provider.RefreshInstance) error { return nil }

func (i *kitISV) UpdateInstanceStatus(context.Context, provider.UpdateInstanceStatus) error {
	return nil
}

func (i *kitISV) ReleaseInstance(_ context.Context, c provider.ReleaseInstance) error {
	return i.note("releaseInstance", c.InstanceID, "")
}

func (i *kitISV) TenantSync(_ context.Context, c provider.TenantSync) error {
	i.mu.Lock()
	t := i.tenants[c.TenantID]
	t.DomainName = c.DomainName
	i.tenants[c.TenantID] = t
	i.mu.Unlock()
	return i.note("tenantSync", c.InstanceID, "%d %s", c.Flag, c.Name)
}

func (i *kitISV) ApplicationSync(_ context.Context, c provider.ApplicationSync) error {
	i.mu.Lock()
	t := i.tenants[c.TenantID]
	t.ClientID, t.ClientSecret = c.ClientID, c.Secret
	i.tenants[c.TenantID] = t
	i.secrets = append(i.secrets, c.Secret)
	i.mu.Unlock()
	return i.note("applicationSync", c.InstanceID, "%d", c.Flag)
}

func (i *kitISV) AuthSync(_ context.Context, c provider.AuthSync) error {
	names := make([]string, len(c.Users))
	i.mu.Lock()
	for n, u := range c.Users {
		names[n] = u.UserName
		key := c.InstanceID + "/" + u.UserName
		if i.users[key] = u; c.Flag == providerapi.AuthFlagDelete || c.Flag == providerapi.AuthFlagCancel {
			delete(i.users, key)
		}
	}
	i.mu.Unlock()
	if len(names) > 5 {
		names = []string{fmt.Sprint(len(names))}
	}
	return i.note("authSync", c.InstanceID, "%d %s", c.Flag, strings.Join(names, ","))
}

func (i *kitISV) SingleOrgSync(_ context.Context, c provider.SingleOrgSync) error {
	return i.note("singleOrgSync", c.InstanceID, "%d %s", c.Flag, c.OrgCode)
}

func (i *kitISV) AllOrgSync(_ context.Context, c provider.AllOrgSync) error {
	codes := make([]string, len(c.Departments))
	for n, d := range c.Departments {
		codes[n] = d.OrgCode
	}
	return i.note("allOrgSync", c.InstanceID, "%s", strings.Join(codes, ","))
}

// Tenant implements kitlogin.Tenants.
func (i *kitISV) Tenant(_ context.Context, tenantID, _ string) (kitlogin.Tenant, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	t, ok := i.tenants[tenantID]
	if !ok {
		return t, kitlogin.ErrUnknownTenant
	}
	return t, nil
}

// kitMarket is a sandbox with an ISV of a kit product and an auth centre behind TLS.
type kitMarket struct {
	*market
	isv    *kitISV
	centre *httptest.Server
}

func startKit(t *testing.T, change ...func(*sandbox.Config)) *kitMarket {
	t.Helper()
	isv := newKitISV(t)
	m := start(t, isv.URL+"/saasproduce", append(change, func(c *sandbox.Config) { c.Keys.KitKey = testKitKey })...)
	k := &kitMarket{market: m, isv: isv, centre: httptest.NewTLSServer(m.OpenAPIHandler())}
	t.Cleanup(k.centre.Close)
	m.SetAuthCentre(k.centre.URL)
	return k
}

// ok calls the control API and wants this status.
func (k *kitMarket) ok(status int, method, path string, body, v any) {
	k.t.Helper()
	got, detail := k.call(method, path, body, v)
	require.Equal(k.t, status, got, detail)
}

// settled waits until the calls of a tenant were attempted, and gives those that the ISV heard.
func (k *kitMarket) settled(tenant string) []string {
	k.t.Helper()
	require.Eventually(k.t, func() bool {
		var list sandboxapi.CallList
		k.ok(200, "GET", "/v1/kit/tenants/"+tenant+"/calls", nil, &list)
		return !slices.ContainsFunc(list.Calls, func(c sandboxapi.Call) bool { return c.Status == sandboxapi.CallPending })
	}, 20*time.Second, 5*time.Millisecond)
	return k.isv.heard()
}

// credential sets the ISV's key and applies for an application credential.
func (k *kitMarket) credential(in sandboxapi.KitApplicationInput, products ...string) sandboxapi.KitApplication {
	k.t.Helper()
	product := "/v1/products/" + append(products, "demo-kit")[0]
	k.ok(200, "PUT", product+"/kit-public-key", sandboxapi.KitPublicKey{KitPublicKey: kitRSA().PublicKeyText()}, nil)
	in.CallbackURL = k.isv.URL + "/callback"
	var made sandboxapi.KitApplicationChanged
	k.ok(201, "POST", product+"/kit-application", in, &made)
	require.Len(k.t, made.Calls, 3)
	login, err := kitlogin.New(kitlogin.Config{
		AppID: made.Application.AppID, Tenants: k.isv, RedirectURL: in.CallbackURL, LoginPage: k.centre.URL + "/unified-login", InsecureCookie: true,
		HTTPClient: k.centre.Client(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(k.t, err)
	k.isv.login = login
	return made.Application
}

// buyKit buys an instance of the kit product and waits until it is ready.
func (k *kitMarket) buyKit() string {
	k.t.Helper()
	line := k.buy("demo-kit-period")
	k.is(line, sandboxapi.InstanceReady)
	return line
}

func (k *kitMarket) tenant(code string) {
	k.t.Helper()
	k.ok(201, "POST", "/v1/kit/tenants", sandboxapi.KitTenantInput{TenantCode: code, Name: strings.ToUpper(code), Departments: []sandboxapi.KitDepartment{
		{OrgCode: "sales", OrgName: "Sales", ParentCode: "top"}, {OrgCode: "top", OrgName: "Top"},
	}}, nil)
}

func (k *kitMarket) user(tenant, name string, in sandboxapi.KitUserInput) string {
	k.t.Helper()
	if in.Name == "" {
		in.Name, in.OrgCode = strings.ToUpper(name), "sales"
	}
	var made sandboxapi.KitUserChanged
	k.ok(200, "PUT", "/v1/kit/tenants/"+tenant+"/users/"+url.PathEscape(name), in, &made)
	require.Equal(k.t, name, made.User.UserName)
	require.Equal(k.t, name+"@"+tenant, made.User.Account)
	return made.Password
}

// logIn takes a browser from the ISV's page through the login page back to the ISV, and gives what that says.
func (k *kitMarket) logIn(account, password string) (int, string) {
	k.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(k.t, err)
	roots := k.centre.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	browser := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	k.t.Cleanup(browser.CloseIdleConnections)
	get := func(req *http.Request) (*http.Response, string) {
		resp, err := browser.Do(req)
		require.NoError(k.t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(k.t, err)
		return resp, string(text)
	}
	req, err := http.NewRequestWithContext(k.t.Context(), http.MethodGet, k.isv.URL+"/login", http.NoBody)
	require.NoError(k.t, err)
	page, text := get(req)
	require.Equal(k.t, http.StatusOK, page.StatusCode, text)
	require.Equal(k.t, "/unified-login", page.Request.URL.Path)
	form := url.Values{"appId": {page.Request.URL.Query().Get("appId")}, "account": {account}, "password": {password}}
	req, err = http.NewRequestWithContext(k.t.Context(), http.MethodPost, k.centre.URL+"/unified-login", strings.NewReader(form.Encode()))
	require.NoError(k.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, text := get(req)
	return resp.StatusCode, text
}

// TestKit_TheWholeStory: a seller's credential, a buyer's enterprise, and everything that changes in it until the instance is released.
func TestKit_TheWholeStory(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	app := k.credential(sandboxapi.KitApplicationInput{Name: "CRM"})
	require.Equal(t, k.centre.URL+"/unified-login?appId="+app.AppID, app.LoginURL)
	require.Equal(t, []string{"tenantSync  1 Test tenant of demo-kit", "applicationSync  1", "allOrgSync  test"}, k.settled(app.TestTenantID))

	var account sandboxapi.KitUserChanged
	k.ok(201, "POST", "/v1/products/demo-kit/kit-application/test-accounts", nil, &account)
	require.Equal(t, []string{"authSync  1 " + account.User.UserName}, k.settled(app.TestTenantID))
	status, text := k.logIn(account.User.Account, account.Password)
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, account.User.UserName+" user test <nil>", text)

	line := k.buyKit()
	i := " i-" + line + " "
	k.tenant("acme")
	ann, bob := k.user("acme", "ann", sandboxapi.KitUserInput{Name: "Ann Lee", OrgCode: "top", Role: "admin"}), k.user("acme", "bob", sandboxapi.KitUserInput{})
	require.Empty(t, k.settled("acme"), "nobody hears of an enterprise that has bound nothing")

	k.ok(201, "POST", "/v1/kit/tenants/acme/bindings", sandboxapi.KitBindingInput{OrderLineID: line}, nil)
	require.Equal(t, []string{"tenantSync" + i + "1 ACME", "applicationSync" + i + "1", "allOrgSync" + i + "top,sales"}, k.settled("acme"))
	status, _ = k.logIn("ann@acme", ann)
	require.Equal(t, http.StatusForbidden, status, "not authorised yet")

	k.ok(201, "POST", "/v1/kit/tenants/acme/authorisations", sandboxapi.KitAuthorisation{OrderLineID: line}, nil)
	require.Equal(t, []string{"authSync" + i + "1 ann,bob"}, k.settled("acme"))
	status, text = k.logIn("ann@acme", ann)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ann admin top <nil>", text)

	for _, step := range []struct {
		method, path string
		body         any
		want         []string
	}{
		{"PUT", "users/bob", sandboxapi.KitUserInput{Name: "Bob", OrgCode: "sales", Enable: "false"}, []string{"authSync" + i + "2 bob"}},
		{"PUT", "departments/lab", sandboxapi.KitDepartmentInput{OrgName: "Lab", ParentCode: "top"}, []string{"singleOrgSync" + i + "1 lab"}},
		{"PUT", "departments/lab", sandboxapi.KitDepartmentInput{OrgName: "Laboratory", ParentCode: "top"}, []string{"singleOrgSync" + i + "2 lab"}},
		{"DELETE", "departments/lab", nil, []string{"singleOrgSync" + i + "0 lab"}},
		{"PUT", "departments", sandboxapi.KitDepartmentList{Departments: []sandboxapi.KitDepartment{
			{OrgCode: "sales", OrgName: "Sales", ParentCode: "x"}, {OrgCode: "x", OrgName: "X"}, {OrgCode: "top", OrgName: "Top"},
		}}, []string{"allOrgSync" + i + "x,top,sales"}},
		{"PUT", "", sandboxapi.KitTenantName{Name: "Acme Ltd"}, []string{"tenantSync" + i + "2 Acme Ltd"}},
		{"POST", "authorisations/cancel", sandboxapi.KitAuthorisation{OrderLineID: line, Users: []string{"bob"}}, []string{"authSync" + i + "3 bob"}},
		{"POST", "authorisations", sandboxapi.KitAuthorisation{OrderLineID: line, Users: []string{"bob"}}, []string{"authSync" + i + "1 bob"}},
		{"DELETE", "users/bob", nil, []string{"authSync" + i + "0 bob"}},
	} {
		status, detail := k.call(step.method, strings.TrimSuffix("/v1/kit/tenants/acme/"+step.path, "/"), step.body, nil)
		require.Less(t, status, 300, "%s %s: %s", step.method, step.path, detail)
		require.Equal(t, step.want, k.settled("acme"), step.path)
	}
	status, _ = k.logIn("bob@acme", bob)
	require.Equal(t, http.StatusForbidden, status)

	k.ok(202, "POST", "/v1/products/demo-kit/kit-application/renew-secrets", nil, nil)
	require.Equal(t, []string{"applicationSync" + i + "2"}, slices.DeleteFunc(k.settled("acme"), func(s string) bool { return s == "applicationSync  2" }))
	k.settled(app.TestTenantID)
	status, text = k.logIn("ann@acme", ann)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ann admin top <nil>", text, "with the new secret")
	k.isv.heard()

	k.do(line, "release")
	k.is(line, sandboxapi.InstanceReleased)
	require.Equal(t, []string{"releaseInstance i-" + line, "authSync" + i + "0 ann", "applicationSync" + i + "0", "tenantSync" + i + "0 Acme Ltd"}, k.settled("acme"))
	status, _ = k.logIn("ann@acme", ann)
	require.Equal(t, http.StatusForbidden, status)
	var tenant sandboxapi.KitTenant
	k.ok(200, "GET", "/v1/kit/tenants/acme", nil, &tenant)
	require.Empty(t, tenant.Bindings)
	k.ok(204, "DELETE", "/v1/kit/tenants/acme", nil, nil)
	k.ok(404, "GET", "/v1/kit/tenants/acme", nil, nil)
	k.ok(200, "DELETE", "/v1/products/demo-kit/kit-application", nil, nil)
	require.Eventually(t, func() bool { return len(k.isv.heardAtLeast(3)) == 3 }, 20*time.Second, 5*time.Millisecond)
	require.Equal(t, []string{"authSync  0 " + account.User.UserName, "applicationSync  0", "tenantSync  0 Test tenant of demo-kit"}, k.isv.heard())
	k.ok(404, "GET", "/v1/products/demo-kit/kit-application", nil, nil)
}

// heardAtLeast gives what was heard once it is that much.
func (i *kitISV) heardAtLeast(n int) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.told) < n {
		return nil
	}
	return i.told
}

// TestKit_V1: the same story for a product of access interface V1, whose SDK handler is the same Application.
func TestKit_V1(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	k.ok(200, "PUT", "/v1/products/old-kit", sandboxapi.Product{
		ProductCode: "old-kit", SellerID: "demo", Access: sandboxapi.AccessV1, Kit: true, KitPublicKey: kitRSA().PublicKeyText(),
		SKUs: []sandboxapi.SKU{{SKUCode: "old-kit-once", ChargingMode: "ONE_TIME", Items: []sandboxapi.BillingItem{{ProductID: "OFFI799", Price: "1"}}}},
	}, nil)
	app := k.credential(sandboxapi.KitApplicationInput{}, "old-kit")
	require.Equal(t, []string{"tenantSync  1 Test tenant of old-kit", "applicationSync  1", "allOrgSync  test"}, k.settled(app.TestTenantID))
	line := k.buy("old-kit-once")
	id := k.is(line, sandboxapi.InstanceReady).InstanceID
	k.tenant("acme")
	ann := k.user("acme", "ann", sandboxapi.KitUserInput{Name: "Ann", OrgCode: "sales", EmployeeType: 2, WorkPlace: "Shenzhen", EntryDate: "2024-02-1"})
	k.ok(201, "POST", "/v1/kit/tenants/acme/bindings", sandboxapi.KitBindingInput{OrderLineID: line}, nil)
	k.ok(201, "POST", "/v1/kit/tenants/acme/authorisations", sandboxapi.KitAuthorisation{OrderLineID: line}, nil)
	i := " " + id + " "
	require.Equal(t, []string{"tenantSync" + i + "1 ACME", "applicationSync" + i + "1", "allOrgSync" + i + "top,sales", "authSync" + i + "1 ann"}, k.settled("acme"))
	k.isv.mu.Lock()
	told := k.isv.users[id+"/ann"]
	k.isv.mu.Unlock()
	require.Equal(t, "Shenzhen", told.WorkPlace)
	status, text := k.logIn("ann@acme", ann)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ann user sales <nil>", text)

	k.ok(200, "PUT", "/v1/kit/tenants/acme", sandboxapi.KitTenantName{Name: "Acme Ltd"}, nil)
	k.ok(200, "PUT", "/v1/kit/tenants/acme/departments/top", sandboxapi.KitDepartmentInput{OrgName: "Head"}, nil)
	k.ok(201, "POST", "/v1/kit/tenants/acme/authorisations/cancel", sandboxapi.KitAuthorisation{OrderLineID: line, Users: []string{"ann"}}, nil)
	require.Equal(t, []string{"tenantSync" + i + "1 Acme Ltd", "singleOrgSync" + i + "2 top", "authSync" + i + "0 ann"}, k.settled("acme"),
		"V1 has no flag to change an enterprise, nor to cancel an authorisation")
	k.do(line, "release")
	k.is(line, sandboxapi.InstanceReleased)
	require.Equal(t, []string{"releaseInstance " + id, "authSync" + i + "0 ann", "applicationSync" + i + "0", "tenantSync" + i + "0 Acme Ltd"}, k.settled("acme"))
}

// TestKit_AFailedCallWaitsAndBlocksNobody: kit calls are not retried by themselves; whoever decides restarts them.
func TestKit_AFailedCallWaitsAndBlocksNobody(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	k.credential(sandboxapi.KitApplicationInput{})
	line := k.buyKit()
	k.tenant("acme")
	k.user("acme", "ann", sandboxapi.KitUserInput{})
	k.isv.refuses("applicationSync", errors.New("the disk is full"))
	k.ok(201, "POST", "/v1/kit/tenants/acme/bindings", sandboxapi.KitBindingInput{OrderLineID: line}, nil)
	k.ok(201, "POST", "/v1/kit/tenants/acme/authorisations", sandboxapi.KitAuthorisation{OrderLineID: line}, nil)
	k.settled("acme")
	var list sandboxapi.CallList
	k.ok(200, "GET", "/v1/kit/tenants/acme/calls", nil, &list)
	var got []string
	for _, c := range slices.Backward(list.Calls) {
		got = append(got, fmt.Sprintf("%s %s %s", c.Activity, c.Status, c.ResultCode))
		require.Equal(t, line, c.OrderLineID)
		require.Equal(t, 1, c.Attempts)
	}
	require.Equal(t, []string{"tenantSync succeeded 000000", "applicationSync waiting 000005", "allOrgSync succeeded 000000", "authSync succeeded 000000"}, got)
	k.advance("48h")
	k.isv.heard()
	k.isv.refuses("applicationSync", nil)
	k.ok(202, "POST", fmt.Sprintf("/v1/calls/%d/restart", list.Calls[2].CallID), nil, nil)
	require.Equal(t, []string{"applicationSync i-" + line + " 1"}, k.settled("acme"), "restarted by hand, after two days of nothing")
}

func TestKit_TheJournalHasOnlyCiphertext(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	app := k.credential(sandboxapi.KitApplicationInput{Oaep: "SHA-1/MGF1-SHA-1"})
	k.settled(app.TestTenantID)
	var account sandboxapi.KitUserChanged
	k.ok(201, "POST", "/v1/products/demo-kit/kit-application/test-accounts", nil, &account)
	k.settled(app.TestTenantID)
	var list sandboxapi.AttemptList
	k.ok(200, "GET", "/v1/attempts", nil, &list)
	text, err := json.Marshal(list)
	require.NoError(t, err)
	require.Contains(t, string(text), "clientSecret")
	k.isv.mu.Lock()
	defer k.isv.mu.Unlock()
	require.Len(t, k.isv.secrets, 1)
	for _, value := range []string{k.isv.secrets[0], account.Password, testKitKey} {
		require.NotContains(t, string(text), value)
	}
}

func TestKit_SeveralInstances(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	k.credential(sandboxapi.KitApplicationInput{MultiInstance: true})
	one, two := k.buyKit(), k.buyKit()
	k.tenant("acme")
	ann := k.user("acme", "ann", sandboxapi.KitUserInput{})
	for _, line := range []string{one, two} {
		k.ok(201, "POST", "/v1/kit/tenants/acme/bindings", sandboxapi.KitBindingInput{OrderLineID: line}, nil)
		k.ok(201, "POST", "/v1/kit/tenants/acme/authorisations", sandboxapi.KitAuthorisation{OrderLineID: line}, nil)
	}
	k.settled("acme")
	k.isv.mu.Lock()
	require.Len(t, k.isv.secrets, 3)
	require.Equal(t, k.isv.secrets[1], k.isv.secrets[2], "one client for the application at a tenant")
	k.isv.mu.Unlock()
	k.ok(200, "PUT", "/v1/kit/tenants/acme/users/ann", sandboxapi.KitUserInput{Name: "Ann", OrgCode: "top"}, nil)
	require.Equal(t, []string{"authSync i-" + one + " 2 ann", "authSync i-" + two + " 2 ann"}, k.settled("acme"))
	k.ok(200, "DELETE", "/v1/kit/tenants/acme/bindings/"+one, nil, nil)
	require.Equal(t, []string{"authSync i-" + one + " 0 ann", "applicationSync i-" + one + " 0", "tenantSync i-" + one + " 0 ACME"}, k.settled("acme"))
	status, text := k.logIn("ann@acme", ann)
	require.Equal(t, http.StatusOK, status, "through the instance that is left")
	require.Equal(t, "ann user top <nil>", text)
}

// TestKit_AnotherAddress: the sandbox is started at another address than before.
func TestKit_AnotherAddress(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	k.credential(sandboxapi.KitApplicationInput{MultiInstance: true})
	one, two := k.buyKit(), k.buyKit()
	k.tenant("acme")
	k.ok(201, "POST", "/v1/kit/tenants/acme/bindings", sandboxapi.KitBindingInput{OrderLineID: one}, nil)
	k.settled("acme")
	var changed sandboxapi.KitTenantChanged
	k.SetAuthCentre("https://sandbox.example.com/")
	k.ok(201, "POST", "/v1/kit/tenants/acme/bindings", sandboxapi.KitBindingInput{OrderLineID: two}, &changed)
	require.Equal(t, []string{
		"tenantSync i-" + one + " 2 ACME", "tenantSync i-" + two + " 1 ACME", "applicationSync i-" + two + " 1", "allOrgSync i-" + two + " top,sales",
	}, k.settled("acme"), "the older binding hears of it first")
	domain := "https://sandbox.example.com/tenants/" + changed.Tenant.TenantID
	require.Equal(t, domain, changed.Tenant.DomainName)
	require.Equal(t, domain, k.isv.tenants[changed.Tenant.TenantID].DomainName)
	k.SetAuthCentre(k.centre.URL)
	k.ok(200, "PUT", "/v1/kit/tenants/acme", sandboxapi.KitTenantName{Name: "ACME"}, nil)
	require.Equal(t, []string{"tenantSync i-" + one + " 2 ACME", "tenantSync i-" + two + " 2 ACME"}, k.settled("acme"))
	require.Equal(t, k.centre.URL+"/tenants/"+changed.Tenant.TenantID, k.isv.tenants[changed.Tenant.TenantID].DomainName)
	status, detail := k.call("PUT", "/v1/kit/tenants/acme", sandboxapi.KitTenantName{Name: "ACME"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "it has that name already")
}

func TestKit_ManyUsersComeInBatches(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	k.credential(sandboxapi.KitApplicationInput{})
	line := k.buyKit()
	k.tenant("acme")
	for n := range 501 {
		k.user("acme", fmt.Sprintf("user%04d", n), sandboxapi.KitUserInput{})
	}
	k.ok(201, "POST", "/v1/kit/tenants/acme/bindings", sandboxapi.KitBindingInput{OrderLineID: line}, nil)
	k.settled("acme")
	k.ok(201, "POST", "/v1/kit/tenants/acme/authorisations", sandboxapi.KitAuthorisation{OrderLineID: line}, nil)
	require.Equal(t, []string{"authSync i-" + line + " 1 500", "authSync i-" + line + " 1 user0500"}, k.settled("acme"))
	var users sandboxapi.KitUserList
	k.ok(200, "GET", "/v1/kit/tenants/acme/users?limit=2&after=user0498", nil, &users)
	require.Len(t, users.Users, 2)
	require.Equal(t, "user0500", users.Users[1].UserName)
	require.Equal(t, "authorised", users.Users[1].Authorisations[0].Status)
}

func TestKit_NamesOfAllKindsGoThroughTheControlAPI(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	k.tenant("acme")
	for _, name := range []string{"张三", "a b", "a/b", "50%25", "x@y", "a+b", "ann?x=1#y"} {
		k.user("acme", name, sandboxapi.KitUserInput{})
		k.ok(200, "DELETE", "/v1/kit/tenants/acme/users/"+url.PathEscape(name), nil, nil)
	}
}

// TestKit_RefusesByName is the table of what the control API refuses.
func TestKit_RefusesByName(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	k.tenant("acme")
	k.tenant("other")
	k.user("acme", "ann", sandboxapi.KitUserInput{})
	line, plain := k.buyKit(), k.buy("demo-one-time")
	k.is(plain, sandboxapi.InstanceReady)
	bind := sandboxapi.KitBindingInput{OrderLineID: line}
	const tenants, product = "/v1/kit/tenants/", "/v1/products/demo-kit/"
	callback := sandboxapi.KitApplicationInput{CallbackURL: "https://crm.example.com/callback"}
	refused := func(status int, about, method, path string, body any) {
		t.Helper()
		got, detail := k.call(method, path, body, nil)
		require.Equal(t, status, got, detail)
		require.Contains(t, detail, about)
	}
	refused(409, "openssl genrsa", "POST", product+"kit-application", callback)
	refused(409, "isv-sandbox kit key demo-kit FILE", "POST", product+"kit-application", callback)
	refused(409, "product demo is no kit product", "POST", "/v1/products/demo/kit-application", callback)
	refused(404, "", "POST", "/v1/products/nothing/kit-application", callback)
	refused(409, "has no application credential", "POST", tenants+"acme/bindings", bind)
	refused(400, "expected the Base64 text of an RSA public key", "PUT", product+"kit-public-key", sandboxapi.KitPublicKey{KitPublicKey: "QUJD"})
	refused(409, "is no kit product", "PUT", "/v1/products/demo/kit-public-key", sandboxapi.KitPublicKey{KitPublicKey: kitRSA().PublicKeyText()})
	refused(404, "", "GET", product+"kit-application", nil)
	refused(404, "", "POST", product+"kit-application/test-accounts", nil)

	k.SetAuthCentre("")
	k.ok(200, "PUT", product+"kit-public-key", sandboxapi.KitPublicKey{KitPublicKey: kitRSA().PublicKeyText()}, nil)
	refused(409, "has no https address", "POST", product+"kit-application", callback)
	k.SetAuthCentre("http://127.0.0.1:1")
	refused(409, "has no https address", "POST", product+"kit-application", callback)
	k.SetAuthCentre(k.centre.URL)
	refused(400, "callbackUrl", "POST", product+"kit-application", sandboxapi.KitApplicationInput{CallbackURL: "crm"})
	refused(400, "oaep \"MD5\"", "POST", product+"kit-application", sandboxapi.KitApplicationInput{CallbackURL: callback.CallbackURL, Oaep: "MD5"})
	app := k.credential(sandboxapi.KitApplicationInput{MultiInstance: true})
	refused(409, "it has one already", "POST", product+"kit-application", callback)
	refused(409, "multiInstance cannot go back to no", "PUT", product+"kit-application", callback)

	refused(409, "is no kit product", "POST", tenants+"acme/bindings", sandboxapi.KitBindingInput{OrderLineID: plain})
	refused(404, "", "POST", tenants+"acme/bindings", sandboxapi.KitBindingInput{OrderLineID: "nothing"})
	refused(404, "", "POST", tenants+"nobody/bindings", bind)
	refused(409, "is the test tenant of a credential", "POST", tenants+app.TestTenantID+"/bindings", bind)
	refused(409, "has not bound the instance", "POST", tenants+"acme/authorisations", sandboxapi.KitAuthorisation{OrderLineID: line})
	refused(409, "is not bound to tenant acme", "DELETE", tenants+"acme/bindings/"+line, nil)
	k.ok(201, "POST", tenants+"acme/bindings", bind, nil)
	refused(409, "it is bound to tenant acme", "POST", tenants+"other/bindings", bind)
	refused(409, "1 of its instances are bound", "DELETE", tenants+"acme", nil)
	refused(409, "it is the test tenant of a credential", "DELETE", tenants+app.TestTenantID, nil)
	refused(409, "it belongs to an application credential", "DELETE", tenants+app.TestTenantID+"/bindings/x", nil)
	refused(409, "1 tenants have bound instances", "DELETE", product+"kit-application", nil)
	refused(400, "tenant acme has no user \"nobody\"", "POST", tenants+"acme/authorisations", sandboxapi.KitAuthorisation{OrderLineID: line, Users: []string{"nobody"}})
	refused(409, "he has none", "POST", tenants+"acme/authorisations/cancel", sandboxapi.KitAuthorisation{OrderLineID: line, Users: []string{"ann"}})
	k.do(line, "freeze")
	k.is(line, sandboxapi.InstanceFrozen)
	k.ok(200, "DELETE", tenants+"acme/bindings/"+line, nil, nil)
	refused(409, "it is frozen", "POST", tenants+"acme/bindings", bind)

	refused(400, "there is a tenant of that code already", "POST", "/v1/kit/tenants", sandboxapi.KitTenantInput{TenantCode: "ACME", Name: "Acme"})
	refused(400, "is, by its parents, below itself", "POST", "/v1/kit/tenants", sandboxapi.KitTenantInput{TenantCode: "x", Name: "X", Departments: []sandboxapi.KitDepartment{{OrgCode: "a", OrgName: "A", ParentCode: "a"}}})
	refused(409, "department sales is below it", "DELETE", tenants+"acme/departments/top", nil)
	refused(409, "it has users", "DELETE", tenants+"acme/departments/sales", nil)
	refused(400, "does not exist", "DELETE", tenants+"acme/departments/nothing", nil)
	refused(404, "", "DELETE", tenants+"acme/users/nobody", nil)
	refused(404, "", "POST", tenants+"acme/users/nobody/password", nil)
	refused(400, "orgCode nowhere", "PUT", tenants+"acme/users/ann", sandboxapi.KitUserInput{Name: "Ann", OrgCode: "nowhere"})
}

func TestKit_AnotherPassword(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	app := k.credential(sandboxapi.KitApplicationInput{})
	var account, again sandboxapi.KitUserChanged
	k.ok(201, "POST", "/v1/products/demo-kit/kit-application/test-accounts", nil, &account)
	k.ok(200, "POST", "/v1/kit/tenants/"+app.TestTenantID+"/users/"+account.User.UserName+"/password", nil, &again)
	k.settled(app.TestTenantID)
	status, _ := k.logIn(account.User.Account, account.Password)
	require.Equal(t, http.StatusForbidden, status)
	status, text := k.logIn(account.User.Account, again.Password)
	require.Equal(t, http.StatusOK, status, text)
	var view map[string]any
	k.ok(200, "GET", "/v1/kit/tenants/"+app.TestTenantID+"/users", nil, &view)
	text2, err := json.Marshal(view)
	require.NoError(t, err)
	require.NotContains(t, string(text2), again.Password, "a password is told once")
}

// TestKit_SnapshotsHaveItToo: an enterprise is as it was, with its passwords, sessions and tokens.
func TestKit_SnapshotsHaveItToo(t *testing.T) {
	t.Parallel()
	k := startKit(t)
	app := k.credential(sandboxapi.KitApplicationInput{})
	var account sandboxapi.KitUserChanged
	k.ok(201, "POST", "/v1/products/demo-kit/kit-application/test-accounts", nil, &account)
	k.settled(app.TestTenantID)
	send := func(method, path string, body io.Reader) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, k.control.URL+path, body)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
		req.Header.Set("Content-Type", "application/vnd.sqlite3")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Less(t, resp.StatusCode, 300, "%s", text)
		return text
	}
	snapshot := send("GET", "/v1/snapshot", http.NoBody)
	k.ok(200, "DELETE", "/v1/products/demo-kit/kit-application", nil, nil)
	k.ok(404, "GET", "/v1/kit/tenants/"+app.TestTenantID, nil, nil)
	send("POST", "/v1/restore", bytes.NewReader(snapshot))
	status, text := k.logIn(account.User.Account, account.Password)
	require.Equal(t, http.StatusOK, status, text)
	k.ok(200, "POST", "/v1/reset", nil, nil)
	var tenants sandboxapi.KitTenantList
	k.ok(200, "GET", "/v1/kit/tenants", nil, &tenants)
	require.Empty(t, tenants.Tenants)
}
