package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Event is one call as it was made, and what came back. Of several equal calls at a time each one is an event.
type Event struct {
	Call
	// Settling says that the story was over, and that the call was made alone to see how it ended.
	Settling bool
	// NoAnswer is why there was no answer; empty: there was one. What a story throws away on purpose is no reason.
	NoAnswer string
	// Hung says that the connection was reset on purpose, so that nobody knows what became of the call.
	Hung bool

	OK, InProgress bool   // 000000, 000004
	Code           string // result code
	Instance       string // instanceId of the answer to newInstance
	Entry          bool   // of queryInstance: it has an entry for the instance that was asked for
	Text           string // the answer in a few words
}

// Breach is a rule that was broken.
type Breach struct {
	// Rule is what was broken, by a name of ours; it is the same for a story and for what it was shrunk to.
	Rule string
	// Requirement is the rule of the contract behind it.
	Requirement string
	Lines       []string // order lines that it is about
	Seen        string   // what was expected and what was seen
}

// The rules, by the names they have in reports.
const (
	OneInstance      = "one-instance-per-order-line"
	OwnInstance      = "an-instance-of-its-own-for-each-line"
	NamesInstance    = "an-id-for-each-instance"
	StillAccepted    = "repeats-are-accepted"
	StillThere       = "instances-stay"
	ReleasedStays    = "released-stays-released"
	ReleaseConfirmed = "repeated-release-is-confirmed"
	NothingForDebug  = "no-instance-for-a-debug-call"
	Answers          = "every-call-is-answered"
)

// Area is what the ids of its checks begin with.
const Area = "chaos/"

// Rule is what the adversary looks at in the end.
type Rule struct {
	Name, Requirement, Title string
}

// Rules are all of them, each with the requirement it usually rests on. That of a breach can be another one, where the story tells why
// the rule was broken.
func Rules() []Rule {
	return []Rule{
		{OneInstance, "NEW-3", "Every newInstance for an order line was answered with the same instanceId, whatever happened in between"},
		{OwnInstance, "NEW-4", "No two order lines got the same instanceId"},
		{NamesInstance, "NEW-2", "Every accepted newInstance named its instance"},
		{StillAccepted, "NEW-1", "What was accepted, or never answered, is accepted when it is repeated in the end"},
		{StillThere, "QRY-1", "Every instance that was opened and not released is answered by queryInstance in the end"},
		{ReleaseConfirmed, "REL-2", "Every release is confirmed when it is repeated in the end"},
		{ReleasedStays, "REL-3", "No released instance is answered by queryInstance in the end"},
		{NothingForDebug, "DBG-6", "Nothing is open for order lines that had debug calls only"},
		{Answers, "ANS-8", "The calls that settle the story were answered"},
	}
}

// line is what is known about one order line.
type line struct {
	name     string
	ids      []string // that newInstance answered, in their order, each once
	ready    bool     // queryInstance had an entry
	released bool     // in earnest, at least tried
	gone     bool     // a release was confirmed
	froze    bool
	upgraded bool
	debugged []Deed
	real     bool // a newInstance in earnest was made
	unsure   bool // a newInstance may have been carried out after the release
}

// Judge looks for broken rules in what a play saw, the worst first. It asserts nothing that the contract does not give:
//
//   - A call that is refused while others about its line are under way is none of a rule's business; the marketplace repeats it.
//   - What a newInstance that comes after the release does, besides naming the same instance, is left open.
//   - Whether an instance is frozen cannot be seen, only that it is still there.
func Judge(s *Story, events []Event) []Breach {
	j := &judge{story: s, lines: map[string]*line{}}
	for _, e := range events {
		j.take(e)
	}
	j.compare()
	order := Rules()
	slices.SortStableFunc(j.found, func(a, b Breach) int { // calls at the same time come in any order, and a report must not tell which
		at := func(name string) int { return slices.IndexFunc(order, func(r Rule) bool { return r.Name == name }) }
		return cmp.Or(at(a.Rule)-at(b.Rule), slices.Compare(a.Lines, b.Lines))
	})
	return j.found
}

type judge struct {
	story *Story
	lines map[string]*line
	order []*line
	found []Breach
}

func (j *judge) line(name string) *line {
	l := j.lines[name]
	if l == nil {
		l = &line{name: name}
		j.lines[name] = l
		j.order = append(j.order, l)
	}
	return l
}

func (j *judge) breach(rule, requirement string, lines []string, format string, args ...any) {
	j.found = append(j.found, Breach{rule, requirement, lines, fmt.Sprintf(format, args...)})
}

func (j *judge) take(e Event) {
	l := j.line(e.Line)
	if e.Settling && e.NoAnswer != "" {
		j.breach(Answers, "ANS-8", []string{l.name}, "%s, after the story: expected an answer, got none (%s)", e.Call, e.NoAnswer)
		return
	}
	if e.Debug {
		if !e.Settling {
			l.debugged = append(l.debugged, e.Do)
		}
		return
	}
	switch e.Do {
	case New:
		l.real = true
		l.unsure = l.unsure || l.released || e.Hung || e.Answer == Late
	case Freeze, Unfreeze:
		l.froze = true
	case Upgrade:
		l.upgraded = true
	case Release:
		l.released = true
		l.gone = l.gone || e.Code == "000000" || e.Code == "000003"
	case Query:
		l.ready = l.ready || e.Entry
	case Refresh:
	}
	if e.Do == New && (e.OK || e.InProgress) {
		if e.Instance == "" {
			j.breach(NamesInstance, "NEW-2", []string{l.name}, "%s: expected an instanceId beside %s, got none", e.Call, e.Code)
		} else if !slices.Contains(l.ids, e.Instance) {
			l.ids = append(l.ids, e.Instance)
		}
	}
	if e.Settling {
		j.settled(l, e)
	}
}

