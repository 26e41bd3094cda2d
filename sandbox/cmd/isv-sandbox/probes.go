package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

const probeHelp = `
Debug cases, probes and events:
  isv-sandbox cases PRODUCT                         saved and missing debug cases, and what probes have shown
  isv-sandbox debug PRODUCT [ACTIVITY [SCENE]] [--param name=value …]
                                                    make debug calls, and save what passes; without ACTIVITY all that are needed
  isv-sandbox probe PRODUCT                         call every saved case again, now
  isv-sandbox sale PRODUCT on-sale|stopped|frozen|delisted [--without-cases]
                                                    put a product on sale again, or take it off
  isv-sandbox events [--follow] [--kind K] [--seller ID] [--subject S] [--since ID]
                                                    what happened, notices to the seller among it; --follow goes on
`

var probeCommands = []command{
	{"cases", "cases PRODUCT", [2]int{1, 1}, nil, cases},
	{"debug", "debug PRODUCT [ACTIVITY [SCENE]] [--param name=value]", [2]int{1, 3}, func(fs *flag.FlagSet) any {
		p := map[string]string{}
		fs.Func("param", "a parameter that differs from the preset one, `name=value`; may be repeated", func(s string) error {
			name, value, ok := strings.Cut(s, "=")
			if !ok || name == "" {
				return errors.New("expected name=value")
			}
			p[name] = value
			return nil
		})
		return p
	}, debug},
	{"probe", "probe PRODUCT", [2]int{1, 1}, nil, probe},
	{"sale", "sale PRODUCT STATUS [--without-cases]", [2]int{2, 2}, func(fs *flag.FlagSet) any {
		return fs.Bool("without-cases", false, "put it on sale although debug cases are missing")
	}, sale},
	{"events", "events [--follow] [--kind K]", [2]int{0, 0}, func(fs *flag.FlagSet) any {
		f := &eventFlags{}
		fs.BoolVar(&f.follow, "follow", false, "go on with what happens, attempts included, until interrupted")
		fs.StringVar(&f.kind, "kind", "", "only events of this `kind`, or of several, separated by commas")
		fs.StringVar(&f.seller, "seller", "", "only events of this seller")
		fs.StringVar(&f.subject, "subject", "", "only events about this: an order line, or kind/id")
		fs.Int64Var(&f.since, "since", -1, "only events after this one")
		fs.IntVar(&f.limit, "limit", 100, "how many at most")
		return f
	}, events},
}

func caseName(activity, scene string) string { return strings.TrimSpace(activity + " " + scene) }

func cases(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.ListCases(ctx, args[0])
	o, err := read[sandboxapi.CaseOverview](c, resp, err)
	if err != nil {
		return err
	}
	return c.showCases(o)
}

func (c *client) showCases(o sandboxapi.CaseOverview) error {
	if c.asJSON {
		return nil
	}
	last := when(o.LastProbeTime)
	if !o.LastProbeTime.IsZero() && !o.LastProbePassed {
		last += ", failed"
	}
	if err := c.table("", [][]string{
		{"product", o.ProductCode},
		{"status", string(o.Status)},
		{"last probe", last},
		{"next probe", when(o.NextProbeTime)},
		{"failing for", strconv.Itoa(o.FailedDays) + " days"},
		{"failed orders", strconv.Itoa(o.FailedOrders) + " this month"},
	}); err != nil {
		return err
	}
	var rows [][]string
	for _, k := range o.Cases {
		state := "passed"
		if !k.Passed {
			state = "failed: " + k.Problem
		}
		rows = append(rows, []string{caseName(k.Activity, k.Scene), when(k.CalledTime), state})
	}
	for _, k := range o.Missing {
		rows = append(rows, []string{caseName(k.Activity, k.Scene), "-", "missing"})
	}
	return c.table("CASE\tCALLED\tSTATE", rows)
}

// results prints what came of cases, and fails if one failed.
func (c *client) results(results []sandboxapi.CaseResult) error {
	var rows [][]string
	failed := 0
	for _, r := range results {
		state := "passed"
		if !r.Passed {
			failed++
			state = "failed: " + strings.Join(r.Problems, "; ")
		}
		rows = append(rows, []string{caseName(r.Activity, r.Scene), state})
	}
	if err := c.table("CASE\tRESULT", rows); err != nil {
		return err
	}
	if failed > 0 {
		return &hintError{fmt.Errorf("%d of %d cases failed", failed, len(results)), "isv-sandbox journal has what was sent and answered"}
	}
	return nil
}

func debug(ctx context.Context, c *client, args []string, flags any) error {
	given := flags.(map[string]string) //nolint:forcetypeassert // as declared
	if len(args) == 1 {
		if len(given) > 0 {
			return misuse("--param needs an ACTIVITY")
		}
		resp, err := c.api.SaveNeededCases(ctx, args[0])
		list, err := read[sandboxapi.CaseResultList](c, resp, err)
		if err != nil {
			return err
		}
		return c.results(list.Results)
	}
	request := sandboxapi.CaseRequest{Activity: args[1]}
	if len(args) == 3 {
		request.Scene = args[2]
	}
	for name, value := range given {
		if request.Parameters == nil {
			request.Parameters = map[string]any{}
		}
		request.Parameters[name] = parameter(value)
	}
	resp, err := c.api.SaveCase(ctx, args[0], request)
	result, err := read[sandboxapi.CaseResult](c, resp, err)
	if err != nil {
		return err
	}
	return c.results([]sandboxapi.CaseResult{result})
}

