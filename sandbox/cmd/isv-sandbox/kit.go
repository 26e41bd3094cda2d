package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

var kitCommands = []command{
	{"kit", "kit ACTION [arguments] [flags]; isv-sandbox help lists the actions", [2]int{1, 1000}, kitFlags, kitCommand},
}

const kitHelp = `
Joint operation (kit). TENANT is an enterprise's short name, PRODUCT the code of a kit product such as demo-kit:
  isv-sandbox kit key PRODUCT FILE                  the ISV's RSA key, public or private; only the public half is used
  isv-sandbox kit credential PRODUCT [--callback URL] [--name NAME] [--multi-instance] [--oaep DIGESTS]
                                                    apply for the application credential, change it, or show it
  isv-sandbox kit test-account PRODUCT | renew-secrets PRODUCT | drop-credential PRODUCT
  isv-sandbox kit demo LINE [--callback URL]        an enterprise with departments and users that binds the instance: all at once
  isv-sandbox kit tenants | tenant TENANT | calls TENANT
  isv-sandbox kit create TENANT NAME | rename TENANT NAME | delete TENANT
  isv-sandbox kit department TENANT CODE NAME [--parent CODE] | drop-department TENANT CODE
  isv-sandbox kit departments TENANT FILE           replace all of them by a JSON array of {orgCode, orgName, parentCode}
  isv-sandbox kit users TENANT | password TENANT USER | drop-user TENANT USER
  isv-sandbox kit user TENANT USER [--name NAME] [--org CODE] [--role admin] [--enable false] [--email E] [--mobile M]
  isv-sandbox kit bind TENANT LINE | unbind TENANT LINE
  isv-sandbox kit authorise TENANT LINE [USER …] | cancel TENANT LINE USER …
`

type kitOptions struct {
	application sandboxapi.KitApplicationInput
	user        sandboxapi.KitUserInput
	parent      string
}

func kitFlags(fs *flag.FlagSet) any {
	o := &kitOptions{}
	fs.StringVar(&o.application.CallbackURL, "callback", "", "credential, demo: where the login page sends users back to, a `URL` of the ISV")
	fs.BoolVar(&o.application.MultiInstance, "multi-instance", false, "credential: an enterprise may bind several instances")
	fs.StringVar(&o.application.Oaep, "oaep", "", "credential: `digests` of RSA-OAEP (default SHA-256/MGF1-SHA-1)")
	fs.StringVar(&o.user.Name, "name", "", "credential, user: the `name`")
	fs.StringVar(&o.user.OrgCode, "org", "", "user: `code` of the department")
	fs.StringVar(&o.user.Role, "role", "", "user: user or admin")
	fs.StringVar(&o.user.Enable, "enable", "", "user: whether he may log in, true or false")
	fs.StringVar(&o.user.Email, "email", "", "user: e-mail address")
	fs.StringVar(&o.user.Mobile, "mobile", "", "user: mobile number")
	fs.StringVar(&o.parent, "parent", "", "department: `code` of the one above it")
	return o
}

// kitAction is what one kit command does.
type kitAction struct {
	args [2]int // fewest and most arguments
	what string
	do   func(ctx context.Context, c *client, args []string, o *kitOptions) error
}