// settled judges a call that was made alone once the story was over.
func (j *judge) settled(l *line, e Event) {
	lines := []string{l.name}
	accepted := func(requirement string) {
		if !e.OK && !e.InProgress {
			j.breach(StillAccepted, requirement, lines, "%s, repeated alone after the story: expected 000000, got %s", e.Call, e.Text)
		}
	}
	switch e.Do {
	case New:
		if requirement := "NEW-1"; len(l.ids) > 0 {
			accepted("NEW-3")
		} else {
			if slices.Contains(l.debugged, New) {
				requirement = "DBG-4"
			}
			accepted(requirement)
		}
	case Refresh:
		accepted("REF-3")
	case Freeze, Unfreeze:
		accepted("STA-2")
	case Upgrade:
		accepted("UPG-2")
	case Release:
		if e.Code != "000000" && e.Code != "000003" {
			j.breach(ReleaseConfirmed, "REL-2", lines, "%s, repeated after the story: expected 000000 or 000003, got %s", e.Call, e.Text)
		}
	case Query:
		switch {
		case !l.real:
			if e.Entry {
				j.breach(NothingForDebug, "DBG-6", lines, "queryInstance of what a debug newInstance of %s answered: expected no entry, got %s with one", l.name, e.Text)
			}
		case l.released:
			if e.Entry && l.gone && !l.unsure {
				j.breach(ReleasedStays, "REL-3", lines, "queryInstance of %s, released: expected 000003 or no entry, got %s with one", l.name, e.Text)
			}
		case !e.Entry:
			requirement, why := j.blame(l)
			j.breach(StillThere, requirement, lines, "queryInstance of %s, after the story: expected 000000 with an entry for the instance, got %s%s", l.name, e.Text, why)
		}
	}
}

// blame tells from its story which rule an instance is missed by.
func (j *judge) blame(l *line) (requirement, why string) {
	var others []string
	for _, o := range j.order {
		if o != l && o.released {
			others = append(others, o.name)
		}
	}
	slices.Sort(others)
	// A short story has nothing in it that does not matter. In a long one an instance that was never ready says nothing about what came later.
	const short = 8
	if len(j.story.Calls) > short && !l.ready {
		return "QRY-1", ""
	}
	switch {
	case slices.ContainsFunc(l.debugged, func(d Deed) bool { return d != New }):
		return "DBG-3", "; it had a debug call"
	case slices.Contains(l.debugged, New):
		return "DBG-4", "; its first call was a debug call"
	case len(others) > 0:
		const most = 3
		if len(others) > most {
			others = append(others[:most], "others")
		}
		return "REL-4", "; released were " + strings.Join(others, ", ")
	case l.froze:
		return "STA-4", "; it had been frozen"
	case l.upgraded:
		return "UPG-1", "; it had been upgraded"
	}
	return "QRY-1", ""
}

// compare looks at the ids of all lines.
func (j *judge) compare() {
	owner := map[string]*line{}
	slices.SortFunc(j.order, func(a, b *line) int { return cmp.Compare(a.name, b.name) })
	for _, l := range j.order {
		if len(l.ids) > 1 {
			j.breach(OneInstance, "NEW-3", []string{l.name}, "newInstance of %s: expected one instanceId, got %d: %s", l.name, len(l.ids), quoted(l.ids))
		}
		for _, id := range l.ids {
			if other := owner[id]; other != nil && other != l {
				j.breach(OwnInstance, "NEW-4", []string{other.name, l.name}, "newInstance of %s and of %s: expected different instanceIds, got %q twice", other.name, l.name, id)
			}
			owner[id] = l
		}
	}
}

func quoted(ids []string) string {
	var all []string
	for _, id := range slices.Sorted(slices.Values(ids)) {
		all = append(all, fmt.Sprintf("%q", id))
	}
	return strings.Join(all, ", ")
}

// Settlement are the calls that a line is asked at the end, in this order, given what was done to it. The first of two queries looks at what
// the story left, the second at what the repeats left. mayBeGone says that no instance need be there. A line that had debug calls only is
// asked for what they answered.
func Settlement(events []Event, name string) (calls []Call, mayBeGone bool) {
	var real, released, froze bool
	seen := map[Call]bool{}
	var repeats []Call
	for _, e := range events {
		if e.Line != name || e.Debug {
			continue
		}
		real = real || e.Do == New
		released = released || e.Do == Release
		froze = froze || e.Do == Freeze || e.Do == Unfreeze
		repeat := Call{Do: e.Do, Line: name, Round: e.Round}
		if (e.Do == Refresh || e.Do == Upgrade) && !seen[repeat] {
			seen[repeat] = true
			repeats = append(repeats, repeat)
		}
	}
	call := func(d Deed) Call { return Call{Do: d, Line: name} }
	switch {
	case !real:
		return []Call{call(Query)}, true
	case released:
		return []Call{call(Query), call(Release), call(Query)}, true
	}
	calls = []Call{call(New), call(Query)}
	if froze {
		calls = append(calls, call(Unfreeze))
	}
	calls = append(calls, repeats...)
	if len(calls) > 2 {
		calls = append(calls, call(Query))
	}
	return calls, false
}
