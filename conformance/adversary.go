package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/chaos"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

// Chaos is what the adversary is to do. It tells the ISV a long story with everything that goes wrong between two parties: calls that come
// twice, at the same time or again after others, answers that get lost or come late, connections that are reset. Then it asks how it all
// ended.
type Chaos struct {
	// Seed is what the story follows from. Default: Options.Seed, which the ids follow from.
	Seed uint64
	// Calls is how many calls the story has. Default: 300.
	Calls int
	// Story is one in YAML that is told instead, such as a report has it. Default: one is made up.
	Story string
	// Alone leaves the checks of the suite out.
	Alone bool
	// Tries is how many shorter stories are told at most to find the shortest one that still breaks a rule. Default: 150.
	Tries int
}

const mostChaosCalls = 10000

func (c *Chaos) validate() error {
	if c == nil {
		return nil
	}
	if c.Calls < 0 || c.Calls > mostChaosCalls {
		return badOption("chaos-calls", "the story has %d calls, expected 1 to %d", c.Calls, mostChaosCalls)
	}
	if c.Tries < 0 {
		return badOption("", "a number of tries is negative, expected 0 (for the default) or more")
	}
	if c.Story == "" {
		return nil
	}
	if _, err := chaos.Parse([]byte(c.Story)); err != nil {
		return badOption("story", "%v", err)
	}
	return nil
}

// told is what the report keeps of it; nil for nil.
func (c *Chaos) told(seed uint64) *report.Chaos {
	if c == nil {
		return nil
	}
	return &report.Chaos{Seed: cmp.Or(c.Seed, seed), Calls: cmp.Or(c.Calls, 300), Story: c.Story}
}

// Again is what has the adversary tell the story of a report again; nil if everything passed in it that he looked at. The ids are made from
// the seed of the new run, because an ISV that goes on knows the orders of the old one. The error says that the story is not in the report.
func Again(r *Report) (*Chaos, error) {
	failed := slices.ContainsFunc(r.Checks, func(c report.Check) bool { return strings.HasPrefix(c.ID, chaos.Area) && c.Rerun() })
	switch {
	case !failed:
		return nil, nil //nolint:nilnil // there is nothing to tell
	case r.Chaos == nil:
		return nil, fmt.Errorf("the adversary's story is not in the report; isv-conformance chaos --seed %d --chaos-calls NUMBER tells it again, with the number of calls that it had", r.Seed)
	}
	return &Chaos{Seed: r.Chaos.Seed, Calls: r.Chaos.Calls, Story: r.Chaos.Story}, nil
}

// adversary lets the adversary play, and gives a check for each of its rules.
func (o *Options) adversary(ctx context.Context, env *suite.Env) []report.Check {
	if o.Chaos == nil {
		return nil
	}
	a := &adversary{env: env, readyLimit: o.ReadyLimit, tries: o.Chaos.Tries}
	if a.tries == 0 {
		a.tries = 150
	}
	story := chaos.Story{}
	if o.Chaos.Story != "" {
		given, err := chaos.Parse([]byte(o.Chaos.Story))
		if err != nil { // Validate has read it
			return a.checks(o, suite.Result{Status: suite.Error, Messages: []string{err.Error()}}, nil)
		}
		story = *given
	} else {
		told := o.Chaos.told(o.Seed)
		story = chaos.Plan(told.Seed, chaos.Shape{Charging: o.Charging, Upgrade: slices.Contains(o.With, suite.Upgrade), Calls: told.Calls})
	}
	started := time.Now()
	play, err := env.Tell(ctx, &story, "chaos", a.readyLimit)
	const twiceMore = 2
	for n := 0; n < twiceMore && err == nil && racy(&story) && len(chaos.Judge(&story, play.Events)) == 0; n++ {
		play, err = env.Tell(ctx, &story, fmt.Sprintf("chaos, again %d", n+1), a.readyLimit)
	}
	took := time.Since(started)
	if err != nil {
		message := fmt.Sprintf("the story could not be told to its end: %v", err)
		if ctx.Err() != nil {
			message = suite.OutOfTime(ctx)
		}
		return a.checks(o, suite.Result{Status: suite.Error, Messages: []string{message}, Duration: took}, nil)
	}
	// A shorter story must not wait much longer than the long one had to, or the search would take for ever.
	a.readyLimit = min(a.readyLimit, max(3*play.Ready, 2*time.Second))
	env.AnswerLimit = min(env.AnswerLimit, max(4*play.Answer, time.Second/4))
	return a.checks(o, suite.Result{Status: suite.Pass, Duration: took}, a.shorten(ctx, story, chaos.Judge(&story, play.Events)))
}

type adversary struct {
	env        *suite.Env
	readyLimit time.Duration
	tries      int
	told       int // stories
}

// broken is a rule that was broken, and the shortest story that breaks it.
type broken struct {
	breaches []chaos.Breach // of the shortest story
	story    chaos.Story
	calls    int // of the story that was told first
	tries    int
}

