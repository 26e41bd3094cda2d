package kitlogin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/isvkit/isvkit/sdk/kitlogin"
)

// tenants is what tenantSync and applicationSync stored; a real one is a table.
type tenants map[string]kitlogin.Tenant

func (t tenants) Tenant(_ context.Context, tenantID, _ string) (kitlogin.Tenant, error) {
	tenant, ok := t[tenantID]
	if !ok {
		return kitlogin.Tenant{}, kitlogin.ErrUnknownTenant
	}
	return tenant, nil
}

func Example() {
	// An auth centre that knows one code and one user.
	centre := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"access_token":"access-0001","token_type":"Bearer","expires_in":7200}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":"u-1","userName":"zhangsan","role":"admin"}`)
	}))
	defer centre.Close()

	login, err := kitlogin.New(kitlogin.Config{
		AppID:          "app-0001",
		Tenants:        tenants{"t-1": {DomainName: centre.URL, ClientID: "client-0001", ClientSecret: "demo-secret"}},
		InsecureCookie: true, // this example runs on http
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /login", login.LoginHandler())
	mux.Handle("GET /callback", login.CallbackHandler(func(w http.ResponseWriter, r *http.Request, user kitlogin.User, token kitlogin.Token) {
		_, _ = fmt.Fprintf(w, "%s of tenant %s goes to %s", user.UserName, token.TenantID, kitlogin.ReturnTo(r.Context()))
	}))
	isv := httptest.NewServer(mux)
	defer isv.Close()

	// A browser.
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	visit := func(path string) (location, body string) {
		resp, err := browser.Get(isv.URL + path)
		if err != nil {
			panic(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return resp.Header.Get("Location"), string(text)
	}
	page, _ := visit("/login?return_to=/reports")
	fmt.Println(page)
	_, welcome := visit("/callback?code=code-0001&tenant=t-1") // where the login page sends the browser
	fmt.Println(welcome)

	// Output:
	// https://macroverse.huaweicloud.com/unified-login/#/portal-login?ind=UNOP&appId=app-0001
	// zhangsan of tenant t-1 goes to /reports
}
