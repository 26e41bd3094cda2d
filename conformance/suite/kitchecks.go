package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sdk/secret"
)

// kitChecks judge the five kit calls of V2. What an ISV does with what it is told cannot be seen: nothing asks it about tenants, users or
// departments. So only its answers are judged, and there is no check that a debug call leaves no trace, or that a user who was deleted is gone.
func kitChecks() []Check {
	return slices.Concat(kitSigningChecks(), shapeChecks("kit-answers", Kit, kitTour, answerShapes("kit calls", published)), kitCallChecks(Kit, ""),
		kitSecretChecks(), kitParameterChecks(), kitDebugChecks())
}

// kitTour sends each of the five calls, a debug call, a delete, and what must be refused.
func kitTour(ctx context.Context, c *Case) []stop {
	return c.tourOf(ctx, "the tour of the kit", &c.env.kitTour, func(ctx context.Context, c *Case, send func(string, curl.Request, bool) *Answer) {
		t := c.newTenant(c.Open(ctx))
		for _, call := range c.kitCalls(ctx, t) {
			send(call.name, c.env.kitRequest(call.name, call.body().Text()), false)
		}
		debug := c.newTenant(nil)
		send("debug "+tenantSync, c.env.kitRequest(tenantSync, debug.sync(add).With("testFlag", 1).Text()), false)
		send("tenantSync with flag 0", c.env.kitRequest(tenantSync, t.sync(remove).Text()), false)
		send("tenantSync without tenantId", c.env.kitRequest(tenantSync, debug.sync(add).Without("tenantId").Text()), false)
		wrong := c.env.kitRequest(tenantSync, debug.sync(add).Text())
		wrong.Key = "not-the-key-of-this-isv"
		send("tenantSync with a wrong signature", wrong, true)
	})
}

// kitRefused is a check that telling about the shared enterprise again, which would succeed, is refused when it is varied so.
func kitRefused(id, requirement, title, what string, variation curl.Variation) Check {
	return Check{ID: id, Requirement: requirement, Title: title, Capability: Kit, Run: func(ctx context.Context, c *Case) {
		c.WantRefused(what, c.SendKit(ctx, tenantSync, c.kitShared(ctx).sync(add), variation))
	}}
}

// kitTaken is a check that telling about the shared enterprise again succeeds in a way that is less usual.
func kitTaken(id, requirement, title, what string, body func(Body) Body, variation curl.Variation) Check {
	return Check{ID: id, Requirement: requirement, Title: title, Capability: Kit, Run: func(ctx context.Context, c *Case) {
		c.WantSuccess(what, c.SendKit(ctx, tenantSync, body(c.kitShared(ctx).sync(add)), variation))
	}}
}

func asIs(b Body) Body { return b }

