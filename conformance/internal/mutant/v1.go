package mutant

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
	"github.com/isvkit/isvkit/sdk/signature"
)

// isV1 reports whether a call is one of V1, base or kit.
func (c *call) isV1() bool { return c.method == http.MethodGet || c.v1KitName() != "" }

// v1KitName is the kit call of V1 that this is, "" if it is none.
func (c *call) v1KitName() string {
	if _, after, found := strings.Cut(c.url.Path, "/produceAPI/"); found && !strings.HasPrefix(after, "v2/") {
		return after
	}
	return ""
}

func (c *call) q(name string) string { return c.query.Get(name) }

// v1Is reports whether this is a real base call of V1 with this activity.
func (c *call) v1Is(activity string) bool { return c.q("activity") == activity && !c.v1Debug() }

func (c *call) v1Debug() bool { return c.q("testFlag") == "1" }

func v1Of(key string) *signature.V1 {
	v, err := signature.NewV1(signature.V1Config{Keys: []string{key}})
	if err != nil {
		panic(err) // the keys are ours
	}
	return v
}

// v1Right reports whether authToken fits.
func (c *call) v1Right() bool { return c.v1RightWith(c.isv.Keys.V1, c.query) }

func (c *call) v1RightWith(key string, q url.Values) bool {
	_, err := v1Of(key).VerifyQuery(q)
	return err == nil
}

// v1Token is the authToken that the call should have.
func (c *call) v1Token() string {
	token, _ := v1Of(c.isv.Keys.V1).SignQuery(c.query)
	return token
}

// v1Resigned lets the right ISV answer a base call of V1 with a right token.
func (c *call) v1Resigned() *answer {
	if c.q("timeStamp") == "" {
		c.query.Set("timeStamp", "20200101000000000")
	}
	c.query.Del("authToken")
	c.query.Set("authToken", c.v1Token())
	return c.pass()
}

// v1With changes a parameter and signs again; the empty text takes it away.
func (c *call) v1With(name, value string) *answer {
	c.query.Del(name)
	if value != "" {
		c.query.Set(name, value)
	}
	return c.v1Resigned()
}

func (c *call) v1KitResigned() *answer {
	if c.text("timeStamp") == "" && c.body != nil {
		c.body["timeStamp"] = "20200101000000000"
		c.raw, _ = json.Marshal(c.body)
	}
	token, err := v1Of(c.isv.Keys.V1).SignBody(c.raw)
	if err != nil {
		return c.pass()
	}
	c.header.Set("Authtoken", token)
	return c.pass()
}

// v1 makes a mutant of base calls of V1; everything else is right.
func v1(b behaviour) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if c.method != http.MethodGet {
			return c.pass()
		}
		return b(c)
	})
}

// v1Answer changes answers to base calls of V1.
func v1Answer(change func(c *call, a *answer) *answer) func(*ISV) http.Handler {
	return v1(func(c *call) *answer { return change(c, c.pass()) })
}

// v1Reply answers a call by itself, signed like all answers.
func v1Reply(code, msg string) *answer {
	a := reply(code, msg)
	a.header.Set("Body-Sign", "to be signed")
	return a
}

// v1Refusing refuses calls that match, if they are signed rightly.
func v1Refusing(matches func(c *call) bool) func(*ISV) http.Handler {
	return v1(func(c *call) *answer {
		if matches(c) && c.v1Right() {
			return v1Reply("000005", "cannot be done")
		}
		return c.pass()
	})
}

// v1RefusingAgain refuses the second success of the same call. Calls whose key is empty are left alone.
func v1RefusingAgain(activity string, key func(c *call) string) func(*ISV) http.Handler {
	return v1Remembering(func() behaviour {
		done := map[string]bool{}
		return func(c *call) *answer {
			a := c.pass()
			if !c.v1Is(activity) || !a.ok() || key(c) == "" {
				return a
			}
			if done[key(c)] {
				return v1Reply("000005", "done already")
			}
			done[key(c)] = true
			return a
		}
	})
}

