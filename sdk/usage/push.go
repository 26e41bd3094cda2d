package usage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// Run pushes what is due, until the context is over; then it returns nil. Failures are logged, and what they concern is pushed
// again. What is under way when the context ends is pushed again by the next Run.
func (r *Reporter) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := r.Flush(ctx)
		if err == nil {
			err = r.prune(ctx)
		}
		wait := r.cfg.PollEvery
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		default:
			failures++
			wait = max(wait, r.wait(failures))
			r.logger().LogAttrs(ctx, slog.LevelWarn, "usage push failed", slog.Int("failures", failures), slog.Duration("wait", wait), slog.Any("error", err))
		}
		timer.Reset(wait)
	}
}

// Flush pushes everything that is due now, and only that: an open window becomes due after its end. The first push that
// fails ends it; what is left is due another time. Rejected records are no failure.
func (r *Reporter) Flush(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := r.round(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// round pushes one batch. More is false if nothing was due.
func (r *Reporter) round(ctx context.Context) (more bool, _ error) {
	now, token := r.cfg.Now().UTC(), r.newSN()
	windows, err := r.cfg.Store.Claim(ctx, Claim{
		Now: now, Until: now.Add(r.cfg.PushTimeout + leaseMargin), Token: token, Limit: r.cfg.MaxBatch, NewSN: r.newSN,
	})
	if err != nil {
		return false, fmt.Errorf("usage: claim: %w", err)
	}
	if len(windows) == 0 {
		return false, nil
	}
	outcomes := make([]Outcome, 0, len(windows))
	fresh := windows[:0:0]
	for _, w := range windows {
		if now.Sub(w.From) > MaxAge {
			outcomes = append(outcomes, Outcome{
				Window: w, Verdict: Refuse, Unsure: w.Unsure, Code: marketplaceapi.RecordExpired, Message: "not pushed: the record would begin more than 21 days ago",
			})
			continue
		}
		fresh = append(fresh, w)
	}
	singled := 0
	pushed, pushErr := r.push(ctx, fresh, &singled)
	outcomes = append(outcomes, pushed...)
	r.tell(ctx, outcomes)
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := r.cfg.Store.Settle(settle, token, outcomes); err != nil {
		return false, errors.Join(pushErr, fmt.Errorf("usage: settle: %w", err))
	}
	return true, pushErr
}

// push pushes windows at once, or in halves where one of them makes the marketplace refuse the whole; singled counts those. There
// is one outcome per window, whatever the error.
func (r *Reporter) push(ctx context.Context, windows []Window, singled *int) ([]Outcome, error) {
	if len(windows) == 0 {
		return nil, nil
	}
	records := make([]marketplaceapi.UsageRecord, len(windows))
	for i, w := range windows {
		records[i] = w.Record()
	}
	r.counters.pushes.Add(1)
	result, err := r.pushOnce(ctx, records)
	if err == nil {
		return r.judge(windows, result), nil
	}
	r.counters.failures.Add(1)
	code, ok := refusal(err)
	switch {
	case ok && len(windows) > 1 && *singled < maxRefused:
		half := len(windows) / 2
		outcomes, err := r.push(ctx, windows[:half], singled)
		if err != nil {
			for _, w := range windows[half:] {
				outcomes = append(outcomes, Outcome{Window: w, Verdict: Abandon, Next: r.cfg.Now().UTC(), Unsure: w.Unsure, Code: w.Code, Message: w.Message})
			}
			return outcomes, err
		}
		second, err := r.push(ctx, windows[half:], singled)
		return append(outcomes, second...), err
	case ok && len(windows) == 1:
		*singled++
		return []Outcome{r.refused(windows[0], code, err.Error())}, nil
	}
	unsure := mayBeTaken(err)
	outcomes := make([]Outcome, len(windows))
	for i, w := range windows {
		outcomes[i] = r.again(w)
		outcomes[i].Unsure = w.Unsure || unsure
		outcomes[i].Code, outcomes[i].Message = w.Code, oneLine(err.Error())
	}
	return outcomes, fmt.Errorf("usage: push %d records: %w", len(windows), err)
}

func (r *Reporter) pushOnce(ctx context.Context, records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.PushTimeout)
	defer cancel()
	start := time.Now()
	result, err := r.cfg.Pusher.PushUsage(ctx, records)
	if err == nil && result == nil {
		err = errors.New("usage: the Pusher returned neither a result nor an error")
	}
	if err == nil {
		r.logger().LogAttrs(ctx, slog.LevelDebug, "usage pushed",
			slog.Int("records", len(records)), slog.Int("rejected", len(result.Rejected)), slog.Duration("took", time.Since(start)))
	}
	return result, err
}

// judge reads the answer to a push.
func (r *Reporter) judge(windows []Window, result *marketplace.PushResult) []Outcome {
	named := make(map[int]marketplace.Rejected, len(result.Rejected))
	var unnamed []marketplace.Rejected
	for _, rejected := range result.Rejected {
		if rejected.Index < 0 || rejected.Index >= len(windows) {
			unnamed = append(unnamed, rejected)
			continue
		}
		named[rejected.Index] = rejected
	}
	rest := len(windows) - len(named)
	outcomes := make([]Outcome, 0, len(windows))
	for i, w := range windows {
		rejected, ok := named[i]
		switch {
		case ok:
			outcomes = append(outcomes, r.refused(w, rejected.Code, rejected.Message))
		case len(unnamed) == 0:
			outcomes = append(outcomes, Outcome{Window: w, Verdict: Finish})
		case len(unnamed) >= rest: // all that are left are meant
			outcomes = append(outcomes, r.refused(w, unnamed[0].Code, unnamed[0].Message))
		default: // some were not taken and nobody says which: pushed again, those that were are 005
			o := r.again(w)
			o.Unsure, o.Code, o.Message = true, w.Code, oneLine(unnamed[0].Message)
			outcomes = append(outcomes, o)
		}
	}
	return outcomes
}

// refused decides about a window that the marketplace said no to.
func (r *Reporter) refused(w Window, code marketplaceapi.AbnormalUsageRecordErrorCode, message string) Outcome {
	code, message = marketplaceapi.AbnormalUsageRecordErrorCode(oneLine(string(code))), oneLine(message)
	o := Outcome{Window: w, Verdict: Refuse, Unsure: w.Unsure, Code: code, Message: message}
	rule := ruleOf(code)
	switch rule.kind {
	case ours:
		o = Outcome{Window: w, Verdict: Finish, Code: code, Message: message}
	case crossed:
		switch {
		case w.Unsure:
			o = Outcome{Window: w, Verdict: Finish, Code: code, Message: message}
		case w.Attempts <= maxCrossed:
			o.Verdict, o.Next = Reseal, r.cfg.Now().UTC()
		}
	case healing:
		// Whoever put it back into the queue wants to see it tried, however long ago it was sealed.
		if r.cfg.Now().Sub(w.SealedAt) < rule.patience || w.Attempts <= 1 {
			again := r.again(w)
			o.Verdict, o.Next = Repeat, again.Next
		}
	case final:
	}
	return o
}

// oneLine makes what others said fit for a database: one line of valid UTF-8, not too long.
func oneLine(text string) string {
	const most = 512
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// again puts a window off until its next attempt.
func (r *Reporter) again(w Window) Outcome {
	return Outcome{Window: w, Verdict: Repeat, Next: r.cfg.Now().UTC().Add(r.wait(w.Attempts))}
}

// wait is the wait after attempt n: doubling from RetryWaitMin to RetryWaitMax, the second half of it random.
func (r *Reporter) wait(n int) time.Duration {
	wait, shift := r.cfg.RetryWaitMax, max(n, 1)-1
	if doubled := r.cfg.RetryWaitMin << min(shift, 30); shift <= 30 && doubled>>shift == r.cfg.RetryWaitMin && doubled < wait {
		wait = doubled
	}
	return max(wait/2+r.jitter(wait/2+1), r.cfg.RetryWaitMin)
}

// tell counts and reports outcomes before the store notes them, so that no rejection goes untold.
func (r *Reporter) tell(ctx context.Context, outcomes []Outcome) {
	for _, o := range outcomes {
		w := o.Window
		switch o.Verdict {
		case Finish:
			if o.Code != "" {
				r.counters.known.Add(1)
				continue
			}
			r.counters.accepted.Add(1)
			continue
		case Repeat:
			r.counters.retried.Add(1)
			continue
		case Reseal:
			r.counters.resealed.Add(1)
			continue
		case Abandon:
			continue
		case Refuse:
		}
		r.counters.rejected.Add(1)
		w.State, w.Code, w.Message, w.Unsure = Rejected, o.Code, o.Message, o.Unsure
		if r.cfg.OnRejected != nil {
			r.cfg.OnRejected(ctx, Rejection{Window: w})
			continue
		}
		r.logger().LogAttrs(ctx, slog.LevelError, "usage rejected", slog.String("metering_sn", w.MeteringSN), slog.String("instance", w.InstanceID),
			slog.String("begin", marketplace.FormatTime(w.From)), slog.String("amount", w.Amount.String()), slog.Bool("unsure", w.Unsure),
			slog.String("code", cmp.Or(string(w.Code), "none")), slog.String("message", w.Message))
	}
}

// prune tidies the store, hourly.
func (r *Reporter) prune(ctx context.Context) error {
	now, last := r.cfg.Now(), r.pruned.Load()
	if now.Unix()-last < int64(time.Hour/time.Second) || !r.pruned.CompareAndSwap(last, now.Unix()) {
		return nil
	}
	if err := r.cfg.Store.Prune(ctx, now.Add(-r.cfg.Retention)); err != nil {
		return fmt.Errorf("usage: prune: %w", err)
	}
	return nil
}
