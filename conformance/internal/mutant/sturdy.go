package mutant

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// confirming answers success to trusted calls that match.
func confirming(matches func(c *call) bool) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if matches(c) && c.trusted() {
			return success().set("instanceId", "i-1")
		}
		return c.pass()
	})
}

// crashing answers status 500 to what matches.
func crashing(matches func(c *call) bool) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if matches(c) {
			return &answer{status: http.StatusInternalServerError, header: http.Header{}, raw: []byte("internal error")}
		}
		return c.pass()
	})
}

// spoiltMutants are wrong about one parameter of one call in one way.
func spoiltMutants() []Mutant {
	var found []Mutant
	for _, p := range []struct {
		activity, slug string
		params         []string
		long           []string
	}{
		{"newInstance", "new-instance", []string{"orderId", "orderLineId", "businessId"}, []string{"orderId", "orderLineId"}},
		{"queryInstance", "query-instance", []string{"instanceId"}, []string{"instanceId"}},
		{"refreshInstance", "refresh-instance", []string{"instanceId", "expireTime", "scene", "orderId", "orderLineId"}, []string{"instanceId"}},
		{"updateInstanceStatus", "instance-status", []string{"instanceId", "status"}, []string{"instanceId"}},
		{"releaseInstance", "release-instance", []string{"instanceId"}, nil},
		{"upgradeInstance", "upgrade-instance", []string{"instanceId", "orderId", "orderLineId"}, []string{"instanceId"}},
		{"changeInstanceCheck", "change-check", []string{"instanceId", "productInfo"}, []string{"instanceId"}},
		{"orderNotify", "order-notify", []string{"orderId", "orderLineId"}, []string{"orderId", "orderLineId"}},
	} {
		for _, param := range p.params {
			slug := "parameters/" + p.slug + "-with-%s-" + kebab(param) + "-is-refused"
			there := func(c *call) (any, bool) {
				v, there := c.body[param]
				return v, there && c.is(p.activity) && !c.debug()
			}
			found = append(found, Mutant{
				Name: fmt.Sprintf("%s takes an empty %s", p.activity, param), Warned: true, Caught: []string{fmt.Sprintf(slug, "empty")},
				Build: confirming(func(c *call) bool { v, ok := there(c); return ok && v == "" }),
			}, Mutant{
				Name: fmt.Sprintf("%s takes null for %s", p.activity, param), Warned: true, Caught: []string{"parameters/" + p.slug + "-with-null-as-" + kebab(param) + "-is-refused"},
				Build: confirming(func(c *call) bool { v, ok := there(c); return ok && v == nil }),
			})
			if param != "productInfo" {
				found = append(found, Mutant{
					Name: fmt.Sprintf("%s crashes at an object for %s", p.activity, param), Warned: true,
					Caught:  []string{"parameters/" + p.slug + "-with-object-as-" + kebab(param) + "-is-refused"},
					Allowed: []string{"answers/show-*"},
					Build:   crashing(func(c *call) bool { v, ok := there(c); _, is := v.(object); return ok && is }),
				})
			}
		}
		for _, param := range p.long {
			found = append(found, Mutant{
				Name: fmt.Sprintf("%s crashes at a long %s", p.activity, param), Warned: true, Allowed: []string{"answers/show-*"},
				Caught: []string{"parameters/" + p.slug + "-with-over-long-" + kebab(param) + "-is-refused"},
				Build: crashing(func(c *call) bool {
					s := c.text(param)
					return c.is(p.activity) && len(s) > 200 && !strings.Contains(s, ",")
				}),
			})
		}
		if p.activity != "queryInstance" {
			found = append(found, Mutant{
				Name: p.activity + " refuses unknown parameters", Warned: true, Caught: []string{"parameters/" + p.slug + "-ignores-unknown-parameters"},
				Build: wire(func(c *call) *answer {
					if c.is(p.activity) && c.text("channelCode") != "" && c.trusted() {
						return reply("000002", "channelCode is unknown")
					}
					return c.pass()
				}),
			})
		}
	}
	for _, p := range [][3]string{
		{"changeInstanceCheck", "change-check", "instanceId"},
		{"changeInstanceCheck", "change-check", "productInfo"},
		{"orderNotify", "order-notify", "orderId"},
		{"orderNotify", "order-notify", "orderLineId"},
	} {
		found = append(found, Mutant{
			Name: p[0] + " does not need " + p[2], Build: missing(p[0], p[2]), Warned: true, Caught: []string{"parameters/" + p[1] + "-needs-" + kebab(p[2])},
		})
	}
	return append(found, []Mutant{
		{Name: "takes every scene for a renewal", Build: confirming(func(c *call) bool { return c.text("scene") == "PAINTING" }), Caught: []string{"parameters/unknown-scene-is-refused"}, Warned: true},
		{
			Name: "takes a thirteenth month", Build: confirming(func(c *call) bool { return strings.HasPrefix(c.text("expireTime"), "203013") }),
			Caught: []string{"parameters/impossible-expiry-is-refused"}, Warned: true,
		},
		{
			Name: "takes a date for a time", Build: confirming(func(c *call) bool { return len(c.text("expireTime")) == 8 && c.text("expireTime") != "tomorrow" }),
			Caught: []string{"parameters/date-alone-as-expiry-is-refused"}, Warned: true,
		},
		{Name: "has room for businessIds of 36 characters", Build: wire(func(c *call) *answer {
			if n := len(c.text("businessId")); n > 36 && n <= 64 && c.trusted() {
				return reply("000005", "data too long for column")
			}
			return c.pass()
		}), Caught: []string{"parameters/longest-business-id-is-accepted"}, Warned: true},
		{Name: "has room for order lines of 40 characters", Build: wire(func(c *call) *answer {
			if n := len(c.text("orderLineId")); c.is("newInstance") && n > 40 && n <= 64 && c.trusted() {
				return reply("000005", "data too long for column")
			}
			return c.pass()
		}), Caught: []string{"parameters/longest-order-is-accepted"}, Warned: true},
	}...)
}

