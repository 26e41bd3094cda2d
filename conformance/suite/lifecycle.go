package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// perMode makes one check for each charging mode.
func perMode(modes []string, idFormat, requirement, titleFormat string, run func(ctx context.Context, c *Case)) []Check {
	var checks []Check
	for _, m := range modes {
		checks = append(checks, Check{
			ID: fmt.Sprintf(idFormat, m), Requirement: requirement, Title: fmt.Sprintf(titleFormat, m),
			Charging: []string{m}, Run: run,
		})
	}
	return checks
}

func newInstanceChecks() []Check {
	return slices.Concat(
		perMode(Modes(), "new-instance/%s-order-is-accepted", "NEW-1", "newInstance for a paid %s order succeeds", func(ctx context.Context, c *Case) {
			order := c.Order(ctx, marketplaceapi.OrderNew, 1)
			a := c.Send(ctx, c.newInstance(order, 0))
			if !a.Succeeded() && !a.InProgress() {
				c.Fatalf("newInstance: expected 000000 or 000004, got %v%s", a, c.env.unasked(order.OrderID))
			}
		}),
		[]Check{
			{
				ID: "new-instance/answers-an-instance-id", Requirement: "NEW-2", Title: "A successful newInstance answers an instanceId of 1 to 64 characters",
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 1)
					a := c.Send(ctx, c.newInstance(order, 0))
					if a.Refused() {
						c.Skipf("newInstance was refused: %v", a)
					}
					c.conforms("newInstance", a, "instanceId")
				},
			},
			{
				ID: "new-instance/repeat-gets-the-same-instance", Requirement: "NEW-3", Title: "A repeat with another businessId, right after the first call, gets the same instanceId",
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 1)
					var first *Instance
					c.preparing(func() { first = c.New(ctx, order, 0) })
					c.repeated(ctx, first)
				},
			},
			{
				ID: "new-instance/repeat-when-ready-gets-the-same-instance", Requirement: "NEW-3", Title: "A repeat for an instance that is ready gets the same instanceId",
				Run: func(ctx context.Context, c *Case) { c.repeated(ctx, c.Open(ctx)) },
			},
			{
				ID: "new-instance/overlapping-repeats-get-the-same-instance", Requirement: "NEW-3", Title: "Repeats that arrive at the same time get the same instanceId",
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 1)
					var bodies []Body
					for range 8 {
						bodies = append(bodies, c.newInstance(order, 0))
					}
					ids := map[string]int{}
					for _, a := range c.Together(ctx, bodies) {
						if (a.Succeeded() || a.InProgress()) && a.InstanceID != "" { // a refused repeat is sent again later, which does no harm
							ids[a.InstanceID]++
						}
					}
					if len(ids) == 0 {
						c.Skipf("none of the calls was accepted")
					}
					if len(ids) > 1 {
						c.Errorf("newInstance, 8 times together for one order line: expected one instanceId, got %d: %s", len(ids), keys(ids))
					}
				},
			},
			{
				ID: "new-instance/lines-of-an-order-get-different-instances", Requirement: "NEW-4", Title: "Two lines of one order get different instances",
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 2)
					var one, two *Instance
					c.preparing(func() { one, two = c.New(ctx, order, 0), c.New(ctx, order, 1) })
					if one.ID == two.ID {
						c.Errorf("newInstance for lines 1 and 2 of order %s: expected different instanceIds, got %q twice", order.OrderID, one.ID)
					}
				},
			},
			{
				ID: "new-instance/orders-get-different-instances", Requirement: "NEW-4", Title: "Different orders get different instances",
				Run: func(ctx context.Context, c *Case) {
					var one, two *Instance
					c.preparing(func() {
						one = c.New(ctx, c.Order(ctx, marketplaceapi.OrderNew, 1), 0)
						two = c.New(ctx, c.Order(ctx, marketplaceapi.OrderNew, 1), 0)
					})
					if one.ID == two.ID {
						c.Errorf("newInstance for two orders: expected different instanceIds, got %q twice", one.ID)
					}
				},
			},
		},
	)
}

