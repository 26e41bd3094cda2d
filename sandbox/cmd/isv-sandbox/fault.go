package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strconv"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

const faultHelp = `
Faults, see sandbox/FAULTS.md:
  isv-sandbox fault add KIND [flags] | list | remove ID | clear
                                                    disturb calls, or the open API, on purpose
`

var faultCommands = []command{
	{"fault", "fault add KIND [flags] | fault list | fault remove ID | fault clear", [2]int{1, 2}, faultFlags, fault},
}

// faultOptions are the flags of fault add.
type faultOptions struct {
	id   string
	rule sandboxapi.FaultRule
}

func faultFlags(fs *flag.FlagSet) any {
	o := &faultOptions{}
	fs.StringVar(&o.id, "id", "", "`id` of the fault; one that has it already is replaced (default: the kind)")
	fs.StringVar(&o.rule.Activity, "activity", "", "only this `call`, such as newInstance")
	fs.StringVar(&o.rule.ProductCode, "product", "", "only calls about this product, by its `code`")
	fs.StringVar(&o.rule.OrderLineID, "line", "", "only calls about this instance, by its order `line`")
	fs.StringVar(&o.rule.Operation, "operation", "", "faults of the open API: only this `operation`, such as queryOrder")
	fs.IntVar(&o.rule.First, "first", 0, "strike the first `N` that match (default 1, without --probability)")
	fs.Float64Var(&o.rule.Probability, "probability", 0, "strike this `share` of what matches, such as 0.2")
	fs.Int64Var(&o.rule.Seed, "seed", 0, "the chance's seed: the same strikes the same again")
	fs.IntVar(&o.rule.Bound, "bound", 0, "leave a call alone after `N` disturbed attempts; of the open API, after N requests in a row (default 3 with --probability)")
	fs.StringVar(&o.rule.Delay, "delay", "", "delay: by how long on the sandbox's clock, such as 10m; slow-body, timeout: in real time")
	fs.IntVar(&o.rule.Status, "status", 0, "server-error, gateway-error: the HTTP status")
	fs.BoolVar(&o.rule.HTML, "html", false, "gateway-error: a page instead of JSON")
	fs.IntVar(&o.rule.RetryAfter, "retry-after", 0, "rate-limit: `seconds` in Retry-After")
	fs.StringVar(&o.rule.RecordCode, "record-code", "", "partial-rejection: `code` of the refused records")
	fs.IntVar(&o.rule.Records, "records", 0, "partial-rejection: how many records of a push are refused")
	return o
}

func fault(ctx context.Context, c *client, args []string, flags any) error {
	o, _ := flags.(*faultOptions)
	switch {
	case args[0] == "add" && len(args) == 2:
		o.rule.Kind = sandboxapi.FaultKind(args[1])
		return addFault(ctx, c, or(o.id, args[1]), o.rule)
	case args[0] == "list" && len(args) == 1:
		return listFaults(ctx, c)
	case args[0] == "remove" && len(args) == 2:
		resp, err := c.api.DeleteFault(ctx, args[1])
		return c.done(resp, err, "off")
	case args[0] == "clear" && len(args) == 1:
		resp, err := c.api.DeleteFaults(ctx)
		return c.done(resp, err, "all off")
	}
	return misuse("usage: isv-sandbox fault add KIND [flags], fault list, fault remove ID or fault clear")
}

func addFault(ctx context.Context, c *client, id string, rule sandboxapi.FaultRule) error {
	resp, err := c.api.PutFault(ctx, id, rule)
	f, err := read[sandboxapi.Fault](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{{"on", faultText(f)}})
}

func listFaults(ctx context.Context, c *client) error {
	resp, err := c.api.ListFaults(ctx)
	list, err := read[sandboxapi.FaultList](c, resp, err)
	if err != nil {
		return err
	}
	rows := make([][]string, len(list.Faults))
	for i, f := range list.Faults {
		rows[i] = []string{f.FaultID, faultText(f), strconv.Itoa(f.Struck)}
	}
	return c.table("ID\tWHAT\tSTRUCK", rows)
}

// faultText says what a fault does, and when.
func faultText(f sandboxapi.Fault) string {
	text := string(f.Kind)
	for _, p := range []struct{ name, value string }{
		{"of", f.Activity + f.Operation},
		{"product", f.ProductCode},
		{"line", f.OrderLineID},
		{"delay", f.Delay},
		{"status", number(f.Status)},
		{"retry after", number(f.RetryAfter)},
		{"code", f.RecordCode},
		{"records", number(f.Records)},
		{"first", number(f.First)},
		{"bound", number(f.Bound)},
	} {
		if p.value != "" {
			text += " " + p.name + " " + p.value
		}
	}
	if f.Probability > 0 {
		text += fmt.Sprintf(" probability %g seed %d", f.Probability, f.Seed)
	}
	return text
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// done reads an answer without a body.
func (c *client) done(resp *http.Response, err error, said string) error {
	if err != nil {
		_, err = read[struct{}](c, resp, err)
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return problemOf(resp)
	}
	_ = resp.Body.Close()
	if c.asJSON {
		return nil
	}
	_, err = fmt.Fprintln(c.out, said)
	return err
}
