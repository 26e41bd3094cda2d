package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// command is one that talks to a running sandbox.
type command struct {
	name  string
	what  string // its usage line
	args  [2]int // fewest and most positional arguments
	flags func(fs *flag.FlagSet) any
	do    func(ctx context.Context, c *client, args []string, flags any) error
}

// groups are all the commands, by what they are about. The help of a group follows the first lines of `isv-sandbox help`.
var groups = []struct {
	commands []command
	help     string
}{
	{basicCommands, ""}, // in the first lines of the help
	{orderCommands, orderHelp},
	{marketCommands, marketHelp},
	{settlementCommands, settlementHelp},
	{faultCommands, faultHelp},
	{kitCommands, kitHelp},
	{licenseCommands, licenseHelp},
	{probeCommands, probeHelp},
	{accessCommands, accessHelp},
	{secretsCommands, secretsHelp},
	{operationCommands, operationsHelp},
	{nil, toolsHelp}, // see tools
}

var basicCommands = []command{
	{"status", "status", [2]int{0, 0}, nil, status},
	{"provider", "provider URL", [2]int{1, 1}, nil, setProvider},
	{"clock", "clock advance DURATION | to TIME | hold | run", [2]int{1, 2}, nil, clock},
	{"calls", "calls [LINE]", [2]int{0, 1}, nil, calls},
	{"journal", "journal [LINE] [flags]", [2]int{0, 1}, journalFlags, journal},
	{"usage", "usage", [2]int{0, 0}, nil, usageRecords},
	{"restart", "restart CALL", [2]int{1, 1}, nil, restart},
}

