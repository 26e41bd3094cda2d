package suite

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sdk/secret"
)

// The kit calls.
const (
	tenantSync      = "tenantSync"
	applicationSync = "applicationSync"
	authSync        = "authSync"
	singleOrgSync   = "singleOrgSync"
	allOrgSync      = "allOrgSync"
)

// What the field flag says.
const (
	remove = 0
	add    = 1
	modify = 2
	cancel = 3 // authSync only
)

// tenant is an enterprise, with what an ISV is told about it. Its ids are its own, so that checks and runs never meet.
type tenant struct {
	v1       bool
	instance string // empty while a seller applies for a credential
	order    string
	id       string
	code     string
	app      string
	client   string
}

// newTenant makes up an enterprise that no ISV has heard of, for an instance or for none.
func (c *Case) newTenant(i *Instance) tenant {
	id := c.ids.hex(16)
	t := tenant{id: id, code: "conf" + id[:12], app: "KAPP-" + strings.ToUpper(id[:16]), client: "client-" + id[16:]}
	if i != nil {
		t.instance, t.order = i.ID, i.Order.OrderID
	}
	return t
}

// body is what all kit calls have.
func (t tenant) body(more Body) Body {
	more["instanceId"], more["tenantId"] = t.instance, t.id
	more["testFlag"], more["timeStamp"] = 0, beijingTime()
	return more
}

func (t tenant) sync(flag int) Body {
	return t.body(Body{
		"orderId": t.order, "tenantCode": t.code, "name": "Conformance 企业 " + t.code, "domainName": "https://" + t.code + ".tenant.example.com", "flag": flag,
	})
}

func (t tenant) application(clientSecret string, flag int) Body {
	return t.body(Body{"appId": t.app, "clientId": t.client, "clientSecret": clientSecret, "flag": flag})
}

// users is authSync for some users; of V1 the list is JSON text, and three of a user's fields stand in an extension.
func (t tenant) users(flag int, users ...Body) Body {
	list := make([]Body, len(users))
	for n, u := range users {
		list[n] = u
		if t.v1 {
			list[n] = u.Without("employeeType").Without("workPlace").Without("entryDate").With("extension", Body{
				"employeeType": 1, "workPlace": u["workPlace"], "entryDate": u["entryDate"],
			})
		}
	}
	return t.body(Body{"appId": t.app, "userList": t.list(list), "currentSyncTime": beijingTime(), "flag": flag})
}

func (t tenant) department(flag int, d Body) Body {
	return t.body(Body{"orgCode": d["orgCode"], "orgName": d["orgName"], "parentCode": d["parentCode"], "flag": flag})
}

func (t tenant) departments(list ...Body) Body {
	if t.v1 {
		named := make([]Body, len(list))
		for n, d := range list {
			named[n] = d.Without("orgName").With("name", d["orgName"])
		}
		return t.body(Body{"orgInfo": t.list(named)})
	}
	return t.body(Body{"orgInfoList": t.list(list)})
}

// list is an array, or its text in V1.
func (t tenant) list(items []Body) any {
	if t.v1 {
		return asText(items)
	}
	return items
}

// asText is the JSON text of an array.
func asText(items []Body) string {
	texts := make([]string, len(items))
	for n, i := range items {
		texts[n] = i.Text()
	}
	return "[" + strings.Join(texts, ",") + "]"
}

// user is a member of the enterprise's only department.
func user(name string) Body {
	return Body{
		"userName": name, "name": "张三 " + name, "orgCode": "o-1", "role": "user", "enable": "true", "position": "engineer", "employeeCode": "00123",
		"employeeType": 1, "mobile": "13800000000", "email": name + "@example.com", "workPlace": "Shenzhen", "entryDate": "2022-04-1",
	}
}

func (c *Case) someUser() Body { return user("u" + c.ids.hex(6)) }

// top is a department without a parent.
func top() Body { return Body{"orgCode": "o-1", "orgName": "Sales 销售部", "parentCode": ""} }

// branchOffice is a new department below it.
func (c *Case) branchOffice() Body {
	return Body{"orgCode": "o-" + c.ids.hex(4), "orgName": "Branch office", "parentCode": "o-1"}
}

// beijingTime is how kit calls tell the time: UTC+8, yyyyMMddHHmmssSSS.
func beijingTime() string {
	return strings.Replace(time.Now().UTC().Add(8*time.Hour).Format("20060102150405.000"), ".", "", 1)
}

// secretOf makes up a client secret and encrypts it. The same seed gives the same text, so that two runs can be compared.
func (c *Case) secretOf(digests secret.Digests) (plain, encrypted string) {
	plain = "cs-" + c.ids.hex(16)
	return plain, encryptOAEP(c.env.KitPublicKey, plain, digests, c.ids.bytes(32))
}

