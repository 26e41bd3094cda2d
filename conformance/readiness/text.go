package readiness

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/openapi/requirements"
	"github.com/isvkit/isvkit/sandbox/market"
)

const width = 110

// WriteText writes the result for people: what stands in the way first, then the rest, what it costs, and what to do next.
func (r *Result) WriteText(w io.Writer) error {
	t := &text{r: r}
	t.head()
	t.open()
	t.stands("HOLDS", Holds)
	t.stands("DOES NOT CONCERN YOU", NotConcerned)
	t.papers()
	t.report()
	t.extension()
	t.costs()
	t.fees()
	t.steps()
	_, err := io.WriteString(w, t.b.String())
	return err
}

type text struct {
	b strings.Builder
	r *Result
}

func (t *text) line(format string, args ...any) { fmt.Fprintf(&t.b, format+"\n", args...) }

func (t *text) heading(title string) { t.line("\n%s", title) }

// item writes text after a label, broken into lines that are indented alike.
func (t *text) item(indent int, label, s string) {
	const column = 6
	for i, line := range wrap(s, width-indent-column) {
		if i > 0 {
			label = ""
		}
		t.line("%s", strings.TrimRight(fmt.Sprintf("%s%-*s%s", strings.Repeat(" ", indent), column, label, line), " "))
	}
}

func (t *text) head() {
	r := t.r
	who := "you"
	if r.ISV != "" {
		who = r.ISV
	}
	t.line("%s (%s): may %s list in %s?", r.MarketName, r.Market, who, strings.Join(r.Categories, ", "))
	policy := "Policy in force since " + r.Policy.Effective
	if r.Policy.Lapsed {
		policy = fmt.Sprintf("Policy published for %s to %s; nothing newer is known", r.Policy.Effective, r.Policy.Until)
	}
	t.line("%s, judged for %s", policy, r.At)
	t.line("\n%s", r.headline())
}

func (r *Result) headline() string {
	var open []string
	concerned := 0
	for _, c := range r.Conditions {
		if c.Blocks() && c.Status != NotConcerned {
			concerned++
		}
	}
	if n := r.Count(Fails); n > 0 {
		open = append(open, fmt.Sprintf("%d of %s %s", n, count(concerned, "condition"), verb(n, "fails", "fail")))
	}
	if n := r.Count(NotAnswered); n > 0 {
		open = append(open, fmt.Sprintf("%s not answered by the profile", count(n, "condition")))
	}
	if n := len(r.MissingPapers()); n > 0 {
		open = append(open, fmt.Sprintf("%s %s not at hand", count(n, "paper"), verb(n, "is", "are")))
	}
	switch r.Verdict {
	case Ready:
		return fmt.Sprintf("READY: %s %s", allOf(concerned), "and every paper is at hand")
	case NotReady:
		return "NOT READY: " + strings.Join(open, ", ")
	default:
		return "NOT KNOWN: nothing fails, but " + strings.Join(open, ", ")
	}
}

