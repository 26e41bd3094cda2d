package scenario

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// Runner plays scenarios against a sandbox.
type Runner struct {
	// Control is the control API of the sandbox, with its token in a request editor.
	Control *sandboxapi.Client
	// ISV is needed for the steps pushUsage and openapi only.
	ISV ISV
}

// FailedError is that something did not go as a file says.
type FailedError struct {
	Path        string
	Line        int
	Step        string              // as the file has it
	Differences []string            // what was expected and what came, one for each thing that differs
	Attempt     *sandboxapi.Attempt // the last one about the instance concerned that did not succeed, or else the last one; may be nil
}

func (e *FailedError) Error() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s:%d: %s", e.Path, e.Line, e.Step)
	for _, d := range e.Differences {
		b.WriteString("\n  " + d)
	}
	if a := e.Attempt; a != nil {
		_, _ = fmt.Fprintf(&b, "\n  the journal says: %s, attempt %d: %s", a.Activity, a.Number, a.Outcome)
		if a.Detail != "" {
			b.WriteString(", " + a.Detail)
		}
		for _, v := range a.Violations {
			b.WriteString("\n    not as the contract says: " + v)
		}
		b.WriteString("\n    again: " + a.Curl)
	}
	return b.String()
}

// Run reads a file and plays it against the sandbox behind a control client. The error is an *[InvalidError] if the file makes no sense,
// a *[FailedError] if the sandbox or the ISV did something else than the file says, and another one if the sandbox could not be asked.
func Run(ctx context.Context, control *sandboxapi.Client, file string) error {
	f, err := Load(file)
	if err != nil {
		return err
	}
	return (&Runner{Control: control}).Play(ctx, f)
}

const (
	// waitTimeout is how long a wait step waits unless it says otherwise.
	waitTimeout = 10 * time.Second
	// waitPause is how often a wait step looks.
	waitPause = 20 * time.Millisecond
	// listLimit is how many things a question looks at, most recent ones first.
	listLimit = "1000"
)

// play is one run of a file.
type play struct {
	*Runner
	isv   ISV
	file  *File
	saved map[string]any
	run   string // tells this run from others
	began int64  // the latest attempt of the journal before this run
	// what has to be taken back at the end
	faults  []any
	address string
}

// Play plays a file. See [Run] for the errors. Faults that the file switches on are off when it returns, and the production address is
// what it was; orders, instances and the clock stay as they are.
func (r *Runner) Play(ctx context.Context, f *File) (err error) {
	p := &play{Runner: r, isv: r.ISV, file: f, saved: map[string]any{}, run: strings.ToLower(rand.Text()[:10])}
	defer func() {
		if undone := p.undo(ctx); err == nil {
			err = undone
		}
	}()
	p.began = p.latest(ctx)
	for _, s := range f.steps {
		differences, err := p.step(ctx, s)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return fmt.Errorf("%s:%d: %s: %w", f.Path, s.line, s.text, err)
		}
		if len(differences) > 0 {
			return &FailedError{f.Path, s.line, s.text, differences, p.concerned(ctx, s)}
		}
	}
	return nil
}

// undoLimit is for taking back what would disturb others, also when the run was stopped.
const undoLimit = 5 * time.Second

// remember notes what a step is about to do that has to be taken back at the end.
func (p *play) remember(ctx context.Context, op *operation, args map[string]any) error {
	switch op.id {
	case "putFault":
		p.faults = append(p.faults, args["faultId"])
	case "setProvider":
		if p.address != "" {
			return nil
		}
		status, err := p.control(ctx, controlDoc().operations["getStatus"], nil)
		p.address = text(object(status)["productionAddress"])
		return err
	}
	return nil
}