func kitSigningChecks() []Check {
	var checks []Check
	for _, p := range []struct{ name, header string }{{"signature", "x-sign"}, {"timestamp", "x-timestamp"}, {"nonce", "x-nonce"}} {
		checks = append(checks,
			kitRefused("kit-signing/missing-"+p.header+"-is-refused", "KIT-3", "A kit call without the header "+p.header+" is refused",
				"tenantSync without "+p.header, curl.Variation{Without: []string{p.name}}),
			kitRefused("kit-signing/empty-"+p.header+"-is-refused", "KIT-3", "A kit call with an empty header "+p.header+" is refused",
				"tenantSync with an empty "+p.header, curl.Variation{Empty: []string{p.name}}))
	}
	return append(checks, []Check{
		kitTaken("kit-signing/right-signature-is-accepted", "KIT-1", "A rightly signed kit call is accepted", "tenantSync with a right signature", asIs, curl.Variation{}),
		kitTaken("kit-signing/lower-case-signature-is-accepted", "KIT-8", "The hex digits of x-sign may be lower case",
			"tenantSync with x-sign in lower case", asIs, curl.Variation{Signature: curl.LowerCase}),
		kitTaken("kit-signing/non-ascii-body-verifies", "KIT-10", "The signature of a kit call with Chinese characters verifies", "tenantSync with the name 企业—é",
			func(b Body) Body { return b.With("name", "企业—é <&>") }, curl.Variation{}),
		kitTaken("kit-signing/other-headers-do-not-matter", "SIG-13", "A kit call with additional headers, as proxies add them, is accepted",
			"tenantSync with additional headers", asIs, curl.Variation{Header: []string{"X-Forwarded-For: 203.0.113.7", "Via: 1.1 proxy.example.com"}}),
		kitRefused("kit-signing/changed-signature-is-refused", "KIT-2", "An x-sign that is wrong in its last digit is refused",
			"tenantSync with one digit of x-sign changed", curl.Variation{Signature: curl.LastDigit}),
		kitRefused("kit-signing/truncated-signature-is-refused", "KIT-2", "An x-sign without its last digit is refused",
			"tenantSync with a truncated x-sign", curl.Variation{Signature: curl.OneShort}),
		kitRefused("kit-signing/text-as-signature-is-refused", "KIT-2", "Text that is no signature at all is refused in x-sign",
			"tenantSync with text for x-sign", curl.Variation{Signature: curl.NotHex}),
		kitRefused("kit-signing/wrong-key-is-refused", "KIT-2", "A kit call that is signed with another key is refused",
			"tenantSync signed with another key", curl.Variation{Key: "not-the-key-of-this-isv"}),
		{
			ID: "kit-signing/base-key-is-refused", Requirement: "KIT-9", Title: "A kit call that is signed with the base key is refused", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				if c.env.KitKey == c.env.BaseKey {
					c.Skipf("the kit key and the base key are the same")
				}
				r := c.env.kitRequest(tenantSync, c.kitShared(ctx).sync(add).Text())
				r.KeyVariable = curl.DefaultKeyVariable
				c.WantRefused("tenantSync signed with the base key", c.SendRequest(ctx, tenantSync, r))
			},
		},
		{
			ID: "kit-signing/debug-calls-are-verified-too", Requirement: "KIT-2", Title: "A debug kit call with a wrong signature is refused", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				body := c.newTenant(nil).sync(add).With("testFlag", 1)
				c.WantRefused("debug tenantSync signed with another key", c.SendKit(ctx, tenantSync, body, curl.Variation{Key: "not-the-key-of-this-isv"}))
			},
		},
		{
			ID: "kit-signing/signature-is-verified-before-the-secret", Requirement: "KIT-2", Title: "applicationSync with a wrong signature is refused", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				t := c.kitShared(ctx)
				c.WantRefused("applicationSync signed with another key",
					c.SendKit(ctx, applicationSync, t.application(c.aSecret(ctx, false), add), curl.Variation{Key: "not-the-key-of-this-isv"}))
			},
		},
		{
			ID: "kit-signing/changed-body-is-refused", Requirement: "KIT-4", Title: "A kit call that deletes what was signed as added is refused", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				body := c.newTenant(nil).sync(remove)
				c.WantRefused("tenantSync with flag 0 and a signature over flag 1",
					c.SendKit(ctx, tenantSync, body, curl.Variation{Signed: body.With("flag", add).Text()}))
			},
		},
		kitRefused("kit-signing/stale-timestamp-is-refused", "KIT-5", "A kit call that was signed two minutes ago is refused",
			"tenantSync signed two minutes ago", curl.Variation{Offset: -beyond}),
		kitRefused("kit-signing/text-as-timestamp-is-refused", "KIT-5", "An x-timestamp that is no time is refused",
			"tenantSync with the x-timestamp \"yesterday\"", curl.Variation{Timestamp: "yesterday"}),
		kitRefused("kit-signing/future-timestamp-is-refused", "KIT-6", "A kit call that is dated two minutes ahead is refused",
			"tenantSync dated two minutes ahead", curl.Variation{Offset: beyond}),
		{
			ID: "kit-signing/replay-is-refused", Requirement: "KIT-7", Title: "The identical kit call a second time is refused", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				first, second := c.SendTwice(ctx, tenantSync, c.env.kitRequest(tenantSync, c.kitShared(ctx).sync(add).Text()))
				c.preparing(func() { c.WantSuccess(tenantSync, first) })
				c.WantRefused("tenantSync, the same bytes and headers again", second)
			},
		},
		{
			ID: "kit-signing/unsorted-body-with-sorted-signature-is-accepted", Requirement: "KIT-11",
			Title: "A kit call whose members are in the order of the guide's example verifies when its sorted form was signed", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				body := c.kitShared(ctx).sync(add)
				var b strings.Builder
				for n, name := range []string{"instanceId", "orderId", "tenantId", "tenantCode", "name", "domainName", "flag", "testFlag", "timeStamp"} {
					value, _ := json.Marshal(body[name]) // texts and numbers
					fmt.Fprintf(&b, "%s%q:%s", map[bool]string{true: "{", false: ","}[n == 0], name, value)
				}
				r := c.env.kitRequest(tenantSync, b.String()+"}")
				r.Signed = body.Text()
				c.WantSuccess("tenantSync with unsorted members, signed in sorted form", c.SendRequest(ctx, tenantSync, r))
			},
		},
		{
			ID: "kit-signing/refusals-have-the-right-code", Requirement: "KIT-12", Title: "A refused x-sign has result code 000001, refused timestamps and nonces 000001 or 000002",
			Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				body := c.kitShared(ctx).sync(add)
				for _, v := range []struct {
					what  string
					how   curl.Variation
					codes []string
				}{
					{"a wrong x-sign", curl.Variation{Signature: curl.LastDigit}, []string{"000001"}},
					{"no x-sign", curl.Variation{Without: []string{"signature"}}, []string{"000001"}},
					{"a stale x-timestamp", curl.Variation{Offset: -beyond}, []string{"000001", "000002"}},
					{"no x-nonce", curl.Variation{Without: []string{"nonce"}}, []string{"000001", "000002"}},
				} {
					if a := c.SendKit(ctx, tenantSync, body, v.how); a.Refused() && a.Status == 200 { // success and status are judged elsewhere
						c.WantCode("tenantSync with "+v.what, a, v.codes...)
					}
				}
			},
		},
	}...)
}

