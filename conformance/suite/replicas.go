package suite

import (
	"context"
	"strings"
	"sync"

	"github.com/isvkit/isvkit/conformance/internal/intent"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// SendTo is Send to one of the addresses of the ISV.
func (c *Case) SendTo(ctx context.Context, address string, body Body, variation ...curl.Variation) *Answer {
	r := curl.Request{URL: address, Body: body.Text()}
	if len(variation) > 0 {
		r.Variation = variation[0]
	}
	return c.SendRequest(ctx, body.Activity()+" at "+address, r)
}

// everywhere does something at each further address of the ISV.
func (c *Case) everywhere(do func(address string)) {
	for _, address := range c.env.Replicas {
		do(address)
	}
}

// atReplicas is a check that a call is understood at the other processes of the ISV, after something happened at the first one.
func atReplicas(id, requirement, title, capability string, charging []string, run func(ctx context.Context, c *Case)) Check {
	return Check{ID: "replicas/" + id, Requirement: requirement, Title: title, Charging: charging, Capability: capability, Replicas: true, Run: run}
}

// repeatedAt is a check that the repeat of a call at another process is confirmed.
func repeatedAt(slug, requirement, capability string, charging []string, body base) Check {
	return atReplicas(slug+"-can-be-repeated-elsewhere", requirement, "The repeat of "+slug+" at another address is confirmed", capability, charging, func(ctx context.Context, c *Case) {
		call := body(ctx, c)
		c.Must(ctx, call)
		c.everywhere(func(address string) {
			c.WantCode(call.Activity()+" again at "+address, c.SendTo(ctx, address, call), confirmations(call.Activity())...)
		})
	})
}

func replicaChecks() []Check {
	return []Check{
		atReplicas("right-signature-is-accepted", "SIG-1", "A rightly signed debug call is accepted at every address", "", nil, func(ctx context.Context, c *Case) {
			c.everywhere(func(address string) {
				c.WantSuccess("debug queryInstance at "+address, c.SendTo(ctx, address, queryInstance(c.uuid()).Debug()))
			})
		}),
		atReplicas("wrong-signature-is-refused", "SIG-2", "A call that is signed with another key is refused at every address", "", nil, func(ctx context.Context, c *Case) {
			c.everywhere(func(address string) {
				c.WantRefused("debug queryInstance signed with another key at "+address, c.SendTo(ctx, address, queryInstance(c.uuid()).Debug(), curl.Variation{Key: notTheKey}))
			})
		}),
		atReplicas("replay-is-refused", "SIG-7", "The identical request is refused at another address, too", "", nil, func(ctx context.Context, c *Case) {
			s := c.signed(ctx, queryInstance(c.Shared(ctx).ID))
			c.preparing(func() { c.WantSuccess("queryInstance", c.transmit(ctx, s, "")) })
			c.everywhere(func(address string) {
				r := s.request
				r.URL = address
				a, err := c.env.transmit(ctx, r, s.params)
				if err != nil {
					c.abort("%v", err)
				}
				c.requests = append(c.requests, r)
				c.needAnswer(ctx, "queryInstance at "+address, a)
				c.WantRefused("queryInstance, the same bytes and parameters at "+address, a)
			})
		}),
		atReplicas("repeat-gets-the-same-instance", "NEW-3", "A repeat of newInstance at another address gets the same instanceId", "", nil, func(ctx context.Context, c *Case) {
			var i *Instance
			c.preparing(func() { i = c.New(ctx, c.Order(ctx, marketplaceapi.OrderNew, 1), 0) })
			c.everywhere(func(address string) {
				a := c.SendTo(ctx, address, c.newInstance(i.Order, i.Line))
				c.accepts("newInstance again at "+address, a)
				if !a.Refused() && a.InstanceID != i.ID {
					c.Errorf("newInstance again at %s: expected instanceId %q, got %q", address, i.ID, a.InstanceID)
				}
			})
		}),
		atReplicas("overlapping-repeats-get-the-same-instance", "NEW-3", "Repeats of newInstance that arrive at all addresses at the same time get the same instanceId", "", nil,
			func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				ids := map[string]int{}
				for _, a := range c.spread(ctx, order, 3) {
					if !a.Refused() && a.InstanceID != "" {
						ids[a.InstanceID]++
					}
				}
				if len(ids) == 0 {
					c.Skipf("none of the calls was accepted")
				}
				if len(ids) > 1 {
					c.Errorf("newInstance for one order line at all addresses together: expected one instanceId, got %d", len(ids))
				}
			}),
		atReplicas("instance-is-known-elsewhere", "QRY-1", "An instance is answered by queryInstance at every address", "", nil, func(ctx context.Context, c *Case) {
			i := c.Open(ctx)
			c.everywhere(func(address string) { c.answeredAt(ctx, address, i) })
		}),
		atReplicas("released-instance-is-gone-elsewhere", "REL-3", "A released instance is answered at no address", "", nil, func(ctx context.Context, c *Case) {
			i := c.Open(ctx)
			c.everywhere(func(address string) { // so that a process that keeps what it has seen has seen it
				c.SendTo(ctx, address, queryInstance(i.ID))
			})
			c.Must(ctx, releaseInstance(i.ID))
			c.everywhere(func(address string) {
				a := c.SendTo(ctx, address, queryInstance(i.ID))
				if _, ok := a.Entry(i.ID); ok && a.Succeeded() {
					c.Errorf("queryInstance of a released instance at %s: expected 000003 or no entry, got %v with %s", address, a, entries(a))
				}
			})
		}),
		atReplicas("instance-can-be-released-elsewhere", "REL-1", "An instance can be released at another address than it was made", "", nil, func(ctx context.Context, c *Case) {
			c.everywhere(func(address string) {
				i := c.Open(ctx)
				c.WantSuccess("releaseInstance at "+address, c.SendTo(ctx, address, releaseInstance(i.ID)))
			})
		}),
		atReplicas("instance-can-be-frozen-elsewhere", "STA-1", "An instance can be frozen at one address and unfrozen at the other", "", []string{Period}, func(ctx context.Context, c *Case) {
			c.everywhere(func(address string) {
				i := c.Open(ctx)
				c.WantSuccess("FREEZE at "+address, c.SendTo(ctx, address, updateStatus(i.ID, "FREEZE")))
				c.WantSuccess("UNFREEZE at the first address", c.Send(ctx, updateStatus(i.ID, "UNFREEZE")))
			})
		}),
		repeatedAt("refresh-instance", "REF-3", "", []string{Period}, baseRefresh),
		repeatedAt("instance-status", "STA-2", "", []string{Period}, baseStatus),
		repeatedAt("release-instance", "REL-2", "", nil, baseRelease),
		repeatedAt("upgrade-instance", "UPG-2", Upgrade, []string{Period}, baseUpgrade),
	}
}

