package marketplace

import (
	"bytes"
	"cmp"
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

	"github.com/hashicorp/go-retryablehttp"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/signature"
)

// Config is how a client is set up. Region or URL is required, and Credentials, and BaseKey for PushUsage.
type Config struct {
	// Region is the edition of the marketplace to call. Where it has a second host, attempts go there for five minutes once the
	// first one could not be reached.
	Region Region

	// URL is the address of another marketplace, such as a sandbox, in place of Region. A path in it is kept in front of the
	// contract's paths.
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

	// RequestsPerSecond spaces attempts evenly, so that this client alone stays below a limit. Default: 0, no limit. Whatever it
	// is, a client that is told to call less often (429, code 0250) sends nothing at all for the time of Retry-After, or else
	// for RetryWaitMin.
	RequestsPerSecond float64

	// Now is the clock that dates signatures. Default: time.Now.
	Now func() time.Time

	// Rand is where nonces come from. Default: crypto/rand.Reader.
	Rand io.Reader

	// Logger gets a line per attempt: at info level if the attempt failed and is repeated, else at debug level. Keys, headers
	// and bodies are never in it. Default: slog.Default(), looked up for each line.
	Logger *slog.Logger
}

// String leaves the secrets out.
func (c Config) String() string {
	return fmt.Sprintf("{URL:%s AK:%s}", cmp.Or(c.URL, string(c.Region)), c.Credentials.AK)
}

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
	server  string
	hosts   hosts
	limit   limiter
	usage   *signature.Usage // nil without a base key
	http    *retryablehttp.Client
	timeout time.Duration // of one attempt
	logger  *slog.Logger
}

// New returns a client. The error says which setting makes no sense; nothing is sent.
func New(cfg Config) (*Client, error) {
	names := cfg.Region.Hosts()
	switch {
	case cfg.Region == "":
	case names == nil:
		return nil, fmt.Errorf("marketplace: Config.Region is %q, expected China, International or Europe", string(cfg.Region))
	case cfg.URL != "":
		return nil, errors.New("marketplace: Config has a Region and a URL, expected one of them")
	default:
		cfg.URL = "https://" + names[0]
	}
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
	c := &Client{server: server, hosts: hosts{names: names}, logger: cfg.Logger, timeout: cfg.Timeout}
	if rate := cfg.RequestsPerSecond; rate != 0 {
		if !(rate >= 1e-6 && rate <= 1e6) { // nor a NaN
			return nil, fmt.Errorf("marketplace: Config.RequestsPerSecond is %v, expected 0 (for no limit) or 0.000001 to 1000000", rate)
		}
		c.limit.every = time.Duration(float64(time.Second) / rate)
	}
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
	if c.timeout == 0 {
		c.timeout = cmp.Or(hc.Timeout, defaultTimeout)
	}
	hc.Timeout = 0 // attempt has it, or waiting for the limiter would count
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hc.Transport = &attempt{client: c, next: cfg.Credentials.Transport(hc.Transport, cfg.Now)}
	return &hc
}

// QueryOrder asks for an order. With an orderLineID, 64 characters at most like the order id, the answer has that line only;
// empty asks for all. An order of another ISV is [ErrNotYours], and so is one that does not exist, as far as is known: no published
// text says it. A success without the order that was asked for is an error too.
//
// A field of another type than the contract says is converted where that is certain ("50" for 50), left out and logged where
// nothing is provisioned by it (the buyer, amounts of money, names for people), and an error elsewhere.
//
//isvkit:operation queryOrder
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
	body, err := decode[marketplaceapi.OrderAnswer](ctx, c, op, ans.body, orderExtras)
	if err != nil {
		return nil, err
	}
	if body.OrderInfo.OrderID != orderID {
		return nil, fmt.Errorf("marketplace: %s: the answer is a success but not about order %s", op, orderID)
	}
	return &body.OrderInfo, nil
}

// orderExtras are the fields of an order that nothing is provisioned by.
func orderExtras(field string) bool {
	return field == "resultMsg" || field == "orderInfo.buyerInfo" || strings.HasPrefix(field, "orderInfo.buyerInfo.") ||
		strings.HasPrefix(field, "orderInfo.orderLine.currency") || field == "orderInfo.orderLine.productInfo.productName"
}

// bodyRequest makes the request of an operation that has a body.
type bodyRequest func(server, contentType string, body io.Reader) (*http.Request, error)

// call is one call of a method, through all its attempts.
type call struct {
	operation  string
	repeatable bool // the request may be repeated though the first may have been carried out
	signUsage  bool
	body       func() io.Reader // a body that is streamed; nil if the request has its own
	length     int64            // of that body
	attempts   int
	neverSent  bool // of the last attempt
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
	return a.status == http.StatusOK && ok && (suffix == codeSuccess || suffix == codeLicenseSuccess)
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
	if k.body != nil {
		if err := retryable.SetBody(retryablehttp.ReaderFunc(func() (io.Reader, error) { return k.body(), nil })); err != nil {
			return nil, fmt.Errorf("marketplace: %s: %w", k.operation, err)
		}
		retryable.ContentLength = k.length
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
func textProblem(text string, least int) string { return textProblemUpTo(text, least, 64) }

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
