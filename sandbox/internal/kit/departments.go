package kit

import (
	"slices"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

func checkDepartment(d Department) error {
	if err := text("orgCode", d.OrgCode, 1, 64); err != nil {
		return err
	}
	if err := text("orgName of department "+d.OrgCode, d.OrgName, 1, 128); err != nil {
		return err
	}
	return text("parentCode of department "+d.OrgCode, d.ParentCode, 0, 64)
}

// CheckDepartments tells what is wrong with all departments of a tenant together: codes are unique, parents are there, and nobody is
// above himself.
func CheckDepartments(list []Department) error {
	codes := make(map[string]bool, len(list))
	for _, d := range list {
		if err := checkDepartment(d); err != nil {
			return err
		}
		if codes[d.OrgCode] {
			return invalid("department %s is there twice; orgCode must be unique within the tenant", d.OrgCode)
		}
		codes[d.OrgCode] = true
	}
	for _, d := range list {
		if d.ParentCode != "" && !codes[d.ParentCode] {
			return invalid("department %s: its parent %s does not exist", d.OrgCode, d.ParentCode)
		}
	}
	sorted := parentsFirst(list)
	if len(sorted) == len(list) {
		return nil
	}
	i := slices.IndexFunc(list, func(d Department) bool { return !slices.Contains(sorted, d) })
	return invalid("department %s is, by its parents, below itself", list[i].OrgCode)
}

// parentsFirst orders departments so that each stands behind its parent, and otherwise keeps their order. What is in a cycle is left
// out.
func parentsFirst(list []Department) []Department {
	children := make(map[string][]Department, len(list))
	for _, d := range list {
		children[d.ParentCode] = append(children[d.ParentCode], d)
	}
	sorted := make([]Department, 0, len(list))
	sorted = append(sorted, children[""]...)
	for i := 0; i < len(sorted); i++ {
		sorted = append(sorted, children[sorted[i].OrgCode]...)
	}
	return sorted
}

// PutDepartment adds a department, or changes the name or the parent of one.
func (t *Tenant) PutDepartment(d Department) ([]Call, error) {
	if err := checkDepartment(d); err != nil {
		return nil, err
	}
	next, flag := slices.Clone(t.Departments), providerapi.FlagModify
	switch i := t.department(d.OrgCode); {
	case i < 0:
		next, flag = append(next, d), providerapi.FlagAdd
	case next[i] == d:
		return nil, &IllegalMoveError{"change department " + d.OrgCode, "it has that name and parent already", "change one of them"}
	default:
		next[i] = d
	}
	if err := CheckDepartments(next); err != nil {
		return nil, err
	}
	t.Departments = next
	return t.singleOrgSync(d, flag), nil
}

// DeleteDepartment deletes a department that has neither departments below it nor users. inUse are the codes of
// the departments that have users.
func (t *Tenant) DeleteDepartment(code string, inUse []string) ([]Call, error) {
	i := t.department(code)
	if i < 0 {
		return nil, invalid("department %s does not exist", code)
	}
	move := "delete department " + code
	if j := slices.IndexFunc(t.Departments, func(d Department) bool { return d.ParentCode == code }); j >= 0 {
		return nil, &IllegalMoveError{move, "department " + t.Departments[j].OrgCode + " is below it", "delete from the leaves up"}
	}
	if slices.Contains(inUse, code) {
		return nil, &IllegalMoveError{move, "it has users", "move them to another department first"}
	}
	d := t.Departments[i]
	t.Departments = slices.Delete(slices.Clone(t.Departments), i, i+1)
	return t.singleOrgSync(d, providerapi.FlagDelete), nil
}

// ReplaceDepartments replaces all departments. inUse are the codes of those that have users.
func (t *Tenant) ReplaceDepartments(list []Department, inUse []string) ([]Call, error) {
	if err := CheckDepartments(list); err != nil {
		return nil, err
	}
	for _, code := range inUse {
		if !slices.ContainsFunc(list, func(d Department) bool { return d.OrgCode == code }) {
			return nil, &IllegalMoveError{"replace the departments", "department " + code + " has users and is not among the new ones", "move its users first, or keep it"}
		}
	}
	t.Departments = slices.Clone(list)
	var calls []Call
	for _, b := range t.Bindings {
		calls = append(calls, t.allOrgSync(b))
	}
	return calls, nil
}