// v1Remembering is v1 with a memory of its own for each run. One call is answered at a time.
func v1Remembering(make func() behaviour) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler {
		var mu sync.Mutex
		b := make()
		return v1(func(c *call) *answer {
			mu.Lock()
			defer mu.Unlock()
			return b(c)
		})(isv)
	}
}

func v1Catches(name string, build func(*ISV) http.Handler, caught ...string) Mutant {
	return Mutant{Name: "V1: " + name, Build: build, Caught: caught, With: []string{"upgrade", "kit", "v1"}, Run: []string{"v1*"}}
}

// V1Mutants are wrong in one way each, in what they do with calls of V1.
func V1Mutants() []Mutant {
	return slices.Concat(v1SigningMutants(), v1AnswerMutants(), v1FieldMutants(), v1NewMutants(), v1LifecycleMutants(), v1ParameterMutants(),
		v1DebugMutants(), v1KitMutants())
}

func v1SigningMutants() []Mutant {
	takes := func(when func(c *call) bool) func(*ISV) http.Handler {
		return v1(func(c *call) *answer {
			if when(c) {
				return c.v1Resigned()
			}
			return c.pass()
		})
	}
	refuses := func(when func(c *call) bool) func(*ISV) http.Handler {
		return v1(func(c *call) *answer {
			if when(c) {
				return v1Reply("000001", "authentication failed")
			}
			return c.pass()
		})
	}
	token := func(c *call) string { return strings.ReplaceAll(c.q("authToken"), " ", "+") }
	raw := func(c *call, name string) string {
		_, after, _ := strings.Cut("&"+c.url.RawQuery, "&"+name+"=")
		value, _, _ := strings.Cut(after, "&")
		return value
	}
	return []Mutant{
		v1Catches("does not verify tokens", v1((*call).v1Resigned), append(every("v1-signing/%s-is-refused", "missing-token", "empty-token", "missing-time", "empty-time",
			"changed-token", "truncated-token", "lower-case-token", "text-as-token", "wrong-key", "changed-parameter", "added-parameter", "added-debug-flag"),
			"v1-signing/debug-calls-are-verified-too", "v1-signing/refused-call-has-no-effect")...),
		v1Catches("knows another key", func(isv *ISV) http.Handler {
			h, err := isv.serveWith(isv.Keys.Base, func(cfg *provider.Config) { cfg.V1.Keys = []string{"some-other-key"} })
			if err != nil {
				panic(err)
			}
			return h
		}, "v1-new-instance/period-order-is-accepted").allowing("v1*"),
		v1Catches("refuses right tokens of what it knows", v1RefusingAgain("newInstance", func(c *call) string { return c.q("orderId") + c.q("productId") }),
			"v1-signing/right-token-is-accepted").allowing("v1*"),
		v1Catches("does not decode before signing", refuses(func(c *call) bool { return strings.Contains(c.q("customerName"), "&") }), "v1-signing/decoded-values-are-signed"),
		v1Catches("knows no blank but +", refuses(func(c *call) bool { return strings.Contains(c.url.RawQuery, "%20") }), "v1-signing/percent-twenty-is-a-blank"),
		v1Catches("signs in the order of the query", refuses(func(c *call) bool {
			names := strings.Split(c.url.RawQuery, "&")
			return len(names) > 4 && names[0] > names[1] && names[1] > names[2]
		}), "v1-signing/order-of-parameters-does-not-matter").warned(),
		v1Catches("sorts without regard to case", refuses(func(c *call) bool { return c.q("Zone") != "" }), "v1-signing/names-are-sorted-by-code").warned(),
		v1Catches("takes + for a blank", refuses(func(c *call) bool { return strings.Contains(raw(c, "authToken"), "+") }), "v1-signing/plus-in-the-token-is-accepted").warned(),
		v1Catches("verifies only if there is a token", takes(func(c *call) bool { return token(c) == "" }), "v1-signing/missing-token-is-refused", "v1-signing/empty-token-is-refused"),
		v1Catches("verifies only if there is a time", takes(func(c *call) bool { return c.q("timeStamp") == "" }), "v1-signing/missing-time-is-refused", "v1-signing/empty-time-is-refused"),
		v1Catches("compares what there is of the token", takes(func(c *call) bool {
			t, right := token(c), c.v1Token()
			return len(t) > 20 && right != "" && strings.HasPrefix(right[1:], t[1:])
		}), "v1-signing/changed-token-is-refused", "v1-signing/truncated-token-is-refused").allowing("v1-signing/refusals-*"),
		v1Catches("compares without regard to case", takes(func(c *call) bool { return strings.EqualFold(token(c), c.v1Token()) }), "v1-signing/lower-case-token-is-refused"),
		v1Catches("takes text for a token", takes(func(c *call) bool { return token(c) != "" && len(token(c)) < 20 }), "v1-signing/text-as-token-is-refused"),
		v1Catches("knows the key of somebody else, too", takes(func(c *call) bool { return c.v1RightWith("not-the-key-of-this-isv", c.query) }),
			"v1-signing/wrong-key-is-refused").allowing("v1-signing/debug-*", "v1-signing/refused-*"),
		v1Catches("does not verify debug calls", takes((*call).v1Debug), "v1-signing/debug-calls-are-verified-too").allowing("v1-signing/added-debug-*"),
		v1Catches("signs the parameters that it knows", takes(func(c *call) bool {
			known := url.Values{}
			for name, values := range c.query {
				if name != "trialFlag" && name != "testFlag" {
					known[name] = values
				}
			}
			return !c.v1Right() && c.v1RightWith(c.isv.Keys.V1, known)
		}), "v1-signing/added-parameter-is-refused", "v1-signing/added-debug-flag-is-refused"),
		v1Catches("verifies the first value and takes the last", v1(func(c *call) *answer {
			if ids := c.query["instanceId"]; len(ids) > 1 && c.v1Right() {
				return c.v1With("instanceId", ids[len(ids)-1])
			}
			return c.pass()
		}), "v1-signing/second-value-is-not-acted-upon").warned(),
		v1Catches("acts before it verifies", v1(func(c *call) *answer {
			refusal := c.pass()
			if c.v1Is("releaseInstance") && !c.v1Right() {
				c.v1Resigned()
			}
			return refusal
		}), "v1-signing/refused-call-has-no-effect"),
		v1Catches("has another code for a wrong token", v1Answer(func(_ *call, a *answer) *answer {
			if a.code() == "000001" {
				return a.set("resultCode", "000005")
			}
			return a
		}), "v1-signing/refusals-have-the-right-code").warned(),
		v1Catches("does not work behind a proxy", refuses(func(c *call) bool { return c.header.Get("Via") != "" }), "v1-signing/other-headers-do-not-matter").warned(),
	}
}

