package usage_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

func TestDayOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, "2026-05-20", usage.DayOf(time.Date(2026, 5, 20, 15, 59, 59, 0, time.UTC)))
	require.Equal(t, "2026-05-21", usage.DayOf(time.Date(2026, 5, 20, 16, 0, 0, 0, time.UTC)), "midnight in Beijing")
}

func TestEnter(t *testing.T) {
	t.Parallel()
	from, until := now.Add(-time.Hour), now.Add(time.Hour)
	pkg := func(line, amount, used string, stop bool) usage.Package {
		return usage.Package{LineID: line, Amount: decimal(t, amount), Used: decimal(t, used), From: from, Until: until, StopWhenUsedUp: stop}
	}
	for name, tc := range map[string]struct {
		value    string
		at       time.Time
		packages []usage.Package
		want     string // deductions, charged, unpaid, money
	}{
		"no package":            {"12.5", now, nil, "[] 12.5 0 3.125"},
		"all from one":          {"10", now, []usage.Package{pkg("a", "100", "20", false)}, "[a:10] 0 0 0"},
		"the last of one":       {"10", now, []usage.Package{pkg("a", "30", "20", false)}, "[a:10!] 0 0 0"},
		"more than one has":     {"10", now, []usage.Package{pkg("a", "25.5", "20", false)}, "[a:5.5!] 4.5 0 1.125"},
		"over two":              {"10", now, []usage.Package{pkg("a", "25", "20", false), pkg("b", "100", "0", false)}, "[a:5! b:5] 0 0 0"},
		"one that is used up":   {"10", now, []usage.Package{pkg("a", "20", "20", false), pkg("b", "3", "0", false)}, "[b:3!] 7 0 1.75"},
		"stops, not used up":    {"10", now, []usage.Package{pkg("a", "30.0001", "20", true)}, "[a:10] 0 0 0"},
		"stops, just used up":   {"10", now, []usage.Package{pkg("a", "30", "20", true)}, "[a:10!] 0 0 0"},
		"stops, exceeded":       {"10", now, []usage.Package{pkg("a", "25", "20", true)}, "[a:5!] 0 5 0"},
		"at its first second":   {"10", from, []usage.Package{pkg("a", "25", "0", false)}, "[a:10] 0 0 0"},
		"before it":             {"10", from.Add(-time.Second), []usage.Package{pkg("a", "25", "0", false)}, "[] 10 0 2.5"},
		"at its last second":    {"10", until, []usage.Package{pkg("a", "25", "0", false)}, "[a:10] 0 0 0"},
		"after it":              {"10", until.Add(time.Second), []usage.Package{pkg("a", "25", "0", false)}, "[] 10 0 2.5"},
		"the smallest":          {"0.0001", now, nil, "[] 0.0001 0 0.000025"},
		"as much as is allowed": {"999999999999999.9999", now, nil, "[] 999999999999999.9999 0 249999999999999.999975"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := usage.Enter(decimal(t, tc.value), tc.at, decimal(t, "0.25"), tc.packages)
			deductions := []string{}
			for _, d := range e.Deductions {
				text := d.LineID + ":" + d.Amount.String()
				if d.UsedUp {
					text += "!"
				}
				deductions = append(deductions, text)
			}
			require.Equal(t, tc.want, fmt.Sprint(deductions, e.Charged, e.Unpaid, e.Amount))
			require.Zero(t, e.Usage.Cmp(e.Deducted().Add(e.Charged).Add(e.Unpaid)), "nothing is lost")
		})
	}
}

// TestEnter_OrderOfArrival: whatever the order in which records arrive, the usage of each day is the same, and so is what packages
// that are valid all the time pay in all, and with one price the money. Which day the packages pay for is first come, first served.
func TestEnter_OrderOfArrival(t *testing.T) {
	t.Parallel()
	type record struct {
		value usage.Decimal
		begin time.Time
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1)) // it must be repeatable
		records := make([]record, 40)
		for i := range records {
			records[i] = record{decimal(t, fmt.Sprintf("%d.%04d", random.IntN(20), 1+random.IntN(9999))), now.Add(time.Duration(random.IntN(96)) * time.Hour)}
		}
		amounts := []usage.Decimal{usage.Whole(random.IntN(100)), usage.Whole(random.IntN(200))}
		run := func() (days map[string]string, deducted, charged, money string) {
			packages := []usage.Package{{LineID: "0", Amount: amounts[0]}, {LineID: "1", Amount: amounts[1]}}
			bills, all := map[string]*usage.Bill{}, usage.Bill{}
			for _, r := range records {
				e := usage.Enter(r.value, r.begin, decimal(t, "0.07"), packages)
				for _, d := range e.Deductions {
					p := &packages[d.LineID[0]-'0']
					p.Used = p.Used.Add(d.Amount)
					require.GreaterOrEqual(t, p.Left().Sign(), 0, "a package is never overdrawn")
				}
				if bills[e.Day] == nil {
					bills[e.Day] = &usage.Bill{}
				}
				bills[e.Day].Add(e)
				all.Add(e)
			}
			days = map[string]string{}
			var sum usage.Decimal
			for day, b := range bills {
				days[day] = b.Usage.String()
				sum = sum.Add(b.Amount)
				require.Zero(t, b.Usage.Cmp(b.Deducted.Add(b.Charged)))
				require.Zero(t, b.Amount.Cmp(b.Charged.Mul(decimal(t, "0.07"))))
			}
			require.Zero(t, sum.Cmp(all.Amount))
			return days, all.Deducted.String(), all.Charged.String(), all.Amount.String()
		}
		days, deducted, charged, money := run()
		random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		days2, deducted2, charged2, money2 := run()
		require.Equal(t, []any{days, deducted, charged, money}, []any{days2, deducted2, charged2, money2}, "seed %d", seed)
	}
}
