package kit_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sdk/secret"
)

var app = kit.Application{ID: "app-1", ProductCode: "demo-kit", Name: "Demo", CallbackURL: "https://crm.example.com/callback"}

var client = kit.Client{ID: "client-1", Secret: "QUJD", Hash: kit.Hash("secret")}

const domain = "https://auth.example.com/tenants/t-1"

func ready(line string) kit.Instance {
	return kit.Instance{LineID: line, OrderID: "CS1", InstanceID: "i-" + line, ProductCode: "demo-kit", Status: "ready"}
}

func user(name string) kit.User {
	return kit.User{UserName: name, Name: strings.ToUpper(name), OrgCode: "sales", Role: providerapi.RoleUser, Enable: providerapi.EnableTrue}
}

func must(calls []kit.Call, err error) []kit.Call {
	if err != nil {
		panic(err)
	}
	return calls
}

// situation is a tenant with what stands beside it in the store.
type situation struct {
	tenant kit.Tenant
	app    kit.Application
	grants []kit.Grant
}

func empty() *situation {
	return &situation{tenant: kit.Tenant{ID: "t-1", Code: "acme", Name: "Acme", Domain: domain}, app: app}
}

func organised() *situation {
	s := empty()
	s.tenant.Departments = []kit.Department{{OrgCode: "sales", OrgName: "Sales", ParentCode: "top"}, {OrgCode: "top", OrgName: "Top"}}
	return s
}

func bound(grants ...kit.Grant) *situation {
	s := organised()
	must(s.tenant.Bind(s.app, client, ready("L1")))
	s.grants = grants
	return s
}

// situations are the states of the table below; each is made afresh.
var situations = map[string]func() *situation{
	"empty":     empty,
	"organised": organised,
	"bound":     func() *situation { return bound() },
	"bound twice": func() *situation {
		s := organised()
		s.app.MultiInstance = true
		must(s.tenant.Bind(s.app, client, ready("L1")))
		must(s.tenant.Bind(s.app, client, ready("L2")))
		s.grants = []kit.Grant{{LineID: "L2", AppID: "app-1", UserName: "ann"}}
		return s
	},
	"authorised": func() *situation { return bound(kit.Grant{LineID: "L1", AppID: "app-1", UserName: "ann"}) },
	"cancelled": func() *situation {
		return bound(kit.Grant{LineID: "L1", AppID: "app-1", UserName: "ann", Cancelled: true})
	},
	"test tenant": func() *situation {
		s := organised()
		s.tenant.Test = true
		must(s.tenant.OpenTest(s.app, client))
		return s
	},
	"no https": func() *situation {
		s := organised()
		s.tenant.Domain = "http://127.0.0.1:8480/tenants/t-1"
		return s
	},
}

