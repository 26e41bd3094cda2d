package marketplace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/signature"
)

// Config is how a client is set up. URL and Credentials are required, BaseKey for PushUsage.
type Config struct {
	// URL is the marketplace's address, for instance https://mkt.myhuaweicloud.com (China), https://mkt-intl.myhuaweicloud.com
	// or https://mkt.myhuaweicloud.eu. A path in it is kept in front of the contract's paths.
	URL string

	// InsecureAllowHTTP allows an http URL to another machine. http to the own machine is always allowed.
	InsecureAllowHTTP bool

	// Credentials sign every request.
	Credentials signature.Credentials

	// BaseKey is the access key of the base interface class; it also signs the body of PushUsage.
	BaseKey string

	// HTTPClient sends the requests; its transport is used, and its cookie jar. The client itself is not changed. Default: a
	// client on http.DefaultTransport.
	HTTPClient *http.Client

	// RetryMax is how often a call is repeated at most. Default: 4. Negative: never.
	RetryMax int

	// RetryWaitMin and RetryWaitMax bound the waits between attempts. Defaults: 1 s and 30 s.
	RetryWaitMin, RetryWaitMax time.Duration

	// Timeout bounds one attempt, its answer included. Default: the timeout of HTTPClient, or else 20 s.
	Timeout time.Duration

	// Now is the clock that dates signatures. Default: time.Now.
	Now func() time.Time

	// Rand is where nonces come from. Default: crypto/rand.Reader.
	Rand io.Reader

	// Logger gets a line per attempt: at info level if the attempt failed and is repeated, else at debug level. Keys, headers
	// and bodies are never in it. Default: slog.Default(), looked up for each line.
	Logger *slog.Logger
}

// String leaves the secrets out.
func (c Config) String() string { return fmt.Sprintf("{URL:%s AK:%s}", c.URL, c.Credentials.AK) }

// Format writes what String returns whatever the verb, so that no way of printing shows the secrets.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the secrets out.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

const (
	defaultRetryMax     = 4
	defaultRetryWaitMin = time.Second
	defaultRetryWaitMax = 30 * time.Second
	defaultTimeout      = 20 * time.Second
	maxAnswer           = 4 << 20 // bytes; 1000 records that were not accepted are about 300 KiB
)

// Client calls the open API. It is safe for concurrent use.
type Client struct {
	server string
	usage  *signature.Usage // nil without a base key
	http   *retryablehttp.Client
	logger *slog.Logger
}

// New returns a client. The error says which setting makes no sense; nothing is sent.
func New(cfg Config) (*Client, error) {
	server, err := serverURL(cfg.URL, cfg.InsecureAllowHTTP)
	if err != nil {
		return nil, err
	}
	if cfg.Credentials.AK == "" || cfg.Credentials.SK == "" {
		return nil, errors.New("marketplace: Config.Credentials has no AK or no SK")
	}
	if cfg.RetryWaitMin < 0 || cfg.RetryWaitMax < 0 || cfg.Timeout < 0 {
		return nil, fmt.Errorf("marketplace: Config.RetryWaitMin is %v, RetryWaitMax %v, Timeout %v, expected 0 (for the default) or more",
			cfg.RetryWaitMin, cfg.RetryWaitMax, cfg.Timeout)
	}
	if cfg.RetryWaitMin == 0 {
		cfg.RetryWaitMin = defaultRetryWaitMin
	}
	if cfg.RetryWaitMax == 0 {
		cfg.RetryWaitMax = max(defaultRetryWaitMax, cfg.RetryWaitMin)
	}
	if cfg.RetryWaitMax < cfg.RetryWaitMin {
		return nil, fmt.Errorf("marketplace: Config.RetryWaitMax is %v, expected RetryWaitMin (%v) or more", cfg.RetryWaitMax, cfg.RetryWaitMin)
	}
	switch {
	case cfg.RetryMax == 0:
		cfg.RetryMax = defaultRetryMax
	case cfg.RetryMax < 0:
		cfg.RetryMax = 0
	}
	c := &Client{server: server, logger: cfg.Logger}
	if cfg.BaseKey != "" {
		c.usage, err = signature.NewUsage(signature.Config{Keys: []string{cfg.BaseKey}, Now: cfg.Now, Rand: cfg.Rand})
		if err != nil {
			return nil, fmt.Errorf("marketplace: Config.BaseKey: %w", err)
		}
	}
	c.http = &retryablehttp.Client{
		HTTPClient:   c.httpClient(cfg),
		RetryMax:     cfg.RetryMax,
		RetryWaitMin: cfg.RetryWaitMin,
		RetryWaitMax: cfg.RetryWaitMax,
		CheckRetry:   c.checkRetry,
		Backoff:      c.backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler, // or the last answer, which says why, is thrown away
	}
	return c, nil
}

// String names the marketplace and nothing secret.
func (c *Client) String() string { return "marketplace.Client{" + c.server + "}" }

// Format writes what String returns whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

