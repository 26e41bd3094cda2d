package mutant

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
	"github.com/isvkit/isvkit/sdk/signature"
)

// kitName is the kit call of V2 that this is, "" if it is none. What is not one of the five has a name, too.
func (c *call) kitName() string {
	if c.isv.kitV1 {
		return c.v1KitName()
	}
	if before, after, found := strings.Cut(c.url.Path, "/produceAPI/v2/"); found && before != "" {
		return after
	}
	return ""
}

func (c *call) kitParams() signature.Params {
	return signature.Params{Signature: c.header.Get("X-Sign"), Timestamp: c.header.Get("X-Timestamp"), Nonce: c.header.Get("X-Nonce")}
}

func kitOf(key string) *signature.Kit {
	kit, err := signature.NewKit(signature.Config{Keys: []string{key}})
	if err != nil {
		panic(err) // the keys are ours
	}
	return kit
}

// kitResigned lets the right ISV answer a kit call with a fresh, right signature.
func (c *call) kitResigned() *answer {
	if c.isv.kitV1 {
		return c.v1KitResigned()
	}
	params, err := kitOf(c.isv.Keys.Kit).Sign(c.raw)
	if err != nil {
		panic(err)
	}
	params.SetKitHeaders(c.header)
	return c.pass()
}

// kitRight reports whether x-sign fits, whatever its age.
func (c *call) kitRight() bool { return c.kitRightWith(c.isv.Keys.Kit, string(c.raw)) }

func (c *call) kitRightWith(key, body string) bool {
	p := c.kitParams()
	return strings.EqualFold(kitOf(key).SignAt([]byte(body), p.Timestamp, p.Nonce), p.Signature)
}

// kitFresh reports whether x-timestamp is within the window.
func (c *call) kitFresh() bool {
	ms, err := strconv.ParseInt(c.kitParams().Timestamp, 10, 64)
	return err == nil && time.Since(time.UnixMilli(ms)).Abs() < time.Minute
}

func (c *call) kitTrusted() bool {
	if c.isv.kitV1 {
		_, err := v1Of(c.isv.Keys.V1).VerifyBody(c.header.Get("Authtoken"), c.raw)
		return err == nil
	}
	return c.kitParams().Nonce != "" && c.kitFresh() && c.kitRight()
}

func (c *call) number(name string) int {
	n, ok := c.body[name].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

func (c *call) kitDebug() bool { return c.number("testFlag") == 1 }

// kit makes a mutant of kit calls; everything else is right.
func kit(b behaviour) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if c.kitName() == "" {
			return c.pass()
		}
		return b(c)
	})
}

// kitRemembering is kit with a memory of its own for each run. One call is answered at a time.
func kitRemembering(make func() behaviour) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler {
		var mu sync.Mutex
		b := make()
		return kit(func(c *call) *answer {
			mu.Lock()
			defer mu.Unlock()
			return b(c)
		})(isv)
	}
}

// kitAnswer changes answers to kit calls.
func kitAnswer(change func(c *call, a *answer) *answer) func(*ISV) http.Handler {
	return kit(func(c *call) *answer { return change(c, c.pass()) })
}

// kitRefusing refuses real kit calls that match, if they are signed rightly.
func kitRefusing(matches func(c *call) bool) func(*ISV) http.Handler {
	return kit(func(c *call) *answer {
		if !c.kitDebug() && matches(c) && c.kitTrusted() {
			return reply("000005", "cannot be done")
		}
		return c.pass()
	})
}

// kitThing is what a call is about, and kitKey names it.
func (c *call) kitThing() string {
	return map[string]string{"tenantSync": "tenant", "applicationSync": "application", "authSync": "user", "singleOrgSync": "department"}[path.Base(c.url.Path)]
}

func (c *call) kitKey() string {
	key := c.kitName() + " " + c.text("tenantId") + " " + c.text("appId") + " " + c.text("orgCode")
	return key + fmt.Sprint(c.userNames())
}

// list is an array of the body, or the one whose JSON text it is, as in V1.
func (c *call) list(name string) []any {
	list, _ := c.body[name].([]any)
	if c.isv.kitV1 {
		_ = json.Unmarshal([]byte(c.text(name)), &list)
	}
	return list
}