func v1AnswerMutants() []Mutant {
	forged := func(forge func(c *call, a *answer)) func(*ISV) http.Handler {
		return v1Answer(func(c *call, a *answer) *answer {
			a.signV1(c.isv.Keys.V1)
			a.forged = true
			forge(c, a)
			return a
		})
	}
	refusal := func(change func(a *answer)) func(*ISV) http.Handler {
		return v1Answer(func(_ *call, a *answer) *answer {
			if a.code() == "000002" {
				change(a)
			}
			return a
		})
	}
	return []Mutant{
		v1Catches("signs no answers", v1Answer(func(_ *call, a *answer) *answer { a.header.Del("Body-Sign"); return a }),
			"v1-answers/body-sign-is-there", "v1-answers/refusals-are-signed-too").allowing("v1-answers/body-sign-*"),
		v1Catches("signs no refusals", v1Answer(func(_ *call, a *answer) *answer {
			if !a.ok() {
				a.header.Del("Body-Sign")
			}
			return a
		}), "v1-answers/refusals-are-signed-too").warned(),
		v1Catches("writes Body-Sign without quotes", forged(func(_ *call, a *answer) {
			a.header.Set("Body-Sign", strings.ReplaceAll(a.header.Get("Body-Sign"), `"`, ""))
		}), "v1-answers/body-sign-is-well-formed"),
		v1Catches("signs answers with the key of the request", forged(func(c *call, a *answer) {
			a.header.Set("Body-Sign", signature.BodySign(c.isv.Keys.V1+c.q("timeStamp"), a.raw))
		}), "v1-answers/body-sign-fits-the-body"),
		v1Catches("writes a line break after signing", forged(func(_ *call, a *answer) { a.raw = append(a.raw, '\n') }), "v1-answers/body-sign-fits-the-body"),
		v1Catches("writes the body anew after signing", forged(func(_ *call, a *answer) {
			var indented bytes.Buffer
			_ = json.Indent(&indented, a.raw, "", "  ")
			a.raw = indented.Bytes()
		}), "v1-answers/body-sign-fits-the-body"),
		v1Catches("signs the empty text", forged(func(c *call, a *answer) { a.header.Set("Body-Sign", signature.BodySign(c.isv.Keys.V1, nil)) }), "v1-answers/body-sign-fits-the-body"),
		v1Catches("answers 201", v1Answer(func(_ *call, a *answer) *answer {
			if a.ok() {
				a.status = http.StatusCreated
			}
			return a
		}), "v1-answers/success-has-status-200"),
		v1Catches("answers 400 to what is wrong", refusal(func(a *answer) { a.status = http.StatusBadRequest }), "v1-answers/refusal-has-status-200"),
		v1Catches("answers text/plain", v1Answer(func(_ *call, a *answer) *answer { a.header.Set("Content-Type", "text/plain"); return a }), "v1-answers/content-type-is-json"),
		v1Catches("answers the code as a number", v1Answer(func(_ *call, a *answer) *answer {
			a.raw = []byte(strings.Replace(string(a.raw), `"resultCode":"`+a.code()+`"`, `"resultCode":`+strings.TrimLeft(a.code()[:5], "0")+a.code()[5:], 1))
			return a
		}), "v1-answers/result-code-is-six-digits-of-text"),
		v1Catches("has the codes of licences", refusal(func(a *answer) { a.set("resultCode", "000901") }), "v1-answers/result-code-is-a-published-one").warned().
			allowing("v1-parameters/missing-parameter-has-its-code", "v1-signing/refusals-*"),
		v1Catches("answers no resultMsg", v1Answer(func(_ *call, a *answer) *answer { return a.set("resultMsg", nil) }), "v1-answers/result-message-is-there").warned(),
		v1Catches("answers long messages", v1Answer(func(_ *call, a *answer) *answer { return a.set("resultMsg", strings.Repeat("sorry ", 50)) }),
			"v1-answers/result-message-is-short-enough"),
	}
}

