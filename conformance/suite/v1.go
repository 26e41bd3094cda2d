package suite

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sdk/secret"
)

// v1World is what the checks of V1 share.
type v1World struct {
	once   sync.Once
	shared *v1Instance
	err    string
	tour   onceTour
}

// v1Instance is an instance that was opened by V1, and the order that it came from.
type v1Instance struct {
	ID    string
	Order marketplaceapi.OrderInfo
	call  Params  // newInstance, for repeats
	New   *Answer // to the newInstance that succeeded
}

// v1ChargingModes is how V1 writes the charging modes.
var v1ChargingModes = map[string]string{Period: "1", OneTime: "3", OnDemand: "0", Package: "5"}

// v1NewInstance is the call for the first line of an order; V1 sends along what V2 has the ISV ask for.
func (c *Case) v1NewInstance(order marketplaceapi.OrderInfo) Params {
	product := order.OrderLine[0].ProductInfo[0]
	p := Params{
		"activity": "newInstance", "businessId": c.uuid(), "orderId": order.OrderID, "customerId": order.BuyerInfo.CustomerID,
		"customerName": order.BuyerInfo.CustomerName, "chargingMode": v1ChargingModes[c.Mode], "productId": product.ProductID, "skuCode": product.SKUCode,
		"amount": strconv.Itoa(product.LinearValue), "orderAmount": "100.000",
	}
	if c.Mode == Period || c.Mode == Package {
		p["periodType"], p["periodNumber"], p["expireTime"] = "year", "1", inAYear()
	}
	return p
}

// again is the same call as the marketplace repeats it: with another businessId.
func (c *Case) again(p Params) Params { return p.With("businessId", c.uuid()) }

func (c *Case) v1Refresh(i *v1Instance) Params {
	return Params{
		"activity": "refreshInstance", "orderId": c.ids.orderID(), "instanceId": i.ID, "expireTime": inAYear(), "periodType": "year", "periodNumber": "1",
		"orderAmount": "100.000",
	}
}

func v1Expire(i *v1Instance) Params {
	return Params{"activity": "expireInstance", "instanceId": i.ID, "orderId": i.Order.OrderID}
}

func v1Release(i *v1Instance) Params {
	return Params{"activity": "releaseInstance", "instanceId": i.ID, "orderId": i.Order.OrderID}
}

func v1Status(i *v1Instance, status string) Params {
	return Params{"activity": "instanceStatus", "instanceId": i.ID, "instanceStatus": status}
}

func v1Query(ids string) Params { return Params{"activity": "queryInstance", "instanceId": ids} }

func (c *Case) v1Upgrade(i *v1Instance) Params {
	return Params{
		"activity": "upgrade", "instanceId": i.ID, "orderId": c.ids.orderID(), "skuCode": "0a4d1578-5295-46a7-92d4-7c803dccc51d",
		"productId": "OFFI000000000000000009", "amount": "20",
	}
}

// madeUp is an instance that the ISV has never heard of, as debug calls name.
func (c *Case) madeUp() *v1Instance {
	order := c.newOrder(marketplaceapi.OrderNew, 1)
	return &v1Instance{ID: c.uuid(), Order: order, call: c.v1NewInstance(order)}
}

func (c *Case) unknownV1() *v1Instance {
	i := c.madeUp()
	i.ID = c.unknownID()
	return i
}

// v1New makes newInstance succeed: one that is answered 000004 is made again, as the marketplace would.
func (c *Case) v1New(ctx context.Context, order marketplaceapi.OrderInfo, p Params) *v1Instance {
	deadline := time.Now().Add(c.env.ReadyLimit)
	polls := c.talk.mark()
	ids := source{seed: c.ids.seed, name: c.ids.name + ", made again"} // how many it takes is a matter of time, and must not change other ids
	for wait := c.env.PollEvery; ; wait = min(2*wait, 5*time.Second) {
		c.talk.rewind(polls)
		a := c.exchange(ctx, "V1 newInstance", c.env.v1Request(p))
		c.needAnswer(ctx, "V1 newInstance", a)
		if a.Succeeded() || !a.InProgress() || time.Now().Add(wait).After(deadline) {
			c.requests = append(c.requests, c.env.v1Request(p))
			return c.v1Accepted(ctx, order, p, a)
		}
		if !pause(ctx, wait) {
			panic(stopped{Error})
		}
		p = p.With("businessId", ids.uuid())
	}
}

func (c *Case) v1Accepted(ctx context.Context, order marketplaceapi.OrderInfo, p Params, a *Answer) *v1Instance {
	switch {
	case a.InProgress():
		c.Fatalf("V1 newInstance: expected 000000 within %v, got %v to the last repeat", c.env.ReadyLimit, a)
	case !a.Succeeded():
		c.Fatalf("V1 newInstance: expected 000000, got %v", a)
	case a.InstanceID == "":
		c.Fatalf("V1 newInstance: expected an instanceId beside %s, got none", a.Code)
	}
	_ = c.env.Market.RegisterInstance(ctx, order.OrderLine[0].OrderLineID, a.InstanceID) // so that usage pushed for it counts
	return &v1Instance{ID: a.InstanceID, Order: order, call: p, New: a}
}