// repeated expects two more calls for the same order line to get the same instance.
func (c *Case) repeated(ctx context.Context, first *Instance) {
	for n := range 2 {
		a := c.Send(ctx, c.newInstance(first.Order, first.Line))
		what := fmt.Sprintf("newInstance for the same order line, repeat %d", n+1)
		switch {
		case !a.Succeeded() && !a.InProgress():
			c.Errorf("%s: expected 000000 or 000004 with instanceId %q, got %v", what, first.ID, a)
		case a.InstanceID != first.ID:
			c.Errorf("%s: expected instanceId %q, got %q", what, first.ID, a.InstanceID)
		}
	}
}

func keys(m map[string]int) string {
	var ids []string
	for id := range m {
		ids = append(ids, fmt.Sprintf("%q", id))
	}
	slices.Sort(ids)
	return strings.Join(ids, ", ")
}

// conforms compares an answer with the contract and reports what concerns the fields below a name.
func (c *Case) conforms(call string, a *Answer, field string) {
	schema, err := contract.Provider().Answer(call)
	if err != nil {
		c.abort("%v", err)
	}
	for _, v := range schema.Violations(a.Body) {
		if strings.Contains(v, field) {
			c.Errorf("answer to %s: expected it as the contract says, got %s", call, v)
		}
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string cannot fail
	return string(b)
}

func queryInstanceChecks() []Check {
	return slices.Concat(
		perMode(Modes(), "query-instance/%s-instance-becomes-ready", "QRY-1", "A new %s instance is answered by queryInstance", func(ctx context.Context, c *Case) {
			order := c.Order(ctx, marketplaceapi.OrderNew, 1)
			var i *Instance
			c.preparing(func() { i = c.New(ctx, order, 0) })
			c.AwaitReady(ctx, i)
		}),
		[]Check{
			{
				ID: "query-instance/entries-name-their-instance", Requirement: "QRY-2", Title: "Every entry of info names the instance it is about",
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 1)
					var i *Instance
					c.preparing(func() { i = c.New(ctx, order, 0) })
					// The instance may not be ready yet, so it is asked for until there is an entry; other checks judge that it comes.
					a := c.firstEntry(ctx, i)
					for n, e := range a.Info {
						if e.InstanceID != i.ID {
							c.Errorf("queryInstance of %q: expected info[%d].instanceId %q, got %s", i.ID, n, i.ID, orNone(e.Fields["instanceId"]))
						}
					}
				},
			},
			{
				ID: "query-instance/app-info-is-well-formed", Requirement: "QRY-3", Title: "appInfo has a frontEndUrl, and all its fields are within their limits",
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					e, _ := i.Ready.Entry(i.ID)
					if e.Fields["appInfo"] == nil {
						c.Skipf("the entry has no appInfo")
					}
					c.conforms("queryInstance", i.Ready, "appInfo")
				},
			},
			{
				ID: "query-instance/app-info-is-there", Requirement: "QRY-4", Title: "The entry of a ready instance has appInfo",
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					if e, _ := i.Ready.Entry(i.ID); e.Fields["appInfo"] == nil {
						c.Errorf("queryInstance: expected appInfo in the entry, got none")
					}
				},
			},
			{
				ID: "query-instance/several-instances-are-answered", Requirement: "QRY-5", Title: "A query for three instances gets three entries",
				Run: func(ctx context.Context, c *Case) {
					ids := []string{c.Open(ctx).ID, c.Open(ctx).ID, c.Open(ctx).ID}
					a := c.Send(ctx, queryInstance(strings.Join(ids, ",")))
					if !c.WantSuccess("queryInstance of three instances", a) {
						return
					}
					for n, id := range ids {
						if _, ok := a.Entry(id); !ok {
							c.Errorf("queryInstance of three instances: expected an entry for number %d (%q), got %s", n+1, id, entries(a))
						}
					}
				},
			},
			{
				ID: "query-instance/hundred-ids-are-accepted", Requirement: "QRY-6", Title: "A debug query may name 100 instances",
				Run: func(ctx context.Context, c *Case) {
					ids := make([]string, 100)
					for n := range ids {
						ids[n] = c.uuid()
					}
					c.WantSuccess("debug queryInstance of 100 instances", c.Send(ctx, queryInstance(strings.Join(ids, ",")).Debug()))
				},
			},
			{
				ID: "query-instance/unknown-instance-has-no-entry", Requirement: "QRY-7", Title: "A query for an instance that does not exist answers no entry for it",
				Run: func(ctx context.Context, c *Case) {
					id := c.unknownID()
					a := c.Send(ctx, queryInstance(id))
					if _, ok := a.Entry(id); ok {
						c.Errorf("queryInstance of an unknown instance: expected no entry for it, got one with %v", a)
					}
				},
			},
			{
				ID: "query-instance/unknown-instance-among-others-has-no-entry", Requirement: "QRY-7", Title: "A query for a known and an unknown instance answers the known one, or 000003",
				Run: func(ctx context.Context, c *Case) {
					known, unknown := c.Open(ctx), c.unknownID()
					a := c.Send(ctx, queryInstance(known.ID+","+unknown))
					if _, ok := a.Entry(known.ID); a.Code != "000003" && (!a.Succeeded() || !ok) {
						c.Errorf("queryInstance of a known and an unknown instance: expected 000003, or 000000 with an entry for the known one, got %v with %s", a, entries(a))
					}
					if _, ok := a.Entry(unknown); ok {
						c.Errorf("queryInstance of a known and an unknown instance: expected no entry for the unknown one, got one")
					}
				},
			},
		},
	)
}

