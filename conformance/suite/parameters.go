package suite

import (
	"context"
	"fmt"
	"strings"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// base makes a call that would succeed, to be spoiled in one way.
type base func(ctx context.Context, c *Case) Body

func baseNew(ctx context.Context, c *Case) Body {
	return c.newInstance(c.Order(ctx, marketplaceapi.OrderNew, 1), 0)
}

func baseQuery(ctx context.Context, c *Case) Body { return queryInstance(c.Shared(ctx).ID) }

func baseRefresh(ctx context.Context, c *Case) Body {
	return refreshInstance(c.Order(ctx, marketplaceapi.OrderRenew, 1), c.Open(ctx).ID, "RENEWAL", inAYear())
}

// refusedRefresh and so on are for calls that must be refused.
func refusedRefresh(ctx context.Context, c *Case) Body {
	return refreshInstance(c.Order(ctx, marketplaceapi.OrderRenew, 1), c.Target(ctx).ID, "RENEWAL", inAYear())
}

func refusedStatus(ctx context.Context, c *Case) Body {
	return updateStatus(c.Target(ctx).ID, "FREEZE")
}

func refusedUpgrade(ctx context.Context, c *Case) Body {
	return upgradeInstance(c.Order(ctx, marketplaceapi.OrderChange, 1), c.Target(ctx).ID)
}

func refusedChangeCheck(ctx context.Context, c *Case) Body { return changeCheck(c.Target(ctx).ID) }

func baseStatus(ctx context.Context, c *Case) Body { return updateStatus(c.Open(ctx).ID, "FREEZE") }

func baseRelease(ctx context.Context, c *Case) Body {
	return releaseInstance(c.Open(ctx).ID)
}

func baseUpgrade(ctx context.Context, c *Case) Body {
	return upgradeInstance(c.Order(ctx, marketplaceapi.OrderChange, 1), c.Open(ctx).ID)
}

// callUnderTest is a call whose parameters are checked one by one.
type callUnderTest struct {
	slug       string
	activity   string
	base       base
	refused    base     // to be spoilt, where that needs no instance of its own
	essential  []string // it cannot be carried out without them
	other      []string // the other mandatory ones
	long       []string // whose length is checked
	charging   []string
	capability string
}

var calls = []callUnderTest{
	{"new-instance", "newInstance", baseNew, baseNew, []string{"orderId", "orderLineId"}, []string{"businessId"}, []string{"orderId", "orderLineId"}, nil, ""},
	{"query-instance", "queryInstance", baseQuery, baseQuery, []string{"instanceId"}, nil, []string{"instanceId"}, nil, ""},
	{"refresh-instance", "refreshInstance", baseRefresh, refusedRefresh, []string{"instanceId", "expireTime"}, []string{"scene", "orderId", "orderLineId"}, []string{"instanceId"}, beyondOneTime, ""},
	{"instance-status", "updateInstanceStatus", baseStatus, refusedStatus, []string{"instanceId", "status"}, nil, []string{"instanceId"}, []string{Period}, ""},
	{"release-instance", "releaseInstance", baseRelease, baseRelease, []string{"instanceId"}, nil, nil, nil, ""},
	{"upgrade-instance", "upgradeInstance", baseUpgrade, refusedUpgrade, []string{"instanceId", "orderId"}, []string{"orderLineId"}, []string{"instanceId"}, []string{Period}, Upgrade},
	{"change-check", "changeInstanceCheck", baseChangeCheck, refusedChangeCheck, nil, []string{"instanceId", "productInfo"}, []string{"instanceId"}, []string{Period}, ChangeCheck},
	{"order-notify", "orderNotify", baseNotify, baseNotify, nil, []string{"orderId", "orderLineId"}, []string{"orderId", "orderLineId"}, nil, OrderNotify},
}

// spoilt are the ways in which each mandatory parameter is spoilt, one at a time.
var spoilt = []struct {
	id, title, what  string // formats with the call and the parameter
	essential, other string // requirements
	spoil            func(b Body, param string) Body
}{
	{"%s-needs-%s", "%s without %s is refused", "%s without %s", "PAR-1", "PAR-2", Body.Without},
	{"%s-with-empty-%s-is-refused", "%s with an empty %s is refused", "%s with an empty %s", "PAR-4", "PAR-4", func(b Body, p string) Body { return b.With(p, "") }},
	{"%s-with-null-as-%s-is-refused", "%s with null as %s is refused", "%s with null as %s", "PAR-4", "PAR-4", func(b Body, p string) Body { return b.With(p, nil) }},
	{"%s-with-object-as-%s-is-refused", "%s with an object as %s is refused without a crash", "%s with an object as %s", "PAR-5", "PAR-5", func(b Body, p string) Body {
		return b.With(p, map[string]any{"id": b[p]})
	}},
}

func spoiltChecks() []Check {
	var checks []Check
	for _, call := range calls {
		for n, params := range [][]string{call.essential, call.other} {
			for _, p := range params {
				for _, s := range spoilt {
					if p == "productInfo" && s.essential == "PAR-5" {
						continue // it is an object
					}
					checks = append(checks, Check{
						ID: "parameters/" + fmt.Sprintf(s.id, call.slug, kebab(p)), Requirement: []string{s.essential, s.other}[n],
						Title:    fmt.Sprintf(s.title, call.activity, p),
						Charging: call.charging, Capability: call.capability,
						Run: func(ctx context.Context, c *Case) {
							a := c.Send(ctx, s.spoil(call.refused(ctx, c), p))
							what := fmt.Sprintf(s.what, call.activity, p)
							if s.essential == "PAR-5" {
								c.refusedCalmly(what, a)
								return
							}
							c.WantRefused(what, a)
						},
					})
				}
			}
		}
		for _, p := range call.long {
			checks = append(checks, Check{
				ID: fmt.Sprintf("parameters/%s-with-over-long-%s-is-refused", call.slug, kebab(p)), Requirement: "PAR-6",
				Title:    fmt.Sprintf("%s with %s of 300 characters is refused without a crash", call.activity, p),
				Charging: call.charging, Capability: call.capability,
				Run: func(ctx context.Context, c *Case) {
					c.refusedCalmly(fmt.Sprintf("%s with %s of 300 characters", call.activity, p), c.Send(ctx, call.refused(ctx, c).With(p, tooLong(299))))
				},
			})
		}
		if call.slug != "query-instance" { // which has checks of its own
			checks = append(checks, Check{
				ID: "parameters/" + call.slug + "-ignores-unknown-parameters", Requirement: "PAR-8",
				Title:    call.activity + " with a parameter that the contract does not know succeeds",
				Charging: call.charging, Capability: call.capability,
				Run: func(ctx context.Context, c *Case) {
					body := call.base(ctx, c)
					var plain *Answer
					if call.slug == "change-check" { // which may be answered no
						plain = c.Send(ctx, body)
					}
					a := c.Send(ctx, body.With("channelCode", "direct"))
					if ok := a.Succeeded() || a.InProgress() && call.slug == "new-instance" || plain != nil && a.Code == plain.Code; !ok {
						c.Errorf("%s with an additional parameter: expected it to be ignored, got %v", call.activity, a)
					}
				},
			})
		}
	}
	return checks
}

// kebab turns orderLineId into order-line-id.
func kebab(name string) string {
	var out []rune
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			out = append(out, '-', r-'A'+'a')
			continue
		}
		out = append(out, r)
	}
	return string(out)
}