// answeredAt expects an address to answer an instance.
func (c *Case) answeredAt(ctx context.Context, address string, i *Instance) {
	a := c.SendTo(ctx, address, queryInstance(i.ID))
	if _, ok := a.Entry(i.ID); !a.Succeeded() || !ok {
		c.Errorf("queryInstance at %s: expected 000000 with an entry for the instance, got %v with %s", address, a, entries(a))
	}
}

// spread sends newInstance for one order line to all addresses at the same time, so often to each.
func (c *Case) spread(ctx context.Context, order marketplaceapi.OrderInfo, each int) []*Answer {
	var requests []curl.Request
	for range each {
		for _, address := range append([]string{c.env.Target}, c.env.Replicas...) {
			requests = append(requests, curl.Request{URL: address, Body: c.newInstance(order, 0).Text(), Variation: curl.Variation{Together: true}})
		}
	}
	answers, errs := make([]*Answer, len(requests)), make([]error, len(requests))
	var wg sync.WaitGroup
	together := intent.Together(ctx, len(requests))
	for n, r := range requests {
		wg.Go(func() { answers[n], errs[n] = c.env.exchange(together, r) })
	}
	wg.Wait()
	c.requests = append(c.requests, requests...)
	for n, a := range answers {
		if errs[n] != nil {
			c.abort("%v", errs[n])
		}
		c.needAnswer(ctx, strings.TrimSpace("newInstance at "+requests[n].URL), a)
	}
	return answers
}