// firstEntry asks for an instance until the answer has entries.
func (c *Case) firstEntry(ctx context.Context, i *Instance) *Answer {
	body := queryInstance(i.ID)
	wait, waited := c.env.PollEvery, c.env.PollEvery*0
	c.requests = append(c.requests, curl.Request{URL: c.env.Target, Body: body.Text()})
	for {
		a := c.exchange(ctx, "queryInstance", curl.Request{URL: c.env.Target, Body: body.Text()})
		c.needAnswer(ctx, "queryInstance", a)
		if len(a.Info) > 0 {
			return a
		}
		if waited += wait; a.Refused() || waited > c.env.ReadyLimit {
			c.Skipf("queryInstance answered no entries: %v", a)
		}
		if !pause(ctx, wait) {
			panic(stopped{Error})
		}
		wait *= 2
	}
}

func orNone(raw json.RawMessage) string {
	if raw == nil {
		return "none"
	}
	return shorten(raw)
}

// beyondOneTime are the modes in which refreshInstance may be called at all.
var beyondOneTime = []string{Period, OnDemand, Package}

func refreshChecks() []Check {
	title := func(scene string, modes []string) string {
		if modes[0] != Period {
			return "refreshInstance in the scene " + scene + " succeeds for on-demand and package instances"
		}
		return "refreshInstance in the scene " + scene + " succeeds"
	}
	scene := func(id, requirement, scene string, kind marketplaceapi.OrderType, modes []string) Check {
		return Check{
			ID: id, Requirement: requirement, Title: title(scene, modes), Charging: modes,
			Run: func(ctx context.Context, c *Case) {
				i, order := c.Open(ctx), c.Order(ctx, kind, 1)
				c.WantSuccess("refreshInstance with scene "+scene, c.Send(ctx, refreshInstance(order, i.ID, scene, inAYear())))
			},
		}
	}
	return []Check{
		scene("refresh-instance/renewal-succeeds", "REF-1", "RENEWAL", marketplaceapi.OrderRenew, []string{Period}),
		scene("refresh-instance/trial-to-formal-succeeds", "REF-1", "TRIAL_TO_FORMAL", marketplaceapi.OrderTrialToFormal, []string{Period}),
		scene("refresh-instance/cancelled-renewal-succeeds", "REF-1", "UNSUBSCRIBE_RENEWAL_PERIOD", marketplaceapi.OrderUnsubscribe, []string{Period}),
		scene("refresh-instance/renewal-with-change-succeeds", "REF-2", "RENEWAL_CHANGE", marketplaceapi.OrderRenew, []string{Period}),
		{
			ID: "refresh-instance/repeat-succeeds", Requirement: "REF-3", Title: "The same refreshInstance a second time succeeds", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i, order := c.Open(ctx), c.Order(ctx, marketplaceapi.OrderRenew, 1)
				body := refreshInstance(order, i.ID, "RENEWAL", inAYear())
				c.Must(ctx, body)
				c.WantSuccess("refreshInstance, the same again", c.Send(ctx, body))
			},
		},
		{
			ID: "refresh-instance/unknown-instance-is-refused", Requirement: "REF-4", Title: "refreshInstance of an instance that does not exist is refused", Charging: beyondOneTime,
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderRenew, 1)
				c.WantRefused("refreshInstance of an unknown instance", c.Send(ctx, refreshInstance(order, c.unknownID(), "RENEWAL", inAYear())))
			},
		},
		{
			ID: "refresh-instance/expiry-with-milliseconds-is-accepted", Requirement: "REF-5", Title: "An expireTime of 17 digits is accepted", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i, order := c.Open(ctx), c.Order(ctx, marketplaceapi.OrderRenew, 1)
				c.WantSuccess("refreshInstance with an expireTime of 17 digits", c.Send(ctx, refreshInstance(order, i.ID, "RENEWAL", inAYear()+"256")))
			},
		},
		{
			ID: "refresh-instance/new-product-is-accepted", Requirement: "REF-6", Title: "refreshInstance with the optional productId succeeds", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i, order := c.Open(ctx), c.Order(ctx, marketplaceapi.OrderRenew, 1)
				body := refreshInstance(order, i.ID, "RENEWAL", inAYear()).With("productId", order.OrderLine[0].ProductInfo[0].ProductID)
				c.WantSuccess("refreshInstance with productId", c.Send(ctx, body))
			},
		},
		scene("refresh-instance/usage-instances-can-be-refreshed", "REF-7", "RENEWAL", marketplaceapi.OrderRenew, []string{OnDemand, Package}),
	}
}

