package suite

import (
	"context"
	"slices"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// askedFor is a check that the order behind a call is asked for.
func askedFor(id, title, capability string, charging []string, body base) Check {
	return Check{ID: "order-query/" + id, Requirement: "ORD-3", Title: title, Charging: charging, Capability: capability, Run: func(ctx context.Context, c *Case) {
		call := body(ctx, c)
		c.Must(ctx, call)
		order, _ := call["orderId"].(string)
		if len(c.env.observed(func(x Exchange) bool { return x.Operation == opQuery && x.OrderID == order })) == 0 {
			c.Errorf("%s: expected the ISV to ask for order %s, got no order query for it", call.Activity(), order)
		}
	}}
}

func orderingChecks() []Check {
	return []Check{
		askedFor("upgrade-order-is-asked-for", "The order of an upgradeInstance is asked for", Upgrade, []string{Period}, baseUpgrade),
		{
			ID: "order-query/unknown-order-makes-no-instance", Requirement: "ORD-4", Title: "newInstance for an order that the marketplace does not know is refused",
			Run: func(ctx context.Context, c *Case) {
				order := c.newOrder(marketplaceapi.OrderNew, 1) // which nobody registers
				c.WantRefused("newInstance for an order that does not exist", c.Send(ctx, c.newInstance(order, 0)))
			},
		},
		{
			ID: "order-query/foreign-line-makes-no-instance", Requirement: "ORD-4", Title: "newInstance for a line that the order does not have is refused",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				body := c.newInstance(order, 0).With("orderLineId", order.OrderID+"-000009")
				c.WantRefused("newInstance for line 9 of an order of one line", c.Send(ctx, body))
			},
		},
		{
			ID: "order-query/unknown-order-upgrades-nothing", Requirement: "ORD-4", Title: "upgradeInstance for an order that the marketplace does not know is refused", Charging: []string{Period}, Capability: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				body := upgradeInstance(c.newOrder(marketplaceapi.OrderChange, 1), c.Open(ctx).ID)
				c.WantRefused("upgradeInstance for an order that does not exist", c.Send(ctx, body))
			},
		},
		{
			ID: "order-query/failed-query-makes-no-instance", Requirement: "ORD-5", Title: "While the marketplace answers order queries with status 500, newInstance is not confirmed, and it succeeds when it comes again",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				const many = 50 // more than anybody tries again within one call
				c.env.disturb(order.OrderID, serverError, many)
				// How long it takes is not judged: the ISV may have tried again and again.
				r := c.plain(c.newInstance(order, 0))
				c.requests = append(c.requests, r)
				a, err := c.env.exchange(ctx, r)
				if err != nil {
					c.abort("%v", err)
				}
				c.needAnswer(ctx, "newInstance", a)
				struck := c.env.observed(func(x Exchange) bool { return x.OrderID == order.OrderID && x.Fault != "" })
				c.env.disturb(order.OrderID, serverError, 0)
				if len(struck) == 0 {
					c.Skipf("the ISV did not ask for the order while it answered newInstance")
				}
				if a.Succeeded() {
					c.Errorf("newInstance whose order query was answered with status 500: expected a refusal or 000004, got %v", a)
				}
				c.accepts("newInstance again, when the order query is answered", c.Send(ctx, c.newInstance(order, 0)))
			},
		},
		{
			ID: "order-query/buyer-without-contact-is-served", Requirement: "ORD-6", Title: "newInstance for an order whose buyer has neither telephone nor e-mail succeeds",
			Run: func(ctx context.Context, c *Case) {
				order := c.newOrder(marketplaceapi.OrderNew, 1)
				order.BuyerInfo.MobilePhone, order.BuyerInfo.Email, order.BuyerInfo.CustomerRealName = "", "", ""
				c.register(ctx, order)
				c.accepts("newInstance for a buyer without contact data", c.Send(ctx, c.newInstance(order, 0)))
			},
		},
		{
			ID: "order-query/chinese-names-are-served", Requirement: "ORD-6", Title: "newInstance for an order with Chinese names succeeds",
			Run: func(ctx context.Context, c *Case) {
				order := c.newOrder(marketplaceapi.OrderNew, 1)
				order.BuyerInfo.CustomerName, order.BuyerInfo.CustomerRealName = "测试客户", "张三 “三” <三>"
				order.OrderLine[0].ProductInfo[0].ProductName = "客户管理（专业版）🐉"
				c.register(ctx, order)
				c.accepts("newInstance for an order with Chinese names", c.Send(ctx, c.newInstance(order, 0)))
			},
		},
		{
			ID: "order-query/other-lines-do-not-matter", Requirement: "ORD-6", Title: "newInstance for the last of five lines of an order succeeds",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 5)
				c.accepts("newInstance for the last of five lines", c.Send(ctx, c.newInstance(order, 4)))
			},
		},
		{
			ID: "order-query/trial-order-is-served", Requirement: "NEW-1", Title: "newInstance for a trial order succeeds", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				c.accepts("newInstance for a trial order", c.Send(ctx, c.newInstance(c.Order(ctx, marketplaceapi.OrderTrial, 1), 0)))
			},
		},
		{
			ID: "order-notify/order-is-asked-for", Requirement: "NTF-3", Title: "The order of an orderNotify is asked for", Capability: OrderNotify,
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				c.Must(ctx, orderNotify(order))
				asked := c.env.observed(func(x Exchange) bool { return x.Operation == opQuery && x.OrderID == order.OrderID })
				if len(asked) == 0 {
					c.Errorf("orderNotify: expected the ISV to ask for order %s, got no order query for it", order.OrderID)
				}
			},
		},
		{
			ID: "order-notify/changes-no-instance", Requirement: "NTF-4", Title: "orderNotify of an order whose instance exists leaves the instance", Capability: OrderNotify,
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Must(ctx, orderNotify(i.Order))
				c.StillOpen(ctx, "orderNotify of its order", i)
				c.repeated(ctx, i)
			},
		},
	}
}

