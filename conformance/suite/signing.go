package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// beyond is how far stale timestamps lie outside the window of 60 seconds, so that two clocks that differ cannot matter. The
// boundary itself is not judged.
const beyond = 120 * time.Second

// refused is a check that a question about an open instance, which would succeed, is refused when it is varied so.
func refused(id, requirement, title, what string, variations ...curl.Variation) Check {
	return Check{ID: id, Requirement: requirement, Title: title, Run: func(ctx context.Context, c *Case) {
		body := queryInstance(c.Shared(ctx).ID)
		for n, v := range variations {
			label := what
			if len(variations) > 1 {
				label = fmt.Sprintf("%s (%d of %d)", what, n+1, len(variations))
			}
			c.WantRefused(label, c.Send(ctx, body, v))
		}
	}}
}

func signingChecks() []Check {
	return []Check{
		{
			ID: "signing/right-signature-is-accepted", Requirement: "SIG-1", Title: "A rightly signed query and a rightly signed debug call are accepted",
			Run: func(ctx context.Context, c *Case) {
				c.WantSuccess("debug newInstance with a right signature", c.Send(ctx, c.newInstance(mockOrder(c.Mode), 0).Debug()))
				i := c.Shared(ctx)
				c.WantSuccess("queryInstance with a right signature", c.Send(ctx, queryInstance(i.ID)))
			},
		},
		{
			ID: "signing/lower-case-signature-is-accepted", Requirement: "SIG-8", Title: "The hex digits of the signature may be lower case",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				c.WantSuccess("queryInstance with a lower-case signature", c.Send(ctx, queryInstance(i.ID), curl.Variation{Signature: curl.LowerCase}))
			},
		},
		refused("signing/missing-signature-is-refused", "SIG-3", "A call without the parameter signature is refused",
			"queryInstance without signature", curl.Variation{Without: []string{"signature"}}),
		refused("signing/missing-timestamp-is-refused", "SIG-3", "A call without the parameter timestamp is refused",
			"queryInstance without timestamp", curl.Variation{Without: []string{"timestamp"}}),
		refused("signing/missing-nonce-is-refused", "SIG-3", "A call without the parameter nonce is refused",
			"queryInstance without nonce", curl.Variation{Without: []string{"nonce"}}),
		refused("signing/empty-signature-is-refused", "SIG-3", "A call with an empty signature is refused",
			"queryInstance with an empty signature", curl.Variation{Empty: []string{"signature"}}),
		refused("signing/empty-timestamp-is-refused", "SIG-3", "A call with an empty timestamp is refused",
			"queryInstance with an empty timestamp", curl.Variation{Empty: []string{"timestamp"}}),
		refused("signing/empty-nonce-is-refused", "SIG-3", "A call with an empty nonce is refused",
			"queryInstance with an empty nonce", curl.Variation{Empty: []string{"nonce"}}),
		refused("signing/changed-signature-is-refused", "SIG-2", "A signature that is wrong in its last digit is refused",
			"queryInstance with one digit of the signature changed", curl.Variation{Signature: curl.LastDigit}),
		refused("signing/truncated-signature-is-refused", "SIG-2", "A signature without its last digit is refused",
			"queryInstance with a truncated signature", curl.Variation{Signature: curl.OneShort}),
		refused("signing/text-as-signature-is-refused", "SIG-2", "Text that is no signature at all is refused",
			"queryInstance with text for a signature", curl.Variation{Signature: curl.NotHex}),
		refused("signing/wrong-key-is-refused", "SIG-2", "A signature made with another key is refused",
			"queryInstance signed with another key", curl.Variation{Key: "not-the-key-of-this-isv"}),
		{
			ID: "signing/debug-calls-are-verified-too", Requirement: "SIG-2", Title: "A debug call with a wrong signature is refused",
			Run: func(ctx context.Context, c *Case) {
				body := c.newInstance(mockOrder(c.Mode), 0).Debug()
				c.WantRefused("debug newInstance signed with another key", c.Send(ctx, body, curl.Variation{Key: "not-the-key-of-this-isv"}))
			},
		},
		{
			ID: "signing/changed-body-is-refused", Requirement: "SIG-4", Title: "A body that names another instance than the signed one is refused",
			Run: func(ctx context.Context, c *Case) {
				body, signed := queryInstance(c.Shared(ctx).ID), queryInstance(c.unknownID())
				c.WantRefused("queryInstance with a signature over another body", c.Send(ctx, body, curl.Variation{Signed: signed.Text()}))
			},
		},
		{
			ID: "signing/blank-in-a-value-is-refused", Requirement: "SIG-4", Title: "A body that differs from the signed one by one blank within a value is refused",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				signed := queryInstance(i.ID + " ")
				c.WantRefused("queryInstance with one blank less than was signed", c.Send(ctx, queryInstance(i.ID), curl.Variation{Signed: signed.Text()}))
			},
		},
		refused("signing/stale-timestamp-is-refused", "SIG-5", "A call that was signed two minutes ago is refused",
			"queryInstance signed two minutes ago", curl.Variation{Offset: -beyond}),
		refused("signing/text-as-timestamp-is-refused", "SIG-5", "A timestamp that is no time is refused",
			"queryInstance with the timestamp \"yesterday\"", curl.Variation{Timestamp: "yesterday"}),
		refused("signing/future-timestamp-is-refused", "SIG-6", "A call that is dated two minutes ahead is refused",
			"queryInstance dated two minutes ahead", curl.Variation{Offset: beyond}),
		{
			ID: "signing/replay-is-refused", Requirement: "SIG-7", Title: "The identical request a second time is refused",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				r := curl.Request{URL: c.env.Target, Body: queryInstance(i.ID).Text()}
				params, err := r.Params(c.env.BaseKey, time.Now(), randomNonce())
				if err != nil {
					c.abort("%v", err)
				}
				c.requests = append(c.requests, r, curl.Request{Variation: curl.Variation{Again: true}})
				answers := make([]*Answer, 2)
				for n := range answers {
					if answers[n], err = c.env.transmit(ctx, r, params); err != nil {
						c.abort("%v", err)
					}
					c.needAnswer(ctx, "queryInstance", answers[n])
				}
				c.preparing(func() { c.WantSuccess("queryInstance", answers[0]) })
				c.WantRefused("queryInstance, the same bytes and parameters again", answers[1])
			},
		},
		{
			ID: "signing/non-ascii-body-verifies", Requirement: "SIG-9", Title: "The signature of a body with Chinese characters verifies",
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, queryInstance("实例-"+c.uuid()))
				if a.Code == "000001" || a.Status == 401 || a.Status == 403 {
					c.Errorf("queryInstance for an instance with a Chinese name: expected anything but a failed authentication, got %v", a)
				}
			},
		},
		{
			ID: "signing/unsorted-body-with-sorted-signature-is-accepted", Requirement: "SIG-10", Title: "A signature over the sorted form of an unsorted body is accepted",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				sorted := queryInstance(i.ID).Text()
				unsorted := `{"instanceId":` + quoted(i.ID) + `,"activity":"queryInstance"}`
				c.WantSuccess("queryInstance with unsorted members, signed in sorted form", c.SendRequest(ctx, "queryInstance",
					curl.Request{URL: c.env.Target, Body: unsorted, Variation: curl.Variation{Signed: sorted}}))
			},
		},
		{
			ID: "signing/refused-call-has-no-effect", Requirement: "SIG-11", Title: "A release with a wrong signature releases nothing",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				c.Send(ctx, releaseInstance(i.ID), curl.Variation{Key: "not-the-key-of-this-isv"})
				c.StillOpen(ctx, "a release with a wrong signature", i)
			},
		},
		{
			ID: "signing/refusals-have-the-right-code", Requirement: "SIG-12", Title: "Refused signatures have result code 000001, refused timestamps and nonces 000001 or 000002",
			Run: func(ctx context.Context, c *Case) {
				body := queryInstance(c.Shared(ctx).ID)
				for _, v := range []struct {
					what  string
					how   curl.Variation
					codes []string
				}{
					{"a wrong signature", curl.Variation{Signature: curl.LastDigit}, []string{"000001"}},
					{"a missing signature", curl.Variation{Without: []string{"signature"}}, []string{"000001"}},
					{"a stale timestamp", curl.Variation{Offset: -beyond}, []string{"000001", "000002"}},
					{"a missing timestamp", curl.Variation{Without: []string{"timestamp"}}, []string{"000001", "000002"}},
					{"a missing nonce", curl.Variation{Without: []string{"nonce"}}, []string{"000001", "000002"}},
				} {
					// An answer of success is judged elsewhere, and so is a status that is not 200.
					if a := c.Send(ctx, body, v.how); a.Refused() && a.Status == 200 {
						c.WantCode("queryInstance with "+v.what, a, v.codes...)
					}
				}
			},
		},
		{
			ID: "signing/other-headers-do-not-matter", Requirement: "SIG-13", Title: "A call with additional headers, as proxies add them, is accepted",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				c.WantSuccess("queryInstance with additional headers", c.Send(ctx, queryInstance(i.ID), curl.Variation{Header: []string{
					"X-Request-Id: " + c.ids.hex(16), "X-Forwarded-For: 203.0.113.7", "Via: 1.1 proxy.example.com",
				}}))
			},
		},
	}
}
