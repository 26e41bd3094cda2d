package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// inside are texts that show how a service is built: stack traces and messages of databases.
var inside = regexp.MustCompile(`(?m)\bat [\w$.<>]+\([\w$]+\.(?:java|kt|scala):\d+\)|goroutine \d+ \[|Traceback \(most recent call last\)|\bFile "[^"]+", line \d+|` +
	`\bat .*\(?[\w./\\-]+\.(?:js|ts):\d+:\d+\)?|#\d+ /[\w./-]+\.php\(\d+\)|\bin /[\w./-]+\.php:\d+|\w+\.go:\d+ \+0x|SQLSTATE\[|\bORA-\d{5}\b|SQLException|java\.lang\.\w+Exception`)

func formChecks() []Check {
	return []Check{
		{
			ID: "answers/hold-no-key", Requirement: "ANS-11", Title: "No answer holds an access key or the SK",
			Run: func(ctx context.Context, c *Case) {
				for _, s := range c.takeTour(ctx) {
					if problem := c.keyless(s); problem != "" {
						c.requests = append(c.requests, s.request)
						c.Errorf("%s: %s", s.what, problem)
					}
				}
			},
		},
		{
			ID: "answers/tell-no-right-signature", Requirement: "ANS-11", Title: "The refusal of a wrong signature does not tell the right one",
			Run: func(ctx context.Context, c *Case) {
				body := queryInstance(c.Shared(ctx).ID)
				r := curl.Request{URL: c.env.Target, Body: body.Text(), Variation: curl.Variation{Signature: curl.LastDigit}}
				now, nonce := time.Now(), strings.ToUpper(randomNonce())
				right, err := curl.Request{Body: r.Body}.Params(c.env.BaseKey, now, nonce)
				if err != nil {
					c.abort("%v", err)
				}
				wrong, err := r.Params(c.env.BaseKey, now, nonce)
				if err != nil {
					c.abort("%v", err)
				}
				c.requests = append(c.requests, r)
				a, err := c.env.transmit(ctx, r, wrong)
				if err != nil {
					c.abort("%v", err)
				}
				c.needAnswer(ctx, "queryInstance", a)
				signature, _, _ := strings.Cut(strings.TrimPrefix(right, "signature="), "&")
				if strings.Contains(strings.ToUpper(c.everything(a)), strings.ToUpper(signature)) {
					c.Errorf("queryInstance with a wrong signature: expected a refusal that keeps the right one to itself, got one that tells it")
				}
			},
		},
		{
			ID: "answers/show-nothing-of-the-inside", Requirement: "ANS-12", Title: "Refusals hold no stack trace and no message of a database",
			Run: func(ctx context.Context, c *Case) {
				for _, body := range []string{
					queryInstance(c.unknownID()).Text(), queryInstance(strings.Repeat("x", 300)).Text(), `{"activity":"queryInstance","instanceId":{}}`, `{"activity":`,
					c.newInstance(c.Order(ctx, marketplaceapi.OrderNew, 1), 0).Without("orderLineId").Text(),
				} {
					a := c.SendRequest(ctx, "a call that is refused", curl.Request{URL: c.env.Target, Body: body})
					if found := inside.FindString(string(a.Body)); found != "" {
						c.Errorf("answer to %s: expected a message for people, got one from inside the service: %s", shorten([]byte(body)), shorten([]byte(found)))
					}
				}
			},
		},
		everyAnswer("answers/are-utf-8", "ANS-13", "Every answer is UTF-8", anyStop, func(s stop) string {
			if utf8.Valid(s.answer.Body) {
				return ""
			}
			return "expected UTF-8, got " + shorten(s.answer.Body)
		}),
		everyAnswer("answers/name-no-other-charset", "ANS-13", "No answer names a charset but UTF-8", anyStop, func(s stop) string {
			_, params, _ := mime.ParseMediaType(s.answer.ContentType)
			switch charset := strings.ToLower(params["charset"]); charset {
			case "", "utf-8", "utf8":
				return ""
			default:
				return "expected charset UTF-8, or none, got " + charset
			}
		}),
		link("query-instance/front-end-is-a-link", "frontEndUrl"),
		link("query-instance/admin-site-is-a-link", "adminUrl"),
		{
			ID: "query-instance/entries-are-not-repeated", Requirement: "QRY-9", Title: "A query for two instances gets one entry for each",
			Run: func(ctx context.Context, c *Case) {
				ids := []string{c.Open(ctx).ID, c.Open(ctx).ID}
				a := c.Send(ctx, queryInstance(strings.Join(ids, ",")))
				for n, id := range ids {
					if found := a.count(id); found > 1 {
						c.Errorf("queryInstance of two instances: expected one entry for number %d, got %d", n+1, found)
					}
				}
			},
		},
		{
			ID: "query-instance/one-id-twice-gets-one-entry", Requirement: "QRY-9", Title: "A query that names one instance twice is answered, with one entry or two",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				a := c.Send(ctx, queryInstance(i.ID+","+i.ID))
				if _, ok := a.Entry(i.ID); !a.Succeeded() || !ok || a.count(i.ID) > 2 {
					c.Errorf("queryInstance that names one instance twice: expected 000000 with its entry, got %v with %s", a, entries(a))
				}
			},
		},
		{
			ID: "query-instance/one-known-among-a-hundred-is-found", Requirement: "QRY-6", Title: "A query for 100 instances of which one is known answers that one, or 000003",
			Run: func(ctx context.Context, c *Case) {
				known := c.Open(ctx)
				ids := []string{}
				for range 99 {
					ids = append(ids, c.unknownID())
				}
				a := c.Send(ctx, queryInstance(strings.Join(slices.Insert(ids, 50, known.ID), ",")))
				if _, ok := a.Entry(known.ID); a.Code != "000003" && (!a.Succeeded() || !ok) {
					c.Errorf("queryInstance of 100 instances, one of them known: expected 000003, or 000000 with an entry for the known one, got %v with %s", a, entries(a))
				}
			},
		},
		{
			ID: "query-instance/ready-instance-stays-ready", Requirement: "QRY-10", Title: "An instance that was answered once is answered again and again",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				for range 3 {
					c.StillOpen(ctx, "it was answered already", i)
				}
			},
		},
		{
			ID: "new-instance/instance-id-has-no-comma", Requirement: "NEW-5", Title: "An instanceId has no comma and no blank in it",
			Run: func(ctx context.Context, c *Case) {
				var i *Instance
				c.preparing(func() { i = c.New(ctx, c.Order(ctx, marketplaceapi.OrderNew, 1), 0) })
				if strings.ContainsAny(i.ID, ", \t\n") {
					c.Errorf("newInstance: expected an instanceId without commas and blanks, got %q", i.ID)
				}
			},
		},
		{
			ID: "new-instance/ready-instance-is-no-longer-in-progress", Requirement: "NEW-6", Title: "newInstance is answered with 000000 once queryInstance tells that the instance is ready",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				if a := c.Send(ctx, c.newInstance(i.Order, i.Line)); a.InProgress() {
					c.Errorf("newInstance for an instance that queryInstance calls ready: expected 000000, got %v", a)
				}
			},
		},
	}
}

