package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/doctor"
	"github.com/isvkit/isvkit/sandbox/internal/egress"
	"github.com/isvkit/isvkit/sandbox/internal/kitbook"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/licensebook"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/marketbook"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/outbox"
	"github.com/isvkit/isvkit/sandbox/internal/probebook"
	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/request"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// maxBody is far more than any request of this API needs.
const maxBody = 1 << 20

// maxWait is how long getInstance waits at most.
const maxWait = 60 * time.Second

// Sandbox is what the control API drives.
type Sandbox interface {
	Book() *orderbook.Book
	Licenses() *licensebook.Book
	Probes() *probebook.Book
	Markets() *marketbook.Book
	Outbox() *outbox.Outbox
	Kit() *kitbook.Book
	Store() *store.Store
	SetProductionAddress(ctx context.Context, sellerID, address string) error
	Advance(ctx context.Context, d time.Duration) error
	Settle(ctx context.Context) error
	AdvanceTo(ctx context.Context, t time.Time) error
	HoldClock(ctx context.Context) error
	RunClock(ctx context.Context) error
	Snapshot(ctx context.Context, file string) error
	Restore(ctx context.Context, file string) error
	Reset(ctx context.Context) error
	Journal(ctx context.Context) (sandboxapi.Journal, error)
	TrimJournal(ctx context.Context, t sandboxapi.JournalTrim) (sandboxapi.JournalTrimmed, error)
	HasKeyFile(sellerID string) bool         // the seller's keys come from the key file
	LastAsked(sellerID string) *doctor.Asked // of one seller; of any if it is empty
	Gate() *egress.Gate
	MayCall(address string) error // an *egress.Refusal if not
	// RefusedAddresses are stored production addresses that the egress policy does not allow; of one seller, or of all.
	RefusedAddresses(ctx context.Context, sellerID string) ([]doctor.RefusedAddress, error)
	Clock() *clock.Clock
	Addresses() (market, control string)
	Version() string
}

// Watch is who looks at what the control API does.
type Watch struct {
	// Metrics answers GET /metrics, for operators.
	Metrics http.Handler
	// Observer is told of requests; nil: nobody.
	Observer Observer
	// Stopping is over when the sandbox begins to shut down. Requests that only wait then wait no longer. Nil: it never does.
	Stopping context.Context //nolint:containedctx // it is no request's
}

// Observer is told of requests. It must not block.
type Observer interface {
	Control(operation string, status int, took time.Duration)
	Limited(limit string)
}

// New gives the handler of the control API. Every request needs the control token, or one that says who asks.
func New(s Sandbox, a Access, w Watch, log *slog.Logger) http.Handler {
	g := newGate(s, a, log)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if limit, ok := limitOf(err); ok && w.Observer != nil {
			w.Observer.Limited(limit)
		}
		answerError(err, c, log)
	}
	e.Use(w.log(log), g.identify, w.endWaits, func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			limit := int64(maxBody)
			if c.Request().URL.Path == "/v1/restore" {
				limit = maxSnapshot
			}
			c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, limit)
			return next(c)
		}
	})
	if w.Metrics != nil {
		e.GET("/metrics", func(c echo.Context) error {
			c.Set(operationKey, "metrics")
			if access.From(c.Request().Context()).Role != access.Operator {
				return &problem{http.StatusForbidden, "forbidden", "the metrics are the operator's"}
			}
			w.Metrics.ServeHTTP(c.Response(), c.Request())
			return nil
		})
	}
	RegisterHandlers(e, NewStrictHandler(&server{s, a}, []StrictMiddlewareFunc{g.authorise}))
	return e
}

type server struct {
	s      Sandbox
	access Access
}

var _ StrictServerInterface = (*server)(nil)

// problem is an error whose kind and status are known.
type problem struct {
	status int
	kind   string
	detail string
}

func (p *problem) Error() string { return p.kind + ": " + p.detail }

