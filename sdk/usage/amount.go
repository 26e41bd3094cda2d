package usage

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	decimals  = 4
	unitCount = 10_000 // units in 1

	// MaxUnits is the largest amount that one usage record can carry, in units of 0.0001: 99999999.9999, which is twelve digits of
	// which four are decimals.
	MaxUnits = 999_999_999_999
)

// Amount is an exact decimal number with four decimals. The zero value is 0. Amounts can be compared with ==.
type Amount struct{ units int64 }

// ParseAmount reads a plain decimal number, such as 12 or 0.0375: digits, and at most four decimals after a dot. No sign, no
// exponent, no spaces. The errors are [ErrInvalidAmount], [ErrTooManyDecimals] and [ErrAmountTooLarge].
func ParseAmount(text string) (Amount, error) {
	whole, part, dotted := strings.Cut(text, ".")
	switch {
	case whole == "" || dotted && part == "" || !digits(whole) || !digits(part):
		return Amount{}, fmt.Errorf("%w: %s: expected a number such as 12 or 0.0375", ErrInvalidAmount, quote(text))
	case len(part) > decimals:
		return Amount{}, fmt.Errorf("%w: %s: expected at most %d", ErrTooManyDecimals, quote(text), decimals)
	}
	units, err := strconv.ParseInt(whole+part+strings.Repeat("0", decimals-len(part)), 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: %s", ErrAmountTooLarge, quote(text))
	}
	return Amount{units}, nil
}

// MustParseAmount is [ParseAmount] for constants: it panics where ParseAmount returns an error.
func MustParseAmount(text string) Amount {
	a, err := ParseAmount(text)
	if err != nil {
		panic(err)
	}
	return a
}

// Whole returns n as an amount. An n that does not fit becomes the nearest amount that does; [Reporter.Record] refuses it.
func Whole(n int64) Amount {
	switch {
	case n > math.MaxInt64/unitCount:
		return Amount{math.MaxInt64}
	case n < math.MinInt64/unitCount:
		return Amount{math.MinInt64}
	}
	return Amount{n * unitCount}
}

// FromUnits returns the amount of n times 0.0001. It is how a [Store] reads what it wrote.
func FromUnits(n int64) Amount { return Amount{n} }

// Units returns the amount in units of 0.0001.
func (a Amount) Units() int64 { return a.units }

// Add returns a + b, or [ErrAmountTooLarge].
func (a Amount) Add(b Amount) (Amount, error) {
	sum := a.units + b.units
	if (sum > a.units) != (b.units > 0) {
		return Amount{}, fmt.Errorf("%w: %v + %v", ErrAmountTooLarge, a, b)
	}
	return Amount{sum}, nil
}

// Cmp returns -1, 0 or 1 for a less than, equal to or more than b.
func (a Amount) Cmp(b Amount) int { return cmp.Compare(a.units, b.units) }

// String writes the amount with as many decimals as it needs, the way usage_value wants it.
func (a Amount) String() string {
	magnitude, sign := uint64(a.units), "" //nolint:gosec // the negative ones are turned in the next line
	if a.units < 0 {
		magnitude, sign = -magnitude, "-"
	}
	text := sign + strconv.FormatUint(magnitude/unitCount, 10)
	if part := magnitude % unitCount; part != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%0*d", decimals, part), "0")
	}
	return text
}

// MarshalText writes what String returns.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what [ParseAmount] reads.
func (a *Amount) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAmount(string(text))
	return err
}

func digits(text string) bool { return strings.Trim(text, "0123456789") == "" }

func quote(text string) string {
	const most = 32
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.QuoteToASCII(text)
}