func statusChecks() []Check {
	freezeAndUnfreeze := func(ctx context.Context, c *Case) {
		i := c.Open(ctx)
		c.WantSuccess("FREEZE", c.Send(ctx, updateStatus(i.ID, "FREEZE")))
		c.WantSuccess("UNFREEZE", c.Send(ctx, updateStatus(i.ID, "UNFREEZE")))
	}
	return []Check{
		{ID: "instance-status/freeze-and-unfreeze-succeed", Requirement: "STA-1", Title: "FREEZE and then UNFREEZE succeed", Charging: []string{Period}, Run: freezeAndUnfreeze},
		{
			ID: "instance-status/repeats-succeed", Requirement: "STA-2", Title: "FREEZE of a frozen instance and UNFREEZE of an open one succeed", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				for _, status := range []string{"FREEZE", "UNFREEZE"} {
					c.Must(ctx, updateStatus(i.ID, status))
					c.WantSuccess(status+" a second time", c.Send(ctx, updateStatus(i.ID, status)))
				}
			},
		},
		{
			ID: "instance-status/unknown-instance-is-refused", Requirement: "STA-3", Title: "updateInstanceStatus of an instance that does not exist is refused", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				for _, status := range []string{"FREEZE", "UNFREEZE"} {
					c.WantRefused(status+" of an unknown instance", c.Send(ctx, updateStatus(c.unknownID(), status)))
				}
			},
		},
		{
			ID: "instance-status/frozen-instance-is-still-there", Requirement: "STA-4", Title: "queryInstance answers a frozen instance, and one that was unfrozen", Charging: []string{Period},
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Must(ctx, updateStatus(i.ID, "FREEZE"))
				c.StillOpen(ctx, "FREEZE", i)
				c.Must(ctx, updateStatus(i.ID, "UNFREEZE"))
				c.StillOpen(ctx, "UNFREEZE", i)
			},
		},
		{ID: "instance-status/usage-instances-can-be-frozen", Requirement: "STA-5", Title: "FREEZE and UNFREEZE succeed for on-demand and package instances", Charging: []string{OnDemand, Package}, Run: freezeAndUnfreeze},
	}
}

