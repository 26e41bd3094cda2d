package suite

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sdk/secret"
	"github.com/isvkit/isvkit/sdk/signature"
)

var byUse = []string{OnDemand, Package}

// v1Checks judge the access interface V1.0. No freshness is judged, because none is published; the case of the name Body-Sign is not, because
// HTTP clients do not keep it.
func v1Checks() []Check {
	checks := slices.Concat(v1SigningChecks(), shapeChecks("v1-answers", V1, v1Tour, slices.Concat(answerShapes("V1 calls", publishedInV1), bodySignShapes())),
		v1FieldChecks(), v1NewChecks(), v1LifecycleChecks(), v1ParameterChecks(), v1DebugChecks())
	for n := range checks {
		checks[n].Capability = V1
	}
	return slices.Concat(checks, v1KitChecks())
}

func publishedInV1(code string) bool { return published(code) && !strings.HasPrefix(code, "0009") }

// v1Refused is a check that a repeat of the shared newInstance, which would succeed, is refused when it is varied so.
func v1Refused(id, requirement, title, what string, variation curl.Variation) Check {
	return Check{ID: id, Requirement: requirement, Title: title, Run: func(ctx context.Context, c *Case) {
		c.WantRefused(what, c.SendV1(ctx, c.again(c.v1Shared(ctx).call), variation))
	}}
}

// v1Taken is a check that a repeat of the shared newInstance succeeds when it is written in a less usual way.
func v1Taken(id, requirement, title, what string, change func(Params) Params, variation curl.Variation) Check {
	return Check{ID: id, Requirement: requirement, Title: title, Run: func(ctx context.Context, c *Case) {
		c.WantSuccess(what, c.SendV1(ctx, change(c.again(c.v1Shared(ctx).call)), variation))
	}}
}

func unchanged(p Params) Params { return p }

func v1SigningChecks() []Check {
	return []Check{
		v1Taken("v1-signing/right-token-is-accepted", "V1-1", "A call with a right authToken is accepted", "V1 newInstance with a right authToken", unchanged, curl.Variation{}),
		v1Taken("v1-signing/decoded-values-are-signed", "V1-2", "Values that are escaped in the query are signed as they are without escapes",
			"V1 newInstance with the customerName 张三 & Söhne=1+1", func(p Params) Params { return p.With("customerName", "张三 & Söhne=1+1/2") }, curl.Variation{}),
		{
			ID: "v1-signing/percent-twenty-is-a-blank", Requirement: "V1-2", Title: "A blank that is written %20 is signed like one that is written +",
			Run: func(ctx context.Context, c *Case) {
				r := c.env.v1Request(c.again(c.v1Shared(ctx).call).With("customerName", "Conformance Buyer Inc"))
				r.URL = strings.ReplaceAll(r.URL, "+", "%20")
				c.WantSuccess("V1 newInstance with blanks written as %20", c.SendRequest(ctx, "V1 newInstance", r))
			},
		},
		{
			ID: "v1-signing/order-of-parameters-does-not-matter", Requirement: "V1-3", Title: "The parameters may come in another order than they are signed in",
			Run: func(ctx context.Context, c *Case) {
				p := c.again(c.v1Shared(ctx).call)
				pairs := strings.Split(p.Query(), "&")
				slices.Reverse(pairs)
				r := c.env.v1Request(p)
				r.URL = curl.Join(c.env.Target, strings.Join(pairs, "&"))
				c.WantSuccess("V1 newInstance with its parameters from Z to A", c.SendRequest(ctx, "V1 newInstance", r))
			},
		},
		v1Taken("v1-signing/names-are-sorted-by-code", "V1-3", "Upper-case names are signed before lower-case ones", "V1 newInstance with the additional parameter Zone",
			func(p Params) Params { return p.With("Zone", "cn-north-4") }, curl.Variation{}),
		v1Taken("v1-signing/plus-in-the-token-is-accepted", "V1-4", "An authToken whose + is not escaped is accepted", "V1 newInstance with a + in authToken that is not escaped",
			unchanged, curl.Variation{RawToken: true}),
		v1Refused("v1-signing/missing-token-is-refused", "V1-5", "A call without authToken is refused", "V1 newInstance without authToken", curl.Variation{Without: []string{"signature"}}),
		v1Refused("v1-signing/empty-token-is-refused", "V1-5", "A call with an empty authToken is refused", "V1 newInstance with an empty authToken",
			curl.Variation{Empty: []string{"signature"}}),
		v1Refused("v1-signing/missing-time-is-refused", "V1-5", "A call without timeStamp is refused", "V1 newInstance without timeStamp", curl.Variation{Without: []string{"timestamp"}}),
		v1Refused("v1-signing/empty-time-is-refused", "V1-5", "A call with an empty timeStamp is refused", "V1 newInstance with an empty timeStamp",
			curl.Variation{Empty: []string{"timestamp"}}),
		v1Refused("v1-signing/changed-token-is-refused", "V1-6", "An authToken with one character changed is refused", "V1 newInstance with one character of authToken changed",
			curl.Variation{Signature: curl.LastDigit}),
		v1Refused("v1-signing/truncated-token-is-refused", "V1-6", "An authToken whose end is missing is refused", "V1 newInstance with a truncated authToken",
			curl.Variation{Signature: curl.OneShort}),
		v1Refused("v1-signing/lower-case-token-is-refused", "V1-6", "An authToken in lower case is refused", "V1 newInstance with authToken in lower case",
			curl.Variation{Signature: curl.LowerCase}),
		v1Refused("v1-signing/text-as-token-is-refused", "V1-6", "Text that is no authToken at all is refused", "V1 newInstance with text for authToken",
			curl.Variation{Signature: curl.NotHex}),
		v1Refused("v1-signing/wrong-key-is-refused", "V1-6", "A call that is signed with another key is refused", "V1 newInstance signed with another key",
			curl.Variation{Key: "not-the-key-of-this-isv"}),
		{
			ID: "v1-signing/debug-calls-are-verified-too", Requirement: "V1-6", Title: "A debug call with a wrong authToken is refused",
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("V1 debug newInstance signed with another key", c.SendV1(ctx, c.madeUp().call.Debug(), curl.Variation{Key: "not-the-key-of-this-isv"}))
			},
		},
		{
			ID: "v1-signing/changed-parameter-is-refused", Requirement: "V1-7", Title: "A call that names another order than the signed one is refused",
			Run: func(ctx context.Context, c *Case) {
				p := c.again(c.v1Shared(ctx).call)
				c.WantRefused("V1 newInstance with an authToken over another order", c.SendV1(ctx, p, curl.Variation{Signed: p.With("orderId", c.ids.orderID()).Query()}))
			},
		},
		v1Refused("v1-signing/added-parameter-is-refused", "V1-7", "A call with a parameter that the token does not cover is refused", "V1 newInstance with trialFlag=1 added after signing",
			curl.Variation{After: "trialFlag=1"}),
		{
			ID: "v1-signing/added-debug-flag-is-refused", Requirement: "V1-7", Title: "A call that was made a debug call after signing is refused",
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("V1 newInstance with testFlag=1 added after signing", c.SendV1(ctx, c.again(c.v1Shared(ctx).call), curl.Variation{After: "testFlag=1"}))
			},
		},
		{
			ID: "v1-signing/second-value-is-not-acted-upon", Requirement: "V1-8", Title: "Of an instanceId that stands twice the unsigned one is not released",
			Charging: []string{Period, OnDemand, Package},
			Run: func(ctx context.Context, c *Case) {
				signed, unsigned := c.v1Open(ctx), c.v1Open(ctx)
				c.SendV1(ctx, v1Release(signed), curl.Variation{After: "instanceId=" + unsigned.ID})
				c.v1StillThere(ctx, "a release that names it in a second instanceId, which is not signed,", unsigned)
			},
		},
		{
			ID: "v1-signing/refused-call-has-no-effect", Requirement: "V1-9", Title: "A release with a wrong authToken releases nothing",
			Charging: []string{Period, OnDemand, Package},
			Run: func(ctx context.Context, c *Case) {
				i := c.v1Open(ctx)
				c.SendV1(ctx, v1Release(i), curl.Variation{Key: "not-the-key-of-this-isv"})
				c.v1StillThere(ctx, "a release with a wrong authToken", i)
			},
		},
		{
			ID: "v1-signing/refusals-have-the-right-code", Requirement: "V1-10", Title: "A refused authToken has result code 000001, a missing timeStamp 000001 or 000002",
			Run: func(ctx context.Context, c *Case) {
				p := c.again(c.v1Shared(ctx).call)
				for _, v := range []struct {
					what  string
					how   curl.Variation
					codes []string
				}{
					{"a wrong authToken", curl.Variation{Signature: curl.LastDigit}, []string{"000001"}},
					{"no authToken", curl.Variation{Without: []string{"signature"}}, []string{"000001", "000002"}},
					{"no timeStamp", curl.Variation{Without: []string{"timestamp"}}, []string{"000001", "000002"}},
				} {
					if a := c.SendV1(ctx, p, v.how); a.Refused() && a.Status == 200 { // success and status are judged elsewhere
						c.WantCode("V1 newInstance with "+v.what, a, v.codes...)
					}
				}
			},
		},
		v1Taken("v1-signing/other-headers-do-not-matter", "SIG-13", "A V1 call with additional headers, as proxies add them, is accepted", "V1 newInstance with additional headers",
			unchanged, curl.Variation{Header: []string{"X-Forwarded-For: 203.0.113.7", "Via: 1.1 proxy.example.com"}}),
	}
}

