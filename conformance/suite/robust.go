package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// calm expects an answer that is no crash, whether it is a success or a refusal.
func (c *Case) calm(what string, a *Answer) {
	if a.Status >= 500 {
		c.Errorf("%s: expected an answer, got an error of the server, HTTP %d", what, a.Status)
	}
}

// survives is a check that an unusual body is answered without a crash, and the next call too.
func survives(id, title, what string, body func(c *Case, instance string) string) Check {
	return Check{ID: id, Requirement: "ROB-1", Title: title, Run: func(ctx context.Context, c *Case) {
		i := c.Shared(ctx)
		c.calm(what, c.SendRequest(ctx, what, curl.Request{URL: c.env.Target, Body: body(c, i.ID)}))
		c.StillOpen(ctx, what, i)
	}}
}

// queryText is queryInstance with members written by hand behind its own.
func queryText(instance, more string) string {
	return `{"activity":"queryInstance","instanceId":` + quoted(instance) + more + `}`
}

func robustChecks() []Check {
	return slices.Concat([]Check{
		unreadable("robust/null-is-refused", "A body that is null is refused, and the service goes on", "null"),
		unreadable("robust/text-is-refused", "A body that is a JSON text is refused, and the service goes on", `"queryInstance"`),
		unreadable("robust/number-is-refused", "A body that is a number is refused, and the service goes on", "7"),
		unreadable("robust/blanks-are-refused", "A body of blanks is refused, and the service goes on", "  \r\n "),
		unreadable("robust/form-is-refused", "A body in the form of a web form is refused, and the service goes on", "activity=queryInstance&instanceId=1"),
		unreadable("robust/xml-is-refused", "A body in XML is refused, and the service goes on", `<?xml version="1.0"?><call activity="queryInstance"/>`),

		survives("robust/byte-order-mark-is-survived", "A body that begins with a byte order mark is answered", "a body with a byte order mark",
			func(_ *Case, id string) string { return "\ufeff" + queryText(id, "") }),
		survives("robust/trailing-newline-is-survived", "A body that ends with a newline is answered", "a body with a newline at its end",
			func(_ *Case, id string) string { return queryText(id, "") + "\r\n" }),
		survives("robust/trailing-text-is-survived", "A body with text behind the object is answered", "a body with text behind the object",
			func(_ *Case, id string) string { return queryText(id, "") + " trailer" }),
		survives("robust/invalid-utf-8-is-survived", "A body that is no UTF-8 is answered", "a body that is no UTF-8",
			func(_ *Case, id string) string { return queryText(id, `,"memo":"`+"\xb3\xc9\xb9\xa6"+`"`) }),
		survives("robust/lone-surrogate-is-survived", "A body with half a character is answered", "a body with half a character, written \\ud83d",
			func(_ *Case, id string) string { return queryText(id, `,"memo":"\ud83d"`) }),
		survives("robust/repeated-member-is-survived", "A body with one parameter twice is answered", "a body with instanceId twice",
			func(_ *Case, id string) string { return queryText(id, `,"instanceId":`+quoted(id)) }),
		survives("robust/huge-number-is-survived", "A body with a number beyond every type is answered", "a body with the number 1e999999",
			func(_ *Case, id string) string { return queryText(id, `,"memo":1e999999`) }),
		survives("robust/deep-nesting-is-survived", "A body that is nested 2000 levels deep is answered", "a body nested 2000 levels deep",
			func(_ *Case, id string) string {
				return queryText(id, `,"memo":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000))
			}),
		survives("robust/many-members-are-survived", "A body with 2000 parameters is answered", "a body with 2000 parameters",
			func(_ *Case, id string) string {
				var more strings.Builder
				for n := range 2000 {
					fmt.Fprintf(&more, `,"memo%d":""`, n)
				}
				return queryText(id, more.String())
			}),
		{
			ID: "robust/large-body-is-survived", Requirement: "ROB-1", Title: "A body of 300 kB is answered",
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				const what = "a body of 300 kB"
				a := c.exchange(ctx, what, curl.Request{URL: c.env.Target, Body: queryText(i.ID, `,"memo":"`+strings.Repeat("memo ", 60_000)+`"`)})
				if a.timedOut() {
					c.needAnswer(ctx, what, a)
				}
				c.calm(what, a) // it may be cut off while it is being sent, which is a refusal
				c.StillOpen(ctx, what, i)
			},
		},
		{
			ID: "robust/long-nonce-is-survived", Requirement: "ROB-1", Title: "A call with a nonce of 1000 characters is answered",
			Run: func(ctx context.Context, c *Case) {
				c.calm("queryInstance with a nonce of 1000 characters", c.Send(ctx, queryInstance(c.Shared(ctx).ID), curl.Variation{NonceLength: 1000}))
			},
		},
		{
			ID: "robust/huge-timestamp-is-refused", Requirement: "ROB-1", Title: "A timestamp beyond every type is refused without a crash",
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, queryInstance(c.Shared(ctx).ID), curl.Variation{Timestamp: "99999999999999999999999"})
				c.refusedCalmly("queryInstance with a timestamp of 23 digits", a)
			},
		},
	}, idChecks(), methodChecks(), transportChecks())
}

// ids are those that careless code hands on to its database.
func idChecks() []Check {
	harmless := func(id, title, what, instance string) Check {
		return Check{ID: id, Requirement: "ROB-2", Title: title, Run: func(ctx context.Context, c *Case) {
			c.Shared(ctx) // so that there is something to be found
			a := c.SendRequest(ctx, "queryInstance", curl.Request{URL: c.env.Target, Body: queryInstance(instance).Text()})
			c.calm("queryInstance of "+what, a)
			if a.Succeeded() && len(a.Info) > 0 {
				c.Errorf("queryInstance of %s: expected no entries, got %v with %s", what, a, entries(a))
			}
		}}
	}
	return []Check{
		harmless("robust/quote-in-an-id-finds-nothing", "An id with a quotation mark and SQL behind it finds nothing and crashes nothing", "an id with SQL in it", "x' OR '1'='1"),
		harmless("robust/wildcard-in-an-id-finds-nothing", "An id of wildcards finds nothing", "the id %", "%"),
		harmless("robust/pattern-in-an-id-finds-nothing", "An id that is a pattern finds nothing and crashes nothing", "the id .*(", ".*("),
		harmless("robust/nul-in-an-id-is-survived", "An id with the character NUL crashes nothing", "an id with the character NUL", "x\x00y"),
		harmless("robust/commas-alone-are-survived", "A query for nothing but commas crashes nothing", "the ids ,,,", ",,,"),
	}
}

func methodChecks() []Check {
	other := func(method string) Check {
		return Check{
			ID: "robust/" + strings.ToLower(method) + "-is-refused", Requirement: "PAR-10", Title: "A call with " + method + " is refused without a crash",
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, queryInstance(c.Shared(ctx).ID), curl.Variation{Method: method})
				c.refusedCalmly("queryInstance with "+method, a)
			},
		}
	}
	return []Check{other("PUT"), other("DELETE")}
}
