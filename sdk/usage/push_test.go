package usage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/usage"
)

var hour = time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC)

// bench is a Reporter with everything around it in the test's hands.
type bench struct {
	*usage.Reporter
	t        *testing.T
	now      time.Time
	pushes   [][]marketplaceapi.UsageRecord
	answer   func(records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) // nil: all accepted
	rejected []usage.Window
}

func (b *bench) PushUsage(_ context.Context, records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	b.pushes = append(b.pushes, records)
	if b.answer == nil {
		return &marketplace.PushResult{Accepted: len(records)}, nil
	}
	return b.answer(records)
}

func newBench(t *testing.T, change ...func(*usage.Config)) *bench {
	t.Helper()
	b := &bench{t: t, now: hour}
	cfg := usage.Config{
		Store: usage.NewMemoryStore(), Pusher: b, Now: func() time.Time { return b.now }, PushAfter: 5 * time.Minute,
		Rand: rand.NewChaCha8([32]byte{1}), Logger: slog.New(slog.DiscardHandler),
		OnRejected: func(_ context.Context, r usage.Rejection) { b.rejected = append(b.rejected, r.Window) },
	}
	for _, f := range change {
		f(&cfg)
	}
	r, err := usage.New(cfg)
	require.NoError(t, err)
	b.Reporter = r
	return b
}

func (b *bench) record(instance, amount string, at time.Time, opts ...usage.Option) {
	b.t.Helper()
	require.NoError(b.t, b.Record(b.t.Context(), instance, usage.MustParseAmount(amount), at, opts...))
}

func (b *bench) flush() {
	b.t.Helper()
	require.NoError(b.t, b.Flush(b.t.Context()))
}

func (b *bench) windows(state usage.State) []usage.Window {
	b.t.Helper()
	w, err := b.Inspect(b.t.Context(), usage.Filter{State: state, Limit: 5000})
	require.NoError(b.t, err)
	return w
}

// refuse answers a push with a code for each record.
func refuse(code marketplaceapi.AbnormalUsageRecordErrorCode) func([]marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	return func(records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
		res := &marketplace.PushResult{}
		for i, r := range records {
			res.Rejected = append(res.Rejected, marketplace.Rejected{Index: i, Record: r, Code: code, Message: "said\x00so"})
		}
		return res, nil
	}
}

func fail(err error) func([]marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	return func([]marketplaceapi.UsageRecord) (*marketplace.PushResult, error) { return nil, err }
}

func TestReporter_PushesAWindowWhenItIsDue(t *testing.T) {
	b := newBench(t)
	b.record("i", "1.5", hour)
	b.now = hour.Add(59 * time.Minute)
	b.record("i", "0.25", hour.Add(59*time.Minute+59*time.Second))
	b.record("i", "9", hour.Add(time.Minute), usage.Package("pkg"))
	b.now = hour.Add(65*time.Minute - time.Nanosecond)
	b.flush()
	require.Empty(t, b.pushes)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	require.Len(t, b.pushes, 1)
	require.Len(t, b.pushes[0], 2)
	first, second := b.pushes[0][0], b.pushes[0][1]
	require.Equal(t, marketplaceapi.UsageRecord{
		InstanceID: "i", BeginTime: "20260304T080000Z", EndTime: "20260304T090000Z", RecordTime: "20260304T090500Z", UsageValue: "1.75", MeteringSN: first.MeteringSN,
	}, first)
	require.Len(t, first.MeteringSN, 32)
	require.Equal(t, "pkg", second.RelatePkgInstance)
	require.Equal(t, "20260304T080001Z", second.BeginTime, "an instance has no two records of the same begin and end")
	b.flush()
	require.Len(t, b.pushes, 1)
	p, err := b.Pending(t.Context())
	require.NoError(t, err)
	require.Equal(t, usage.Count{Windows: 2, Amount: usage.MustParseAmount("10.75")}, p.Done)
	require.Zero(t, p.Open.Windows+p.Sealed.Windows+p.Rejected.Windows)
	require.Equal(t, usage.Metrics{Recorded: 3, Pushes: 1, Accepted: 2}, b.Metrics())
}

