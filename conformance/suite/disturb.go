package suite

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// disturbance is what the marketplace of the run does wrong on purpose, to see what the ISV makes of it. It strikes the requests about
// one order or one instance, so that the checks that run beside it notice nothing.
type disturbance string

const (
	serverError      disturbance = "server-error"      // status 500, the request is not looked at
	rejectionOfAll   disturbance = "partial-rejection" // every record of a push is refused with code 013
	recordIsAbnormal             = "013"               // the state of the resource is abnormal, which passes
)

// disturb has the next requests about an order or an instance end badly.
func (e *Env) disturb(about string, kind disturbance, times int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disturbed[about] = &struckOff{kind: kind, left: times}
}

type struckOff struct {
	kind disturbance
	left int
}

// strike tells what happens to a request about any of these, and counts it.
func (e *Env) strike(about []string) (disturbance, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range about {
		if s := e.disturbed[id]; s != nil && s.left > 0 {
			s.left--
			return s.kind, true
		}
	}
	return "", false
}

// Disturbed puts the disturbances in front of the marketplace.
func (e *Env) Disturbed(market http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := Exchange{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
		var about []string
		switch r.URL.Path {
		case orderPath:
			x.Operation, x.OrderID = opQuery, r.URL.Query().Get("orderId")
			about = []string{x.OrderID}
		case pushPath, pushPathOld:
			x.Operation = map[string]string{pushPath: opPush, pushPathOld: opPushOld}[r.URL.Path]
			body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(body), failing{err}, r.Body), r.Body}
			x.RequestBody = body
			for _, record := range recordsOf(x) {
				about = append(about, record.InstanceID)
			}
		}
		kind, struck := e.strike(about)
		if !struck {
			market.ServeHTTP(w, r)
			return
		}
		x.Fault = string(kind)
		e.answerBadly(&x, kind)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(x.Status)
		_, _ = w.Write(x.ResponseBody)
		e.Observe(x)
	})
}

// failing is a reader that gives an error, if there was one.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

const (
	orderPath   = "/api/mkp-openapi-public/global/v1/order/query"
	pushPath    = "/api/mkp-openapi-public/global/v1/isv/usage-data"
	pushPathOld = "/rest/marketplace/v1/isv/usage-data"
)

func (e *Env) answerBadly(x *Exchange, kind disturbance) {
	var answer any
	const busy = "System internal error"
	switch {
	case kind == rejectionOfAll && x.Operation == opPush:
		var rejected []marketplaceapi.AbnormalUsageRecord
		for _, r := range recordsOf(*x) {
			rejected = append(rejected, marketplaceapi.AbnormalUsageRecord{
				InstanceID: r.InstanceID, MeteringSN: r.MeteringSN, BeginTime: r.Begin, EndTime: r.End,
				ErrorCode: recordIsAbnormal, ErrorMsg: "the state of the resource is abnormal",
			})
		}
		x.Status, x.Code = http.StatusOK, "94060999"
		answer = marketplaceapi.UsageAnswer{ErrorCode: x.Code, ErrorMsg: "Failed", Data: marketplaceapi.AbnormalUsageData{AbnormalUsageData: rejected}}
	case x.Operation == opQuery:
		x.Status, x.Code = http.StatusInternalServerError, "MKT.0999"
		answer = marketplaceapi.OrderErrorAnswer{ResultCode: x.Code, ResultMsg: busy}
	default:
		x.Status, x.Code = http.StatusInternalServerError, "MKT.0999"
		answer = marketplaceapi.UsageErrorAnswer{ErrorCode: x.Code, ErrorMsg: busy}
	}
	x.Detail = "on purpose"
	x.ResponseBody, _ = json.Marshal(answer) // texts and lists only
}

// undisturbed leaves out what the marketplace answered wrongly on purpose.
func undisturbed(all []Exchange) []Exchange {
	return slices.DeleteFunc(all, func(x Exchange) bool { return x.Fault != "" })
}