// parameter takes an object or a list as JSON, and anything else as the text that it is.
func parameter(value string) any {
	var v any
	if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
		if json.Unmarshal([]byte(value), &v) == nil {
			return v
		}
	}
	return value
}

func probe(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.ProbeProduct(ctx, args[0])
	list, err := read[sandboxapi.CaseResultList](c, resp, err)
	if err != nil {
		return wantsCases(err, resp, args[0], "")
	}
	return c.results(list.Results)
}

// wantsCases adds what to do where the sandbox refuses because debug cases are missing.
func wantsCases(err error, resp *http.Response, product, or string) error {
	if resp != nil && resp.StatusCode == http.StatusConflict {
		return &hintError{err, "isv-sandbox debug " + product + " makes them" + or}
	}
	return err
}

func sale(ctx context.Context, c *client, args []string, flags any) error {
	without := flags.(*bool) //nolint:forcetypeassert // as declared
	resp, err := c.api.SetProductStatus(ctx, args[0], sandboxapi.ProductStatusChange{Status: sandboxapi.ProductStatus(args[1]), WithoutCases: *without})
	o, err := read[sandboxapi.CaseOverview](c, resp, err)
	if err != nil {
		return wantsCases(err, resp, args[0], "; --without-cases does without")
	}
	return c.table("", [][]string{{"product", o.ProductCode}, {"status", string(o.Status)}, {"next probe", when(o.NextProbeTime)}})
}

// eventFlags are the flags of events.
type eventFlags struct {
	follow                bool
	kind, seller, subject string
	since                 int64
	limit                 int
}

func (f eventFlags) kinds() (kinds []sandboxapi.EventKind) {
	for _, kind := range strings.Split(f.kind, ",") {
		if kind = strings.TrimSpace(kind); kind != "" {
			kinds = append(kinds, sandboxapi.EventKind(kind))
		}
	}
	return kinds
}

func events(ctx context.Context, c *client, _ []string, flags any) error {
	f := *flags.(*eventFlags) //nolint:forcetypeassert // as declared
	var since *int64
	if f.since >= 0 {
		since = &f.since
	}
	if f.follow {
		return follow(ctx, c, f, since)
	}
	resp, err := c.api.ListEvents(ctx, &sandboxapi.ListEventsParams{Limit: f.limit, Since: since, SellerID: f.seller, Kind: f.kinds(), Subject: f.subject})
	list, err := read[sandboxapi.EventList](c, resp, err)
	if err != nil {
		return err
	}
	rows := make([][]string, len(list.Events))
	for i, e := range list.Events {
		rows[i] = eventRow(e)
	}
	return c.table("", rows)
}

func eventRow(e sandboxapi.Event) []string {
	return []string{when(e.Time), string(e.Kind), e.Text}
}

// follow prints events as they come, and comes back when the connection is lost, until the sandbox is no longer there.
func follow(ctx context.Context, c *client, f eventFlags, since *int64) error {
	lastID := ""
	for {
		params := &sandboxapi.StreamEventsParams{SellerID: f.seller, Kind: f.kinds(), Subject: f.subject, LastEventID: lastID}
		if lastID == "" {
			params.Since = since
		}
		resp, err := c.api.StreamEvents(ctx, params)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			if err == nil {
				return problemOf(resp)
			}
			_, err = read[sandboxapi.EventList](c, nil, err)
			return err
		}
		read, err := c.messages(resp, lastID)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		// A connection that gave nothing is not worth another at once.
		if read == lastID {
			pause := time.NewTimer(time.Second)
			select {
			case <-ctx.Done():
				pause.Stop()
				return nil
			case <-pause.C:
			}
		}
		lastID = read
	}
}

// messages prints the messages of a stream until it ends, and gives the id of the last.
func (c *client) messages(resp *http.Response, lastID string) (string, error) {
	defer func() { _ = resp.Body.Close() }()
	text := bufio.NewScanner(resp.Body)
	text.Buffer(nil, 1<<20)
	id, data := lastID, ""
	for text.Scan() {
		name, value, _ := strings.Cut(text.Text(), ": ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			data = value
		case text.Text() == "" && data != "": // only an empty line says that the message is whole
			if err := c.printEvent(data); err != nil {
				return lastID, err
			}
			lastID, data = id, ""
		}
	}
	return lastID, nil // a connection that broke is opened again
}

func (c *client) printEvent(data string) error {
	if c.asJSON {
		_, err := fmt.Fprintln(c.out, data)
		return err
	}
	var e sandboxapi.Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return fmt.Errorf("the sandbox's stream: %w", err)
	}
	_, err := fmt.Fprintln(c.out, strings.Join(slices.DeleteFunc(eventRow(e), func(s string) bool { return s == "" }), "  "))
	return err
}
