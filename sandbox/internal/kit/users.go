package kit

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// checkUser tells what is wrong with a user; role user and enable true are the defaults.
func (t *Tenant) checkUser(u *User) error {
	if u.Role == "" {
		u.Role = providerapi.RoleUser
	}
	if u.Enable == "" {
		u.Enable = providerapi.EnableTrue
	}
	for _, f := range []struct {
		name, value string
		least, most int
	}{
		{"userName", u.UserName, 1, 64},
		{"name", u.Name, 1, 64},
		{"orgCode", u.OrgCode, 1, 64},
		{"position", u.Position, 0, 64},
		{"employeeCode", u.EmployeeCode, 0, 64},
		{"mobile", u.Mobile, 0, 32},
		{"email", u.Email, 0, 128},
		{"workPlace", u.WorkPlace, 0, 256},
	} {
		if err := text(f.name, f.value, f.least, f.most); err != nil {
			return err
		}
	}
	switch {
	case !u.Role.Valid():
		return invalid("role %q: expected user or admin", u.Role)
	case !u.Enable.Valid():
		return invalid("enable %q: expected the text true or false", u.Enable)
	case u.EmployeeType != 0 && !u.EmployeeType.Valid():
		return invalid("employeeType %d: expected 1 (regular), 2 (intern), 3 (dispatched) or 4 (outsourced)", u.EmployeeType)
	case t.department(u.OrgCode) < 0:
		return invalid("orgCode %s: the tenant has no such department; add it first", u.OrgCode)
	}
	if _, err := time.Parse("2006-1-2", u.EntryDate); u.EntryDate != "" && (err != nil || !dateForm.MatchString(u.EntryDate)) {
		return invalid("entryDate %q: expected a day such as 2022-04-1", u.EntryDate)
	}
	return nil
}

// AddUser makes a user of the tenant. The ISV does not hear of him before he is authorised.
func (t *Tenant) AddUser(u *User) error { return t.checkUser(u) }

// ChangeUser changes what is known of a user. Every instance that he may use hears of it.
func (t *Tenant) ChangeUser(was User, now *User, grants []Grant) ([]Call, error) {
	if err := t.checkUser(now); err != nil {
		return nil, err
	}
	switch {
	case was.UserName != now.UserName:
		return nil, invalid("userName: it cannot be changed; delete the user and add another")
	case was == *now:
		return nil, &IllegalMoveError{"change user " + was.UserName, "nothing of it differs", "change something"}
	}
	return t.eachGrant(grants, *now, providerapi.AuthFlagModify), nil
}

// DeleteUser deletes a user. Every instance that ever heard of him hears of it.
func (t *Tenant) DeleteUser(u User, grants []Grant) []Call {
	return t.eachGrant(grants, u, providerapi.AuthFlagDelete)
}

// eachGrant tells every binding that a grant names, in the bindings' order, about one user.
func (t *Tenant) eachGrant(grants []Grant, u User, flag providerapi.AuthFlag) (calls []Call) {
	for _, b := range t.Bindings {
		if slices.ContainsFunc(grants, func(g Grant) bool {
			return g.LineID == b.LineID && g.UserName == u.UserName && (flag == providerapi.AuthFlagDelete || !g.Cancelled)
		}) {
			calls = append(calls, t.authSync(b, []User{u}, flag)...)
		}
	}
	return calls
}

// Authorise lets users use an instance. grants are those of this binding.
func (t *Tenant) Authorise(b Binding, users []User, grants []Grant) ([]Call, error) {
	if err := checkList("authorise", users); err != nil {
		return nil, err
	}
	for _, u := range users {
		if i := grantOf(grants, b, u.UserName); i >= 0 && !grants[i].Cancelled {
			return nil, &IllegalMoveError{"authorise user " + u.UserName, "he is authorised already", "leave him out; a call that failed is restarted by itself"}
		}
	}
	return t.authSync(b, users, providerapi.AuthFlagAdd), nil
}

// Cancel takes the authorisation of users back. grants are those of this binding.
func (t *Tenant) Cancel(b Binding, users []User, grants []Grant) ([]Call, error) {
	const move = "cancel the authorisation of user "
	if err := checkList("cancel", users); err != nil {
		return nil, err
	}
	for _, u := range users {
		switch i := grantOf(grants, b, u.UserName); {
		case i < 0:
			return nil, &IllegalMoveError{move + u.UserName, "he has none", "leave him out"}
		case grants[i].Cancelled:
			return nil, &IllegalMoveError{move + u.UserName, "it was taken back already", "leave him out"}
		}
	}
	return t.authSync(b, users, providerapi.AuthFlagCancel), nil
}

func checkList(move string, users []User) error {
	if len(users) == 0 {
		return invalid("users: there is nobody to %s", move)
	}
	seen := make(map[string]bool, len(users))
	for _, u := range users {
		if seen[u.UserName] {
			return invalid("users: %s is there twice", u.UserName)
		}
		seen[u.UserName] = true
	}
	return nil
}

func grantOf(grants []Grant, b Binding, userName string) int {
	return slices.IndexFunc(grants, func(g Grant) bool { return g.LineID == b.LineID && g.UserName == userName })
}

// authSync makes as many calls as the users need.
func (t *Tenant) authSync(b Binding, users []User, flag providerapi.AuthFlag) (calls []Call) {
	for batch := range slices.Chunk(users, MaxUsers) {
		list, _ := json.Marshal(batch) // texts and numbers: it cannot fail
		calls = append(calls, b.call(AuthSync, providerapi.AuthSyncCall{
			InstanceID: b.InstanceID, TenantID: t.ID, AppID: b.Application.ID, UserList: list, Flag: flag,
		}))
	}
	return calls
}
