package market

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Date is a calendar day, written 2006-01-02. The empty one is none.
type Date string

// DateFormat is how dates are written.
const DateFormat = "2006-01-02"

// DateOf is the day in which the time lies, in that place.
func DateOf(t time.Time, in *time.Location) Date { return Date(t.In(in).Format(DateFormat)) }

// Start is the midnight with which the day begins. The empty date, and one that is none, give the zero time.
func (d Date) Start(in *time.Location) time.Time {
	t, err := time.ParseInLocation(DateFormat, string(d), in)
	if err != nil {
		return time.Time{}
	}
	return t
}

// End is the midnight with which the day ends.
func (d Date) End(in *time.Location) time.Time {
	start := d.Start(in)
	if start.IsZero() {
		return start
	}
	return start.AddDate(0, 0, 1)
}

// Holds tells whether the day lies in the dates.
func (d Dates) Holds(day Date) bool {
	return (d.From == "" || day >= d.From) && (d.Through == "" || day <= d.Through)
}

// Units of a period.
const (
	Hours        = "hours"
	CalendarDays = "days"
	WorkingDays  = "working days"
	Months       = "months"
	Years        = "years"
)

// Period is a length of time as rules state it, such as "7 working days".
type Period struct {
	N    int
	Unit string
}

// maxPeriod keeps a calendar from counting for ever.
const maxPeriod = 10000

// ParsePeriod reads "3 hours", "1 day", "7 working days", "3 months" or "1 year".
func ParsePeriod(text string) (Period, error) {
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	if !strings.HasSuffix(unit, "s") {
		unit += "s"
	}
	switch unit {
	case Hours, CalendarDays, WorkingDays, Months, Years:
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || n < 0 || n > maxPeriod {
		return Period{}, fmt.Errorf("%q is no period, expected a number and hours, days, working days, months or years, such as %q", text, "7 working days")
	}
	return Period{N: n, Unit: unit}, nil
}

// UnmarshalText is ParsePeriod.
func (p *Period) UnmarshalText(text []byte) error {
	parsed, err := ParsePeriod(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// MarshalText is String.
func (p Period) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String is the period as documents write it.
func (p Period) String() string {
	unit := p.Unit
	if p.N == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	return strconv.Itoa(p.N) + " " + unit
}

// Rate is a part of an amount, written as a percentage. Part is 0.1 for 10%.
type Rate struct{ Part decimal.Decimal }

// UnmarshalText reads "10%" or "12.5%".
func (r *Rate) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	d, err := decimal.NewFromString(number)
	if !ok || err != nil {
		return fmt.Errorf("%q is no rate, expected a percentage such as %q", text, "10%")
	}
	r.Part = d.Shift(-2)
	return nil
}

// MarshalText is String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String is the rate as documents write it.
func (r Rate) String() string { return r.Part.Shift(2).String() + "%" }