// ---- Body-Sign ------------------------------------------------------------------------------------------------------------

func bodySignShapes() []shape {
	verdict := func(s stop) (signature.Kind, string) {
		err := signature.VerifyBodySign([]string{s.key}, s.answer.Header.Get("Body-Sign"), s.answer.Body)
		var fault *signature.Error
		if !errors.As(err, &fault) {
			return 0, ""
		}
		return fault.Kind, fault.Detail
	}
	signedStop := func(s stop) bool { return s.answer.Header.Get("Body-Sign") != "" }
	return []shape{
		{"body-sign-is-there", "V1-20", "Every successful answer has the header Body-Sign", successStop, func(s stop) string {
			if signedStop(s) {
				return ""
			}
			return "expected the header Body-Sign, got none"
		}},
		{
			"refusals-are-signed-too", "V1-21", "Refusals have the header Body-Sign, too", func(s stop) bool { return refusalStop(s) && !s.fault && s.answer.Status == 200 },
			func(s stop) string {
				if signedStop(s) {
					return ""
				}
				return "expected the header Body-Sign, got none"
			},
		},
		{"body-sign-is-well-formed", "V1-22", "Body-Sign has sign_type and signature, both in double quotes", signedStop, func(s stop) string {
			if kind, detail := verdict(s); kind == signature.KindMalformed || kind == signature.KindMissing {
				return `expected Body-Sign of the form sign_type="HMAC-SHA256", signature="…", got one that is not: ` + detail
			}
			return ""
		}},
		{"body-sign-fits-the-body", "V1-23", "Body-Sign is right for the very bytes of the answer", signedStop, func(s stop) string {
			if kind, _ := verdict(s); kind == signature.KindMismatch {
				return "expected a Body-Sign over the bytes of the answer with the access key, got another one" + bodySignMistake(s)
			}
			return ""
		}},
	}
}