// kebab turns orderLineId into order-line-id.
func kebab(name string) string {
	return strings.ToLower(regexp.MustCompile(`[A-Z]`).ReplaceAllString(name, "-$0"))
}

// robustMutants stumble over unusual bodies and connections.
func robustMutants() []Mutant {
	has := func(text string) func(c *call) bool {
		return func(c *call) bool { return bytes.Contains(c.raw, []byte(text)) }
	}
	crash := func(name, check string, matches func(c *call) bool) Mutant {
		return Mutant{Name: name, Build: crashing(matches), Caught: []string{"robust/" + check}, Warned: true, Allowed: []string{"answers/show-*"}}
	}
	is := func(text string) func(c *call) bool { return func(c *call) bool { return string(c.raw) == text } }
	finds := func(name, check, id string) Mutant {
		return Mutant{Name: name, Build: wire(func(c *call) *answer {
			if c.is("queryInstance") && c.text("instanceId") == id && c.trusted() {
				return success().set("info", []any{object{"instanceId": "somebody-elses", "appInfo": object{"frontEndUrl": "https://app.example.com"}}})
			}
			return c.pass()
		}), Caught: []string{"robust/" + check}, Warned: true}
	}
	method := func(name string) Mutant {
		return Mutant{Name: "serves " + name, Build: wire(func(c *call) *answer {
			if c.method == name {
				c.method = http.MethodPost
			}
			return c.pass()
		}), Caught: []string{"robust/" + strings.ToLower(name) + "-is-refused"}, Warned: true}
	}
	return []Mutant{
		crash("crashes at null", "null-is-refused", is("null")),
		crash("crashes at a JSON text", "text-is-refused", func(c *call) bool { return bytes.HasPrefix(c.raw, []byte(`"`)) }),
		crash("crashes at a number", "number-is-refused", is("7")),
		crash("crashes at blanks", "blanks-are-refused", func(c *call) bool { return len(c.raw) > 0 && len(bytes.TrimSpace(c.raw)) == 0 }),
		crash("crashes at a web form", "form-is-refused", func(c *call) bool { return bytes.HasPrefix(c.raw, []byte("activity=")) }),
		crash("crashes at XML", "xml-is-refused", func(c *call) bool { return bytes.HasPrefix(c.raw, []byte("<?xml")) }),
		crash("crashes at a byte order mark", "byte-order-mark-is-survived", func(c *call) bool { return bytes.HasPrefix(c.raw, []byte("\ufeff")) }),
		crash("crashes at a newline", "trailing-newline-is-survived", func(c *call) bool { return bytes.HasSuffix(c.raw, []byte("}\r\n")) }),
		crash("crashes at text behind the object", "trailing-text-is-survived", func(c *call) bool { return bytes.HasSuffix(c.raw, []byte("} trailer")) }),
		crash("crashes at another encoding", "invalid-utf-8-is-survived", func(c *call) bool { return !utf8.Valid(c.raw) }),
		crash("crashes at half a character", "lone-surrogate-is-survived", has(`"\ud83d"`)),
		crash("crashes at a parameter that comes twice", "repeated-member-is-survived", func(c *call) bool { return bytes.Count(c.raw, []byte(`"instanceId":`)) == 2 }),
		crash("crashes at a huge number", "huge-number-is-survived", has("1e999999")),
		crash("crashes at deep nesting", "deep-nesting-is-survived", has(strings.Repeat("[", 1500))),
		crash("crashes at many parameters", "many-members-are-survived", has(`"memo1500":`)),
		crash("crashes at large bodies", "large-body-is-survived", func(c *call) bool { return len(c.raw) > 200_000 }),
		crash("crashes at a long nonce", "long-nonce-is-survived", func(c *call) bool { return len(c.query.Get("nonce")) > 500 }),
		crash("crashes at a huge timestamp", "huge-timestamp-is-refused", func(c *call) bool { return len(c.query.Get("timestamp")) > 20 }),
		finds("puts ids into the text of its SQL", "quote-in-an-id-finds-nothing", "x' OR '1'='1"),
		finds("looks for ids with LIKE", "wildcard-in-an-id-finds-nothing", "%"),
		crash("takes ids for patterns", "pattern-in-an-id-finds-nothing", func(c *call) bool { return c.text("instanceId") == ".*(" }),
		crash("hands NUL on to its database", "nul-in-an-id-is-survived", func(c *call) bool { return strings.Contains(c.text("instanceId"), "\x00") }),
		crash("crashes at commas alone", "commas-alone-are-survived", func(c *call) bool { return c.text("instanceId") == ",,," }),
		method(http.MethodPut),
		method(http.MethodDelete),
		{Name: "reads as many bytes as Content-Length says", Build: wire(func(c *call) *answer {
			if len(c.request.TransferEncoding) > 0 {
				c.raw, c.body = nil, nil
			}
			return c.pass()
		}), Caught: []string{"robust/chunked-body-is-accepted"}, Warned: true},
		{
			Name: "reads the body once", Build: readsOnce, Caught: []string{"robust/slow-body-is-accepted"}, Warned: true,
			Allowed: []string{"robust/*", "query-instance/*"},
		},
		{Name: "stumbles over what a cut connection left", Build: afterCut, Caught: []string{"robust/cut-connection-does-no-harm"}, Warned: true},
		{Name: "gives up an order when its caller hangs up", Build: remember(func() behaviour {
			var mu sync.Mutex
			stuck := map[string]bool{}
			return func(c *call) *answer {
				if !c.is("newInstance") || c.debug() {
					return c.pass()
				}
				mu.Lock()
				broken := stuck[c.text("orderLineId")]
				mu.Unlock()
				if broken {
					return reply("000005", "locked")
				}
				if c.gone() {
					mu.Lock()
					stuck[c.text("orderLineId")] = true
					mu.Unlock()
				}
				return c.pass()
			}
		}), Hurried: true, Caught: []string{"robust/caller-that-hangs-up-does-no-harm"}, Warned: true},
		{Name: "serves one caller at a time", Build: oneAtATime, Hurried: true, Caught: []string{"robust/idle-callers-block-nobody"}, Warned: true, Allowed: []string{"answers/come-*"}},
	}
}

// readsOnce takes what comes first for the whole body. What it has room for is less than a body that comes in pieces, so that it does not get
// all of that when it is late.
func readsOnce(isv *ISV) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 16<<10)
		n, _ := r.Body.Read(first)
		r.Body = io.NopCloser(bytes.NewReader(first[:n]))
		isv.Handler.ServeHTTP(w, r)
	})
}

var namesInstance = regexp.MustCompile(`"instanceId":"([^"]+)"`)

// afterCut loses the instance that a call named whose body did not come to its end.
func afterCut(isv *ISV) http.Handler {
	var mu sync.Mutex
	lost := map[string]bool{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		name := namesInstance.FindSubmatch(body)
		mu.Lock()
		if err != nil && name != nil {
			lost[string(name[1])] = true
		}
		gone := err == nil && name != nil && lost[string(name[1])]
		mu.Unlock()
		if gone {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		isv.Handler.ServeHTTP(w, r)
	})
}

// oneAtATime reads one request at a time, as a server with a single thread does.
func oneAtATime(isv *ISV) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		body, _ := io.ReadAll(r.Body)
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		isv.Handler.ServeHTTP(w, r)
	})
}
