package usage

import (
	"fmt"
	"time"
)

// beijing is where a billing day begins, wherever the sandbox runs.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// MaxPackages is how many packages of usage one order may have, each an instance of its own (guide).
const MaxPackages = 30

// DayFormat is how billing days are written.
const DayFormat = "2006-01-02"

// DayOf is the billing day of a record: the day in Beijing in which its metered time begins. A record that reaches over midnight
// is not split (ours; nothing is published).
func DayOf(begin time.Time) string { return begin.In(beijing).Format(DayFormat) }

// Package is a package of usage that was bought in advance.
type Package struct {
	LineID         string // the order line that created it
	Amount         Decimal
	Used           Decimal
	From, Until    time.Time // valid for usage that begins in this time; a zero Until is no end
	StopWhenUsedUp bool      // it ends when it is used up; otherwise what exceeds it is charged by usage
}

// Valid tells whether usage that begins at this time may be taken from the package. Whether it arrives later does not matter.
func (p Package) Valid(begin time.Time) bool {
	return !begin.Before(p.From.Truncate(time.Second)) && (p.Until.IsZero() || !begin.After(p.Until))
}

// Left is what is left of the package.
func (p Package) Left() Decimal { return p.Amount.Sub(p.Used) }

// Deduction is what a record takes from a package.
type Deduction struct {
	LineID string
	Amount Decimal
	UsedUp bool // nothing is left of the package
}

// Entry is what a record comes to. Usage is the sum of the deductions, of Charged and of Unpaid.
type Entry struct {
	Day        string
	Usage      Decimal
	Deductions []Deduction
	Charged    Decimal // charged by usage
	Unpaid     Decimal // beyond a package that stops when used up: nobody pays for it
	Price      Decimal // of a unit
	Amount     Decimal // of money, Charged times Price
}

// Deducted is the sum of the deductions.
func (e Entry) Deducted() (sum Decimal) {
	for _, d := range e.Deductions {
		sum = sum.Add(d.Amount)
	}
	return sum
}

// Enter takes a record's usage from the packages, one after the other as they stand there, and charges the rest. Records are
// entered in the order in which they arrive, and an entry is never changed afterwards: the guide calls it irreversible once
// billed.
func Enter(value Decimal, begin time.Time, price Decimal, packages []Package) Entry {
	e := Entry{Day: DayOf(begin), Usage: value, Price: price}
	rest, stops := value, false
	for _, p := range packages {
		if !p.Valid(begin) {
			continue
		}
		stops = stops || p.StopWhenUsedUp
		taken := rest.Min(p.Left())
		if taken.Sign() <= 0 {
			continue
		}
		rest = rest.Sub(taken)
		e.Deductions = append(e.Deductions, Deduction{
			LineID: p.LineID, Amount: taken, UsedUp: taken.Cmp(p.Left()) == 0,
		})
	}
	if stops {
		e.Unpaid = rest
	} else {
		e.Charged = rest
	}
	e.Amount = e.Charged.Mul(price)
	return e
}

// Bill is what an instance's usage of one day comes to. A day has one bill for each price that was valid on it.
type Bill struct {
	LineID   string
	Day      string
	Price    Decimal
	Records  int
	Usage    Decimal
	Deducted Decimal
	Unpaid   Decimal
	Charged  Decimal
	Amount   Decimal
}

// Add adds an entry to the bill of its day.
func (b *Bill) Add(e Entry) {
	b.Records++
	b.Usage = b.Usage.Add(e.Usage)
	b.Deducted = b.Deducted.Add(e.Deducted())
	b.Unpaid = b.Unpaid.Add(e.Unpaid)
	b.Charged = b.Charged.Add(e.Charged)
	b.Amount = b.Amount.Add(e.Amount)
}

const (
	// latest is how late hourly billing takes usage: it collects a quarter after the hour, and at the latest two hours after.
	latest = 2 * time.Hour
	// nightly is when daily billing collects, after midnight in Beijing.
	nightly = time.Hour
)

// warnings tells a seller what the guides advise against without refusing it: such a record counts, but may slip into a later bill.
func warnings(recorded, begin, end, now time.Time) (found []string) {
	switch length := end.Sub(begin); {
	case length > 24*time.Hour:
		found = append(found, "the metered time is longer than a day; billing collects at least daily")
	case length > time.Hour:
		// Usage of a whole day, for daily billing: due at 01:00 of the day after the one in which it ends.
		year, month, day := end.Add(-time.Second).In(beijing).Date()
		due := time.Date(year, month, day+1, 0, 0, 0, 0, beijing).Add(nightly)
		if now.After(due) {
			found = append(found, fmt.Sprintf("daily usage came after %s, when daily billing collects; it slips into the next bill", due.UTC().Format(TimeFormat)))
		}
	case now.Sub(end) > latest:
		found = append(found, "the record came more than 2 hours after its end_time; hourly billing takes it into a later bill")
	}
	if recorded.Before(end) {
		found = append(found, "record_time is before end_time; usage is recorded when it is over")
	}
	return found
}
