package mutant

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// notes is the memory of a mutant.
type notes struct {
	mu   sync.Mutex
	text map[string]string
}

// swap writes a note and gives the one before, "" if there was none.
func (n *notes) swap(about, text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.text == nil {
		n.text = map[string]string{}
	}
	before := n.text[about]
	n.text[about] = text
	return before
}

// of reads a note.
func (n *notes) of(about string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text[about]
}

// noting makes a mutant that keeps notes.
func noting(b func(c *call, n *notes) *answer) func(*ISV) http.Handler {
	return remember(func() behaviour {
		n := &notes{}
		return func(c *call) *answer { return b(c, n) }
	})
}

func cannot() *answer { return reply("000005", "cannot be done") }

// meets makes a mutant for calls that match: with is told whether it is the first of those that arrive together.
func meets(matches func(c *call) bool, key func(c *call) string, with func(c *call, first bool) *answer) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if !matches(c) || !c.trusted() {
			return c.pass()
		}
		k := key(c)
		if k == "" {
			return c.pass()
		}
		return with(c, c.meets(k) == 0)
	})
}

func storyMutants() []Mutant {
	afterRelease := func(name, check string, matches func(c *call) bool) Mutant {
		return Mutant{Name: "confirms after the release: " + name, Build: noting(func(c *call, n *notes) *answer {
			a := c.pass()
			if c.is("releaseInstance") && !c.debug() && a.ok() {
				n.swap(c.text("instanceId"), "released")
			}
			if matches(c) && !c.debug() && a.code() == "000003" && n.of(c.text("instanceId")) != "" {
				return success()
			}
			return a
		}), Caught: []string{"sequences/" + check + "-after-release-is-refused"}, Warned: true}
	}
	activity := func(name string) func(c *call) bool { return func(c *call) bool { return c.is(name) } }
	status := func(s string) func(c *call) bool { return func(c *call) bool { return c.text("status") == s } }
	instance := func(c *call) string { return c.text("instanceId") }
	order := func(c *call) string { return c.text("orderId") }
	overlaps := func(name, slug string, key func(c *call) string) Mutant {
		return Mutant{
			Name: "crashes when calls overlap: " + name, Warned: false, Caught: []string{"sequences/overlapping-" + slug + "-repeats-do-no-harm"},
			Allowed: []string{"parameters/*"}, // which use one instance at the same time
			Build: meets(func(c *call) bool { return c.is(name) && !c.debug() }, key, func(c *call, first bool) *answer {
				if !first {
					return &answer{status: http.StatusInternalServerError, header: http.Header{}, raw: []byte("deadlock")}
				}
				return c.pass()
			}),
		}
	}
	trusted := func(c *call, activity string) bool { return c.is(activity) && !c.debug() && c.trusted() }
	return []Mutant{
		afterRelease("renewals", "refresh-instance", activity("refreshInstance")),
		afterRelease("FREEZE", "freeze", status("FREEZE")),
		afterRelease("UNFREEZE", "unfreeze", status("UNFREEZE")),
		afterRelease("upgrades", "upgrade-instance", activity("upgradeInstance")),
		afterRelease("change checks", "change-check", activity("changeInstanceCheck")),
		{Name: "opens a new instance for a line whose instance was released", Build: noting(func(c *call, n *notes) *answer {
			a := c.pass()
			if c.is("releaseInstance") && !c.debug() && a.ok() {
				n.swap(c.text("instanceId"), "released")
			}
			if c.is("newInstance") && !c.debug() && a.ok() && n.of(fmt.Sprint(a.body["instanceId"])) != "" {
				return a.set("instanceId", c.text("businessId"))
			}
			return a
		}), Caught: []string{"sequences/late-new-instance-makes-no-second-instance"}, Warned: true},
		{
			Name: "does not renew what is frozen", Build: when(func(c *call) bool { return c.is("refreshInstance") && c.isv.App.frozen(c.text("instanceId")) }),
			Caught: []string{"sequences/frozen-instance-can-be-renewed"},
		},
		{Name: "renews an instance once", Build: noting(func(c *call, n *notes) *answer {
			if trusted(c, "refreshInstance") && c.text("scene") == "RENEWAL" && c.isv.App.known(c.text("instanceId")) {
				if before := n.swap(c.text("instanceId"), c.text("orderId")); before != "" && before != c.text("orderId") {
					return cannot()
				}
			}
			return c.pass()
		}), Caught: []string{"sequences/renewals-follow-one-another"}, Allowed: []string{"parameters/refresh-*"}},
		{Name: "never moves an expiry back", Build: noting(func(c *call, n *notes) *answer {
			if trusted(c, "refreshInstance") && c.isv.App.known(c.text("instanceId")) {
				if before := n.of(c.text("instanceId")); before != "" && len(c.text("expireTime")) >= 4 && c.text("expireTime")[:4] < before {
					return cannot()
				}
				n.swap(c.text("instanceId"), c.text("expireTime")[:min(4, len(c.text("expireTime")))])
			}
			return c.pass()
		}), Caught: []string{"sequences/expiry-can-move-back"}, Allowed: []string{"sequences/late-repeat-*"}},
		{Name: "remembers the last renewal only", Build: noting(func(c *call, n *notes) *answer {
			if trusted(c, "refreshInstance") && c.isv.App.known(c.text("instanceId")) {
				last := n.swap(c.text("instanceId"), c.text("orderId"))
				if last != c.text("orderId") && n.swap(c.text("instanceId")+c.text("orderId"), "seen") != "" {
					return cannot()
				}
			}
			return c.pass()
		}), Caught: []string{"sequences/late-repeat-of-a-renewal-succeeds"}, Allowed: []string{"parameters/refresh-*"}},
		{Name: "unfreezes only what was frozen", Build: noting(func(c *call, n *notes) *answer {
			id := c.text("instanceId")
			if trusted(c, "updateInstanceStatus") && c.isv.App.known(id) {
				if c.text("status") == "FREEZE" {
					n.swap(id, "frozen")
				}
				if c.text("status") == "UNFREEZE" && n.of(id) == "" {
					return cannot()
				}
			}
			return c.pass()
		}), Caught: []string{"sequences/open-instance-can-be-unfrozen"}, Allowed: []string{"debug-calls/freeze-spares-*"}},
		{Name: "freezes an instance once", Build: noting(func(c *call, n *notes) *answer {
			id := c.text("instanceId")
			if trusted(c, "updateInstanceStatus") && c.isv.App.known(id) {
				if c.text("status") == "UNFREEZE" {
					n.swap(id, "unfrozen")
				}
				if c.text("status") == "FREEZE" && n.of(id) != "" {
					return cannot()
				}
			}
			return c.pass()
		}), Caught: []string{"sequences/instance-can-be-frozen-again"}},
		{Name: "does not answer newInstance for what is frozen", Build: wire(func(c *call) *answer {
			a := c.pass()
			if c.is("newInstance") && !c.debug() && a.ok() && c.isv.App.frozen(fmt.Sprint(a.body["instanceId"])) {
				return cannot()
			}
			return a
		}), Caught: []string{"sequences/frozen-instance-keeps-its-id-in-new-instance"}},
		{Name: "wants another businessId each time", Build: noting(func(c *call, n *notes) *answer {
			a := c.pass()
			if c.is("newInstance") && !c.debug() && a.ok() && n.swap(c.text("businessId"), "seen") != "" {
				return cannot()
			}
			return a
		}), Caught: []string{"sequences/the-very-same-new-instance-gets-the-same-instance"}},
		{Name: "mixes up the lines of an order", Build: noting(func(c *call, n *notes) *answer {
			if !trusted(c, "newInstance") {
				return c.pass()
			}
			order, line := c.text("orderId"), c.text("orderLineId")
			if c.meets(order) == 0 {
				n.swap(order, line)
				return c.pass()
			}
			if first := n.of(order); first != "" && first != line {
				return c.with("orderLineId", first).resigned()
			}
			return c.pass()
		}), Caught: []string{"sequences/lines-together-get-different-instances"}},
		{Name: "releases only what was asked for before", Build: noting(func(c *call, n *notes) *answer {
			id := c.text("instanceId")
			if c.is("queryInstance") {
				for one := range strings.SplitSeq(id, ",") {
					n.swap(one, "asked for")
				}
			}
			if trusted(c, "releaseInstance") && c.isv.App.known(id) && n.of(id) == "" {
				return cannot()
			}
			return c.pass()
		}), Caught: []string{"sequences/release-need-not-wait-for-ready"}, Warned: true},
		overlaps("refreshInstance", "refresh-instance", order),
		overlaps("updateInstanceStatus", "instance-status", instance),
		overlaps("releaseInstance", "release-instance", instance),
		overlaps("upgradeInstance", "upgrade-instance", order),
		overlaps("orderNotify", "order-notify", order),
		{Name: "upgrades an instance once", Build: noting(func(c *call, n *notes) *answer {
			a := c.pass()
			if c.is("upgradeInstance") && !c.debug() && a.ok() {
				if before := n.swap(c.text("instanceId"), c.text("orderId")); before != "" && before != c.text("orderId") {
					return cannot()
				}
			}
			return a
		}), Caught: []string{"upgrade-instance/second-upgrade-succeeds"}},
		{
			Name: "reserves what a change check asks for", Build: second("changeInstanceCheck", instance), Caught: []string{"change-check/changes-nothing"},
			Allowed: []string{"change-check/product-as-text-*", "parameters/change-check-ignores-*"}, Warned: true,
		},
	}
}

