package mutant

import (
	"net/http"
	"slices"
	"sync"
)

// ForTheAdversary are ISVs that are wrong in a way that takes a story to show: each check by itself finds nothing. Caught are the checks of
// the adversary.
func ForTheAdversary() []Mutant {
	return []Mutant{
		{
			Name: "after a renewal, overlapping repeats of newInstance make a second instance", Caught: []string{"chaos/one-instance-per-order-line"},
			Build: remember(func() behaviour {
				var mu sync.Mutex
				lines, renewed := map[string]string{}, map[string]bool{} // instance by line; by instance
				return func(c *call) *answer {
					if c.debug() || !c.is("newInstance") {
						a := c.pass()
						if c.is("refreshInstance") && a.ok() && !c.debug() {
							mu.Lock()
							defer mu.Unlock()
							renewed[c.text("instanceId")] = true
						}
						return a
					}
					line := c.text("orderId") + " " + c.text("orderLineId")
					mu.Lock()
					id := lines[line]
					fresh := renewed[id]
					mu.Unlock()
					if fresh && c.meets(line) > 0 {
						return c.pass().set("instanceId", randomID())
					}
					a := c.pass()
					mu.Lock()
					defer mu.Unlock()
					if id, ok := a.body["instanceId"].(string); ok && a.ok() {
						lines[line] = id
					}
					return a
				}
			}),
		},
		{
			Name: "a renewal whose caller hangs up is undone, and the instance with it", Caught: []string{"chaos/instances-stay"},
			Build: wire(func(c *call) *answer {
				if !c.is("refreshInstance") || c.debug() || !c.gone() {
					return c.pass()
				}
				c.isv.App.forget(c.text("instanceId"))
				return reply("000005", "rolled back")
			}),
		},
		{
			Name: "a release whose caller hangs up counts as done", Caught: []string{"chaos/released-stays-released"}, Warned: true,
			Build: remember(func() behaviour {
				var mu sync.Mutex
				done := map[string]bool{}
				return func(c *call) *answer {
					if !c.is("releaseInstance") || c.debug() {
						return c.pass()
					}
					id, left := c.text("instanceId"), c.gone()
					mu.Lock()
					done[id] = done[id] || left
					skip := done[id]
					mu.Unlock()
					if skip {
						return success()
					}
					return c.pass()
				}
			}),
		},
		{
			Name: "a freeze that is going on during the release brings the instance back", Caught: []string{"chaos/released-stays-released"}, Warned: true,
			Build: remember(func() behaviour {
				var mu sync.Mutex
				released := map[string]*signal{} // by instance
				of := func(id string) *signal {
					mu.Lock()
					defer mu.Unlock()
					if released[id] == nil {
						released[id] = newSignal()
					}
					return released[id]
				}
				return func(c *call) *answer {
					id := c.text("instanceId")
					switch {
					case c.debug():
					case c.is("releaseInstance"):
						a := c.pass()
						if a.ok() {
							of(id).give()
						}
						return a
					case c.is("updateInstanceStatus"):
						saved := c.isv.App.copied(id)
						if saved != nil && c.until(of(id).c) {
							c.isv.App.restore(id, saved)
							return success()
						}
					}
					return c.pass()
				}
			}),
		},
		{
			Name: "a release that is repeated releases the next instance of the order", Caught: []string{"chaos/instances-stay"},
			Build: remember(func() behaviour {
				var mu sync.Mutex
				orders, released := map[string][]string{}, map[string]string{} // instances by order; order by instance
				return func(c *call) *answer {
					a := c.pass()
					if c.debug() || !a.ok() {
						return a
					}
					mu.Lock()
					defer mu.Unlock()
					switch {
					case c.is("newInstance"):
						id, _ := a.body["instanceId"].(string)
						if order := c.text("orderId"); !slices.Contains(orders[order], id) {
							orders[order] = append(orders[order], id)
						}
					case c.is("releaseInstance"):
						id := c.text("instanceId")
						if order, again := released[id]; again {
							for _, other := range orders[order] {
								c.isv.App.forget(other)
							}
						}
						for order, ids := range orders {
							if slices.Contains(ids, id) {
								released[id] = order
							}
						}
					}
					return a
				}
			}),
		},
		{
			Name: "after an upgrade whose caller hangs up every call about the instance crashes", Caught: []string{"chaos/every-call-is-answered"},
			Build: remember(func() behaviour {
				var mu sync.Mutex
				broken := map[string]bool{}
				return func(c *call) *answer {
					id := c.text("instanceId")
					mu.Lock()
					crashes := broken[id]
					mu.Unlock()
					switch {
					case c.debug() || c.is("queryInstance"):
					case crashes:
						panic(http.ErrAbortHandler) // the connection is closed
					case c.is("upgradeInstance") && c.gone():
						mu.Lock()
						defer mu.Unlock()
						broken[id] = true
						return reply("000005", "interrupted")
					}
					return c.pass()
				}
			}),
		},
	}
}

// BreaksEndOf are mutants of the suite by which the rules of the adversary are shown that none of his own breaks, by the rule. They are caught
// without him, too.
func BreaksEndOf() []Mutant {
	all := slices.Concat(Mutants(), OtherMutants())
	var found []Mutant
	for _, pair := range [][2]string{
		{"keeps one instance per order", "chaos/an-instance-of-its-own-for-each-line"},
		{"answers no instanceId", "chaos/an-id-for-each-instance"},
		{"refuses the repeat of a renewal", "chaos/repeats-are-accepted"},
		{"refuses the repeat of a release", "chaos/repeated-release-is-confirmed"},
		{"opens an instance for a debug call", "chaos/no-instance-for-a-debug-call"},
	} {
		n := slices.IndexFunc(all, func(m Mutant) bool { return m.Name == pair[0] })
		m := all[n]
		m.Caught = []string{pair[1]}
		found = append(found, m)
	}
	return found
}

// forget loses an instance.
func (a *App) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.instances, id)
}

// copied is an instance as it is; nil if there is none.
func (a *App) copied(id string) *instance {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.instances[id] == nil {
		return nil
	}
	saved := *a.instances[id]
	return &saved
}

// restore writes an instance back.
func (a *App) restore(id string, saved *instance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if saved != nil {
		a.instances[id] = saved
	}
}