func (c *call) users() []object {
	var users []object
	for _, u := range c.list("userList") {
		if o, ok := u.(object); ok {
			users = append(users, o)
		}
	}
	return users
}

func (c *call) userNames() []any {
	var names []any
	for _, u := range c.users() {
		names = append(names, u["userName"])
	}
	return names
}

// kitCatches is a mutant that is caught by checks of the kit.
func kitCatches(name string, build func(*ISV) http.Handler, caught ...string) Mutant {
	return Mutant{Name: "kit: " + name, Build: build, Caught: caught, With: []string{"kit"}, Run: []string{"kit*"}}
}

func (m Mutant) warned() Mutant { m.Warned = true; return m }

func (m Mutant) allowing(patterns ...string) Mutant { m.Allowed = patterns; return m }

// every names the checks that begin and end so, for each of the words.
func every(format string, words ...string) []string {
	ids := make([]string, len(words))
	for n, w := range words {
		ids[n] = fmt.Sprintf(format, w)
	}
	return ids
}

// OtherMutants are wrong in one way each, at the interfaces beside the base calls of V2.
func OtherMutants() []Mutant { return slices.Concat(KitMutants(), V1Mutants(), LicenceMutants()) }

// KitMutants are wrong in one way each, in what they do with kit calls.
func KitMutants() []Mutant {
	return slices.Concat(kitSigningMutants(), kitAnswerMutants(), kitCallMutants(), kitSecretMutants(), kitParameterMutants(), kitDebugMutants())
}