// kitCallChecks are what both versions of the kit calls must do. V1 has no modify for enterprises and applications, and no cancel.
func kitCallChecks(capability, besides string) []Check {
	prefix, v1 := "kit", capability == V1
	if v1 {
		prefix = "v1-kit"
	}
	fresh := func(c *Case, i *Instance) tenant {
		t := c.newTenant(i)
		t.v1 = v1
		return t
	}
	bound := func(ctx context.Context, c *Case) tenant { return c.bind(ctx, fresh(c, c.openBy(ctx, v1))) }
	check := func(id, requirement, title string, run func(ctx context.Context, c *Case, send tell)) Check {
		return Check{ID: prefix + "/" + id, Requirement: requirement, Title: title, Capability: capability, Besides: besides, Run: func(ctx context.Context, c *Case) {
			run(ctx, c, c.teller(tenant{v1: v1}))
		}}
	}
	succeed := func(id, requirement, title string, steps func(ctx context.Context, c *Case) []kitStep) Check {
		return check(id, requirement, title, func(ctx context.Context, c *Case, send tell) {
			for _, s := range steps(ctx, c) {
				if s.setup {
					c.preparing(func() { c.WantSuccess(s.what, send(ctx, s.call, s.body)) })
					continue
				}
				c.WantSuccess(s.what, send(ctx, s.call, s.body))
			}
		})
	}
	checks := []Check{
		succeed("tenant-add-succeeds", "KIT-20", "A new enterprise is taken", func(ctx context.Context, c *Case) []kitStep {
			return []kitStep{{call: tenantSync, what: "tenantSync with flag 1", body: fresh(c, c.openBy(ctx, v1)).sync(add)}}
		}),
		check("application-add-succeeds", "KIT-21", "A new client secret is taken, encrypted with one of the digests of RSA-OAEP", func(ctx context.Context, c *Case, send tell) {
			t := fresh(c, c.openBy(ctx, v1))
			c.preparing(func() { c.WantSuccess(tenantSync, send(ctx, tenantSync, t.sync(add))) })
			c.tellApplication(ctx, t)
		}),
		succeed("departments-are-taken", "KIT-20", "All departments of an enterprise are taken", func(ctx context.Context, c *Case) []kitStep {
			t := fresh(c, c.openBy(ctx, v1))
			return []kitStep{
				{setup: true, call: tenantSync, what: tenantSync, body: t.sync(add)},
				{call: allOrgSync, what: allOrgSync, body: t.departments(top(), c.branchOffice(), c.branchOffice())},
			}
		}),
		succeed("user-add-succeeds", "KIT-20", "New users are taken", func(ctx context.Context, c *Case) []kitStep {
			return []kitStep{{call: authSync, what: "authSync with flag 1", body: bound(ctx, c).users(add, c.someUser(), c.someUser().With("role", "admin"), c.someUser().With("enable", "false"))}}
		}),
		succeed("department-add-succeeds", "KIT-20", "A new department is taken", func(ctx context.Context, c *Case) []kitStep {
			return []kitStep{{call: singleOrgSync, what: "singleOrgSync with flag 1", body: bound(ctx, c).department(add, c.branchOffice())}}
		}),
	}
	// ground is an enterprise that was told about as far as it must be before a call.
	ground := func(ctx context.Context, c *Case, call string) tenant {
		if call != tenantSync && call != applicationSync {
			return bound(ctx, c)
		}
		t := fresh(c, c.openBy(ctx, v1))
		if call == applicationSync {
			c.learnDigests(ctx, v1)
			c.preparing(func() { c.WantSuccess(tenantSync, c.teller(t)(ctx, tenantSync, t.sync(add))) })
		}
		return t
	}
	// What is told again, changed and taken away, for each of the four that have a flag.
	for _, thing := range []struct {
		slug, call string
		change     bool // V1 has it, too
		body       func(ctx context.Context, c *Case, t tenant) func(flag int) Body
	}{
		{"tenant", tenantSync, false, func(_ context.Context, _ *Case, t tenant) func(int) Body { return t.sync }},
		{"application", applicationSync, false, func(ctx context.Context, c *Case, t tenant) func(int) Body {
			return func(flag int) Body { return t.application(c.aSecret(ctx, t.v1), flag) }
		}},
		{"user", authSync, true, func(ctx context.Context, c *Case, t tenant) func(int) Body {
			u := c.someUser()
			return func(flag int) Body { return t.users(flag, u) }
		}},
		{"department", singleOrgSync, true, func(ctx context.Context, c *Case, t tenant) func(int) Body {
			d := c.branchOffice()
			return func(flag int) Body { return t.department(flag, d) }
		}},
	} {
		told := func(ctx context.Context, c *Case, setup, then []int) []kitStep {
			body := thing.body(ctx, c, ground(ctx, c, thing.call))
			var steps []kitStep
			for _, flag := range setup {
				steps = append(steps, kitStep{setup: true, call: thing.call, what: fmt.Sprintf("%s with flag %d", thing.call, flag), body: body(flag)})
			}
			for _, flag := range then {
				steps = append(steps, kitStep{call: thing.call, what: fmt.Sprintf("%s with flag %d", thing.call, flag), body: body(flag)})
			}
			return steps
		}
		checks = append(checks,
			succeed(thing.slug+"-add-repeats", "KIT-22", "Adding the same "+thing.slug+" again succeeds", func(ctx context.Context, c *Case) []kitStep {
				return told(ctx, c, []int{add}, []int{add, add})
			}),
			succeed(thing.slug+"-delete-repeats", "KIT-23", "Deleting the "+thing.slug+" succeeds, and so does deleting it again", func(ctx context.Context, c *Case) []kitStep {
				return told(ctx, c, []int{add}, []int{remove, remove})
			}),
			succeed(thing.slug+"-unknown-delete-succeeds", "KIT-24", "Deleting a "+thing.slug+" of an instance that does not exist succeeds", func(ctx context.Context, c *Case) []kitStep {
				t := fresh(c, nil)
				t.instance, t.order = c.unknownID(), c.ids.orderID()
				return []kitStep{{call: thing.call, what: thing.call + " with flag 0 of an unknown instance", body: thing.body(ctx, c, t)(remove)}}
			}),
			succeed(thing.slug+"-can-be-added-again", "KIT-25", "A "+thing.slug+" that was deleted can be added again", func(ctx context.Context, c *Case) []kitStep {
				return told(ctx, c, []int{add, remove}, []int{add})
			}))
		if thing.change || !v1 {
			checks = append(checks, succeed(thing.slug+"-modify-succeeds", "KIT-26", "A "+thing.slug+" that is known can be changed", func(ctx context.Context, c *Case) []kitStep {
				return told(ctx, c, []int{add}, []int{modify})
			}))
		}
	}
	checks = append(checks,
		succeed("departments-repeat", "KIT-22", "Telling all departments again succeeds", func(ctx context.Context, c *Case) []kitStep {
			t := bound(ctx, c)
			return []kitStep{{call: allOrgSync, what: "allOrgSync again", body: t.departments(top())}}
		}),
		check("overlapping-adds-succeed", "KIT-27", "The same users, told four times at the same time, are taken in the end", func(ctx context.Context, c *Case, send tell) {
			t := bound(ctx, c)
			body := t.users(add, c.someUser(), c.someUser())
			r := c.env.kitRequest(authSync, body.Text())
			if v1 {
				r = c.env.v1KitRequest(authSync, body.Text())
			}
			// One that is refused meanwhile may be told again; refusing it then is another matter.
			c.SendTogether(ctx, authSync, []curl.Request{r, r, r, r})
			c.WantSuccess("authSync with flag 1 after four at the same time", send(ctx, authSync, body))
		}),
		check("application-for-a-credential-succeeds", "KIT-28", "A seller applies for a credential and a test account: instanceId and orderId are empty", func(ctx context.Context, c *Case, send tell) {
			t := fresh(c, nil)
			c.WantSuccess("tenantSync with an empty instanceId", send(ctx, tenantSync, t.sync(add)))
			c.WantSuccess("applicationSync with an empty instanceId", send(ctx, applicationSync, t.application(c.aSecret(ctx, v1), add)))
			c.WantSuccess("allOrgSync with an empty instanceId", send(ctx, allOrgSync, t.departments(top())))
			c.WantSuccess("authSync with an empty instanceId", send(ctx, authSync, t.users(add, c.someUser())))
		}),
		succeed("five-hundred-users-are-taken", "KIT-30", "500 users in one call are taken", func(ctx context.Context, c *Case) []kitStep {
			t := bound(ctx, c)
			users := make([]Body, 500)
			for n := range users {
				users[n] = user(fmt.Sprintf("u%s-%03d", c.ids.hex(4), n))
			}
			return []kitStep{{call: authSync, what: "authSync of 500 users", body: t.users(add, users...)}}
		}),
		check("one-bad-user-is-not-passed-over", "KIT-31", "A call with one user without a name among good ones does not succeed", func(ctx context.Context, c *Case, send tell) {
			t := bound(ctx, c)
			c.refusedCalmly("authSync with a user without userName among two good ones", send(ctx, authSync, t.users(add, c.someUser(), c.someUser().Without("userName"), c.someUser())))
		}),
		check("one-bad-department-is-not-passed-over", "KIT-31", "A call with one department without a code among good ones does not succeed",
			func(ctx context.Context, c *Case, send tell) {
				t := bound(ctx, c)
				c.refusedCalmly("allOrgSync with a department without orgCode among two good ones",
					send(ctx, allOrgSync, t.departments(top(), c.branchOffice().Without("orgCode"), c.branchOffice())))
			}),
	)
	if v1 {
		return checks
	}
	return append(checks,
		succeed("authorisation-can-be-taken-back", "KIT-29", "authSync with flag 3 takes an authorisation back, also twice", func(ctx context.Context, c *Case) []kitStep {
			t, u := bound(ctx, c), c.someUser()
			return []kitStep{
				{setup: true, call: authSync, what: "authSync with flag 1", body: t.users(add, u)},
				{call: authSync, what: "authSync with flag 3", body: t.users(cancel, u)},
				{call: authSync, what: "authSync with flag 3 again", body: t.users(cancel, u)},
			}
		}),
		succeed("users-as-text-are-taken", "KIT-32", "userList may be the JSON text of an array", func(ctx context.Context, c *Case) []kitStep {
			return []kitStep{{call: authSync, what: "authSync with userList as text", body: bound(ctx, c).users(add).With("userList", asText([]Body{c.someUser(), c.someUser()}))}}
		}),
		succeed("departments-as-text-are-taken", "KIT-32", "orgInfoList may be the JSON text of an array", func(ctx context.Context, c *Case) []kitStep {
			return []kitStep{{call: allOrgSync, what: "allOrgSync with orgInfoList as text", body: bound(ctx, c).departments().With("orgInfoList", asText([]Body{top(), c.branchOffice()}))}}
		}),
		check("unknown-call-is-refused", "KIT-33", "A call below the production address that is none of the five does not succeed", func(ctx context.Context, c *Case, send tell) {
			c.WantRefused("a kit call named paintSync", send(ctx, "paintSync", c.kitShared(ctx).sync(add)))
		}),
	)
}