// bodySignMistake tells the mistakes that are made most often, "" if it is none of them.
func bodySignMistake(s stop) string {
	header := s.answer.Header.Get("Body-Sign")
	fits := func(key string, body []byte) bool {
		return key != "" && signature.VerifyBodySign([]string{key}, header, body) == nil
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, s.answer.Body)
	var fields map[string]any
	_ = json.Unmarshal(s.answer.Body, &fields)
	sorted, _ := json.Marshal(fields)
	switch {
	case fits(s.key+timeStampOf(s.answer), s.answer.Body):
		return "; it is made with the key of the request, which has the timeStamp behind it"
	case fits(s.key, bytes.TrimSpace(s.answer.Body)), fits(s.key, append(slices.Clone(s.answer.Body), '\n')):
		return "; it is made over a body with other blanks or line breaks at its end"
	case fits(s.key, compact.Bytes()), fits(s.key, sorted):
		return "; it is made over the body as it was before it was written another way"
	case fits(s.key, nil):
		return "; it is made over an empty body"
	}
	return ""
}

// ---- encrypted fields ---------------------------------------------------------------------------------------------------

// v1Answers looks at the access data of a new instance, and of a query where the mode has one.
func v1Answers(ctx context.Context, c *Case) []*Answer {
	i := c.v1Open(ctx)
	answers := []*Answer{i.New}
	if c.Mode == OnDemand || c.Mode == Package {
		answers = append(answers, c.SendV1(ctx, v1Query(i.ID)))
	}
	return answers
}

func v1FieldChecks() []Check {
	// field expects something of userName and password where they are given.
	field := func(id, requirement, title string, look func(c *Case, a *Answer, name, value string) string) Check {
		return Check{ID: id, Requirement: requirement, Title: title, Run: func(ctx context.Context, c *Case) {
			looked := 0
			for _, a := range v1Answers(ctx, c) {
				for _, info := range appInfos(a) {
					for _, name := range []string{"userName", "password"} {
						value := text(info[name])
						if value == "" {
							continue
						}
						looked++
						if problem := look(c, a, name, value); problem != "" {
							c.Errorf("appInfo.%s: %s", name, problem)
						}
					}
				}
			}
			if looked == 0 {
				c.Skipf("no answer has a userName or a password")
			}
		}}
	}
	return []Check{
		field("v1-fields/can-be-decrypted", "V1-30", "userName and password of answers can be decrypted with the access key", func(c *Case, a *Answer, _, value string) string {
			size, ok := fieldSize(a)
			if !ok {
				return "" // judged elsewhere
			}
			if _, err := c.v1Fields(size).Decrypt(value); err == nil {
				return ""
			}
			other := secret.AES128 + secret.AES256 - size
			if _, err := c.v1Fields(other).Decrypt(value); err == nil {
				return fmt.Sprintf("expected %v, as encryptType says, got %v", size, other)
			}
			return fmt.Sprintf("expected text encrypted with %v and the access key, got something else", size)
		}),
		field("v1-fields/are-short-enough", "V1-31", "Encrypted userName and password have at most 128 characters", func(_ *Case, _ *Answer, _, value string) string {
			if n := runes(value); n > 128 {
				return fmt.Sprintf("expected at most 128 characters, IV included, got %d", n)
			}
			return ""
		}),
		field("v1-fields/name-their-encryption", "V1-32", "encryptType is 1 or 2, or absent for the default", func(_ *Case, a *Answer, _, _ string) string {
			if _, ok := fieldSize(a); !ok {
				return fmt.Sprintf(`expected encryptType "1" (AES-256) or "2" (AES-128), got %s`, shorten(a.Fields["encryptType"]))
			}
			return ""
		}),
		field("v1-fields/have-an-iv-of-their-own", "V1-33", "userName and password are encrypted with different IVs", func(_ *Case, a *Answer, name, value string) string {
			for _, info := range appInfos(a) {
				other := text(info["userName"])
				if name == "password" && len(other) > 16 && len(value) > 16 && other[:16] == value[:16] {
					return "expected an IV of its own, got that of userName"
				}
			}
			return ""
		}),
		{
			ID: "v1-fields/memo-is-ascii", Requirement: "V1-34", Title: "What is not ASCII in memo is written as \\uXXXX",
			Run: func(ctx context.Context, c *Case) {
				looked := 0
				for _, a := range v1Answers(ctx, c) {
					for _, info := range appInfos(a) {
						if info["memo"] == nil {
							continue
						}
						looked++
						if bytes.ContainsFunc(info["memo"], func(r rune) bool { return r > 0x7f }) {
							c.Errorf("appInfo.memo: expected \\uXXXX for what is not ASCII, got %s", shorten(info["memo"]))
						}
					}
				}
				if looked == 0 {
					c.Skipf("no answer has a memo")
				}
			},
		},
		{
			ID: "v1-fields/contact-data-are-accepted", Requirement: "V1-35", Title: "newInstance with an encrypted mobilePhone and email succeeds",
			Run: func(ctx context.Context, c *Case) {
				// A call does not say how its fields are encrypted: the seller chose it in the console.
				var refusals []string
				for _, size := range []secret.FieldSize{secret.AES256, secret.AES128} {
					order := c.Order(ctx, marketplaceapi.OrderNew, 1)
					p := c.v1NewInstance(order).With("mobilePhone", c.seal(size, fmt.Sprintf("138%08d", binary.BigEndian.Uint32(c.ids.bytes(4))%100_000_000))).
						With("email", c.seal(size, "b"+c.ids.hex(6)+"@example.com"))
					a := c.SendV1(ctx, p)
					if a.Succeeded() || a.InProgress() {
						_ = c.env.Market.RegisterInstance(ctx, order.OrderLine[0].OrderLineID, a.InstanceID)
						return
					}
					refusals = append(refusals, fmt.Sprintf("%v with %v", a, size))
				}
				c.Errorf("V1 newInstance with mobilePhone and email: expected 000000 or 000004 with one of the two encryptions, got %s", strings.Join(refusals, ", "))
			},
		},
	}
}

// seal encrypts a field of a call.
func (c *Case) seal(size secret.FieldSize, plain string) string {
	text, err := c.v1Fields(size).Encrypt(plain)
	if err != nil {
		c.abort("%v", err)
	}
	return text
}

// ---- newInstance --------------------------------------------------------------------------------------------------------