const mostShrinking = time.Minute // of all rules together

// shorten finds the shortest story for each rule that was broken.
func (a *adversary) shorten(ctx context.Context, story chaos.Story, found []chaos.Breach) map[string]*broken {
	ctx, cancel := context.WithTimeout(ctx, mostShrinking)
	defer cancel()
	rules := map[string]*broken{}
	for _, b := range found {
		if rules[b.Rule] != nil {
			rules[b.Rule].breaches = append(rules[b.Rule].breaches, b)
			continue
		}
		rules[b.Rule] = &broken{breaches: []chaos.Breach{b}, story: story, calls: len(story.Calls)}
	}
	for _, rule := range chaos.Rules() {
		b := rules[rule.Name]
		if b == nil {
			continue
		}
		b.story, b.tries = chaos.Shrink(story, b.breaches[0].Lines, a.tries, func(s chaos.Story) ([]bool, bool) {
			again, made := a.breaches(ctx, &s, rule.Name)
			if len(again) > 0 {
				b.breaches = again
			}
			return made, len(again) > 0
		})
	}
	return rules
}

// breaches tells a story and gives the breaches of one rule. What depends on which call was first may take a second telling to show.
func (a *adversary) breaches(ctx context.Context, s *chaos.Story, rule string) (found []chaos.Breach, made []bool) {
	tellings := 1
	if racy(s) {
		tellings = 2
	}
	for range tellings {
		if ctx.Err() != nil {
			return nil, nil
		}
		a.told++
		play, err := a.env.Tell(ctx, s, fmt.Sprintf("chaos %d", a.told), a.readyLimit)
		if err != nil {
			return nil, nil // the story so far stands
		}
		found = slices.DeleteFunc(chaos.Judge(s, play.Events), func(b chaos.Breach) bool { return b.Rule != rule })
		if len(found) > 0 {
			return found, play.Made
		}
	}
	return nil, nil
}

// racy reports whether a story is short, and it depends on who is faster how it ends: one telling may not show it.
func racy(s *chaos.Story) bool {
	const short = 12
	return len(s.Calls) <= short && slices.ContainsFunc(s.Calls, func(c chaos.Call) bool { return c.Together > 1 || c.Answer != chaos.Heard })
}

// checks makes a check of each rule.
func (a *adversary) checks(o *Options, whole suite.Result, rules map[string]*broken) []report.Check {
	set, err := requirements.Load()
	if err != nil {
		whole, set = suite.Result{Status: suite.Error, Messages: []string{err.Error()}}, &requirements.Set{}
	}
	var checks []report.Check
	for _, rule := range chaos.Rules() {
		c := report.Check{
			ID: chaos.Area + rule.Name, Requirement: rule.Requirement, Title: rule.Title, Status: whole.Status, Messages: append([]string{}, whole.Messages...),
			Attempts: []report.Attempt{}, DurationMS: whole.Duration.Milliseconds(),
		}
		b := rules[rule.Name]
		if b != nil {
			c.Status, c.Requirement, c.Messages, c.Story = suite.Fail, b.breaches[0].Requirement, b.messages(o.Chaos.told(o.Seed).Seed), b.story.YAML()
		}
		r, _ := set.Requirement(c.Requirement)
		c.Level, c.Rule, c.Source = r.Level, r.Text, append([]string{}, r.Source...)
		if b != nil {
			c.Why, c.Mend = r.Why, r.Mend
		}
		checks = append(checks, c)
	}
	return checks
}

// messages tell what was seen, and the shortest story call by call.
func (b *broken) messages(seed uint64) []string {
	var all []string
	const most = 5
	for n, breach := range b.breaches {
		if n == most {
			all = append(all, fmt.Sprintf("and %d more like it", len(b.breaches)-most))
			break
		}
		all = append(all, breach.Seen)
	}
	all = append(all, fmt.Sprintf("the shortest story that shows it, of %d calls with seed %d, has %d; isv-conformance chaos --story FILE tells it again:", b.calls, seed, len(b.story.Calls)))
	const told = 20
	for n, call := range b.story.Calls {
		if n == told {
			return append(all, fmt.Sprintf("and %d more", len(b.story.Calls)-told))
		}
		all = append(all, fmt.Sprintf("%d. %s", n+1, call))
	}
	return append(all, "then each line is asked how it ended: its calls are repeated, one at a time, and queryInstance is asked")
}

// ShortestStory is the story, in YAML, by which the adversary showed the first of the failures, or of the warnings if nothing failed. It is
// empty if no rule was broken.
func ShortestStory(r *Report) string {
	for _, checks := range [][]report.Check{r.Failures(), r.Warnings()} {
		for _, c := range checks {
			if c.Story != "" {
				return fmt.Sprintf("# %s, %s: %s\n%s", c.ID, c.Requirement, c.Messages[0], c.Story)
			}
		}
	}
	return ""
}