// v1Open makes an order and an instance, as set-up.
func (c *Case) v1Open(ctx context.Context) *v1Instance {
	var i *v1Instance
	c.preparing(func() {
		order := c.Order(ctx, marketplaceapi.OrderNew, 1)
		i = c.v1New(ctx, order, c.v1NewInstance(order))
	})
	return i
}

// v1Shared is an instance that all checks of V1 share. Its newInstance may be repeated, and nothing else.
func (c *Case) v1Shared(ctx context.Context) *v1Instance {
	w := &c.env.v1
	w.once.Do(func() {
		open := Check{ID: "the shared instance of V1", Run: func(ctx context.Context, c *Case) { w.shared = c.v1Open(ctx) }}
		if r := Execute(ctx, c.env, &open, (&Check{}).Mode(c.env.Charging)); r.Status != Pass {
			w.shared, w.err = nil, "it needs an instance of V1: "+strings.Join(r.Messages, "; ")
		}
	})
	if w.shared == nil {
		if ctx.Err() != nil {
			panic(stopped{Error})
		}
		c.skip(w.err)
	}
	return w.shared
}

// v1StillThere expects an instance to be there after something that must not have touched it. How that can be seen depends on the mode.
func (c *Case) v1StillThere(ctx context.Context, after string, i *v1Instance) {
	if c.Mode == OnDemand || c.Mode == Package {
		a := c.SendV1(ctx, v1Query(i.ID))
		if _, ok := a.Entry(i.ID); !a.Succeeded() || !ok {
			c.Errorf("V1 queryInstance after %s: expected 000000 with an entry for the instance, got %v with %s", after, a, entries(a))
		}
		return
	}
	c.WantSuccess("V1 refreshInstance after "+after, c.SendV1(ctx, c.v1Refresh(i)))
}

// extendParams is how V1 writes what the buyer entered while ordering.
func extendParams(pairs ...[2]string) string {
	type param struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	all := make([]param, len(pairs))
	for n, p := range pairs {
		all[n] = param{p[0], p[1]}
	}
	text, _ := json.Marshal(all) // texts
	return base64.StdEncoding.EncodeToString(text)
}

// appInfos are the access data in an answer.
func appInfos(a *Answer) []map[string]json.RawMessage {
	var infos []map[string]json.RawMessage
	read := func(raw json.RawMessage) {
		var info map[string]json.RawMessage
		if json.Unmarshal(raw, &info) == nil && info != nil {
			infos = append(infos, info)
		}
	}
	read(a.Fields["appInfo"])
	for _, e := range a.Info {
		read(e.Fields["appInfo"])
	}
	return infos
}

// v1Fields opens and seals fields with the key of V1.
func (c *Case) v1Fields(size secret.FieldSize) *secret.Fields {
	f, err := secret.NewFields(c.env.V1Key, size)
	if err != nil {
		c.abort("%v", err)
	}
	return f
}

// fieldSize is what encryptType of an answer says.
func fieldSize(a *Answer) (secret.FieldSize, bool) {
	switch text(a.Fields["encryptType"]) {
	case "", "1":
		return secret.AES256, true
	case "2":
		return secret.AES128, true
	}
	return 0, false
}

// timeStampOf is the timeStamp that a V1 request went out with, as far as the answer's transcript tells.
func timeStampOf(a *Answer) string {
	if a.talk == nil {
		return ""
	}
	attempts, _ := a.talk.taken()
	for _, at := range attempts {
		if _, after, found := strings.Cut(at.URL, "timeStamp="); found {
			stamp, _, _ := strings.Cut(after, "&")
			return stamp
		}
	}
	return ""
}

// v1Tour sends one call of every kind to V1, and what must be refused.
func v1Tour(ctx context.Context, c *Case) []stop {
	return c.tourOf(ctx, "the tour of V1", &c.env.v1.tour, func(ctx context.Context, c *Case, send func(string, curl.Request, bool) *Answer) {
		sendP := func(what string, p Params) { send(what, c.env.v1Request(p), false) }
		debug := c.madeUp()
		sendP("debug newInstance", debug.call.Debug())
		sendP("debug releaseInstance", v1Release(debug).Debug())
		i := c.v1Open(ctx)
		sendP("newInstance again", c.again(i.call))
		switch c.Mode {
		case Period:
			sendP("refreshInstance", c.v1Refresh(i))
			sendP("refreshInstance of an unknown instance", c.v1Refresh(c.unknownV1()))
			sendP("expireInstance", v1Expire(i))
		case OnDemand, Package:
			sendP("queryInstance", v1Query(i.ID))
			sendP("queryInstance of an unknown instance", v1Query(c.unknownID()))
			sendP("instanceStatus", v1Status(i, "FREEZE"))
		}
		sendP("newInstance without orderId", i.call.Without("orderId"))
		sendP("a call with an unknown activity", v1Release(i).With("activity", "paintInstance"))
		wrong := c.env.v1Request(i.call)
		wrong.Key = "not-the-key-of-this-isv"
		send("newInstance with a wrong authToken", wrong, true)
		sendP("releaseInstance", v1Release(i))
	})
}
