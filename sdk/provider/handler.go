package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/signature"
)

type handler struct {
	app           Application
	cfg           Config
	base, general *signature.Base // nil without keys of the class, like the following
	license       *signature.Base
	kit           *signature.Kit
	// explain says which mistake a signature was made with, for the log; nil unless Config.Explain.
	explain   func(class providerapi.Class, params signature.Params, body []byte) string
	explainV1 func(q url.Values) string
	v1        *v1 // nil without keys of V1

	mu      sync.Mutex
	flights map[OrderLineKey]*flight
}

// reply is what a call is answered with, and why.
type reply struct {
	code        ResultCode
	msg         string // for the peer; "" is the standard text of the code
	instanceID  string // newInstance
	info        []InstanceInfo
	appInfo     *AppInfo // newInstance of V1
	encryptType string   // V1
	reason      string   // for the log
	stack       string   // for the log, after a panic
}

func internal(format string, args ...any) reply {
	return reply{code: providerapi.ResultInternalError, reason: fmt.Sprintf(format, args...)}
}

func invalid(msg string) reply {
	return reply{code: providerapi.ResultInvalidParameter, msg: msg, reason: msg}
}

// exchange is what the log says about a call besides its reply. It is filled only once the signature was right.
type exchange struct {
	activity   providerapi.Activity
	orderLine  string
	instanceID string
	debug      bool

	v1      bool   // known before the signature is verified
	v1Key   string // the access key that signed the call; never logged
	v1Name  string // the activity, which is another one than that of V2
	orderID string
}

// ServeHTTP answers one call. The answer is HTTP 200 and JSON whatever happens.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.cfg.Now()
	var x exchange
	rep := h.guarded(w, r, &x)
	h.finish(w, r, &x, rep, start)
}

// finish writes the answer and the log line.
func (h *handler) finish(w http.ResponseWriter, r *http.Request, x *exchange, rep reply, start time.Time) {
	body, err := rep.encode()
	if err != nil {
		rep = internal("the answer cannot be encoded: %v", err)
		body, _ = rep.encode()
	}
	header := w.Header()
	if x.v1 {
		body = ascii(body)
		header.Set("Body-Sign", h.v1.sign(x.v1Key, body))
	}
	header.Set("Content-Type", "application/json;charset=utf-8")
	header.Set("Cache-Control", "no-store") // answers to queryInstance hold passwords
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(body) //nolint:gosec // JSON, and sent as such
	h.log(r, *x, rep, h.cfg.Now().Sub(start), err)
}

// guarded is serve, with every panic turned into a reply.
func (h *handler) guarded(w http.ResponseWriter, r *http.Request, x *exchange) (rep reply) {
	defer func() {
		if p := recover(); p != nil {
			rep = panicked(p)
		}
	}()
	return h.serve(w, r, x)
}

func panicked(p any) reply {
	rep := internal("panic: %v", p)
	rep.stack = string(debug.Stack())
	return rep
}

// incoming is a call that is signed and as the contract says.
type incoming struct {
	call   *providerapi.Call
	body   []byte
	fields fields
	v1     bool
	texts  map[string]string // V1: the parameters, or the body's fields, as text
}

// text is a field that the contract check found to be text, or absent.
func (in *incoming) text(name string) string {
	if in.v1 {
		return in.texts[name]
	}
	return in.fields.text(name)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, x *exchange) reply {
	in, rep, ok := h.accept(w, r, x)
	if !ok {
		return rep
	}
	return h.dispatch(r.Context(), &in, x)
}

// accept reads and verifies a call and compares it with the contract. If it is not ok, rep answers it.
func (h *handler) accept(w http.ResponseWriter, r *http.Request, x *exchange) (in incoming, rep reply, ok bool) {
	if h.v1 != nil && r.Method == http.MethodGet {
		x.v1 = true
		if in, rep, ok = h.acceptV1Query(r, x); in.call != nil {
			x.take(&in)
		}
		return in, rep, ok
	}
	if r.Method != http.MethodPost {
		return in, invalid("expected the method POST"), false
	}
	rest, name := kitName(r.URL.Path)
	x.v1 = h.v1 != nil && name != "" && endsIn(rest, "produceAPI")
	body, err := h.read(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return in, invalid(fmt.Sprintf("the body is longer than %d bytes", tooLarge.Limit)), false
		}
		rep := invalid("the body cannot be read")
		rep.reason = "read the body: " + err.Error()
		return in, rep, false
	}
	switch {
	case x.v1:
		in, rep, ok = h.acceptV1Body(r, name, body, x)
	case name != "" && endsIn(rest, "produceAPI/v2"):
		in, rep, ok = h.acceptKit(r, name, body)
	default:
		in, rep, ok = h.acceptBase(r, body)
	}
	if in.call != nil {
		x.take(&in)
	}
	return in, rep, ok
}