// at makes the handler of the second address, in front of the first one.
func at(b func(c *call, n *notes) *answer) func(isv *ISV, first http.Handler) http.Handler {
	return func(isv *ISV, first http.Handler) http.Handler {
		n := &notes{}
		return behaviour(func(c *call) *answer { return b(c, n) }).over(isv, first)
	}
}

func replicaMutants() []Mutant {
	replica := func(name string, checks []string, warned bool, allowed []string, b func(c *call, n *notes) *answer) Mutant {
		caught := make([]string, 0, len(checks))
		for _, c := range checks {
			caught = append(caught, "replicas/"+c)
		}
		return Mutant{Name: "a second process " + name, Build: app(func(*App) {}), Second: at(b), Caught: caught, Warned: warned, Allowed: allowed}
	}
	refusing := func(matches func(c *call) bool) func(*call, *notes) *answer {
		return func(c *call, _ *notes) *answer {
			if !c.debug() && matches(c) && c.trusted() {
				return cannot()
			}
			return c.pass()
		}
	}
	known := func(c *call) bool { return c.isv.App.known(c.text("instanceId")) }
	return []Mutant{
		{
			Name: "a second process has another key", Build: app(func(*App) {}), Caught: []string{"replicas/right-signature-is-accepted"}, Allowed: []string{"replicas/*"},
			Second: func(isv *ISV, _ http.Handler) http.Handler {
				h, err := isv.serve("some-other-key")
				if err != nil {
					panic(err)
				}
				return h
			},
		},
		replica("does not verify", []string{"wrong-signature-is-refused"}, false, []string{"replicas/replay-is-refused"}, func(c *call, _ *notes) *answer { return c.resigned() }),
		replica("has nonces of its own", []string{"replay-is-refused"}, true, nil, func(c *call, _ *notes) *answer {
			if c.trusted() {
				return c.resigned()
			}
			return c.pass()
		}),
		replica("has instances of its own", []string{"repeat-gets-the-same-instance", "overlapping-repeats-get-the-same-instance"}, false, nil, func(c *call, _ *notes) *answer {
			a := c.pass()
			if c.is("newInstance") && !c.debug() && a.ok() {
				return a.set("instanceId", c.text("businessId"))
			}
			return a
		}),
		replica("does not know the instances of the first", []string{"instance-is-known-elsewhere"}, false, nil, func(c *call, _ *notes) *answer {
			if c.is("queryInstance") && !c.debug() && known(c) && c.trusted() {
				return reply("000003", "no such instance")
			}
			return c.pass()
		}),
		replica("keeps what it has answered", []string{"released-instance-is-gone-elsewhere"}, true, nil, func(c *call, n *notes) *answer {
			a := c.pass()
			if !c.is("queryInstance") || c.debug() {
				return a
			}
			if id := c.text("instanceId"); a.ok() {
				n.swap(id, "seen")
			} else if n.of(id) != "" && c.trusted() {
				return success().set("info", []any{object{"instanceId": id, "appInfo": object{"frontEndUrl": "https://app.example.com"}}})
			}
			return a
		}),
		replica("releases only its own instances", []string{"instance-can-be-released-elsewhere"}, false, nil, refusing(func(c *call) bool { return c.is("releaseInstance") && known(c) })),
		replica("freezes only its own instances", []string{"instance-can-be-frozen-elsewhere"}, false, nil, refusing(func(c *call) bool {
			return c.text("status") == "FREEZE" && known(c) && !c.isv.App.frozen(c.text("instanceId"))
		})),
		replica("does not know the renewals of the first", []string{"refresh-instance-can-be-repeated-elsewhere"}, false, nil, refusing(func(c *call) bool { return c.is("refreshInstance") })),
		replica("does not freeze again", []string{"instance-status-can-be-repeated-elsewhere"}, false, nil, refusing(func(c *call) bool {
			return c.text("status") == "FREEZE" && c.isv.App.frozen(c.text("instanceId"))
		})),
		replica("does not know what the first has released", []string{"release-instance-can-be-repeated-elsewhere"}, false, nil, refusing(func(c *call) bool { return c.is("releaseInstance") && !known(c) })),
		replica("does not know the upgrades of the first", []string{"upgrade-instance-can-be-repeated-elsewhere"}, false, nil, refusing(func(c *call) bool { return c.is("upgradeInstance") })),
	}
}

