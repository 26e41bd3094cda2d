package marketplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

var errAnswerTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// attempt sends one attempt: it signs, sends, and reads the answer to its end, so that an answer which breaks off counts as no
// answer.
type attempt struct {
	client *Client
	next   http.RoundTripper // signs with AK/SK
}

// RoundTrip implements http.RoundTripper.
func (a *attempt) RoundTrip(req *http.Request) (*http.Response, error) {
	c, k := a.client, callOf(req.Context())
	if err := c.limit.wait(req.Context()); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	k.attempts++
	var conn connection
	ctx, cancel := context.WithTimeout(httptrace.WithClientTrace(req.Context(), conn.trace()), c.timeout)
	defer cancel()
	caller, host := req.Context(), c.hosts.pick()
	req = req.Clone(ctx)
	if host != "" {
		req.URL.Host, req.Host = host, host // below the retry, above the signature
	}
	if k.signUsage {
		var err error
		if req, err = a.signUsage(req); err != nil {
			return nil, err
		}
	}
	resp, err := a.next.RoundTrip(req)
	if err != nil {
		k.neverSent = conn.neverSent(err)
		if k.neverSent && caller.Err() == nil && !wrongCertificate(err) {
			c.hosts.unreachable(host)
		}
		return nil, err
	}
	k.neverSent = false
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, errAnswerTooLong
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (a *attempt) signUsage(req *http.Request) (*http.Request, error) {
	body, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	params, err := a.client.usage.Sign(body)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Body = io.NopCloser(bytes.NewReader(body))
	params.SetUsageHeaders(req.Header)
	return req, nil
}

// checkRetry decides whether an attempt is repeated. It is also the place where every attempt passes, so it logs.
func (c *Client) checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	k := callOf(ctx)
	if ctx.Err() != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return false, ctx.Err()
	}
	if err != nil {
		again := retryError(ctx, k, err)
		c.log(ctx, k, again, slog.String("reason", err.Error()))
		return again, nil
	}
	body, readErr := io.ReadAll(resp.Body) // in memory
	_ = resp.Body.Close()                  // stops the attempt's timer
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if readErr != nil {
		return false, readErr
	}
	code := readOutcome(body).code()
	again := retryAnswer(k, resp.StatusCode, code)
	if tooMany(resp.StatusCode, code) {
		wait := c.http.RetryWaitMin
		if after, ok := retryAfter(resp.Header.Get("Retry-After"), resp.Header.Get("Date")); ok {
			wait = min(max(after, wait), c.http.RetryWaitMax)
		}
		c.limit.pause(wait)
	}
	c.log(ctx, k, again, slog.Int("status", resp.StatusCode), slog.String("code", oneLine(code, 64)))
	return again, nil
}

// retryError decides after an attempt without an answer.
func retryError(ctx context.Context, k *call, err error) bool {
	if errors.Is(err, errAnswerTooLong) {
		return false
	}
	if !k.repeatable && !k.neverSent {
		return false
	}
	again, _ := retryablehttp.DefaultRetryPolicy(ctx, nil, err) // no for certificates, schemes and headers that are wrong
	return again
}

// tooMany reports whether an answer asks to call less often.
func tooMany(status int, code string) bool {
	suffix, ok := marketplaceCode(code)
	return ok && suffix == codeRateLimited || !ok && (status == http.StatusTooManyRequests || code == codeThrottled)
}

// retryAnswer decides after an answer. The code comes first: business errors come as HTTP 500 too.
func retryAnswer(k *call, status int, code string) bool {
	if tooMany(status, code) {
		return true
	}
	if suffix, ok := marketplaceCode(code); ok {
		return k.repeatable && (suffix == codeInternal || suffix == codeLicenseInternal)
	}
	if status == http.StatusNotImplemented {
		return false
	}
	return status >= http.StatusInternalServerError && k.repeatable
}

// backoff returns the wait before the next attempt, number 0 being the first wait.
func (c *Client) backoff(least, most time.Duration, number int, resp *http.Response) time.Duration {
	wait := most
	if number < 32 && least<<number > 0 && least<<number < most {
		wait = least << number
	}
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // no secret: jitter, so that many ISVs do not come back at once
	wait = max(wait, least)
	if resp != nil {
		if after, ok := retryAfter(resp.Header.Get("Retry-After"), resp.Header.Get("Date")); ok {
			wait = min(max(after, least), most)
		}
	}
	return wait
}

// retryAfter reads a Retry-After header in either of its forms. A date is compared with the server's own clock.
func retryAfter(text, date string) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(date)
	if err != nil {
		return 0, false
	}
	return max(at.Sub(now), 0), true
}

// log writes one line per attempt.
func (c *Client) log(ctx context.Context, k *call, again bool, attrs ...slog.Attr) {
	logger, level := c.slog(), slog.LevelDebug
	if again = again && k.attempts <= c.http.RetryMax; again {
		level = slog.LevelInfo
	}
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs = append([]slog.Attr{slog.String("operation", k.operation), slog.Int("attempt", k.attempts), slog.Bool("repeated", again)}, attrs...)
	logger.LogAttrs(ctx, level, "marketplace attempt", attrs...)
}

func (c *Client) slog() *slog.Logger {
	if c.logger == nil {
		return slog.Default()
	}
	return c.logger
}

// warn logs what is odd about an answer, at most once per field and answer. Nothing the peer said is in it.
func (c *Client) warn(ctx context.Context, op, what string, attr slog.Attr) {
	c.slog().LogAttrs(ctx, slog.LevelWarn, "marketplace: "+what, slog.String("operation", op), attr)
}
