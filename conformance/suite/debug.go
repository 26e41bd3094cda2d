package suite

import (
	"context"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// mockOrder is the mock order of a charging mode, which the order query answers at any time.
func mockOrder(mode string) marketplaceapi.OrderInfo {
	id := map[string]string{Period: "MOCKPERIODYEARNEW", OneTime: "MOCKONETIMENEW", OnDemand: "MOCKONDEMAND", Package: "MOCKONDEMANDPKG"}[mode]
	return marketplaceapi.OrderInfo{OrderID: id, OrderLine: []marketplaceapi.OrderLine{{OrderLineID: id + "-000001"}}}
}

func mockRenewal() marketplaceapi.OrderInfo {
	const id = "MOCKMONTYRENEW"
	return marketplaceapi.OrderInfo{OrderID: id, OrderLine: []marketplaceapi.OrderLine{{OrderLineID: id + "-000001"}}}
}

// debugCall is a check that a debug call succeeds.
func debugCall(id, title, capability string, charging []string, bodies func(c *Case) []Body) Check {
	return Check{ID: id, Requirement: "DBG-1", Title: title, Charging: charging, Capability: capability, Run: func(ctx context.Context, c *Case) {
		for _, b := range bodies(c) {
			what := "debug " + b.Activity()
			if scene, ok := b["scene"].(string); ok {
				what += " with scene " + scene
			}
			if status, ok := b["status"].(string); ok {
				what += " with status " + status
			}
			c.WantSuccess(what, c.Send(ctx, b.Debug()))
		}
	}}
}

func debugChecks() []Check {
	return []Check{
		{
			ID: "debug-calls/new-instance-succeeds", Requirement: "DBG-1", Title: "A debug newInstance for a mock order succeeds, with an instanceId",
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, c.newInstance(mockOrder(c.Mode), 0).Debug())
				if c.WantSuccess("debug newInstance", a) && a.InstanceID == "" {
					c.Errorf("debug newInstance: expected an instanceId, got none")
				}
			},
		},
		debugCall("debug-calls/query-instance-succeeds", "A debug queryInstance succeeds", "", nil,
			func(c *Case) []Body { return []Body{queryInstance(c.uuid())} }),
		debugCall("debug-calls/refresh-instance-succeeds", "A debug refreshInstance succeeds in the scene RENEWAL", "", []string{Period},
			func(c *Case) []Body { return []Body{refreshInstance(mockRenewal(), c.uuid(), "RENEWAL", inAYear())} }),
		debugCall("debug-calls/refresh-instance-succeeds-in-every-scene", "A debug refreshInstance succeeds in the other scenes of period products", "", []string{Period},
			func(c *Case) []Body {
				return []Body{
					refreshInstance(mockRenewal(), c.uuid(), "TRIAL_TO_FORMAL", inAYear()),
					refreshInstance(mockRenewal(), c.uuid(), "UNSUBSCRIBE_RENEWAL_PERIOD", inAYear()),
				}
			}),
		debugCall("debug-calls/instance-status-succeeds", "Debug FREEZE and UNFREEZE succeed", "", []string{Period},
			func(c *Case) []Body {
				return []Body{updateStatus(c.uuid(), "FREEZE"), updateStatus(c.uuid(), "UNFREEZE")}
			}),
		debugCall("debug-calls/release-instance-succeeds", "A debug releaseInstance succeeds", "", nil,
			func(c *Case) []Body { return []Body{releaseInstance(c.uuid())} }),
		debugCall("debug-calls/upgrade-instance-succeeds", "A debug upgradeInstance succeeds", Upgrade, []string{Period},
			func(c *Case) []Body { return []Body{upgradeInstance(mockOrder(Period), c.uuid())} }),
		debugCall("debug-calls/change-check-succeeds", "A debug changeInstanceCheck succeeds", ChangeCheck, []string{Period},
			func(c *Case) []Body { return []Body{changeCheck(c.uuid())} }),
		debugCall("debug-calls/order-notify-succeeds", "A debug orderNotify succeeds", OrderNotify, nil,
			func(c *Case) []Body { return []Body{orderNotify(mockOrder(c.Mode))} }),
		{
			ID: "debug-calls/repeat-in-any-order", Requirement: "DBG-2", Title: "Unchanged debug calls succeed twice, the second time in reverse order",
			Run: func(ctx context.Context, c *Case) {
				id := c.uuid()
				saved := []Body{c.newInstance(mockOrder(c.Mode), 0).Debug(), queryInstance(id).Debug()}
				if c.Mode != OneTime {
					saved = append(saved, refreshInstance(mockRenewal(), id, "RENEWAL", inAYear()).Debug())
				}
				if c.Mode == Period {
					saved = append(saved, updateStatus(id, "FREEZE").Debug(), updateStatus(id, "UNFREEZE").Debug())
				}
				saved = append(saved, releaseInstance(id).Debug())
				// A debug call that fails the first time already is judged elsewhere.
				var good []Body
				for _, b := range saved {
					if c.Send(ctx, b).Succeeded() {
						good = append(good, b)
					}
				}
				if len(good) == 0 {
					c.Skipf("no debug call succeeded the first time")
				}
				for n := len(good) - 1; n >= 0; n-- {
					c.WantSuccess("debug "+good[n].Activity()+" a second time", c.Send(ctx, good[n]))
				}
			},
		},
		{
			ID: "debug-calls/release-spares-a-real-instance", Requirement: "DBG-3", Title: "A debug releaseInstance of a real instance leaves it as it is",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Send(ctx, releaseInstance(i.ID).Debug())
				c.StillOpen(ctx, "a debug release of it", i)
			},
		},
		{
			ID: "debug-calls/new-instance-leaves-the-order-free", Requirement: "DBG-4", Title: "After a debug newInstance the real one for the same order line makes an instance",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				c.preparing(func() {
					c.WantSuccess("debug newInstance", c.Send(ctx, c.newInstance(order, 0).Debug()))
				})
				c.AwaitReady(ctx, c.New(ctx, order, 0))
			},
		},
		{
			ID: "debug-calls/test-flag-zero-is-a-real-call", Requirement: "DBG-5", Title: "newInstance with testFlag \"0\" makes an instance",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				a := c.Send(ctx, c.newInstance(order, 0).With("testFlag", "0"))
				c.AwaitReady(ctx, c.accepted(order, 0, a))
			},
		},
	}
}