var kitActions = map[string]kitAction{
	"key":             {[2]int{2, 2}, "PRODUCT FILE", kitKey},
	"credential":      {[2]int{1, 1}, "PRODUCT [--callback URL]", kitCredential},
	"test-account":    {[2]int{1, 1}, "PRODUCT", kitTestAccount},
	"renew-secrets":   {[2]int{1, 1}, "PRODUCT", kitRenewSecrets},
	"drop-credential": {[2]int{1, 1}, "PRODUCT", kitDropCredential},
	"demo":            {[2]int{1, 1}, "LINE [--callback URL]", kitDemo},
	"tenants":         {[2]int{0, 0}, "", kitTenants},
	"tenant":          {[2]int{1, 1}, "TENANT", kitTenant},
	"calls":           {[2]int{1, 1}, "TENANT", kitCalls},
	"create":          {[2]int{2, 2}, "TENANT NAME", kitCreate},
	"rename":          {[2]int{2, 2}, "TENANT NAME", kitRename},
	"delete":          {[2]int{1, 1}, "TENANT", kitDelete},
	"department":      {[2]int{3, 3}, "TENANT CODE NAME [--parent CODE]", kitDepartment},
	"drop-department": {[2]int{2, 2}, "TENANT CODE", kitDropDepartment},
	"departments":     {[2]int{2, 2}, "TENANT FILE", kitDepartments},
	"users":           {[2]int{1, 1}, "TENANT", kitUsers},
	"user":            {[2]int{2, 2}, "TENANT USER [flags]", kitUser},
	"password":        {[2]int{2, 2}, "TENANT USER", kitPassword},
	"drop-user":       {[2]int{2, 2}, "TENANT USER", kitDropUser},
	"bind":            {[2]int{2, 2}, "TENANT LINE", kitBind},
	"unbind":          {[2]int{2, 2}, "TENANT LINE", kitUnbind},
	"authorise":       {[2]int{2, 999}, "TENANT LINE [USER …]", kitAuthorise},
	"cancel":          {[2]int{3, 999}, "TENANT LINE USER …", kitCancel},
}

func kitCommand(ctx context.Context, c *client, args []string, flags any) error {
	o, _ := flags.(*kitOptions)
	a, ok := kitActions[args[0]]
	if !ok {
		return misuse("kit: no action %q", args[0])
	}
	if n := len(args) - 1; n < a.args[0] || n > a.args[1] {
		return misuse("usage: isv-sandbox kit %s %s", args[0], a.what)
	}
	return a.do(ctx, c, args[1:], o)
}

// quietly gives a client that prints no JSON, for what is only asked on the way.
func (c *client) quietly() *client {
	quiet := *c
	quiet.asJSON = false
	return &quiet
}

// attempted waits until calls were attempted, and tells what came of each. They belong to one tenant.
func (c *client) attempted(ctx context.Context, tenant string, calls []sandboxapi.Call) error {
	if c.asJSON || len(calls) == 0 {
		return nil
	}
	wanted := make(map[int64]bool, len(calls))
	for _, k := range calls {
		wanted[k.CallID] = true
	}
	var rows [][]string
	refused := 0
	for end := time.Now().Add(10 * time.Second); ; {
		resp, err := c.api.ListKitCalls(ctx, tenant, &sandboxapi.ListKitCallsParams{Limit: 1000})
		list, err := read[sandboxapi.CallList](c, resp, err)
		if err != nil {
			return err
		}
		rows = nil
		pending := 0
		refused = 0
		for _, k := range slices.Backward(list.Calls) {
			if wanted[k.CallID] {
				rows = append(rows, callRow(k))
				if k.Status != sandboxapi.CallSucceeded {
					refused++
				}
				if k.Status == sandboxapi.CallPending {
					pending++
				}
			}
		}
		if pending == 0 || time.Now().After(end) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := c.table("CALL\tACTIVITY\tSTATUS\tRESULT\tLINE\tLAST ERROR", rows); err != nil || refused == 0 {
		return err
	}
	return &hintError{fmt.Errorf("the ISV has not done %d of %d calls", refused, len(rows)), "isv-sandbox journal tells why; a call that is not retried any more is sent again by isv-sandbox restart CALL"}
}

func callRow(k sandboxapi.Call) []string {
	return []string{strconv.FormatInt(k.CallID, 10), k.Activity, string(k.Status), or(k.ResultCode, "-"), or(k.OrderLineID, "-"), k.LastError}
}

// tenantMoved prints what a move of a tenant did.
func (c *client) tenantMoved(ctx context.Context, resp *http.Response, err error) error {
	m, err := read[sandboxapi.KitTenantChanged](c, resp, err)
	if err != nil {
		return err
	}
	if len(m.Calls) == 0 {
		return c.table("", [][]string{{"done; no call follows, as tenant " + m.Tenant.TenantCode + " has bound nothing"}})
	}
	return c.attempted(ctx, m.Tenant.TenantID, m.Calls)
}

// publicKeyIn takes the public half of the key in a file: PEM of either half, or the line that the console takes.
func publicKeyIn(text []byte) (string, error) {
	block, _ := pem.Decode(text)
	if block == nil || !strings.Contains(block.Type, "PRIVATE KEY") {
		return string(text), nil // the sandbox says what is wrong with it
	}
	var key *rsa.PrivateKey
	if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		key, _ = parsed.(*rsa.PrivateKey)
	} else if parsed, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		key = parsed
	}
	if key == nil {
		return "", fmt.Errorf("the private key in the file cannot be read, is not RSA, or has a passphrase")
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	return base64.StdEncoding.EncodeToString(der), err
}