func v1NewChecks() []Check {
	return slices.Concat(
		perMode(Modes(), "v1-new-instance/%s-order-is-accepted", "V1-40", "newInstance for a paid %s order succeeds, at once or when it is made again", func(ctx context.Context, c *Case) {
			order := c.Order(ctx, marketplaceapi.OrderNew, 1)
			c.v1New(ctx, order, c.v1NewInstance(order))
		}),
		[]Check{
			{
				ID: "v1-new-instance/answer-is-well-formed", Requirement: "V1-41", Title: "The answer to newInstance has an instanceId and fields as the contract says",
				Run: func(ctx context.Context, c *Case) {
					schema, err := contract.ProviderV1().Answer("newInstance")
					if err != nil {
						c.abort("%v", err)
					}
					// What it says about the result code, the message and the encryption is judged elsewhere.
					for _, v := range schema.Violations(c.v1Open(ctx).New.Body) {
						if strings.Contains(v, "appInfo") && !strings.Contains(v, "userName") && !strings.Contains(v, "password") || strings.Contains(v, "instanceId") {
							c.Errorf("answer to V1 newInstance: expected it as the contract says, got %s", v)
						}
					}
				},
			},
			{
				ID: "v1-new-instance/app-info-is-there", Requirement: "V1-42", Title: "The answer to newInstance has appInfo with a frontEndUrl",
				Run: func(ctx context.Context, c *Case) {
					if i := c.v1Open(ctx); len(appInfos(i.New)) == 0 {
						c.Errorf("V1 newInstance: expected appInfo, got none")
					}
				},
			},
			{
				ID: "v1-new-instance/repeat-gets-the-same-instance", Requirement: "V1-43", Title: "A repeat with another businessId gets the same instanceId",
				Run: func(ctx context.Context, c *Case) {
					i := c.v1Open(ctx)
					for n := range 2 {
						a := c.SendV1(ctx, c.again(i.call))
						what := fmt.Sprintf("V1 newInstance for the same order, repeat %d", n+1)
						switch {
						case !a.Succeeded() && !a.InProgress():
							c.Errorf("%s: expected 000000 with instanceId %q, got %v", what, i.ID, a)
						case a.InstanceID != i.ID:
							c.Errorf("%s: expected instanceId %q, got %q", what, i.ID, a.InstanceID)
						}
					}
				},
			},
			{
				ID: "v1-new-instance/overlapping-repeats-get-the-same-instance", Requirement: "V1-43", Title: "Repeats that arrive at the same time get the same instanceId",
				Run: func(ctx context.Context, c *Case) {
					p := c.v1NewInstance(c.Order(ctx, marketplaceapi.OrderNew, 1))
					var requests []curl.Request
					for range 6 {
						requests = append(requests, c.env.v1Request(c.again(p)))
					}
					ids := map[string]int{}
					for _, a := range c.SendTogether(ctx, "V1 newInstance", requests) {
						if (a.Succeeded() || a.InProgress()) && a.InstanceID != "" { // a refused repeat is sent again later, which does no harm
							ids[a.InstanceID]++
						}
					}
					if len(ids) == 0 {
						c.Skipf("none of the calls was accepted")
					}
					if len(ids) > 1 {
						c.Errorf("V1 newInstance, 6 times together for one order: expected one instanceId, got %d: %s", len(ids), keys(ids))
					}
				},
			},
			{
				ID: "v1-new-instance/repeat-gets-the-access-data-again", Requirement: "V1-44", Title: "A repeat is answered with appInfo again, as for a buyer who looks at the details",
				Run: func(ctx context.Context, c *Case) {
					i := c.v1Open(ctx)
					first := appInfos(i.New)
					if len(first) == 0 {
						c.Skipf("the answer to newInstance has no appInfo")
					}
					a := c.SendV1(ctx, c.again(i.call))
					if again := appInfos(a); len(again) == 0 || text(again[0]["frontEndUrl"]) != text(first[0]["frontEndUrl"]) {
						c.Errorf("V1 newInstance for the same order again: expected the same appInfo.frontEndUrl, got %v with %d appInfo", a, len(again))
					}
				},
			},
			{
				ID: "v1-new-instance/orders-get-different-instances", Requirement: "V1-45", Title: "Different orders get different instances",
				Run: func(ctx context.Context, c *Case) {
					if one, two := c.v1Open(ctx), c.v1Open(ctx); one.ID == two.ID {
						c.Errorf("V1 newInstance for two orders: expected different instanceIds, got %q twice", one.ID)
					}
				},
			},
			{
				ID: "v1-new-instance/products-of-an-order-get-different-instances", Requirement: "V1-46", Title: "Two on-demand products of one order get different instances",
				Charging: []string{OnDemand},
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 2)
					var one, two *v1Instance
					c.preparing(func() {
						p := c.v1NewInstance(order)
						one, two = c.v1New(ctx, order, p), c.v1New(ctx, order, c.again(p).With("productId", order.OrderLine[1].ProductInfo[0].ProductID))
					})
					_ = c.env.Market.RegisterInstance(ctx, order.OrderLine[1].OrderLineID, two.ID)
					if one.ID == two.ID {
						c.Errorf("V1 newInstance for two products of order %s: expected different instanceIds, got %q twice", order.OrderID, one.ID)
					}
				},
			},
			{
				ID: "v1-new-instance/buyers-input-is-accepted", Requirement: "V1-47", Title: "newInstance with saasExtendParams succeeds",
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 1)
					c.v1New(ctx, order, c.v1NewInstance(order).With("saasExtendParams", extendParams([2]string{"emailDomainName", "example.com"}, [2]string{"公司", "a+b/c=?"})))
				},
			},
			{
				ID: "v1-new-instance/optional-parameters-are-optional", Requirement: "V1-48", Title: "newInstance with the mandatory parameters alone succeeds", Charging: []string{OneTime, Period},
				Run: func(ctx context.Context, c *Case) {
					order := c.Order(ctx, marketplaceapi.OrderNew, 1)
					p := c.v1NewInstance(order)
					for _, name := range []string{"amount", "orderAmount", "expireTime", "customerName"} {
						p = p.Without(name)
					}
					c.v1New(ctx, order, p)
				},
			},
		},
	)
}