var moves = map[string]func(s *situation) ([]kit.Call, error){
	"open test": func(s *situation) ([]kit.Call, error) {
		return s.tenant.OpenTest(s.app, client)
	},
	"bind L1": func(s *situation) ([]kit.Call, error) { return s.tenant.Bind(s.app, client, ready("L1-new")) },
	"bind frozen": func(s *situation) ([]kit.Call, error) {
		i := ready("L9")
		i.Status = "frozen"
		return s.tenant.Bind(s.app, client, i)
	},
	"bind another's": func(s *situation) ([]kit.Call, error) {
		i := ready("L9")
		i.Tenant = "other"
		return s.tenant.Bind(s.app, client, i)
	},
	"unbind L1": func(s *situation) ([]kit.Call, error) { return s.tenant.Unbind("L1", known(s, "L1")) },
	"authorise ann": func(s *situation) ([]kit.Call, error) {
		return s.tenant.Authorise(binding(s), []kit.User{user("ann")}, s.grants)
	},
	"cancel ann": func(s *situation) ([]kit.Call, error) {
		return s.tenant.Cancel(binding(s), []kit.User{user("ann")}, s.grants)
	},
	"change ann": func(s *situation) ([]kit.Call, error) {
		now := user("ann")
		now.Role = providerapi.RoleAdmin
		return s.tenant.ChangeUser(user("ann"), &now, s.grants)
	},
	"change nothing": func(s *situation) ([]kit.Call, error) {
		now := user("ann")
		return s.tenant.ChangeUser(now, &now, s.grants)
	},
	"delete ann":  func(s *situation) ([]kit.Call, error) { return s.tenant.DeleteUser(user("ann"), s.grants), nil },
	"rename":      func(s *situation) ([]kit.Call, error) { return s.tenant.Rename("Acme Ltd", s.tenant.Domain) },
	"rename same": func(s *situation) ([]kit.Call, error) { return s.tenant.Rename("Acme", s.tenant.Domain) },
	"add a team": func(s *situation) ([]kit.Call, error) {
		return s.tenant.PutDepartment(kit.Department{OrgCode: "n", OrgName: "New"})
	},
	"move sales": func(s *situation) ([]kit.Call, error) {
		return s.tenant.PutDepartment(kit.Department{OrgCode: "sales", OrgName: "Sales"})
	},
	"make a cycle": func(s *situation) ([]kit.Call, error) {
		return s.tenant.PutDepartment(kit.Department{OrgCode: "top", OrgName: "Top", ParentCode: "sales"})
	},
	"same sales": func(s *situation) ([]kit.Call, error) {
		return s.tenant.PutDepartment(kit.Department{OrgCode: "sales", OrgName: "Sales", ParentCode: "top"})
	},
	"delete top":        func(s *situation) ([]kit.Call, error) { return s.tenant.DeleteDepartment("top", nil) },
	"delete sales":      func(s *situation) ([]kit.Call, error) { return s.tenant.DeleteDepartment("sales", []string{"top"}) },
	"delete full sales": func(s *situation) ([]kit.Call, error) { return s.tenant.DeleteDepartment("sales", []string{"sales"}) },
	"replace all": func(s *situation) ([]kit.Call, error) {
		return s.tenant.ReplaceDepartments([]kit.Department{{OrgCode: "x", OrgName: "X"}}, nil)
	},
	"replace used": func(s *situation) ([]kit.Call, error) {
		return s.tenant.ReplaceDepartments([]kit.Department{{OrgCode: "x", OrgName: "X"}}, []string{"sales"})
	},
	"renew secret": func(s *situation) ([]kit.Call, error) {
		return s.tenant.RenewClient("app-1", kit.Client{ID: "client-1", Secret: "REVG"}), nil
	},
	"delete tenant": func(s *situation) ([]kit.Call, error) { return nil, s.tenant.Delete() },
}

// binding is the one that authorisations are about: the last one.
func binding(s *situation) kit.Binding {
	if len(s.tenant.Bindings) == 0 {
		return kit.Binding{Application: s.app, LineID: "none"}
	}
	return s.tenant.Bindings[len(s.tenant.Bindings)-1]
}

func known(s *situation, line string) (users []kit.User) {
	for _, g := range s.grants {
		if g.LineID == line {
			users = append(users, user(g.UserName))
		}
	}
	return users
}