func kitKey(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	text, err := os.ReadFile(args[1]) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	public, err := publicKeyIn(text)
	if err != nil {
		return fmt.Errorf("key %s: %w", args[1], err)
	}
	resp, err := c.api.SetKitPublicKey(ctx, args[0], sandboxapi.KitPublicKey{KitPublicKey: public})
	if _, err := read[sandboxapi.KitPublicKey](c, resp, err); err != nil {
		return err
	}
	return c.table("", [][]string{{"client secrets of " + args[0] + " are encrypted with this key from now on"}})
}

func (c *client) showApplication(a sandboxapi.KitApplication) error {
	return c.table("", [][]string{
		{"application", a.AppID},
		{"name", a.Name},
		{"call-back", a.CallbackURL},
		{"login page", or(a.LoginURL, "none: the auth centre has no https address")},
		{"several instances", strconv.FormatBool(a.MultiInstance)},
		{"RSA-OAEP", a.Oaep},
		{"test tenant", a.TestTenantID},
	})
}

// kitCredential shows a credential; with a call-back address it applies for it, or changes it.
func kitCredential(ctx context.Context, c *client, args []string, o *kitOptions) error {
	in := o.application
	in.Name = o.user.Name
	resp, err := c.quietly().api.GetKitApplication(ctx, args[0])
	exists := err == nil && resp.StatusCode == http.StatusOK
	if in.CallbackURL == "" {
		a, err := read[sandboxapi.KitApplication](c, resp, err)
		if err != nil {
			return &hintError{err, "isv-sandbox kit credential " + args[0] + " --callback URL applies for one"}
		}
		return c.showApplication(a)
	}
	if err == nil {
		_ = resp.Body.Close()
	}
	if exists {
		resp, err := c.api.ChangeKitApplication(ctx, args[0], in)
		a, err := read[sandboxapi.KitApplication](c, resp, err)
		if err != nil {
			return err
		}
		return c.showApplication(a)
	}
	_, err = c.apply(ctx, args[0], in)
	return err
}

// apply applies for a credential and prints it.
func (c *client) apply(ctx context.Context, product string, in sandboxapi.KitApplicationInput) (sandboxapi.KitApplication, error) {
	resp, err := c.api.CreateKitApplication(ctx, product, in)
	made, err := read[sandboxapi.KitApplicationChanged](c, resp, err)
	if err == nil {
		err = c.showApplication(made.Application)
	}
	if err == nil {
		err = c.attempted(ctx, made.Application.TestTenantID, made.Calls)
	}
	return made.Application, err
}

func kitTestAccount(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.CreateKitTestAccount(ctx, args[0])
	return c.userMoved(ctx, resp, err)
}

