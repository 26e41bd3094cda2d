package mutant

import (
	"net/http"
	"strings"
	"sync"
)

func (c *call) licence() bool { return strings.Contains(c.text("activity"), "License") }

// licences makes a mutant of licence calls; everything else is right.
func licences(b behaviour) func(*ISV) http.Handler {
	return wire(func(c *call) *answer {
		if !c.licence() {
			return c.pass()
		}
		return b(c)
	})
}

// LicenceMutants are wrong in one way each, in what they do with calls about licences.
func LicenceMutants() []Mutant {
	catches := func(name string, build func(*ISV) http.Handler, caught ...string) Mutant {
		return Mutant{Name: "licences: " + name, Build: build, Caught: caught, With: []string{"license"}, Run: []string{"license*"}}
	}
	slugs := []string{"refresh-license-code", "update-license-code-status", "release-license-code", "get-license-async"}
	var needs []string
	for slug, names := range map[string]string{
		"refresh-license-code": "license expire-time scene order-id order-line-id", "update-license-code-status": "license status",
		"release-license-code": "license", "get-license-async": "instance-id event-id effective-time",
	} {
		needs = append(needs, every("license/"+slug+"-needs-%s", strings.Fields(names)...)...)
	}
	baseKey := every("license/%s-base-key-is-refused", slugs...)
	return []Mutant{
		catches("does not verify signatures", licences((*call).resigned), append(baseKey, "license/wrong-key-is-refused")...),
		catches("takes the base key", licences(func(c *call) *answer {
			isv, other := *c.isv, *c
			isv.Keys.License = isv.Keys.Base
			if other.isv = &isv; other.right() {
				return c.resigned()
			}
			return c.pass()
		}), baseKey...).warned(),
		catches("refuses to be debugged", licences(func(c *call) *answer {
			if c.right() {
				return reply("000003", "no such licence")
			}
			return c.pass()
		}), append(every("license/%s-succeeds", slugs...), "license/unfreeze-succeeds")...),
		catches("confirms whatever is signed", licences(func(c *call) *answer {
			a := c.pass()
			if a.code() == "000002" && c.right() {
				return success()
			}
			return a
		}), append(needs, "license/unknown-status-is-refused")...).warned(),
		catches("lets itself be debugged once", func(isv *ISV) http.Handler {
			var mu sync.Mutex
			done := map[string]bool{}
			return licences(func(c *call) *answer {
				mu.Lock()
				defer mu.Unlock()
				key := c.text("activity") + c.text("license") + c.text("eventId") + c.text("status")
				if done[key] && c.right() {
					return reply("000005", "done already")
				}
				done[key] = true
				return c.pass()
			})(isv)
		}, "license/debug-calls-repeat-in-any-order"),
	}
}
