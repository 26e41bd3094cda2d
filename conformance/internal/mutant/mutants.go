package mutant

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/provider"
)

// Mutant is an ISV that is wrong in one way, or a Variant that is right in another way.
type Mutant struct {
	Name  string
	Build func(isv *ISV) http.Handler
	// Second makes the handler of the ISV's second address from that of the first. nil: they are the same.
	Second func(isv *ISV, first http.Handler) http.Handler

	// Caught are checks that must fail, each one.
	Caught []string
	// Allowed are patterns of checks that may fail as well, because one fault can show in several places. A pattern is an id, or the
	// beginning of one followed by *.
	Allowed []string
	// Hurried judges the mutant with short limits, because it makes the judge wait.
	Hurried bool
	// Silent is judged with a short wait for usage, because it pushes none, or not again.
	Silent bool
	// Warned says that only a SHOULD or MAY is broken, so that the verdict stays conformant.
	Warned bool

	// With are the capabilities that it is judged with, and Run the checks. nil: those of the base calls, and all of them.
	With, Run []string
}

// Serve makes the handlers of the two addresses.
func (m Mutant) Serve(isv *ISV) (first, second http.Handler) {
	first = m.Build(isv)
	if m.Second == nil {
		return first, first
	}
	return first, m.Second(isv, first)
}

// wire makes a mutant that changes what goes over the wire.
func wire(b behaviour) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler { return b.handler(isv) }
}

// quiet is wire for an ISV that pushes no usage, because it would be for another id.
func quiet(b behaviour) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler {
		isv.App.Quiet = true
		return b.handler(isv)
	}
}

// app makes a mutant whose application differs.
func app(change func(*App)) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler {
		change(isv.App)
		return isv.Handler
	}
}

// remember makes a mutant with a memory of its own for each run.
func remember(make func() behaviour) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler { return make().handler(isv) }
}

// Variants are ISVs that are right in other ways than the right one. None of them may be accused of anything.
func Variants() []Mutant {
	return []Mutant{
		{Name: "the right one", Build: app(func(*App) {})},
		{Name: "asynchronous", Build: app(func(a *App) { a.Slow = 2 })},
		{Name: "ids in a scheme of its own", Build: app(func(a *App) {
			var mu sync.Mutex
			next, ids := 1000, map[string]string{}
			a.ID = func(call provider.NewInstance) string {
				mu.Lock()
				defer mu.Unlock()
				key := call.OrderID + " " + call.OrderLineID
				if ids[key] == "" {
					next++
					ids[key] = fmt.Sprintf("crm/cn-north-4:%d", next)
				}
				return ids[key]
			}
		})},
		{Name: "ids of 64 characters", Build: app(func(a *App) {
			a.ID = func(call provider.NewInstance) string { return call.SuggestedID() + call.SuggestedID() }
		})},
		{Name: "the first businessId is the id", Build: app(func(a *App) {
			a.ID = func(call provider.NewInstance) string { return call.BusinessID }
		})},
		{Name: "000003 for what is released", Build: app(func(a *App) { a.ForgetsReleases = true })},
		{Name: "000003 for a query with an unknown instance", Build: app(func(a *App) { a.HidesKnown = true })},
		{Name: "pushes no usage", Build: app(func(a *App) { a.Quiet = true }), Silent: true},
		{Name: "answers more fields", Build: wire(func(c *call) *answer {
			return c.pass().set("requestId", "r-1").set("details", object{"region": "cn-north-4"}).entries(func(e object) { e["region"] = "cn" })
		})},
		{Name: "answers with Body-Sign and another charset", Build: wire(func(c *call) *answer {
			a := c.pass()
			a.header.Set("Content-Type", "Application/JSON; charset=UTF-8")
			if a.header.Get("Body-Sign") == "" { // V2 has none
				a.header.Set("Body-Sign", `sign_type="HMAC-SHA256", signature="QUJD"`)
				a.forged = true
			}
			return a
		})},
		{Name: "answers indented", Build: wire(func(c *call) *answer {
			a := c.pass()
			a.raw = []byte(strings.ReplaceAll(string(a.raw), `,"`, ",\n  \""))
			return a
		})},
		{Name: "000001 for everything about the signature", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000002" && !c.isV1() && !c.trusted() && !c.kitTrusted() {
				return a.set("resultCode", "000001")
			}
			return a
		})},
		{Name: "says nothing about a GET but 405", Build: wire(func(c *call) *answer {
			if c.method != http.MethodPost {
				return &answer{status: http.StatusMethodNotAllowed, header: http.Header{}}
			}
			return c.pass()
		}), With: []string{"upgrade", "change-check", "order-notify", "kit", "license"}},
	}
}

// everything allows any other check to fail or be skipped: the fault takes the ground from under them.
var everything = []string{"*"}

var escapes = regexp.MustCompile(`[^\x00-\x7f]`)