// metering makes a mutant that pushes usage by itself, when an on-demand instance is asked for the first time.
func metering(push func(ctx context.Context, isv *ISV, id string, n int)) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler {
		isv.App.Quiet = true
		n := &notes{}
		var mu sync.Mutex
		count := 0
		return behaviour(func(c *call) *answer {
			a := c.pass()
			id := c.text("instanceId")
			if c.is("queryInstance") && !c.debug() && a.ok() && isv.App.mode(id) == marketplaceapi.ChargingOnDemand && n.swap(id, "pushed") == "" {
				mu.Lock()
				count++
				number := count
				mu.Unlock()
				push(c.request.Context(), isv, id, number)
			}
			return a
		}).handler(isv)
	}
}

// lasting sets the times of a record, from seconds after it would begin, for so many seconds.
func lasting(from, seconds int, sn string) func(int, object) {
	begin := time.Now().UTC().Truncate(time.Second).Add(time.Duration(from) * time.Second)
	return func(_ int, r object) {
		r["begin_time"], r["end_time"] = begin.Format(recordTime), begin.Add(time.Duration(seconds)*time.Second).Format(recordTime)
		r["metering_sn"] = fmt.Sprint(r["metering_sn"]) + sn
	}
}

const recordTime = "20060102T150405Z"

