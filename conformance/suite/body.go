package suite

import (
	"bytes"
	"encoding/json"
	"maps"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// Body is the body of a call before it is written down. It is written with its members sorted and without blanks, as the
// marketplace does.
type Body map[string]any

// With returns a copy with one member set.
func (b Body) With(name string, value any) Body {
	c := maps.Clone(b)
	c[name] = value
	return c
}

// Without returns a copy with one member left out.
func (b Body) Without(name string) Body {
	c := maps.Clone(b)
	delete(c, name)
	return c
}

// Debug returns a copy with testFlag "1".
func (b Body) Debug() Body { return b.With("testFlag", "1") }

// Activity is the call's name.
func (b Body) Activity() string {
	name, _ := b["activity"].(string)
	return name
}

// Text writes the body.
func (b Body) Text() string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any(b)); err != nil {
		panic("suite: body: " + err.Error()) // bodies are made of texts and maps only
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

// newInstance is the call for one line of an order, with a businessId of its own, as each attempt has.
func (c *Case) newInstance(order marketplaceapi.OrderInfo, line int) Body {
	return Body{
		"activity":    "newInstance",
		"businessId":  c.uuid(),
		"orderId":     order.OrderID,
		"orderLineId": order.OrderLine[line].OrderLineID,
	}
}

func queryInstance(ids string) Body { return Body{"activity": "queryInstance", "instanceId": ids} }

func refreshInstance(order marketplaceapi.OrderInfo, instance, scene, expire string) Body {
	return Body{
		"activity":    "refreshInstance",
		"expireTime":  expire,
		"instanceId":  instance,
		"orderId":     order.OrderID,
		"orderLineId": order.OrderLine[0].OrderLineID,
		"scene":       scene,
	}
}

func updateStatus(instance, status string) Body {
	return Body{"activity": "updateInstanceStatus", "instanceId": instance, "status": status}
}

func releaseInstance(instance string) Body {
	return Body{"activity": "releaseInstance", "instanceId": instance}
}

func upgradeInstance(order marketplaceapi.OrderInfo, instance string) Body {
	return Body{
		"activity":    "upgradeInstance",
		"instanceId":  instance,
		"orderId":     order.OrderID,
		"orderLineId": order.OrderLine[0].OrderLineID,
	}
}

func changeCheck(instance string) Body {
	return Body{"activity": "changeInstanceCheck", "instanceId": instance, "productInfo": targetProduct()}
}

func targetProduct() map[string]any {
	return map[string]any{
		"linearValue": 20,
		"productId":   "OFFI000000000000000001",
		"productName": "Conformance product, larger",
		"skuCode":     "0a4d1578-5295-46a7-92d4-7c803dccc51d",
	}
}

func orderNotify(order marketplaceapi.OrderInfo) Body {
	return Body{"activity": "orderNotify", "orderId": order.OrderID, "orderLineId": order.OrderLine[0].OrderLineID}
}