// TestMoves is the whole table: every move in every situation gives calls or is refused by name.
func TestMoves(t *testing.T) {
	t.Parallel()
	const (
		bind   = "tenantSync 1 L1-new, applicationSync 1 L1-new, allOrgSync L1-new"
		no     = "illegal: cannot "
		bad    = "invalid: "
		noDept = bad + "orgCode sales: the tenant has no such department"
	)
	// What holds in every situation for which nothing else is said below.
	usual := map[string]string{
		"open test":         no + "apply for an application credential: the tenant is a buyer's",
		"bind L1":           no + "bind the instance of line L1-new: the tenant has bound an instance of the product already, that of line L1",
		"bind frozen":       no + "bind the instance of line L9: it is frozen",
		"bind another's":    no + "bind the instance of line L9: it is bound to tenant other",
		"unbind L1":         "applicationSync 0 L1, tenantSync 0 L1",
		"authorise ann":     "authSync 1 L1 ann",
		"cancel ann":        no + "cancel the authorisation of user ann: he has none",
		"change ann":        "",
		"change nothing":    no + "change user ann: nothing of it differs",
		"delete ann":        "",
		"rename":            "tenantSync 2 L1",
		"rename same":       no + "rename tenant acme: it has that name already",
		"add a team":        "singleOrgSync 1 L1",
		"move sales":        "singleOrgSync 2 L1",
		"make a cycle":      bad + "department sales is, by its parents, below itself",
		"same sales":        no + "change department sales: it has that name and parent already",
		"delete top":        no + "delete department top: department sales is below it",
		"delete sales":      "singleOrgSync 0 L1",
		"delete full sales": no + "delete department sales: it has users",
		"replace all":       "allOrgSync L1",
		"replace used":      no + "replace the departments: department sales has users",
		"renew secret":      "applicationSync 2 L1",
		"delete tenant":     no + "delete tenant acme: 1 of its instances are bound",
	}
	// A tenant that nothing is bound to makes no calls.
	unbound := map[string]string{
		"bind L1": bind, "unbind L1": no + "unbind the instance of line L1: it is not bound to tenant acme",
		"rename": "", "add a team": "", "move sales": "", "delete sales": "", "replace all": "", "renew secret": "", "delete tenant": "",
		"authorise ann": "authSync 1 none ann", // the book never asks without a binding
	}
	merge := func(tables ...map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range tables {
			maps.Copy(all, m)
		}
		return all
	}
	for name, differs := range map[string]map[string]string{
		"empty": merge(unbound, map[string]string{
			"change ann": noDept, "change nothing": noDept, "move sales": "",
			"make a cycle": bad + "department top: its parent sales does not exist", "same sales": bad + "department sales: its parent top does not exist",
			"delete top": bad + "department top does not exist", "delete sales": bad + "department sales does not exist",
			"delete full sales": bad + "department sales does not exist",
		}),
		"organised": unbound,
		"bound":     {},
		"bound twice": {
			"bind L1": bind, "authorise ann": no + "authorise user ann: he is authorised already", "cancel ann": "authSync 3 L2 ann",
			"change ann": "authSync 2 L2 ann", "delete ann": "authSync 0 L2 ann", "rename": "tenantSync 2 L1, tenantSync 2 L2",
			"add a team": "singleOrgSync 1 L1, singleOrgSync 1 L2", "move sales": "singleOrgSync 2 L1, singleOrgSync 2 L2",
			"delete sales": "singleOrgSync 0 L1, singleOrgSync 0 L2", "replace all": "allOrgSync L1, allOrgSync L2",
			"renew secret": "applicationSync 2 L1, applicationSync 2 L2", "delete tenant": no + "delete tenant acme: 2 of its instances are bound",
		},
		"authorised": {
			"authorise ann": no + "authorise user ann: he is authorised already", "cancel ann": "authSync 3 L1 ann", "change ann": "authSync 2 L1 ann",
			"delete ann": "authSync 0 L1 ann", "unbind L1": "authSync 0 L1 ann, applicationSync 0 L1, tenantSync 0 L1",
		},
		"cancelled": {
			"cancel ann": no + "cancel the authorisation of user ann: it was taken back already",
			"delete ann": "authSync 0 L1 ann", "unbind L1": "authSync 0 L1 ann, applicationSync 0 L1, tenantSync 0 L1",
		},
		"test tenant": {
			"open test": no + "apply for an application credential: the test tenant belongs to another credential",
			"bind L1":   no + "bind the instance of line L1-new: tenant acme is the test tenant", "bind frozen": no + "bind the instance of line L9: tenant acme is the test tenant",
			"bind another's": no + "bind the instance of line L9: tenant acme is the test tenant", "unbind L1": unbound["unbind L1"],
			"authorise ann": "authSync 1  ann", "rename": "tenantSync 2 ", "add a team": "singleOrgSync 1 ", "move sales": "singleOrgSync 2 ",
			"delete sales": "singleOrgSync 0 ", "replace all": "allOrgSync ", "renew secret": "applicationSync 2 ",
			"delete tenant": no + "delete tenant acme: it is the test tenant of a credential",
		},
		"no https": merge(unbound, map[string]string{"bind L1": bad + "address of the auth centre: expected https://host"}),
	} {
		want := merge(usual, differs)
		require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(moves)))
		for move, expected := range want {
			t.Run(name+"/"+move, func(t *testing.T) {
				t.Parallel()
				s := situations[name]()
				before, err := json.Marshal(s.tenant)
				require.NoError(t, err)
				calls, err := moves[move](s)
				var got string
				var illegal *kit.IllegalMoveError
				if err == nil {
					got = tell(t, calls)
				} else {
					got = err.Error()
					if errors.As(err, &illegal) {
						got = "illegal: " + got
						require.NotEmpty(t, illegal.Hint)
					} else {
						require.ErrorIs(t, err, kit.ErrInvalid)
					}
					after, err := json.Marshal(s.tenant)
					require.NoError(t, err)
					require.JSONEq(t, string(before), string(after), "a move that was refused changed something")
				}
				if strings.HasPrefix(expected, "illegal: ") || strings.HasPrefix(expected, "invalid: ") {
					require.Truef(t, strings.HasPrefix(got, expected), "expected %q, got %q", expected, got)
					return
				}
				require.Equal(t, expected, got)
			})
		}
	}
}