// userMoved prints what happened to a user, and his password if he got one.
func (c *client) userMoved(ctx context.Context, resp *http.Response, err error) error {
	m, err := read[sandboxapi.KitUserChanged](c, resp, err)
	if err != nil {
		return err
	}
	rows := [][]string{{"account", m.User.Account}}
	if m.Password != "" {
		rows = append(rows, []string{"password", m.Password + " (told this once)"})
	}
	if err := c.table("", rows); err != nil {
		return err
	}
	return c.attempted(ctx, m.TenantID, m.Calls)
}

func (c *client) callsMoved(ctx context.Context, tenant string, resp *http.Response, err error) error {
	list, err := read[sandboxapi.CallList](c, resp, err)
	if err != nil {
		return err
	}
	if tenant == "" { // of several tenants, or of one that is gone
		rows := make([][]string, len(list.Calls))
		for i, k := range list.Calls {
			rows[i] = callRow(k)
		}
		return c.table("CALL\tACTIVITY\tSTATUS\tRESULT\tLINE\tLAST ERROR", rows)
	}
	return c.attempted(ctx, tenant, list.Calls)
}

func kitRenewSecrets(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.RenewKitSecrets(ctx, args[0])
	return c.callsMoved(ctx, "", resp, err)
}

func kitDropCredential(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.DeleteKitApplication(ctx, args[0])
	return c.callsMoved(ctx, "", resp, err)
}

func kitTenants(ctx context.Context, c *client, _ []string, _ *kitOptions) error {
	resp, err := c.api.ListKitTenants(ctx, nil)
	list, err := read[sandboxapi.KitTenantList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, t := range list.Tenants {
		kind := "buyer's"
		if t.Test {
			kind = "test"
		}
		rows = append(rows, []string{t.TenantCode, t.Name, kind, strconv.Itoa(len(t.Departments)), strconv.Itoa(len(t.Bindings)), t.TenantID})
	}
	return c.table("TENANT\tNAME\tKIND\tDEPARTMENTS\tBINDINGS\tID", rows)
}

func (c *client) showTenant(t sandboxapi.KitTenant) error {
	rows := [][]string{{"tenant", t.TenantCode + ", " + t.Name}, {"id", t.TenantID}, {"auth centre", or(t.DomainName, "none yet")}}
	for _, d := range t.Departments {
		text := d.OrgCode + ", " + d.OrgName
		if d.ParentCode != "" {
			text += ", below " + d.ParentCode
		}
		rows = append(rows, []string{"department", text})
	}
	for _, b := range t.Bindings {
		rows = append(rows, []string{"bound", or(b.OrderLineID, "(test tenant)") + " of " + b.ProductCode + ", application " + b.AppID + ", client " + b.ClientID})
	}
	return c.table("", rows)
}

func kitTenant(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.GetKitTenant(ctx, args[0])
	t, err := read[sandboxapi.KitTenant](c, resp, err)
	if err != nil {
		return err
	}
	return c.showTenant(t)
}

func kitCalls(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.ListKitCalls(ctx, args[0], nil)
	return c.callsMoved(ctx, "", resp, err)
}

func kitCreate(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.CreateKitTenant(ctx, sandboxapi.KitTenantInput{TenantCode: args[0], Name: args[1]})
	t, err := read[sandboxapi.KitTenant](c, resp, err)
	if err != nil {
		return err
	}
	return c.showTenant(t)
}

func kitRename(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.RenameKitTenant(ctx, args[0], sandboxapi.KitTenantName{Name: args[1]})
	return c.tenantMoved(ctx, resp, err)
}

func kitDelete(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.DeleteKitTenant(ctx, args[0])
	if err == nil && resp.StatusCode == http.StatusNoContent {
		_ = resp.Body.Close()
		return c.table("", [][]string{{"tenant " + args[0] + " is gone"}})
	}
	_, err = read[struct{}](c, resp, err)
	return err
}

func kitDepartment(ctx context.Context, c *client, args []string, o *kitOptions) error {
	resp, err := c.api.PutKitDepartment(ctx, args[0], args[1], sandboxapi.KitDepartmentInput{OrgName: args[2], ParentCode: o.parent})
	return c.tenantMoved(ctx, resp, err)
}

func kitDropDepartment(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.DeleteKitDepartment(ctx, args[0], args[1])
	return c.tenantMoved(ctx, resp, err)
}

func kitDepartments(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	text, err := os.ReadFile(args[1]) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("departments: %w", err)
	}
	var list []sandboxapi.KitDepartment
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("departments: %s: expected a JSON array of objects with orgCode, orgName and parentCode", args[1])
	}
	if list == nil {
		list = []sandboxapi.KitDepartment{}
	}
	resp, err := c.api.ReplaceKitDepartments(ctx, args[0], sandboxapi.KitDepartmentList{Departments: list})
	return c.tenantMoved(ctx, resp, err)
}