// debugTraces are checks that debug calls leave nothing behind.
func debugTraceChecks() []Check {
	return slices.Concat(
		perMode(Modes(), "debug-calls/%s-order-is-accepted", "DBG-1", "A debug newInstance for the mock order of a %s product succeeds", func(ctx context.Context, c *Case) {
			a := c.Send(ctx, c.newInstance(mockOrder(c.Mode), 0).Debug())
			c.WantSuccess("debug newInstance for the mock order", a)
			if a.InstanceID != "" {
				c.env.invent(a.InstanceID)
			}
		}),
		[]Check{
			{
				ID: "debug-calls/made-up-instance-does-not-exist", Requirement: "DBG-6", Title: "The instanceId that a debug newInstance answers is no real instance",
				Run: func(ctx context.Context, c *Case) {
					a := c.Send(ctx, c.newInstance(c.Order(ctx, marketplaceapi.OrderNew, 1), 0).Debug())
					if a.InstanceID == "" {
						c.Skipf("debug newInstance answered no instanceId")
					}
					c.env.invent(a.InstanceID)
					real := c.Send(ctx, queryInstance(a.InstanceID))
					if _, ok := real.Entry(a.InstanceID); ok && real.Succeeded() {
						c.Errorf("queryInstance, no debug call, of the id that a debug newInstance answered: expected 000003 or no entry, got one")
					}
				},
			},
			{
				ID: "debug-calls/upgrade-spares-the-order", Requirement: "DBG-4", Title: "After a debug upgradeInstance the real one for the same order succeeds", Charging: []string{Period}, Capability: Upgrade,
				Run: func(ctx context.Context, c *Case) {
					body := baseUpgrade(ctx, c)
					c.Send(ctx, body.Debug())
					c.WantSuccess("upgradeInstance after a debug call of it", c.Send(ctx, body))
				},
			},
			{
				ID: "debug-calls/freeze-spares-a-real-instance", Requirement: "DBG-3", Title: "A debug FREEZE of a real instance leaves it answered, and UNFREEZE of it is confirmed", Charging: []string{Period},
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					c.Send(ctx, updateStatus(i.ID, "FREEZE").Debug())
					c.StillOpen(ctx, "a debug FREEZE of it", i)
					c.WantSuccess("UNFREEZE after a debug FREEZE", c.Send(ctx, updateStatus(i.ID, "UNFREEZE")))
				},
			},
			{
				ID: "debug-calls/at-the-same-time-succeed", Requirement: "DBG-2", Title: "Debug calls that arrive at the same time succeed",
				Run: func(ctx context.Context, c *Case) {
					saved := []Body{queryInstance(c.uuid()).Debug(), releaseInstance(c.uuid()).Debug(), c.newInstance(mockOrder(c.Mode), 0).Debug()}
					for n, a := range c.Together(ctx, slices.Concat(saved, saved)) {
						c.WantSuccess("debug "+saved[n%len(saved)].Activity()+" beside others", a)
					}
				},
			},
			{
				ID: "debug-calls/real-instance-is-answered", Requirement: "DBG-1", Title: "Debug calls that name a real instance succeed", Charging: []string{Period},
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					for _, b := range []Body{queryInstance(i.ID), updateStatus(i.ID, "FREEZE"), updateStatus(i.ID, "UNFREEZE"), releaseInstance(i.ID)} {
						c.WantSuccess("debug "+b.Activity()+" of a real instance", c.Send(ctx, b.Debug()))
					}
				},
			},
		},
	)
}
