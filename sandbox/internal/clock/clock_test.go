package clock_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/clock"
)

func TestClock_MovesOnlyForwardAndRunsOn(t *testing.T) {
	t.Parallel()
	real := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := clock.New(func() time.Time { return real }, time.Hour)
	require.Equal(t, real.Add(time.Hour), c.Now())

	c.Begin()
	c.Set(real)
	require.Equal(t, real.Add(time.Hour), c.Now(), "never backwards")
	c.Set(real.Add(48 * time.Hour))
	_, runs := c.Until(real.Add(72 * time.Hour))
	require.False(t, runs)

	c.End()
	real = real.Add(time.Minute)
	require.Equal(t, time.Date(2026, 3, 3, 12, 1, 0, 0, time.UTC), c.Now())
	require.Equal(t, 48*time.Hour, c.Ahead())
	wait, runs := c.Until(c.Now().Add(5 * time.Second))
	require.True(t, runs)
	require.Equal(t, 5*time.Second, wait)
}

func TestClock_StandsUntilItIsLetRun(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	real := start
	c := clock.New(func() time.Time { return real }, 0)
	c.Hold()
	real = real.Add(time.Hour)
	require.Equal(t, start, c.Now())
	require.Equal(t, -time.Hour, c.Ahead())
	c.Begin()
	c.Set(start.Add(48 * time.Hour))
	c.End()
	require.True(t, c.Held(), "a move does not let it run")
	require.Equal(t, start.Add(48*time.Hour), c.Now())
	c.Run()
	real = real.Add(time.Minute)
	require.Equal(t, start.Add(48*time.Hour+time.Minute), c.Now(), "it runs on from where it stood")
	c.Restart(time.Hour, time.Time{})
	require.Equal(t, real.Add(time.Hour), c.Now())
	c.Restart(0, start)
	require.Equal(t, start, c.Now())
	require.True(t, c.Held())
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"366d": 366 * 24 * time.Hour, "90m": 90 * time.Minute, "1d12h": 36 * time.Hour, "1.5s": 1500 * time.Millisecond,
	} {
		d, err := clock.ParseDuration(in)
		require.NoError(t, err, in)
		require.Equal(t, want, d, in)
	}
	for _, in := range []string{"", "0s", "-1h", "1y", "d", "1.5d", "999999d", "10", "9223372036854775807ns", "1d-24h"} {
		_, err := clock.ParseDuration(in)
		require.ErrorContains(t, err, "expected days", in)
	}
}
