package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

func replay(ctx context.Context, t terminal, args []string) int {
	var opts conformance.Options
	var targets addresses
	k := keys{opts: &opts}
	flags := quietFlags("replay")
	flags.Var(&targets, "target", "`URL` of the ISV's production address; default: the one in the report")
	flags.StringVar(&opts.MarketListen, "market-listen", "127.0.0.1:8480", "`ADDRESS` at which this program is the marketplace; the ISV must be pointed there; default: 127.0.0.1:8480")
	flags.DurationVar(&opts.UsageWait, "usage-wait", 0, "`TIME` to wait for a usage push, for the checks that judge it; default: 0")
	flags.DurationVar(&opts.Timeout, "timeout", 5*time.Minute, "`TIME` for all of it; default: 5m")
	k.bind(flags)
	rest, code, done := t.parse(flags, args, "report in JSON", "id of a check")
	if done {
		return code
	}
	const hint = "isv-conformance replay --help shows the flags and the variables they default to"
	if err := k.load(flags, t.getenv); err != nil {
		return t.refuse(err.Error(), hint)
	}
	if len(targets) > 0 {
		opts.Target, opts.Replicas = targets[0], targets[1:]
	}
	r, err := readReport(rest[0])
	if err != nil {
		return t.refuse(err.Error(), "run --json FILE writes such a report")
	}
	if len(targets) == 0 {
		t.say("sending to %s, as the report says; --target chooses another address", report.Clean(r.Target))
	}
	result, err := conformance.Replay(ctx, opts, r, rest[1])
	if err != nil {
		var unjudgeable *conformance.UnjudgeableError
		if errors.As(err, &unjudgeable) {
			return t.refuse(fmt.Sprintf("could not judge: %v", err), unjudgeable.Hint)
		}
		return t.refuse(flagged(err), hint)
	}
	var b strings.Builder
	result.Then.WriteReplay(&b, result.Sent, result.Now)
	if _, err := io.WriteString(t.out, b.String()); err != nil {
		return t.refuse(err.Error(), "")
	}
	switch result.Now.Status {
	case suite.Pass:
		return exitOK
	case suite.Fail:
		return exitNot
	default:
		return exitUnjudgable
	}
}