func billingMutants() []Mutant {
	return []Mutant{
		{Name: "pushes everything twice", Build: metering(func(ctx context.Context, isv *ISV, id string, n int) {
			same := lasting(0, 1, "")
			isv.push(ctx, isv.Keys.Base, id, n, same)
			isv.push(ctx, isv.Keys.Base, id, n, same)
		}), Caught: []string{"usage/accepted-records-are-not-pushed-again"}, Warned: true, Allowed: []string{"usage/pushed-again-*"}},
		{Name: "meters a second twice", Build: metering(func(ctx context.Context, isv *ISV, id string, n int) {
			isv.push(ctx, isv.Keys.Base, id, n, lasting(0, 2, "a"))
			isv.push(ctx, isv.Keys.Base, id, n, lasting(1, 2, "b"))
		}), Caught: []string{"usage/metered-times-do-not-overlap"}, Warned: true, Allowed: []string{"usage/pushed-again-*"}},
		{Name: "goes on metering after the release", Build: wire(func(c *call) *answer {
			id := c.text("instanceId")
			onDemand := c.isv.App.mode(id) == marketplaceapi.ChargingOnDemand
			a := c.pass()
			if c.is("releaseInstance") && !c.debug() && a.ok() && onDemand {
				c.isv.push(c.request.Context(), c.isv.Keys.Base, id, 1, lasting(600, 1, randomID()[:8]))
			}
			return a
		}), Caught: []string{"usage/no-usage-of-released-instances"}, Allowed: []string{"usage/records-are-*"}},
		{Name: "meters debug instances", Build: wire(func(c *call) *answer {
			a := c.pass()
			if c.is("newInstance") && c.debug() && a.ok() && strings.HasPrefix(c.text("orderId"), "MOCKONDEMAND") {
				c.isv.push(c.request.Context(), c.isv.Keys.Base, fmt.Sprint(a.body["instanceId"]), 1, lasting(0, 1, randomID()[:8]))
			}
			return a
		}), Caught: []string{"usage/no-usage-of-debug-instances"}, Allowed: []string{"usage/records-are-*"}},
		{Name: "pushes once, whatever is answered", Build: app(func(a *App) { a.givesUp = true }), Caught: []string{"usage/pushed-again-after-a-server-error"}, Warned: true},
		{Name: "gives up a record that was refused", Build: app(func(a *App) { a.givesUpRecords = true }), Caught: []string{"usage/pushed-again-after-a-passing-rejection"}, Warned: true},
	}
}