func kitSigningMutants() []Mutant {
	refused := []string{
		"kit-signing/changed-signature-is-refused", "kit-signing/truncated-signature-is-refused", "kit-signing/text-as-signature-is-refused",
		"kit-signing/wrong-key-is-refused", "kit-signing/base-key-is-refused", "kit-signing/debug-calls-are-verified-too",
		"kit-signing/signature-is-verified-before-the-secret", "kit-signing/changed-body-is-refused", "kit-signing/stale-timestamp-is-refused",
		"kit-signing/text-as-timestamp-is-refused", "kit-signing/future-timestamp-is-refused", "kit-signing/replay-is-refused",
	}
	for _, header := range []string{"x-sign", "x-timestamp", "x-nonce"} {
		refused = append(refused, "kit-signing/missing-"+header+"-is-refused", "kit-signing/empty-"+header+"-is-refused")
	}
	header := func(name string, takes func(c *call) bool) func(*ISV) http.Handler {
		return kit(func(c *call) *answer {
			if c.header.Get(name) == "" && takes(c) {
				return c.kitResigned()
			}
			return c.pass()
		})
	}
	takes := func(when func(c *call) bool) func(*ISV) http.Handler {
		return kit(func(c *call) *answer {
			if when(c) {
				return c.kitResigned()
			}
			return c.pass()
		})
	}
	refuses := func(when func(c *call) bool) func(*ISV) http.Handler {
		return kit(func(c *call) *answer {
			if when(c) {
				return reply("000001", "authentication failed")
			}
			return c.pass()
		})
	}
	return []Mutant{
		kitCatches("does not verify signatures", kit((*call).kitResigned), refused...),
		kitCatches("knows another key", func(isv *ISV) http.Handler {
			keys := isv.Keys
			isv.Keys.Kit = "some-other-key"
			h, err := isv.serve(isv.Keys.Base)
			if err != nil {
				panic(err)
			}
			isv.Keys = keys
			return h
		}, "kit/tenant-add-succeeds").allowing("kit*"),
		kitCatches("refuses right signatures of what it knows", refuses(func(c *call) bool { return c.kitName() == "tenantSync" && c.number("flag") == 1 && c.seenBefore() }),
			"kit-signing/right-signature-is-accepted").allowing("kit*"),
		kitCatches("does not verify debug calls", takes((*call).kitDebug), "kit-signing/debug-calls-are-verified-too"),
		kitCatches("verifies after the secret, and then no more", takes(func(c *call) bool { return c.kitName() == "applicationSync" }),
			"kit-signing/signature-is-verified-before-the-secret"),
		kitCatches("verifies only if there is a signature", header("X-Sign", func(*call) bool { return true }),
			"kit-signing/missing-x-sign-is-refused", "kit-signing/empty-x-sign-is-refused"),
		kitCatches("looks at the time only if there is one", header("X-Timestamp", (*call).kitRight),
			"kit-signing/missing-x-timestamp-is-refused", "kit-signing/empty-x-timestamp-is-refused"),
		kitCatches("needs no nonce", header("X-Nonce", (*call).kitRight), "kit-signing/missing-x-nonce-is-refused", "kit-signing/empty-x-nonce-is-refused"),
		kitCatches("compares the beginning of the signature", takes(func(c *call) bool {
			p := c.kitParams()
			right := kitOf(c.isv.Keys.Kit).SignAt(c.raw, p.Timestamp, p.Nonce)
			return len(p.Signature) > 16 && p.Signature != right && strings.EqualFold(p.Signature[:16], right[:16])
		}), "kit-signing/changed-signature-is-refused", "kit-signing/truncated-signature-is-refused").allowing("kit-signing/refusals-have-*"),
		kitCatches("takes text for a right signature", takes(func(c *call) bool { s := c.header.Get("X-Sign"); return s != "" && len(s) < 63 }),
			"kit-signing/text-as-signature-is-refused"),
		kitCatches("takes the base key", takes(func(c *call) bool { return c.kitRightWith(c.isv.Keys.Base, string(c.raw)) }), "kit-signing/base-key-is-refused").warned(),
		kitCatches("does not sign flag", takes(func(c *call) bool {
			return c.kitRightWith(c.isv.Keys.Kit, strings.Replace(string(c.raw), `"flag":0`, `"flag":1`, 1)) && !c.kitRight()
		}), "kit-signing/changed-body-is-refused"),
		kitCatches("does not look at the time", takes(func(c *call) bool {
			p := c.kitParams()
			return p.Timestamp != "" && p.Nonce != "" && !c.kitFresh() && c.kitRight()
		}),
			"kit-signing/stale-timestamp-is-refused", "kit-signing/text-as-timestamp-is-refused", "kit-signing/future-timestamp-is-refused"),
		kitCatches("accepts the future", takes(func(c *call) bool {
			t := c.kitParams().Timestamp
			return len(t) == 13 && t > strconv.FormatInt(time.Now().UnixMilli(), 10) && c.kitRight()
		}), "kit-signing/future-timestamp-is-refused").warned(),
		kitCatches("remembers no nonce", takes((*call).kitTrusted), "kit-signing/replay-is-refused").warned(),
		kitCatches("wants upper-case signatures", refuses(func(c *call) bool { s := c.header.Get("X-Sign"); return s != strings.ToUpper(s) }),
			"kit-signing/lower-case-signature-is-accepted").warned(),
		kitCatches("escapes & and < before hashing", refuses(func(c *call) bool { return strings.ContainsAny(string(c.raw), "&<") }),
			"kit-signing/non-ascii-body-verifies"),
		kitCatches("verifies the raw body only", refuses(func(c *call) bool { return len(c.header.Get("X-Sign")) == 64 && !c.kitRight() }),
			"kit-signing/unsorted-body-with-sorted-signature-is-accepted").warned(),
		kitCatches("has another code for a wrong signature", kitAnswer(func(_ *call, a *answer) *answer {
			if a.code() == "000001" {
				return a.set("resultCode", "000005")
			}
			return a
		}), "kit-signing/refusals-have-the-right-code").warned(),
		kitCatches("does not work behind a proxy", refuses(func(c *call) bool { return c.header.Get("Via") != "" }), "kit-signing/other-headers-do-not-matter").warned(),
	}
}

// seenBefore reports whether the ISV was told about this enterprise before, and remembers that it was now.
func (c *call) seenBefore() bool {
	a := c.isv.App
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	key := c.kitKey()
	before := a.seen[key]
	a.seen[key] = true
	return before
}