// kitStep is one call of a check.
type kitStep struct {
	setup bool // another check judges it
	call  string
	what  string
	body  Body
}

// kitSecretChecks judge what can be seen of a client secret: that one which nobody could decrypt is not confirmed. Whether it is kept, and
// used for the login, cannot be seen here.
func kitSecretChecks() []Check {
	// undecryptable are secrets that no ISV can read.
	undecryptable := []struct {
		slug, title string
		value       func(ctx context.Context, c *Case) string
	}{
		{"secret-of-another-key-is-refused", "A client secret that the private key does not open, as one encrypted for somebody else, is refused", func(_ context.Context, c *Case) string { return c.sealed() }},
		{"secret-in-plain-is-refused", "A client secret that is not encrypted at all is refused", func(_ context.Context, c *Case) string { return "cs-" + c.ids.hex(16) }},
		{"truncated-secret-is-refused", "A client secret whose end is missing is refused", func(ctx context.Context, c *Case) string {
			s := c.aSecret(ctx, false)
			return s[:len(s)-8]
		}},
	}
	var checks []Check
	for _, u := range undecryptable {
		checks = append(checks, Check{ID: "kit-secret/" + u.slug, Requirement: "KIT-40", Title: u.title, Capability: Kit, Run: func(ctx context.Context, c *Case) {
			c.refusedCalmly("applicationSync with such a clientSecret", c.SendKit(ctx, applicationSync, c.kitShared(ctx).application(u.value(ctx, c), add)))
		}})
	}
	return append(checks, []Check{
		{
			ID: "kit-secret/refusal-has-its-code", Requirement: "KIT-41", Title: "A client secret that cannot be decrypted is answered with 000101", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				a := c.SendKit(ctx, applicationSync, c.kitShared(ctx).application(c.sealed(), add))
				if a.Refused() && a.Status == 200 { // success and status are judged elsewhere
					c.WantCode("applicationSync with a clientSecret that cannot be decrypted", a, "000101")
				}
			},
		},
		{
			ID: "kit-secret/java-digests-are-taken", Requirement: "KIT-42", Title: "A client secret is decrypted with the digests that Java takes by default", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				_, encrypted := c.secretOf(secret.DigestsJCE)
				c.WantSuccess("applicationSync with a clientSecret in RSA-OAEP with SHA-256 and MGF1-SHA-1",
					c.SendKit(ctx, applicationSync, c.kitShared(ctx).application(encrypted, modify)))
			},
		},
		{
			ID: "kit-secret/is-not-answered", Requirement: "KIT-43", Title: "The client secret does not stand in the answer", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				t := c.kitShared(ctx)
				c.learnDigests(ctx, false)
				plain, encrypted := c.secretOf(c.digests()[0])
				a := c.SendKit(ctx, applicationSync, t.application(encrypted, modify))
				if strings.Contains(string(a.Body), plain) {
					c.Errorf("applicationSync: expected an answer without the client secret, got one that has it")
				}
			},
		},
	}...)
}