// tell writes calls as a line and compares each with the contract, once delivery has put in what changes with each attempt.
func tell(t *testing.T, calls []kit.Call) string {
	t.Helper()
	told := make([]string, len(calls))
	for i, c := range calls {
		require.Empty(t, c.OrderID, "a kit call carries no order out")
		require.Equal(t, "demo-kit", c.ProductCode)
		body, err := json.Marshal(c.Body)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(body, &fields))
		fields["timeStamp"] = "20220413093539534"
		if c.Activity == kit.AuthSync {
			fields["currentSyncTime"] = "20220413093539534"
		}
		body, err = json.Marshal(fields)
		require.NoError(t, err)
		schema, err := contract.Provider().Call(string(c.Activity))
		require.NoError(t, err)
		require.Empty(t, schema.Violations(body), "%s", body)
		told[i] = string(c.Activity)
		if flag, ok := fields["flag"]; ok {
			told[i] += fmt.Sprintf(" %v", flag)
		}
		told[i] += " " + c.LineID
		if c.LineID != "" && c.LineID != "none" {
			require.Equal(t, "i-"+c.LineID, fields["instanceId"])
		}
		if users, ok := fields["userList"].([]any); ok {
			for _, u := range users {
				user, _ := u.(map[string]any)
				told[i] += fmt.Sprintf(" %v", user["userName"])
			}
		}
	}
	return strings.Join(told, ", ")
}

func TestOpenTest_AnnouncesWithEmptyIDs(t *testing.T) {
	t.Parallel()
	s := organised()
	s.tenant.Test = true
	calls, err := s.tenant.OpenTest(s.app, client)
	require.NoError(t, err)
	require.Equal(t, "tenantSync 1 , applicationSync 1 , allOrgSync ", tell(t, calls))
	require.Equal(t, providerapi.TenantSyncCall{
		TenantID: "t-1", TenantCode: "acme", Name: "Acme", DomainName: domain, Flag: providerapi.FlagAdd,
	}, calls[0].Body)
	require.Equal(t, providerapi.ApplicationSyncCall{
		TenantID: "t-1", AppID: "app-1", ClientID: "client-1", ClientSecret: "QUJD", Flag: providerapi.FlagAdd,
	}, calls[1].Body)
	list, ok := calls[2].Body.(providerapi.AllOrgSyncCall)
	require.True(t, ok)
	require.JSONEq(t, `[{"orgCode":"top","orgName":"Top"},{"orgCode":"sales","orgName":"Sales","parentCode":"top"}]`, string(list.OrgInfoList), "parents first")
}

func TestAllOrgSync_WithoutDepartmentsIsAnEmptyList(t *testing.T) {
	t.Parallel()
	s := empty()
	calls, err := s.tenant.Bind(s.app, client, ready("L1"))
	require.NoError(t, err)
	require.Equal(t, "tenantSync 1 L1, applicationSync 1 L1, allOrgSync L1", tell(t, calls))
	list, ok := calls[2].Body.(providerapi.AllOrgSyncCall)
	require.True(t, ok)
	require.Equal(t, "[]", string(list.OrgInfoList))
}

func TestBind_AnotherProductsApplication(t *testing.T) {
	t.Parallel()
	s := organised()
	i := ready("L1")
	i.ProductCode = "other"
	_, err := s.tenant.Bind(s.app, client, i)
	require.ErrorIs(t, err, kit.ErrInvalid)
}