func kitAnswerMutants() []Mutant {
	refusal := func(change func(a *answer)) func(*ISV) http.Handler {
		return kitAnswer(func(_ *call, a *answer) *answer {
			if a.code() == "000002" || a.code() == "000001" {
				change(a)
			}
			return a
		})
	}
	return []Mutant{
		kitCatches("answers 201", kitAnswer(func(_ *call, a *answer) *answer {
			if a.ok() {
				a.status = http.StatusCreated
			}
			return a
		}), "kit-answers/success-has-status-200"),
		kitCatches("answers 400 to what is wrong", refusal(func(a *answer) { a.status = http.StatusBadRequest }), "kit-answers/refusal-has-status-200"),
		kitCatches("answers text/plain", kitAnswer(func(_ *call, a *answer) *answer { a.header.Set("Content-Type", "text/plain"); return a }),
			"kit-answers/content-type-is-json"),
		kitCatches("answers the code as a number", kitAnswer(func(_ *call, a *answer) *answer {
			a.raw = []byte(strings.Replace(string(a.raw), `"resultCode":"`+a.code()+`"`, `"resultCode":`+strings.TrimLeft(a.code()[:5], "0")+a.code()[5:], 1))
			return a
		}), "kit-answers/result-code-is-six-digits-of-text"),
		kitCatches("has codes of its own", refusal(func(a *answer) { a.set("resultCode", "700001") }), "kit-answers/result-code-is-a-published-one").warned().
			allowing("kit-signing/refusals-*", "kit-parameters/missing-parameter-has-its-code"),
		kitCatches("answers no resultMsg", kitAnswer(func(_ *call, a *answer) *answer { return a.set("resultMsg", nil) }), "kit-answers/result-message-is-there").warned(),
		kitCatches("answers long messages", kitAnswer(func(_ *call, a *answer) *answer { return a.set("resultMsg", strings.Repeat("sorry ", 50)) }),
			"kit-answers/result-message-is-short-enough"),
	}
}

func kitCallMutants() []Mutant {
	is := func(name string, flag int) func(*call) bool {
		return func(c *call) bool { return c.kitName() == name && (flag < 0 || c.number("flag") == flag) }
	}
	var mutants []Mutant
	for _, thing := range []struct{ call, slug string }{{"tenantSync", "tenant"}, {"applicationSync", "application"}, {"authSync", "user"}, {"singleOrgSync", "department"}} {
		mutants = append(mutants,
			kitCatches("refuses every new "+thing.slug, kitRefusing(is(thing.call, 1)), "kit/"+thing.slug+"-add-succeeds").allowing("kit*"),
			kitCatches("refuses every "+thing.slug+" that changes", kitRefusing(is(thing.call, 2)), "kit/"+thing.slug+"-modify-succeeds").allowing("kit-secret/*"),
			// The enterprise that the checks share is told about again and again.
			kitCatches("refuses a "+thing.slug+" that is there", kitRefusing(func(c *call) bool { return is(thing.call, 1)(c) && c.seenBefore() }),
				"kit/"+thing.slug+"-add-repeats").allowing("kit*"),
			kitCatches("refuses to delete a "+thing.slug+" twice", kitRefusing(func(c *call) bool { return is(thing.call, 0)(c) && c.seenBefore() }),
				"kit/"+thing.slug+"-delete-repeats"),
			kitCatches("looks for the instance of a "+thing.slug+" to delete", kitRefusing(func(c *call) bool {
				return is(thing.call, 0)(c) && c.text("instanceId") != "" && !c.isv.App.known(c.text("instanceId"))
			}), "kit/"+thing.slug+"-unknown-delete-succeeds"),
			kitCatches("keeps the row of a deleted "+thing.slug, kitRemembering(func() behaviour {
				deleted := map[string]bool{}
				return func(c *call) *answer {
					if is(thing.call, 1)(c) && deleted[c.kitKey()] && c.kitTrusted() {
						return reply("000005", "duplicate key")
					}
					a := c.pass()
					if is(thing.call, 0)(c) && a.ok() {
						deleted[c.kitKey()] = true
					}
					return a
				}
			}), "kit/"+thing.slug+"-can-be-added-again"))
	}
	overlapping := kitRemembering(func() behaviour {
		told := map[string]int{}
		return func(c *call) *answer {
			if is("authSync", 1)(c) && c.kitTrusted() {
				if told[c.kitKey()]++; told[c.kitKey()] > 3 {
					return reply("000005", "duplicate key")
				}
			}
			return c.pass()
		}
	})
	return append(mutants,
		kitCatches("refuses departments", kitRefusing(is("allOrgSync", -1)), "kit/departments-are-taken").allowing("kit*"),
		kitCatches("refuses departments the second time", kitRefusing(func(c *call) bool { return is("allOrgSync", -1)(c) && c.seenBefore() }), "kit/departments-repeat").
			allowing("kit*"),
		kitCatches("is spoilt by calls that overlap", overlapping, "kit/overlapping-adds-succeed").warned(),
		kitCatches("wants an instance", kitRefusing(func(c *call) bool { return c.text("instanceId") == "" }), "kit/application-for-a-credential-succeeds"),
		kitCatches("does not know flag 3", kitRefusing(is("authSync", 3)), "kit/authorisation-can-be-taken-back"),
		kitCatches("takes an authorisation back once", kitRefusing(func(c *call) bool { return is("authSync", 3)(c) && c.seenBefore() }), "kit/authorisation-can-be-taken-back"),
		kitCatches("takes 100 users at most", kitRefusing(func(c *call) bool { return len(c.users()) > 100 }), "kit/five-hundred-users-are-taken").warned(),
		kitCatches("passes over what is bad", kit(func(c *call) *answer {
			keep := func(list, field string) *call {
				items := c.list(list)
				good := slices.DeleteFunc(slices.Clone(items), func(i any) bool { o, _ := i.(object); return o[field] == nil })
				if len(good) == len(items) || len(good) == 0 || !c.kitTrusted() {
					return nil
				}
				if text, _ := json.Marshal(good); c.isv.kitV1 {
					return c.with(list, string(text))
				}
				return c.with(list, good)
			}
			for list, field := range map[string]string{"userList": "userName", "orgInfoList": "orgCode", "orgInfo": "orgCode"} {
				if changed := keep(list, field); changed != nil {
					return changed.kitResigned()
				}
			}
			return c.pass()
		}), "kit/one-bad-user-is-not-passed-over", "kit/one-bad-department-is-not-passed-over").warned(),
		kitCatches("takes no lists as text", kitRefusing(func(c *call) bool { return c.text("userList")+c.text("orgInfoList") != "" }),
			"kit/users-as-text-are-taken", "kit/departments-as-text-are-taken").warned(),
		kitCatches("answers to every path", kit(func(c *call) *answer {
			if c.kitThing() == "" && c.kitName() != "allOrgSync" {
				return success()
			}
			return c.pass()
		}), "kit/unknown-call-is-refused").warned(),
	)
}