// Mutants are wrong in one way each.
func Mutants() []Mutant {
	all := slices.Concat(
		signingMutants(), forgeryMutants(), windowMutants(), answerMutants(), shapeMutants(), newInstanceMutants(), queryMutants(), lifecycleMutants(),
		optionalMutants(), storyMutants(), replicaMutants(), parameterMutants(), spoiltMutants(), robustMutants(), debugMutants(), debugTraceMutants(),
		usageMutants(), billingMutants(), orderMutants(), orderingMutants(),
	)
	for n := range all {
		all[n].Allowed = slices.Concat(all[n].Allowed, alsoShows[all[n].Name])
		all[n].Silent = slices.Contains(silent, all[n].Name)
	}
	return all
}

func signingMutants() []Mutant {
	return []Mutant{
		{Name: "does not verify signatures", Build: wire(func(c *call) *answer { return c.resigned() }), Caught: []string{
			"signing/missing-signature-is-refused", "signing/missing-timestamp-is-refused", "signing/missing-nonce-is-refused",
			"signing/empty-signature-is-refused", "signing/empty-timestamp-is-refused", "signing/empty-nonce-is-refused",
			"signing/changed-signature-is-refused", "signing/truncated-signature-is-refused", "signing/text-as-signature-is-refused",
			"signing/wrong-key-is-refused", "signing/debug-calls-are-verified-too", "signing/changed-body-is-refused",
			"signing/blank-in-a-value-is-refused", "signing/stale-timestamp-is-refused", "signing/text-as-timestamp-is-refused",
			"signing/future-timestamp-is-refused", "signing/replay-is-refused", "signing/refused-call-has-no-effect",
			"order-notify/base-key-is-refused",
		}},
		{Name: "knows another key", Build: func(isv *ISV) http.Handler {
			h, err := isv.serve("some-other-key")
			if err != nil {
				panic(err)
			}
			return h
		}, Caught: []string{"signing/right-signature-is-accepted", "new-instance/period-order-is-accepted"}, Allowed: everything},
		{Name: "does not verify debug calls", Build: wire(func(c *call) *answer {
			if c.debug() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/debug-calls-are-verified-too"}},
		{Name: "verifies only if there is a signature", Build: wire(func(c *call) *answer {
			if c.query.Get("signature") == "" {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/missing-signature-is-refused", "signing/empty-signature-is-refused"}},
		{Name: "looks at the time only if there is one", Build: wire(func(c *call) *answer {
			if c.query.Get("timestamp") == "" && c.right() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/missing-timestamp-is-refused", "signing/empty-timestamp-is-refused"}},
		{Name: "needs no nonce", Build: wire(func(c *call) *answer {
			if c.query.Get("nonce") == "" && c.right() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/missing-nonce-is-refused", "signing/empty-nonce-is-refused"}},
		{
			Name: "compares the beginning of the signature", Build: wire(func(c *call) *answer {
				whole := c.query.Get("signature")
				if len(whole) < 16 {
					return c.pass()
				}
				for _, last := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F"} {
					c.query.Set("signature", whole[:min(63, len(whole))]+last)
					if c.trusted() {
						return c.resigned()
					}
				}
				c.query.Set("signature", whole)
				return c.pass()
			}), Caught: []string{"signing/changed-signature-is-refused", "signing/truncated-signature-is-refused"},
			Allowed: []string{"signing/replay-is-refused", "signing/lower-case-signature-is-accepted", "signing/refusals-have-the-right-code"},
		},
		{Name: "takes text for a right signature", Build: wire(func(c *call) *answer {
			if len(c.query.Get("signature")) < 63 && c.query.Get("signature") != "" {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/text-as-signature-is-refused"}},
		{Name: "knows the key of somebody else, too", Build: wire(func(c *call) *answer {
			if isv := *c.isv; !c.debug() && !c.is("releaseInstance") {
				isv.Keys.Base = "not-the-key-of-this-isv"
				other := *c
				other.isv = &isv
				if other.trusted() {
					return c.resigned()
				}
			}
			return c.pass()
		}), Caught: []string{"signing/wrong-key-is-refused"}},
		{Name: "takes any digits for the signature of a query", Build: wire(func(c *call) *answer {
			there := len(c.query.Get("signature")) == 64 && c.query.Get("timestamp") != "" && c.query.Get("nonce") != ""
			if there && c.is("queryInstance") && !c.right() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{
			"signing/changed-signature-is-refused", "signing/wrong-key-is-refused", "signing/changed-body-is-refused",
			"signing/blank-in-a-value-is-refused",
		}},
		{Name: "trims values before verifying", Build: wire(func(c *call) *answer {
			if id := c.text("instanceId"); id != "" && c.rightFor(strings.Replace(string(c.raw), id, id+" ", 1)) {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/blank-in-a-value-is-refused"}},
		{Name: "does not look at the time", Build: wire(func(c *call) *answer {
			if c.query.Get("timestamp") != "" && c.query.Get("nonce") != "" && !c.trusted() && c.right() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/stale-timestamp-is-refused", "signing/text-as-timestamp-is-refused", "signing/future-timestamp-is-refused"}},
		{Name: "accepts the future, as the vendor's sample does", Build: wire(func(c *call) *answer {
			if strings.Compare(c.query.Get("timestamp"), fmt.Sprint(time.Now().UnixMilli())) > 0 && len(c.query.Get("timestamp")) == 13 && c.right() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/future-timestamp-is-refused"}, Warned: true},
		{Name: "remembers no nonce, as the vendor's sample does", Build: wire(func(c *call) *answer {
			if c.trusted() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"signing/replay-is-refused"}, Warned: true},
		{Name: "wants upper-case signatures", Build: wire(func(c *call) *answer {
			if s := c.query.Get("signature"); s != strings.ToUpper(s) {
				return reply("000001", "authentication failed")
			}
			return c.pass()
		}), Caught: []string{"signing/lower-case-signature-is-accepted"}, Warned: true},
		{Name: "escapes characters before hashing", Build: wire(func(c *call) *answer {
			if escapes.Match(c.raw) {
				return reply("000001", "authentication failed")
			}
			return c.pass()
		}), Caught: []string{"signing/non-ascii-body-verifies"}},
		{Name: "verifies the raw body only", Build: wire(func(c *call) *answer {
			if len(c.query.Get("signature")) == 64 && !c.right() {
				return reply("000001", "authentication failed")
			}
			return c.pass()
		}), Caught: []string{"signing/unsorted-body-with-sorted-signature-is-accepted"}, Warned: true},
		{Name: "acts before it verifies", Build: wire(func(c *call) *answer {
			if c.trusted() {
				return c.pass()
			}
			refusal := c.pass()
			if !refusal.ok() && !c.debug() {
				c.resigned()
			}
			return refusal
		}), Caught: []string{"signing/refused-call-has-no-effect"}},
		{Name: "has another code for a wrong signature", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000001" {
				return a.set("resultCode", "000005")
			}
			return a
		}), Caught: []string{"signing/refusals-have-the-right-code"}, Warned: true},
		{Name: "does not work behind a proxy", Build: wire(func(c *call) *answer {
			if c.header.Get("Via") != "" {
				return reply("000001", "authentication failed")
			}
			return c.pass()
		}), Caught: []string{"signing/other-headers-do-not-matter"}, Warned: true},
	}
}

func answerMutants() []Mutant {
	return []Mutant{
		{Name: "answers 201", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.ok() {
				a.status = http.StatusCreated
			}
			return a
		}), Caught: []string{"answers/success-has-status-200"}},
		{Name: "answers 401 to a bad signature", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000001" {
				a.status = http.StatusUnauthorized
			}
			return a
		}), Caught: []string{"answers/refusal-has-status-200"}},
		{Name: "answers 404 to an unknown instance", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000003" {
				a.status = http.StatusNotFound
			}
			return a
		}), Caught: []string{"answers/refusal-has-status-200"}},
		{Name: "answers text/html", Build: wire(func(c *call) *answer {
			a := c.pass()
			a.header.Set("Content-Type", "text/html; charset=utf-8")
			return a
		}), Caught: []string{"answers/content-type-is-json"}},
		{Name: "answers the code as a number", Build: wire(func(c *call) *answer {
			a := c.pass()
			a.raw = []byte(strings.Replace(string(a.raw), `"resultCode":"`+a.code()+`"`, `"resultCode":`+strings.TrimLeft(a.code()[:5], "0")+a.code()[5:], 1))
			return a
		}), Caught: []string{"answers/result-code-is-six-digits-of-text"}},
		{Name: "has codes of its own", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000003" {
				return a.set("resultCode", "404000")
			}
			return a
		}), Caught: []string{"answers/result-code-is-a-published-one", "answers/unknown-instance-has-its-code"}, Warned: true},
		{
			Name: "answers no resultMsg", Build: wire(func(c *call) *answer { return c.pass().set("resultMsg", nil) }),
			Caught: []string{"answers/result-message-is-there"}, Warned: true,
		},
		{
			Name: "answers long messages", Build: wire(func(c *call) *answer { return c.pass().set("resultMsg", strings.Repeat("sorry ", 50)) }),
			Caught: []string{"answers/result-message-is-short-enough"},
		},
		{Name: "never answers a renewal with a change", Build: wire(func(c *call) *answer {
			if c.text("scene") == "RENEWAL_CHANGE" && !c.debug() {
				<-c.request.Context().Done()
			}
			return c.pass()
		}), Hurried: true, Caught: []string{"answers/come-in-time"}, Allowed: []string{"refresh-instance/renewal-with-change-succeeds", "answers/come-soon"}},
		{Name: "answers a renewal with a change late", Build: wire(func(c *call) *answer {
			if c.text("scene") == "RENEWAL_CHANGE" && !c.debug() {
				<-time.After(AnswerLimit * 2 / 5) // more than a quarter
			}
			return c.pass()
		}), Hurried: true, Caught: []string{"answers/come-soon"}, Warned: true},
		{Name: "calls an unknown instance an internal error", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000003" {
				return a.set("resultCode", "000005")
			}
			return a
		}), Caught: []string{"answers/unknown-instance-has-its-code"}, Warned: true},
	}
}

// AnswerLimit is the time for one answer that tests give to a mutant that is hurried; some are slow by this measure.
const AnswerLimit = 10 * time.Second

func newInstanceMutants() []Mutant {
	refuses := func(mode marketplaceapi.ChargingMode) func(*ISV) http.Handler {
		return wire(func(c *call) *answer {
			a := c.pass()
			if c.is("newInstance") && !c.debug() && a.ok() && c.isv.App.mode(fmt.Sprint(a.body["instanceId"])) == mode {
				return reply("000104", "not sold any more")
			}
			return a
		})
	}
	refusal := func(mode marketplaceapi.ChargingMode, name string) Mutant {
		return Mutant{Name: "refuses " + name + " orders", Build: refuses(mode), Caught: []string{"new-instance/" + name + "-order-is-accepted"}}
	}
	return []Mutant{
		refusal(marketplaceapi.ChargingOneTime, "one-time"),
		refusal(marketplaceapi.ChargingOnDemand, "on-demand"),
		refusal(marketplaceapi.ChargingPackage, "package"),
		{Name: "refuses period orders", Build: refuses(marketplaceapi.ChargingPeriod), Caught: []string{"new-instance/period-order-is-accepted"}, Allowed: everything},
		{Name: "answers the businessId as the id of a repeat", Build: remember(func() behaviour {
			var mu sync.Mutex
			seen := map[string]bool{}
			return func(c *call) *answer {
				a := c.pass()
				mu.Lock()
				defer mu.Unlock()
				key := c.text("orderId") + c.text("orderLineId")
				if c.is("newInstance") && !c.debug() && a.ok() {
					if seen[key] {
						return a.set("instanceId", c.text("businessId"))
					}
					seen[key] = true
				}
				return a
			}
		}), Caught: []string{
			"new-instance/repeat-gets-the-same-instance", "new-instance/repeat-when-ready-gets-the-same-instance",
			"new-instance/overlapping-repeats-get-the-same-instance",
		}},
		{Name: "forgets a purchase that is ready", Build: remember(func() behaviour {
			var mu sync.Mutex
			ready := map[string]bool{}
			return func(c *call) *answer {
				a := c.pass()
				mu.Lock()
				defer mu.Unlock()
				if c.is("queryInstance") && a.ok() {
					ready[c.text("instanceId")] = true
				}
				if c.is("newInstance") && !c.debug() && a.ok() && ready[fmt.Sprint(a.body["instanceId"])] {
					return a.set("instanceId", c.text("businessId"))
				}
				return a
			}
		}), Caught: []string{"new-instance/repeat-when-ready-gets-the-same-instance"}},
		{Name: "refuses a repeat", Build: remember(func() behaviour {
			var mu sync.Mutex
			seen := map[string]bool{}
			return func(c *call) *answer {
				a := c.pass()
				mu.Lock()
				defer mu.Unlock()
				if c.is("newInstance") && !c.debug() && a.ok() {
					if seen[c.text("orderLineId")] {
						return reply("000103", "bought already")
					}
					seen[c.text("orderLineId")] = true
				}
				return a
			}
		}), Caught: []string{"new-instance/repeat-gets-the-same-instance", "new-instance/repeat-when-ready-gets-the-same-instance"}},
		{Name: "makes two instances when calls overlap", Build: wire(func(c *call) *answer {
			if c.is("newInstance") && !c.debug() && c.meets(c.text("orderLineId")) > 0 {
				return c.pass().set("instanceId", c.text("businessId"))
			}
			return c.pass()
		}), Caught: []string{"new-instance/overlapping-repeats-get-the-same-instance"}},
		{Name: "keeps one instance per order", Build: app(func(a *App) {
			a.ID = func(call provider.NewInstance) string { return "order-" + call.OrderID }
		}), Caught: []string{"new-instance/lines-of-an-order-get-different-instances"}},
		{Name: "keeps one instance per buyer", Build: app(func(a *App) {
			a.ID = func(provider.NewInstance) string { return "the-only-one" }
		}), Caught: []string{"new-instance/orders-get-different-instances"}, Allowed: everything},
		{Name: "answers ids of 70 characters", Build: quiet(func(c *call) *answer {
			const tail = "-0123456789012345678901234567890123456"
			if id := c.text("instanceId"); strings.Contains(id, tail) && c.trusted() {
				a := c.with("instanceId", strings.ReplaceAll(id, tail, "")).resigned()
				return a.entries(func(e object) { e["instanceId"] = fmt.Sprint(e["instanceId"]) + tail })
			}
			a := c.pass()
			if c.is("newInstance") && !c.debug() && a.ok() {
				return a.set("instanceId", fmt.Sprint(a.body["instanceId"])+tail)
			}
			return a
		}), Caught: []string{"new-instance/answers-an-instance-id"}, Allowed: []string{"signing/replay-*", "signing/unsorted-*"}},
		{Name: "answers no instanceId", Build: wire(func(c *call) *answer {
			a := c.pass()
			if c.is("newInstance") && !c.debug() {
				return a.set("instanceId", nil)
			}
			return a
		}), Caught: []string{"new-instance/answers-an-instance-id"}, Allowed: everything},
	}
}

func queryMutants() []Mutant {
	neverReady := func(mode marketplaceapi.ChargingMode, name string) Mutant {
		return Mutant{Name: "a " + name + " instance never becomes ready", Build: wire(func(c *call) *answer {
			if c.is("queryInstance") && c.isv.App.mode(c.text("instanceId")) == mode && c.trusted() {
				return reply("000004", "being processed")
			}
			return c.pass()
		}), Hurried: true, Caught: []string{"query-instance/" + name + "-instance-becomes-ready"}}
	}
	period := neverReady(marketplaceapi.ChargingPeriod, "period")
	period.Allowed = everything
	return []Mutant{
		period,
		neverReady(marketplaceapi.ChargingOneTime, "one-time"),
		neverReady(marketplaceapi.ChargingOnDemand, "on-demand"),
		neverReady(marketplaceapi.ChargingPackage, "package"),
		{Name: "answers entries without instanceId", Build: wire(func(c *call) *answer {
			return c.pass().entries(func(e object) { delete(e, "instanceId") })
		}), Hurried: true, Caught: []string{"query-instance/entries-name-their-instance"}, Allowed: everything},
		{Name: "answers appInfo without frontEndUrl", Build: wire(func(c *call) *answer {
			return c.pass().entries(func(e object) {
				if info, ok := e["appInfo"].(object); ok {
					delete(info, "frontEndUrl")
				}
			})
		}), Caught: []string{"query-instance/app-info-is-well-formed"}},
		{Name: "answers a long memo", Build: wire(func(c *call) *answer {
			return c.pass().entries(func(e object) {
				if info, ok := e["appInfo"].(object); ok {
					info["memo"] = strings.Repeat("读", 1025)
				}
			})
		}), Caught: []string{"query-instance/app-info-is-well-formed"}},
		{Name: "answers no appInfo", Build: wire(func(c *call) *answer {
			return c.pass().entries(func(e object) { delete(e, "appInfo") })
		}), Caught: []string{"query-instance/app-info-is-there"}, Warned: true},
		{Name: "answers the first of several instances", Build: wire(func(c *call) *answer {
			a := c.pass()
			if list, ok := a.body["info"].([]any); ok && len(list) > 1 {
				return a.set("info", list[:1])
			}
			return a
		}), Caught: []string{"query-instance/several-instances-are-answered"}},
		{Name: "limits the ids to 100 characters", Build: wire(func(c *call) *answer {
			if len(c.text("instanceId")) > 100 && c.trusted() {
				return reply("000002", "instanceId is too long")
			}
			return c.pass()
		}), Caught: []string{"query-instance/hundred-ids-are-accepted"}, Warned: true},
		{Name: "answers unknown instances as open", Build: wire(func(c *call) *answer {
			a := c.pass()
			if c.is("queryInstance") && a.code() == "000003" {
				return success().set("info", []any{object{"instanceId": c.text("instanceId"), "appInfo": object{"frontEndUrl": "https://app.example.com"}}})
			}
			return a
		}), Caught: []string{"query-instance/unknown-instance-has-no-entry"}, Allowed: []string{"release-instance/released-instance-is-gone"}, Warned: true},
		{Name: "answers unknown instances among others", Build: wire(func(c *call) *answer {
			a := c.pass()
			if known, unknown, several := strings.Cut(c.text("instanceId"), ","); several && a.ok() && !c.debug() && c.isv.App.known(known) && !c.isv.App.known(strings.Split(unknown, ",")...) {
				list, _ := a.body["info"].([]any)
				return a.set("info", append(list, object{"instanceId": unknown}))
			}
			return a
		}), Caught: []string{"query-instance/unknown-instance-among-others-has-no-entry"}, Warned: true},
	}
}

// when refuses calls that match, if they are trusted and not for debugging.
func when(matches func(c *call) bool) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if !c.debug() && matches(c) && c.trusted() {
			return reply("000005", "cannot be done")
		}
		return c.pass()
	})
}

// second refuses the second success of the same call.
func second(activity string, key func(c *call) string) func(*ISV) http.Handler {
	return remember(func() behaviour {
		var mu sync.Mutex
		seen := map[string]bool{}
		return func(c *call) *answer {
			a := c.pass()
			mu.Lock()
			defer mu.Unlock()
			if c.is(activity) && !c.debug() && a.ok() {
				if seen[key(c)] {
					return reply("000005", "done already")
				}
				seen[key(c)] = true
			}
			return a
		}
	})
}

// confirms answers success for an instance that does not exist.
func confirms(activity string) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		a := c.pass()
		if c.is(activity) && !c.debug() && a.code() == "000003" {
			return success()
		}
		return a
	})
}

func lifecycleMutants() []Mutant {
	scene := func(name string) func(*ISV) http.Handler {
		return when(func(c *call) bool { return c.text("scene") == name })
	}
	releases := func(mode marketplaceapi.ChargingMode, name string) Mutant {
		return Mutant{Name: "cannot release " + name + " instances of an unsubscription", Build: when(func(c *call) bool {
			return c.is("releaseInstance") && c.text("orderId") != "" && c.isv.App.mode(c.text("instanceId")) == mode
		}), Caught: []string{"release-instance/" + name + "-instance-is-released"}}
	}
	return []Mutant{
		{
			Name: "refuses renewals", Build: scene("RENEWAL"), Caught: []string{"refresh-instance/renewal-succeeds"},
			Allowed: []string{"refresh-instance/*", "answers/unknown-*"},
		},
		{Name: "refuses formal purchases", Build: scene("TRIAL_TO_FORMAL"), Caught: []string{"refresh-instance/trial-to-formal-succeeds"}},
		{Name: "refuses cancelled renewals", Build: scene("UNSUBSCRIBE_RENEWAL_PERIOD"), Caught: []string{"refresh-instance/cancelled-renewal-succeeds"}},
		{Name: "does not know renewals with a change", Build: scene("RENEWAL_CHANGE"), Caught: []string{"refresh-instance/renewal-with-change-succeeds"}, Warned: true},
		{
			Name: "refuses the repeat of a renewal", Build: second("refreshInstance", func(c *call) string { return c.text("orderId") }),
			Caught: []string{"refresh-instance/repeat-succeeds"},
		},
		{
			Name: "confirms renewals of unknown instances", Build: confirms("refreshInstance"),
			Caught: []string{"refresh-instance/unknown-instance-is-refused"},
		},
		{
			Name: "refuses expiries with milliseconds", Build: when(func(c *call) bool { return len(c.text("expireTime")) == 17 }),
			Caught: []string{"refresh-instance/expiry-with-milliseconds-is-accepted"}, Warned: true,
		},
		{
			Name: "refuses a new product", Build: when(func(c *call) bool { return c.text("productId") != "" }),
			Caught: []string{"refresh-instance/new-product-is-accepted"},
		},

		{
			Name: "cannot unfreeze", Build: when(func(c *call) bool {
				return c.text("status") == "UNFREEZE" && c.isv.App.mode(c.text("instanceId")) == marketplaceapi.ChargingPeriod
			}),
			Caught: []string{"instance-status/freeze-and-unfreeze-succeed"},
		},
		{
			Name: "refuses to freeze again", Build: second("updateInstanceStatus", func(c *call) string { return c.text("instanceId") + c.text("status") }),
			Caught: []string{"instance-status/repeats-succeed"},
		},
		{
			Name: "confirms the status of unknown instances", Build: confirms("updateInstanceStatus"),
			Caught: []string{"instance-status/unknown-instance-is-refused"},
		},
		{
			Name: "loses frozen instances", Build: app(func(a *App) { a.freezeHides = true }),
			Caught: []string{"instance-status/frozen-instance-is-still-there"}, Warned: true,
		},
		{Name: "cannot refresh what is charged by use", Build: when(func(c *call) bool {
			return c.is("refreshInstance") && c.isv.App.mode(c.text("instanceId")) == marketplaceapi.ChargingOnDemand
		}), Caught: []string{"refresh-instance/usage-instances-can-be-refreshed"}, Warned: true},
		{Name: "cannot freeze what is charged by use", Build: when(func(c *call) bool {
			return c.is("updateInstanceStatus") && c.isv.App.mode(c.text("instanceId")) == marketplaceapi.ChargingOnDemand
		}), Caught: []string{"instance-status/usage-instances-can-be-frozen"}, Warned: true},

		releases(marketplaceapi.ChargingPeriod, "period"),
		releases(marketplaceapi.ChargingOneTime, "one-time"),
		releases(marketplaceapi.ChargingOnDemand, "on-demand"),
		releases(marketplaceapi.ChargingPackage, "package"),
		{
			Name: "wants an order to release", Build: when(func(c *call) bool {
				return c.is("releaseInstance") && c.text("orderId") == "" && c.isv.App.known(c.text("instanceId"))
			}),
			Caught: []string{"release-instance/succeeds-without-an-order"}, Allowed: []string{"release-instance/frozen-*"},
		},
		{Name: "does not release what is frozen", Build: wire(func(c *call) *answer {
			if c.is("releaseInstance") && c.isv.App.frozen(c.text("instanceId")) && c.trusted() {
				return reply("000005", "it is frozen")
			}
			return c.pass()
		}), Caught: []string{"release-instance/frozen-instance-is-released"}},
		{
			Name: "refuses the repeat of a release", Build: second("releaseInstance", func(c *call) string { return c.text("instanceId") }),
			Caught: []string{"release-instance/repeat-is-confirmed"},
		},
		{Name: "releases nothing", Build: app(func(a *App) { a.keepsReleased = true }), Caught: []string{"release-instance/released-instance-is-gone"}, Warned: true},
		{Name: "releases the whole order", Build: app(func(a *App) { a.releasesOrder = true }), Caught: []string{"release-instance/other-instances-stay"}},
		{
			Name: "calls the release of nothing an internal error", Build: app(func(a *App) { a.distrustsReleases = true }),
			Caught: []string{"release-instance/unknown-instance-is-confirmed-or-unknown", "release-instance/repeat-is-confirmed"},
		},
	}
}

func optionalMutants() []Mutant {
	return []Mutant{
		{
			Name: "renames what is upgraded", Build: app(func(a *App) { a.upgradeRenames = true }), Caught: []string{"upgrade-instance/succeeds-and-keeps-the-id"},
			Allowed: []string{"upgrade-instance/repeat-succeeds"},
		},
		{
			Name: "refuses the repeat of an upgrade", Build: second("upgradeInstance", func(c *call) string { return c.text("orderId") }),
			Caught: []string{"upgrade-instance/repeat-succeeds"},
		},
		{Name: "confirms upgrades of unknown instances", Build: confirms("upgradeInstance"), Caught: []string{"upgrade-instance/unknown-instance-is-refused"}},
		{Name: "does not understand change checks", Build: wire(func(c *call) *answer {
			if c.is("changeInstanceCheck") && !c.debug() && c.trusted() && c.isv.App.known(c.text("instanceId")) {
				return reply("000002", "unknown activity")
			}
			return c.pass()
		}), Caught: []string{"change-check/is-answered"}},
		{Name: "reads productInfo as an object only", Build: wire(func(c *call) *answer {
			if c.text("productInfo") != "" && c.trusted() {
				return reply("000002", "productInfo is no object")
			}
			return c.pass()
		}), Caught: []string{"change-check/product-as-text-is-understood"}, Warned: true},
		{Name: "allows changes of unknown instances", Build: confirms("changeInstanceCheck"), Caught: []string{"change-check/unknown-instance-is-refused"}, Warned: true},
		{
			Name: "refuses the repeat of a notice", Build: second("orderNotify", func(c *call) string { return c.text("orderId") }),
			Caught: []string{"order-notify/succeeds-twice"},
		},
		{Name: "has one key for all classes", Build: wire(func(c *call) *answer {
			other := *c
			other.body = maps.Clone(c.body)
			delete(other.body, "activity") // so that the base key is looked at
			if c.is("orderNotify") && other.trusted() {
				return c.resigned()
			}
			return c.pass()
		}), Caught: []string{"order-notify/base-key-is-refused"}, Warned: true},
	}
}

// missing confirms calls that lack a parameter.
func missing(activity, param string) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if _, there := c.body[param]; c.is(activity) && !there && c.trusted() {
			return success().set("instanceId", "i-1")
		}
		return c.pass()
	})
}

func parameterMutants() []Mutant {
	var found []Mutant
	for _, p := range []struct {
		activity, slug, param, kebab string
		warned                       bool
	}{
		{"newInstance", "new-instance", "orderId", "order-id", false},
		{"newInstance", "new-instance", "orderLineId", "order-line-id", false},
		{"newInstance", "new-instance", "businessId", "business-id", true},
		{"queryInstance", "query-instance", "instanceId", "instance-id", false},
		{"refreshInstance", "refresh-instance", "instanceId", "instance-id", false},
		{"refreshInstance", "refresh-instance", "expireTime", "expire-time", false},
		{"refreshInstance", "refresh-instance", "scene", "scene", true},
		{"refreshInstance", "refresh-instance", "orderId", "order-id", true},
		{"refreshInstance", "refresh-instance", "orderLineId", "order-line-id", true},
		{"updateInstanceStatus", "instance-status", "instanceId", "instance-id", false},
		{"updateInstanceStatus", "instance-status", "status", "status", false},
		{"releaseInstance", "release-instance", "instanceId", "instance-id", false},
		{"upgradeInstance", "upgrade-instance", "instanceId", "instance-id", false},
		{"upgradeInstance", "upgrade-instance", "orderId", "order-id", false},
		{"upgradeInstance", "upgrade-instance", "orderLineId", "order-line-id", true},
	} {
		found = append(found, Mutant{
			Name: p.activity + " does not need " + p.param, Build: missing(p.activity, p.param), Warned: p.warned,
			Caught: []string{"parameters/" + p.slug + "-needs-" + p.kebab},
		})
	}
	isObject := func(c *call) bool { return c.body != nil }
	crash := func(matches func(c *call) bool) func(*ISV) http.Handler {
		return wire(func(c *call) *answer {
			if matches(c) && c.right() {
				return &answer{status: http.StatusInternalServerError, header: http.Header{}, raw: []byte("internal error")}
			}
			return c.pass()
		})
	}
	confirm := func(matches func(c *call) bool) func(*ISV) http.Handler {
		return wire(func(c *call) *answer {
			if matches(c) && c.trusted() {
				return success().set("instanceId", "i-1")
			}
			return c.pass()
		})
	}
	return append(found, []Mutant{
		{Name: "calls a missing parameter an internal error", Build: wire(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000002" && c.trusted() {
				return a.set("resultCode", "000005")
			}
			return a
		}), Caught: []string{"parameters/missing-parameter-has-its-code"}, Warned: true},
		{
			Name: "crashes at an array", Build: crash(func(c *call) bool { _, is := c.body["instanceId"].([]any); return is }),
			Caught: []string{"parameters/array-instead-of-text-is-refused"}, Warned: true,
		},
		{Name: "makes ids of long businessIds", Build: confirmLong(), Caught: []string{"parameters/over-long-business-id-is-not-passed-on"}, Warned: true},
		{Name: "confirms unknown activities", Build: confirm(func(c *call) bool { return c.is("paintInstance") }), Caught: []string{"parameters/unknown-activity-is-refused"}},
		{
			Name: "confirms calls without activity", Build: confirm(func(c *call) bool { return isObject(c) && c.text("activity") == "" }),
			Caught: []string{"parameters/missing-activity-is-refused"},
		},
		{
			Name: "refuses unknown parameters", Build: when(func(c *call) bool { return c.text("channelCode") != "" }),
			Caught: []string{"parameters/unknown-parameters-are-ignored"}, Warned: true,
		},
		{
			Name: "refuses unknown objects", Build: when(func(c *call) bool { _, is := c.body["context"].(object); return is }),
			Caught: []string{"parameters/unknown-nested-parameters-are-ignored"}, Warned: true,
		},
		{
			Name: "crashes at malformed JSON", Build: crash(func(c *call) bool { return strings.HasPrefix(string(c.raw), "{") && !isObject(c) }),
			Caught: []string{"parameters/malformed-json-is-refused"}, Warned: true,
		},
		{Name: "confirms an empty body", Build: confirm(func(c *call) bool { return len(c.raw) == 0 }), Caught: []string{"parameters/empty-body-is-refused"}, Warned: true},
		{
			Name: "crashes at an array instead of an object", Build: crash(func(c *call) bool { return strings.HasPrefix(string(c.raw), "[") }),
			Caught: []string{"parameters/json-array-is-refused"}, Warned: true,
		},
		{Name: "serves GET", Build: wire(func(c *call) *answer {
			c.method = http.MethodPost
			return c.pass()
		}), Caught: []string{"parameters/get-is-refused"}, Warned: true},
		{
			Name: "takes every status for UNFREEZE", Build: confirm(func(c *call) bool { return c.text("status") == "MELT" }),
			Caught: []string{"parameters/unknown-status-is-refused"}, Warned: true,
		},
		{
			Name: "takes any text for an expiry", Build: confirm(func(c *call) bool { return c.text("expireTime") == "tomorrow" }),
			Caught: []string{"parameters/text-as-expiry-is-refused"}, Warned: true,
		},
	}...)
}

func confirmLong() func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if id := c.text("businessId"); len(id) > 64 && c.trusted() {
			return success().set("instanceId", id)
		}
		return c.pass()
	})
}