func releaseChecks() []Check {
	return slices.Concat(
		perMode(Modes(), "release-instance/%s-instance-is-released", "REL-1", "releaseInstance of a %s instance, because its buyer unsubscribed, succeeds", func(ctx context.Context, c *Case) {
			i, order := c.Open(ctx), c.Order(ctx, marketplaceapi.OrderUnsubscribe, 1)
			body := releaseInstance(i.ID).With("orderId", order.OrderID).With("orderLineId", order.OrderLine[0].OrderLineID)
			c.WantSuccess("releaseInstance with the unsubscription order", c.Send(ctx, body))
		}),
		[]Check{
			{
				ID: "release-instance/succeeds-without-an-order", Requirement: "REL-1", Title: "releaseInstance without an order, because the freeze period ran out, succeeds",
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					c.WantSuccess("releaseInstance without an order", c.Send(ctx, releaseInstance(i.ID)))
				},
			},
			{
				ID: "release-instance/frozen-instance-is-released", Requirement: "REL-1", Title: "releaseInstance of a frozen instance succeeds", Charging: []string{Period},
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					c.Must(ctx, updateStatus(i.ID, "FREEZE"))
					c.WantSuccess("releaseInstance of a frozen instance", c.Send(ctx, releaseInstance(i.ID)))
				},
			},
			{
				ID: "release-instance/repeat-is-confirmed", Requirement: "REL-2", Title: "The same releaseInstance a second time is answered with 000000 or 000003",
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					c.Must(ctx, releaseInstance(i.ID))
					c.WantCode("releaseInstance a second time", c.Send(ctx, releaseInstance(i.ID)), "000000", "000003")
				},
			},
			{
				ID: "release-instance/released-instance-is-gone", Requirement: "REL-3", Title: "queryInstance answers no entry for a released instance",
				Run: func(ctx context.Context, c *Case) {
					i := c.Open(ctx)
					c.Must(ctx, releaseInstance(i.ID))
					a := c.Send(ctx, queryInstance(i.ID))
					if _, ok := a.Entry(i.ID); ok && a.Succeeded() {
						c.Errorf("queryInstance of a released instance: expected 000003 or no entry, got %v with %s", a, entries(a))
					}
				},
			},
			{
				ID: "release-instance/other-instances-stay", Requirement: "REL-4", Title: "Releasing one instance of an order leaves the other one",
				Run: func(ctx context.Context, c *Case) {
					var one, two *Instance
					c.preparing(func() {
						order := c.Order(ctx, marketplaceapi.OrderNew, 2)
						one, two = c.New(ctx, order, 0), c.New(ctx, order, 1)
						if one.ID == two.ID {
							c.Skipf("both lines of an order got the same instance")
						}
						c.AwaitReady(ctx, one)
						c.AwaitReady(ctx, two)
					})
					c.Must(ctx, releaseInstance(one.ID))
					c.StillOpen(ctx, "the release of another instance of the order", two)
				},
			},
			{
				ID: "release-instance/unknown-instance-is-confirmed-or-unknown", Requirement: "REL-5", Title: "releaseInstance of an instance that never existed is answered with 000000 or 000003",
				Run: func(ctx context.Context, c *Case) {
					c.WantCode("releaseInstance of an unknown instance", c.Send(ctx, releaseInstance(c.unknownID())), "000000", "000003")
				},
			},
		},
	)
}