func TestReporter_PushAfterIsAMinuteTheMarketplaceWants(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 64 {
		b := newBench(t, func(c *usage.Config) { c.PushAfter, c.Rand = 0, rand.NewChaCha8([32]byte{byte(i)}) })
		b.record("i", "1", hour)
		after := b.windows(usage.Open)[0].Due.Sub(hour.Add(time.Hour))
		require.GreaterOrEqual(t, after, time.Minute)
		require.LessOrEqual(t, after, 12*time.Minute)
		seen[after] = true
	}
	require.Greater(t, len(seen), 40)
	b := newBench(t, func(c *usage.Config) { c.PushAfter = -1 })
	b.record("i", "1", hour)
	require.Equal(t, hour.Add(time.Hour), b.windows(usage.Open)[0].Due)
}

func TestReporter_RecordRefuses(t *testing.T) {
	b := newBench(t)
	long := string(bytes.Repeat([]byte("x"), 65))
	for _, c := range []struct {
		name, instance, amount string
		at                     time.Time
		opts                   []usage.Option
		want                   error
	}{
		{name: "zero", instance: "i", amount: "0", at: hour, want: usage.ErrAmountNotPositive},
		{name: "13 digits", instance: "i", amount: "100000000", at: hour, want: usage.ErrAmountTooLarge},
		{name: "12 digits", instance: "i", amount: "99999999.9999", at: hour},
		{name: "21 days", instance: "i", amount: "1", at: hour.Add(-21 * 24 * time.Hour)},
		{name: "window of 21 days and an hour ago", instance: "i", amount: "1", at: hour.Add(-21*24*time.Hour - time.Nanosecond), want: usage.ErrTooOld},
		{name: "no time", instance: "i", amount: "1", want: usage.ErrTooOld},
		{name: "5 minutes ahead", instance: "i", amount: "1", at: hour.Add(5 * time.Minute)},
		{name: "more than 5 minutes ahead", instance: "i", amount: "1", at: hour.Add(5*time.Minute + 1), want: usage.ErrInFuture},
		{name: "no instance", amount: "1", at: hour, want: usage.ErrInvalidID},
		{name: "long instance", instance: long, amount: "1", at: hour, want: usage.ErrInvalidID},
		{name: "64 characters", instance: "实" + long[:63], amount: "1", at: hour},
		{name: "no UTF-8", instance: "\xff", amount: "1", at: hour, want: usage.ErrInvalidID},
		{name: "NUL", instance: "a\x00", amount: "1", at: hour, want: usage.ErrInvalidID},
		{name: "long package", instance: "i", amount: "1", at: hour, opts: []usage.Option{usage.Package(long)}, want: usage.ErrInvalidID},
		{name: "long id", instance: "i", amount: "1", at: hour, opts: []usage.Option{usage.ID(long + long)}, want: usage.ErrInvalidID},
	} {
		err := b.Record(t.Context(), c.instance, usage.MustParseAmount(c.amount), c.at, c.opts...)
		require.ErrorIs(t, err, c.want, c.name)
		if c.want == nil {
			require.NoError(t, err, c.name)
		}
	}
	require.ErrorIs(t, b.Record(t.Context(), "i", usage.FromUnits(-1), hour), usage.ErrAmountNotPositive)
	b.record("i", "1", hour, usage.ID("a"))
	b.record("i", "1", hour, usage.ID("a"))
	require.ErrorIs(t, b.Record(t.Context(), "i", usage.Whole(2), hour, usage.ID("a")), usage.ErrConflictingID)
	require.Equal(t, uint64(1), b.Metrics().Repeated)
}

func TestReporter_WindowBoundaries(t *testing.T) {
	beijing := time.FixedZone("Beijing", 8*3600)
	for _, c := range []struct {
		window     time.Duration
		at         time.Time
		begin, end string
	}{
		{time.Hour, hour, "08:00:00", "09:00:00"},
		{time.Hour, hour.Add(-time.Nanosecond), "07:00:00", "08:00:00"},
		{time.Hour, hour.In(beijing).Add(time.Minute), "08:00:00", "09:00:00"},
		{time.Hour, hour.In(time.FixedZone("India", 19800)).Add(45 * time.Minute), "08:00:00", "09:00:00"},
		{24 * time.Hour, hour.In(beijing), "00:00:00", "00:00:00"},
		{15 * time.Minute, hour.Add(-time.Minute), "07:45:00", "08:00:00"},
		{10 * time.Second, hour.Add(19999 * time.Millisecond), "08:00:10", "08:00:20"},
	} {
		b := newBench(t, func(cfg *usage.Config) { cfg.Window = c.window })
		b.now = hour.Add(time.Hour)
		b.record("i", "1", c.at)
		w := b.windows(usage.Open)[0]
		require.Equal(t, c.begin+" "+c.end, w.Begin.Format(time.TimeOnly)+" "+w.End.Format(time.TimeOnly), "%v %v", c.window, c.at)
	}
}