func (p *play) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	var errs []error
	for _, id := range p.faults {
		_, err := p.control(ctx, controlDoc().operations["deleteFault"], map[string]any{"faultId": id})
		if refused := (*problem)(nil); !errors.As(err, &refused) { // the file may have done it itself
			errs = append(errs, err)
		}
	}
	if p.address != "" {
		_, err := p.control(ctx, controlDoc().operations["setProvider"], map[string]any{"productionAddress": p.address})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// problem is a refusal by the control API.
type problem struct {
	status int
	fields map[string]any
}

func (e *problem) Error() string {
	return fmt.Sprintf("%s: %s", text(e.fields["title"]), text(e.fields["detail"]))
}

func (p *play) step(ctx context.Context, s step) ([]string, error) {
	switch {
	case s.verb == verbExpect:
		return p.ask(ctx, s.expect)
	case s.verb == verbWait:
		return p.wait(ctx, s)
	case s.market():
		return p.market(ctx, s)
	}
	args, err := p.fill(ctx, s.args)
	if err != nil {
		return missing(err)
	}
	if err := p.remember(ctx, s.op, object(args)); err != nil {
		return nil, err
	}
	answer, err := p.control(ctx, s.op, object(args))
	var refused *problem
	switch {
	case errors.As(err, &refused) && s.refused == nil:
		return []string{"the sandbox refuses: " + refused.Error()}, nil
	case errors.As(err, &refused):
		return p.refusedAs(ctx, s.refused, refused)
	case err != nil:
		return nil, err
	case s.refused != nil:
		return []string{"expected to be refused, but it was done"}, nil
	}
	if err := p.settle(ctx); err != nil {
		return missing(err)
	}
	return p.done(ctx, s, answer)
}

// done saves an answer and compares it with what is expected of it.
func (p *play) done(ctx context.Context, s step, answer any) ([]string, error) {
	switch len(s.as) {
	case 0:
	case 1:
		p.saved[s.as[0]] = answer
	default:
		list, _ := object(answer)["instances"].([]any)
		if len(list) != len(s.as) {
			return []string{fmt.Sprintf("as: expected %d instances, got %d", len(s.as), len(list))}, nil
		}
		for i, name := range s.as {
			p.saved[name] = map[string]any{"order": object(answer)["order"], "instance": list[i]}
		}
	}
	return p.compare(ctx, s.answer, answer)
}

func (p *play) compare(ctx context.Context, expected []expectation, answer any) ([]string, error) {
	var differences []string
	for _, e := range expected {
		want, err := p.fill(ctx, e.want)
		if err != nil {
			return missing(err)
		}
		got, present := e.path.in(answer)
		differences = append(differences, compare(e.label, want, got, present)...)
	}
	return differences, nil
}

func (p *play) refusedAs(ctx context.Context, want *refusal, got *problem) ([]string, error) {
	if !strings.Contains(text(got.fields["type"])+" "+got.Error(), want.contains) {
		return []string{fmt.Sprintf("expected to be refused with %q, got %s: %s", want.contains, text(got.fields["type"]), got)}, nil
	}
	return p.compare(ctx, want.fields, got.fields)
}

func (p *play) market(ctx context.Context, s step) ([]string, error) {
	if p.isv.MarketURL == "" {
		status, err := p.control(ctx, controlDoc().operations["getStatus"], nil)
		if err != nil {
			return nil, err
		}
		p.isv.MarketURL = text(object(status)["marketUrl"])
	}
	op := s.op
	args, err := p.fill(ctx, s.args)
	if err != nil {
		return missing(err)
	}
	values := object(args)
	if s.usage != nil {
		now, err := p.now(ctx)
		if err != nil {
			return nil, err
		}
		op, values, err = s.usage.arguments(now, p.run, func(v any) (any, error) { return p.fill(ctx, v) })
		if err != nil {
			return missing(err)
		}
	}
	answer, err := p.isv.call(ctx, op, values, s.timeout)
	if err != nil {
		return nil, err
	}
	if err := p.settle(ctx); err != nil {
		return missing(err)
	}
	differences, err := p.done(ctx, s, answer)
	// A step that expects nothing expects success.
	if code := text(answer[extraCode]); err == nil && len(s.answer) == 0 && (answer[extraHTTP] != "200" || code != "" && !strings.HasSuffix(code, "0000")) {
		differences = append(differences, fmt.Sprintf("the open API refuses: %s", show(answer)))
	}
	return differences, err
}

// settle waits until everything that the steps so far set off was attempted.
func (p *play) settle(ctx context.Context) error {
	_, err := p.control(ctx, controlDoc().operations["settle"], map[string]any{"timeout": "60s"})
	return err
}

// wait asks until the answer is right or time is over.
func (p *play) wait(ctx context.Context, s step) ([]string, error) {
	if s.settled {
		return missing(p.settle(ctx))
	}
	end := time.Now().Add(cmp.Or(s.timeout, waitTimeout))
	for {
		differences, err := p.ask(ctx, s.expect)
		if err != nil || len(differences) == 0 {
			return nil, err
		}
		if time.Now().After(end) {
			return append(differences, fmt.Sprintf("waited %s in real time", cmp.Or(s.timeout, waitTimeout))), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(waitPause):
		}
	}
}

// ask answers a question with what is not as it wants it.
func (p *play) ask(ctx context.Context, q *question) ([]string, error) {
	q, err := q.resolved(func(v any) (any, error) { return p.fill(ctx, v) })
	if err != nil {
		return missing(err)
	}
	op := controlDoc().operations[q.noun.operation]
	args := map[string]any{}
	if q.noun.param != "" && q.subject != nil {
		args[q.noun.param] = q.subject
	}
	if slices.ContainsFunc(op.params, func(p parameter) bool { return p.name == "limit" }) {
		args["limit"] = listLimit
	}
	answer, err := p.control(ctx, op, args)
	var refused *problem
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return []string{fmt.Sprintf("there is no such %s", q.noun.name)}, nil
	}
	if err != nil {
		return missing(err)
	}
	if q.noun.list == "" {
		return q.judge([]any{answer}), nil
	}
	list, _ := object(answer)[q.noun.list].([]any)
	var items []any
	for _, item := range list {
		if q.noun.by == "" || q.subject == nil || equal(q.subject, object(item)[q.noun.by]) {
			items = append(items, item)
		}
	}
	if !q.noun.inOrder {
		slices.Reverse(items)
	}
	return q.judge(items), nil
}

