package openapiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/licensebook"
	"github.com/isvkit/isvkit/sandbox/internal/request"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usagebook"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	// maxBody is what the gateway takes with AK/SK.
	maxBody = 12 << 20
	// usageLeeway is how far the ts of a usage push may be off. Nothing is published; this is the gateway's own limit.
	usageLeeway = 15 * time.Minute
)

// The codes of a refusal because a seller asks too often.
const (
	CodeTooOften  = "MKT.0250"
	CodeThrottled = "APIGW.0308"
)

// Exchange is one request to the open API and how it was answered.
type Exchange struct {
	Time         time.Time // real time
	Operation    string    // queryOrder, pushUsage and so on, as the contract names it; empty for any other path
	Method       string
	Path         string
	Query        string
	SellerID     string // whose signature it has; empty if none was verified
	RequestBody  []byte
	Status       int
	ResponseBody []byte
	Code         string // MKT.0000, 92020000, APIGW.0301, …
	Detail       string // why it was refused
	Fault        string // the fault that disturbed it; empty: none
	OrderID      string // queryOrder: the order asked for
}

// Config is what the server needs.
type Config struct {
	Store    *store.Store
	Clock    *clock.Clock
	Usage    *usagebook.Book
	Licenses *licensebook.Book
	Observe  func(Exchange)
	Seen     func(*Exchange) // like Observe, but without the answer's body, and only until it returns
	Log      *slog.Logger
	Rates    *access.Rates // how often a seller may ask; nil: as often as it likes
}

// New gives the handler of the open API.
func New(cfg Config) (http.Handler, error) {
	s := &server{cfg: cfg, sellers: &sellers{store: cfg.Store}}
	var err error
	s.aksk, err = signature.NewAKSK(signature.AKSKConfig{Secret: func(ctx context.Context, ak string) (string, bool, error) {
		seller, found, err := s.sellers.find(ctx, ak)
		if err != nil || !found {
			return "", false, err
		}
		return seller.Keys.SK, true, nil
	}})
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.Use(s.gateway, s.faults)
	RegisterHandlers(e, s)
	return e, nil
}

type server struct {
	cfg     Config
	aksk    *signature.AKSK
	sellers *sellers
	bodies  sync.Map // verifiers of the bodies of usage pushes, by base key
}

var _ ServerInterface = (*server)(nil)

// refusal is an error that is answered. The gateway and the two kinds of operations each have their own shape for it.
type refusal struct {
	status int
	code   string
	msg    string
	extra  string
}

func (r *refusal) Error() string { return r.code + ": " + r.msg }

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, msg: fmt.Sprintf(format, args...)}
}

const exchangeKey = "isvkit-exchange"

func exchangeOf(c echo.Context) *Exchange {
	x, ok := c.Get(exchangeKey).(*Exchange)
	if !ok {
		x = &Exchange{}
	}
	return x
}

// gateway does what the API gateway in front of the marketplace does: it reads the body and verifies AK/SK. The newer usage push
// also comes without AK/SK, because it is open whether the real one asks for it there.
func (s *server) gateway(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req, resp := c.Request(), c.Response()
		o := operationOf(req.URL.Path)
		x := &Exchange{Time: time.Now(), Operation: o.id, Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery}
		c.Set(exchangeKey, x)
		var copied *copyingWriter
		if s.cfg.Observe != nil {
			copied = &copyingWriter{ResponseWriter: resp.Writer}
			resp.Writer = copied
		}
		id := request.ID(req)
		resp.Header().Set(request.Header, id)
		// The sandbox's time, so that an ISV may follow a clock that was moved.
		resp.Header().Set("Date", s.cfg.Clock.Now().Format(http.TimeFormat))
		err := s.pass(c, x, o, next)
		if err != nil {
			c.Error(err)
		}
		x.Status = resp.Status
		request.Log(s.cfg.Log, request.Entry{
			API: "open", ID: id, Operation: x.Operation, Method: x.Method, Status: x.Status, Code: x.Code, SellerID: x.SellerID, Took: time.Since(x.Time),
		})
		if s.cfg.Seen != nil {
			s.cfg.Seen(x)
		}
		if s.cfg.Observe != nil {
			x.ResponseBody = copied.body.Bytes()
			s.cfg.Observe(*x)
		}
		return nil
	}
}

