package usage_test

import (
	"errors"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/usage"
)

func TestParseAmount(t *testing.T) {
	for _, c := range []struct {
		text, want string
		err        error
	}{
		{text: "0", want: "0"},
		{text: "12", want: "12"},
		{text: "0012.50", want: "12.5"},
		{text: "0.0001", want: "0.0001"},
		{text: "99999999.9999", want: "99999999.9999"},
		{text: "922337203685477.5807", want: "922337203685477.5807"},
		{text: "922337203685477.5808", err: usage.ErrAmountTooLarge},
		{text: strings.Repeat("9", 400), err: usage.ErrAmountTooLarge},
		{text: "0.00001", err: usage.ErrTooManyDecimals},
		{text: "1.00000", err: usage.ErrTooManyDecimals},
		{text: "", err: usage.ErrInvalidAmount},
		{text: ".", err: usage.ErrInvalidAmount},
		{text: ".5", err: usage.ErrInvalidAmount},
		{text: "5.", err: usage.ErrInvalidAmount},
		{text: "-1", err: usage.ErrInvalidAmount},
		{text: "+1", err: usage.ErrInvalidAmount},
		{text: "1e3", err: usage.ErrInvalidAmount},
		{text: "1,5", err: usage.ErrInvalidAmount},
		{text: " 1", err: usage.ErrInvalidAmount},
		{text: "1.2.3", err: usage.ErrInvalidAmount},
		{text: "0x10", err: usage.ErrInvalidAmount},
		{text: "1_000", err: usage.ErrInvalidAmount},
		{text: "١", err: usage.ErrInvalidAmount},
		{text: "NaN", err: usage.ErrInvalidAmount},
	} {
		a, err := usage.ParseAmount(c.text)
		require.ErrorIs(t, err, c.err, c.text)
		if c.err == nil {
			require.Equal(t, c.want, a.String(), c.text)
		}
	}
	require.Panics(t, func() { usage.MustParseAmount("x") })
}

func TestAmount_Arithmetic(t *testing.T) {
	a, err := usage.MustParseAmount("0.1").Add(usage.MustParseAmount("0.2"))
	require.NoError(t, err)
	require.Equal(t, usage.MustParseAmount("0.3"), a)
	require.Equal(t, 0, a.Cmp(usage.FromUnits(3000)))
	require.Equal(t, -1, a.Cmp(usage.Whole(1)))
	require.Equal(t, "-0.0001", usage.FromUnits(-1).String())
	require.Equal(t, "-922337203685477.5808", usage.FromUnits(math.MinInt64).String())
	for _, c := range [][2]int64{{math.MaxInt64, 1}, {math.MinInt64, -1}, {math.MaxInt64, math.MaxInt64}} {
		_, err := usage.FromUnits(c[0]).Add(usage.FromUnits(c[1]))
		require.ErrorIs(t, err, usage.ErrAmountTooLarge, "%v", c)
	}
	for _, c := range [][3]int64{{math.MaxInt64, 0, math.MaxInt64}, {math.MinInt64, 0, math.MinInt64}, {math.MaxInt64, -1, math.MaxInt64 - 1}, {0, 0, 0}} {
		sum, err := usage.FromUnits(c[0]).Add(usage.FromUnits(c[1]))
		require.NoError(t, err, "%v", c)
		require.Equal(t, c[2], sum.Units())
	}
	require.Equal(t, int64(math.MaxInt64), usage.Whole(math.MaxInt64).Units())
	require.Equal(t, int64(math.MinInt64), usage.Whole(math.MinInt64).Units())
	text, err := usage.Whole(7).MarshalText()
	require.NoError(t, err)
	var back usage.Amount
	require.NoError(t, back.UnmarshalText(text))
	require.Equal(t, usage.Whole(7), back)
}

var amountForm = regexp.MustCompile(`^[0-9]+(\.[0-9]{1,4})?$`)

func FuzzParseAmount(f *testing.F) {
	for _, seed := range []string{"0", "1", "0.0001", "99999999.9999", "922337203685477.5807", "922337203685477.5808", "1.", ".1", "-1", "1e3", "00.10", "1.00000"} {
		f.Add(seed, "2.5")
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		a, err := usage.ParseAmount(text)
		exact := new(big.Rat)
		if amountForm.MatchString(text) {
			_, ok := exact.SetString(text)
			fits := new(big.Rat).Mul(exact, big.NewRat(10_000, 1)).Cmp(new(big.Rat).SetInt64(math.MaxInt64)) <= 0
			if !ok || fits != (err == nil) || !fits && !errors.Is(err, usage.ErrAmountTooLarge) {
				t.Fatalf("%q: %v, %v", text, a, err)
			}
		} else if err == nil {
			t.Fatalf("%q is no amount and was read as %v", text, a)
		}
		if err != nil {
			return
		}
		if new(big.Rat).SetFrac64(a.Units(), 10_000).Cmp(exact) != 0 {
			t.Fatalf("%q was read as %v", text, a)
		}
		if back, err := usage.ParseAmount(a.String()); err != nil || back != a || !amountForm.MatchString(a.String()) {
			t.Fatalf("%q was written as %q, which is read as %v, %v", text, a.String(), back, err)
		}
		b, err := usage.ParseAmount(other)
		if err != nil {
			return
		}
		want := new(big.Int).Add(big.NewInt(a.Units()), big.NewInt(b.Units()))
		sum, err := a.Add(b)
		if want.IsInt64() != (err == nil) || err == nil && sum.Units() != want.Int64() {
			t.Fatalf("%v + %v = %v, %v", a, b, sum, err)
		}
	})
}
