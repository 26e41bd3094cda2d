package sqlstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/isvkit/isvkit/sdk/usage"
)

// benchmarkBatch claims and settles a full batch of 1000 windows.
func benchmarkBatch(b *testing.B, store usage.Store) {
	b.Helper()
	hour := time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC)
	sn := 0
	for b.Loop() {
		b.StopTimer()
		for i := range 1000 {
			e := usage.Event{InstanceID: fmt.Sprint("i", i), Amount: usage.Whole(1), At: hour, Begin: hour, End: hour.Add(time.Hour), Due: hour}
			if _, err := store.Add(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		}
		hour = hour.Add(time.Hour)
		b.StartTimer()
		windows, err := store.Claim(b.Context(), usage.Claim{
			Now: hour, Until: hour.Add(time.Minute), Token: "t", Limit: 1000, NewSN: func() string { sn++; return fmt.Sprint("sn", sn) },
		})
		if err != nil || len(windows) != 1000 {
			b.Fatal(len(windows), err)
		}
		outcomes := make([]usage.Outcome, len(windows))
		for i, w := range windows {
			outcomes[i] = usage.Outcome{Window: w, Verdict: usage.Finish}
		}
		if err := store.Settle(b.Context(), "t", outcomes); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBatchSQLite(b *testing.B) { benchmarkBatch(b, sqliteStore(b)) }

func BenchmarkBatchPostgreSQL(b *testing.B) { benchmarkBatch(b, postgresStore(b, openPostgres(b))) }