func kitUsers(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.ListKitUsers(ctx, args[0], &sandboxapi.ListKitUsersParams{Limit: 1000})
	list, err := read[sandboxapi.KitUserList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, u := range list.Users {
		var lines []string
		for _, a := range u.Authorisations {
			text := or(a.OrderLineID, "(test tenant)")
			if a.Status != "authorised" {
				text += " " + a.Status
			}
			lines = append(lines, text)
		}
		rows = append(rows, []string{u.UserName, u.Account, u.Name, u.OrgCode, u.Role, u.Enable, or(strings.Join(lines, ", "), "-")})
	}
	return c.table("USER\tACCOUNT\tNAME\tDEPARTMENT\tROLE\tENABLED\tMAY USE", rows)
}

// kitUser adds a user, or changes of one what the flags name.
func kitUser(ctx context.Context, c *client, args []string, o *kitOptions) error {
	resp, err := c.api.GetKitUser(ctx, args[0], args[1])
	if err != nil || resp.StatusCode == http.StatusOK {
		was, err := read[sandboxapi.KitUserView](c.quietly(), resp, err)
		if err != nil {
			return err
		}
		in := sandboxapi.KitUserInput{
			Name: or(o.user.Name, was.Name), OrgCode: or(o.user.OrgCode, was.OrgCode), Role: or(o.user.Role, was.Role), Enable: or(o.user.Enable, was.Enable),
			Email: or(o.user.Email, was.Email), Mobile: or(o.user.Mobile, was.Mobile), Position: was.Position, EmployeeCode: was.EmployeeCode,
			EmployeeType: was.EmployeeType, WorkPlace: was.WorkPlace, EntryDate: was.EntryDate,
		}
		resp, err := c.api.PutKitUser(ctx, args[0], args[1], in)
		return c.userMoved(ctx, resp, err)
	}
	_ = resp.Body.Close()
	o.user.Name = or(o.user.Name, args[1])
	resp, err = c.api.PutKitUser(ctx, args[0], args[1], o.user)
	return c.userMoved(ctx, resp, err)
}

func kitPassword(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.ResetKitPassword(ctx, args[0], args[1])
	return c.userMoved(ctx, resp, err)
}

func kitDropUser(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.DeleteKitUser(ctx, args[0], args[1])
	return c.callsMoved(ctx, args[0], resp, err)
}

func kitBind(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.BindKitInstance(ctx, args[0], sandboxapi.KitBindingInput{OrderLineID: args[1]})
	return c.tenantMoved(ctx, resp, err)
}

func kitUnbind(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.UnbindKitInstance(ctx, args[0], args[1])
	return c.tenantMoved(ctx, resp, err)
}

func kitAuthorise(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.AuthoriseKitUsers(ctx, args[0], sandboxapi.KitAuthorisation{OrderLineID: args[1], Users: args[2:]})
	return c.tenantMoved(ctx, resp, err)
}

func kitCancel(ctx context.Context, c *client, args []string, _ *kitOptions) error {
	resp, err := c.api.CancelKitUsers(ctx, args[0], sandboxapi.KitAuthorisation{OrderLineID: args[1], Users: args[2:]})
	return c.tenantMoved(ctx, resp, err)
}

// demoUsers are the users of kit demo.
var demoUsers = []struct {
	name string
	in   sandboxapi.KitUserInput
}{
	{"ann", sandboxapi.KitUserInput{Name: "Ann Lee", OrgCode: "head", Role: "admin", Position: "Head", Email: "ann@example.com", Mobile: "13800000001"}},
	{"bob", sandboxapi.KitUserInput{Name: "Bob Wang", OrgCode: "sales", EmployeeCode: "0002", EmployeeType: 1, Email: "bob@example.com"}},
	{"cai", sandboxapi.KitUserInput{Name: "Cai Li", OrgCode: "lab", EmployeeCode: "0003", EmployeeType: 2, WorkPlace: "Shenzhen", EntryDate: "2024-02-1"}},
}

// kitDemo makes an enterprise with departments and users, binds the instance and authorises everybody.
func kitDemo(ctx context.Context, c *client, args []string, o *kitOptions) error {
	if c.asJSON {
		return misuse("kit demo is several operations and prints no JSON; do them one by one")
	}
	line := args[0]
	resp, err := c.api.GetInstance(ctx, line, nil)
	i, err := read[sandboxapi.Instance](c, resp, err)
	if err != nil {
		return err
	}
	resp, err = c.api.GetKitApplication(ctx, i.ProductCode)
	var app sandboxapi.KitApplication
	switch {
	case err == nil && resp.StatusCode == http.StatusNotFound && o.application.CallbackURL != "":
		_ = resp.Body.Close()
		if app, err = c.apply(ctx, i.ProductCode, o.application); err != nil {
			return err
		}
	case err == nil && resp.StatusCode == http.StatusNotFound:
		_ = resp.Body.Close()
		return &hintError{
			fmt.Errorf("product %s has no application credential yet, and the login page must know where to send users back to", i.ProductCode),
			"add --callback with the address at which your ISV takes logins, such as http://127.0.0.1:9000/kit/callback",
		}
	default:
		if app, err = read[sandboxapi.KitApplication](c, resp, err); err != nil {
			return err
		}
	}
	code := "demo-" + strconv.FormatInt(time.Now().UnixMilli()%1_000_000_000, 36)
	resp, err = c.api.CreateKitTenant(ctx, sandboxapi.KitTenantInput{TenantCode: code, Name: "Demo enterprise", Departments: []sandboxapi.KitDepartment{
		{OrgCode: "head", OrgName: "Head office"}, {OrgCode: "sales", OrgName: "Sales", ParentCode: "head"}, {OrgCode: "lab", OrgName: "Laboratory", ParentCode: "head"},
	}})
	t, err := read[sandboxapi.KitTenant](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, u := range demoUsers {
		resp, err := c.api.PutKitUser(ctx, t.TenantID, u.name, u.in)
		made, err := read[sandboxapi.KitUserChanged](c, resp, err)
		if err != nil {
			return err
		}
		rows = append(rows, []string{made.User.Account, made.Password, made.User.Role, made.User.OrgCode})
	}
	resp, err = c.api.BindKitInstance(ctx, t.TenantID, sandboxapi.KitBindingInput{OrderLineID: line})
	bound, err := read[sandboxapi.KitTenantChanged](c, resp, err)
	if err != nil {
		return err
	}
	resp, err = c.api.AuthoriseKitUsers(ctx, t.TenantID, sandboxapi.KitAuthorisation{OrderLineID: line})
	authorised, err := read[sandboxapi.KitTenantChanged](c, resp, err)
	if err != nil {
		return err
	}
	refused := c.attempted(ctx, t.TenantID, append(bound.Calls, authorised.Calls...))
	if err := c.table("ACCOUNT\tPASSWORD (told this once)\tROLE\tDEPARTMENT", rows); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return c.table("", [][]string{{"tenant " + code + " has bound the instance; log in at " + app.LoginURL}})
}
