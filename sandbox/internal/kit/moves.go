package kit

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// OpenTest announces the test tenant of a new application credential, with instance ids that are empty.
func (t *Tenant) OpenTest(app Application, client Client) ([]Call, error) {
	const move = "apply for an application credential"
	switch {
	case !t.Test:
		return nil, &IllegalMoveError{move, "the tenant is a buyer's", "give it a test tenant of its own"}
	case len(t.Bindings) > 0:
		return nil, &IllegalMoveError{move, "the test tenant belongs to another credential", "give it a test tenant of its own"}
	}
	return t.announce(Binding{Application: app, Client: client})
}

// Bind binds an instance of a kit product to the tenant's organisation.
func (t *Tenant) Bind(app Application, client Client, i Instance) ([]Call, error) {
	move := "bind the instance of line " + i.LineID
	switch {
	case t.Test:
		return nil, &IllegalMoveError{move, "tenant " + t.Code + " is the test tenant of a credential", "bind it to a buyer's tenant"}
	case app.ProductCode != i.ProductCode:
		return nil, invalid("the instance is of product %s, the application of product %s", i.ProductCode, app.ProductCode)
	case i.Tenant != "":
		return nil, &IllegalMoveError{move, "it is bound to tenant " + i.Tenant, "unbind it there first"}
	case i.Status != "ready" || i.InstanceID == "":
		return nil, &IllegalMoveError{move, "it is " + i.Status, "an instance is bound while it is ready"}
	}
	if !app.MultiInstance {
		if j := slices.IndexFunc(t.Bindings, func(b Binding) bool { return b.Application.ID == app.ID }); j >= 0 {
			return nil, &IllegalMoveError{
				move, "the tenant has bound an instance of the product already, that of line " + t.Bindings[j].LineID,
				"unbind that one, or make the application one with multiInstance",
			}
		}
	}
	return t.announce(Binding{Application: app, Client: client, LineID: i.LineID, OrderID: i.OrderID, InstanceID: i.InstanceID})
}

// announce adds a binding and tells of it: the enterprise, its application, its departments. Source: SC-0169, GUIDE.
func (t *Tenant) announce(b Binding) ([]Call, error) {
	if err := CheckDomain(t.Domain); err != nil {
		return nil, err
	}
	t.Bindings = append(slices.Clone(t.Bindings), b)
	return []Call{t.tenantSync(b, providerapi.FlagAdd), t.applicationSync(b, providerapi.FlagAdd), t.allOrgSync(b)}, nil
}

// Unbind ends a binding: users first, then the application, then the enterprise, each as what the ISV was told last. Departments go
// with their enterprise. users are all that the ISV ever heard of, whether or not they may still use the instance.
func (t *Tenant) Unbind(lineID string, users []User) ([]Call, error) {
	i := slices.IndexFunc(t.Bindings, func(b Binding) bool { return b.LineID == lineID })
	if i < 0 {
		return nil, &IllegalMoveError{"unbind the instance of line " + lineID, "it is not bound to tenant " + t.Code, "list the tenant's bindings"}
	}
	b := t.Bindings[i]
	calls := append(t.authSync(b, users, providerapi.AuthFlagDelete),
		t.applicationSync(b, providerapi.FlagDelete), t.tenantSync(b, providerapi.FlagDelete))
	t.Bindings = slices.Delete(slices.Clone(t.Bindings), i, i+1)
	return calls, nil
}

// Rename gives the tenant another name, or its auth centre another address.
func (t *Tenant) Rename(name, domain string) ([]Call, error) {
	if err := text("name", name, 1, 255); err != nil {
		return nil, err
	}
	if name == t.Name && domain == t.Domain {
		return nil, &IllegalMoveError{"rename tenant " + t.Code, "it has that name already", "choose another"}
	}
	if len(t.Bindings) > 0 {
		if err := CheckDomain(domain); err != nil {
			return nil, err
		}
	}
	t.Name, t.Domain = name, domain
	var calls []Call
	for _, b := range t.Bindings {
		calls = append(calls, t.tenantSync(b, providerapi.FlagModify))
	}
	return calls, nil
}

// RenewClient gives the application another client secret at this tenant.
func (t *Tenant) RenewClient(appID string, client Client) (calls []Call) {
	t.Bindings = slices.Clone(t.Bindings)
	for i := range t.Bindings {
		if b := &t.Bindings[i]; b.Application.ID == appID {
			b.Client = client
			calls = append(calls, t.applicationSync(*b, providerapi.FlagModify))
		}
	}
	return calls
}

// Delete refuses to delete a tenant that still means something to an ISV.
func (t *Tenant) Delete() error {
	move := "delete tenant " + t.Code
	switch {
	case t.Test:
		return &IllegalMoveError{move, "it is the test tenant of a credential", "delete the credential"}
	case len(t.Bindings) > 0:
		return &IllegalMoveError{move, fmt.Sprintf("%d of its instances are bound", len(t.Bindings)), "unbind them first"}
	}
	return nil
}

func (b Binding) call(activity providerapi.Activity, body any) Call {
	return Call{ProductCode: b.Application.ProductCode, LineID: b.LineID, Call: lifecycle.Call{Activity: activity, Body: body}}
}

func (t *Tenant) tenantSync(b Binding, flag providerapi.ChangeFlag) Call {
	return b.call(TenantSync, providerapi.TenantSyncCall{
		InstanceID: b.InstanceID, OrderID: b.OrderID, TenantID: t.ID, TenantCode: t.Code, Name: t.Name, DomainName: t.Domain, Flag: flag,
	})
}

func (t *Tenant) applicationSync(b Binding, flag providerapi.ChangeFlag) Call {
	return b.call(ApplicationSync, providerapi.ApplicationSyncCall{
		InstanceID: b.InstanceID, TenantID: t.ID, AppID: b.Application.ID, ClientID: b.Client.ID, ClientSecret: b.Client.Secret, Flag: flag,
	})
}

func (t *Tenant) allOrgSync(b Binding) Call {
	list, _ := json.Marshal(parentsFirst(t.Departments)) // texts: it cannot fail
	return b.call(AllOrgSync, providerapi.AllOrgSyncCall{InstanceID: b.InstanceID, TenantID: t.ID, OrgInfoList: list})
}

func (t *Tenant) singleOrgSync(d Department, flag providerapi.ChangeFlag) (calls []Call) {
	for _, b := range t.Bindings {
		calls = append(calls, b.call(SingleOrgSync, providerapi.SingleOrgSyncCall{
			InstanceID: b.InstanceID, TenantID: t.ID, OrgCode: d.OrgCode, OrgName: d.OrgName, ParentCode: d.ParentCode, Flag: flag,
		}))
	}
	return calls
}