// copyingWriter keeps what is answered, for whoever observes it.
type copyingWriter struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (w *copyingWriter) Write(p []byte) (int, error) {
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

func (s *server) pass(c echo.Context, x *Exchange, o operation, next echo.HandlerFunc) error {
	req := c.Request()
	if req.Body != http.NoBody {
		body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
		if err != nil {
			return refuse(http.StatusBadRequest, "APIGW.0106", "The request body could not be read")
		}
		if len(body) > maxBody {
			return refuse(http.StatusRequestEntityTooLarge, "APIGW.0201", "The request body is longer than 12 MB")
		}
		x.RequestBody = body
	}
	if o.id == "pushUsage" && req.Header.Get("Authorization") == "" {
		return next(c)
	}
	ak, err := s.aksk.Verify(req, x.RequestBody)
	var fault *signature.Error
	if err != nil && !errors.As(err, &fault) {
		return err // ours
	}
	if err != nil {
		return refuse(http.StatusUnauthorized, "APIGW.0301", "Incorrect IAM authentication information: %s", err)
	}
	seller, found, err := s.sellers.find(req.Context(), ak)
	if err != nil {
		return err
	}
	if !found { // removed in this moment
		return refuse(http.StatusUnauthorized, "APIGW.0301", "Incorrect IAM authentication information: no such AK")
	}
	x.SellerID = seller.ID
	if err := s.often(c, o, seller.ID); err != nil {
		return err
	}
	return next(c)
}

// often refuses a seller that asks too often, as the contract says: HTTP 406 and code 0250. Of licence calls it knows no such code; what is
// answered there is what the gateway answers, like the fault rate-limit.
func (s *server) often(c echo.Context, o operation, sellerID string) error {
	if s.cfg.Rates == nil {
		return nil
	}
	wait, ok := s.cfg.Rates.Take(sellerID)
	if ok {
		return nil
	}
	c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	if o.kind == orders || o.kind == pushes {
		return refuse(http.StatusNotAcceptable, CodeTooOften, "Too many requests: try again after the seconds in Retry-After")
	}
	return refuse(http.StatusTooManyRequests, CodeThrottled, "The throttling threshold has been reached")
}

// answerError is the one place where an error becomes an answer.
func (s *server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	x := exchangeOf(c)
	o := operationOf(x.Path)
	var r *refusal
	var h *echo.HTTPError
	switch {
	case errors.As(err, &r):
	case errors.As(err, &h) && (h.Code == http.StatusNotFound || o.id == ""):
		r = refuse(http.StatusNotFound, "APIGW.0101", "The API does not exist or has not been published")
	case errors.As(err, &h) && h.Code == http.StatusMethodNotAllowed && o.kind == licenses:
		r = refuse(http.StatusMethodNotAllowed, license.CodeMethod, "req method is invalid: expected %s", o.method)
	case errors.As(err, &h) && h.Code == http.StatusMethodNotAllowed:
		r = refuse(http.StatusMethodNotAllowed, "APIGW.0101", "The API does not exist or has not been published: method %s", x.Method)
	case errors.As(err, &h) && o.kind == licenses:
		r = refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: %v", h.Message)
	case errors.As(err, &h):
		r = refuse(http.StatusBadRequest, "MKT.0101", "Invalid parameter: %v", h.Message)
	default:
		s.cfg.Log.Error("open API: cannot answer", "requestId", c.Response().Header().Get(request.Header), "operation", x.Operation, "error", err)
		r = refuse(http.StatusInternalServerError, "MKT.0999", "System internal error")
		if o.kind == licenses {
			r = refuse(http.StatusInternalServerError, license.CodeInternal, "internal error")
		}
	}
	x.Code, x.Detail = r.code, r.msg
	if r.extra != "" {
		x.Detail += ": " + r.extra
	}
	var answer any
	switch {
	case strings.HasPrefix(r.code, "APIGW."):
		answer = marketplaceapi.GatewayErrorAnswer{ErrorCode: r.code, ErrorMsg: r.msg, RequestID: c.Response().Header().Get(request.Header)}
	case o.kind == orders:
		answer = marketplaceapi.OrderErrorAnswer{ResultCode: r.code, ResultMsg: r.msg, ExtraInfo: r.extra}
	case o.kind == licenses:
		answer = marketplaceapi.LicenseErrorAnswer{ErrorCode: r.code, ErrorMsg: cut(r.msg, 1024)}
	default:
		answer = marketplaceapi.UsageErrorAnswer{ErrorCode: r.code, ErrorMsg: cut(r.msg, 255), ExtraInfo: r.extra}
	}
	if err := c.JSON(r.status, answer); err != nil {
		s.cfg.Log.Debug("open API: the answer could not be written", "error", err)
	}
}

func cut(s string, n int) string {
	runes := []rune(s)
	return string(runes[:min(len(runes), n)])
}