// answerError is the one place where an error becomes an answer.
func answerError(err error, c echo.Context, log *slog.Logger) {
	if c.Response().Committed {
		return
	}
	if errors.Is(context.Cause(c.Request().Context()), queue.ErrStopping) {
		err = queue.ErrStopping
	}
	if errors.Is(err, context.Canceled) {
		return // nobody is listening any more
	}
	p := problemOf(err)
	if p == internal {
		log.Error("control API: cannot answer", "requestId", c.Response().Header().Get(request.Header), "operation", c.Get(operationKey), "error", err)
	}
	var many *tooManyError
	if errors.As(err, &many) {
		c.Response().Header().Set("Retry-After", retryAfter(many.wait))
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/problem+json")
	if err := c.JSON(p.status, sandboxapi.Problem{
		Type: "isvkit:" + p.kind, Title: strings.ReplaceAll(p.kind, "-", " "), Status: p.status, Detail: p.detail,
	}); err != nil {
		log.Debug("control API: the answer could not be written", "error", err)
	}
}

// internal is what an error of ours looks like from outside.
var internal = &problem{http.StatusInternalServerError, "internal", "the sandbox's log says more"}

// problemOf is how an error is answered.
func problemOf(err error) (p *problem) {
	var h *echo.HTTPError
	var illegal *lifecycle.IllegalMoveError
	var refusal *orderbook.Refusal
	var illegalLicense *license.IllegalMoveError
	var many *tooManyError
	var conflict *marketbook.ConflictError
	var egressRefusal *egress.Refusal
	var otherKey *store.OtherSecretsKeyError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &many):
		p = &problem{http.StatusTooManyRequests, "too-many-requests", many.why}
	case errors.As(err, &illegal):
		p = &problem{http.StatusConflict, "illegal-move", illegal.Error()}
	case errors.As(err, &illegalLicense):
		p = &problem{http.StatusConflict, "illegal-move", illegalLicense.Error()}
	case errors.As(err, &conflict):
		p = &problem{http.StatusConflict, "market-policy", conflict.Detail}
	case errors.As(err, &refusal):
		p = refused(refusal)
	case errors.Is(err, orderbook.ErrInvalid), errors.Is(err, outbox.ErrInvalid), errors.Is(err, catalogue.ErrInvalid), errors.Is(err, access.ErrInvalid):
		p = &problem{http.StatusBadRequest, "invalid", strings.TrimPrefix(err.Error(), "invalid: ")}
	case errors.As(err, &egressRefusal):
		p = &problem{http.StatusBadRequest, "egress-policy", "production address: " + egressRefusal.Error()}
	case errors.As(err, &otherKey):
		p = &problem{http.StatusConflict, "other-secrets-key", otherKey.Error()}
	case errors.Is(err, queue.ErrStopping), errors.Is(err, queue.ErrStopped), errors.Is(err, store.ErrClosed):
		p = &problem{http.StatusServiceUnavailable, "shutting-down", "the sandbox is shutting down; ask again when it is back"}
	case errors.Is(err, store.ErrNoSnapshot):
		p = &problem{http.StatusBadRequest, "no-snapshot", err.Error()}
	case errors.Is(err, store.ErrNotFound):
		p = &problem{http.StatusNotFound, "not-found", "there is nothing of that id"}
	case errors.As(err, &h) && h.Code == http.StatusNotFound:
		p = &problem{http.StatusNotFound, "not-found", "no such path; see openapi/sandbox.yaml"}
	case errors.As(err, &h):
		p = &problem{h.Code, "invalid", fmt.Sprint(h.Message)}
	default:
		p = internal
	}
	return p
}

func limit(n int) int {
	if n <= 0 || n > 1000 {
		return 100
	}
	return n
}

func (s *server) status(ctx context.Context) (sandboxapi.Status, error) {
	n, err := s.counts(ctx)
	if err != nil {
		return sandboxapi.Status{}, err
	}
	seller, err := s.s.Store().Seller(ctx, sellerOf(ctx))
	if errors.Is(err, store.ErrNotFound) {
		err = nil // a token may outlive its seller
	}
	market, control := s.s.Addresses()
	return sandboxapi.Status{
		Version: s.s.Version(), MarketURL: market, ControlURL: control, ProductionAddress: seller.Address, Clock: s.clock(),
		Orders: n.Orders, Instances: n.Instances, CallsPending: n.CallsPending, CallsWaiting: n.CallsWaiting, UsageRecords: n.UsageRecords,
	}, err
}

// sellerOf is the seller who asks, or the one that every sandbox has if the operator does.
func sellerOf(ctx context.Context) string {
	return cmp.Or(access.From(ctx).Scope(), catalogue.DemoSeller)
}

// counts counts what whoever asks may see.
func (s *server) counts(ctx context.Context) (store.Counts, error) {
	if seller := access.From(ctx).Scope(); seller != "" {
		return s.s.Store().CountsOfSeller(ctx, seller)
	}
	return s.s.Store().Counts(ctx)
}

func (s *server) GetStatus(ctx context.Context, _ GetStatusRequestObject) (GetStatusResponseObject, error) {
	status, err := s.status(ctx)
	return GetStatus200JSONResponse(status), err
}

func (s *server) SetProvider(ctx context.Context, r SetProviderRequestObject) (SetProviderResponseObject, error) {
	if err := s.checkAddress(r.Body.ProductionAddress); err != nil {
		return nil, err
	}
	if err := s.s.SetProductionAddress(ctx, sellerOf(ctx), r.Body.ProductionAddress); err != nil {
		return nil, err
	}
	return SetProvider200JSONResponse{ProductionAddress: r.Body.ProductionAddress}, nil
}

// checkAddress tells what is wrong with a production address that somebody wants to set, and whether it may be called.
func (s *server) checkAddress(address string) error {
	if err := catalogue.CheckAddress(address); err != nil {
		return err
	}
	return s.s.MayCall(address)
}

func (s *server) ListCalls(ctx context.Context, r ListCallsRequestObject) (ListCallsResponseObject, error) {
	var calls []store.Call
	var err error
	if seller := access.From(ctx).Scope(); seller != "" {
		calls, err = s.s.Store().CallsOfSeller(ctx, seller, r.Params.OrderLineID, limit(r.Params.Limit))
	} else {
		calls, err = s.s.Store().Calls(ctx, r.Params.OrderLineID, limit(r.Params.Limit))
	}
	list := ListCalls200JSONResponse{Calls: make([]sandboxapi.Call, len(calls))}
	for i, c := range calls {
		list.Calls[i] = callView(c)
	}
	return list, err
}

func callView(c store.Call) sandboxapi.Call {
	return sandboxapi.Call{
		CallID: c.ID, OrderLineID: c.LineID, Activity: string(c.Call.Activity), Status: c.Status, CreateTime: c.CreatedAt, DueTime: c.DueAt,
		Attempts: c.Attempts, ResultCode: c.ResultCode, LastError: c.LastError,
	}
}

func (s *server) RestartCall(ctx context.Context, r RestartCallRequestObject) (RestartCallResponseObject, error) {
	c, err := s.s.Outbox().Restart(ctx, r.CallID)
	return RestartCall202JSONResponse(callView(c)), err
}
