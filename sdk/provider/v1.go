package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/secret"
	"github.com/isvkit/isvkit/sdk/signature"
)

// V1Config turns on the deprecated access interface V1.0, by which products that were listed before V2.0 keep being called, at
// the same production address. The Application is the same; see "V1" in the documentation of the package.
type V1Config struct {
	// Keys are the access keys of V1, as text. None: V1 is off. Several while the key is being changed. The key that a call
	// was signed with also signs and encrypts its answer.
	Keys []string

	// FieldSize is the algorithm that was chosen in the console for sensitive fields. Default: secret.AES256, the vendor's.
	FieldSize secret.FieldSize

	// Leeway is how far the timeStamp of a call may be from the clock. Default: not checked, because V1 documents no window; a
	// call overheard once then passes for ever.
	Leeway time.Duration
}

// String leaves the keys out.
func (c V1Config) String() string {
	return fmt.Sprintf("{Keys:%d redacted FieldSize:%v Leeway:%v}", len(c.Keys), c.FieldSize, c.Leeway)
}

// Format writes what String returns whatever the verb, so that no way of printing shows the keys.
func (c V1Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the keys out.
func (c V1Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// v1 is what serving V1 takes. It is nil without keys.
type v1 struct {
	verifier    *signature.V1
	encryptType string
	// sign gives the value of Body-Sign; an empty key is the first one, for answers to calls that no key has signed.
	sign func(key string, body []byte) string
	// crypt finds the cipher of the key that a call was signed with.
	crypt func(key string) *secret.Fields
}

func newV1(cfg V1Config, now func() time.Time) (*v1, error) {
	if len(cfg.Keys) == 0 {
		return nil, nil
	}
	if cfg.FieldSize == 0 {
		cfg.FieldSize = secret.AES256
	}
	verifier, err := signature.NewV1(signature.V1Config{Keys: cfg.Keys, Now: now, Leeway: cfg.Leeway})
	if err != nil {
		return nil, err
	}
	ciphers := make(map[string]*secret.Fields, len(cfg.Keys))
	for _, key := range cfg.Keys {
		if ciphers[key], err = secret.NewFields(key, cfg.FieldSize); err != nil {
			return nil, err
		}
	}
	first := cfg.Keys[0]
	return &v1{
		verifier: verifier, encryptType: cfg.FieldSize.EncryptType(),
		crypt: func(key string) *secret.Fields { return ciphers[key] },
		sign: func(key string, body []byte) string {
			if key == "" {
				key = first
			}
			return signature.BodySign(key, body)
		},
	}, nil
}

// acceptV1Query verifies a base call of V1 and compares it with the contract.
func (h *handler) acceptV1Query(r *http.Request, x *exchange) (in incoming, rep reply, ok bool) {
	q := r.URL.Query()
	key, err := h.v1.verifier.VerifyQuery(q)
	if isMismatch(err) {
		if mended, ok := mendBlanks(q); ok {
			if mendedKey, mendedErr := h.v1.verifier.VerifyQuery(mended); mendedErr == nil {
				q, key, err = mended, mendedKey, nil
			}
		}
	}
	if err != nil {
		rep := refusal(err, "authToken")
		if h.explainV1 != nil && isMismatch(err) {
			rep.reason += h.explainV1(q)
		}
		return in, rep, false
	}
	x.v1Key = key
	texts := make(map[string]string, len(q))
	for name, values := range q {
		texts[name] = values[0] // which is the one that the signature covers
	}
	call, known := providerapi.LookupV1(texts["activity"])
	switch {
	case texts["activity"] == "":
		return in, invalid("activity is missing"), false
	case !known || call.Class == providerapi.ClassKit:
		return in, invalid("activity is not one of the contract"), false
	}
	return checkedV1(call, texts, nil)
}

// acceptV1Body verifies a kit call of V1 and compares it with the contract.
func (h *handler) acceptV1Body(r *http.Request, name string, body []byte, x *exchange) (in incoming, rep reply, ok bool) {
	key, texts, err := h.v1.verifier.VerifyBodyFields(r.Header.Get("authToken"), body)
	if err != nil {
		return in, refusal(err, "authToken"), false
	}
	x.v1Key = key
	if _, twice := readFields(body); twice != "" {
		return in, invalid("the field " + clip(twice, 64) + " is given twice"), false
	}
	call, known := providerapi.LookupV1(name)
	if !known {
		return in, unsupported(name), false
	}
	return checkedV1(call, texts, body)
}

func checkedV1(call *providerapi.Call, texts map[string]string, body []byte) (in incoming, rep reply, ok bool) {
	in = incoming{call: call, v1: true, texts: texts, body: body}
	for name, text := range texts {
		if !utf8.ValidString(text) {
			return in, invalid("the value of " + clip(name, 64) + " is not UTF-8"), false
		}
	}
	if found := call.CheckText(texts); len(found) > 0 {
		return in, invalid(describe(found)), false
	}
	return in, reply{}, true
}

// mendBlanks makes blanks "+" again in the values that are Base64, and so have no blanks: a "+" that was not escaped in the
// query has become one.
func mendBlanks(q url.Values) (mended url.Values, ok bool) {
	for _, name := range []string{"mobilePhone", "email", "saasExtendParams"} {
		if value := q.Get(name); strings.Contains(value, " ") {
			if mended == nil {
				mended = maps.Clone(q)
			}
			mended[name] = []string{strings.ReplaceAll(value, " ", "+")}
		}
	}
	return mended, mended != nil
}

// asV2 is the activity of V2 that a call of V1 is passed on as.
func asV2(name string) providerapi.Activity {
	switch name {
	case "expireInstance", "instanceStatus":
		return providerapi.ActivityUpdateInstanceStatus
	case "upgrade":
		return providerapi.ActivityUpgradeInstance
	default:
		return providerapi.Activity(name)
	}
}

// serveV1 hands a base call of V1 to the same methods of the Application as V2.
func (h *handler) serveV1(ctx context.Context, in *incoming, x *exchange) reply {
	testFlag := providerapi.TestFlag(in.text("testFlag"))
	orderID := in.text("orderId")
	switch in.call.Name {
	case "newInstance":
		if x.orderLine == "" && in.text("chargingMode") == "0" { // several purchases would look like one
			return invalid("productId is missing, which identifies the purchase of an on-demand product")
		}
		order, problem := h.inlineOrder(in, x, marketplaceapi.OrderNew)
		if problem != "" {
			return invalid(problem)
		}
		rep := h.newInstance(ctx, x, NewInstance{NewInstanceCall: providerapi.NewInstanceCall{
			Activity: x.activity, TestFlag: testFlag, BusinessID: in.text("businessId"), OrderID: orderID, OrderLineID: x.orderLine,
		}, orders: inlineOrders(order)})
		return h.withAccess(ctx, rep, x)

	case "queryInstance":
		return h.encrypted(x, h.queryInstance(ctx, x, QueryInstance{providerapi.QueryInstanceCall{
			Activity: x.activity, TestFlag: testFlag, InstanceID: x.instanceID,
		}}))

	case "refreshInstance":
		scene, kind := providerapi.SceneRenewal, marketplaceapi.OrderRenew
		switch {
		case in.text("trialToFormal") == "1":
			scene, kind = providerapi.SceneTrialToFormal, marketplaceapi.OrderTrialToFormal
		case strings.HasPrefix(in.text("orderAmount"), "-") && strings.Trim(in.text("orderAmount"), "-0.") != "":
			scene, kind = providerapi.SceneUnsubscribeRenewalPeriod, marketplaceapi.OrderUnsubscribe
		}
		order, problem := h.inlineOrder(in, x, kind)
		if problem != "" {
			return invalid(problem)
		}
		call := RefreshInstance{RefreshInstanceCall: providerapi.RefreshInstanceCall{
			Activity: x.activity, TestFlag: testFlag, Scene: scene, InstanceID: x.instanceID,
			ExpireTime: in.text("expireTime"), OrderID: orderID, ProductID: in.text("productId"),
		}, orders: inlineOrders(order)}
		if _, err := parseExpiry(call.ExpireTime); err != nil {
			return invalid("expireTime is no date of the form yyyyMMddHHmmss")
		}
		return h.plain(ctx, x, func(ctx context.Context) error { return h.app.RefreshInstance(ctx, call) })

	case "expireInstance", "instanceStatus":
		call := UpdateInstanceStatus{providerapi.UpdateInstanceStatusCall{
			Activity: x.activity, TestFlag: testFlag, InstanceID: x.instanceID, Status: providerapi.StatusFreeze,
		}}
		if in.text("instanceStatus") == "NORMAL" {
			call.Status = providerapi.StatusUnfreeze
		}
		return h.plain(ctx, x, func(ctx context.Context) error { return h.app.UpdateInstanceStatus(ctx, call) })

	case "releaseInstance":
		// OrderID stays empty: in V2 it says that the buyer unsubscribed, in V1 it is always the purchase.
		call := ReleaseInstance{providerapi.ReleaseInstanceCall{Activity: x.activity, TestFlag: testFlag, InstanceID: x.instanceID}}
		return h.plain(ctx, x, func(ctx context.Context) error { return h.app.ReleaseInstance(ctx, call) })

	case "upgrade":
		app, ok := h.app.(Upgrader)
		if !ok {
			return unsupported(in.call.Name)
		}
		order, problem := h.inlineOrder(in, x, marketplaceapi.OrderChange)
		if problem != "" {
			return invalid(problem)
		}
		call := UpgradeInstance{UpgradeInstanceCall: providerapi.UpgradeInstanceCall{
			Activity: x.activity, TestFlag: testFlag, InstanceID: x.instanceID, OrderID: orderID,
		}, orders: inlineOrders(order)}
		return h.plain(ctx, x, func(ctx context.Context) error { return app.UpgradeInstance(ctx, call) })
	}
	return unsupported(in.call.Name)
}

// withAccess adds to the answer of newInstance how the buyer gets in, which V2 asks for with queryInstance.
func (h *handler) withAccess(ctx context.Context, rep reply, x *exchange) reply {
	if rep.code != providerapi.ResultSuccess {
		return rep
	}
	asked := h.queryInstance(ctx, x, QueryInstance{providerapi.QueryInstanceCall{
		Activity: providerapi.ActivityQueryInstance, InstanceID: rep.instanceID,
	}})
	switch asked.code {
	case providerapi.ResultSuccess:
		rep.info = asked.info
	case providerapi.ResultInstanceNotFound: // the buyer is told in another way
		rep.reason = note(rep.reason, "without access information: "+asked.reason)
		return rep
	case providerapi.ResultInProgress:
		rep.code, rep.reason = asked.code, note(rep.reason, "the instance exists, queryInstance says that it is not open yet")
		return rep
	default:
		asked.reason = "the instance exists, but queryInstance failed: " + asked.reason
		asked.code, asked.msg = providerapi.ResultInternalError, ""
		return asked
	}
	if rep = h.encrypted(x, rep); rep.code != providerapi.ResultSuccess {
		return rep
	}
	if app := &rep.info[0].AppInfo; *app != (AppInfo{}) {
		rep.appInfo = app
	}
	rep.info = nil
	return rep
}

// encrypted encrypts what V1 wants encrypted in an answer.
func (h *handler) encrypted(x *exchange, rep reply) reply {
	crypt := h.v1.crypt(x.v1Key)
	for i := range rep.info {
		app := &rep.info[i].AppInfo
		for _, field := range []struct {
			name string
			text *string
		}{{"userName", &app.UserName}, {"password", &app.Password}} {
			if *field.text == "" {
				continue
			}
			text, err := crypt.Encrypt(*field.text)
			if err != nil {
				return internal("the Application's answer breaks the contract of V1: entry %d: appInfo.%s: %v", i, field.name, err)
			}
			*field.text, rep.encryptType = text, h.v1.encryptType
		}
	}
	return rep
}

// inlineOrder makes the order of what V1 sends along. What it does not send stays zero.
func (h *handler) inlineOrder(in *incoming, x *exchange, kind marketplaceapi.OrderType) (order *marketplaceapi.OrderInfo, problem string) {
	crypt := h.v1.crypt(x.v1Key)
	decrypt := func(name string) string {
		text := in.text(name)
		if text == "" || problem != "" {
			return ""
		}
		plain, err := crypt.Decrypt(text)
		if err != nil {
			problem = name + " cannot be decrypted"
		}
		return plain
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(in.text(name)) // the contract check has seen it
		return n
	}
	if in.text("trialFlag") == "1" {
		kind = marketplaceapi.OrderTrial
	}
	line := marketplaceapi.OrderLine{
		OrderLineID: x.orderLine, ChargingMode: chargingModes[in.text("chargingMode")], ExpireTime: in.text("expireTime"),
		PeriodType: marketplaceapi.PeriodType(in.text("periodType")), PeriodNumber: number("periodNumber"),
		CurrencyAfterDiscount: in.text("orderAmount"),
	}
	if line.ChargingMode == "" && (line.PeriodType != "" || in.call.Name == "refreshInstance" || in.call.Name == "upgrade") {
		line.ChargingMode = marketplaceapi.ChargingPeriod // nothing else is renewed or upgraded
	}
	product := marketplaceapi.ProductInfo{ProductID: in.text("productId"), SKUCode: in.text("skuCode")}
	for _, name := range []string{"amount", "diskSize", "bandWidth"} { // one SKU has one of them
		if product.LinearValue == 0 {
			product.LinearValue = number(name)
		}
	}
	if product != (marketplaceapi.ProductInfo{}) {
		line.ProductInfo = []marketplaceapi.ProductInfo{product}
	}
	var err error
	if line.ExtendParams, err = extendParams(in.text("saasExtendParams")); err != nil {
		return nil, "saasExtendParams is no Base64 of a JSON array of names and values"
	}
	order = &marketplaceapi.OrderInfo{
		OrderID: in.text("orderId"), OrderType: kind,
		BuyerInfo: marketplaceapi.BuyerInfo{
			CustomerID: in.text("customerId"), CustomerName: in.text("customerName"),
			UserID: in.text("userId"), UserName: in.text("userName"),
			MobilePhone: decrypt("mobilePhone"), Email: decrypt("email"),
		},
		OrderLine: []marketplaceapi.OrderLine{line},
	}
	return order, problem
}

var chargingModes = map[string]marketplaceapi.ChargingMode{
	"0": marketplaceapi.ChargingOnDemand, "1": marketplaceapi.ChargingPeriod,
	"3": marketplaceapi.ChargingOneTime, "5": marketplaceapi.ChargingPackage,
}

// v1OrderLine is what stands for the order line id, which V1 does not have: together with the order id it identifies a
// purchase. That is the product id for on-demand, because an order with several billing items makes one call for each, and
// empty for all else.
func v1OrderLine(in *incoming) string {
	if in.call.Name == "newInstance" && chargingModes[in.text("chargingMode")] == marketplaceapi.ChargingOnDemand {
		return in.text("productId")
	}
	return ""
}

func inlineOrders(info *marketplaceapi.OrderInfo) *orders {
	o := newOrders(nil)
	o.info = info
	return o
}

// extendParams decodes saasExtendParams: Base64 of a JSON array, that may still be URL-encoded.
func extendParams(text string) ([]marketplaceapi.ExtendParam, error) {
	if text == "" {
		return nil, nil
	}
	if strings.Contains(text, "%") {
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return nil, err
		}
		text = decoded
	}
	text = strings.TrimRight(strings.ReplaceAll(text, " ", "+"), "=")
	data, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	var all []struct {
		Name  string `json:"name"`
		Value any    `json:"value"`
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	params := make([]marketplaceapi.ExtendParam, len(all))
	for i, p := range all {
		if p.Name == "" {
			return nil, errors.New("a parameter has no name")
		}
		params[i].Name = p.Name
		switch value := p.Value.(type) {
		case nil:
		case string:
			params[i].Value = value
		default:
			text, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			params[i].Value = string(text)
		}
	}
	return params, nil
}