func serverURL(text string, allowHTTP bool) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", errors.New("marketplace: Config.URL is not of the form https://host")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("marketplace: Config.URL has a user, a query or a fragment, expected https://host or https://host/path")
	}
	if u.Scheme == "http" && !allowHTTP && !loopback(u.Hostname()) {
		return "", fmt.Errorf("marketplace: Config.URL: http to %s would send signed requests in the clear, expected https (or InsecureAllowHTTP)", u.Hostname())
	}
	return strings.TrimSuffix(u.String(), "/") + "/", nil // with it, a path in the URL stays
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// httpClient is the client of one attempt: a copy of the caller's, with signing in front of its transport.
func (c *Client) httpClient(cfg Config) *http.Client {
	var hc http.Client
	if cfg.HTTPClient != nil {
		hc = *cfg.HTTPClient
	}
	switch {
	case cfg.Timeout > 0:
		hc.Timeout = cfg.Timeout
	case hc.Timeout == 0:
		hc.Timeout = defaultTimeout
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hc.Transport = &attempt{client: c, next: cfg.Credentials.Transport(hc.Transport, cfg.Now)}
	return &hc
}

// QueryOrder asks for an order. With an orderLineID, 64 characters at most like the order id, the answer has that line only;
// empty asks for all. An order of another ISV is [ErrNotYours], and so is one that does not exist, as far as is known: no published
// text says it. A success without the order that was asked for is an error too.
func (c *Client) QueryOrder(ctx context.Context, orderID, orderLineID string) (*marketplaceapi.OrderInfo, error) {
	const op = "queryOrder"
	if problem := textProblem(orderID, 1); problem != "" {
		return nil, fmt.Errorf("marketplace: %s: the order id %s", op, problem)
	}
	if problem := textProblem(orderLineID, 0); problem != "" {
		return nil, fmt.Errorf("marketplace: %s: the order line id %s", op, problem)
	}
	req, err := marketplaceapi.NewQueryOrderRequest(c.server, &marketplaceapi.QueryOrderParams{OrderID: orderID, OrderLineID: orderLineID})
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: %w", op, err)
	}
	if orderLineID == "" {
		query := req.URL.Query()
		query.Del("orderLineId")
		req.URL.RawQuery = query.Encode()
	}
	ans, err := c.do(ctx, &call{operation: op, repeatable: true}, req)
	if err != nil {
		return nil, err
	}
	if !ans.succeeded() {
		return nil, ans.refusal(op)
	}
	var body marketplaceapi.OrderAnswer
	if err := json.Unmarshal(ans.body, &body); err != nil {
		return nil, fmt.Errorf("marketplace: %s: read the answer: %w", op, err)
	}
	if body.OrderInfo.OrderID != orderID {
		return nil, fmt.Errorf("marketplace: %s: the answer is a success but not about order %s", op, orderID)
	}
	return &body.OrderInfo, nil
}

// call is one call of a method, through all its attempts.
type call struct {
	operation  string
	repeatable bool // the request may be repeated though the first may have been carried out
	signUsage  bool
	attempts   int
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	k, _ := ctx.Value(callKey{}).(*call)
	if k == nil {
		k = &call{}
	}
	return k
}

// answered is an answer, read to its end.
type answered struct {
	status int
	header http.Header
	body   []byte
	outcome
}

// outcome is what every kind of answer says about how it went: orders with resultCode, usage and the gateway with error_code.
type outcome struct {
	ResultCode string `json:"resultCode"`
	ResultMsg  string `json:"resultMsg"`
	ErrorCode  string `json:"error_code"`
	ErrorMsg   string `json:"error_msg"`
	ExtraInfo  string `json:"extra_info"`
	RequestID  string `json:"request_id"`
}

func (o outcome) code() string {
	if o.ResultCode != "" {
		return o.ResultCode
	}
	return o.ErrorCode
}

func readOutcome(body []byte) (o outcome) {
	if json.Unmarshal(body, &o) != nil && o.code() == "" {
		return outcome{}
	}
	return o
}

func (a *answered) succeeded() bool {
	suffix, ok := marketplaceCode(a.code())
	return a.status == http.StatusOK && ok && suffix == codeSuccess
}

func (a *answered) refusal(operation string) error {
	e := &Error{Operation: operation, Status: a.status, Code: a.code(), Message: a.ResultMsg, ExtraInfo: a.ExtraInfo, RequestID: a.RequestID}
	if e.Message == "" {
		e.Message = a.ErrorMsg
	}
	if e.RequestID == "" {
		e.RequestID = a.header.Get("X-Request-Id")
	}
	if e.Code == "" && e.Message == "" {
		e.Message = "the answer has no code"
		if 300 <= a.status && a.status < 400 {
			e.Message = "redirects are not followed"
		}
	}
	return e
}

// do is the one request path: every method ends here.
func (c *Client) do(ctx context.Context, k *call, req *http.Request) (*answered, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "isvkit")
	retryable, err := retryablehttp.FromRequest(req.WithContext(context.WithValue(ctx, callKey{}, k)))
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: %w", k.operation, err)
	}
	resp, err := c.http.Do(retryable)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, fmt.Errorf("marketplace: %s: after %d attempts: %w", k.operation, k.attempts, cause)
		}
		return nil, fmt.Errorf("marketplace: %s: after %d attempts: %w", k.operation, k.attempts, err)
	}
	body, err := io.ReadAll(resp.Body) // in memory already, see attempt
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: %w", k.operation, err)
	}
	return &answered{status: resp.StatusCode, header: resp.Header, body: body, outcome: readOutcome(body)}, nil
}

// textProblem returns what is wrong with an id, "" if nothing is.
func textProblem(text string, least int) string {
	switch n := utf8.RuneCountInString(text); {
	case n < least:
		return "is empty"
	case n > 64:
		return fmt.Sprintf("is %d characters long, expected at most 64", n)
	case !utf8.ValidString(text):
		return "is not UTF-8"
	}
	return ""
}

// encode writes a body in the one form that every receiver hashes alike: compact, names sorted at every level, nothing escaped
// that need not be.
func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return nil, err
	}
	canonical, ok := signature.CanonicalUsageBody(b.Bytes())
	if !ok {
		return nil, errors.New("the body has no canonical form")
	}
	return canonical, nil
}
