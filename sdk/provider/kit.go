package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/signature"
)

// Kit is an Application of a joint-operation product: it hears of tenants, application credentials, users and departments. It
// needs Config.KitKeys (V2), or Config.V1.Keys.
//
// All five must be made to be repeated: adding what is there and deleting what is not there succeed, and a delete does not
// require that the instance exists. The instance id is empty while a seller applies for a credential. Marketplaces do not
// repeat kit calls by themselves; a person decides.
type Kit interface {
	// TenantSync adds, changes or deletes an enterprise.
	TenantSync(ctx context.Context, call TenantSync) error

	// ApplicationSync adds, changes or deletes the OAuth2 client with which users of a tenant log in.
	ApplicationSync(ctx context.Context, call ApplicationSync) error

	// AuthSync adds, changes or deletes users, at most 500. A user is identified by instance, tenant, application and user name.
	AuthSync(ctx context.Context, call AuthSync) error

	// SingleOrgSync adds, changes or deletes one department.
	SingleOrgSync(ctx context.Context, call SingleOrgSync) error

	// AllOrgSync replaces all departments of a tenant.
	AllOrgSync(ctx context.Context, call AllOrgSync) error
}

// What kit calls carry; the types of the contract.
type (
	// User is one of the users of [AuthSync]. It is never logged.
	User = providerapi.User
	// Department is one of the departments of [AllOrgSync].
	Department = providerapi.Department
)

// TenantSync tells about an enterprise; Flag says what happens to it.
type TenantSync struct{ providerapi.TenantSyncCall }

// ApplicationSync tells about a tenant's application credential; Flag says what happens to it.
type ApplicationSync struct {
	providerapi.ApplicationSyncCall
	// Secret is the OAuth2 client secret in plain text. Printing and logging the call leave it out.
	Secret string `json:"-"`
}

// AuthSync tells about users; Flag says what happens to them.
type AuthSync struct {
	providerapi.AuthSyncCall
	// Users is UserList decoded, whichever of its forms came.
	Users []User `json:"-"`
}

// SingleOrgSync tells about one department; Flag says what happens to it.
type SingleOrgSync struct{ providerapi.SingleOrgSyncCall }

// Department is the department the call is about.
func (c SingleOrgSync) Department() Department {
	return Department{OrgCode: c.OrgCode, OrgName: c.OrgName, ParentCode: c.ParentCode}
}

// AllOrgSync tells about all departments of a tenant: those that are not in it are gone.
type AllOrgSync struct {
	providerapi.AllOrgSyncCall
	// Departments is OrgInfoList decoded, whichever of its forms came.
	Departments []Department `json:"-"`
}

// String leaves the secret out.
func (c ApplicationSync) String() string {
	return fmt.Sprintf("{InstanceID:%s TenantID:%s AppID:%s ClientID:%s Flag:%d Secret:redacted}", c.InstanceID, c.TenantID, c.AppID, c.ClientID, c.Flag)
}

// Format writes what String returns whatever the verb, so that no way of printing shows the secret.
func (c ApplicationSync) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the secret out.
func (c ApplicationSync) LogValue() slog.Value { return slog.StringValue(c.String()) }

// kitName returns the name of the kit call whose sub-path the path ends in, "" if there is none. rest is the path before the
// name.
func kitName(path string) (rest, name string) {
	if !strings.HasSuffix(path, "Sync") { // as all five do; anything else costs no more
		return "", ""
	}
	i := strings.LastIndexByte(path, '/')
	call, ok := providerapi.Lookup(path[i+1:])
	if !ok || call.Class != providerapi.ClassKit {
		return "", ""
	}
	return path[:max(i, 0)], call.Name
}

// endsIn reports whether path ends in these whole segments.
func endsIn(path, segments string) bool {
	rest, ok := strings.CutSuffix(path, segments)
	return ok && (rest == "" || strings.HasSuffix(rest, "/"))
}

// acceptKit verifies a V2 kit call and compares it with the contract.
func (h *handler) acceptKit(r *http.Request, name string, body []byte) (in incoming, rep reply, ok bool) {
	if h.kit == nil {
		rep := reply{code: providerapi.ResultAuthenticationFailed, reason: "a kit call, and Config.KitKeys is empty"}
		return in, rep, false
	}
	params, err := signature.KitParams(r.Header)
	if err == nil {
		err = h.kit.Verify(r.Context(), params, body)
	}
	if err != nil {
		rep := refusal(err, "x-sign")
		if h.explain != nil && isMismatch(err) {
			rep.reason += h.explain(providerapi.ClassKit, params, body)
		}
		return in, rep, false
	}
	in.call, _ = providerapi.Lookup(name)
	return h.checked(in, body, isObject(body))
}

