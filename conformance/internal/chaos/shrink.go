package chaos

import "slices"

// Shrink finds a short story that still breaks the same rule. broken plays a story and says whether it does, and which of its calls were
// made; it is asked at most tries times, and after that the shortest story so far stands. lines are those that the breach is about: a story of their orders alone is
// tried first.
//
// It removes ever smaller groups of calls (delta debugging), and then makes the calls that are left plainer.
func Shrink(s Story, lines []string, tries int, broken func(Story) (made []bool, is bool)) (shortest Story, played int) {
	sh := &shrinker{best: s, broken: broken, left: tries, known: map[string]bool{}}
	orders := map[string]bool{}
	for _, l := range lines {
		o, _ := s.Find(l)
		orders[o.Name] = true
	}
	sh.try(s.only(func(c Call) bool { return slices.Contains(lines, c.Line) }))
	sh.try(sh.best.only(func(c Call) bool { o, _ := s.Find(c.Line); return orders[o.Name] }))
	sh.removeGroups(func(s Story) []string { return names(s.Orders) }, func(s *Story, c Call) string { o, _ := s.Find(c.Line); return o.Name })
	sh.removeCalls()
	for before := -1; before != sh.size(); {
		before = sh.size()
		sh.plain()
		sh.removeCalls()
	}
	return sh.best, tries - sh.left
}

type shrinker struct {
	best   Story
	broken func(Story) ([]bool, bool)
	left   int
	known  map[string]bool // what was tried already
}

// size goes down with every step that makes the story plainer.
func (sh *shrinker) size() int {
	n := 0
	for _, c := range sh.best.Calls {
		n += 4
		if c.Answer != Heard {
			n++
		}
		if c.Together > 1 {
			n += c.Together
		}
		if c.Round > 1 {
			n++
		}
	}
	return n
}

// try keeps a story if it still breaks the rule.
func (sh *shrinker) try(s Story) bool {
	if len(s.Calls) == 0 || len(s.Calls) > len(sh.best.Calls) || sh.left <= 0 {
		return false
	}
	text := s.YAML()
	if sh.known[text] || text == sh.best.YAML() {
		return false
	}
	sh.known[text] = true
	sh.left--
	made, is := sh.broken(s)
	if !is {
		return false
	}
	at := -1
	sh.best = s.only(func(Call) bool { at++; return at >= len(made) || made[at] }) // what was left out did nothing
	return true
}

// removeGroups removes calls together that belong together, half of the groups first.
func (sh *shrinker) removeGroups(groups func(Story) []string, of func(*Story, Call) string) {
	for parts := 2; ; {
		all := groups(sh.best)
		if len(all) < 2 {
			return
		}
		parts = min(parts, len(all))
		removed := false
		for part := range slices.Chunk(all, (len(all)+parts-1)/parts) {
			s := sh.best
			if sh.try(s.only(func(c Call) bool { return !slices.Contains(part, of(&s, c)) })) {
				removed = true
				break
			}
		}
		switch {
		case removed:
			parts = max(parts-1, 2)
		case parts == len(all) || sh.left <= 0:
			return
		default:
			parts = min(2*parts, len(all))
		}
	}
}

// removeCalls is delta debugging on the calls.
func (sh *shrinker) removeCalls() {
	for size := len(sh.best.Calls) / 2; size >= 1 && sh.left > 0; {
		removed := false
		for from := 0; from < len(sh.best.Calls); {
			s, at := sh.best, -1
			if sh.try(s.only(func(Call) bool { at++; return at < from || at >= from+size })) {
				removed = true
				continue // what followed has moved here
			}
			from += size
		}
		if !removed || size > 1 {
			size /= 2
		}
	}
}

// plain takes the nuisances off the calls, one at a time.
func (sh *shrinker) plain() {
	for n := range sh.best.Calls {
		for _, change := range []func(*Call){
			func(c *Call) { c.Answer = Heard },
			func(c *Call) { c.Together = 0 },
			func(c *Call) { c.Together = min(c.Together, 2) },
			func(c *Call) { c.Round = 0 },
		} {
			s := sh.best
			s.Calls = slices.Clone(s.Calls)
			change(&s.Calls[n])
			sh.try(s)
		}
	}
}

func names(orders []Order) []string {
	var all []string
	for _, o := range orders {
		all = append(all, o.Name)
	}
	return all
}
