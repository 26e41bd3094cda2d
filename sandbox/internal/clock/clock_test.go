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

	c.Hold()
	c.Set(real)
	require.Equal(t, real.Add(time.Hour), c.Now(), "never backwards")
	c.Set(real.Add(48 * time.Hour))
	_, runs := c.Until(real.Add(72 * time.Hour))
	require.False(t, runs)

	c.Release()
	real = real.Add(time.Minute)
	require.Equal(t, time.Date(2026, 3, 3, 12, 1, 0, 0, time.UTC), c.Now())
	require.Equal(t, 48*time.Hour, c.Ahead())
	wait, runs := c.Until(c.Now().Add(5 * time.Second))
	require.True(t, runs)
	require.Equal(t, 5*time.Second, wait)
}