// kitParameters are the mandatory parameters of the calls: those that it cannot be carried out without, and the others. instanceId and
// orderId may be empty, so what their absence means is not judged.
var kitParameters = []struct {
	call, slug string
	essential  []string
	other      []string
}{
	{tenantSync, "tenant-sync", []string{"tenantId", "flag"}, []string{"tenantCode", "name", "domainName", "testFlag"}},
	{applicationSync, "application-sync", []string{"tenantId", "clientId", "clientSecret", "flag"}, []string{"appId", "testFlag"}},
	{authSync, "auth-sync", []string{"tenantId", "userList", "flag"}, []string{"appId", "testFlag"}},
	{singleOrgSync, "single-org-sync", []string{"tenantId", "orgCode", "flag"}, []string{"orgName", "testFlag"}},
	{allOrgSync, "all-org-sync", []string{"tenantId", "orgInfoList"}, []string{"testFlag"}},
}

func kitParameterChecks() []Check {
	body := func(ctx context.Context, c *Case, t tenant, call string) Body {
		for _, k := range c.kitCalls(ctx, t) {
			if k.name == call {
				return k.body()
			}
		}
		return nil
	}
	var checks []Check
	for _, call := range kitParameters {
		for n, params := range [][]string{call.essential, call.other} {
			for _, p := range params {
				checks = append(checks, Check{
					ID: "kit-parameters/" + call.slug + "-needs-" + kebab(p), Requirement: []string{"PAR-1", "PAR-2"}[n],
					Title: call.call + " without " + p + " is refused", Capability: Kit,
					Run: func(ctx context.Context, c *Case) {
						c.WantRefused(call.call+" without "+p, c.SendKit(ctx, call.call, body(ctx, c, c.kitShared(ctx), call.call).Without(p)))
					},
				})
			}
		}
	}
	spoilt := func(id, requirement, title, call, name string, value any) Check {
		return Check{ID: "kit-parameters/" + id, Requirement: requirement, Title: title, Capability: Kit, Run: func(ctx context.Context, c *Case) {
			c.refusedCalmly(call+" in which "+name+" is so", c.SendKit(ctx, call, body(ctx, c, c.kitShared(ctx), call).With(name, value)))
		}}
	}
	unreadable := func(id, title, body string) Check {
		return Check{ID: "kit-parameters/" + id, Requirement: "PAR-9", Title: title, Capability: Kit, Run: func(ctx context.Context, c *Case) {
			t := c.kitShared(ctx)
			c.refusedCalmly("tenantSync with such a body", c.SendRequest(ctx, "tenantSync with a body that is no JSON object", c.env.kitRequest(tenantSync, body)))
			c.WantSuccess("tenantSync after that", c.SendKit(ctx, tenantSync, t.sync(add)))
		}}
	}
	return append(checks, []Check{
		spoilt("null-counts-as-missing", "PAR-4", "A tenantId that is null is refused", tenantSync, "tenantId", nil),
		spoilt("empty-text-counts-as-missing", "PAR-4", "An empty tenantId is refused", tenantSync, "tenantId", ""),
		spoilt("empty-org-code-counts-as-missing", "PAR-4", "An empty orgCode is refused", singleOrgSync, "orgCode", ""),
		spoilt("object-instead-of-flag-is-refused", "PAR-5", "An object for flag is refused without a crash", tenantSync, "flag", Body{"value": 1}),
		spoilt("number-instead-of-list-is-refused", "PAR-5", "A number for userList is refused without a crash", authSync, "userList", 7),
		spoilt("object-instead-of-list-is-refused", "PAR-5", "An object for orgInfoList is refused without a crash", allOrgSync, "orgInfoList", top()),
		spoilt("text-that-is-no-list-is-refused", "PAR-5", "Text that is no JSON is refused for userList without a crash", authSync, "userList", "[{"),
		spoilt("over-long-tenant-id-is-refused", "PAR-6", "A tenantId of 65 characters is refused", tenantSync, "tenantId", tooLong(64)),
		spoilt("over-long-name-is-refused", "PAR-6", "A name of 256 characters is refused", tenantSync, "name", tooLong(255)),
		spoilt("over-long-user-name-is-refused", "PAR-6", "A userName of 65 characters is refused", authSync, "userList",
			[]Body{user(tooLong(64))}),
		spoilt("unknown-flag-is-refused", "KIT-50", "A flag that does not exist is refused", tenantSync, "flag", 7),
		spoilt("unknown-role-is-refused", "KIT-50", "A role that does not exist is refused", authSync, "userList",
			[]Body{user("u-owner").With("role", "owner")}),
		spoilt("domain-without-https-is-refused", "KIT-51", "A domainName without https:// is refused", tenantSync, "domainName", "http://conformance.tenant.example.com"),
		kitTaken("kit-parameters/unknown-parameters-are-ignored", "PAR-8", "A kit call with a parameter that the contract does not know succeeds", "tenantSync with an additional parameter",
			func(b Body) Body { return b.With("channelCode", "direct") }, curl.Variation{}),
		{
			ID: "kit-parameters/unknown-fields-of-users-are-ignored", Requirement: "PAR-8", Title: "A user with a field that the contract does not know is taken", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				c.WantSuccess("authSync of a user with an additional field", c.SendKit(ctx, authSync, c.bound(ctx).users(add, c.someUser().With("nickName", "小张"))))
			},
		},
		{
			ID: "kit-parameters/missing-parameter-has-its-code", Requirement: "PAR-3", Title: "A missing mandatory parameter of a kit call is answered with 000002", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				if a := c.SendKit(ctx, tenantSync, c.kitShared(ctx).sync(add).Without("tenantId")); a.Refused() && a.Status == 200 { // judged elsewhere
					c.WantCode("tenantSync without tenantId", a, "000002")
				}
			},
		},
		unreadable("malformed-json-is-refused", "A kit call that breaks off is refused, and the service goes on", `{"tenantId":"x","flag":`),
		unreadable("empty-body-is-refused", "A kit call without a body is refused, and the service goes on", ""),
		unreadable("json-array-is-refused", "A kit call that is a JSON array is refused, and the service goes on", `[{"tenantId":"x"}]`),
		{
			ID: "kit-parameters/get-is-refused", Requirement: "PAR-10", Title: "A kit call with GET is refused, and the service goes on", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				t := c.kitShared(ctx)
				c.refusedCalmly("tenantSync with GET", c.SendKit(ctx, tenantSync, t.sync(add), curl.Variation{Method: "GET"}))
				c.WantSuccess("tenantSync after that", c.SendKit(ctx, tenantSync, t.sync(add)))
			},
		},
	}...)
}