// everything is all that came back.
func (c *Case) everything(a *Answer) string {
	var b strings.Builder
	for name, values := range a.Header {
		fmt.Fprintln(&b, name, values)
	}
	return b.String() + string(a.Body)
}

// keyless expects that none of the keys of the run stands in an answer.
func (c *Case) keyless(s stop) string {
	const guessable = 6
	got := c.everything(s.answer)
	for _, key := range [][2]string{
		{"the base key", c.env.BaseKey},
		{"the general key", c.env.GeneralKey},
		{"the kit key", c.env.KitKey},
		{"the V1 key", c.env.V1Key},
		{"the license key", c.env.LicenseKey},
		{"the SK", c.env.SK},
	} {
		if len(key[1]) >= guessable && strings.Contains(got, key[1]) {
			return "expected no key in an answer, got " + key[0]
		}
	}
	return ""
}

// link is a check that an address in appInfo can be clicked.
func link(id, field string) Check {
	return Check{ID: id, Requirement: "QRY-8", Title: field + " is the whole address of a page, with http or https", Run: func(ctx context.Context, c *Case) {
		i := c.Open(ctx)
		e, _ := i.Ready.Entry(i.ID)
		var info map[string]json.RawMessage
		_ = json.Unmarshal(e.Fields["appInfo"], &info)
		address := text(info[field])
		if address == "" { // it is optional, or judged elsewhere
			return
		}
		if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			c.Errorf("appInfo.%s: expected an address such as https://app.example.com, got %q", field, shorten([]byte(address)))
		}
	}}
}

// count is how many entries there are about an instance.
func (a *Answer) count(id string) int {
	n := 0
	for _, e := range a.Info {
		if e.InstanceID == id {
			n++
		}
	}
	return n
}
