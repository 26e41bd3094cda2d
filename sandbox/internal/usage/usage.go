// Package usage judges pushed usage records one by one, with the record-level codes of the marketplace. It is pure; what the
// marketplace knows about instances and earlier records comes in through [Facts].
package usage

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// TimeFormat is how usage records write times, in UTC.
const TimeFormat = "20060102T150405Z"

// MaxAge is how far back a record may begin.
const MaxAge = 21 * 24 * time.Hour

// clockSkew is how far a record may lie in the future; the ISV's clock is not ours.
const clockSkew = 5 * time.Minute

// Code is a record-level code.
type Code = marketplaceapi.AbnormalUsageRecordErrorCode

// Record is one usage record as it came. Values are kept as text, because what is wrong must be shown, and money is no float.
type Record struct {
	InstanceID        string
	ProductID         string // old form only
	RecordTime        string
	BeginTime         string
	EndTime           string
	UsageValue        string
	MeteringSN        string // new form only
	RelatePkgInstance string
}

// UnmarshalJSON reads a record of either form, whatever the types of its values: a wrong type is for [Check] to refuse, with
// the code of that field, and must not take the other records of the push with it. The usage value may be a number, as the
// international guide has it, or text.
func (r *Record) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	text := func(name string) string {
		var s string
		if json.Unmarshal(fields[name], &s) != nil {
			return strings.TrimSpace(string(fields[name]))
		}
		return s
	}
	*r = Record{
		InstanceID: text("instance_id"), ProductID: text("product_id"), RecordTime: text("record_time"), BeginTime: text("begin_time"),
		EndTime: text("end_time"), UsageValue: text("usage_value"), MeteringSN: text("metering_sn"),
		RelatePkgInstance: text("relate_pkg_instance"),
	}
	return nil
}

// Instance is what has to be known about an instance to judge a record.
type Instance struct {
	ChargingMode marketplaceapi.ChargingMode
	Status       sandboxapi.InstanceStatus
	CreateTime   time.Time
}

// Facts is what the marketplace knows.
type Facts interface {
	// Instance finds an instance by the id that the ISV gave it.
	Instance(id string) (Instance, bool, error)
	// MeteringSNUsed tells whether an accepted record has this metering_sn.
	MeteringSNUsed(sn string) (bool, error)
	// WindowUsed tells whether the instance has an accepted record of the same begin and end.
	WindowUsed(instanceID, begin, end string) (bool, error)
}

// Rejection is why a record is not accepted. The zero value means that it is.
type Rejection struct {
	Code    Code
	Message string
}

var valueForm = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,4})?$`)

// Check judges one record. withSN says whether this form of the push has metering_sn.
func Check(r Record, withSN bool, now time.Time, facts Facts) (Rejection, error) {
	if withSN {
		if r.MeteringSN == "" {
			return Rejection{marketplaceapi.RecordMeteringSNMissing, "metering_sn is missing"}, nil
		}
		if utf8.RuneCountInString(r.MeteringSN) > 64 {
			return Rejection{marketplaceapi.RecordMeteringSNMissing, "metering_sn is longer than 64 characters"}, nil
		}
	}
	if r.InstanceID == "" {
		return Rejection{marketplaceapi.RecordInstanceNotFound, "instance_id is missing"}, nil
	}
	begin, end, rejection := window(r, now)
	if rejection.Code != "" {
		return rejection, nil
	}
	if !valueForm.MatchString(r.UsageValue) || strings.Trim(r.UsageValue, "0.") == "" || len(r.UsageValue) > 20 {
		return Rejection{marketplaceapi.RecordUsageValue, "usage_value: expected a decimal number above 0 with at most 4 decimals"}, nil
	}
	instance, found, err := facts.Instance(r.InstanceID)
	switch {
	case err != nil:
		return Rejection{}, err
	case !found:
		return Rejection{marketplaceapi.RecordInstanceNotFound, "no instance has this instance_id"}, nil
	case instance.ChargingMode != marketplaceapi.ChargingOnDemand:
		return Rejection{marketplaceapi.RecordNotOnDemand, "the instance is charged " + string(instance.ChargingMode) + ", expected ON_DEMAND"}, nil
	case instance.Status != sandboxapi.InstanceReady && instance.Status != sandboxapi.InstanceFrozen && instance.Status != sandboxapi.InstanceOpening:
		return Rejection{marketplaceapi.RecordInstanceState, "the instance is " + string(instance.Status)}, nil
	case begin.Before(instance.CreateTime.Truncate(time.Second)):
		return Rejection{marketplaceapi.RecordTimeRange, "begin_time is before the instance was bought"}, nil
	}
	if r.RelatePkgInstance != "" {
		pkg, found, err := facts.Instance(r.RelatePkgInstance)
		switch {
		case err != nil:
			return Rejection{}, err
		case !found:
			return Rejection{marketplaceapi.RecordInstanceNotFound, "no instance has this relate_pkg_instance"}, nil
		case pkg.ChargingMode != marketplaceapi.ChargingPackage:
			return Rejection{marketplaceapi.RecordInstanceState, "relate_pkg_instance is charged " + string(pkg.ChargingMode) + ", expected ON_DEMAND_PKG"}, nil
		}
	}
	return duplicate(r, withSN, begin, end, facts)
}

func window(r Record, now time.Time) (begin, end time.Time, _ Rejection) {
	var times [3]time.Time
	for i, f := range []struct{ name, value string }{
		{"record_time", r.RecordTime}, {"begin_time", r.BeginTime}, {"end_time", r.EndTime},
	} {
		t, err := time.Parse(TimeFormat, f.value)
		// time.Parse takes a fraction of a second even where the layout has none.
		if err != nil || len(f.value) != len(TimeFormat) {
			return begin, end, Rejection{marketplaceapi.RecordTimeFormat, f.name + ": expected UTC as yyyyMMddTHHmmssZ"}
		}
		times[i] = t
	}
	begin, end = times[1], times[2]
	switch {
	case !begin.Before(end):
		return begin, end, Rejection{marketplaceapi.RecordTimeRange, "begin_time is not before end_time"}
	case end.After(now.Add(clockSkew)):
		return begin, end, Rejection{marketplaceapi.RecordTimeRange, "end_time is in the future; the marketplace's clock shows " + now.UTC().Format(TimeFormat)}
	case now.Sub(begin) > MaxAge:
		return begin, end, Rejection{marketplaceapi.RecordExpired, "begin_time is more than 21 days ago; the marketplace's clock shows " + now.UTC().Format(TimeFormat)}
	}
	return begin, end, Rejection{}
}

func duplicate(r Record, withSN bool, begin, end time.Time, facts Facts) (Rejection, error) {
	if withSN {
		used, err := facts.MeteringSNUsed(r.MeteringSN)
		if err != nil {
			return Rejection{}, err
		}
		if used {
			return Rejection{marketplaceapi.RecordMeteringSNDuplicate, "metering_sn was used before"}, nil
		}
	}
	used, err := facts.WindowUsed(r.InstanceID, begin.Format(TimeFormat), end.Format(TimeFormat))
	if err != nil {
		return Rejection{}, err
	}
	if used {
		return Rejection{marketplaceapi.RecordDuplicate, "the instance has a record of the same begin_time and end_time"}, nil
	}
	return Rejection{}, nil
}
