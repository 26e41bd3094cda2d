package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

func modes() []string { return []string{"period", "one-time", "on-demand", "package"} }

// Shape is what a story is planned for.
type Shape struct {
	Charging []string // modes that the ISV sells in; at least one
	Upgrade  bool     // it takes upgradeInstance
	Calls    int      // how many calls the story has
}

// Plan makes up a story. The same seed and shape give the same story, on every machine.
//
// Each order line lives a life: it is opened, asked about, renewed, frozen, upgraded, released. On the way to the ISV calls are doubled,
// lose their answer or their connection, are made again with a new businessId, and overtake one another; the lives of many lines are
// woven into each other. A call whose answer did not arrive is always made again, as the marketplace would.
func Plan(seed uint64, shape Shape) Story {
	p := &planner{Rand: rand.New(rand.NewPCG(seed, 0x15f0c4a05)), shape: shape} //nolint:gosec // a story that can be told again
	var s Story
	var lives [][]Call // of the lines that are alive
	const atOnce = 8
	last := -1 // the life that goes on, because its last call is still being carried out
	for len(s.Calls) < shape.Calls {
		for len(lives) < atOnce {
			o := Order{Name: fmt.Sprintf("o%d", len(s.Orders)+1), Charging: p.mode(), Lines: p.weighed(6, 3, 1) + 1}
			s.Orders = append(s.Orders, o)
			for n := range o.Lines {
				lives = append(lives, p.delivered(p.life(o, fmt.Sprintf("%s/%d", o.Name, n+1))))
			}
		}
		n := p.IntN(len(lives))
		if last >= 0 && p.chance(70) {
			n = last
		}
		s.Calls = append(s.Calls, lives[n][0])
		last = -1
		if lives[n][0].Answer == Late && len(lives[n]) > 1 {
			last = n
		}
		if lives[n] = lives[n][1:]; len(lives[n]) == 0 {
			lives = slices.Delete(lives, n, n+1)
		}
	}
	return s.only(func(Call) bool { return true })
}

type planner struct {
	*rand.Rand
	shape Shape
}

// chance is true in so many of a hundred cases.
func (p *planner) chance(percent int) bool { return p.IntN(100) < percent }

// weighed chooses an index by weights.
func (p *planner) weighed(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	left := p.IntN(sum)
	for n, w := range weights {
		if left -= w; left < 0 {
			return n
		}
	}
	return 0
}

// mode is what an order is charged by; more often by period, because most calls are about such instances.
func (p *planner) mode() string {
	if slices.Contains(p.shape.Charging, "period") && p.chance(55) {
		return "period"
	}
	return p.shape.Charging[p.IntN(len(p.shape.Charging))]
}

// life is what happens to a line, as it was decided.
func (p *planner) life(o Order, line string) []Call {
	call := func(d Deed) Call { return Call{Do: d, Line: line} }
	debug := func(d Deed) Call { return Call{Do: d, Line: line, Debug: true} }
	if p.chance(5) {
		return []Call{debug(New), debug(New)} // nothing but debug calls
	}
	var life []Call
	if p.chance(10) {
		life = append(life, debug(New))
	}
	life = append(life, call(New))
	if p.chance(50) {
		life = append(life, call(Query))
	}
	rounds := map[Deed]int{}
	again := func(d Deed) Call {
		rounds[d]++
		return Call{Do: d, Line: line, Round: rounds[d]}
	}
	if o.Charging == "period" {
		for range 1 + p.IntN(6) {
			switch p.weighed(3, 3, 2) {
			case 0:
				life = append(life, again(Refresh))
			case 1:
				life = append(life, call(Freeze))
				if p.chance(70) {
					life = append(life, call(Unfreeze))
				}
			case 2:
				if p.shape.Upgrade {
					life = append(life, again(Upgrade))
				}
			}
		}
	}
	if p.chance(8) {
		life = append(life, debug(Release))
	}
	if p.chance(20) {
		life = append(life, call(Query))
	}
	if p.chance(50) {
		life = append(life, call(Release))
		if p.chance(40) {
			life = append(life, call(Release))
		}
		if p.chance(10) {
			life = append(life, call(New)) // a repeat that comes much too late
		}
	}
	return life
}

// delivered is a life as it reaches the ISV.
func (p *planner) delivered(life []Call) []Call {
	var calls, waiting []Call // waiting: made again after the next one
	for n, c := range life {
		if c.Do == Query {
			calls = append(calls, c)
			continue
		}
		spoiled := c
		again := waiting
		waiting = nil
		fate := p.weighed(40, 14, 12, 12, 12, 10)
		if n < len(life)-1 && life[n+1].Do == Release && c.Do != New && !c.Debug && p.chance(40) {
			fate = 6
		}
		switch fate {
		case 1: // twice
			calls = append(calls, c)
		case 2:
			spoiled.Answer = Lost
			calls = append(calls, spoiled)
		case 3:
			spoiled.Answer = Reset
			calls = append(calls, spoiled)
		case 4:
			spoiled.Answer = Late
			calls = append(calls, spoiled)
			if n < len(life)-1 && c.Do != New && c.Do != Release && p.chance(50) {
				waiting = append(waiting, c)
				calls = append(calls, again...)
				continue
			}
		case 5:
			c.Together = 2 + p.IntN(3)
		case 6: // the buyer unsubscribes while it is being carried out
			c.Answer = Late
		}
		calls = append(append(calls, c), again...)
	}
	calls = append(calls, waiting...)
	// Some calls come once more, after others that were decided later.
	for range len(calls) {
		if !p.chance(12) {
			continue
		}
		from := p.IntN(len(calls))
		c := calls[from]
		if c.Do == Query || c.Do == Release {
			continue // a release that comes early or again stands in the life
		}
		c.Together, c.Answer = 0, Heard
		if p.chance(40) {
			c.Together = 2
		}
		calls = slices.Insert(calls, from+1+p.IntN(len(calls)-from), c)
	}
	return calls
}

// only keeps some calls, and of the orders what they need.
func (s *Story) only(keep func(Call) bool) Story {
	var kept Story
	lines := map[string]int{}
	for _, c := range s.Calls {
		if !keep(c) {
			continue
		}
		kept.Calls = append(kept.Calls, c)
		o, index, _ := s.find(c.Line)
		lines[o.Name] = max(lines[o.Name], index+1)
	}
	for _, o := range s.Orders {
		if lines[o.Name] > 0 {
			o.Lines = lines[o.Name]
			kept.Orders = append(kept.Orders, o)
		}
	}
	return kept
}