func kitSecretMutants() []Mutant {
	digests := func(d ...secret.Digests) func(*ISV) http.Handler {
		return func(isv *ISV) http.Handler {
			h, err := isv.serveWith(isv.Keys.Base, func(cfg *provider.Config) { cfg.KitSecret = kitSecretOf(d...) })
			if err != nil {
				panic(err)
			}
			return h
		}
	}
	return []Mutant{
		kitCatches("keeps secrets as they come", kitAnswer(func(_ *call, a *answer) *answer {
			if a.code() == "000101" {
				return success()
			}
			return a
		}), "kit-secret/secret-of-another-key-is-refused", "kit-secret/secret-in-plain-is-refused", "kit-secret/truncated-secret-is-refused").warned(),
		kitCatches("breaks on secrets that it cannot decrypt", kitAnswer(func(_ *call, a *answer) *answer {
			if a.code() == "000101" {
				a.status, a.raw = http.StatusInternalServerError, []byte("panic")
			}
			return a
		}), "kit-secret/secret-of-another-key-is-refused").allowing("kit-secret/*").warned(),
		kitCatches("has another code for a bad secret", kitAnswer(func(_ *call, a *answer) *answer {
			if a.code() == "000101" {
				return a.set("resultCode", "000005")
			}
			return a
		}), "kit-secret/refusal-has-its-code").warned(),
		kitCatches("decrypts with SHA-256 for both", digests(secret.DigestsSHA256), "kit-secret/java-digests-are-taken").warned(),
		kitCatches("decrypts with SHA-1 for both", digests(secret.DigestsSHA1), "kit-secret/java-digests-are-taken").warned(),
		kitCatches("has another private key", kit(func(c *call) *answer {
			if c.kitName() == "applicationSync" && c.kitTrusted() {
				return reply("000101", "the client secret cannot be decrypted")
			}
			return c.pass()
		}), "kit/application-add-succeeds").allowing("kit*"),
		kitCatches("tells the secret", kitAnswer(func(c *call, a *answer) *answer {
			if c.kitName() == "applicationSync" && a.ok() {
				plain, _ := kitSecret().Decrypt(c.text("clientSecret"))
				return a.set("resultMsg", "the secret is now "+plain)
			}
			return a
		}), "kit-secret/is-not-answered").warned(),
	}
}