func (x *exchange) take(in *incoming) {
	x.activity = providerapi.Activity(in.call.Name)
	x.orderLine, x.instanceID = in.text("orderLineId"), in.text("instanceId")
	if in.v1 {
		x.activity, x.v1Name = asV2(in.call.Name), in.call.Name
		x.orderLine, x.orderID = v1OrderLine(in), in.text("orderId")
	}
	if in.call.Class == providerapi.ClassKit {
		x.debug = in.number("testFlag") == int(providerapi.KitTestFlagDebug)
	} else {
		x.debug = in.text("testFlag") == string(providerapi.TestFlagDebug)
	}
}

// acceptBase verifies a call of the base, general or license class and compares it with the contract.
func (h *handler) acceptBase(r *http.Request, body []byte) (in incoming, rep reply, ok bool) {
	object := isObject(body)
	if rep, ok := h.verify(r, body, object); !ok {
		return in, rep, false
	}
	return h.checked(in, body, object)
}

// checked compares a body, whose signature was right, with the contract of in.call, or of the call that its activity names.
func (h *handler) checked(in incoming, body []byte, object bool) (incoming, reply, bool) {
	if !object {
		return incoming{}, invalid("the body is not a JSON object in UTF-8"), false
	}
	f, twice := readFields(body)
	if twice != "" || f == nil {
		return incoming{}, invalid("the field " + clip(twice, 64) + " is given twice"), false
	}
	if in.call == nil {
		var problem string
		if in.call, problem = lookup(f["activity"]); problem != "" {
			return incoming{}, invalid(problem), false
		}
	}
	in.body, in.fields = body, f
	if found := in.call.Check(f); len(found) > 0 {
		return incoming{call: in.call}, invalid(describe(found)), false
	}
	return in, reply{}, true
}

// read returns the body, or an error that is a *http.MaxBytesError if it is too long.
func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > h.cfg.MaxBody {
		return nil, &http.MaxBytesError{Limit: h.cfg.MaxBody}
	}
	if r.Body == nil {
		return nil, nil
	}
	body := http.MaxBytesReader(w, r.Body, h.cfg.MaxBody)
	const small = 16 << 10 // every base call; a stranger who only announces more gets no memory for it
	if r.ContentLength <= 0 || r.ContentLength > small {
		return io.ReadAll(body)
	}
	room := make([]byte, r.ContentLength)
	n, err := io.ReadFull(body, room)
	return room[:n], err
}

// classOf says which key signs an activity.
func classOf(activity string) providerapi.Class {
	switch providerapi.Activity(activity) {
	case providerapi.ActivityOrderNotify:
		return providerapi.ClassGeneral
	case providerapi.ActivityRefreshLicenseCode, providerapi.ActivityUpdateLicenseCodeStatus,
		providerapi.ActivityReleaseLicenseCode, providerapi.ActivityGetLicenseAsync:
		return providerapi.ClassLicense
	default:
		return providerapi.ClassBase
	}
}

// verify checks the signature. The peer gets one text per code; which of the reasons it was is for the log.
func (h *handler) verify(r *http.Request, body []byte, object bool) (rep reply, ok bool) {
	class := providerapi.ClassBase
	if object {
		class = classOf(peekActivity(body))
	}
	verifier, hint := h.base, ""
	switch {
	case class == providerapi.ClassGeneral && h.general != nil:
		verifier = h.general
	case class == providerapi.ClassGeneral:
		hint = " (orderNotify is signed with the key of the general class, and Config.GeneralKeys is empty)"
	case class == providerapi.ClassLicense && h.license != nil:
		verifier = h.license
	case class == providerapi.ClassLicense:
		hint = " (licence calls are signed with the key of the license class, and Config.LicenseKeys is empty)"
	}
	if verifier == nil {
		return reply{code: providerapi.ResultAuthenticationFailed, reason: "a call of V2, and Config.BaseKeys is empty" + hint}, false
	}
	params, err := signature.BaseParams(r.URL.Query())
	if err == nil {
		err = verifier.Verify(r.Context(), params, body)
	}
	if err == nil {
		return reply{}, true
	}
	rep = refusal(err, "signature")
	if h.explain != nil && isMismatch(err) {
		hint += h.explain(class, params, body)
	}
	rep.reason += hint
	return rep, false
}

// refusal is the answer to a call that is not signed right. field is what the scheme calls the signature.
func refusal(err error, field string) reply {
	var failure *signature.Error
	if !errors.As(err, &failure) {
		return internal("%v", err)
	}
	code := providerapi.ResultAuthenticationFailed
	// As in the vendor's sample project: what is wrong with timestamp or nonce is a parameter error; all else, replays
	// included, is a failed authentication.
	if failure.Field != field && failure.Kind != signature.KindReplayed {
		code = providerapi.ResultInvalidParameter
	}
	return reply{code: code, reason: failure.Error()}
}

