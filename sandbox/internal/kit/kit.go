// Package kit holds the rules of joint operation: enterprises (tenants) with departments and users, application credentials of kit
// products, the binding of instances to enterprises, and who may use them; which moves are legal, and which calls they yield in
// which order. It is pure: no clock, no store, no network.
//
// What is published is when which call is made (spec: tenantSync, applicationSync and allOrgSync for a credential and for a
// binding; authSync for members; singleOrgSync for an edited department). The order of deletes, and what happens to somebody who
// is deleted while several instances know of him, is ours.
package kit

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sdk/secret"
)

// The kit calls.
const (
	TenantSync      providerapi.Activity = "tenantSync"
	ApplicationSync providerapi.Activity = "applicationSync"
	AuthSync        providerapi.Activity = "authSync"
	SingleOrgSync   providerapi.Activity = "singleOrgSync"
	AllOrgSync      providerapi.Activity = "allOrgSync"
)

// MaxUsers is how many users one authSync carries at most. Source: the guide's V1 text.
const MaxUsers = 500

// ErrInvalid is wrapped by errors about what was asked for.
var ErrInvalid = errors.New("invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// IllegalMoveError says that a move is not possible as things are.
type IllegalMoveError struct {
	Move string // what was to be done, such as "bind the instance"
	Why  string // what stands against it
	Hint string // what to do
}

func (e *IllegalMoveError) Error() string {
	return fmt.Sprintf("cannot %s: %s; %s", e.Move, e.Why, e.Hint)
}

// User is a user of a tenant, as authSync carries it.
type User = providerapi.User

// Department is a department of a tenant, as allOrgSync carries it.
type Department = providerapi.Department

// Call is a kit call as decided.
type Call struct {
	ProductCode string // whose ISV is called
	LineID      string // the instance it is about; empty for an application credential
	lifecycle.Call
}

// Tenant is an enterprise.
type Tenant struct {
	ID   string
	Code string // short name, unique on the marketplace; accounts are called user@code
	Name string
	// Domain is the base address of its auth centre, as tenantSync tells it.
	Domain string
	// Test says that it belongs to an application credential and not to a buyer.
	Test bool
	// SellerID is the seller who made it, or whose credential it belongs to; empty: the operator made it.
	SellerID    string
	Departments []Department // parents may stand behind their children
	Bindings    []Binding    // in the order in which they came to be
}

// Application is the credential of a kit product.
type Application struct {
	ID            string
	ProductCode   string
	Name          string
	CallbackURL   string // where the login page sends users back to
	MultiInstance bool   // an enterprise may bind several instances of the product
	Digests       secret.Digests
	TestTenantID  string
}

// Client is the OAuth2 client of an application at the auth centre of one tenant.
type Client struct {
	ID     string
	Secret string // encrypted with the ISV's public key, as applicationSync carries it; the plain one is not kept
	Hash   string // of the plain secret, for the auth centre
}

// Instance is what can be bound.
type Instance struct {
	LineID      string
	OrderID     string
	InstanceID  string
	ProductCode string
	Status      string // ready is what a binding needs
	Tenant      string // name of the tenant that it is bound to already; empty: none
}

// Binding ties an instance, or the credential itself, to a tenant.
type Binding struct {
	Application Application
	Client      Client
	LineID      string // empty: the credential's test tenant
	OrderID     string
	InstanceID  string
}

// Grant says that a binding's ISV was told of a user.
type Grant struct {
	LineID    string
	AppID     string
	UserName  string
	Cancelled bool // the user may no longer use it, but was not deleted
}

var (
	codeForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	idForm   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	hostForm = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`) // it stands in a header of the login page
	dateForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$`)
)

// text checks a text field: its length in characters, and that it is one line of UTF-8.
func text(name, value string, least, most int) error {
	switch n := utf8.RuneCountInString(value); {
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return invalid("%s: expected one line of UTF-8 text", name)
	case n < least && n == 0:
		return invalid("%s is missing", name)
	case n < least || n > most:
		return invalid("%s has %d characters, expected %d to %d", name, n, least, most)
	case strings.TrimSpace(value) != value:
		return invalid("%s begins or ends with a blank", name)
	}
	return nil
}

// Check tells what is wrong with a new tenant.
func (t *Tenant) Check() error {
	if !codeForm.MatchString(t.Code) {
		return invalid("tenantCode %q: expected 1 to 64 letters, digits, points, dashes or underlines", t.Code)
	}
	if idForm.MatchString(t.Code) {
		return invalid("tenantCode %q: it looks like the id of a tenant; choose another", t.Code)
	}
	return text("name", t.Name, 1, 255)
}

// CheckDomain tells what is wrong with the base address of an auth centre. The contract wants https, and at most 255 characters.
func CheckDomain(domain string) error {
	u, err := url.Parse(domain)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(domain) > 255 {
		return invalid("address of the auth centre: expected https://host without user, query or fragment, because the contract wants domainName of tenantSync to begin with https://")
	}
	return nil
}

// Check fills in defaults and tells what is wrong with a new application.
func (a *Application) Check() error {
	a.Digests = cmp.Or(a.Digests, secret.DigestsJCE)
	a.Name = cmp.Or(a.Name, a.ProductCode)
	if err := text("name", a.Name, 1, 64); err != nil {
		return err
	}
	if a.Digests > secret.DigestsSHA1 {
		return invalid("oaep: no such combination of digests")
	}
	u, err := url.Parse(a.CallbackURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !hostForm.MatchString(u.Host) || u.User != nil || u.Fragment != "" || len(a.CallbackURL) > 1024 {
		return invalid("callbackUrl: expected an http or https address such as https://crm.example.com/kit/callback, without user or fragment")
	}
	return nil
}

// ParseDigests reads the name of a combination of digests as secret.Digests prints it; an empty name is the default,
// SHA-256/MGF1-SHA-1.
func ParseDigests(name string) (secret.Digests, error) {
	all := []secret.Digests{secret.DigestsJCE, secret.DigestsSHA256, secret.DigestsSHA1}
	if name == "" {
		return all[0], nil
	}
	for _, d := range all {
		if d.String() == name {
			return d, nil
		}
	}
	return 0, invalid("oaep %q: expected %s, %s or %s", name, all[0], all[1], all[2])
}

// department finds a department.
func (t *Tenant) department(code string) int {
	return slices.IndexFunc(t.Departments, func(d Department) bool { return d.OrgCode == code })
}

// Binding finds the binding of an instance, by its order line; an empty line is the credential's.
func (t *Tenant) Binding(lineID string) (Binding, bool) {
	i := slices.IndexFunc(t.Bindings, func(b Binding) bool { return b.LineID == lineID })
	if i < 0 {
		return Binding{}, false
	}
	return t.Bindings[i], true
}