func kitParameterMutants() []Mutant {
	var needs []string
	for slug, names := range map[string]string{
		"tenant-sync": "tenant-id flag tenant-code name domain-name test-flag", "application-sync": "tenant-id client-id client-secret flag app-id test-flag",
		"auth-sync": "tenant-id user-list flag app-id test-flag", "single-org-sync": "tenant-id org-code flag org-name test-flag",
		"all-org-sync": "tenant-id org-info-list test-flag",
	} {
		needs = append(needs, every("kit-parameters/"+slug+"-needs-%s", strings.Fields(names)...)...)
	}
	looks := every("kit-parameters/%s-is-refused", "object-instead-of-flag", "number-instead-of-list", "object-instead-of-list", "text-that-is-no-list",
		"over-long-tenant-id", "over-long-name", "over-long-user-name", "unknown-flag", "unknown-role", "domain-without-https", "malformed-json", "empty-body", "json-array")
	counts := every("kit-parameters/%s-counts-as-missing", "null", "empty-text", "empty-org-code")
	return []Mutant{
		kitCatches("takes everything that is signed", kit(func(c *call) *answer {
			if c.kitTrusted() && c.method == http.MethodPost {
				return success()
			}
			return c.pass()
		}), slices.Concat(needs, looks, counts)...).allowing("kit-signing/replay-*", "kit/unknown-call-*", "kit/one-bad-*", "kit-secret/*"),
		kitCatches("wants no more than it knows", kitRefusing(func(c *call) bool { return c.body["channelCode"] != nil }), "kit-parameters/unknown-parameters-are-ignored").warned(),
		kitCatches("wants users with no more than it knows", kitRefusing(func(c *call) bool { u := c.users(); return len(u) > 0 && u[0]["nickName"] != nil }),
			"kit-parameters/unknown-fields-of-users-are-ignored").warned(),
		kitCatches("calls a missing parameter an internal error", kitAnswer(func(c *call, a *answer) *answer {
			if a.code() == "000002" && c.kitTrusted() {
				return a.set("resultCode", "000005")
			}
			return a
		}), "kit-parameters/missing-parameter-has-its-code").warned(),
		kitCatches("takes GET", kit(func(c *call) *answer {
			if c.method == http.MethodGet {
				c.method = http.MethodPost
			}
			return c.pass()
		}), "kit-parameters/get-is-refused").warned(),
		kitCatches("breaks on a body that is no object", kit(func(c *call) *answer {
			a := c.pass()
			if c.body == nil && !a.ok() {
				a.status, a.raw = http.StatusBadGateway, nil
			}
			return a
		}), "kit-parameters/malformed-json-is-refused", "kit-parameters/empty-body-is-refused", "kit-parameters/json-array-is-refused").warned(),
	}
}

func kitDebugMutants() []Mutant {
	return []Mutant{
		kitCatches("refuses to be debugged", kit(func(c *call) *answer {
			if c.kitDebug() && c.kitTrusted() {
				return reply("000003", "no such enterprise")
			}
			return c.pass()
		}), every("kit-debug/%s-succeeds", "tenant-sync", "application-sync", "all-org-sync", "auth-sync", "single-org-sync")...),
		kitCatches("lets itself be debugged once", kitRemembering(func() behaviour {
			done := map[string]bool{}
			return func(c *call) *answer {
				if c.kitDebug() && done[c.kitKey()] && c.kitTrusted() {
					return reply("000005", "done already")
				}
				done[c.kitKey()] = done[c.kitKey()] || c.kitDebug()
				return c.pass()
			}
		}), "kit-debug/repeat-in-any-order"),
	}
}