// ---- the life of an instance --------------------------------------------------------------------------------------------

func v1LifecycleChecks() []Check {
	succeeds := func(id, requirement, title string, charging []string, calls func(c *Case, i *v1Instance) []Params) Check {
		return Check{ID: id, Requirement: requirement, Title: title, Charging: charging, Run: func(ctx context.Context, c *Case) {
			for _, p := range calls(c, c.v1Open(ctx)) {
				c.WantSuccess("V1 "+p["activity"], c.SendV1(ctx, p))
			}
		}}
	}
	// twice sends a call as set-up, and the same again.
	twice := func(id, requirement, title string, charging []string, call func(c *Case, i *v1Instance) Params) Check {
		return Check{ID: id, Requirement: requirement, Title: title, Charging: charging, Run: func(ctx context.Context, c *Case) {
			p := call(c, c.v1Open(ctx))
			c.preparing(func() { c.WantSuccess("V1 "+p["activity"], c.SendV1(ctx, p)) })
			c.WantSuccess("V1 "+p["activity"]+", the same again", c.SendV1(ctx, p))
		}}
	}
	unknown := func(id, title, besides string, charging []string, call func(c *Case, i *v1Instance) Params) Check {
		return Check{ID: id, Requirement: "V1-57", Title: title, Besides: besides, Charging: charging, Run: func(ctx context.Context, c *Case) {
			p := call(c, c.unknownV1())
			c.WantRefused("V1 "+p["activity"]+" of an unknown instance", c.SendV1(ctx, p))
		}}
	}
	period := []string{Period}
	return []Check{
		succeeds("v1-refresh-instance/renewal-succeeds", "V1-50", "A renewal succeeds", period, func(c *Case, i *v1Instance) []Params { return []Params{c.v1Refresh(i)} }),
		succeeds("v1-refresh-instance/trial-to-formal-succeeds", "V1-50", "A trial becomes formal", period,
			func(c *Case, i *v1Instance) []Params { return []Params{c.v1Refresh(i).With("trialToFormal", "1")} }),
		succeeds("v1-refresh-instance/cancelled-renewal-succeeds", "V1-50", "A renewal is taken back, with a negative orderAmount", period,
			func(c *Case, i *v1Instance) []Params { return []Params{c.v1Refresh(i).With("orderAmount", "-100.000")} }),
		succeeds("v1-refresh-instance/other-product-is-accepted", "V1-50", "A renewal with another productId succeeds", period,
			func(c *Case, i *v1Instance) []Params {
				return []Params{c.v1Refresh(i).With("productId", "OFFI000000000000000008")}
			}),
		twice("v1-refresh-instance/repeat-succeeds", "V1-51", "The same renewal a second time succeeds", period, (*Case).v1Refresh),
		succeeds("v1-expire-instance/succeeds", "V1-52", "An instance expires", period, func(_ *Case, i *v1Instance) []Params { return []Params{v1Expire(i)} }),
		twice("v1-expire-instance/repeat-succeeds", "V1-53", "The same expiry a second time succeeds", period, func(_ *Case, i *v1Instance) Params { return v1Expire(i) }),
		{
			ID: "v1-expire-instance/expired-instance-can-be-renewed", Requirement: "V1-54", Title: "A renewal of an instance that has expired succeeds", Charging: period,
			Run: func(ctx context.Context, c *Case) {
				i := c.v1Open(ctx)
				c.preparing(func() { c.WantSuccess("V1 expireInstance", c.SendV1(ctx, v1Expire(i))) })
				c.WantSuccess("V1 refreshInstance after expireInstance", c.SendV1(ctx, c.v1Refresh(i)))
			},
		},
		succeeds("v1-instance-status/freeze-and-normal-succeed", "V1-55", "An instance is frozen, and unfrozen with NORMAL", byUse, func(_ *Case, i *v1Instance) []Params {
			return []Params{v1Status(i, "FREEZE"), v1Status(i, "NORMAL")}
		}),
		twice("v1-instance-status/freeze-repeats", "V1-56", "A second FREEZE succeeds", byUse, func(_ *Case, i *v1Instance) Params { return v1Status(i, "FREEZE") }),
		twice("v1-instance-status/normal-repeats", "V1-56", "NORMAL for an instance that is not frozen succeeds, also twice", byUse,
			func(_ *Case, i *v1Instance) Params { return v1Status(i, "NORMAL") }),
		unknown("v1-refresh-instance/unknown-instance-is-refused", "A renewal of an instance that does not exist is refused", "", period, (*Case).v1Refresh),
		unknown("v1-expire-instance/unknown-instance-is-refused", "The expiry of an instance that does not exist is refused", "", period,
			func(_ *Case, i *v1Instance) Params { return v1Expire(i) }),
		unknown("v1-instance-status/unknown-instance-is-refused", "FREEZE of an instance that does not exist is refused", "", byUse,
			func(_ *Case, i *v1Instance) Params { return v1Status(i, "FREEZE") }),
		unknown("v1-upgrade/unknown-instance-is-refused", "An upgrade of an instance that does not exist is refused", Upgrade, period, (*Case).v1Upgrade),
		{
			ID: "v1-refresh-instance/unknown-instance-has-its-code", Requirement: "ANS-10", Title: "A renewal of an instance that does not exist is answered with 000003", Charging: period,
			Run: func(ctx context.Context, c *Case) {
				if a := c.SendV1(ctx, c.v1Refresh(c.unknownV1())); a.Refused() && a.Status == 200 { // success is judged elsewhere
					c.WantCode("V1 refreshInstance of an unknown instance", a, "000003")
				}
			},
		},
		succeeds("v1-release-instance/succeeds", "V1-58", "An instance is released", nil, func(_ *Case, i *v1Instance) []Params { return []Params{v1Release(i)} }),
		succeeds("v1-release-instance/amount-is-accepted", "V1-58", "A release with an orderAmount succeeds", nil,
			func(_ *Case, i *v1Instance) []Params { return []Params{v1Release(i).With("orderAmount", "0")} }),
		{
			ID: "v1-release-instance/repeat-is-confirmed", Requirement: "V1-59", Title: "A second release is answered with 000000 or 000003",
			Run: func(ctx context.Context, c *Case) {
				i := c.v1Open(ctx)
				c.preparing(func() { c.WantSuccess("V1 releaseInstance", c.SendV1(ctx, v1Release(i))) })
				c.WantCode("V1 releaseInstance, the same again", c.SendV1(ctx, v1Release(i)), "000000", "000003")
			},
		},
		{
			ID: "v1-release-instance/only-the-named-instance-is-released", Requirement: "V1-60", Title: "A release leaves the other instances of the buyer as they are",
			Charging: []string{Period, OnDemand, Package},
			Run: func(ctx context.Context, c *Case) {
				one, other := c.v1Open(ctx), c.v1Open(ctx)
				c.preparing(func() { c.WantSuccess("V1 releaseInstance", c.SendV1(ctx, v1Release(one))) })
				c.v1StillThere(ctx, "the release of another one", other)
			},
		},
		{
			ID: "v1-upgrade/succeeds", Requirement: "V1-61", Title: "An upgrade succeeds", Charging: period, Besides: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				c.WantSuccess("V1 upgrade", c.SendV1(ctx, c.v1Upgrade(c.v1Open(ctx))))
			},
		},
		{
			ID: "v1-upgrade/repeat-succeeds", Requirement: "V1-62", Title: "The same upgrade order a second time succeeds", Charging: period, Besides: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				p := c.v1Upgrade(c.v1Open(ctx))
				c.preparing(func() { c.WantSuccess("V1 upgrade", c.SendV1(ctx, p)) })
				c.WantSuccess("V1 upgrade, the same again", c.SendV1(ctx, p))
			},
		},
		{
			ID: "v1-upgrade/keeps-the-instance-id", Requirement: "V1-63", Title: "After an upgrade the instance answers to its old id", Charging: period, Besides: Upgrade,
			Run: func(ctx context.Context, c *Case) {
				i := c.v1Open(ctx)
				c.preparing(func() { c.WantSuccess("V1 upgrade", c.SendV1(ctx, c.v1Upgrade(i))) })
				c.v1StillThere(ctx, "an upgrade", i)
			},
		},
		{
			ID: "v1-query-instance/instance-is-answered", Requirement: "V1-64", Title: "queryInstance answers an entry for an instance", Charging: byUse,
			Run: func(ctx context.Context, c *Case) {
				i := c.v1Open(ctx)
				a := c.SendV1(ctx, v1Query(i.ID))
				if _, ok := a.Entry(i.ID); c.WantSuccess("V1 queryInstance", a) && !ok {
					c.Errorf("V1 queryInstance: expected an entry for %q, got %s", i.ID, entries(a))
				}
			},
		},
		{
			ID: "v1-query-instance/several-instances-are-answered", Requirement: "V1-64", Title: "A query for two instances, with the comma escaped, answers both", Charging: byUse,
			Run: func(ctx context.Context, c *Case) {
				one, two := c.v1Open(ctx), c.v1Open(ctx)
				a := c.SendV1(ctx, v1Query(one.ID+","+two.ID))
				if !c.WantSuccess("V1 queryInstance of two instances", a) {
					return
				}
				for _, id := range []string{one.ID, two.ID} {
					if _, ok := a.Entry(id); !ok {
						c.Errorf("V1 queryInstance of two instances: expected an entry for %q, got %s", id, entries(a))
					}
				}
			},
		},
		{
			ID: "v1-query-instance/usage-is-shown", Requirement: "V1-65", Title: "The entry of an on-demand or package instance has usageInfo with a value and a time", Charging: byUse,
			Run: func(ctx context.Context, c *Case) {
				i := c.v1Open(ctx)
				a := c.SendV1(ctx, v1Query(i.ID))
				e, ok := a.Entry(i.ID)
				if !ok {
					c.Skipf("queryInstance answered no entry: %v", a)
				}
				if e.Fields["usageInfo"] == nil {
					c.Fatalf("V1 queryInstance: expected usageInfo, got none")
				}
				schema, err := contract.ProviderV1().Answer("queryInstance")
				if err != nil {
					c.abort("%v", err)
				}
				for _, v := range schema.Violations(a.Body) {
					if strings.Contains(v, "usageInfo") {
						c.Errorf("answer to V1 queryInstance: expected it as the contract says, got %s", v)
					}
				}
			},
		},
		{
			ID: "v1-query-instance/unknown-instance-has-no-entry", Requirement: "V1-66", Title: "A query for an instance that does not exist answers no entry for it", Charging: byUse,
			Run: func(ctx context.Context, c *Case) {
				id := c.unknownID()
				a := c.SendV1(ctx, v1Query(id))
				if _, ok := a.Entry(id); ok {
					c.Errorf("V1 queryInstance of an unknown instance: expected no entry for it, got one with %v", a)
				}
			},
		},
	}
}

