package order

import (
	"fmt"
	"math/big"
	"strings"
)

// Amount is money, exact. The zero value is nothing.
type Amount struct{ r big.Rat }

// ParseAmount reads a decimal number such as 0.02.
func ParseAmount(s string) (a Amount, err error) {
	if _, ok := a.r.SetString(s); !ok || strings.ContainsAny(s, "/eEpPxX_") {
		return Amount{}, fmt.Errorf("amount %q: expected a decimal number such as 99.5", s)
	}
	return a, nil
}

// Times multiplies.
func (a Amount) Times(n int) (p Amount) {
	p.r.Mul(&a.r, new(big.Rat).SetInt64(int64(n)))
	return p
}

// Less takes off a discount in percent.
func (a Amount) Less(percent int) (p Amount) {
	p.r.Mul(&a.r, big.NewRat(int64(100-percent), 100))
	return p
}

// Negative is the amount that gives this one back.
func (a Amount) Negative() (p Amount) {
	p.r.Neg(&a.r)
	return p
}

// String writes it with at most two decimals, halves rounded away from zero, and no zeros behind: 100, 99.5, 0.02, -7.
func (a Amount) String() string {
	s := strings.TrimSuffix(strings.TrimRight(a.r.FloatString(2), "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}