// serveKit hands a kit call, of V2 or V1, to the Application.
func (h *handler) serveKit(ctx context.Context, in *incoming, x *exchange) reply {
	app, ok := h.app.(Kit)
	if !ok {
		return unsupported(in.call.Name)
	}
	testFlag := providerapi.KitTestFlag(in.number("testFlag"))
	timeStamp := in.text("timeStamp")
	tenantID := in.text("tenantId")
	switch in.call.Name {
	case "tenantSync":
		call := TenantSync{providerapi.TenantSyncCall{
			TestFlag: testFlag, TimeStamp: timeStamp, InstanceID: x.instanceID, TenantID: tenantID,
			OrderID: in.text("orderId"), TenantCode: in.text("tenantCode"), Name: in.text("name"),
			DomainName: in.text("domainName"), Flag: providerapi.ChangeFlag(in.number("flag")),
		}}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.TenantSync(ctx, call) })

	case "applicationSync":
		call := ApplicationSync{ApplicationSyncCall: providerapi.ApplicationSyncCall{
			TestFlag: testFlag, TimeStamp: timeStamp, InstanceID: x.instanceID, TenantID: tenantID,
			AppID: in.text("appId"), ClientID: in.text("clientId"), ClientSecret: in.text("clientSecret"),
			Flag: providerapi.ChangeFlag(in.number("flag")),
		}}
		// Before the debug answer: the console wants to see that the secret can be decrypted.
		if h.cfg.KitSecret == nil {
			return outcome(x.activity, fmt.Errorf("%w: Config.KitSecret is nil", ErrClientSecret))
		}
		var err error
		if call.Secret, err = h.cfg.KitSecret.Decrypt(call.ClientSecret); err != nil {
			return outcome(x.activity, fmt.Errorf("%w: %w", ErrClientSecret, err))
		}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.ApplicationSync(ctx, call) })

	case "authSync":
		call := AuthSync{AuthSyncCall: providerapi.AuthSyncCall{
			TestFlag: testFlag, TimeStamp: timeStamp, InstanceID: x.instanceID, TenantID: tenantID,
			AppID: in.text("appId"), CurrentSyncTime: in.text("currentSyncTime"), Flag: providerapi.AuthFlag(in.number("flag")),
			UserList: in.list("userList"),
		}}
		var problem string
		if call.Users, problem = decodeUsers(call.UserList, call.Flag); problem != "" {
			return invalid(problem)
		}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.AuthSync(ctx, call) })

	case "singleOrgSync":
		call := SingleOrgSync{providerapi.SingleOrgSyncCall{
			TestFlag: testFlag, TimeStamp: timeStamp, InstanceID: x.instanceID, TenantID: tenantID,
			OrgCode: in.text("orgCode"), OrgName: in.text("orgName"), ParentCode: in.text("parentCode"),
			Flag: providerapi.ChangeFlag(in.number("flag")),
		}}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.SingleOrgSync(ctx, call) })

	case "allOrgSync":
		call := AllOrgSync{AllOrgSyncCall: providerapi.AllOrgSyncCall{
			TestFlag: testFlag, TimeStamp: timeStamp, InstanceID: x.instanceID, TenantID: tenantID,
			Flag: in.number("flag"), OrgInfoList: in.list("orgInfoList"),
		}}
		if in.v1 {
			call.OrgInfoList = in.list("orgInfo")
		}
		var problem string
		if call.Departments, problem = decodeDepartments(call.OrgInfoList); problem != "" {
			return invalid(problem)
		}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.AllOrgSync(ctx, call) })
	}
	return unsupported(in.call.Name)
}

// number is a field that the contract check found to be a whole number, or absent.
func (in *incoming) number(name string) int {
	text := string(in.fields[name])
	if in.v1 {
		text = in.texts[name]
	}
	n, _ := strconv.Atoi(text)
	return n
}

// list is a field that is an array or its JSON text: the array.
func (in *incoming) list(name string) []byte {
	raw := []byte(in.fields[name])
	if in.v1 {
		raw = []byte(in.texts[name])
	}
	if len(raw) > 0 && raw[0] == '"' {
		raw = []byte(unquote(raw))
	}
	if raw = bytes.TrimSpace(raw); in.v1 && len(raw) > 0 && raw[0] == '%' {
		if decoded, err := url.QueryUnescape(string(raw)); err == nil {
			return []byte(decoded)
		}
	}
	return raw
}