// ---- parameters ---------------------------------------------------------------------------------------------------------

func v1ParameterChecks() []Check {
	refresh := func(ctx context.Context, c *Case) Params { return c.v1Refresh(c.v1Open(ctx)) }
	status := func(ctx context.Context, c *Case) Params { return v1Status(c.v1Open(ctx), "FREEZE") }
	fresh := func(ctx context.Context, c *Case) Params {
		return c.v1NewInstance(c.Order(ctx, marketplaceapi.OrderNew, 1))
	}
	var checks []Check
	for _, call := range []struct {
		slug             string
		base             func(ctx context.Context, c *Case) Params
		essential, other []string
		charging         []string
		besides          string
	}{
		{"new-instance", fresh, []string{"orderId"}, []string{"businessId", "customerId"}, nil, ""},
		{"refresh-instance", refresh, []string{"instanceId", "expireTime"}, []string{"orderId"}, []string{Period}, ""},
		{"expire-instance", func(ctx context.Context, c *Case) Params { return v1Expire(c.v1Open(ctx)) }, []string{"instanceId"}, []string{"orderId"}, []string{Period}, ""},
		{"release-instance", func(ctx context.Context, c *Case) Params { return v1Release(c.v1Open(ctx)) }, []string{"instanceId"}, []string{"orderId"}, nil, ""},
		{"instance-status", status, []string{"instanceId", "instanceStatus"}, nil, byUse, ""},
		{"query-instance", func(ctx context.Context, c *Case) Params { return v1Query(c.v1Open(ctx).ID) }, []string{"instanceId"}, nil, byUse, ""},
		{"upgrade", func(ctx context.Context, c *Case) Params { return c.v1Upgrade(c.v1Open(ctx)) }, []string{"instanceId", "orderId"}, []string{"skuCode", "productId"}, []string{Period}, Upgrade},
	} {
		for n, params := range [][]string{call.essential, call.other} {
			for _, p := range params {
				checks = append(checks, Check{
					ID: "v1-parameters/" + call.slug + "-needs-" + kebab(p), Requirement: []string{"PAR-1", "PAR-2"}[n],
					Title: "V1 " + call.slug + " without " + p + " is refused", Charging: call.charging, Besides: call.besides,
					Run: func(ctx context.Context, c *Case) {
						c.WantRefused("V1 "+call.slug+" without "+p, c.SendV1(ctx, call.base(ctx, c).Without(p)))
					},
				})
			}
		}
	}
	spoilt := func(id, requirement, title string, charging []string, base func(ctx context.Context, c *Case) Params, change func(Params) Params) Check {
		return Check{ID: "v1-parameters/" + id, Requirement: requirement, Title: title, Charging: charging, Run: func(ctx context.Context, c *Case) {
			p := change(base(ctx, c))
			c.refusedCalmly("V1 "+p["activity"]+" that is spoilt so", c.SendV1(ctx, p))
		}}
	}
	with := func(name, value string) func(Params) Params {
		return func(p Params) Params { return p.With(name, value) }
	}
	return append(checks, []Check{
		spoilt("empty-order-counts-as-missing", "PAR-4", "newInstance with an empty orderId is refused", nil, fresh, with("orderId", "")),
		spoilt("over-long-order-id-is-refused", "PAR-6", "newInstance with an orderId of 65 characters is refused", nil, fresh, with("orderId", tooLong(64))),
		spoilt("unknown-charging-mode-is-refused", "V1-70", "newInstance with a chargingMode that does not exist is refused", nil, fresh, with("chargingMode", "8")),
		spoilt("unknown-status-is-refused", "V1-70", "An instanceStatus that does not exist is refused", byUse, status, with("instanceStatus", "MELT")),
		spoilt("text-as-expiry-is-refused", "V1-70", "A renewal whose expireTime is no time is refused", []string{Period}, refresh, with("expireTime", "tomorrow")),
		spoilt("unknown-activity-is-refused", "PAR-7", "A V1 call with an activity that does not exist is refused", nil, fresh, with("activity", "paintInstance")),
		spoilt("missing-activity-is-refused", "PAR-7", "A V1 call without an activity is refused", nil, fresh, func(p Params) Params { return p.Without("activity") }),
		v1Taken("v1-parameters/unknown-parameters-are-ignored", "PAR-8", "A V1 call with a parameter that the contract does not know succeeds", "V1 newInstance with an additional parameter",
			with("channelCode", "direct"), curl.Variation{}),
		{
			ID: "v1-parameters/missing-parameter-has-its-code", Requirement: "PAR-3", Title: "A missing mandatory parameter of a V1 call is answered with 000002",
			Run: func(ctx context.Context, c *Case) {
				if a := c.SendV1(ctx, fresh(ctx, c).Without("orderId")); a.Refused() && a.Status == 200 { // judged elsewhere
					c.WantCode("V1 newInstance without orderId", a, "000002")
				}
			},
		},
	}...)
}