func TestReporter_BatchesOf1000(t *testing.T) {
	b := newBench(t)
	for i := range 2001 {
		b.record(fmt.Sprint("i", i), "1", hour)
	}
	b.now = hour.Add(2 * time.Hour)
	b.flush()
	require.Len(t, b.pushes, 3)
	require.Equal(t, []int{1000, 1000, 1}, []int{len(b.pushes[0]), len(b.pushes[1]), len(b.pushes[2])})
	seen := map[string]bool{}
	for _, push := range b.pushes {
		for _, r := range push {
			require.False(t, seen[r.MeteringSN] || seen[r.InstanceID])
			seen[r.MeteringSN], seen[r.InstanceID] = true, true
		}
	}
}

func TestReporter_LateUsageGetsAWindowOfItsOwn(t *testing.T) {
	b := newBench(t)
	b.record("i", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	b.record("i", "2", hour.Add(time.Minute))
	b.record("i", "3", hour.Add(30*time.Minute))
	b.flush()
	require.Len(t, b.pushes, 1, "late usage is gathered until the next turn")
	b.now = hour.Add(125 * time.Minute)
	b.flush()
	require.Len(t, b.pushes, 2)
	require.Len(t, b.pushes[1], 1)
	late := b.pushes[1][0]
	require.Equal(t, "20260304T080001Z 20260304T090000Z 5", late.BeginTime+" "+late.EndTime+" "+late.UsageValue)
	// In the last hour of the 21 days there is no time to gather.
	b.now = hour.Add(21*24*time.Hour - time.Minute)
	b.record("i", "4", hour)
	b.flush()
	require.Len(t, b.pushes, 3)
	require.Equal(t, "20260304T080002Z", b.pushes[2][0].BeginTime)
}

func TestReporter_FirstWindowBeginsWithTheFirstUsage(t *testing.T) {
	b := newBench(t)
	b.now = hour.Add(21 * time.Minute)
	b.record("i", "1", hour.Add(20*time.Minute+500*time.Millisecond))
	b.now = hour.Add(70 * time.Minute)
	b.flush()
	require.Equal(t, "20260304T082000Z", b.pushes[0][0].BeginTime, "a record that begins before its instance is refused")
}

func TestReporter_Codes(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		code marketplaceapi.AbnormalUsageRecordErrorCode
		want usage.State
		last time.Duration // that it is pushed for, if it is pushed again
	}{
		{"001", usage.Sealed, day},
		{"002", usage.Rejected, 0},
		{"003", usage.Rejected, 0},
		{"004", usage.Rejected, 0},
		{"005", usage.Done, 0},
		{"006", usage.Sealed, 21 * day},
		{"007", usage.Rejected, 0},
		{"008", usage.Sealed, day},
		{"009", usage.Rejected, 0},
		{"011", usage.Sealed, time.Hour},
		{"012", usage.Rejected, 0},
		{"013", usage.Sealed, 21 * day},
		{"", usage.Sealed, day},
	} {
		t.Run("code "+string(c.code), func(t *testing.T) {
			b := newBench(t)
			b.answer = refuse(c.code)
			b.record("i", "1", hour)
			b.now = hour.Add(65 * time.Minute)
			sealed := b.now
			b.flush()
			w := b.windows("")[0]
			require.Equal(t, c.want, w.State)
			require.Equal(t, c.code, w.Code)
			require.Equal(t, "said so", w.Message)
			require.Len(t, b.pushes, 1)
			if c.want != usage.Sealed {
				b.now = b.now.Add(day)
				b.flush()
				require.Len(t, b.pushes, 1)
				require.Equal(t, c.want == usage.Rejected, len(b.rejected) == 1)
				return
			}
			require.Empty(t, b.rejected)
			for b.windows("")[0].State == usage.Sealed {
				b.now = b.windows("")[0].Due
				b.flush()
				require.Less(t, len(b.pushes), 5000)
			}
			for _, push := range b.pushes {
				require.Equal(t, b.pushes[0], push, "the record stays the same")
			}
			require.Len(t, b.rejected, 1)
			require.False(t, b.rejected[0].Unsure)
			require.InDelta(t, min(c.last, 21*day-65*time.Minute).Hours(), b.now.Sub(sealed).Hours(), 0.3)
		})
	}
}

