package openapiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	// maxBody is what the gateway takes with AK/SK.
	maxBody = 12 << 20
	// maxRecords is how many usage records fit into one push.
	maxRecords = 1000
	// usageLeeway is how far the ts of a usage push may be off. Nothing is published; this is the gateway's own limit.
	usageLeeway = 15 * time.Minute
)

// Exchange is one request to the open API and how it was answered.
type Exchange struct {
	Time        time.Time // real time
	Operation   string    // queryOrder, pushUsage, pushUsageOld; empty for any other path
	Method      string
	Path        string
	Query       string
	RequestBody []byte
	Status      int
	Code        string // MKT.0000, APIGW.0301, …
	Detail      string // why it was refused
	OrderID     string // queryOrder: the order asked for
}

// Config is what the server needs.
type Config struct {
	Store   *store.Store
	Clock   *clock.Clock
	AK, SK  string
	BaseKey string // signs the bodies of usage pushes
	Observe func(Exchange)
	Log     *slog.Logger
}

// New gives the handler of the open API.
func New(cfg Config) (http.Handler, error) {
	aksk, err := signature.NewAKSK(signature.AKSKConfig{
		Secret: func(_ context.Context, ak string) (string, bool, error) { return cfg.SK, ak == cfg.AK, nil },
	})
	if err != nil {
		return nil, err
	}
	bodies, err := signature.NewUsage(signature.Config{Keys: []string{cfg.BaseKey}, Leeway: usageLeeway})
	if err != nil {
		return nil, err
	}
	s := &server{cfg: cfg, aksk: aksk, bodies: bodies}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.Use(s.gateway)
	RegisterHandlers(e, s)
	return e, nil
}

type server struct {
	cfg    Config
	aksk   *signature.AKSK
	bodies *signature.Usage
}

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

var operations = map[string]string{
	"/api/mkp-openapi-public/global/v1/order/query":    "queryOrder",
	"/api/mkp-openapi-public/global/v1/isv/usage-data": "pushUsage",
	"/rest/marketplace/v1/isv/usage-data":              "pushUsageOld",
}

// gateway does what the API gateway in front of the marketplace does: it reads the body and verifies AK/SK. The newer usage push
// also comes without AK/SK, because it is open whether the real one asks for it there.
func (s *server) gateway(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		x := &Exchange{Time: time.Now(), Operation: operations[req.URL.Path], Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery}
		c.Set(exchangeKey, x)
		// The sandbox's time, so that an ISV may follow a clock that was moved.
		c.Response().Header().Set("Date", s.cfg.Clock.Now().Format(http.TimeFormat))
		err := s.pass(c, x, next)
		if err != nil {
			c.Error(err)
		}
		x.Status = c.Response().Status
		if s.cfg.Observe != nil {
			s.cfg.Observe(*x)
		}
		return nil
	}
}

func (s *server) pass(c echo.Context, x *Exchange, next echo.HandlerFunc) error {
	req := c.Request()
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
	if err != nil {
		return refuse(http.StatusBadRequest, "APIGW.0106", "The request body could not be read")
	}
	if len(body) > maxBody {
		return refuse(http.StatusRequestEntityTooLarge, "APIGW.0201", "The request body is longer than 12 MB")
	}
	x.RequestBody = body
	req.Body = io.NopCloser(bytes.NewReader(body))
	if x.Operation == "pushUsage" && req.Header.Get("Authorization") == "" {
		return next(c)
	}
	if _, err := s.aksk.Verify(req, body); err != nil {
		return refuse(http.StatusUnauthorized, "APIGW.0301", "Incorrect IAM authentication information: %s", err)
	}
	return next(c)
}

// QueryOrder answers an order, one of ours or a mock.
func (s *server) QueryOrder(c echo.Context, params marketplaceapi.QueryOrderParams) error {
	x := exchangeOf(c)
	x.OrderID = params.OrderID
	if n := len(params.OrderID); n == 0 || n > 64 {
		return &refusal{http.StatusInternalServerError, "MKT.0100", "Failure of input parameter", "orderId: expected 1 to 64 characters"}
	}
	if len(params.OrderLineID) > 64 {
		return &refusal{http.StatusInternalServerError, "MKT.0100", "Failure of input parameter", "orderLineId: expected at most 64 characters"}
	}
	doc, ok := order.Mock(params.OrderID)
	if !ok {
		o, err := s.cfg.Store.Order(c.Request().Context(), params.OrderID)
		if errors.Is(err, store.ErrNotFound) {
			return &refusal{http.StatusUnauthorized, "MKT.0150", "Illegal operation", "orderId: you have no such order"}
		}
		if err != nil {
			return err
		}
		doc = o.Document
	}
	if params.OrderLineID != "" {
		lines := doc.OrderLine
		doc.OrderLine = nil
		for _, l := range lines {
			if l.OrderLineID == params.OrderLineID {
				doc.OrderLine = append(doc.OrderLine, l)
			}
		}
		if doc.OrderLine == nil {
			return &refusal{http.StatusUnauthorized, "MKT.0150", "Illegal operation", "orderLineId: the order has no such line"}
		}
	}
	x.Code = "MKT.0000"
	return c.JSON(http.StatusOK, marketplaceapi.OrderAnswer{ResultCode: "MKT.0000", ResultMsg: "Success", OrderInfo: doc})
}

