package lifecycle

import (
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// Timetable says how a call is retried: again after each interval, the last one repeating, for as long as For since the call
// was decided. The rules are the `x-retry` of provider.yaml; a test compares them.
type Timetable struct {
	Intervals []time.Duration
	For       time.Duration
	Final     bool // giving up fails the order; otherwise the call waits for a restart by hand
}

var (
	hourly   = Timetable{Intervals: []time.Duration{time.Hour}, For: 3 * time.Hour, Final: true}
	minutely = Timetable{Intervals: []time.Duration{time.Minute}, For: time.Hour}
	polling  = Timetable{
		Intervals: []time.Duration{1 * time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute},
		For:       3 * time.Hour, Final: true,
	}
	// Licences have a timetable of their own.
	everyTwoMinutes = Timetable{Intervals: []time.Duration{2 * time.Minute}, For: 2 * time.Hour}
	// Somebody is waiting for the answer, and decides whether to try again.
	once = Timetable{Intervals: []time.Duration{0}}
)

// TimetableOf gives the timetable of a call.
func TimetableOf(activity providerapi.Activity) Timetable {
	switch activity {
	case providerapi.ActivityNewInstance, providerapi.ActivityUpgradeInstance:
		return hourly
	case providerapi.ActivityQueryInstance:
		return polling
	case providerapi.ActivityRefreshLicenseCode, providerapi.ActivityUpdateLicenseCodeStatus, providerapi.ActivityReleaseLicenseCode, providerapi.ActivityGetLicenseAsync:
		return everyTwoMinutes
	case providerapi.ActivityChangeInstanceCheck, "tenantSync", "applicationSync", "authSync", "singleOrgSync", "allOrgSync":
		return once
	}
	return minutely
}

// Next is when the attempt after the given number of attempts is due, or false if the time is over. start is when the call was
// decided, or restarted; now is when the last attempt ended.
func (t Timetable) Next(start, now time.Time, attempts int) (time.Time, bool) {
	if t.For == 0 {
		return time.Time{}, false
	}
	interval := t.Intervals[min(max(attempts, 1), len(t.Intervals))-1]
	next := now.Add(interval)
	// An attempt takes time, so the last one may come due a little after the end; it still belongs to the timetable.
	if next.Add(-interval / 2).After(start.Add(t.For)) {
		return time.Time{}, false
	}
	return next, true
}