func TestAuthorise_InBatches(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]int{1: {1}, 500: {500}, 501: {500, 1}, 1250: {500, 500, 250}} {
		s := bound()
		var users []kit.User
		for i := range n {
			users = append(users, user(fmt.Sprintf("u%04d", i)))
		}
		calls, err := s.tenant.Authorise(binding(s), users, nil)
		require.NoError(t, err)
		var got []int
		next := 0
		for _, c := range calls {
			var list []kit.User
			body, ok := c.Body.(providerapi.AuthSyncCall)
			require.True(t, ok)
			require.NoError(t, json.Unmarshal(body.UserList, &list))
			got = append(got, len(list))
			for _, u := range list {
				require.Equal(t, users[next].UserName, u.UserName)
				next++
			}
		}
		require.Equal(t, want, got)
		require.Len(t, strings.Split(tell(t, calls), ","), len(want))
	}
	s := bound()
	_, err := s.tenant.Authorise(binding(s), nil, nil)
	require.ErrorIs(t, err, kit.ErrInvalid)
	_, err = s.tenant.Authorise(binding(s), []kit.User{user("ann"), user("ann")}, nil)
	require.ErrorContains(t, err, "ann is there twice")
}

func TestAddUser_Rules(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 300)
	for name, tc := range map[string]struct {
		change func(u *kit.User)
		want   string // empty: legal
	}{
		"plain":                {func(*kit.User) {}, ""},
		"defaults":             {func(u *kit.User) { u.Role, u.Enable = "", "" }, ""},
		"everything":           {func(u *kit.User) { *u = full() }, ""},
		"longest name":         {func(u *kit.User) { u.UserName = long[:128] }, ""},
		"no userName":          {func(u *kit.User) { u.UserName = "" }, "userName is missing"},
		"userName too long":    {func(u *kit.User) { u.UserName = long[:130] }, "userName has 65 characters, expected 1 to 64"},
		"userName two lines":   {func(u *kit.User) { u.UserName = "a\nb" }, "userName: expected one line"},
		"userName no UTF-8":    {func(u *kit.User) { u.UserName = "a\xff" }, "userName: expected one line"},
		"userName blank":       {func(u *kit.User) { u.UserName = " ann" }, "userName begins or ends with a blank"},
		"no name":              {func(u *kit.User) { u.Name = "" }, "name is missing"},
		"no department":        {func(u *kit.User) { u.OrgCode = "" }, "orgCode is missing"},
		"unknown department":   {func(u *kit.User) { u.OrgCode = "nowhere" }, "orgCode nowhere: the tenant has no such department"},
		"position too long":    {func(u *kit.User) { u.Position = long }, "position has 300"},
		"staff number":         {func(u *kit.User) { u.EmployeeCode = long }, "employeeCode has 300"},
		"mobile too long":      {func(u *kit.User) { u.Mobile = long }, "mobile has 300"},
		"email too long":       {func(u *kit.User) { u.Email = long }, "email has 300"},
		"workPlace too long":   {func(u *kit.User) { u.WorkPlace = long }, "workPlace has 300"},
		"unknown role":         {func(u *kit.User) { u.Role = "root" }, "role \"root\""},
		"unknown enable":       {func(u *kit.User) { u.Enable = "yes" }, "enable \"yes\""},
		"unknown employeeType": {func(u *kit.User) { u.EmployeeType = 5 }, "employeeType 5"},
		"entryDate":            {func(u *kit.User) { u.EntryDate = "1.4.2022" }, "entryDate \"1.4.2022\""},
		"entryDate no day":     {func(u *kit.User) { u.EntryDate = "2022-13-1" }, "entryDate \"2022-13-1\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := organised()
			u := user("ann")
			tc.change(&u)
			err := s.tenant.AddUser(&u)
			if tc.want != "" {
				require.ErrorIs(t, err, kit.ErrInvalid)
				require.ErrorContains(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			require.NotEmpty(t, u.Role)
			require.NotEmpty(t, u.Enable)
			s = bound()
			calls, err := s.tenant.Authorise(binding(s), []kit.User{u}, nil)
			require.NoError(t, err)
			require.Equal(t, "authSync 1 L1 "+u.UserName, tell(t, calls)) // and the contract takes it
		})
	}
}