func kitDebugChecks() []Check {
	var checks []Check
	for n, call := range []string{tenantSync, applicationSync, allOrgSync, authSync, singleOrgSync} {
		checks = append(checks, Check{
			ID: "kit-debug/" + kebab(call) + "-succeeds", Requirement: "KIT-60", Title: "A debug " + call + " about an enterprise that nobody has heard of succeeds", Capability: Kit,
			Run: func(ctx context.Context, c *Case) {
				c.kitShared(ctx) // so that it is known which digests are taken
				c.WantSuccess("debug "+call, c.SendKit(ctx, call, c.kitCalls(ctx, c.newTenant(nil))[n].body().With("testFlag", 1)))
			},
		})
	}
	return append(checks, Check{
		ID: "kit-debug/repeat-in-any-order", Requirement: "KIT-61", Title: "Unchanged debug kit calls succeed twice, the second time in reverse order", Capability: Kit,
		Run: func(ctx context.Context, c *Case) {
			c.kitShared(ctx)
			t := c.newTenant(nil)
			type saved struct {
				call string
				body Body
			}
			var good []saved
			for _, k := range c.kitCalls(ctx, t) {
				s := saved{k.name, k.body().With("testFlag", 1)}
				if c.SendKit(ctx, s.call, s.body).Succeeded() { // the first time is judged elsewhere
					good = append(good, s)
				}
			}
			if len(good) == 0 {
				c.Skipf("no debug call succeeded the first time")
			}
			for n := len(good) - 1; n >= 0; n-- {
				c.WantSuccess("debug "+good[n].call+" a second time", c.SendKit(ctx, good[n].call, good[n].body))
			}
		},
	})
}