func allOf(n int) string {
	if n == 1 {
		return "the condition holds"
	}
	return fmt.Sprintf("all %d conditions hold", n)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// open writes what fails and what is not answered, with everything one needs to mend it.
func (t *text) open() {
	for _, part := range []struct {
		title  string
		status Status
	}{{"FAILS", Fails}, {"NOT ANSWERED", NotAnswered}} {
		for i, c := range t.r.with(part.status) {
			if i == 0 {
				t.heading(part.title)
			}
			if c.Lacks != "" && c.ID != t.r.lacking(c.Lacks)[0] {
				continue // told with the first that lacks the same
			}
			t.line("\n  %s  (%s)", c.ID, c.where(t.r))
			t.item(4, "rule", c.Says)
			t.item(4, "seen", c.Why)
			for _, finding := range c.Findings {
				t.item(4, "", "· "+finding)
			}
			switch {
			case c.Status == NotAnswered && len(c.Missing) > 0:
				t.item(4, "mend", "answer "+strings.Join(c.Missing, ", ")+" in the profile")
			case c.Next != "":
				t.item(4, "mend", c.Next)
			}
			t.item(4, "from", c.Source.words())
			if c.Note != "" {
				t.item(4, "note", c.Note)
			}
			if c.Lacks != "" && len(t.r.lacking(c.Lacks)) > 1 {
				t.item(4, "also", strings.Join(t.r.lacking(c.Lacks)[1:], ", "))
			}
		}
	}
}

// where says what a condition is for.
func (c Condition) where(r *Result) string {
	what := map[string]string{
		market.StageEntry: "to enter", market.StageListing: "to list", market.StageWithdrawal: "to withdraw money; does not hinder a listing",
	}[c.Stage]
	if len(r.Categories) > 1 && len(c.Categories) < len(r.Categories) {
		what += ", in " + strings.Join(c.Categories, ", ")
	}
	return what
}

// lacking are the conditions that fail for want of the same thing.
func (r *Result) lacking(what string) []string {
	var ids []string
	for _, c := range r.Conditions {
		if c.Lacks == what {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

func (s Source) words() string { return s.Title + " (" + s.Confidence + ")" }

func (r *Result) with(s Status) []Condition {
	return slices.DeleteFunc(slices.Clone(r.Conditions), func(c Condition) bool { return c.Status != s })
}

// stands writes a line for each condition.
func (t *text) stands(title string, s Status) {
	list := t.r.with(s)
	if len(list) == 0 {
		return
	}
	t.heading(title)
	longest := 0
	for _, c := range list {
		longest = max(longest, len(c.ID))
	}
	for _, c := range list {
		for i, line := range wrap(c.Why, width-longest-4) {
			id := c.ID
			if i > 0 {
				id = ""
			}
			t.line("%s", strings.TrimRight(fmt.Sprintf("  %-*s  %s", longest, id, line), " "))
		}
	}
}

func (t *text) papers() {
	if len(t.r.Papers) == 0 {
		return
	}
	t.heading("PAPERS")
	for _, p := range t.r.Papers {
		state := "missing"
		if p.AtHand {
			state = "at hand"
		}
		what := fmt.Sprintf("%s (%s)", p.Name, p.ID)
		if len(p.For) > 0 {
			what += ", for " + strings.Join(p.For, ", ")
		}
		if p.Why != "" {
			what += "; " + p.Why
		}
		for i, line := range wrap(what, width-11) {
			if i > 0 {
				state = ""
			}
			t.line("  %-7s  %s", state, line)
		}
	}
}

func (t *text) report() {
	f := t.r.Report
	if f == nil {
		return
	}
	t.heading("CONFORMANCE REPORT")
	what := fmt.Sprintf("%s, judged on %s for %s", f.Verdict, f.Judged, strings.Join(f.Charging, ", "))
	if f.Failed > 0 {
		what += ", " + count(f.Failed, "check") + " failed"
	}
	t.line("  %s", what)
}

func (t *text) extension() {
	e := t.r.Extension
	if e == nil {
		return
	}
	t.heading("EXTENSION PACKAGE")
	advice := len(e.Findings) - len(e.Broken())
	t.line("  %s %s, %s, %d KiB packed without static files: %s broken, %s", e.Name, e.Version, count(e.Files, "file"), (e.Size+1023)>>10,
		count(len(e.Broken()), "MUST"), count(advice, "piece")+" of advice")
	for _, f := range e.Findings {
		if f.Level != requirements.Must {
			t.item(2, "", f.Rule+" "+f.Where()+": "+f.Seen+"; better: "+f.Mend)
		}
	}
}

func (t *text) costs() {
	c := t.r.Costs
	t.heading("COSTS UP FRONT")
	for _, item := range c.Items {
		what := item.Says
		if len(item.Categories) > 0 && len(t.r.Categories) > 1 {
			what = strings.Join(item.Categories, ", ") + ": " + what
		}
		if len(item.Before) > 0 {
			what += " Needed for " + strings.Join(item.Before, " and ") + "."
		}
		if item.Every != "" {
			what += " Due every " + item.Every + "."
		}
		if item.Kind == kindDeposit {
			what += " " + sentence(item.Returned)
		}
		amount := money(item.Amount)
		if item.Waived != "" {
			amount, what = "0.00", "Waived: "+item.Waived+" Otherwise "+money(item.Amount)+": "+what
		}
		if item.Maybe != "" {
			what += " It may be waived: " + item.Maybe
		}
		t.amount(item.Kind, amount, what)
	}
	total := c.Currency
	switch c.Combine {
	case "sum":
		total += ", the deposits of all categories added up"
	case "highest":
		total += ", the highest deposit of all categories"
	}
	if c.Unstated != "" {
		t.amount(kindDeposit, "not known", c.Unstated)
		total += ", without the deposit"
	}
	t.amount("total", money(c.Total), total)
}

func sentence(s string) string {
	if strings.HasSuffix(s, ".") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func (t *text) amount(label, amount, what string) {
	for i, line := range wrap(what, width-26) {
		if i > 0 {
			label, amount = "", ""
		}
		t.line("%s", strings.TrimRight(fmt.Sprintf("  %-8s%13s   %s", label, amount, line), " "))
	}
}

// money writes an amount with separators of thousands.
func money(amount string) string {
	whole, cents, _ := strings.Cut(decimal.RequireFromString(amount).StringFixed(2), ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	return whole + "." + cents
}

// fees writes what the market keeps later.
func (t *text) fees() {
	if len(t.r.Fees) == 0 {
		return
	}
	t.heading("PLATFORM FEE, LATER")
	for _, f := range t.r.Fees {
		what := f.Says
		if len(f.Categories) < len(t.r.Categories) {
			what = strings.Join(f.Categories, ", ") + ": " + what
		}
		if f.Through != "" {
			what += " Free through " + f.Through + ", entry on " + t.r.Entry + "."
		}
		if f.Maybe != "" {
			what += " It is open whether this is for you: " + f.Maybe
		}
		label := "fee"
		if f.Kind == "promotion" {
			label = "free"
		}
		t.item(2, label, what)
	}
}

// steps writes the onboarding in the market's order.
func (t *text) steps() {
	t.heading("WHAT TO DO NEXT")
	for i, s := range t.r.Steps {
		mark := "[ ]"
		if s.Done {
			mark = "[x]"
		}
		what := s.Says
		if s.By == "market" {
			what += " (the market does this"
			if s.Takes != "" {
				what += ", within " + s.Takes
			}
			what += ")"
		}
		if s.Next {
			what += " <- next"
		}
		for j, line := range wrap(what, width-10) {
			if j > 0 {
				t.line("         %s", line)
				continue
			}
			t.line("  %2d. %s %s", i+1, mark, line)
		}
		var waits []string
		if len(s.Papers) > 0 {
			waits = append(waits, "for the paper "+strings.Join(s.Papers, ", "))
		}
		if len(s.Conditions) > 0 {
			waits = append(waits, "until this holds: "+strings.Join(s.Conditions, ", "))
		}
		if len(waits) > 0 {
			t.item(10, "waits", strings.Join(waits, "; "))
		}
	}
	if len(t.r.Steps) > 0 && !slices.ContainsFunc(t.r.Steps, func(s Step) bool { return !s.Done }) {
		t.line("  Every step is done.")
	}
}

// wrap breaks text at blanks.
func wrap(s string, most int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > most {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
