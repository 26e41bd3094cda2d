package mutant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	orderQueryPath = "/api/mkp-openapi-public/global/v1/order/query"
	usagePushPath  = "/api/mkp-openapi-public/global/v1/isv/usage-data"
)

// ask sends one request to the marketplace, signed with AK/SK.
func (i *ISV) ask(ctx context.Context, method, path string, body []byte, sk string, header http.Header) {
	req, err := http.NewRequestWithContext(ctx, method, i.MarketURL+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	if err := (signature.Credentials{AK: i.Keys.AK, SK: sk}).SignRequest(req, body, time.Now()); err != nil {
		panic(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// alsoAsks makes an ISV that sends one more order query when it gets a newInstance.
func alsoAsks(query func(orderID string) string, sk func(Keys) string) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		a := c.pass()
		if c.is("newInstance") && a.ok() && !c.debug() {
			c.isv.ask(c.request.Context(), http.MethodGet, orderQueryPath+query(c.text("orderId")), nil, sk(c.isv.Keys), nil)
		}
		return a
	})
}

func orderMutants() []Mutant {
	return []Mutant{
		{
			Name: "signs order queries with another SK", Build: alsoAsks(func(id string) string { return "?orderId=" + id }, func(Keys) string { return "another-sk" }),
			Caught: []string{"order-query/is-signed"},
		},
		{
			Name: "misspells orderId", Build: alsoAsks(func(id string) string { return "?orderid=" + id }, func(k Keys) string { return k.SK }),
			Caught: []string{"order-query/names-the-order"},
		},
		{
			Name: "asks for a line that the order does not have", Build: alsoAsks(func(id string) string { return "?orderId=" + id + "&orderLineId=1" }, func(k Keys) string { return k.SK }),
			Caught: []string{"order-query/names-the-order"},
		},
		{
			Name: "does not ask for orders", Build: app(func(a *App) { a.incurious = true }), Caught: []string{"order-query/orders-are-asked-for"},
			Allowed: []string{"usage/*-instance-shows-its-usage"},
		},
	}
}

// shown changes the entries of usageInfo.
func shown(change func(usage object)) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		return c.pass().entries(func(e object) {
			list, _ := e["usageInfo"].([]any)
			for _, u := range list {
				if usage, ok := u.(object); ok && c.text("testFlag") == "" {
					change(usage)
				}
			}
		})
	})
}

// pushes adds a push of a record to the first query of each on-demand instance. The record may be spoiled, and the key wrong.
func pushes(key func(Keys) string, spoil func(n int, record object)) func(*ISV) http.Handler {
	return func(isv *ISV) http.Handler {
		isv.App.Quiet = true
		var mu sync.Mutex
		seen := map[string]bool{}
		return behaviour(func(c *call) *answer {
			a := c.pass()
			id := c.text("instanceId")
			mu.Lock()
			first := c.is("queryInstance") && a.ok() && !seen[id] && isv.App.mode(id) == marketplaceapi.ChargingOnDemand
			seen[id] = seen[id] || first
			n := len(seen)
			mu.Unlock()
			if first {
				isv.push(c.request.Context(), key(isv.Keys), id, n, spoil)
			}
			return a
		}).handler(isv)
	}
}

func (i *ISV) push(ctx context.Context, key, id string, n int, spoil func(int, object)) {
	begin := time.Now().UTC().Truncate(time.Second)
	const layout = "20060102T150405Z"
	record := object{
		"instance_id": id, "begin_time": begin.Format(layout), "end_time": begin.Add(time.Second).Format(layout), "record_time": begin.Format(layout),
		"usage_value": "0.25", "metering_sn": fmt.Sprintf("%s-%d", id[:min(16, len(id))], n),
	}
	if spoil != nil {
		spoil(n, record)
	}
	body, err := json.Marshal(object{"usage_records": []any{record}})
	if err != nil {
		panic(err)
	}
	usage, err := signature.NewUsage(signature.Config{Keys: []string{key}})
	if err != nil {
		panic(err)
	}
	params, err := usage.Sign(body)
	if err != nil {
		panic(err)
	}
	i.ask(ctx, http.MethodPost, usagePushPath, body, i.Keys.SK, http.Header{
		"Signature": {params.Signature}, "Ts": {params.Timestamp}, "Nonce": {params.Nonce},
	})
}

