package usage

import (
	"fmt"
	"math/big"
	"regexp"
)

// Decimal is an exact decimal number: an amount of usage, or money. The zero value is 0. A Decimal never changes.
type Decimal struct{ rat *big.Rat }

var decimalForm = regexp.MustCompile(`^-?[0-9]{1,40}(\.[0-9]{1,40})?$`)

// ParseDecimal reads digits with an optional point, such as 12 or 0.0375. There is no exponent, and no limit that usage or money
// could reach.
func ParseDecimal(s string) (Decimal, error) {
	if !decimalForm.MatchString(s) {
		return Decimal{}, fmt.Errorf("%.50q: expected a decimal number such as 12 or 0.0375", s)
	}
	rat, ok := new(big.Rat).SetString(s)
	if !ok {
		return Decimal{}, fmt.Errorf("%.50q: expected a decimal number such as 12 or 0.0375", s)
	}
	return Decimal{rat}, nil
}

// Whole gives n as a decimal.
func Whole(n int) Decimal { return Decimal{new(big.Rat).SetInt64(int64(n))} }

func (d Decimal) value() *big.Rat {
	if d.rat == nil {
		return new(big.Rat)
	}
	return d.rat
}

// Add gives d + e.
func (d Decimal) Add(e Decimal) Decimal { return Decimal{new(big.Rat).Add(d.value(), e.value())} }

// Sub gives d − e.
func (d Decimal) Sub(e Decimal) Decimal { return Decimal{new(big.Rat).Sub(d.value(), e.value())} }

// Mul gives d · e.
func (d Decimal) Mul(e Decimal) Decimal { return Decimal{new(big.Rat).Mul(d.value(), e.value())} }

// Cmp is -1, 0 or 1 for d less than, equal to or more than e.
func (d Decimal) Cmp(e Decimal) int { return d.value().Cmp(e.value()) }

// Sign is -1, 0 or 1 for d below, equal to or above 0.
func (d Decimal) Sign() int { return d.value().Sign() }

// Min gives the smaller of the two.
func (d Decimal) Min(e Decimal) Decimal {
	if d.Cmp(e) <= 0 {
		return d
	}
	return e
}

// String writes the number with as many decimals as it needs.
func (d Decimal) String() string {
	// Decimals are made of decimals by addition and multiplication only, so the expansion always ends.
	places, _ := d.value().FloatPrec()
	return d.value().FloatString(places)
}
