package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/isvkit/isvkit/conformance"
)

// adversary are the flags of the story that the ISV is told.
type adversary struct {
	on          bool
	calls       int
	story, save string // files
}

func (a *adversary) bind(flags *flag.FlagSet) {
	if flags.Name() == "run" {
		flags.BoolVar(&a.on, "chaos", false, "let the adversary play after the checks: a long story in which calls are doubled, reordered and cut off")
	} else {
		a.on = true
	}
	flags.IntVar(&a.calls, "chaos-calls", 300, "`NUMBER` of calls in the adversary's story; the story follows from --seed; default: 300")
	flags.StringVar(&a.story, "story", "", "`FILE` with a story that the adversary tells instead, as --save writes it")
	flags.StringVar(&a.save, "save", "", "`FILE` for the shortest story that breaks a rule; default: it is printed behind the report")
}

const mostStory = 4 << 20 // bytes

func (a *adversary) load(flags *flag.FlagSet, opts *conformance.Options) (err error) {
	var given []string
	flags.Visit(func(f *flag.Flag) {
		if f.Name == "chaos-calls" || f.Name == "story" || f.Name == "save" {
			given = append(given, f.Name)
		}
	})
	another := slices.Contains(given, "chaos-calls") || slices.Contains(given, "story")
	switch again := opts.Chaos != nil; { // --rerun
	case again && !another:
		opts.Chaos.Alone = opts.Chaos.Alone || flags.Name() == "chaos"
		return nil
	case !a.on && !again && len(given) > 0:
		return fmt.Errorf("--%s: it is about the adversary, who does not play; add --chaos", given[0])
	case !a.on && !again:
		return nil
	}
	if a.calls < 1 {
		return fmt.Errorf("--chaos-calls: %d is too few, expected 1 or more", a.calls)
	}
	opts.Chaos = &conformance.Chaos{Calls: a.calls, Alone: flags.Name() == "chaos" || opts.Chaos != nil && opts.Chaos.Alone}
	if a.story == "" {
		return nil
	}
	file, err := os.Open(a.story)
	if err != nil {
		return fmt.Errorf("--story: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, mostStory+1))
	switch {
	case err != nil:
		return fmt.Errorf("--story: %w", err)
	case len(text) > mostStory:
		return errors.New("--story: the file is too large for a story")
	case len(text) == 0:
		return fmt.Errorf("--story: %s is empty, expected a story as --save writes it", a.story)
	}
	opts.Chaos.Story = string(text)
	return nil
}

// write saves the shortest story, or prints it behind the report for people.
func (a *adversary) write(t terminal, r *conformance.Report, asText bool) error {
	story := conformance.ShortestStory(r)
	switch {
	case story == "":
		return nil
	case a.save != "":
		if err := os.WriteFile(a.save, []byte(story), 0o600); err != nil {
			return fmt.Errorf("--save: %w", err)
		}
		t.say("the shortest story is in %s; isv-conformance chaos --story %s tells it again", a.save, a.save)
	case asText:
		_, err := fmt.Fprintf(t.out, "\nThe shortest story, for isv-conformance chaos --story FILE:\n\n%s", story)
		return err
	}
	return nil
}

func confuse(ctx context.Context, t terminal, args []string) int {
	return (&judging{name: "chaos"}).run(ctx, t, args)
}
