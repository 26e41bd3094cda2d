package report

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
)

// sourceTexts are what the documents call their sources, by id.
var sourceTexts = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, name := range []string{"marketplace.yaml", "provider-v1.yaml", "provider.yaml"} {
		var doc struct {
			Sources map[string]string `yaml:"x-sources"`
		}
		text, err := openapi.FS.ReadFile(name)
		if err != nil || yaml.Unmarshal(text, &doc) != nil {
			continue // the tests of the documents hold that they can be read
		}
		for id, s := range doc.Sources {
			all[id] = s
		}
	}
	return all
})

// sources names the sources of a rule for people.
func sources(ids []string) string {
	var names []string
	for _, id := range ids {
		names = append(names, cmp.Or(sourceTexts()[id], id))
	}
	return strings.Join(names, "; ")
}

// area is the part of a check's id before the slash.
func area(id string) string {
	a, _, _ := strings.Cut(id, "/")
	return a
}

// Area counts the checks of one area.
type Area struct {
	Name   string
	Counts map[Outcome]int
}

// Areas are the areas in the order of the checks.
func (r *Report) Areas() []Area {
	var all []Area
	for _, c := range r.Checks {
		n := slices.IndexFunc(all, func(a Area) bool { return a.Name == area(c.ID) })
		if n < 0 {
			n, all = len(all), append(all, Area{area(c.ID), map[Outcome]int{}})
		}
		all[n].Counts[c.Outcome]++
	}
	return all
}
