// Package usage judges pushed usage records one by one, with the record-level codes of the marketplace, and says what an accepted
// record comes to: what is taken from packages, and what is charged. It is pure; what the marketplace knows about instances
// and earlier records comes in through [Facts].
package usage

import (
	"encoding/json"
	"fmt"
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
	LineID       string // the order line that created it
	ChargingMode marketplaceapi.ChargingMode
	Status       sandboxapi.InstanceStatus
	CreateTime   time.Time
	Foreign      bool // another ISV's
	Delisted     bool // its product was taken off the marketplace
	Buyer        string
	Product      string   // the listing it belongs to
	ProductID    string   // the billing item, as orders name it
	Package      *Package // of an ON_DEMAND_PKG instance
}

// Facts is what the marketplace knows.
type Facts interface {
	// Instance finds an instance by the id that the ISV gave it.
	Instance(id string) (Instance, bool, error)
	// MeteringSNUsed tells whether an accepted record of this ISV has this metering_sn.
	MeteringSNUsed(sn string) (bool, error)
	// WindowUsed tells whether the instance, named by its order line, has an accepted record of the same begin and end.
	WindowUsed(lineID, begin, end string) (bool, error)
}

// Rejection is why a record is not accepted. The zero value means that it is.
type Rejection struct {
	Code    Code
	Message string
}

// Verdict is what became of a record. Everything but the rejection is of an accepted record.
type Verdict struct {
	Rejection
	Begin, End time.Time
	Value      Decimal
	Instance   Instance
	Package    *Package // the one that relate_pkg_instance names
	Warnings   []string
}