// missing makes a difference of a refusal or of something that was not saved, and leaves other errors.
func missing(err error) ([]string, error) {
	var refused *problem
	var nothing *missingError
	switch {
	case errors.As(err, &refused):
		return []string{"the sandbox refuses: " + refused.Error()}, nil
	case errors.As(err, &nothing):
		return []string{nothing.text}, nil
	}
	return nil, err
}

// missingError is about something that an answer was to have and had not.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

// control calls the control API.
func (p *play) control(ctx context.Context, op *operation, args map[string]any) (any, error) {
	req, _, err := op.request(ctx, p.Control.Server, args)
	if err != nil {
		return nil, err
	}
	for _, edit := range p.Control.RequestEditors {
		if err := edit(ctx, req); err != nil {
			return nil, err
		}
	}
	resp, err := p.Control.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the sandbox does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the sandbox's answer: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		v, err := decode(body)
		if fields := object(v); err == nil && fields["title"] != nil {
			if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode >= http.StatusInternalServerError {
				return nil, fmt.Errorf("the sandbox says: %s: %s", text(fields["title"]), text(fields["detail"]))
			}
			return nil, &problem{resp.StatusCode, fields}
		}
		return nil, fmt.Errorf("%s is no sandbox's control API of this version: HTTP %d", p.Control.Server, resp.StatusCode)
	}
	if len(body) == 0 {
		return map[string]any{}, nil
	}
	if v, err := decode(body); err == nil {
		return v, nil
	}
	return map[string]any{extraText: string(body)}, nil
}

// now is the time on the sandbox's clock.
func (p *play) now(ctx context.Context) (time.Time, error) {
	status, err := p.control(ctx, controlDoc().operations["getStatus"], nil)
	if err != nil {
		return time.Time{}, err
	}
	now, _ := find(status, "now")
	return time.Parse(time.RFC3339Nano, text(now))
}

