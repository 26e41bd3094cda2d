package usage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

func decimal(t *testing.T, s string) usage.Decimal {
	t.Helper()
	d, err := usage.ParseDecimal(s)
	require.NoError(t, err)
	return d
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	var zero usage.Decimal
	require.Equal(t, "0", zero.String())
	require.Equal(t, "0.3", decimal(t, "0.1").Add(decimal(t, "0.2")).String(), "no float was used")
	require.Equal(t, "-0.1", decimal(t, "0.1").Sub(decimal(t, "0.2")).String())
	require.Equal(t, "0.00000001", decimal(t, "0.0001").Mul(decimal(t, "0.0001")).String())
	require.Equal(t, "999999999999999.9999", decimal(t, "999999999999999.9999").Add(zero).String())
	require.Equal(t, "12", decimal(t, "0012.0000").String())
	require.Equal(t, "1", decimal(t, "2").Min(usage.Whole(1)).String())
	require.Equal(t, -1, decimal(t, "-3").Sign())
	require.Zero(t, decimal(t, "1.50").Cmp(decimal(t, "1.5")))
	for _, bad := range []string{"", ".", "1.", ".5", "1e3", "+1", "0x1", "1/3", "1_000", " 1", "NaN", "Inf"} {
		_, err := usage.ParseDecimal(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseDecimal(f *testing.F) {
	f.Add("12.5")
	f.Add("-0.0000")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := usage.ParseDecimal(s)
		if err != nil {
			return
		}
		again, err := usage.ParseDecimal(d.String())
		require.NoError(t, err)
		require.Zero(t, d.Cmp(again))
	})
}
