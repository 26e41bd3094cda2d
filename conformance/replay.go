package conformance

import (
	"context"
	"fmt"
	"strings"

	"github.com/isvkit/isvkit/conformance/internal/chaos"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// Replayed is what came of a failed check when it was tried again.
type Replayed struct {
	// Then is the check of the report.
	Then report.Check
	// Sent are its requests, sent again; empty if the report does not hold them.
	Sent []report.Attempt
	// Now is the check itself, run anew on new orders. Its outcome says whether it still fails.
	Now report.Check
}

// Replay tries a failed check of a report again. It sends the requests that the report holds, each signed afresh with the keys of the
// options, and then runs the check anew, because much of what the requests were about is gone by now. Where the options name no target,
// charging modes, capabilities and readings, those of the report are taken. Requests go to the target and its replicas, and nowhere else,
// whatever the report says.
func Replay(ctx context.Context, o Options, r *Report, id string) (*Replayed, error) {
	then, ok := r.Check(id)
	if !ok {
		return nil, badOption("", "the report has no check %q; it has %d checks", id, len(r.Checks))
	}
	if strings.HasPrefix(id, chaos.Area) {
		return nil, badOption("", "the check %s takes a whole story; isv-conformance run --rerun tells it again, and chaos --story FILE the shortest one", id)
	}
	if then.Status != suite.Fail {
		return nil, badOption("", "the check %s did not fail in the report, its outcome is %s; there is nothing to send again", id, then.Outcome)
	}
	if o.Target == "" {
		o.Target, o.Replicas = r.Target, r.Replicas
	}
	if strings.Contains(o.Target, "***") {
		return nil, badOption("target", "the address in the report has a secret in it, which is not shown there; expected the whole address")
	}
	if len(o.Charging) == 0 {
		o.Charging = r.Charging
	}
	if len(o.With) == 0 {
		o.With = r.With
	}
	if len(o.Readings) == 0 {
		o.Readings = r.Readings
	}
	o.Only = []string{id}
	result := &Replayed{Then: *then}
	var requests []curl.Request
	if then.Again != nil {
		for n, q := range then.Again.Requests {
			if q.Again { // it goes where the one before it went
				requests = append(requests, q.Request)
				continue
			}
			address, err := moved(q.URL, r, &o)
			if err != nil {
				return nil, badOption("", "request %d of the check: %v", n+1, err)
			}
			q.URL = address
			requests = append(requests, q.Request)
		}
	}
	now, err := run(ctx, o, func(ctx context.Context, env *suite.Env) error {
		if then.Again == nil {
			return nil
		}
		attempts, err := suite.Replay(ctx, env, requests, then.Again.Orders)
		if err != nil {
			return &UnjudgeableError{Err: err}
		}
		shown := &Report{Checks: []report.Check{{}}}
		for _, a := range attempts {
			shown.Checks[0].Attempts = append(shown.Checks[0].Attempts, report.NewAttempt(a))
		}
		shown.Hide(o.secrets())
		result.Sent = shown.Checks[0].Attempts
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(now.Checks) != 1 {
		return nil, badOption("", "the suite has no check %q any more", id)
	}
	result.Now = now.Checks[0]
	return result, nil
}

// moved is the address of a request, at the target of today.
func moved(address string, r *Report, o *Options) (string, error) {
	then, now := append([]string{r.Target}, r.Replicas...), append([]string{o.Target}, o.Replicas...)
	for n := len(then) - 1; n >= 0; n-- {
		if rest, ok := strings.CutPrefix(address, then[n]); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') && len(now) > 0 {
			return now[min(n, len(now)-1)] + rest, nil
		}
	}
	return "", fmt.Errorf("it goes to %q, which is none of the addresses that the report is about", address)
}