// fill puts what was saved, and the time, in the place of their names.
func (p *play) fill(ctx context.Context, v any) (any, error) {
	switch v := v.(type) {
	case reference:
		if len(v.path) == 0 {
			return p.saved[v.name], nil
		}
		got, ok := v.path.in(p.saved[v.name])
		if !ok {
			return nil, &missingError{fmt.Sprintf("$%s: what the step saved has no such field: %s", v.name, show(p.saved[v.name]))}
		}
		return got, nil
	case named:
		return p.find(ctx, v)
	case moment:
		now, err := p.now(ctx)
		return now.Add(v.offset).Format(time.RFC3339Nano), err
	case matcher:
		var err error
		v.arg, err = p.fill(ctx, v.arg)
		return v, err
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = p.fill(ctx, v[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		fields := make(map[string]any, len(v))
		for name := range v {
			var err error
			if fields[name], err = p.fill(ctx, v[name]); err != nil {
				return nil, err
			}
		}
		return fields, nil
	}
	return v, nil
}

// find gives the field of something saved that another field refers to.
func (p *play) find(ctx context.Context, n named) (any, error) {
	saved := p.saved[n.name]
	line, _ := find(saved, "orderLineId")
	switch {
	case object(saved)[n.key] != nil:
	case n.key == "instanceId" && line != nil:
		// The ISV gives the id later than the order is placed.
		instance, err := p.control(ctx, controlDoc().operations["getInstance"], map[string]any{"orderLineId": line})
		if err != nil {
			return nil, err
		}
		saved = instance
	case n.key == "callId" && line != nil:
		list, err := p.control(ctx, controlDoc().operations["listCalls"], map[string]any{"orderLineId": line})
		if err != nil {
			return nil, err
		}
		calls, _ := object(list)["calls"].([]any)
		for _, call := range calls {
			if object(call)["status"] == string(sandboxapi.CallWaiting) {
				return object(call)["callId"], nil
			}
		}
		return nil, &missingError{fmt.Sprintf("%s has no call that waits for a restart", n.name)}
	}
	if order := object(saved)["order"]; n.key == "orderId" && order != nil {
		saved = order // the instance in the same answer names the order that created it
	}
	if v, ok := find(saved, n.key); ok {
		return v, nil
	}
	return nil, &missingError{fmt.Sprintf("%s has no %s: %s", n.name, n.key, show(saved))}
}

// concerned finds the attempt that says most about a step that failed. It is help only: what cannot be found out is left out.
func (p *play) concerned(ctx context.Context, s step) *sandboxapi.Attempt {
	params := sandboxapi.ListAttemptsParams{Limit: 100, After: p.began} // what happened before is another story
	subjects := []any{s.args}
	if s.expect != nil {
		subjects = append(subjects, s.expect.subject)
	}
	if line := p.lineIn(subjects); line != "" {
		params.OrderLineID = line
	}
	resp, err := p.Control.ListAttempts(ctx, &params) //nolint:bodyclose // ParseListAttemptsResponse closes it
	if err != nil {
		return nil
	}
	list, err := sandboxapi.ParseListAttemptsResponse(resp)
	if err != nil || list.JSON200 == nil || len(list.JSON200.Attempts) == 0 {
		return nil
	}
	attempts := list.JSON200.Attempts
	for i := range attempts {
		if a := &attempts[i]; a.Outcome != sandboxapi.AttemptSucceeded && a.Outcome != sandboxapi.AttemptInProgress || len(a.Violations) > 0 {
			return a
		}
	}
	if params.OrderLineID == "" {
		return nil // an attempt that succeeded, about anything, says nothing
	}
	return &attempts[0]
}

// latest is the number of the newest attempt in the journal, or 0.
func (p *play) latest(ctx context.Context) int64 {
	resp, err := p.Control.ListAttempts(ctx, &sandboxapi.ListAttemptsParams{Limit: 1}) //nolint:bodyclose // ParseListAttemptsResponse closes it
	if err != nil {
		return 0
	}
	list, err := sandboxapi.ParseListAttemptsResponse(resp)
	if err != nil || list.JSON200 == nil || len(list.JSON200.Attempts) == 0 {
		return 0
	}
	return list.JSON200.Attempts[0].AttemptID
}

// lineIn finds the order line of the first saved thing that is named.
func (p *play) lineIn(v any) string {
	switch v := v.(type) {
	case named:
		line, _ := find(p.saved[v.name], "orderLineId")
		return text(line)
	case reference:
		line, _ := find(p.saved[v.name], "orderLineId")
		return text(line)
	case []any:
		for _, one := range v {
			if line := p.lineIn(one); line != "" {
				return line
			}
		}
	case map[string]any:
		for _, name := range keys(v) {
			if line := p.lineIn(v[name]); line != "" {
				return line
			}
		}
	}
	return ""
}