func TestReporter_HealsAfterAWhile(t *testing.T) {
	b := newBench(t)
	b.answer = refuse("001")
	b.record("i", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	b.now = b.now.Add(9 * time.Second)
	b.flush()
	require.Len(t, b.pushes, 1, "RetryWaitMin is 10 s")
	b.answer = nil
	b.now = b.now.Add(time.Second)
	b.flush()
	require.Equal(t, b.pushes[0], b.pushes[1])
	require.Len(t, b.windows(usage.Done), 1)
}

// lost is a push whose answer is lost.
var errLost = errors.New("connection reset")

func TestReporter_UnknownOutcomeIsPushedAgainUnchanged(t *testing.T) {
	for _, code := range []marketplaceapi.AbnormalUsageRecordErrorCode{"005", "010"} {
		b := newBench(t)
		b.answer = fail(errLost)
		b.record("i", "1", hour)
		b.now = hour.Add(65 * time.Minute)
		require.ErrorIs(t, b.Flush(t.Context()), errLost)
		require.True(t, b.windows(usage.Sealed)[0].Unsure)
		b.answer = refuse(code)
		b.now = b.now.Add(10 * time.Minute)
		b.flush()
		require.Len(t, b.pushes, 2)
		require.Equal(t, b.pushes[0], b.pushes[1])
		require.Len(t, b.windows(usage.Done), 1)
		require.Equal(t, usage.Metrics{Recorded: 1, Pushes: 2, Failures: 1, Known: 1}, func() usage.Metrics { m := b.Metrics(); m.Retried = 0; return m }())
		require.Empty(t, b.rejected)
	}
}

func TestReporter_RejectedAfterAnUnknownOutcomeSaysSo(t *testing.T) {
	b := newBench(t)
	b.answer = fail(&marketplace.Error{Operation: "pushUsage", Status: 500, Code: "MKT.0999"})
	b.record("i", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	require.ErrorIs(t, b.Flush(t.Context()), marketplace.ErrInternal)
	b.answer = refuse("012")
	b.now = b.now.Add(10 * time.Minute)
	b.flush()
	require.Len(t, b.rejected, 1)
	require.True(t, b.rejected[0].Unsure)
}

// TestReporter_TimeTakenByAStranger: the instance has a record of the same time that this store knows nothing of.
func TestReporter_TimeTakenByAStranger(t *testing.T) {
	b := newBench(t)
	strangers := map[string]bool{"20260304T080000Z": true, "20260304T080001Z": true}
	b.answer = func(records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
		if strangers[records[0].BeginTime] {
			return refuse("010")(records)
		}
		return &marketplace.PushResult{Accepted: 1}, nil
	}
	b.record("i", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	require.Len(t, b.pushes, 3)
	require.Equal(t, b.pushes[0][0].MeteringSN, b.pushes[2][0].MeteringSN, "so that it is 005 if it had been taken")
	require.Equal(t, "20260304T080002Z", b.pushes[2][0].BeginTime)
	require.Len(t, b.windows(usage.Done), 1)
	require.Equal(t, uint64(2), b.Metrics().Resealed)
	// A marketplace that calls everything a duplicate is not asked for ever.
	b.answer = refuse("010")
	b.record("i2", "1", hour.Add(time.Hour))
	b.now = hour.Add(125 * time.Minute)
	b.flush()
	require.Len(t, b.rejected, 1)
	require.Len(t, b.pushes, 3+17)
}

func TestReporter_OneBadRecordDoesNotHoldUpTheOthers(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{&marketplace.Error{Code: "MKT.9001", Status: 500}, "001"},
		{&marketplace.Error{Code: "MKT.9002", Status: 500}, ""},
		{&marketplace.Error{Code: "MKT.0150", Status: 401}, ""},
		{&marketplace.Error{Code: "MKT.0101", Status: 400}, ""},
		{&marketplace.InvalidRecordsError{Records: []marketplace.InvalidRecord{{Index: 0, Field: "x", Problem: "y"}}}, ""},
	} {
		b := newBench(t)
		b.answer = func(records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
			for _, r := range records {
				if r.InstanceID == "i37" {
					return nil, c.err
				}
			}
			return &marketplace.PushResult{Accepted: len(records)}, nil
		}
		for i := range 100 {
			b.record(fmt.Sprint("i", i), "1", hour)
		}
		b.now = hour.Add(65 * time.Minute)
		b.flush()
		require.Len(t, b.windows(usage.Done), 99)
		bad := b.windows(usage.Sealed)
		require.Len(t, bad, 1)
		require.Equal(t, "i37", bad[0].InstanceID)
		require.Equal(t, c.code, string(bad[0].Code))
		require.NotEmpty(t, bad[0].Message)
		require.False(t, bad[0].Unsure)
		require.LessOrEqual(t, len(b.pushes), 15)
	}
}

func TestReporter_RefusedForAnotherReason(t *testing.T) {
	for _, err := range []error{
		&marketplace.Error{Code: "MKT.0102", Status: 400}, &marketplace.Error{Code: "MKT.0151", Status: 401}, &marketplace.Error{Code: "MKT.0250", Status: 406},
	} {
		b := newBench(t)
		b.answer = fail(err)
		for i := range 100 {
			b.record(fmt.Sprint("i", i), "1", hour)
		}
		b.now = hour.Add(65 * time.Minute)
		require.ErrorIs(t, b.Flush(t.Context()), err)
		require.Len(t, b.pushes, 1, "not split: it is not about a record")
		require.False(t, b.windows(usage.Sealed)[0].Unsure)
	}
	// The marketplace refuses every push for what is in it: singling all 1000 out would take 1999 pushes.
	b := newBench(t)
	b.answer = fail(&marketplace.Error{Code: "MKT.0150", Status: 401})
	for i := range 1000 {
		b.record(fmt.Sprint("i", i), "1", hour)
	}
	b.now = hour.Add(65 * time.Minute)
	require.ErrorIs(t, b.Flush(t.Context()), marketplace.ErrNotYours)
	require.Less(t, len(b.pushes), 60)
	require.Empty(t, b.rejected)
	require.Len(t, b.windows(usage.Sealed), 1000)
}

func TestReporter_TheAnswerDoesNotSayWhich(t *testing.T) {
	b := newBench(t)
	booked := map[string]bool{}
	b.answer = func(records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
		res := &marketplace.PushResult{}
		for i, r := range records {
			switch {
			case r.InstanceID == "i3":
				res.Rejected = append(res.Rejected, marketplace.Rejected{Index: -1, Code: "012"})
			case booked[r.MeteringSN]:
				res.Rejected = append(res.Rejected, marketplace.Rejected{Index: i, Record: r, Code: "005"})
			default:
				booked[r.MeteringSN] = true
			}
		}
		return res, nil
	}
	for i := range 10 {
		b.record(fmt.Sprint("i", i), "1", hour)
	}
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	b.now = b.now.Add(10 * time.Minute)
	b.flush()
	require.Len(t, b.windows(usage.Done), 9)
	require.Len(t, b.rejected, 1)
	require.Equal(t, "i3", b.rejected[0].InstanceID)
}

func TestReporter_TooOldToPush(t *testing.T) {
	b := newBench(t)
	b.record("i", "1", hour)
	b.now = hour.Add(21 * 24 * time.Hour)
	b.answer = fail(errLost)
	require.ErrorIs(t, b.Flush(t.Context()), errLost)
	b.now = b.now.Add(time.Hour)
	b.flush()
	require.Len(t, b.pushes, 1)
	require.Len(t, b.rejected, 1)
	require.Equal(t, "007", string(b.rejected[0].Code))
	require.True(t, b.rejected[0].Unsure)
}

func TestReporter_Requeue(t *testing.T) {
	b := newBench(t)
	b.answer = refuse("009")
	b.record("i", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	require.Len(t, b.rejected, 1)
	sn := b.rejected[0].MeteringSN
	require.ErrorIs(t, b.Requeue(t.Context(), "other"), usage.ErrNotFound)
	require.NoError(t, b.Requeue(t.Context(), sn))
	b.answer = nil
	b.now = b.now.Add(3 * 24 * time.Hour)
	b.flush()
	require.Equal(t, b.pushes[0], b.pushes[1])
	require.Len(t, b.windows(usage.Done), 1)
}

func TestReporter_PendingTellsTheAge(t *testing.T) {
	b := newBench(t)
	p, err := b.Pending(t.Context())
	require.NoError(t, err)
	require.Zero(t, p)
	b.record("i", "1", hour)
	p, err = b.Pending(t.Context())
	require.NoError(t, err)
	require.Zero(t, p.Age)
	b.now = hour.Add(3 * time.Hour)
	p, err = b.Pending(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*time.Hour, p.Age)
	require.Equal(t, usage.Count{Windows: 1, Amount: usage.Whole(1)}, p.Open)
}

func TestReporter_RunGoesOnAfterFailures(t *testing.T) {
	var mu sync.Mutex
	now := hour
	failures := 3
	done := make(chan struct{})
	pusher := pusherFunc(func(records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
		mu.Lock()
		defer mu.Unlock()
		if failures--; failures >= 0 {
			return nil, errLost
		}
		close(done)
		return &marketplace.PushResult{Accepted: len(records)}, nil
	})
	r, err := usage.New(usage.Config{
		Store: usage.NewMemoryStore(), Pusher: pusher, PollEvery: time.Millisecond, RetryWaitMin: time.Millisecond, RetryWaitMax: time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(time.Second)
			return now
		},
	})
	require.NoError(t, err)
	require.NoError(t, r.Record(t.Context(), "i", usage.Whole(1), hour))
	mu.Lock()
	now = hour.Add(2 * time.Hour)
	mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-done
	cancel()
	require.NoError(t, <-ended)
	p, err := r.Pending(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, p.Done.Windows, "what was pushed is noted although Run ends")
}

type pusherFunc func(records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error)

func (f pusherFunc) PushUsage(_ context.Context, records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	return f(records)
}

func TestReporter_RejectionsGoToTheLogWithoutACallback(t *testing.T) {
	var log bytes.Buffer
	b := newBench(t, func(c *usage.Config) { c.OnRejected, c.Logger = nil, slog.New(slog.NewTextHandler(&log, nil)) })
	b.answer = refuse("012")
	b.record("i", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	require.Contains(t, log.String(), `msg="usage rejected"`)
	require.Contains(t, log.String(), `code=012`)
}

func TestReporter_Prunes(t *testing.T) {
	b := newBench(t, func(c *usage.Config) { c.PollEvery = time.Millisecond })
	b.record("i", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	b.now = b.now.Add(31 * 24 * time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, b.Run(ctx))
	require.Empty(t, b.windows(""))
}

func TestNew_RefusesWhatMakesNoSense(t *testing.T) {
	good := usage.Config{Store: usage.NewMemoryStore(), Pusher: pusherFunc(nil)}
	_, err := usage.New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*usage.Config){
		"Store":        func(c *usage.Config) { c.Store = nil },
		"Pusher":       func(c *usage.Config) { c.Pusher = nil },
		"Window":       func(c *usage.Config) { c.Window = 7 * time.Hour },
		"Window ":      func(c *usage.Config) { c.Window = time.Hour + 1 },
		"Window  ":     func(c *usage.Config) { c.Window = -time.Hour },
		"PushAfter":    func(c *usage.Config) { c.PushAfter = 21 * 24 * time.Hour },
		"MaxBatch":     func(c *usage.Config) { c.MaxBatch = 1001 },
		"RetryWaitMin": func(c *usage.Config) { c.RetryWaitMin = -1 },
		"RetryWaitMax": func(c *usage.Config) { c.RetryWaitMin, c.RetryWaitMax = time.Hour, time.Minute },
		"Retention":    func(c *usage.Config) { c.Retention = time.Hour },
	} {
		cfg := good
		change(&cfg)
		_, err := usage.New(cfg)
		require.ErrorContains(t, err, string(bytes.TrimSpace([]byte(name))))
	}
}

// TestReporter_RandomRunsDry: a random source that ends must not make metering_sn repeat.
func TestReporter_RandomRunsDry(t *testing.T) {
	b := newBench(t, func(c *usage.Config) { c.Rand = io.LimitReader(rand.NewChaCha8([32]byte{}), 20) })
	b.record("i", "1", hour)
	b.record("i2", "1", hour)
	b.now = hour.Add(65 * time.Minute)
	b.flush()
	require.NotEqual(t, b.pushes[0][0].MeteringSN, b.pushes[0][1].MeteringSN)
}