// appInfo changes the access data in answers to V1.
func appInfo(change func(c *call, a *answer, info object)) func(*ISV) http.Handler {
	return v1Answer(func(c *call, a *answer) *answer {
		if info, ok := a.body["appInfo"].(object); ok {
			change(c, a, info)
			a.write()
		}
		return a.entries(func(e object) {
			if info, ok := e["appInfo"].(object); ok {
				change(c, a, info)
			}
		})
	})
}

// sealed is a field of V1 with always the same IV, and of any length.
func sealed(key string, size secret.FieldSize, plain string) string {
	const iv = "AbCd0123EfGh4567"
	block, err := aes.NewCipher(secret.DeriveKey(key, size))
	if err != nil {
		panic(err) // the size is one of two
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	data := append([]byte(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, []byte(iv)).CryptBlocks(data, data) //nolint:gosec // one of the mutants does so
	return iv + base64.StdEncoding.EncodeToString(data)
}

func v1FieldMutants() []Mutant {
	return []Mutant{
		v1Catches("does not encrypt the user's name", appInfo(func(_ *call, _ *answer, info object) { info["userName"] = "admin" }), "v1-fields/can-be-decrypted"),
		v1Catches("encrypts with 128 bits and says 256", appInfo(func(c *call, _ *answer, info object) {
			info["userName"] = sealed(c.isv.Keys.V1, secret.AES128, "admin")
		}),
			"v1-fields/can-be-decrypted"),
		v1Catches("has a long password", appInfo(func(c *call, _ *answer, info object) {
			info["password"] = sealed(c.isv.Keys.V1, secret.AES256, strings.Repeat("secret", 20))
		}), "v1-fields/are-short-enough"),
		v1Catches("has a name of its own for its encryption", v1Answer(func(_ *call, a *answer) *answer {
			if a.body["encryptType"] == nil {
				return a
			}
			return a.set("encryptType", "AES")
		}), "v1-fields/name-their-encryption"),
		v1Catches("has one IV", appInfo(func(c *call, _ *answer, info object) {
			info["userName"], info["password"] = sealed(c.isv.Keys.V1, secret.AES256, "admin"), sealed(c.isv.Keys.V1, secret.AES256, "first")
		}), "v1-fields/have-an-iv-of-their-own").warned(),
		v1Catches("writes memo as it is", v1Answer(func(c *call, a *answer) *answer {
			if bytes.Contains(a.raw, []byte(`\u`)) {
				a.write()
				a.header.Set("Body-Sign", signature.BodySign(c.isv.Keys.V1, a.raw))
				a.forged = true
			}
			return a
		}), "v1-fields/memo-is-ascii"),
		v1Catches("takes no contact data", v1Refusing(func(c *call) bool { return c.q("mobilePhone") != "" }), "v1-fields/contact-data-are-accepted"),
	}
}

func v1NewMutants() []Mutant {
	refusal := func(mode, name string) Mutant {
		return v1Catches("refuses "+name+" orders", v1Refusing(func(c *call) bool { return c.v1Is("newInstance") && c.q("chargingMode") == mode }),
			"v1-new-instance/"+name+"-order-is-accepted").allowing("v1*")
	}
	return []Mutant{
		refusal("1", "period"), refusal("3", "one-time"), refusal("0", "on-demand"), refusal("5", "package"),
		v1Catches("answers appInfo without frontEndUrl", appInfo(func(_ *call, _ *answer, info object) { delete(info, "frontEndUrl") }), "v1-new-instance/answer-is-well-formed"),
		v1Catches("answers no appInfo", v1Answer(func(_ *call, a *answer) *answer { return a.set("appInfo", nil) }), "v1-new-instance/app-info-is-there").warned(),
		v1Catches("answers the businessId as the id of a repeat", v1Remembering(func() behaviour {
			seen := map[string]bool{}
			return func(c *call) *answer {
				a := c.pass()
				if key := c.q("orderId") + c.q("productId"); c.v1Is("newInstance") && a.ok() {
					if seen[key] {
						return a.set("instanceId", c.q("businessId"))
					}
					seen[key] = true
				}
				return a
			}
		}), "v1-new-instance/repeat-gets-the-same-instance", "v1-new-instance/overlapping-repeats-get-the-same-instance"),
		v1Catches("answers the access data once", v1Remembering(func() behaviour {
			seen := map[string]bool{}
			return func(c *call) *answer {
				a := c.pass()
				if key := c.q("orderId") + c.q("productId"); c.v1Is("newInstance") && a.ok() {
					if seen[key] {
						return a.set("appInfo", nil)
					}
					seen[key] = true
				}
				return a
			}
		}), "v1-new-instance/repeat-gets-the-access-data-again").warned(),
		v1Catches("keeps one instance", app(func(a *App) { a.ID = func(provider.NewInstance) string { return "the-only-one" } }),
			"v1-new-instance/orders-get-different-instances").allowing("v1*"),
		v1Catches("keeps one instance per order", app(func(a *App) {
			a.ID = func(call provider.NewInstance) string { return "order-" + call.OrderID }
		}), "v1-new-instance/products-of-an-order-get-different-instances").warned(),
		v1Catches("cannot read what the buyer entered", v1Refusing(func(c *call) bool { return c.q("saasExtendParams") != "" }), "v1-new-instance/buyers-input-is-accepted"),
		v1Catches("wants an amount", v1Refusing(func(c *call) bool { return c.v1Is("newInstance") && c.q("amount") == "" }),
			"v1-new-instance/optional-parameters-are-optional").warned(),
	}
}

func v1LifecycleMutants() []Mutant {
	activity := func(name string) func(c *call) bool { return func(c *call) bool { return c.v1Is(name) } }
	with := func(name, param string, matches func(value string) bool) func(c *call) bool {
		return func(c *call) bool { return c.v1Is(name) && matches(c.q(param)) }
	}
	there := func(v string) bool { return v != "" }
	equals := func(want string) func(string) bool { return func(v string) bool { return v == want } }
	same := func(c *call) string { return c.q("instanceId") + c.q("orderId") + c.q("instanceStatus") }
	return []Mutant{
		v1Catches("refuses renewals", v1Refusing(activity("refreshInstance")), "v1-refresh-instance/renewal-succeeds").allowing("v1*"),
		v1Catches("does not know trialToFormal", v1Refusing(with("refreshInstance", "trialToFormal", there)), "v1-refresh-instance/trial-to-formal-succeeds"),
		v1Catches("refuses negative amounts", v1Refusing(with("refreshInstance", "orderAmount", func(v string) bool { return strings.HasPrefix(v, "-") })),
			"v1-refresh-instance/cancelled-renewal-succeeds"),
		v1Catches("refuses renewals with another product", v1Refusing(with("refreshInstance", "productId", there)), "v1-refresh-instance/other-product-is-accepted"),
		v1Catches("refuses a repeated renewal", v1RefusingAgain("refreshInstance", same), "v1-refresh-instance/repeat-succeeds").warned(),
		v1Catches("refuses expiries", v1Refusing(activity("expireInstance")), "v1-expire-instance/succeeds").allowing("v1-expire-instance/*"),
		v1Catches("refuses a repeated expiry", v1RefusingAgain("expireInstance", same), "v1-expire-instance/repeat-succeeds"),
		v1Catches("forgets what has expired", v1Remembering(func() behaviour {
			expired := map[string]bool{}
			return func(c *call) *answer {
				if c.v1Is("refreshInstance") && expired[c.q("instanceId")] && c.v1Right() {
					return v1Reply("000003", "no such instance")
				}
				a := c.pass()
				if c.v1Is("expireInstance") && a.ok() {
					expired[c.q("instanceId")] = true
				}
				return a
			}
		}), "v1-expire-instance/expired-instance-can-be-renewed"),
		v1Catches("wants UNFREEZE", v1Refusing(with("instanceStatus", "instanceStatus", equals("NORMAL"))), "v1-instance-status/freeze-and-normal-succeed"),
		v1Catches("refuses a repeated FREEZE", v1RefusingAgain("instanceStatus", func(c *call) string {
			if c.q("instanceStatus") == "FREEZE" {
				return c.q("instanceId")
			}
			return "" // takes part in nothing
		}), "v1-instance-status/freeze-repeats").warned(),
		v1Catches("refuses a repeated NORMAL", v1RefusingAgain("instanceStatus", func(c *call) string {
			if c.q("instanceStatus") == "NORMAL" {
				return c.q("instanceId")
			}
			return "" // takes part in nothing
		}), "v1-instance-status/normal-repeats").warned(),
		v1Catches("confirms calls for what it does not know", v1Answer(func(c *call, a *answer) *answer {
			if a.code() == "000003" && !c.v1Is("queryInstance") {
				return a.set("resultCode", "000000")
			}
			return a
		}), every("v1-%s/unknown-instance-is-refused", "refresh-instance", "expire-instance", "instance-status", "upgrade")...).
			allowing("v1-signing/second-value-*", "v1-release-instance/only-*"),
		v1Catches("calls an unknown instance an internal error", v1Answer(func(_ *call, a *answer) *answer {
			if a.code() == "000003" {
				return a.set("resultCode", "000005")
			}
			return a
		}), "v1-refresh-instance/unknown-instance-has-its-code").warned(),
		v1Catches("refuses releases", v1Refusing(activity("releaseInstance")), "v1-release-instance/succeeds").allowing("v1-release-instance/*"),
		v1Catches("refuses releases with an amount", v1Refusing(with("releaseInstance", "orderAmount", there)), "v1-release-instance/amount-is-accepted"),
		v1Catches("refuses a repeated release", v1RefusingAgain("releaseInstance", same), "v1-release-instance/repeat-is-confirmed"),
		v1Catches("releases everything of a buyer", v1Answer(func(c *call, a *answer) *answer {
			if c.v1Is("releaseInstance") && a.ok() { // every buyer of a run has one name
				c.isv.App.mu.Lock()
				defer c.isv.App.mu.Unlock()
				clear(c.isv.App.instances)
			}
			return a
		}), "v1-release-instance/only-the-named-instance-is-released").allowing("v1*"),
		v1Catches("refuses upgrades", v1Refusing(activity("upgrade")), "v1-upgrade/succeeds"),
		v1Catches("refuses a repeated upgrade", v1RefusingAgain("upgrade", same), "v1-upgrade/repeat-succeeds"),
		v1Catches("renames what it upgrades", app(func(a *App) { a.upgradeRenames = true }), "v1-upgrade/keeps-the-instance-id").allowing("v1-upgrade/repeat-succeeds"),
		v1Catches("refuses queries", v1Refusing(activity("queryInstance")), "v1-query-instance/instance-is-answered").allowing("v1*"),
		v1Catches("answers the first of several instances", v1Answer(func(_ *call, a *answer) *answer {
			if list, ok := a.body["info"].([]any); ok && len(list) > 1 {
				return a.set("info", list[:1])
			}
			return a
		}), "v1-query-instance/several-instances-are-answered"),
		v1Catches("shows no usage", v1Answer(func(_ *call, a *answer) *answer { return a.entries(func(e object) { delete(e, "usageInfo") }) }), "v1-query-instance/usage-is-shown"),
		v1Catches("shows usage without a time", v1Answer(func(_ *call, a *answer) *answer {
			return a.entries(func(e object) {
				if list, ok := e["usageInfo"].([]any); ok {
					delete(list[0].(object), "statisticalTime") //nolint:forcetypeassert // the right ISV shows one
				}
			})
		}), "v1-query-instance/usage-is-shown"),
		v1Catches("answers unknown instances as open", v1Answer(func(c *call, a *answer) *answer {
			if c.v1Is("queryInstance") && a.code() == "000003" {
				return v1Reply("000000", "success").set("info", []any{object{"instanceId": c.q("instanceId"), "appInfo": object{"frontEndUrl": "https://app.example.com"}}})
			}
			return a
		}), "v1-query-instance/unknown-instance-has-no-entry").warned(),
	}
}

func v1ParameterMutants() []Mutant {
	var caught []string
	for slug, names := range map[string]string{
		"new-instance": "order-id business-id customer-id", "refresh-instance": "instance-id expire-time order-id", "expire-instance": "instance-id order-id",
		"release-instance": "instance-id order-id", "instance-status": "instance-id instance-status", "query-instance": "instance-id",
		"upgrade": "instance-id order-id sku-code product-id",
	} {
		caught = append(caught, every("v1-parameters/"+slug+"-needs-%s", strings.Fields(names)...)...)
	}
	caught = append(caught, every("v1-parameters/%s-is-refused", "over-long-order-id", "unknown-charging-mode", "unknown-status", "text-as-expiry", "unknown-activity", "missing-activity")...)
	return []Mutant{
		v1Catches("confirms whatever is signed", v1Answer(func(c *call, a *answer) *answer {
			if a.code() == "000002" && c.v1Right() {
				return a.set("resultCode", "000000")
			}
			return a
		}), append(caught, "v1-parameters/empty-order-counts-as-missing")...),
		v1Catches("wants no more than it knows", v1Refusing(func(c *call) bool { return c.q("channelCode") != "" }), "v1-parameters/unknown-parameters-are-ignored").warned(),
		v1Catches("calls a missing parameter an internal error", v1Answer(func(c *call, a *answer) *answer {
			if a.code() == "000002" && c.v1Right() {
				return a.set("resultCode", "000005")
			}
			return a
		}), "v1-parameters/missing-parameter-has-its-code").warned(),
	}
}

func v1DebugMutants() []Mutant {
	return []Mutant{
		v1Catches("refuses to be debugged", v1(func(c *call) *answer {
			if c.v1Debug() && c.v1Right() {
				return v1Reply("000003", "no such instance")
			}
			return c.pass()
		}), every("v1-debug/%s-succeeds", "new-instance", "refresh-instance", "expire-instance", "release-instance", "instance-status", "query-instance", "upgrade")...),
		v1Catches("lets itself be debugged once", v1Remembering(func() behaviour {
			done := map[string]bool{}
			return func(c *call) *answer {
				key := c.q("activity") + c.q("instanceId") + c.q("orderId") + c.q("instanceStatus")
				if c.v1Debug() && done[key] && c.v1Right() {
					return v1Reply("000005", "done already")
				}
				done[key] = done[key] || c.v1Debug()
				return c.pass()
			}
		}), "v1-debug/repeat-in-any-order"),
		v1Catches("releases for a debug call", v1(func(c *call) *answer {
			if c.v1Debug() && c.q("activity") == "releaseInstance" && c.v1Right() && c.isv.App.known(c.q("instanceId")) {
				return c.v1With("testFlag", "")
			}
			return c.pass()
		}), "v1-debug/release-spares-a-real-instance"),
		v1Catches("keeps what it is debugged with", v1Remembering(func() behaviour {
			orders := map[string]bool{}
			return func(c *call) *answer {
				a := c.pass()
				if c.q("activity") == "newInstance" && a.ok() {
					if !c.v1Debug() && orders[c.q("orderId")] {
						return a.set("instanceId", "debug-"+c.q("orderId"))
					}
					orders[c.q("orderId")] = orders[c.q("orderId")] || c.v1Debug()
				}
				return a
			}
		}), "v1-debug/new-instance-leaves-the-order-free"),
		v1Catches("takes testFlag 0 for a debug call", v1(func(c *call) *answer {
			if c.q("testFlag") == "0" && c.v1Right() {
				return c.v1With("testFlag", "1")
			}
			return c.pass()
		}), "v1-debug/test-flag-zero-is-a-real-call"),
	}
}

// v1KitMutants do with the kit calls of V1 what kitCallMutants do with those of V2.
func v1KitMutants() []Mutant {
	// V1 does not have these.
	only2 := []string{
		"kit/tenant-modify-succeeds", "kit/application-modify-succeeds", "kit/authorisation-can-be-taken-back", "kit/users-as-text-are-taken",
		"kit/departments-as-text-are-taken", "kit/unknown-call-is-refused",
	}
	as := func(build func(*ISV) http.Handler) func(*ISV) http.Handler {
		return func(isv *ISV) http.Handler {
			isv.kitV1 = true
			return build(isv)
		}
	}
	catches := func(name string, build func(*ISV) http.Handler, caught ...string) Mutant {
		return Mutant{Name: "V1 kit: " + name, Build: as(build), Caught: caught, With: []string{"kit", "v1"}, Run: []string{"v1-kit*"}}
	}
	var mutants []Mutant
	for _, m := range kitCallMutants() {
		if slices.ContainsFunc(m.Caught, func(id string) bool { return slices.Contains(only2, id) }) {
			continue
		}
		caught := make([]string, len(m.Caught))
		for n, id := range m.Caught {
			caught[n] = "v1-" + id
		}
		other := catches(strings.TrimPrefix(m.Name, "kit: "), m.Build, caught...)
		other.Warned, other.Allowed = m.Warned, []string{"v1-kit-signing/*", "v1-kit-answers/*"}
		for _, pattern := range m.Allowed {
			other.Allowed = append(other.Allowed, "v1-"+pattern)
		}
		mutants = append(mutants, other)
	}
	return append(mutants,
		catches("does not verify tokens", kit((*call).v1KitResigned), every("v1-kit-signing/%s-is-refused", "missing-token", "empty-token", "missing-time", "changed-token", "wrong-key",
			"changed-body")...),
		catches("refuses what it is told before there is an instance", kitRefusing(func(c *call) bool { return c.text("instanceId") == "" }),
			"v1-kit-signing/right-token-is-accepted", "v1-kit/application-for-a-credential-succeeds").allowing("v1-kit-answers/*"),
		catches("signs no answers", kitAnswer(func(_ *call, a *answer) *answer { a.header.Del("Body-Sign"); return a }), "v1-kit-answers/body-sign-is-right"),
		catches("refuses to be debugged", kit(func(c *call) *answer {
			if c.kitDebug() && c.kitTrusted() {
				return v1Reply("000003", "no such enterprise")
			}
			return c.pass()
		}), "v1-kit-debug/calls-succeed"),
	)
}