// ---- debug calls --------------------------------------------------------------------------------------------------------

// v1Saved are the calls that the console saves for a mode.
func v1Saved(c *Case) []Params {
	i := c.madeUp()
	saved := []Params{i.call}
	switch c.Mode {
	case Period:
		saved = append(saved, c.v1Refresh(i), v1Expire(i))
	case OnDemand, Package:
		saved = append(saved, v1Query(i.ID), v1Status(i, "FREEZE"), v1Status(i, "NORMAL"))
	}
	return append(saved, v1Release(i))
}

func v1DebugChecks() []Check {
	debug := func(slug, besides string, charging []string, call func(c *Case, i *v1Instance) Params) Check {
		return Check{
			ID: "v1-debug/" + slug + "-succeeds", Requirement: "DBG-1", Title: "A V1 debug call of " + slug + " succeeds, about an instance that does not exist", Charging: charging, Besides: besides,
			Run: func(ctx context.Context, c *Case) {
				p := call(c, c.madeUp()).Debug()
				c.WantSuccess("V1 debug "+p["activity"], c.SendV1(ctx, p))
			},
		}
	}
	return []Check{
		{
			ID: "v1-debug/new-instance-succeeds", Requirement: "DBG-1", Title: "A V1 debug newInstance succeeds, with an instanceId",
			Run: func(ctx context.Context, c *Case) {
				a := c.SendV1(ctx, c.madeUp().call.Debug())
				if c.WantSuccess("V1 debug newInstance", a) && a.InstanceID == "" {
					c.Errorf("V1 debug newInstance: expected an instanceId, got none")
				}
			},
		},
		debug("refresh-instance", "", []string{Period}, (*Case).v1Refresh),
		debug("expire-instance", "", []string{Period}, func(_ *Case, i *v1Instance) Params { return v1Expire(i) }),
		debug("release-instance", "", nil, func(_ *Case, i *v1Instance) Params { return v1Release(i) }),
		debug("instance-status", "", byUse, func(_ *Case, i *v1Instance) Params { return v1Status(i, "FREEZE") }),
		debug("query-instance", "", byUse, func(_ *Case, i *v1Instance) Params { return v1Query(i.ID) }),
		debug("upgrade", Upgrade, []string{Period}, (*Case).v1Upgrade),
		{
			ID: "v1-debug/repeat-in-any-order", Requirement: "DBG-2", Title: "Unchanged V1 debug calls succeed twice, the second time in reverse order",
			Run: func(ctx context.Context, c *Case) {
				var good []Params
				for _, p := range v1Saved(c) {
					if c.SendV1(ctx, p.Debug()).Succeeded() { // the first time is judged elsewhere
						good = append(good, p.Debug())
					}
				}
				if len(good) == 0 {
					c.Skipf("no debug call succeeded the first time")
				}
				for n := len(good) - 1; n >= 0; n-- {
					c.WantSuccess("V1 debug "+good[n]["activity"]+" a second time", c.SendV1(ctx, good[n]))
				}
			},
		},
		{
			ID: "v1-debug/release-spares-a-real-instance", Requirement: "DBG-3", Title: "A V1 debug releaseInstance of a real instance leaves it as it is", Charging: []string{Period, OnDemand, Package},
			Run: func(ctx context.Context, c *Case) {
				i := c.v1Open(ctx)
				c.SendV1(ctx, v1Release(i).Debug())
				c.v1StillThere(ctx, "a debug release of it", i)
			},
		},
		{
			ID: "v1-debug/new-instance-leaves-the-order-free", Requirement: "DBG-4", Title: "After a V1 debug newInstance the real one for the same order makes an instance",
			Charging: []string{Period, OnDemand, Package},
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				p := c.v1NewInstance(order)
				c.preparing(func() { c.WantSuccess("V1 debug newInstance", c.SendV1(ctx, p.Debug())) })
				c.v1StillThere(ctx, "a debug newInstance and the real one", c.v1New(ctx, order, c.again(p)))
			},
		},
		{
			ID: "v1-debug/test-flag-zero-is-a-real-call", Requirement: "DBG-5", Title: "A V1 newInstance with testFlag 0 makes an instance", Charging: []string{Period, OnDemand, Package},
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				c.v1StillThere(ctx, "a newInstance with testFlag 0", c.v1New(ctx, order, c.v1NewInstance(order).With("testFlag", "0")))
			},
		},
	}
}

