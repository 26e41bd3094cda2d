package usage

import (
	"context"
	"sync/atomic"
	"time"
)

// Pending is what waits to be pushed, and what was.
type Pending struct {
	Totals
	Age time.Duration // since the end of the oldest window that is open or sealed; 0 if none has ended. Alarm on more than 2 h.
}

// Pending sums up what the store holds.
func (r *Reporter) Pending(ctx context.Context) (Pending, error) {
	t, err := r.cfg.Store.Totals(ctx)
	if err != nil {
		return Pending{}, err
	}
	p := Pending{Totals: t}
	if !t.Oldest.IsZero() {
		p.Age = max(r.cfg.Now().Sub(t.Oldest), 0)
	}
	return p, nil
}

// Inspect lists windows.
func (r *Reporter) Inspect(ctx context.Context, f Filter) ([]Window, error) {
	return r.cfg.Store.Inspect(ctx, f)
}

// Requeue pushes a rejected window again, after what was wrong with it has been mended. It keeps its metering_sn, so it cannot be
// billed twice. The error is [ErrNotFound] if there is none.
func (r *Reporter) Requeue(ctx context.Context, meteringSN string) error {
	return r.cfg.Store.Requeue(ctx, meteringSN, r.cfg.Now().UTC())
}

// Metrics counts what a Reporter did since [New].
type Metrics struct {
	Recorded uint64 // calls of Record that counted
	Repeated uint64 // … whose id had been counted before
	Refused  uint64 // … that were refused for what they said

	Pushes   uint64 // pushes made
	Failures uint64 // … that were refused as a whole or ended without an answer

	Accepted uint64 // windows taken by the marketplace
	Known    uint64 // … that it had already (005, 010)
	Retried  uint64 // times a window was put off
	Resealed uint64 // times a window got another begin and end
	Rejected uint64 // windows that the marketplace does not take
}

type counters struct {
	recorded, repeated, refused, pushes, failures, accepted, known, retried, resealed, rejected atomic.Uint64
}

// Metrics returns the counters.
func (r *Reporter) Metrics() Metrics {
	c := &r.counters
	return Metrics{
		Recorded: c.recorded.Load(), Repeated: c.repeated.Load(), Refused: c.refused.Load(), Pushes: c.pushes.Load(), Failures: c.failures.Load(),
		Accepted: c.accepted.Load(), Known: c.known.Load(), Retried: c.retried.Load(), Resealed: c.resealed.Load(), Rejected: c.rejected.Load(),
	}
}