func (c command) execute(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) error {
	fs := newFlags(c.name, stderr, c.what)
	keyFile := fs.String("keys", "isvkit.keys", "key `file` of the sandbox")
	asJSON := fs.Bool("json", false, "print the answer as it came")
	var flags any
	if c.flags != nil {
		flags = c.flags(fs)
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if add, ok := flags.(*string); ok && c.name == "rotate-secrets" && *add != "" && len(rest) == 0 { // needs no sandbox
		return addSecretsKey(*add, stdout)
	}
	if len(rest) < c.args[0] || len(rest) > c.args[1] {
		return misuse("usage: isv-sandbox %s", c.what)
	}
	file, err := readKeyFile(*keyFile)
	if err != nil {
		return err
	}
	address, token := getenv(envControlURL), getenv(envControlToken)
	if address == "" {
		address = file[envControlURL]
	}
	if token == "" {
		token = file[envControlToken]
	}
	if address == "" || token == "" {
		return noSandbox(*keyFile)
	}
	client, err := newClient(address, token, stdout, *asJSON)
	if err != nil {
		return err
	}
	return c.do(ctx, client, rest, flags)
}

// client is the generated client with one way to read every answer.
type client struct {
	api     *sandboxapi.Client
	address string
	out     io.Writer
	asJSON  bool
}

func newClient(address, token string, out io.Writer, asJSON bool) (*client, error) {
	api, err := sandboxapi.NewClient(address, sandboxapi.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("control API: %w", err)
	}
	return &client{api, address, out, asJSON}, nil
}

// read decodes an answer, or makes an error of the problem in it.
func read[T any](c *client, resp *http.Response, err error) (v T, _ error) {
	if err != nil {
		return v, &hintError{fmt.Errorf("the sandbox does not answer at %s", c.address), "is it running? start it with isv-sandbox serve"}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return v, fmt.Errorf("read the sandbox's answer: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return v, problemIn(body, resp)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, fmt.Errorf("the sandbox's answer: %w", err)
	}
	if c.asJSON {
		_, err = c.out.Write(append(body[:len(strings.TrimRight(string(body), "\n"))], '\n'))
	}
	return v, err
}

// kinds are what the paths of the control API begin with, in words, and the commands that list them.
var kinds = map[string]struct{ name, list string }{
	"instances": {"order line", "instances"}, "orders": {"order", "orders"}, "calls": {"call", "calls"}, "products": {"product", "products"},
	"sellers": {"seller", "sellers"}, "buyers": {"buyer", "buyers"}, "licenses": {"licence", "license list"}, "attempts": {"attempt", "journal"},
}

// problemIn makes an error of an answer that tells of one.
func problemIn(body []byte, resp *http.Response) error {
	var p sandboxapi.Problem
	if json.Unmarshal(body, &p) != nil || p.Title == "" {
		return fmt.Errorf("%s: HTTP %d, expected the control API of a sandbox: %s, or the key file, has another program's address", asked(resp), resp.StatusCode, envControlURL)
	}
	if resp.StatusCode == http.StatusNotFound && resp.Request != nil { // the sandbox does not repeat what was asked for
		if _, what, ok := strings.Cut(resp.Request.URL.Path, "/v1/"); ok {
			kind, rest, _ := strings.Cut(what, "/")
			id, _, _ := strings.Cut(rest, "/")
			if known, ok := kinds[kind]; ok && id != "" {
				return &hintError{fmt.Errorf("%s: there is no %s %q", p.Title, known.name, id), "isv-sandbox " + known.list + " shows what there is"}
			}
			return fmt.Errorf("%s: %s: %s", p.Title, p.Detail, what)
		}
	}
	return fmt.Errorf("%s: %s", p.Title, p.Detail)
}

// asked is the host of a request.
func asked(resp *http.Response) string {
	if resp.Request == nil {
		return "the sandbox's address"
	}
	return resp.Request.URL.Host
}

// problemOf reads and closes such an answer.
func problemOf(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the sandbox's answer: %w", err)
	}
	return problemIn(body, resp)
}

// table prints rows unless JSON was asked for.
func (c *client) table(header string, rows [][]string) error {
	if c.asJSON {
		return nil
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(c.out, "none")
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	if header != "" {
		_, _ = fmt.Fprintln(w, header)
	}
	for _, row := range rows {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func or(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

func status(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.GetStatus(ctx)
	s, err := read[sandboxapi.Status](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{
		{"open API", s.MarketURL},
		{"control API", s.ControlURL},
		{"your ISV", or(s.ProductionAddress, "not known yet")},
		{"clock", when(s.Clock.Now) + " UTC, " + s.Clock.Ahead + " ahead" + map[bool]string{true: ", stands"}[s.Clock.Held]},
		{"orders", strconv.Itoa(s.Orders)},
		{"instances", strconv.Itoa(s.Instances)},
		{"calls", fmt.Sprintf("%d under way, %d waiting for a restart", s.CallsPending, s.CallsWaiting)},
		{"usage records", strconv.Itoa(s.UsageRecords)},
	})
}

func setProvider(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.SetProvider(ctx, sandboxapi.ProviderSettings{ProductionAddress: args[0]})
	p, err := read[sandboxapi.ProviderSettings](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{{"your ISV is called at " + p.ProductionAddress}})
}

// await waits until an instance has a status and nothing is under way. It does not wait for an attempt that is due only later: then
// it tells why the last one failed.
func (c *client) await(ctx context.Context, line string, status sandboxapi.InstanceStatus, timeout time.Duration) (i sandboxapi.Instance, err error) {
	const step = 250 * time.Millisecond
	for end := time.Now().Add(timeout); ; {
		resp, err := c.api.GetInstance(ctx, line, &sandboxapi.GetInstanceParams{Until: status, Timeout: min(step, timeout).String()})
		if err != nil || resp.StatusCode != http.StatusRequestTimeout {
			return read[sandboxapi.Instance](c, resp, err)
		}
		failure := problemOf(resp)
		calls, err := c.calls(ctx, line)
		if err != nil {
			return i, err
		}
		now, err := c.now(ctx)
		if err != nil {
			return i, err
		}
		if k := holdsUp(calls); k != nil {
			if k.Status != sandboxapi.CallPending {
				return i, fmt.Errorf("%s, attempt %d: %s; it is no longer retried", k.Activity, k.Attempts, k.LastError)
			}
			due := when(k.DueTime) + " UTC on the sandbox's clock"
			if k.LastError != "" && k.DueTime.After(now) {
				return i, fmt.Errorf("%s, attempt %d: %s; the next attempt is due at %s; isv-sandbox restart %d tries it now", k.Activity, k.Attempts, k.LastError, due, k.CallID)
			}
			failure = fmt.Errorf("not yet: after %s the instance is not %s; attempt %d of %s is under way, or due at %s", timeout, status, k.Attempts+1, k.Activity, due)
		}
		if time.Now().After(end) {
			return i, failure
		}
	}
}

// holdsUp is the call that an instance waits for, of its calls with the newest first: the oldest that is to come, because those behind
// it wait too, or else the latest one if that failed. It is nil if there is none.
func holdsUp(calls []sandboxapi.Call) *sandboxapi.Call {
	for i := range slices.Backward(calls) {
		if k := &calls[i]; k.Status == sandboxapi.CallPending || k.Status == sandboxapi.CallWaiting {
			return k
		}
	}
	if len(calls) > 0 && calls[0].Status != sandboxapi.CallSucceeded {
		return &calls[0]
	}
	return nil
}

// now is the time on the sandbox's clock.
func (c *client) now(ctx context.Context) (time.Time, error) {
	quiet := *c
	quiet.asJSON = false
	resp, err := c.api.GetStatus(ctx)
	s, err := read[sandboxapi.Status](&quiet, resp, err)
	return s.Clock.Now, err
}

// calls lists an instance's calls.
func (c *client) calls(ctx context.Context, line string) ([]sandboxapi.Call, error) {
	quiet := *c
	quiet.asJSON = false
	resp, err := c.api.ListCalls(ctx, &sandboxapi.ListCallsParams{OrderLineID: line})
	list, err := read[sandboxapi.CallList](&quiet, resp, err)
	return list.Calls, err
}

// show prints one instance.
func (c *client) show(i sandboxapi.Instance) error {
	text := fmt.Sprintf("instance %s is %s", or(i.InstanceID, "(no id yet)"), i.Status)
	if !i.ExpireTime.IsZero() {
		text += ", expires " + when(i.ExpireTime) + " UTC"
	}
	if !i.ReleaseTime.IsZero() {
		text += ", will be released " + when(i.ReleaseTime) + " UTC"
	}
	if i.FrontEndURL != "" {
		text += ", open it at " + i.FrontEndURL
	}
	return c.table("", [][]string{{text}})
}

// moved prints what an order did, after giving its calls a moment.
func (c *client) moved(ctx context.Context, resp *http.Response, err error, status sandboxapi.InstanceStatus) error {
	quiet := *c
	quiet.asJSON = false
	placed, err := read[sandboxapi.OrderPlaced](&quiet, resp, err)
	if err != nil {
		return err
	}
	verb := "paid"
	if placed.Order.OrderType == "UNSUBSCRIBE" {
		verb = "placed" // nothing is paid
	}
	if err := c.table("", [][]string{{"order " + placed.Order.OrderID + " (" + placed.Order.OrderType + ") " + verb}}); err != nil {
		return err
	}
	return c.settled(ctx, placed.Order.OrderLineID, status)
}

func (c *client) settled(ctx context.Context, line string, status sandboxapi.InstanceStatus) error {
	i, err := c.await(ctx, line, status, 10*time.Second)
	if err != nil {
		return &hintError{err, "isv-sandbox journal " + line}
	}
	return c.show(i)
}

func (c *client) changed(ctx context.Context, resp *http.Response, err error, line string, status sandboxapi.InstanceStatus) error {
	quiet := *c
	quiet.asJSON = false
	if _, err := read[sandboxapi.Instance](&quiet, resp, err); err != nil {
		return err
	}
	return c.settled(ctx, line, status)
}

func clock(ctx context.Context, c *client, args []string, _ any) error {
	var resp *http.Response
	var err error
	switch {
	case args[0] == "hold" && len(args) == 1:
		resp, err = c.api.HoldClock(ctx)
	case args[0] == "run" && len(args) == 1:
		resp, err = c.api.RunClock(ctx)
	case args[0] == "advance" && len(args) == 2:
		resp, err = c.api.AdvanceClock(ctx, sandboxapi.ClockAdvance{Duration: args[1]})
	case args[0] == "to" && len(args) == 2:
		to, parseErr := time.Parse(time.RFC3339, args[1])
		if parseErr != nil {
			return misuse("clock to %q: expected a time such as 2027-01-31T12:00:00Z", args[1])
		}
		resp, err = c.api.AdvanceClock(ctx, sandboxapi.ClockAdvance{To: to})
	default:
		return misuse("usage: isv-sandbox clock advance DURATION | to TIME | hold | run")
	}
	state, err := read[sandboxapi.Clock](c, resp, err)
	if err != nil {
		return err
	}
	text := "the clock shows " + when(state.Now) + " UTC"
	if state.Held {
		text += ", and stands"
	}
	return c.table("", [][]string{{text}})
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func calls(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.ListCalls(ctx, &sandboxapi.ListCallsParams{OrderLineID: first(args)})
	list, err := read[sandboxapi.CallList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, k := range list.Calls {
		rows = append(rows, []string{
			strconv.FormatInt(k.CallID, 10), k.Activity, string(k.Status), strconv.Itoa(k.Attempts), or(k.ResultCode, "-"), when(k.DueTime), k.OrderLineID, k.LastError,
		})
	}
	return c.table("CALL\tACTIVITY\tSTATUS\tATTEMPTS\tRESULT\tNEXT (UTC)\tLINE\tLAST ERROR", rows)
}

func journalFlags(fs *flag.FlagSet) any {
	p := &sandboxapi.ListAttemptsParams{}
	fs.Int64Var(&p.CallID, "call", 0, "only attempts of this call")
	fs.StringVar(&p.Subject, "subject", "", "only attempts about this subject, such as kit/TENANT")
	fs.StringVar(&p.ProductCode, "product", "", "only attempts for this product")
	fs.StringVar(&p.SellerID, "seller", "", "only attempts to this seller's ISV")
	fs.StringVar(&p.Activity, "activity", "", "only attempts at this call, such as newInstance")
	fs.Func("outcome", "only attempts that ended so, such as refused", func(s string) error { p.Outcome = sandboxapi.AttemptOutcome(s); return nil })
	fs.StringVar(&p.Fault, "fault", "", "only attempts with this fault, or any")
	fs.BoolVar(&p.Violations, "violations", false, "only attempts whose answer is not as the contract says")
	fs.Int64Var(&p.Before, "before", 0, "only attempts with a smaller number")
	fs.Int64Var(&p.After, "after", 0, "only attempts with a greater number")
	fs.IntVar(&p.Limit, "limit", 100, "how many at most, up to 1000")
	return p
}

func journal(ctx context.Context, c *client, args []string, flags any) error {
	params, _ := flags.(*sandboxapi.ListAttemptsParams)
	params.OrderLineID = first(args)
	resp, err := c.api.ListAttempts(ctx, params)
	list, err := read[sandboxapi.AttemptList](c, resp, err)
	if err != nil {
		return err
	}
	if c.asJSON {
		return nil
	}
	for _, a := range list.Attempts {
		_, _ = fmt.Fprintf(c.out, "%s  #%d %s, attempt %d: %s", when(a.Time), a.AttemptID, a.Activity, a.Number, a.Outcome)
		if a.Fault != "" {
			_, _ = fmt.Fprintf(c.out, " (fault: %s)", a.Fault)
		}
		if a.Detail != "" {
			_, _ = fmt.Fprintf(c.out, ", %s", a.Detail)
		}
		_, _ = fmt.Fprintf(c.out, "\n  sent  %s\n", a.RequestBody)
		if a.Status != 0 {
			_, _ = fmt.Fprintf(c.out, "  got   HTTP %d, %s, %.1f ms: %s\n", a.Status, or(a.ContentType, "no content type"), a.DurationMs, a.ResponseBody)
		}
		for _, v := range a.Violations {
			_, _ = fmt.Fprintf(c.out, "  not as the contract says: %s\n", v)
		}
		_, _ = fmt.Fprintf(c.out, "  again %s\n  or    isv-sandbox sign --attempt %d | sh\n", a.Curl, a.AttemptID)
	}
	if len(list.Attempts) == 0 {
		_, _ = fmt.Fprintln(c.out, "none")
	}
	return nil
}

func usageRecords(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.ListUsageRecords(ctx, nil)
	list, err := read[sandboxapi.UsageRecordList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, u := range list.UsageRecords {
		outcome := "accepted"
		if !u.Accepted {
			outcome = u.ErrorCode + " " + u.ErrorMsg
		}
		for _, w := range u.Warnings {
			outcome += "; " + w
		}
		rows = append(rows, []string{u.MeteringSN, u.InstanceID, u.BeginTime, u.EndTime, u.UsageValue, outcome})
	}
	return c.table("METERING SN\tINSTANCE\tBEGIN\tEND\tUSAGE\tOUTCOME", rows)
}

func restart(ctx context.Context, c *client, args []string, _ any) error {
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return misuse("restart: %q is no number of a call; isv-sandbox calls lists them", args[0])
	}
	resp, err := c.api.RestartCall(ctx, id)
	k, err := read[sandboxapi.Call](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{{fmt.Sprintf("call %d (%s) is on its way again", k.CallID, k.Activity)}})
}