// ---- kit calls of V1 ----------------------------------------------------------------------------------------------------

func v1KitChecks() []Check {
	refused := func(id, requirement, title string, change func(Body) (Body, curl.Variation)) Check {
		return Check{ID: "v1-kit-signing/" + id, Requirement: requirement, Title: title, Run: func(ctx context.Context, c *Case) {
			t := c.newTenant(nil)
			t.v1 = true
			body, variation := change(t.sync(add))
			c.WantRefused("V1 tenantSync that is spoilt so", c.SendV1Kit(ctx, tenantSync, body, variation))
		}}
	}
	vary := func(v curl.Variation) func(Body) (Body, curl.Variation) {
		return func(b Body) (Body, curl.Variation) { return b, v }
	}
	checks := []Check{
		{
			ID: "v1-kit-signing/right-token-is-accepted", Requirement: "V1-80", Title: "A V1 kit call with a right authToken is accepted",
			Run: func(ctx context.Context, c *Case) {
				t := c.newTenant(nil)
				t.v1 = true
				c.WantSuccess("V1 tenantSync with a right authToken", c.SendV1Kit(ctx, tenantSync, t.sync(add)))
			},
		},
		refused("missing-token-is-refused", "V1-5", "A V1 kit call without authToken is refused", vary(curl.Variation{Without: []string{"signature"}})),
		refused("empty-token-is-refused", "V1-5", "A V1 kit call with an empty authToken is refused", vary(curl.Variation{Empty: []string{"signature"}})),
		refused("missing-time-is-refused", "V1-5", "A V1 kit call without timeStamp is refused", func(b Body) (Body, curl.Variation) { return b.Without("timeStamp"), curl.Variation{} }),
		refused("changed-token-is-refused", "V1-6", "A V1 kit call with one character of authToken changed is refused", vary(curl.Variation{Signature: curl.LastDigit})),
		refused("wrong-key-is-refused", "V1-6", "A V1 kit call that is signed with another key is refused", vary(curl.Variation{Key: "not-the-key-of-this-isv"})),
		refused("changed-body-is-refused", "V1-7", "A V1 kit call that deletes what was signed as added is refused",
			func(b Body) (Body, curl.Variation) { return b.With("flag", remove), curl.Variation{Signed: b.Text()} }),
		{
			ID: "v1-kit-answers/body-sign-is-right", Requirement: "V1-81", Title: "Answers to V1 kit calls have a Body-Sign that fits",
			Run: func(ctx context.Context, c *Case) {
				t := c.newTenant(nil)
				t.v1 = true
				a := c.SendV1Kit(ctx, tenantSync, t.sync(add))
				if !a.Succeeded() {
					c.Skipf("tenantSync was refused: %v", a)
				}
				if err := signature.VerifyBodySign([]string{c.env.V1Key}, a.Header.Get("Body-Sign"), a.Body); err != nil {
					c.Errorf("answer to V1 tenantSync: expected a Body-Sign over its bytes, got %v", err)
				}
			},
		},
		{
			ID: "v1-kit-debug/calls-succeed", Requirement: "KIT-60", Title: "The five debug kit calls of V1 about an enterprise that nobody has heard of succeed",
			Run: func(ctx context.Context, c *Case) {
				c.learnDigests(ctx, true)
				t := c.newTenant(nil)
				t.v1 = true
				for _, k := range c.kitCalls(ctx, t) {
					c.WantSuccess("V1 debug "+k.name, c.SendV1Kit(ctx, k.name, k.body().With("testFlag", 1)))
				}
			},
		},
	}
	for n := range checks {
		checks[n].Capability, checks[n].Besides = V1, Kit
	}
	return append(checks, kitCallChecks(V1, Kit)...)
}