func isMismatch(err error) bool { return errors.Is(err, signature.ErrMismatch) }

func unsupported(activity string) reply {
	return invalid("the activity " + activity + " is not supported by this product")
}

// lookup finds the contract of an activity.
func lookup(raw json.RawMessage) (call *providerapi.Call, problem string) {
	switch {
	case raw == nil || string(raw) == "null":
		return nil, "activity is missing"
	case raw[0] != '"':
		return nil, "activity must be text"
	}
	call, ok := providerapi.Lookup(unquote(raw))
	if !ok || call.Class == providerapi.ClassKit {
		return nil, "activity is not one of the contract"
	}
	return call, ""
}

// describe names the fields that break the contract, as many as fit.
func describe(found []providerapi.Violation) string {
	var b strings.Builder
	for i, v := range found {
		text := v.String()
		if i > 0 {
			text = "; " + text
		}
		if b.Len()+len(text) > maxMessage && i > 0 {
			break
		}
		b.WriteString(text)
	}
	return b.String()
}

// dispatch hands a call that is signed and well-formed to the Application, or answers it here if it is for debugging.
func (h *handler) dispatch(ctx context.Context, in *incoming, x *exchange) reply {
	f := in.fields
	testFlag := providerapi.TestFlag(f.text("testFlag"))
	switch in.call.Class {
	case providerapi.ClassKit:
		return h.serveKit(ctx, in, x)
	case providerapi.ClassBase:
		if in.v1 {
			return h.serveV1(ctx, in, x)
		}
	case providerapi.ClassLicense:
		if h.license == nil { // signed with a base key
			return unsupported(in.call.Name)
		}
		return h.serveLicense(ctx, in, x, testFlag)
	}
	switch x.activity {
	case providerapi.ActivityNewInstance:
		return h.newInstance(ctx, x, NewInstance{NewInstanceCall: providerapi.NewInstanceCall{
			Activity: x.activity, TestFlag: testFlag,
			BusinessID: f.text("businessId"), OrderID: f.text("orderId"), OrderLineID: x.orderLine,
		}, orders: newOrders(h.cfg.Market)})

	case providerapi.ActivityQueryInstance:
		return h.queryInstance(ctx, x, QueryInstance{providerapi.QueryInstanceCall{
			Activity: x.activity, TestFlag: testFlag, InstanceID: x.instanceID,
		}})

	case providerapi.ActivityRefreshInstance:
		call := RefreshInstance{RefreshInstanceCall: providerapi.RefreshInstanceCall{
			Activity: x.activity, TestFlag: testFlag,
			Scene: providerapi.Scene(f.text("scene")), InstanceID: x.instanceID, ExpireTime: f.text("expireTime"),
			OrderID: f.text("orderId"), OrderLineID: x.orderLine, ProductID: f.text("productId"),
		}, orders: newOrders(h.cfg.Market)}
		if _, err := parseExpiry(call.ExpireTime); err != nil {
			return invalid("expireTime is no date of the form yyyyMMddHHmmss")
		}
		return h.plain(ctx, x, func(ctx context.Context) error { return h.app.RefreshInstance(ctx, call) })

	case providerapi.ActivityUpdateInstanceStatus:
		call := UpdateInstanceStatus{providerapi.UpdateInstanceStatusCall{
			Activity: x.activity, TestFlag: testFlag,
			InstanceID: x.instanceID, Status: providerapi.InstanceStatus(f.text("status")),
		}}
		return h.plain(ctx, x, func(ctx context.Context) error { return h.app.UpdateInstanceStatus(ctx, call) })

	case providerapi.ActivityReleaseInstance:
		call := ReleaseInstance{providerapi.ReleaseInstanceCall{
			Activity: x.activity, TestFlag: testFlag,
			InstanceID: x.instanceID, OrderID: f.text("orderId"), OrderLineID: x.orderLine,
		}}
		return h.plain(ctx, x, func(ctx context.Context) error { return h.app.ReleaseInstance(ctx, call) })

	case providerapi.ActivityUpgradeInstance:
		if app, ok := h.app.(Upgrader); ok {
			call := UpgradeInstance{UpgradeInstanceCall: providerapi.UpgradeInstanceCall{
				Activity: x.activity, TestFlag: testFlag,
				InstanceID: x.instanceID, OrderID: f.text("orderId"), OrderLineID: x.orderLine,
			}, orders: newOrders(h.cfg.Market)}
			return h.plain(ctx, x, func(ctx context.Context) error { return app.UpgradeInstance(ctx, call) })
		}

	case providerapi.ActivityChangeInstanceCheck:
		if app, ok := h.app.(ChangeChecker); ok {
			call := ChangeCheck{providerapi.ChangeInstanceCheckCall{
				Activity: x.activity, TestFlag: testFlag,
				InstanceID: x.instanceID, ProductInfo: f["productInfo"],
			}}
			return h.plain(ctx, x, func(ctx context.Context) error { return app.CheckChange(ctx, call) })
		}

	case providerapi.ActivityOrderNotify:
		if app, ok := h.app.(OrderNotified); ok && h.general != nil {
			call := OrderNotify{OrderNotifyCall: providerapi.OrderNotifyCall{
				Activity: x.activity, TestFlag: testFlag, OrderID: f.text("orderId"), OrderLineID: x.orderLine,
			}, orders: newOrders(h.cfg.Market)}
			return h.plain(ctx, x, func(ctx context.Context) error { return app.OrderNotify(ctx, call) })
		}
	}
	return unsupported(in.call.Name)
}

