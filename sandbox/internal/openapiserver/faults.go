package openapiserver

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

// refusedKey is where the rule stands by which records of a push are refused.
const refusedKey = "isvkit-refused-records"

// faults disturbs requests as the rules say. It comes behind the gateway: a request that is not signed right is refused as always.
func (s *server) faults(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		rule, err := s.struck(c)
		if err != nil {
			return err
		}
		if rule == nil {
			return next(c)
		}
		exchangeOf(c).Fault = string(rule.Kind)
		switch rule.Kind {
		case fault.ServerError:
			return refuse(rule.Status, "MKT.0999", "System internal error")
		case fault.RateLimit:
			c.Response().Header().Set("Retry-After", strconv.Itoa(rule.RetryAfter))
			return refuse(http.StatusTooManyRequests, "APIGW.0308", "The throttling threshold has been reached")
		case fault.GatewayError:
			if rule.HTML {
				title := strconv.Itoa(rule.Status) + " " + http.StatusText(rule.Status)
				return c.HTML(rule.Status, "<html><head><title>"+title+"</title></head><body><h1>"+title+"</h1></body></html>\n")
			}
			return refuse(rule.Status, "APIGW.0202", "Backend unavailable")
		case fault.Timeout:
			// The request is carried out; only its answer is late.
			c.Response().Before(func() { hold(c, rule.Delay) })
		case fault.PartialRejection:
			c.Set(refusedKey, rule)
		}
		return next(c)
	}
}

// struck finds the rule that strikes this request.
func (s *server) struck(c echo.Context) (struck *fault.Rule, err error) {
	ctx, operation := c.Request().Context(), exchangeOf(c).Operation
	rules, err := s.cfg.Store.FaultRules(ctx)
	if err != nil || operation == "" || !slices.ContainsFunc(rules, func(r fault.Rule) bool { return r.Kind.OpenAPI() }) {
		return nil, err
	}
	err = s.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		rules, err := tx.FaultRules()
		if err != nil {
			return err
		}
		seen, err := tx.FaultsSeen()
		if err != nil {
			return err
		}
		struck = fault.PlanRequest(rules, seen, operation)
		if struck == nil {
			return tx.PutFaultsSeen(seen)
		}
		seller := exchangeOf(c).SellerID
		return errors.Join(tx.PutFaultsSeen(seen),
			tx.AddEvent(event.FaultApplied(seller, "seller/"+seller, struck.ID, string(struck.Kind), "a request, "+operation, s.cfg.Clock.Now())))
	})
	return struck, err
}

// hold waits in real time, or until the peer has gone.
func hold(c echo.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.Request().Context().Done():
	case <-timer.C:
	}
}

// refusedByFault takes the records off a push that a fault has refused: they are answered with its code, and are not kept, so that they
// can be pushed again.
func refusedByFault(c echo.Context, records []usage.Record) (rest []usage.Record, refused []marketplaceapi.AbnormalUsageRecord) {
	rule, ok := c.Get(refusedKey).(*fault.Rule)
	if !ok {
		return records, nil
	}
	n := min(rule.Records, len(records))
	for _, r := range records[:n] {
		refused = append(refused, marketplaceapi.AbnormalUsageRecord{
			InstanceID: r.InstanceID, MeteringSN: r.MeteringSN, BeginTime: r.BeginTime, EndTime: r.EndTime,
			ErrorCode: usage.Code(rule.RecordCode), ErrorMsg: "refused by the fault " + rule.ID,
		})
	}
	return records[n:], refused
}