func full() kit.User {
	return kit.User{
		UserName: "zhangsan", Name: "张三", OrgCode: "sales", Position: "engineer", EmployeeCode: "00123", EmployeeType: providerapi.EmployeeIntern,
		Role: providerapi.RoleAdmin, Enable: providerapi.EnableFalse, Mobile: "13800000000", Email: "z@example.com", WorkPlace: "Shenzhen", EntryDate: "2022-04-1",
	}
}

func TestChangeUser_KeepsTheName(t *testing.T) {
	t.Parallel()
	s := organised()
	now := user("bob")
	_, err := s.tenant.ChangeUser(user("ann"), &now, nil)
	require.ErrorContains(t, err, "userName: it cannot be changed")
}

func TestCheckDepartments(t *testing.T) {
	t.Parallel()
	d := func(code, parent string) kit.Department {
		return kit.Department{OrgCode: code, OrgName: strings.ToUpper(code), ParentCode: parent}
	}
	for name, tc := range map[string]struct {
		list []kit.Department
		want string
	}{
		"none":          {nil, ""},
		"a tree":        {[]kit.Department{d("c", "b"), d("b", "a"), d("a", ""), d("z", "")}, ""},
		"twice":         {[]kit.Department{d("a", ""), d("a", "")}, "department a is there twice"},
		"no parent":     {[]kit.Department{d("a", "x")}, "its parent x does not exist"},
		"own parent":    {[]kit.Department{d("a", "a")}, "department a is, by its parents, below itself"},
		"a ring":        {[]kit.Department{d("z", ""), d("a", "b"), d("b", "c"), d("c", "a")}, "department a is, by its parents, below itself"},
		"no code":       {[]kit.Department{d("", "")}, "orgCode is missing"},
		"code too long": {[]kit.Department{d(strings.Repeat("x", 65), "")}, "orgCode has 65 characters"},
		"no name":       {[]kit.Department{{OrgCode: "a"}}, "orgName of department a is missing"},
		"name too long": {[]kit.Department{{OrgCode: "a", OrgName: strings.Repeat("x", 129)}}, "orgName of department a has 129"},
	} {
		err := kit.CheckDepartments(tc.list)
		if tc.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, kit.ErrInvalid, name)
		require.ErrorContains(t, err, tc.want, name)
	}
}

func TestTenant_Check(t *testing.T) {
	t.Parallel()
	require.NoError(t, (&kit.Tenant{Code: "acme-1", Name: "Acme"}).Check())
	require.ErrorContains(t, (&kit.Tenant{Code: "a@b", Name: "Acme"}).Check(), "tenantCode")
	require.ErrorContains(t, (&kit.Tenant{Code: kit.RandomText(16), Name: "Acme"}).Check(), "looks like the id")
	require.ErrorContains(t, (&kit.Tenant{Code: "a"}).Check(), "name is missing")
	require.ErrorContains(t, (&kit.Tenant{Code: "a", Name: strings.Repeat("x", 256)}).Check(), "name has 256")
}

func TestApplication_Check(t *testing.T) {
	t.Parallel()
	a := kit.Application{ProductCode: "p", CallbackURL: "https://crm.example.com/callback"}
	require.NoError(t, a.Check())
	require.Equal(t, secret.DigestsJCE, a.Digests)
	require.Equal(t, "p", a.Name)
	for _, callback := range []string{"http://127.0.0.1:9000/kit/callback", "https://[::1]:9000/", "https://xn--fiqs8s.example/?a=b"} {
		a.CallbackURL = callback
		require.NoError(t, a.Check(), callback)
	}
	for _, callback := range []string{"", "crm.example.com", "javascript:alert(1)", "https://u:p@crm.example.com", "https://crm.example.com/#x", "https://crm;x/", "https://"} {
		a.CallbackURL = callback
		require.ErrorContains(t, a.Check(), "callbackUrl", callback)
	}
}