// plain serves the calls that are answered by a code alone.
func (h *handler) plain(ctx context.Context, x *exchange, do func(context.Context) error) reply {
	if x.debug {
		return reply{code: providerapi.ResultSuccess}
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	return outcome(x.activity, do(ctx))
}

func outcome(activity providerapi.Activity, err error) reply {
	code, msg := result(activity, err)
	rep := reply{code: code, msg: msg}
	if err != nil {
		rep.reason = err.Error()
	}
	return rep
}

func (h *handler) queryInstance(ctx context.Context, x *exchange, call QueryInstance) reply {
	ids := call.InstanceIDs()
	for _, id := range ids {
		if problem := checkInstanceID(id); problem != "" { // no instance can be called so
			return invalid("instanceId " + problem)
		}
	}
	if x.debug {
		return h.debugInfo(ids)
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	infos, err := h.app.QueryInstance(ctx, call)
	if err != nil {
		return outcome(call.Activity, err)
	}
	asked := make(map[string]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	rep := reply{code: providerapi.ResultSuccess, info: make([]InstanceInfo, 0, len(infos))}
	for i := range infos {
		if !asked[infos[i].InstanceID] { // somebody else's access information, or a mistake
			rep.reason = fmt.Sprintf("entry %d of %d was left out: its instance was not asked for", i, len(infos))
			continue
		}
		if problem := checkInfo(&infos[i]); problem != "" {
			return internal("the Application's answer breaks the contract: entry %d: %s", i, problem)
		}
		rep.info = append(rep.info, infos[i])
	}
	if len(rep.info) == 0 {
		rep.code, rep.reason = providerapi.ResultInstanceNotFound, note(rep.reason, "the Application answered no entry")
	}
	return rep
}

func (h *handler) debugInfo(ids []string) reply {
	rep := reply{code: providerapi.ResultSuccess, info: make([]InstanceInfo, len(ids))}
	for i, id := range ids {
		if h.cfg.DebugInfo != nil {
			rep.info[i] = h.cfg.DebugInfo(id)
		} else {
			rep.info[i] = InstanceInfo{
				AppInfo:   AppInfo{FrontEndURL: "https://example.com/", Memo: "answer to a debug call"},
				UsageInfo: []UsageInfo{{UsageValue: "0", StatisticalTime: FormatStatisticalTime(h.cfg.Now())}},
			}
		}
		rep.info[i].InstanceID = id
		if problem := checkInfo(&rep.info[i]); problem != "" {
			return internal("Config.DebugInfo breaks the contract: %s", problem)
		}
	}
	return rep
}

// log writes one line per call. It names codes, ids and reasons; never a key and never what is in AppInfo.
func (h *handler) log(r *http.Request, x exchange, rep reply, took time.Duration, writeErr error) {
	level := slog.LevelWarn
	switch rep.code {
	case providerapi.ResultSuccess, providerapi.ResultInProgress:
		if rep.reason == "" || rep.code == providerapi.ResultInProgress {
			level = slog.LevelInfo
		}
	case providerapi.ResultInternalError:
		level = slog.LevelError
	}
	logger := h.cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	if !logger.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 9)
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	instance := x.instanceID
	if instance == "" {
		instance = rep.instanceID
	}
	add("activity", string(x.activity))
	if x.v1 {
		add("v1Activity", x.v1Name)
		add("orderId", x.orderID)
		attrs = append(attrs, slog.Int("version", 1))
	}
	add("orderLineId", x.orderLine)
	add("instanceId", clip(instance, 200))
	add("resultCode", string(rep.code))
	attrs = append(attrs, slog.Duration("duration", took))
	if x.debug {
		attrs = append(attrs, slog.Bool("debug", true))
	}
	add("reason", rep.reason)
	add("stack", rep.stack)
	if x.activity == "" {
		add("remote", r.RemoteAddr)
	}
	if writeErr != nil {
		add("writeError", writeErr.Error())
	}
	logger.LogAttrs(r.Context(), level, "marketplace call", attrs...)
}