// sealed is a client secret that the private key of the ISV does not open, as if it had been encrypted with another public key.
func (c *Case) sealed() string {
	data := make([]byte, 1, c.env.KitPublicKey.Size()+32) // with the first byte 0 it is below the modulus
	for len(data) < c.env.KitPublicKey.Size() {
		data = append(data, c.ids.bytes(32)...)
	}
	return base64.StdEncoding.EncodeToString(data[:c.env.KitPublicKey.Size()])
}

// aSecret is a client secret that the ISV is able to decrypt: with the digests that it was found to take.
func (c *Case) aSecret(ctx context.Context, v1 bool) string {
	c.learnDigests(ctx, v1)
	_, text := c.secretOf(c.digests()[0])
	return text
}

// learnDigests tells about a credential, as set-up, unless it is known already how the ISV decrypts client secrets.
func (c *Case) learnDigests(ctx context.Context, v1 bool) {
	if len(c.digests()) == 1 {
		return
	}
	t := c.newTenant(c.openBy(ctx, v1))
	t.v1 = v1
	c.preparing(func() {
		c.WantSuccess(tenantSync, c.teller(t)(ctx, tenantSync, t.sync(add)))
		c.tellApplication(ctx, t)
	})
}

// tell makes the calls of either version.
type tell func(ctx context.Context, call string, body Body, variation ...curl.Variation) *Answer

func (c *Case) teller(t tenant) tell {
	if t.v1 {
		return c.SendV1Kit
	}
	return c.SendKit
}

// bind tells the ISV about an enterprise that binds an instance, as set-up.
func (c *Case) bind(ctx context.Context, t tenant) tenant {
	send := c.teller(t)
	c.preparing(func() {
		c.WantSuccess(tenantSync, send(ctx, tenantSync, t.sync(add)))
		c.tellApplication(ctx, t)
		c.WantSuccess(allOrgSync, send(ctx, allOrgSync, t.departments(top())))
	})
	return t
}

// tellApplication sends applicationSync with each of the digests until one is taken, and remembers which.
func (c *Case) tellApplication(ctx context.Context, t tenant) {
	var refusals []string
	for _, digests := range c.digests() {
		_, encrypted := c.secretOf(digests)
		a := c.teller(t)(ctx, applicationSync, t.application(encrypted, add))
		if a.Succeeded() {
			c.env.mu.Lock()
			c.env.kitDigests = digests
			c.env.mu.Unlock()
			return
		}
		refusals = append(refusals, fmt.Sprintf("%v with %v", a, digests))
	}
	c.Errorf("applicationSync: expected 000000 with one of the digests of RSA-OAEP, got %s", strings.Join(refusals, ", "))
}

// digests are those to try: the ones that the ISV was found to take, or all.
func (c *Case) digests() []secret.Digests {
	c.env.mu.Lock()
	defer c.env.mu.Unlock()
	if c.env.kitDigests != 0 {
		return []secret.Digests{c.env.kitDigests}
	}
	return []secret.Digests{secret.DigestsJCE, secret.DigestsSHA256, secret.DigestsSHA1}
}

// bound is an enterprise of the check's own that has bound an instance, as set-up.
func (c *Case) bound(ctx context.Context) tenant { return c.bind(ctx, c.newTenant(c.Open(ctx))) }

// openBy makes an instance by either version, as set-up.
func (c *Case) openBy(ctx context.Context, v1 bool) *Instance {
	if !v1 {
		return c.Open(ctx)
	}
	i := c.v1Open(ctx)
	return &Instance{ID: i.ID, Order: i.Order}
}

// kitShared is an enterprise that all checks share. It may be told about again, as it is, and nothing else.
func (c *Case) kitShared(ctx context.Context) tenant {
	e := c.env
	e.kitOnce.Do(func() {
		bind := Check{ID: "the shared enterprise", Run: func(ctx context.Context, c *Case) { e.kitTenant = c.bound(ctx) }}
		if r := Execute(ctx, e, &bind, (&Check{}).Mode(e.Charging)); r.Status != Pass {
			e.kitTenant, e.kitErr = tenant{}, "it needs an enterprise that has bound an instance: "+strings.Join(r.Messages, "; ")
		}
	})
	if e.kitTenant.id == "" {
		if ctx.Err() != nil {
			panic(stopped{Error})
		}
		c.skip(e.kitErr)
	}
	return e.kitTenant
}

// kitCalls are the calls with the body of something that is told for the first time.
func (c *Case) kitCalls(ctx context.Context, t tenant) []kitCall {
	return []kitCall{
		{tenantSync, func() Body { return t.sync(add) }},
		{applicationSync, func() Body { return t.application(c.aSecret(ctx, t.v1), add) }},
		{allOrgSync, func() Body { return t.departments(top()) }},
		{authSync, func() Body { return t.users(add, c.someUser()) }},
		{singleOrgSync, func() Body { return t.department(add, c.branchOffice()) }},
	}
}

type kitCall struct {
	name string
	body func() Body
}
