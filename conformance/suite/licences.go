package suite

import (
	"context"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// A made-up licence, as debug calls name one.
type licence struct{ code, instance, order, event string }

func (c *Case) madeUpLicence() licence {
	return licence{code: "LIC-" + c.ids.hex(8), instance: c.uuid(), order: c.ids.orderID(), event: "ev-" + c.ids.hex(8)}
}

func (l licence) refresh() Body {
	return Body{
		"activity": "refreshLicenseCode", "scene": "RENEWAL", "orderId": l.order, "orderLineId": l.order + "-000001", "license": l.code, "expireTime": inAYear(),
	}
}

func (l licence) status(status string) Body {
	return Body{"activity": "updateLicenseCodeStatus", "license": l.code, "status": status}
}

func (l licence) release() Body { return Body{"activity": "releaseLicenseCode", "license": l.code} }

func (l licence) get() Body {
	return Body{
		"activity": "getLicenseAsync", "instanceId": l.instance, "eventId": l.event, "effectiveTime": "2023-10-27 10:30:15 z", "expireTime": "2099-10-27 10:30:15 z",
	}
}

// licenceChecks judge the calls about licences by their debug form. Real ones are not made: they are about licences that the marketplace has
// sold, and the judge has none that an ISV would know.
func licenceChecks() []Check {
	calls := []struct {
		slug      string
		body      func(licence) Body
		essential []string
		other     []string
	}{
		{"refresh-license-code", licence.refresh, []string{"license", "expireTime"}, []string{"scene", "orderId", "orderLineId"}},
		{"update-license-code-status", func(l licence) Body { return l.status("FREEZE") }, []string{"license", "status"}, nil},
		{"release-license-code", licence.release, []string{"license"}, nil},
		{"get-license-async", licence.get, []string{"instanceId", "eventId"}, []string{"effectiveTime"}},
	}
	var checks []Check
	for _, call := range calls {
		checks = append(checks,
			Check{ID: "license/" + call.slug + "-succeeds", Requirement: "LIC-1", Title: "A debug call of this kind, signed with the key of the license class, succeeds", Run: func(ctx context.Context, c *Case) {
				b := call.body(c.madeUpLicence()).Debug()
				c.WantSuccess("debug "+b.Activity(), c.Send(ctx, b))
			}},
			Check{ID: "license/" + call.slug + "-base-key-is-refused", Requirement: "LIC-2", Title: "A debug call of this kind that is signed with the base key is refused", Run: func(ctx context.Context, c *Case) {
				if c.env.LicenseKey == c.env.BaseKey {
					c.Skipf("the license key and the base key are the same")
				}
				b := call.body(c.madeUpLicence()).Debug()
				c.WantRefused("debug "+b.Activity()+" signed with the base key", c.SendRequest(ctx, b.Activity(), curl.Request{URL: c.env.Target, Body: b.Text()}))
			}})
		for n, params := range [][]string{call.essential, call.other} {
			for _, p := range params {
				checks = append(checks, Check{
					ID: "license/" + call.slug + "-needs-" + kebab(p), Requirement: []string{"LIC-5", "PAR-2"}[n], Title: "A debug call of this kind without " + p + " is refused",
					Run: func(ctx context.Context, c *Case) {
						b := call.body(c.madeUpLicence()).Debug().Without(p)
						c.WantRefused("debug "+b.Activity()+" without "+p, c.Send(ctx, b))
					},
				})
			}
		}
	}
	checks = append(checks, []Check{
		{
			ID: "license/wrong-key-is-refused", Requirement: "LIC-3", Title: "Licence calls that are signed with another key are refused",
			Run: func(ctx context.Context, c *Case) {
				for _, call := range calls {
					b := call.body(c.madeUpLicence()).Debug()
					c.WantRefused("debug "+b.Activity()+" signed with another key", c.Send(ctx, b, curl.Variation{Key: "not-the-key-of-this-isv"}))
				}
			},
		},
		{
			ID: "license/unfreeze-succeeds", Requirement: "LIC-1", Title: "A debug updateLicenseCodeStatus with UNFREEZE succeeds",
			Run: func(ctx context.Context, c *Case) {
				c.WantSuccess("debug updateLicenseCodeStatus with UNFREEZE", c.Send(ctx, c.madeUpLicence().status("UNFREEZE").Debug()))
			},
		},
		{
			ID: "license/unknown-status-is-refused", Requirement: "PAR-11", Title: "A debug updateLicenseCodeStatus with a status that does not exist is refused",
			Run: func(ctx context.Context, c *Case) {
				c.WantRefused("debug updateLicenseCodeStatus with the status MELT", c.Send(ctx, c.madeUpLicence().status("MELT").Debug()))
			},
		},
		{
			ID: "license/debug-calls-repeat-in-any-order", Requirement: "LIC-4", Title: "Unchanged debug calls about a licence succeed twice, the second time in reverse order",
			Run: func(ctx context.Context, c *Case) {
				l := c.madeUpLicence()
				var good []Body
				for _, call := range calls {
					if b := call.body(l).Debug(); c.Send(ctx, b).Succeeded() { // the first time is judged elsewhere
						good = append(good, b)
					}
				}
				if len(good) == 0 {
					c.Skipf("no debug call succeeded the first time")
				}
				for n := len(good) - 1; n >= 0; n-- {
					c.WantSuccess("debug "+good[n].Activity()+" a second time", c.Send(ctx, good[n]))
				}
			},
		},
	}...)
	for n := range checks {
		checks[n].Capability = Licences
	}
	return checks
}