func usageMutants() []Mutant {
	right := func(k Keys) string { return k.Base }
	drops := func(mode marketplaceapi.ChargingMode, name string) Mutant {
		return Mutant{Name: "shows no usage of " + name + " instances", Build: wire(func(c *call) *answer {
			return c.pass().entries(func(e object) {
				if c.isv.App.mode(fmt.Sprint(e["instanceId"])) == mode {
					delete(e, "usageInfo")
				}
			})
		}), Caught: []string{"usage/" + name + "-instance-shows-its-usage"}}
	}
	return []Mutant{
		drops(marketplaceapi.ChargingOnDemand, "on-demand"),
		drops(marketplaceapi.ChargingPackage, "package"),
		{Name: "shows usage as text", Build: shown(func(u object) { u["usageValue"] = "12.5" }), Caught: []string{"usage/values-are-numbers"}},
		{Name: "shows usage with six decimals", Build: shown(func(u object) { u["usageValue"] = 1.234567 }), Caught: []string{"usage/values-are-numbers"}},
		{Name: "shows usage without a time", Build: shown(func(u object) { delete(u, "statisticalTime") }), Caught: []string{"usage/values-are-numbers"}},
		{
			Name: "shows the time with dashes", Build: shown(func(u object) { u["statisticalTime"] = "2022-11-24 02:36:18" }),
			Caught: []string{"usage/statistical-time-is-well-formed"},
		},
		{Name: "shows the time of Beijing", Build: shown(func(u object) {
			u["statisticalTime"] = time.Now().UTC().Add(8*time.Hour).Format("20060102150405") + "000"
		}), Caught: []string{"usage/statistical-time-is-utc"}, Warned: true},
		{Name: "signs pushes with another key", Build: pushes(func(Keys) string { return "another-key" }, nil), Caught: []string{"usage/pushes-are-signed"}},
		{Name: "pushes a usage of 0", Build: pushes(right, func(_ int, r object) { r["usage_value"] = "0" }), Caught: []string{"usage/records-are-accepted", "usage/records-have-whole-values"}},
		{Name: "pushes five decimals", Build: pushes(right, func(_ int, r object) { r["usage_value"] = "0.12345" }), Caught: []string{"usage/records-are-accepted", "usage/records-have-whole-values"}},
		{
			Name: "pushes for instances of others", Build: pushes(right, func(_ int, r object) { r["instance_id"] = "somebody-elses" }),
			Caught: []string{"usage/records-are-accepted"},
		},
		{Name: "uses a metering_sn twice", Build: pushes(right, func(_ int, r object) { r["metering_sn"] = "sn-1" }), Caught: []string{"usage/records-have-ids-of-their-own"}},
		{Name: "pushes times of Beijing", Build: pushes(right, func(_ int, r object) {
			for _, name := range []string{"begin_time", "end_time", "record_time"} {
				at, _ := time.Parse("20060102T150405Z", fmt.Sprint(r[name]))
				r[name] = at.Add(8 * time.Hour).Format("20060102T150405Z")
			}
		}), Caught: []string{"usage/records-are-timely"}, Allowed: []string{"usage/records-are-accepted"}},
	}
}

// frozen reports whether an instance is frozen.
func (a *App) frozen(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.instances[id]
	return i != nil && i.frozen
}

// Matches reports whether a check is covered by a list of ids and patterns, in which * is any text.
func Matches(patterns []string, id string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		parts := strings.Split(p, "*")
		rest, ok := strings.CutPrefix(id, parts[0])
		for n, part := range parts[1:] {
			at := strings.Index(rest, part)
			if n == len(parts)-2 {
				at = len(rest) - len(part)
				ok = ok && strings.HasSuffix(rest, part)
			}
			if ok = ok && at >= 0; !ok {
				return false
			}
			rest = rest[at+len(part):]
		}
		return ok && rest == ""
	})
}