var valueForm = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,4})?$`)

// Check judges one record. withSN says whether it came in the newer form, which has metering_sn; the older one has product_id.
func Check(r Record, withSN bool, now time.Time, facts Facts) (v Verdict, err error) {
	reject := func(code Code, format string, args ...any) (Verdict, error) {
		return Verdict{Rejection: Rejection{code, fmt.Sprintf(format, args...)}}, nil
	}
	switch n := utf8.RuneCountInString(r.MeteringSN); {
	case withSN && n == 0:
		return reject(marketplaceapi.RecordMeteringSNMissing, "metering_sn is missing")
	case withSN && n > 64:
		return reject(marketplaceapi.RecordMeteringSNMissing, "metering_sn is longer than 64 characters")
	case r.InstanceID == "":
		return reject(marketplaceapi.RecordInstanceNotFound, "instance_id is missing")
	}
	recorded, rejection := v.window(r, now)
	if rejection.Code != "" {
		return Verdict{Rejection: rejection}, nil
	}
	if !valueForm.MatchString(r.UsageValue) || strings.Trim(r.UsageValue, "0.") == "" || len(r.UsageValue) > 20 {
		return reject(marketplaceapi.RecordUsageValue, "usage_value: expected a decimal number above 0 with at most 4 decimals")
	}
	if v.Value, err = ParseDecimal(r.UsageValue); err != nil {
		return Verdict{}, err
	}
	var found bool
	v.Instance, found, err = facts.Instance(r.InstanceID)
	i := v.Instance
	switch {
	case err != nil:
		return Verdict{}, err
	case !found:
		return reject(marketplaceapi.RecordInstanceNotFound, "no instance has this instance_id")
	case i.Foreign:
		return reject(marketplaceapi.RecordNotYourInstance, "the instance belongs to another ISV")
	case i.ChargingMode != marketplaceapi.ChargingOnDemand:
		return reject(marketplaceapi.RecordNotOnDemand, "the instance is charged %s, expected ON_DEMAND", i.ChargingMode)
	case !withSN && r.ProductID != i.ProductID:
		return reject(marketplaceapi.RecordInstanceNotFound, "product_id %.64q: the instance is of product %s", r.ProductID, i.ProductID)
	case i.Delisted:
		return reject(marketplaceapi.RecordProductDelisted, "the product was delisted")
	case !meterable(i.Status):
		return reject(marketplaceapi.RecordInstanceState, "the instance is %s", i.Status)
	case v.Begin.Before(i.CreateTime.Truncate(time.Second)):
		return reject(marketplaceapi.RecordTimeRange, "begin_time is before the instance was bought, at %s", i.CreateTime.UTC().Format(TimeFormat))
	}
	if r.RelatePkgInstance != "" {
		pkg, rejection, err := relation(r.RelatePkgInstance, v, facts)
		if err != nil || rejection.Code != "" {
			return Verdict{Rejection: rejection}, err
		}
		v.Package = pkg
	}
	if rejection, err := duplicate(r, withSN, v, facts); err != nil || rejection.Code != "" {
		return Verdict{Rejection: rejection}, err
	}
	v.Warnings = warnings(recorded, v.Begin, v.End, now)
	return v, nil
}

// meterable tells whether usage of an instance may still come in. What is frozen is not in use, but its last records may still be on
// their way.
func meterable(s sandboxapi.InstanceStatus) bool { return Pays(s) || s == sandboxapi.InstanceOpening }

// Pays tells whether a package of this status pays for usage. One that expired is frozen, and pays for what was used before.
func Pays(s sandboxapi.InstanceStatus) bool {
	return s == sandboxapi.InstanceReady || s == sandboxapi.InstanceFrozen
}

// relation judges the package that a record names. Which codes its faults have is not published; the nearest are taken.
func relation(id string, v Verdict, facts Facts) (*Package, Rejection, error) {
	reject := func(code Code, format string, args ...any) (*Package, Rejection, error) {
		return nil, Rejection{code, "relate_pkg_instance: " + fmt.Sprintf(format, args...)}, nil
	}
	i, found, err := facts.Instance(id)
	switch {
	case err != nil:
		return nil, Rejection{}, err
	case !found:
		return reject(marketplaceapi.RecordInstanceNotFound, "no instance has this id")
	case i.Foreign:
		return reject(marketplaceapi.RecordNotYourInstance, "the instance belongs to another ISV")
	case i.ChargingMode != marketplaceapi.ChargingPackage || i.Package == nil:
		return reject(marketplaceapi.RecordInstanceState, "the instance is charged %s, expected ON_DEMAND_PKG", i.ChargingMode)
	case i.Product != v.Instance.Product:
		return reject(marketplaceapi.RecordInstanceState, "the package is of product %s, the instance of %s", i.Product, v.Instance.Product)
	case i.Buyer != v.Instance.Buyer:
		return reject(marketplaceapi.RecordInstanceState, "the package is another buyer's")
	case !Pays(i.Status):
		return reject(marketplaceapi.RecordInstanceState, "the package is %s", i.Status)
	case !i.Package.Valid(v.Begin):
		return reject(marketplaceapi.RecordInstanceState, "begin_time is not within the time of the package, %s to %s",
			i.Package.From.UTC().Format(TimeFormat), i.Package.Until.UTC().Format(TimeFormat))
	case i.Package.StopWhenUsedUp && i.Package.Left().Sign() <= 0:
		return reject(marketplaceapi.RecordInstanceState, "the package is used up, which ended it")
	}
	return i.Package, Rejection{}, nil
}

// window reads the record's times.
func (v *Verdict) window(r Record, now time.Time) (recorded time.Time, _ Rejection) {
	var times [3]time.Time
	for i, f := range []struct{ name, value string }{
		{"record_time", r.RecordTime}, {"begin_time", r.BeginTime}, {"end_time", r.EndTime},
	} {
		t, err := time.Parse(TimeFormat, f.value)
		// time.Parse takes a fraction of a second even where the layout has none.
		if err != nil || len(f.value) != len(TimeFormat) {
			return recorded, Rejection{marketplaceapi.RecordTimeFormat, f.name + ": expected UTC as yyyyMMddTHHmmssZ"}
		}
		times[i] = t
	}
	recorded, v.Begin, v.End = times[0], times[1], times[2]
	switch {
	case !v.Begin.Before(v.End):
		return recorded, Rejection{marketplaceapi.RecordTimeRange, "begin_time is not before end_time"}
	case v.End.After(now.Add(clockSkew)):
		return recorded, Rejection{marketplaceapi.RecordTimeRange, "end_time is in the future; the marketplace's clock shows " + now.UTC().Format(TimeFormat)}
	case now.Sub(v.Begin) > MaxAge:
		return recorded, Rejection{marketplaceapi.RecordExpired, "begin_time is more than 21 days ago; the marketplace's clock shows " + now.UTC().Format(TimeFormat)}
	}
	return recorded, Rejection{}
}

func duplicate(r Record, withSN bool, v Verdict, facts Facts) (Rejection, error) {
	if withSN {
		used, err := facts.MeteringSNUsed(r.MeteringSN)
		if err != nil {
			return Rejection{}, err
		}
		if used {
			return Rejection{marketplaceapi.RecordMeteringSNDuplicate, "metering_sn was used before"}, nil
		}
	}
	used, err := facts.WindowUsed(v.Instance.LineID, r.BeginTime, r.EndTime)
	if err != nil {
		return Rejection{}, err
	}
	if used {
		return Rejection{marketplaceapi.RecordDuplicate, "the instance has a record of the same begin_time and end_time"}, nil
	}
	return Rejection{}, nil
}
