package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// notTheKey signs forged calls.
const notTheKey = "not-the-key-of-this-isv"

// forged are the calls of which it is judged one by one that they are verified: code that verifies in each handler forgets one.
var forged = []struct {
	slug       string
	base       base
	charging   []string
	capability string
}{
	{"new-instance", baseNew, nil, ""},
	{"refresh-instance", refusedRefresh, beyondOneTime, ""},
	{"instance-status", refusedStatus, []string{Period}, ""},
	{"release-instance", baseRelease, nil, ""},
	{"upgrade-instance", refusedUpgrade, []string{Period}, Upgrade},
	{"change-check", refusedChangeCheck, []string{Period}, ChangeCheck},
	{"order-notify", baseNotify, nil, OrderNotify},
}

func forgeryChecks() []Check {
	var checks []Check
	for _, f := range forged {
		checks = append(checks, Check{
			ID: "signing/forged-" + f.slug + "-is-refused", Requirement: "SIG-2", Charging: f.charging, Capability: f.capability,
			Title: "A call of " + f.slug + " that is signed with another key is refused",
			Run: func(ctx context.Context, c *Case) {
				body := f.base(ctx, c)
				c.WantRefused(body.Activity()+" signed with another key", c.Send(ctx, body, curl.Variation{Key: notTheKey}))
			},
		})
	}
	return slices.Concat(checks, signatureChecks(), bodyChecks(), characterChecks())
}

// signatureChecks spoil the signature in the ways that careless comparisons let through.
func signatureChecks() []Check {
	return []Check{
		refused("signing/changed-first-digit-is-refused", "SIG-2", "A signature that is wrong in its first digit is refused",
			"queryInstance with the first digit of the signature changed", curl.Variation{Signature: curl.FirstDigit}),
		refused("signing/changed-middle-digit-is-refused", "SIG-2", "A signature that is wrong in one digit in the middle is refused",
			"queryInstance with a digit in the middle of the signature changed", curl.Variation{Signature: curl.MiddleDigit}),
		refused("signing/half-a-signature-is-refused", "SIG-2", "The first half of the right signature is refused",
			"queryInstance with half of the signature", curl.Variation{Signature: curl.HalfCut}),
		refused("signing/lengthened-signature-is-refused", "SIG-2", "The right signature with one more digit is refused",
			"queryInstance with one digit more behind the signature", curl.Variation{Signature: curl.OneMore}),
		{
			ID: "signing/general-key-is-refused", Requirement: "SIG-14", Title: "A base call that is signed with the key of the general class is refused", Capability: OrderNotify,
			Run: func(ctx context.Context, c *Case) {
				if c.env.GeneralKey == c.env.BaseKey {
					c.Skipf("the general key is the base key")
				}
				r := curl.Request{URL: c.env.Target, Body: queryInstance(c.Shared(ctx).ID).Text(), KeyVariable: generalKeyVariable}
				c.WantRefused("queryInstance signed with the general key", c.SendRequest(ctx, "queryInstance", r))
			},
		},
		{
			ID: "signing/short-nonce-is-accepted", Requirement: "SIG-15", Title: "A call with a nonce of 32 characters is accepted",
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, queryInstance(c.Shared(ctx).ID), curl.Variation{NonceLength: 32})
				c.WantSuccess("queryInstance with a nonce of 32 characters", a)
			},
		},
	}
}

// bodyChecks change the body after it was signed.
func bodyChecks() []Check {
	return []Check{
		{
			ID: "signing/added-member-is-refused", Requirement: "SIG-4", Title: "A body with a parameter more than was signed is refused, also if nobody knows the parameter",
			Run: func(ctx context.Context, c *Case) {
				signed := queryInstance(c.Shared(ctx).ID)
				a := c.Send(ctx, signed.With("channelCode", "direct"), curl.Variation{Signed: signed.Text()})
				c.WantRefused("queryInstance with a parameter that was not signed", a)
			},
		},
		{
			ID: "signing/removed-test-flag-is-refused", Requirement: "SIG-4", Title: "A debug call whose testFlag was taken away after signing is refused",
			Run: func(ctx context.Context, c *Case) {
				body := baseNew(ctx, c)
				c.WantRefused("newInstance without the testFlag that was signed", c.Send(ctx, body, curl.Variation{Signed: body.Debug().Text()}))
			},
		},
		{
			ID: "signing/other-call-of-the-same-instance-is-refused", Requirement: "SIG-4", Title: "A signed query that was turned into a release of the same instance is refused",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.WantRefused("releaseInstance with the signature of queryInstance", c.Send(ctx, releaseInstance(i.ID), curl.Variation{Signed: queryInstance(i.ID).Text()}))
			},
		},
	}
}

// authenticates is a check that a body with certain characters in it does not fail its authentication. The instance that it names is
// unknown, so the call may fail for that.
func authenticates(id, requirement, title, text string) Check {
	return Check{ID: id, Requirement: requirement, Title: title, Run: func(ctx context.Context, c *Case) {
		// The characters are sent as they are; the encoder writes some of them as escapes.
		body := strings.ReplaceAll(queryInstance(text+c.uuid()).Text(), `\u2028`, "\u2028")
		a := c.SendRequest(ctx, "queryInstance", curl.Request{URL: c.env.Target, Body: body})
		if a.Code == "000001" || a.Status == 401 || a.Status == 403 {
			c.Errorf("queryInstance for an instance whose id has %q in it: expected anything but a failed authentication, got %v", text, a)
		}
	}}
}

func characterChecks() []Check {
	return []Check{
		authenticates("signing/body-with-markup-verifies", "SIG-16", "The signature of a body with <, > and & verifies", "<b>a&b</b>"),
		authenticates("signing/body-with-slashes-verifies", "SIG-16", "The signature of a body with slashes verifies", "a/b/c"),
		authenticates("signing/body-with-quotes-verifies", "SIG-16", "The signature of a body with a quotation mark and a backslash verifies", `a"b\c`),
		authenticates("signing/body-with-query-characters-verifies", "SIG-16", "The signature of a body with %, + and = verifies", "a%20b+c=d"),
		authenticates("signing/body-with-emoji-verifies", "SIG-9", "The signature of a body with a character beyond 16 bits verifies", "🐉"),
		authenticates("signing/body-with-line-separator-verifies", "SIG-9", "The signature of a body with the character U+2028 verifies", "a\u2028b"),
	}
}

func baseChangeCheck(ctx context.Context, c *Case) Body { return changeCheck(c.Open(ctx).ID) }
func baseNotify(ctx context.Context, c *Case) Body {
	return orderNotify(c.Order(ctx, marketplaceapi.OrderNew, 1))
}

// label numbers what a check does several times.
func label(what string, n, of int) string {
	if of < 2 {
		return what
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%d of %d)", what, n+1, of))
}
