package scenario

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sdk/signature"
)

// ISV is what steps need that do what the ISV would do. They call the open API once, without repeating anything, because a file wants
// to see every answer; what a right ISV repeats is shown by a right ISV.
type ISV struct {
	// MarketURL is the address of the open API. Default: what the sandbox says of itself.
	MarketURL string
	// BaseKey signs usage pushes, AK and SK every request.
	BaseKey, AK, SK string
	// HTTPClient makes the requests. Default: a client without redirects.
	HTTPClient *http.Client
	// Now is the clock of the signatures. Default: time.Now.
	Now func() time.Time
}

// Format keeps the keys out of logs.
func (i ISV) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "{%s, keys redacted}", i.MarketURL) }

// What an answer of the open API has besides its own fields.
const (
	extraHTTP       = "http"       // HTTP status; 0 if no answer came
	extraCode       = "code"       // error_code or resultCode, whichever the answer has
	extraRejected   = "rejected"   // error codes of usage records, one for each that was not accepted
	extraRetryAfter = "retryAfter" // the header Retry-After, in seconds
	extraError      = "error"      // why no answer came
	extraText       = "text"       // a body that is no JSON object
)

var answerExtras = []string{extraHTTP, extraCode, extraRejected, extraRetryAfter, extraError, extraText}

const (
	marketTimeout = 20 * time.Second
	maxAnswer     = 8 << 20
)

// call calls the open API, signed as the operation wants it. Whatever comes is an answer, also nothing; the error is about ourselves.
func (i *ISV) call(ctx context.Context, op *operation, args map[string]any, timeout time.Duration) (map[string]any, error) {
	if i.AK == "" || i.SK == "" || i.BaseKey == "" {
		return nil, errors.New("the step does what the ISV would do, and its keys are not known: expected the base key, AK and SK")
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(timeout, marketTimeout))
	defer cancel()
	req, body, err := op.request(ctx, i.MarketURL, args)
	if err != nil {
		return nil, err
	}
	now := i.Now
	if now == nil {
		now = time.Now
	}
	if op.id == "pushUsage" {
		signer, err := signature.NewUsage(signature.Config{Keys: []string{i.BaseKey}, Now: now})
		if err != nil {
			return nil, err
		}
		params, err := signer.Sign(body)
		if err != nil {
			return nil, err
		}
		params.SetUsageHeaders(req.Header)
	}
	client := http.Client{}
	if i.HTTPClient != nil {
		client = *i.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if !op.unsigned {
		client.Transport = signature.Credentials{AK: i.AK, SK: i.SK}.Transport(client.Transport, now)
	}
	resp, err := client.Do(req)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unanswered(ctx, err)
	}
	return answered(resp, content), nil
}

// unanswered is the answer that did not come.
func unanswered(ctx context.Context, err error) (map[string]any, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err // without the address and its query
	}
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = "timeout: " + text
	}
	return map[string]any{extraHTTP: "0", extraError: text}, nil
}

func answered(resp *http.Response, content []byte) map[string]any {
	answer := map[string]any{}
	if v, err := decode(content); err == nil && object(v) != nil {
		answer = object(v)
	} else {
		answer[extraText] = string(content)
	}
	var rejected []any
	if list, ok := object(answer["data"])["abnormal_usage_data"].([]any); ok {
		for _, one := range list {
			rejected = append(rejected, object(one)["error_code"])
		}
	}
	code := answer["error_code"]
	if code == nil {
		code = answer["resultCode"]
	}
	answer[extraHTTP], answer[extraRejected] = fmt.Sprint(resp.StatusCode), rejected
	if code != nil {
		answer[extraCode] = code
	}
	if location := resp.Header.Get("Location"); location != "" {
		answer[extraText] = location
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		answer[extraRetryAfter] = after
	}
	return answer
}

// arguments are those of the push operation, with defaults filled in: the last hour on the sandbox's clock, and a new metering_sn. Those
// that the file chooses get the name of the run behind them, because none may ever be used again.
func (u *usagePush) arguments(now time.Time, run string, fill func(any) (any, error)) (*operation, map[string]any, error) {
	op := marketDoc().operations["pushUsage"]
	if u.old {
		op = marketDoc().operations["pushUsageOld"]
	}
	records := []any{}
	for _, fields := range u.records {
		record := map[string]any{
			"begin_time": now.Add(-time.Hour).Format(usageTime), "end_time": now.Format(usageTime), "record_time": now.Format(usageTime),
		}
		if !u.old {
			record["metering_sn"] = strings.ToLower(rand.Text())
		}
		for name, value := range fields {
			if at, ok := value.(moment); ok {
				record[name] = now.Add(at.offset).Format(usageTime)
				continue
			}
			filled, err := fill(value)
			if err != nil {
				return nil, nil, err
			}
			if record[name] = text(filled); name == "metering_sn" && filled != "" {
				record[name] = text(filled) + "-" + run
			}
		}
		if u.old && fields["metering_sn"] == nil {
			delete(record, "metering_sn")
		}
		records = append(records, record)
	}
	return op, map[string]any{"usage_records": records}, nil
}