func debugMutants() []Mutant {
	refuses := func(slug string, matches func(c *call) bool) Mutant {
		return Mutant{Name: "refuses debug calls: " + slug, Build: wire(func(c *call) *answer {
			if c.debug() && matches(c) && c.trusted() {
				return reply("000003", "no such instance")
			}
			return c.pass()
		}), Caught: []string{"debug-calls/" + slug}}
	}
	activity := func(name string) func(c *call) bool {
		return func(c *call) bool { return c.is(name) && !strings.Contains(c.text("instanceId"), ",") }
	}
	fresh := refuses("new-instance-succeeds", activity("newInstance"))
	fresh.Allowed = []string{"signing/right-signature-is-accepted"}
	return []Mutant{
		fresh,
		refuses("query-instance-succeeds", activity("queryInstance")),
		refuses("refresh-instance-succeeds", func(c *call) bool { return c.text("scene") == "RENEWAL" }),
		refuses("refresh-instance-succeeds-in-every-scene", func(c *call) bool { return c.is("refreshInstance") && c.text("scene") != "RENEWAL" }),
		refuses("instance-status-succeeds", activity("updateInstanceStatus")),
		refuses("release-instance-succeeds", activity("releaseInstance")),
		refuses("upgrade-instance-succeeds", activity("upgradeInstance")),
		refuses("change-check-succeeds", activity("changeInstanceCheck")),
		refuses("order-notify-succeeds", activity("orderNotify")),
		{Name: "refuses the second debug release", Build: remember(func() behaviour {
			var mu sync.Mutex
			seen := map[string]bool{}
			return func(c *call) *answer {
				a := c.pass()
				mu.Lock()
				defer mu.Unlock()
				if c.is("releaseInstance") && c.debug() && a.ok() {
					if seen[c.text("instanceId")] {
						return reply("000003", "no such instance")
					}
					seen[c.text("instanceId")] = true
				}
				return a
			}
		}), Caught: []string{"debug-calls/repeat-in-any-order"}},
		{Name: "carries out debug releases", Build: wire(func(c *call) *answer {
			a := c.pass()
			if c.is("releaseInstance") && c.debug() && a.ok() {
				c.with("testFlag", nil).resigned()
			}
			return a
		}), Caught: []string{"debug-calls/release-spares-a-real-instance"}},
		{Name: "takes the real call for a repeat of the debug one", Build: remember(func() behaviour {
			var mu sync.Mutex
			debugged := map[string]string{}
			return func(c *call) *answer {
				mu.Lock()
				defer mu.Unlock()
				id, known := debugged[c.text("orderLineId")]
				if c.is("newInstance") && !c.debug() && known && c.trusted() {
					return success().set("instanceId", id)
				}
				a := c.pass()
				if c.is("newInstance") && c.debug() && a.ok() {
					debugged[c.text("orderLineId")] = randomID()
				}
				return a
			}
		}), Caught: []string{"debug-calls/new-instance-leaves-the-order-free"}, Allowed: []string{"order-query/orders-are-asked-for"}},
		{Name: "takes every testFlag for a debug call", Build: wire(func(c *call) *answer {
			if c.text("testFlag") == "0" && c.trusted() {
				return c.with("testFlag", "1").resigned()
			}
			return c.pass()
		}), Caught: []string{"debug-calls/test-flag-zero-is-a-real-call"}, Allowed: []string{"order-query/orders-are-asked-for"}},
	}
}