// loose is text, or a number or literal as text: senders differ, and in which of the forms they send a flag means nothing.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '{' || b[0] == '[':
		return fmt.Errorf("expected text")
	case b[0] == '"':
		*l = loose(unquote(b))
	case string(b) != "null":
		*l = loose(b)
	}
	return nil
}

// extension is where V1 has three of a user's fields; an object or its JSON text.
type extension struct {
	EmployeeType loose  `json:"employeeType"`
	EntryDate    string `json:"entryDate"`
	WorkPlace    string `json:"workPlace"`
}

func (e *extension) UnmarshalJSON(b []byte) error {
	type plain extension
	if b[0] == '"' {
		b = []byte(unquote(b))
		if len(bytes.TrimSpace(b)) == 0 {
			return nil
		}
	}
	return json.Unmarshal(b, (*plain)(e))
}

const maxUsers = 500 // the guide's limit for one call

// decodeUsers decodes the users of a call and compares them with the contract. What is wrong is told without values.
func decodeUsers(list []byte, flag providerapi.AuthFlag) (users []User, problem string) {
	var all []struct {
		User
		EmployeeType loose     `json:"employeeType"`
		Enable       loose     `json:"enable"`
		Extension    extension `json:"extension"`
	}
	if json.Unmarshal(list, &all) != nil || all == nil {
		return nil, "userList is no array of users"
	}
	if len(all) > maxUsers {
		return nil, fmt.Sprintf("userList has %d items, expected at most %d", len(all), maxUsers)
	}
	users = make([]User, len(all))
	for i := range all {
		u := &users[i]
		*u = all[i].User
		u.Enable = providerapi.UserEnable(all[i].Enable)
		employeeType := all[i].EmployeeType
		if employeeType == "" {
			employeeType = all[i].Extension.EmployeeType
		}
		if u.EntryDate == "" {
			u.EntryDate = all[i].Extension.EntryDate
		}
		if u.WorkPlace == "" {
			u.WorkPlace = all[i].Extension.WorkPlace
		}
		if employeeType != "" {
			n, err := strconv.Atoi(string(employeeType))
			u.EmployeeType = providerapi.UserEmployeeType(n)
			if err != nil || !u.EmployeeType.Valid() {
				return nil, fmt.Sprintf("userList[%d].employeeType must be one of 1, 2, 3, 4", i)
			}
		}
		if problem := checkUser(u, flag); problem != "" {
			return nil, fmt.Sprintf("userList[%d].%s", i, problem)
		}
	}
	return users, ""
}

// checkUser returns what is wrong with a user. One who is deleted needs a name and no more.
func checkUser(u *User, flag providerapi.AuthFlag) string {
	leaves := flag == providerapi.AuthFlagDelete || flag == providerapi.AuthFlagCancel
	switch {
	case u.UserName == "":
		return "userName is missing"
	case !u.Role.Valid() && (u.Role != "" || !leaves):
		return "role must be one of user, admin"
	case !u.Enable.Valid() && (u.Enable != "" || !leaves):
		return "enable must be one of true, false"
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"userName", u.UserName, 64},
		{"name", u.Name, 64},
		{"orgCode", u.OrgCode, 64},
		{"position", u.Position, 64},
		{"employeeCode", u.EmployeeCode, 64},
		{"mobile", u.Mobile, 32},
		{"email", u.Email, 128},
		{"workPlace", u.WorkPlace, 256},
		{"entryDate", u.EntryDate, 20},
	} {
		if problem := tooLong(f.value, f.most); problem != "" {
			return f.name + problem
		}
	}
	return ""
}

// decodeDepartments decodes the departments of a call. V1 calls the name of a department name, V2 orgName.
func decodeDepartments(list []byte) (departments []Department, problem string) {
	var all []struct {
		Department
		V1Name string `json:"name"`
	}
	if json.Unmarshal(list, &all) != nil || all == nil {
		return nil, "the list of departments is no array of departments"
	}
	departments = make([]Department, len(all))
	for i := range all {
		d := all[i].Department
		if d.OrgName == "" {
			d.OrgName = all[i].V1Name
		}
		if d.OrgCode == "" || slices.ContainsFunc([]string{d.OrgCode, d.ParentCode}, func(code string) bool { return utf8.RuneCountInString(code) > 64 }) {
			return nil, fmt.Sprintf("department %d: the codes must be of 1 to 64 characters", i)
		}
		if problem := tooLong(d.OrgName, 128); problem != "" {
			return nil, fmt.Sprintf("department %d: the name%s", i, problem)
		}
		departments[i] = d
	}
	return departments, ""
}