func upgradeChecks() []Check {
	return []Check{
		{
			ID: "upgrade-instance/succeeds-and-keeps-the-id", Requirement: "UPG-1", Title: "upgradeInstance succeeds and the instance is still there", Charging: []string{Period}, Capability: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				i, order := c.Open(ctx), c.Order(ctx, marketplaceapi.OrderChange, 1)
				if c.WantSuccess("upgradeInstance", c.Send(ctx, upgradeInstance(order, i.ID))) {
					c.StillOpen(ctx, "upgradeInstance", i)
				}
			},
		},
		{
			ID: "upgrade-instance/repeat-succeeds", Requirement: "UPG-2", Title: "The same upgradeInstance a second time succeeds", Charging: []string{Period}, Capability: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				i, order := c.Open(ctx), c.Order(ctx, marketplaceapi.OrderChange, 1)
				c.Must(ctx, upgradeInstance(order, i.ID))
				c.WantSuccess("upgradeInstance, the same again", c.Send(ctx, upgradeInstance(order, i.ID)))
			},
		},
		{
			ID: "upgrade-instance/unknown-instance-is-refused", Requirement: "UPG-3", Title: "upgradeInstance of an instance that does not exist is refused", Charging: []string{Period}, Capability: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderChange, 1)
				c.WantRefused("upgradeInstance of an unknown instance", c.Send(ctx, upgradeInstance(order, c.unknownID())))
			},
		},
	}
}

func changeCheckChecks() []Check {
	return []Check{
		{
			ID: "change-check/is-answered", Requirement: "CHK-1", Title: "changeInstanceCheck is answered yes or no", Charging: []string{Period}, Capability: ChangeCheck,
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, changeCheck(c.Open(ctx).ID))
				if !a.ok() || !sixDigits.MatchString(a.Code) || a.InProgress() || a.Code == "000001" || a.Code == "000002" || a.Code == "000003" {
					c.Errorf("changeInstanceCheck: expected 000000 or a reason to refuse the change, got %v", a)
				}
			},
		},
		{
			ID: "change-check/product-as-text-is-understood", Requirement: "CHK-2", Title: "productInfo as JSON text is answered like the object", Charging: []string{Period}, Capability: ChangeCheck,
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				object := c.Send(ctx, changeCheck(i.ID))
				asText := c.Send(ctx, changeCheck(i.ID).With("productInfo", Body(targetProduct()).Text()))
				if object.Code != asText.Code {
					c.Errorf("changeInstanceCheck with productInfo as text: expected %s as with the object, got %v", object.Code, asText)
				}
			},
		},
		{
			ID: "change-check/unknown-instance-is-refused", Requirement: "CHK-3", Title: "changeInstanceCheck for an instance that does not exist is refused", Charging: []string{Period}, Capability: ChangeCheck,
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("changeInstanceCheck for an unknown instance", c.Send(ctx, changeCheck(c.unknownID())))
			},
		},
	}
}

func orderNotifyChecks() []Check {
	return []Check{
		{
			ID: "order-notify/succeeds-twice", Requirement: "NTF-1", Title: "orderNotify succeeds, and so does its repeat", Capability: OrderNotify,
			Run: func(ctx context.Context, c *Case) {
				body := orderNotify(c.Order(ctx, marketplaceapi.OrderNew, 1))
				c.WantSuccess("orderNotify", c.Send(ctx, body))
				c.WantSuccess("orderNotify, the same again", c.Send(ctx, body))
			},
		},
		{
			ID: "order-notify/base-key-is-refused", Requirement: "NTF-2", Title: "orderNotify that is signed with the base key is refused", Capability: OrderNotify,
			Run: func(ctx context.Context, c *Case) {
				if c.env.GeneralKey == c.env.BaseKey {
					c.Skipf("the general key is the base key")
				}
				body := orderNotify(c.Order(ctx, marketplaceapi.OrderNew, 1))
				c.WantRefused("orderNotify signed with the base key", c.SendRequest(ctx, "orderNotify", curl.Request{URL: c.env.Target, Body: body.Text()}))
			},
		},
	}
}

// tooLong is a text one character beyond a limit.
func tooLong(limit int) string { return strings.Repeat("x", limit+1) }

func runes(s string) int { return utf8.RuneCountInString(s) }
