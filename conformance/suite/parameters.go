package suite

import (
	"context"
	"fmt"

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
func baseStatus(ctx context.Context, c *Case) Body { return updateStatus(c.Open(ctx).ID, "FREEZE") }
func baseRelease(ctx context.Context, c *Case) Body {
	return releaseInstance(c.Open(ctx).ID)
}

func baseUpgrade(ctx context.Context, c *Case) Body {
	return upgradeInstance(c.Order(ctx, marketplaceapi.OrderChange, 1), c.Open(ctx).ID)
}

// calls are the calls whose parameters are checked, with those that they cannot be carried out without and the other mandatory
// ones.
var calls = []struct {
	slug       string
	activity   string
	base       base
	essential  []string
	other      []string
	charging   []string
	capability string
}{
	{"new-instance", "newInstance", baseNew, []string{"orderId", "orderLineId"}, []string{"businessId"}, nil, ""},
	{"query-instance", "queryInstance", baseQuery, []string{"instanceId"}, nil, nil, ""},
	{"refresh-instance", "refreshInstance", baseRefresh, []string{"instanceId", "expireTime"}, []string{"scene", "orderId", "orderLineId"}, beyondOneTime, ""},
	{"instance-status", "updateInstanceStatus", baseStatus, []string{"instanceId", "status"}, nil, []string{Period}, ""},
	{"release-instance", "releaseInstance", baseRelease, []string{"instanceId"}, nil, nil, ""},
	{"upgrade-instance", "upgradeInstance", baseUpgrade, []string{"instanceId", "orderId"}, []string{"orderLineId"}, []string{Period}, Upgrade},
}

func missingChecks() []Check {
	var checks []Check
	for _, call := range calls {
		for n, params := range [][]string{call.essential, call.other} {
			for _, p := range params {
				checks = append(checks, Check{
					ID:          fmt.Sprintf("parameters/%s-needs-%s", call.slug, kebab(p)),
					Requirement: []string{"PAR-1", "PAR-2"}[n],
					Title:       fmt.Sprintf("%s without %s is refused", call.activity, p),
					Charging:    call.charging, Capability: call.capability,
					Run: func(ctx context.Context, c *Case) {
						c.WantRefused(call.activity+" without "+p, c.Send(ctx, call.base(ctx, c).Without(p)))
					},
				})
			}
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
	return append(missingChecks(), []Check{
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
			ID: "parameters/null-counts-as-missing", Requirement: "PAR-4", Title: "A mandatory parameter that is null is refused",
			Run: func(ctx context.Context, c *Case) {
				c.refusedCalmly("newInstance with orderLineId null", c.Send(ctx, baseNew(ctx, c).With("orderLineId", nil)))
				c.refusedCalmly("releaseInstance with instanceId null", c.Send(ctx, releaseInstance("").With("instanceId", nil)))
			},
		},
		{
			ID: "parameters/empty-text-counts-as-missing", Requirement: "PAR-4", Title: "A mandatory parameter that is empty is refused",
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("newInstance with an empty orderLineId", c.Send(ctx, baseNew(ctx, c).With("orderLineId", "")))
				c.WantRefused("queryInstance with an empty instanceId", c.Send(ctx, queryInstance("")))
			},
		},
		{
			ID: "parameters/object-instead-of-text-is-refused", Requirement: "PAR-5", Title: "An object where a text is expected is refused without a crash",
			Run: func(ctx context.Context, c *Case) {
				body := baseNew(ctx, c)
				c.refusedCalmly("newInstance with an object for orderId", c.Send(ctx, body.With("orderId", map[string]any{"id": body["orderId"]})))
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
				i := c.Open(ctx)
				c.WantRefused("updateInstanceStatus with the status MELT", c.Send(ctx, updateStatus(i.ID, "MELT")))
			},
		},
		{
			ID: "parameters/text-as-expiry-is-refused", Requirement: "PAR-11", Title: "An expireTime that is no time is refused", Charging: beyondOneTime,
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("refreshInstance with the expireTime \"tomorrow\"", c.Send(ctx, baseRefresh(ctx, c).With("expireTime", "tomorrow")))
			},
		},
	}...)
}