// unreadable expects a body that is no JSON object to be refused, and the next call to be answered.
func unreadable(id, title, body string) Check {
	return Check{ID: id, Requirement: "PAR-9", Title: title, Run: func(ctx context.Context, c *Case) {
		i := c.Shared(ctx)
		c.refusedCalmly("a body that is no JSON object", c.SendRequest(ctx, "a body that is no JSON object", curl.Request{URL: c.env.Target, Body: body}))
		c.StillOpen(ctx, "a body that is no JSON object", i)
	}}
}

// refusedCalmly expects a refusal that is no crash.
func (c *Case) refusedCalmly(what string, a *Answer) {
	c.WantRefused(what, a)
	if a.Status >= 500 {
		c.Errorf("%s: expected a refusal, got an error of the server, HTTP %d", what, a.Status)
	}
}

func parameterChecks() []Check {
	return append(spoiltChecks(), []Check{
		{
			ID: "parameters/missing-parameter-has-its-code", Requirement: "PAR-3", Title: "A missing mandatory parameter is answered with 000002",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				for _, b := range []struct {
					what string
					body Body
				}{
					{"newInstance without orderId", c.newInstance(order, 0).Without("orderId")},
					{"queryInstance without instanceId", queryInstance(c.unknownID()).Without("instanceId")},
				} {
					if a := c.Send(ctx, b.body); a.Refused() && a.Status == 200 { // success and status are judged elsewhere
						c.WantCode(b.what, a, "000002")
					}
				}
			},
		},
		{
			ID: "parameters/array-instead-of-text-is-refused", Requirement: "PAR-5", Title: "An array where a text is expected is refused without a crash",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				c.refusedCalmly("queryInstance with an array for instanceId", c.Send(ctx, queryInstance("").With("instanceId", []string{i.ID})))
			},
		},
		{
			ID: "parameters/over-long-business-id-is-not-passed-on", Requirement: "PAR-6", Title: "A businessId of 65 characters is refused, or at least no instanceId is made of it",
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, baseNew(ctx, c).With("businessId", tooLong(64)))
				if !a.Refused() && runes(a.InstanceID) > 64 {
					c.Errorf("newInstance with a businessId of 65 characters: expected a refusal or an instanceId of at most 64 characters, got one of %d", runes(a.InstanceID))
				}
			},
		},
		{
			ID: "parameters/unknown-activity-is-refused", Requirement: "PAR-7", Title: "A call with an activity that does not exist is refused",
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("a call with the activity paintInstance", c.Send(ctx, baseQuery(ctx, c).With("activity", "paintInstance")))
			},
		},
		{
			ID: "parameters/missing-activity-is-refused", Requirement: "PAR-7", Title: "A call without an activity is refused",
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("a call without activity", c.SendRequest(ctx, "a call without activity",
					curl.Request{URL: c.env.Target, Body: baseQuery(ctx, c).Without("activity").Text()}))
			},
		},
		{
			ID: "parameters/unknown-parameters-are-ignored", Requirement: "PAR-8", Title: "A call with a parameter that the contract does not know succeeds",
			Run: func(ctx context.Context, c *Case) {
				c.WantSuccess("queryInstance with an additional parameter", c.Send(ctx, baseQuery(ctx, c).With("channelCode", "direct")))
			},
		},
		{
			ID: "parameters/unknown-nested-parameters-are-ignored", Requirement: "PAR-8", Title: "A call with an object that the contract does not know succeeds",
			Run: func(ctx context.Context, c *Case) {
				c.WantSuccess("queryInstance with an additional object", c.Send(ctx, baseQuery(ctx, c).With("context", map[string]any{"region": "cn-north-4"})))
			},
		},
		unreadable("parameters/malformed-json-is-refused", "A body that breaks off is refused, and the service goes on", `{"activity":"queryInstance","instanceId":`),
		unreadable("parameters/empty-body-is-refused", "An empty body is refused, and the service goes on", ""),
		unreadable("parameters/json-array-is-refused", "A JSON array is refused, and the service goes on", `[{"activity":"queryInstance"}]`),
		{
			ID: "parameters/get-is-refused", Requirement: "PAR-10", Title: "A call with GET is refused, and the service goes on",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				c.refusedCalmly("queryInstance with GET", c.SendRequest(ctx, "queryInstance with GET",
					curl.Request{URL: c.env.Target, Body: queryInstance(i.ID).Text(), Variation: curl.Variation{Method: "GET"}}))
				c.StillOpen(ctx, "a GET", i)
			},
		},
		{
			ID: "parameters/unknown-status-is-refused", Requirement: "PAR-11", Title: "A status that does not exist is refused", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("updateInstanceStatus with the status MELT", c.Send(ctx, refusedStatus(ctx, c).With("status", "MELT")))
			},
		},
		{
			ID: "parameters/unknown-scene-is-refused", Requirement: "PAR-11", Title: "A scene that does not exist is refused", Charging: beyondOneTime,
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("refreshInstance with the scene PAINTING", c.Send(ctx, refusedRefresh(ctx, c).With("scene", "PAINTING")))
			},
		},
		{
			ID: "parameters/impossible-expiry-is-refused", Requirement: "PAR-11", Title: "An expireTime in the thirteenth month is refused", Charging: beyondOneTime,
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("refreshInstance with the expireTime 20301301000000", c.Send(ctx, refusedRefresh(ctx, c).With("expireTime", "20301301000000")))
			},
		},
		{
			ID: "parameters/date-alone-as-expiry-is-refused", Requirement: "PAR-11", Title: "An expireTime of a date without a time is refused", Charging: beyondOneTime,
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("refreshInstance with the expireTime 20301231", c.Send(ctx, refusedRefresh(ctx, c).With("expireTime", "20301231")))
			},
		},
		{
			ID: "parameters/longest-business-id-is-accepted", Requirement: "PAR-12", Title: "A businessId of 64 characters is accepted",
			Run: func(ctx context.Context, c *Case) {
				c.accepts("newInstance with a businessId of 64 characters", c.Send(ctx, baseNew(ctx, c).With("businessId", c.ids.hex(32))))
			},
		},
		{
			ID: "parameters/longest-order-is-accepted", Requirement: "PAR-12", Title: "An orderLineId of 64 characters, and an orderId that goes with it, are accepted",
			Run: func(ctx context.Context, c *Case) {
				order := c.newOrder(marketplaceapi.OrderNew, 1)
				order.OrderID += strings.ToUpper(c.ids.hex(32))[:64-len("-000001")-len(order.OrderID)]
				order.OrderLine[0].OrderLineID = order.OrderID + "-000001"
				c.register(ctx, order)
				c.accepts("newInstance with an orderLineId of 64 characters", c.Send(ctx, c.newInstance(order, 0)))
			},
		},
		{
			ID: "parameters/text-as-expiry-is-refused", Requirement: "PAR-11", Title: "An expireTime that is no time is refused", Charging: beyondOneTime,
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("refreshInstance with the expireTime \"tomorrow\"", c.Send(ctx, refusedRefresh(ctx, c).With("expireTime", "tomorrow")))
			},
		},
	}...)
}

// accepts expects newInstance to be accepted, now or later.
func (c *Case) accepts(what string, a *Answer) {
	if !a.Succeeded() && !a.InProgress() {
		c.Errorf("%s: expected 000000 or 000004, got %v", what, a)
	}
}