// PushUsage takes usage records in the newer form.
func (s *server) PushUsage(c echo.Context, params marketplaceapi.PushUsageParams) error {
	x := exchangeOf(c)
	err := s.bodies.Verify(c.Request().Context(), signature.Params{Signature: params.Signature, Timestamp: params.TS, Nonce: params.Nonce}, x.RequestBody)
	if err != nil {
		return refuse(http.StatusBadRequest, "MKT.0102", "Invalid body sign: %s", err)
	}
	rejected, err := s.take(c, true)
	if err != nil {
		return err
	}
	if len(rejected) == 0 {
		x.Code = "MKT.0000"
		return c.JSON(http.StatusOK, marketplaceapi.UsageAnswer{ErrorCode: "MKT.0000", ErrorMsg: "Success"})
	}
	x.Code = "94060999"
	x.Detail = fmt.Sprintf("%d records were not accepted; the first: %s %s", len(rejected), rejected[0].ErrorCode, rejected[0].ErrorMsg)
	return c.JSON(http.StatusOK, marketplaceapi.UsageAnswer{
		ErrorCode: "94060999", ErrorMsg: "Failed", Data: marketplaceapi.AbnormalUsageData{AbnormalUsageData: rejected},
	})
}

// PushUsageOld takes usage records in the older form, whose answer does not tell of bad records.
func (s *server) PushUsageOld(c echo.Context) error {
	if _, err := s.take(c, false); err != nil {
		return err
	}
	exchangeOf(c).Code = "MKT.0000"
	return c.JSON(http.StatusOK, marketplaceapi.UsageAnswer{ErrorCode: "MKT.0000", ErrorMsg: "Success"})
}

// take judges and keeps the records of a push, all in one transaction.
func (s *server) take(c echo.Context, withSN bool) ([]marketplaceapi.AbnormalUsageRecord, error) {
	if media, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, refuse(http.StatusBadRequest, "MKT.0199", "Request parameter error: Content-Type: expected application/json")
	}
	var push struct {
		Records *[]usage.Record `json:"usage_records"`
	}
	if err := json.Unmarshal(exchangeOf(c).RequestBody, &push); err != nil {
		return nil, refuse(http.StatusBadRequest, "MKT.0101", "Invalid parameter: the body is not an object with a list usage_records of objects")
	}
	switch {
	case push.Records == nil:
		return nil, refuse(http.StatusBadRequest, "MKT.0101", "Invalid parameter: usage_records is missing")
	case len(*push.Records) == 0:
		return nil, &refusal{http.StatusInternalServerError, "MKT.9002", "Invalid usage entities", "usage_records is empty"}
	case len(*push.Records) > maxRecords:
		return nil, refuse(http.StatusInternalServerError, "MKT.9003", "Usage records exceed the limit: %d, expected at most %d", len(*push.Records), maxRecords)
	}
	var rejected []marketplaceapi.AbnormalUsageRecord
	err := s.cfg.Store.Update(c.Request().Context(), func(tx *store.Tx) error {
		now := s.cfg.Clock.Now()
		for _, r := range *push.Records {
			rejection, err := usage.Check(r, withSN, now, tx.UsageFacts())
			if err != nil {
				return err
			}
			if err := tx.AddUsage(store.UsageRecord{Record: r, ReceivedAt: now, Rejection: rejection}); err != nil {
				return err
			}
			if rejection.Code != "" {
				rejected = append(rejected, marketplaceapi.AbnormalUsageRecord{
					InstanceID: r.InstanceID, MeteringSN: r.MeteringSN, BeginTime: r.BeginTime, EndTime: r.EndTime,
					ErrorCode: rejection.Code, ErrorMsg: rejection.Message,
				})
			}
		}
		return nil
	})
	return rejected, err
}

// answerError is the one place where an error becomes an answer.
func (s *server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	x := exchangeOf(c)
	var r *refusal
	var h *echo.HTTPError
	switch {
	case errors.As(err, &r):
	case errors.As(err, &h) && h.Code == http.StatusNotFound:
		r = refuse(http.StatusNotFound, "APIGW.0101", "The API does not exist or has not been published")
	case errors.As(err, &h) && h.Code == http.StatusMethodNotAllowed:
		r = refuse(http.StatusMethodNotAllowed, "APIGW.0101", "The API does not exist or has not been published: method %s", x.Method)
	case errors.As(err, &h):
		r = refuse(http.StatusBadRequest, "MKT.0101", "Invalid parameter: %v", h.Message)
	default:
		s.cfg.Log.Error("open API: cannot answer", "operation", x.Operation, "error", err)
		r = refuse(http.StatusInternalServerError, "MKT.0999", "System internal error")
	}
	x.Code, x.Detail = r.code, r.msg
	if r.extra != "" {
		x.Detail += ": " + r.extra
	}
	var answer any
	switch {
	case strings.HasPrefix(r.code, "APIGW."):
		answer = marketplaceapi.GatewayErrorAnswer{ErrorCode: r.code, ErrorMsg: r.msg, RequestID: strings.ReplaceAll(uuid.NewString(), "-", "")}
	case x.Operation == "queryOrder":
		answer = marketplaceapi.OrderErrorAnswer{ResultCode: r.code, ResultMsg: r.msg, ExtraInfo: r.extra}
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
