package suite

import (
	"context"
	"slices"
	"strings"
)

// The charging modes an ISV can declare.
const (
	Period   = "period"
	OneTime  = "one-time"
	OnDemand = "on-demand"
	Package  = "package"
)

// Modes are the charging modes.
func Modes() []string { return []string{Period, OneTime, OnDemand, Package} }

// The optional capabilities an ISV can declare.
const (
	Upgrade     = "upgrade"      // upgradeInstance
	ChangeCheck = "change-check" // changeInstanceCheck
	OrderNotify = "order-notify" // orderNotify
	Kit         = "kit"          // the five kit calls
	V1          = "v1"           // the access interface V1.0
	Licences    = "license"      // the calls about licences
)

// Capabilities are the optional capabilities.
func Capabilities() []string { return []string{Upgrade, ChangeCheck, OrderNotify, Kit, V1, Licences} }

// Check judges one requirement in one situation.
type Check struct {
	ID          string // slash path, unique, a statement of good behaviour
	Requirement string // id in requirements.yaml
	Title       string // what is looked at, in one line

	// Charging are the modes the check applies to, preferred ones first. nil is all of them.
	Charging []string
	// Capability must have been declared. Empty: none.
	Capability string
	// Besides must have been declared, too. Empty: none.
	Besides string
	// Replicas says that the ISV must have been given with more than one address.
	Replicas bool
	// Waits says that the check waits for usage, and that it only runs with UsageWait.
	Waits bool
	// Alone runs the check when no other is at work, because it may disturb them.
	Alone bool
	// After runs the check once all others have ended, because it judges what they saw.
	After bool

	// Run makes the calls.
	Run func(ctx context.Context, c *Case)
}

// Mode chooses the charging mode for a run in which these were declared, "" if the check does not apply to it.
func (c *Check) Mode(declared []string) string {
	if c.Charging == nil {
		for _, m := range Modes() {
			if slices.Contains(declared, m) {
				return m
			}
		}
		return ""
	}
	for _, m := range c.Charging {
		if slices.Contains(declared, m) {
			return m
		}
	}
	return ""
}

// Lacks is a capability that the check needs and that was not declared, "" if there is none.
func (c *Check) Lacks(declared []string) string {
	for _, needed := range []string{c.Capability, c.Besides} {
		if needed != "" && !slices.Contains(declared, needed) {
			return needed
		}
	}
	return ""
}

// Missing says what of the run's configuration the check needs and does not have, "" if nothing. Whether a check applies is known before
// anything is sent.
func (c *Check) Missing(e *Env) string {
	switch {
	case c.Mode(e.Charging) == "":
		return "only for the charging modes " + strings.Join(c.Charging, ", ")
	case c.Lacks(e.With) != "":
		return "only with the capability " + c.Lacks(e.With)
	case c.Replicas && len(e.Replicas) == 0:
		return "only with more than one target"
	case c.Waits && e.UsageWait <= 0:
		return "only with a time to wait for usage"
	}
	return ""
}

// JudgesUsage reports whether the check judges what usage was pushed in the whole run, so that it has to wait for some.
func (c *Check) JudgesUsage() bool { return c.After && slices.Equal(c.Charging, usageModes) }

// All lists every check, in the order of the report.
func All() []Check {
	return slices.Concat(
		signingChecks(),
		forgeryChecks(),
		windowChecks(),
		answerChecks(),
		formChecks(),
		newInstanceChecks(),
		queryInstanceChecks(),
		refreshChecks(),
		statusChecks(),
		releaseChecks(),
		upgradeChecks(),
		changeCheckChecks(),
		sequenceChecks(),
		replicaChecks(),
		orderNotifyChecks(),
		parameterChecks(),
		robustChecks(),
		debugChecks(),
		debugTraceChecks(),
		usageChecks(),
		billingChecks(),
		orderQueryChecks(),
		orderingChecks(),
		kitChecks(),
		v1Checks(),
		licenceChecks(),
	)
}