func orderingMutants() []Mutant {
	dislikes := func(name, check string, matches func(o marketplaceapi.OrderInfo) bool) Mutant {
		return Mutant{Name: name, Build: app(func(a *App) { a.dislikes = matches }), Caught: []string{"order-query/" + check}}
	}
	return []Mutant{
		{
			Name: "does not ask for the orders of upgrades", Build: app(func(a *App) { a.incuriousUpgrades = true }), Warned: true,
			Caught: []string{"order-query/upgrade-order-is-asked-for", "order-query/unknown-order-upgrades-nothing"},
		},
		{
			Name: "makes instances for orders that it could not read", Build: app(func(a *App) { a.trusting = true }), Warned: true,
			Caught: []string{"order-query/unknown-order-makes-no-instance", "order-query/foreign-line-makes-no-instance", "order-query/failed-query-makes-no-instance"},
		},
		dislikes("cannot do without an e-mail address", "buyer-without-contact-is-served", func(o marketplaceapi.OrderInfo) bool { return o.BuyerInfo.Email == "" }),
		dislikes("cannot write Chinese names", "chinese-names-are-served", func(o marketplaceapi.OrderInfo) bool { return escapes.MatchString(o.BuyerInfo.CustomerName) }),
		{
			Name: "knows four lines of an order", Build: when(func(c *call) bool { return c.is("newInstance") && strings.HasSuffix(c.text("orderLineId"), "-000005") }),
			Caught: []string{"order-query/other-lines-do-not-matter"},
		},
		dislikes("refuses trials", "trial-order-is-served", func(o marketplaceapi.OrderInfo) bool { return o.OrderType == marketplaceapi.OrderTrial }),
		{
			Name: "does not ask for the orders of notices", Build: app(func(a *App) { a.incuriousNotices = true }), Warned: true, Caught: []string{"order-notify/order-is-asked-for"},
		},
		{Name: "takes a notice for a release", Build: app(func(a *App) { a.noticesRelease = true }), Warned: true, Caught: []string{"order-notify/changes-no-instance"}},
	}
}

func debugTraceMutants() []Mutant {
	mock := func(name, order string, allowed ...string) Mutant {
		return Mutant{Name: "refuses debug orders of " + name + " products", Build: wire(func(c *call) *answer {
			if c.debug() && c.is("newInstance") && c.text("orderId") == order && c.trusted() {
				return cannot()
			}
			return c.pass()
		}), Caught: []string{"debug-calls/" + name + "-order-is-accepted"}, Allowed: allowed}
	}
	return []Mutant{
		mock("period", "MOCKPERIODYEARNEW", "debug-calls/*", "signing/right-*"),
		mock("one-time", "MOCKONETIMENEW"),
		mock("on-demand", "MOCKONDEMAND"),
		mock("package", "MOCKONDEMANDPKG"),
		{Name: "opens an instance for a debug call", Build: wire(func(c *call) *answer {
			a := c.pass()
			if c.is("newInstance") && c.debug() && a.ok() && !strings.HasPrefix(c.text("orderId"), "MOCK") {
				return c.with("testFlag", nil).resigned()
			}
			return a
		}), Caught: []string{"debug-calls/made-up-instance-does-not-exist"}, Warned: true},
		{Name: "uses up an order in a debug upgrade", Build: noting(func(c *call, n *notes) *answer {
			a := c.pass()
			if c.is("upgradeInstance") && a.ok() {
				if c.debug() {
					n.swap(c.text("orderId"), "used up")
				} else if n.of(c.text("orderId")) != "" {
					return cannot()
				}
			}
			return a
		}), Caught: []string{"debug-calls/upgrade-spares-the-order"}},
		{Name: "carries out a debug FREEZE", Build: noting(func(c *call, n *notes) *answer {
			a := c.pass()
			if c.text("status") == "FREEZE" && c.debug() && a.ok() {
				n.swap(c.text("instanceId"), "frozen")
			}
			if c.is("queryInstance") && !c.debug() && a.ok() && n.of(c.text("instanceId")) != "" {
				return reply("000003", "no such instance")
			}
			return a
		}), Caught: []string{"debug-calls/freeze-spares-a-real-instance"}},
		{Name: "answers one debug call at a time", Build: meets((*call).debug, func(c *call) string { return string(c.raw) }, func(c *call, first bool) *answer {
			if !first {
				return cannot()
			}
			return c.pass()
		}), Caught: []string{"debug-calls/at-the-same-time-succeed"}},
		{Name: "refuses debug calls for real instances", Build: wire(func(c *call) *answer {
			if c.debug() && c.text("instanceId") != "" && c.trusted() && c.isv.App.known(c.text("instanceId")) {
				return cannot()
			}
			return c.pass()
		}), Caught: []string{"debug-calls/real-instance-is-answered"}},
	}
}