func TestParseDigests(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]secret.Digests{
		"": secret.DigestsJCE, "SHA-256/MGF1-SHA-1": secret.DigestsJCE, "SHA-256/MGF1-SHA-256": secret.DigestsSHA256, "SHA-1/MGF1-SHA-1": secret.DigestsSHA1,
	} {
		got, err := kit.ParseDigests(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := kit.ParseDigests("MD5")
	require.ErrorIs(t, err, kit.ErrInvalid)
}

// isvKey is an ISV's key; making one takes a while.
var isvKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		panic(err)
	}
	return key
})

func spki(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

func TestNewClient_OnlyTheISVReadsTheSecret(t *testing.T) {
	t.Parallel()
	public, _, err := kit.ParsePublicKey(spki(t, &isvKey().PublicKey))
	require.NoError(t, err)
	for _, d := range []secret.Digests{secret.DigestsJCE, secret.DigestsSHA256, secret.DigestsSHA1} {
		c, err := kit.NewClient("", public, d)
		require.NoError(t, err)
		only, err := secret.NewOAEP(secret.OAEPConfig{Key: isvKey(), Digests: []secret.Digests{d}})
		require.NoError(t, err)
		plain, err := only.Decrypt(c.Secret)
		require.NoError(t, err, d)
		require.Len(t, plain, 64)
		require.True(t, kit.Matches(c.Hash, plain))
		require.False(t, kit.Matches(c.Hash, plain+"x"))
		require.NotContains(t, fmt.Sprintf("%+v", c), plain)
		again, err := kit.NewClient(c.ID, public, d)
		require.NoError(t, err)
		require.Equal(t, c.ID, again.ID)
		require.NotEqual(t, c.Hash, again.Hash)
	}
}

func TestParsePublicKey(t *testing.T) {
	t.Parallel()
	line := spki(t, &isvKey().PublicKey)
	der, err := base64.StdEncoding.DecodeString(line)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"as pasted": line, "in several lines": line[:64] + "\n" + line[64:] + "\n",
		"with the lines of PEM": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	} {
		_, got, err := kit.ParsePublicKey(value)
		require.NoError(t, err, name)
		require.Equal(t, line, got, name)
	}
	short, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, tc := range map[string]struct{ value, want string }{
		"none":      {" ", "kitPublicKey is missing"},
		"no Base64": {"?", "expected the Base64 text of an RSA public key"},
		"no key":    {"QUJD", "expected the Base64 text of an RSA public key"},
		"too short": {spki(t, &short.PublicKey), "the key has 2048 bits, expected at least 3072"},
	} {
		_, _, err := kit.ParsePublicKey(tc.value)
		require.ErrorIs(t, err, kit.ErrInvalid, name)
		require.ErrorContains(t, err, tc.want, name)
		require.ErrorContains(t, err, "openssl genrsa", name)
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("MIIB")
	f.Add("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----")
	f.Fuzz(func(t *testing.T, value string) {
		key, text, err := kit.ParsePublicKey(value)
		if err == nil && (key == nil || text == "") {
			t.Fatal("neither key nor error")
		}
	})
}

// FuzzMayLeadTo: wherever a logout leads, a browser at the auth centre ends there or at the call-back's origin.
func FuzzMayLeadTo(f *testing.F) {
	for _, seed := range []string{"https://crm.example.com/bye", "/x", "//evil", "/\\evil", "https://crm.example.com@evil", "https:crm.example.com", "\t/x", "?x", "https://crm.example.com\\.evil"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://centre.example.com/tenants/t-1/api/v1/logout")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if !kit.MayLeadTo(address, []string{"https://crm.example.com/callback"}) {
			return
		}
		end, err := base.Parse(strings.ReplaceAll(address, "\\", "/")) // browsers take one for the other
		if err != nil {
			t.Fatalf("%q: %s", address, err)
		}
		if host := strings.ToLower(end.Host); end.Scheme != "https" || host != "centre.example.com" && host != "crm.example.com" {
			t.Fatalf("%q leads to %s", address, end)
		}
	})
}

func FuzzSplitAccount(f *testing.F) {
	f.Add("ann@acme")
	f.Add("a@b@c")
	f.Fuzz(func(t *testing.T, account string) {
		user, code, ok := kit.SplitAccount(account)
		if ok != (user != "") || ok != (code != "") || ok && user+"@"+code != account {
			t.Fatalf("%q: %q %q %v", account, user, code, ok)
		}
	})
}
