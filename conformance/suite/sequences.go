package suite

import (
	"context"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// inYears is an expiry some years from now.
func inYears(n int) string { return time.Now().UTC().AddDate(n, 0, 0).Format("20060102150405") }

// releasedRefuses is a check that a call on a released instance is not confirmed.
func releasedRefuses(slug, capability string, charging []string, body func(ctx context.Context, c *Case, i *Instance) Body) Check {
	return Check{
		ID: "sequences/" + slug + "-after-release-is-refused", Requirement: "SEQ-1", Title: slug + " of an instance that was released is not confirmed",
		Charging: charging, Capability: capability,
		Run: func(ctx context.Context, c *Case) {
			i := c.Open(ctx)
			call := body(ctx, c, i)
			c.Must(ctx, releaseInstance(i.ID))
			c.WantRefused(call.Activity()+" after releaseInstance", c.Send(ctx, call))
		},
	}
}

// overlapping is a check that repeats which arrive at the same time do no harm: none is answered with a crash, and once they are
// through the call succeeds again. Whether each of them succeeds is not judged, because a refused one is sent again.
func overlapping(slug, requirement, capability string, charging []string, body base) Check {
	return Check{
		ID: "sequences/overlapping-" + slug + "-repeats-do-no-harm", Requirement: requirement, Title: "Repeats of " + slug + " that arrive at the same time crash nothing, and the call still succeeds afterwards",
		Charging: charging, Capability: capability,
		Run: func(ctx context.Context, c *Case) {
			call := body(ctx, c)
			for n, a := range c.Together(ctx, []Body{call, call, call, call}) {
				c.calm(label(call.Activity()+" beside others", n, 4), a)
			}
			c.WantCode(call.Activity()+" after its repeats", c.Send(ctx, call), confirmations(call.Activity())...)
		},
	}
}

// confirmations are the codes that confirm a repeat.
func confirmations(activity string) []string {
	if activity == "releaseInstance" {
		return []string{"000000", "000003"}
	}
	return []string{"000000"}
}

func sequenceChecks() []Check {
	renewal := func(ctx context.Context, c *Case, i *Instance) Body {
		return refreshInstance(c.Order(ctx, marketplaceapi.OrderRenew, 1), i.ID, "RENEWAL", inAYear())
	}
	status := func(s string) func(context.Context, *Case, *Instance) Body {
		return func(_ context.Context, _ *Case, i *Instance) Body { return updateStatus(i.ID, s) }
	}
	return []Check{
		releasedRefuses("refresh-instance", "", beyondOneTime, renewal),
		releasedRefuses("freeze", "", []string{Period}, status("FREEZE")),
		releasedRefuses("unfreeze", "", []string{Period}, status("UNFREEZE")),
		releasedRefuses("upgrade-instance", Upgrade, []string{Period}, func(ctx context.Context, c *Case, i *Instance) Body {
			return upgradeInstance(c.Order(ctx, marketplaceapi.OrderChange, 1), i.ID)
		}),
		releasedRefuses("change-check", ChangeCheck, []string{Period}, func(_ context.Context, _ *Case, i *Instance) Body { return changeCheck(i.ID) }),
		{
			ID: "sequences/late-new-instance-makes-no-second-instance", Requirement: "SEQ-2", Title: "A newInstance that comes again after the release gets the same instanceId, or is refused",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Must(ctx, releaseInstance(i.ID))
				if a := c.Send(ctx, c.newInstance(i.Order, i.Line)); !a.Refused() && a.InstanceID != i.ID {
					c.Errorf("newInstance for an order line whose instance was released: expected instanceId %q or a refusal, got %v with %q", i.ID, a, a.InstanceID)
				}
			},
		},
		{
			ID: "sequences/frozen-instance-can-be-renewed", Requirement: "REF-8", Title: "refreshInstance of a frozen instance succeeds, and then UNFREEZE", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Must(ctx, updateStatus(i.ID, "FREEZE"))
				c.WantSuccess("refreshInstance of a frozen instance", c.Send(ctx, renewal(ctx, c, i)))
				c.WantSuccess("UNFREEZE after the renewal", c.Send(ctx, updateStatus(i.ID, "UNFREEZE")))
			},
		},
		{
			ID: "sequences/renewals-follow-one-another", Requirement: "REF-1", Title: "A second renewal, with an order of its own, succeeds", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				for n := range 2 {
					order := c.Order(ctx, marketplaceapi.OrderRenew, 1)
					c.WantSuccess(label("refreshInstance with an order of its own", n, 2), c.Send(ctx, refreshInstance(order, i.ID, "RENEWAL", inYears(n+2))))
				}
			},
		},
		{
			ID: "sequences/expiry-can-move-back", Requirement: "REF-1", Title: "A cancelled renewal may bring the expiry back to an earlier day", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Must(ctx, refreshInstance(c.Order(ctx, marketplaceapi.OrderRenew, 1), i.ID, "RENEWAL", inYears(2)))
				cancelled := refreshInstance(c.Order(ctx, marketplaceapi.OrderUnsubscribe, 1), i.ID, "UNSUBSCRIBE_RENEWAL_PERIOD", inYears(1))
				c.WantSuccess("refreshInstance with an earlier expireTime", c.Send(ctx, cancelled))
			},
		},
		{
			ID: "sequences/late-repeat-of-a-renewal-succeeds", Requirement: "REF-3", Title: "The repeat of a renewal succeeds also after another renewal", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				first := renewal(ctx, c, i)
				c.Must(ctx, first)
				c.Must(ctx, refreshInstance(c.Order(ctx, marketplaceapi.OrderRenew, 1), i.ID, "RENEWAL", inYears(2)))
				c.WantSuccess("refreshInstance, the first one again", c.Send(ctx, first))
			},
		},
		{
			ID: "sequences/open-instance-can-be-unfrozen", Requirement: "STA-2", Title: "UNFREEZE of an instance that was never frozen succeeds", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				c.WantSuccess("UNFREEZE of an instance that was never frozen", c.Send(ctx, updateStatus(c.Open(ctx).ID, "UNFREEZE")))
			},
		},
		{
			ID: "sequences/instance-can-be-frozen-again", Requirement: "STA-1", Title: "An instance that was unfrozen can be frozen and unfrozen again", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				for _, s := range []string{"FREEZE", "UNFREEZE"} {
					c.Must(ctx, updateStatus(i.ID, s))
				}
				for _, s := range []string{"FREEZE", "UNFREEZE"} {
					c.WantSuccess(s+" in the second round", c.Send(ctx, updateStatus(i.ID, s)))
				}
			},
		},
		{
			ID: "sequences/frozen-instance-keeps-its-id-in-new-instance", Requirement: "NEW-3", Title: "A repeat of newInstance for a frozen instance gets the same instanceId", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Must(ctx, updateStatus(i.ID, "FREEZE"))
				c.repeated(ctx, i)
			},
		},
		{
			ID: "sequences/the-very-same-new-instance-gets-the-same-instance", Requirement: "NEW-3", Title: "newInstance with the same businessId again gets the same instanceId",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				body := c.newInstance(order, 0)
				var first *Instance
				c.preparing(func() { first = c.accepted(order, 0, c.Send(ctx, body)) })
				a := c.Send(ctx, body)
				c.accepts("newInstance with the same businessId again", a)
				if !a.Refused() && a.InstanceID != first.ID {
					c.Errorf("newInstance with the same businessId again: expected instanceId %q, got %q", first.ID, a.InstanceID)
				}
			},
		},
		{
			ID: "sequences/lines-together-get-different-instances", Requirement: "NEW-4", Title: "Two lines of one order that arrive at the same time get different instances",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 2)
				bodies := []Body{c.newInstance(order, 0), c.newInstance(order, 1)}
				ids := map[string]int{}
				for n, a := range c.Together(ctx, bodies) {
					if a.Refused() { // then it is sent again, which must succeed
						a = c.Send(ctx, c.newInstance(order, n))
					}
					c.accepts(label("newInstance for two lines of an order together", n, 2), a)
					if a.InstanceID != "" {
						ids[a.InstanceID]++
					}
				}
				for id, lines := range ids {
					if lines > 1 {
						c.Errorf("newInstance for two lines of an order together: expected different instanceIds, got %q twice", id)
					}
				}
			},
		},
		{
			ID: "sequences/release-need-not-wait-for-ready", Requirement: "REL-6", Title: "An instance can be released before anybody asked whether it is ready",
			Run: func(ctx context.Context, c *Case) {
				var i *Instance
				c.preparing(func() { i = c.New(ctx, c.Order(ctx, marketplaceapi.OrderNew, 1), 0) })
				c.WantCode("releaseInstance right after newInstance", c.Send(ctx, releaseInstance(i.ID)), "000000", "000003")
			},
		},
		overlapping("refresh-instance", "REF-3", "", []string{Period}, baseRefresh),
		overlapping("instance-status", "STA-2", "", []string{Period}, baseStatus),
		overlapping("release-instance", "REL-2", "", nil, baseRelease),
		overlapping("upgrade-instance", "UPG-2", Upgrade, []string{Period}, baseUpgrade),
		overlapping("order-notify", "NTF-1", OrderNotify, nil, baseNotify),
		{
			ID: "upgrade-instance/second-upgrade-succeeds", Requirement: "UPG-1", Title: "A second upgradeInstance, with an order of its own, succeeds", Charging: []string{Period}, Capability: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Must(ctx, upgradeInstance(c.Order(ctx, marketplaceapi.OrderChange, 1), i.ID))
				c.WantSuccess("upgradeInstance with another order", c.Send(ctx, upgradeInstance(c.Order(ctx, marketplaceapi.OrderChange, 1), i.ID)))
			},
		},
		{
			ID: "change-check/changes-nothing", Requirement: "CHK-4", Title: "changeInstanceCheck is answered the same a second time, and the instance is still there", Charging: []string{Period}, Capability: ChangeCheck,
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				first, second := c.Send(ctx, changeCheck(i.ID)), c.Send(ctx, changeCheck(i.ID))
				if first.Code != second.Code {
					c.Errorf("changeInstanceCheck a second time: expected %s as before, got %v", first.Code, second)
				}
				c.StillOpen(ctx, "changeInstanceCheck", i)
			},
		},
	}
}
