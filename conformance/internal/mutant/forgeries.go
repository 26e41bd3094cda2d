package mutant

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sdk/signature"
)

// forgeryMutants let forged calls through, or refuse right ones.
func forgeryMutants() []Mutant {
	var found []Mutant
	for _, f := range [][2]string{
		{"newInstance", "new-instance"},
		{"refreshInstance", "refresh-instance"},
		{"updateInstanceStatus", "instance-status"},
		{"releaseInstance", "release-instance"},
		{"upgradeInstance", "upgrade-instance"},
		{"changeInstanceCheck", "change-check"},
		{"orderNotify", "order-notify"},
	} {
		found = append(found, Mutant{Name: "forgets to verify " + f[0], Build: wire(func(c *call) *answer {
			if c.is(f[0]) && !c.debug() && len(c.query.Get("signature")) == 64 {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/forged-" + f[1] + "-is-refused"}, Allowed: []string{
			"signing/refused-call-has-no-effect", "signing/removed-test-flag-is-refused", "signing/other-call-*", "order-notify/base-key-is-refused",
		}})
	}
	return append(found, []Mutant{
		{
			Name: "compares the end of the signature", Build: compares(func(got, right string) bool { return len(got) >= 32 && strings.HasSuffix(right, got[1:]) }),
			Caught: []string{"signing/changed-first-digit-is-refused"},
		},
		{
			Name: "compares both ends of the signature", Build: compares(func(got, right string) bool {
				return len(got) == 64 && got[:8] == right[:8] && got[56:] == right[56:]
			}),
			Caught: []string{"signing/changed-middle-digit-is-refused"},
		},
		{
			Name: "compares as many digits as there are", Build: compares(func(got, right string) bool { return len(got) >= 16 && strings.HasPrefix(right, got) }),
			Caught: []string{"signing/half-a-signature-is-refused", "signing/truncated-signature-is-refused"},
		},
		{
			Name: "looks for the signature in what it got", Build: compares(strings.Contains),
			Caught: []string{"signing/lengthened-signature-is-refused"},
		},
		{Name: "verifies base calls with the general key, too", Build: wire(func(c *call) *answer {
			isv := *c.isv
			isv.Keys.Base = isv.Keys.General
			other := *c
			other.isv = &isv
			if !c.is("orderNotify") && other.trusted() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/general-key-is-refused"}, Warned: true},
		{Name: "wants nonces of 64 characters", Build: wire(func(c *call) *answer {
			if n := c.query.Get("nonce"); n != "" && len(n) < 64 {
				return reply("000002", "nonce is malformed")
			}
			return c.pass()
		}), Caught: []string{"signing/short-nonce-is-accepted"}},
		{Name: "signs the parameters that it knows", Build: wire(func(c *call) *answer {
			if _, there := c.body["channelCode"]; there && c.rightFor(string(c.with("channelCode", nil).raw)) {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/added-member-is-refused"}},
		{Name: "leaves testFlag out of what is signed", Build: wire(func(c *call) *answer {
			if c.is("newInstance") && c.text("testFlag") == "" && c.rightFor(string(c.with("testFlag", "1").raw)) {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/removed-test-flag-is-refused"}},
		{Name: "signs the instance and not the call", Build: wire(func(c *call) *answer {
			if c.is("releaseInstance") && c.rightFor(string(c.with("activity", "queryInstance").raw)) {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/other-call-of-the-same-instance-is-refused"}},
		refusesText("escapes markup before hashing", "<>&", "signing/body-with-markup-verifies"),
		refusesText("escapes slashes before hashing", "/", "signing/body-with-slashes-verifies"),
		refusesText("escapes quotes twice before hashing", `\`, "signing/body-with-quotes-verifies"),
		refusesText("decodes the body like a query before hashing", "%+", "signing/body-with-query-characters-verifies"),
		refusesText("hashes characters of 16 bits", "🐉", "signing/body-with-emoji-verifies"),
		refusesText("escapes line separators before hashing", "\u2028", "signing/body-with-line-separator-verifies"),
	}...)
}

// refusesText refuses the signature of bodies with one of these characters. What robust/* sends is left out of its accusation.
func refusesText(name, characters, check string) Mutant {
	return Mutant{Name: name, Build: wire(func(c *call) *answer {
		if bytes.ContainsAny(c.raw, characters) && c.is("queryInstance") {
			return reply("000001", "authentication failed")
		}
		return c.pass()
	}), Caught: []string{check}, Allowed: []string{"robust/*", "signing/non-ascii-body-verifies", "signing/body-with-*"}}
}

// compares accepts signatures that are near enough to the right one, within its window.
func compares(near func(got, right string) bool) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		base, err := signature.NewBase(signature.Config{Keys: []string{c.key()}})
		if err != nil {
			panic(err)
		}
		got := strings.ToUpper(c.query.Get("signature"))
		right := strings.ToUpper(base.SignAt(c.raw, c.query.Get("timestamp"), c.query.Get("nonce")))
		if got == right || got == "" || !near(got, right) {
			return c.pass()
		}
		c.query.Set("signature", right)
		if c.trusted() {
			return c.resigned()
		}
		return c.pass()
	})
}

// age is how old a call is, below 0 if it comes from the future.
func (c *call) age() (time.Duration, bool) {
	ms, err := strconv.ParseInt(c.query.Get("timestamp"), 10, 64)
	return time.Since(time.UnixMilli(ms)), err == nil && len(c.query.Get("timestamp")) == 13
}

func windowMutants() []Mutant {
	accepts := func(from, to time.Duration) func(*ISV) http.Handler {
		return wire(func(c *call) *answer {
			if age, ok := c.age(); ok && age > from && age < to && c.query.Get("nonce") != "" && c.right() {
				return c.resigned()
			}
			return c.pass()
		})
	}
	refuses := func(from, to time.Duration) func(*ISV) http.Handler {
		return wire(func(c *call) *answer {
			if age, ok := c.age(); ok && age > from && age < to {
				return reply("000002", "timestamp is stale")
			}
			return c.pass()
		})
	}
	return []Mutant{
		{Name: "accepts calls for 90 seconds", Build: accepts(time.Minute, 90*time.Second), Caught: []string{"signing/age-of-61-seconds-is-refused"}, Warned: true},
		{Name: "accepts calls from 90 seconds ahead", Build: accepts(-90*time.Second, -time.Minute), Caught: []string{"signing/61-seconds-ahead-is-refused"}, Warned: true},
		{Name: "accepts calls for 30 seconds only", Build: refuses(30*time.Second, time.Minute), Caught: []string{"signing/age-of-50-seconds-is-accepted"}, Warned: true},
		{Name: "accepts nothing from the future", Build: refuses(-time.Minute, -5*time.Second), Caught: []string{"signing/50-seconds-ahead-is-accepted"}, Warned: true},
		{Name: "does not look at times in seconds", Build: wire(func(c *call) *answer {
			if len(c.query.Get("timestamp")) == 10 && c.right() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/old-time-in-seconds-is-refused"}},
		{Name: "verifies the first timestamp and looks at the age of the last", Build: wire(func(c *call) *answer {
			all := c.query["timestamp"]
			if len(all) < 2 {
				return c.pass()
			}
			c.query.Set("timestamp", all[len(all)-1])
			age, ok := c.age()
			c.query.Set("timestamp", all[0])
			if ok && age.Abs() < time.Minute && c.right() {
				return c.resigned()
			}
			return reply("000002", "timestamp is stale")
		}), Caught: []string{"signing/second-timestamp-refreshes-nothing"}},
		{Name: "remembers the last nonces only", Build: remember(func() behaviour {
			var mu sync.Mutex
			var last string
			return func(c *call) *answer {
				if !c.trusted() {
					return c.pass()
				}
				mu.Lock()
				again := last == c.query.Get("nonce")
				if c.is("queryInstance") {
					last = c.query.Get("nonce")
				}
				mu.Unlock()
				if again {
					return reply("000001", "nonce was used")
				}
				return c.resigned()
			}
		}), Caught: []string{"signing/replay-after-other-calls-is-refused"}, Allowed: []string{"signing/replay*", "replicas/replay-is-refused"}, Warned: true},
		{Name: "verifies the first nonce and remembers the last", Build: remember(func() behaviour {
			var mu sync.Mutex
			seen := map[string]bool{}
			return func(c *call) *answer {
				all := c.query["nonce"]
				if len(all) < 2 {
					return c.pass()
				}
				c.query.Set("nonce", all[0])
				mu.Lock()
				known := seen[all[len(all)-1]]
				seen[all[len(all)-1]] = true
				mu.Unlock()
				if !known && c.trusted() {
					return c.resigned()
				}
				return c.pass()
			}
		}), Caught: []string{"signing/replay-beside-a-second-nonce-is-refused"}, Warned: true},
		{Name: "looks for the nonce long before it remembers it", Build: wire(func(c *call) *answer {
			if c.is("queryInstance") && c.trusted() && c.meets(c.query.Get("nonce")) > 0 {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/replays-at-the-same-time-pass-once"}, Warned: true},
		{Name: "remembers nonces before it verifies", Build: remember(func() behaviour {
			var mu sync.Mutex
			seen := map[string]bool{}
			return func(c *call) *answer {
				mu.Lock()
				known := seen[c.query.Get("nonce")]
				seen[c.query.Get("nonce")] = true
				mu.Unlock()
				if known {
					return reply("000001", "nonce was used")
				}
				return c.pass()
			}
		}), Caught: []string{"signing/forgery-uses-up-no-nonce"}, Warned: true},
	}
}

func shapeMutants() []Mutant {
	refusal := func(change func(c *call, a *answer) *answer) func(*ISV) http.Handler {
		return wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "" || a.ok() || a.code() == "000004" {
				return a
			}
			return change(c, a)
		})
	}
	inEntry := func(change func(info object)) func(*ISV) http.Handler {
		return wire(func(c *call) *answer {
			return c.pass().entries(func(e object) {
				if info, ok := e["appInfo"].(object); ok {
					change(info)
				}
			})
		})
	}
	return []Mutant{
		{
			Name: "tells its key", Build: refusal(func(c *call, a *answer) *answer {
				return a.set("resultMsg", "expected a signature made with "+c.isv.Keys.Base)
			}),
			Caught: []string{"answers/hold-no-key"}, Warned: true,
		},
		{Name: "tells the right signature", Build: refusal(func(c *call, a *answer) *answer {
			base, err := signature.NewBase(signature.Config{Keys: []string{c.key()}})
			if err != nil {
				panic(err)
			}
			return a.set("resultMsg", "expected "+base.SignAt(c.raw, c.query.Get("timestamp"), c.query.Get("nonce")))
		}), Caught: []string{"answers/tell-no-right-signature"}, Warned: true},
		{Name: "shows where it failed", Build: refusal(func(_ *call, a *answer) *answer {
			return a.set("resultMsg", "java.lang.NullPointerException\n\tat com.example.crm.Provision.create(Provision.java:42)")
		}), Caught: []string{"answers/show-nothing-of-the-inside"}, Warned: true},
		{Name: "answers in the encoding of its database", Build: refusal(func(_ *call, a *answer) *answer {
			a.raw = []byte(fmt.Sprintf(`{"resultCode":%q,"resultMsg":"%s"}`, a.code(), "\xb2\xce\xca\xfd\xb4\xed\xce\xf3"))
			return a
		}), Caught: []string{"answers/are-utf-8"}},
		{Name: "names another charset", Build: wire(func(c *call) *answer {
			a := c.pass()
			a.header.Set("Content-Type", "application/json; charset=GBK")
			return a
		}), Caught: []string{"answers/name-no-other-charset"}},
		{Name: "answers a path as frontEndUrl", Build: inEntry(func(i object) { i["frontEndUrl"] = "/login" }), Caught: []string{"query-instance/front-end-is-a-link"}, Warned: true},
		{Name: "answers a host as adminUrl", Build: inEntry(func(i object) { i["adminUrl"] = "app.example.com" }), Caught: []string{"query-instance/admin-site-is-a-link"}, Warned: true},
		{Name: "answers each of several entries twice", Build: wire(func(c *call) *answer {
			a := c.pass()
			if list, ok := a.body["info"].([]any); ok && len(list) > 1 {
				return a.set("info", append(list, list...))
			}
			return a
		}), Caught: []string{"query-instance/entries-are-not-repeated"}, Allowed: []string{"query-instance/one-id-twice-*"}, Warned: true},
		{Name: "cannot find an instance twice", Build: wire(func(c *call) *answer {
			one, two, _ := strings.Cut(c.text("instanceId"), ",")
			if one == two && c.trusted() && c.isv.App.known(one) {
				return reply("000003", "1 of 2 instances does not exist")
			}
			return c.pass()
		}), Caught: []string{"query-instance/one-id-twice-gets-one-entry"}, Warned: true},
		{Name: "asks its database for 50 ids at most", Build: wire(func(c *call) *answer {
			if strings.Count(c.text("instanceId"), ",") >= 50 && !c.debug() && c.trusted() {
				return reply("000005", "too many")
			}
			return c.pass()
		}), Caught: []string{"query-instance/one-known-among-a-hundred-is-found"}, Warned: true},
		{Name: "forgets what it has answered twice", Build: remember(func() behaviour {
			var mu sync.Mutex
			times := map[string]int{}
			return func(c *call) *answer {
				a := c.pass()
				mu.Lock()
				defer mu.Unlock()
				id := c.text("instanceId")
				if c.is("queryInstance") && a.ok() && !c.debug() && c.isv.App.known(id) {
					if times[id]++; times[id] > 3 {
						return reply("000003", "no such instance")
					}
				}
				return a
			}
		}), Caught: []string{"query-instance/ready-instance-stays-ready"}, Allowed: everything},
		{Name: "answers ids with a comma", Build: quiet(func(c *call) *answer {
			const tail = ",1"
			if id, found := strings.CutSuffix(c.text("instanceId"), tail); found && c.trusted() {
				return c.with("instanceId", id).resigned().entries(func(e object) { e["instanceId"] = fmt.Sprint(e["instanceId"]) + tail })
			}
			a := c.pass()
			if c.is("newInstance") && !c.debug() && a.ok() {
				return a.set("instanceId", fmt.Sprint(a.body["instanceId"])+tail)
			}
			return a
		}), Caught: []string{"new-instance/instance-id-has-no-comma"}, Allowed: everything, Warned: true},
		{Name: "answers 000004 for ever", Build: wire(func(c *call) *answer {
			a := c.pass()
			if c.is("newInstance") && !c.debug() && a.ok() {
				return a.set("resultCode", "000004")
			}
			return a
		}), Caught: []string{"new-instance/ready-instance-is-no-longer-in-progress"}, Warned: true},
	}
}
