package control

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/request"
)

// Where a request says which operation of the document it is, and who asks.
const (
	operationKey = "isvkit-operation"
	principalKey = "isvkit-principal"
)

// log names every request, and tells the log and the observer of it.
func (w Watch) log(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			began := time.Now()
			id := request.ID(c.Request())
			c.Response().Header().Set(request.Header, id)
			if err := next(c); err != nil {
				c.Error(err)
			}
			operation, _ := c.Get(operationKey).(string)
			took := time.Since(began)
			if w.Observer != nil {
				w.Observer.Control(operation, c.Response().Status, took)
			}
			p, _ := c.Get(principalKey).(access.Principal)
			rule, known := rules[operation]
			request.Log(log, request.Entry{
				API: "control", ID: id, Operation: operation, Method: c.Request().Method, Status: c.Response().Status,
				Role: string(p.Role), SellerID: p.SellerID, Changes: known && !rule.reads, Took: took,
			})
			return nil
		}
	}
}

// endWaits ends requests that only wait for something when the sandbox begins to shut down: what they wait for will not happen any more.
// All others are let come to their end; a move of the clock ends by itself, where nothing is begun any more.
func (w Watch) endWaits(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		if w.Stopping == nil || !waits(req) {
			return next(c)
		}
		ctx, cancel := context.WithCancelCause(req.Context())
		defer cancel(nil)
		defer context.AfterFunc(w.Stopping, func() { cancel(queue.ErrStopping) })()
		c.SetRequest(req.WithContext(ctx))
		return next(c)
	}
}

func waits(r *http.Request) bool {
	return r.URL.Path == "/v1/events/stream" || r.URL.Path == "/v1/clock/settle" || r.URL.Query().Get("until") != ""
}

// limitOf tells which limit of a seller an error is about.
func limitOf(err error) (limit string, ok bool) {
	var many *tooManyError
	if !errors.As(err, &many) {
		return "", false
	}
	return many.limit, true
}
