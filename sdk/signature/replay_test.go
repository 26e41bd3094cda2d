package signature_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

func use(t *testing.T, g *signature.ReplayGuard, nonce string, until time.Time) bool {
	t.Helper()
	fresh, err := g.Use(t.Context(), nonce, until)
	require.NoError(t, err)
	return fresh
}

func TestReplayGuard_RemembersThroughUntil(t *testing.T) {
	t.Parallel()
	now := noon
	g := signature.NewReplayGuard(0, func() time.Time { return now })
	until := noon.Add(time.Minute)
	require.True(t, use(t, g, "a", until))
	require.False(t, use(t, g, "a", until))
	require.Equal(t, 1, g.Len())
	now = until
	require.False(t, use(t, g, "a", until))
	now = until.Add(1)
	require.Zero(t, g.Len())
	require.True(t, use(t, g, "a", now.Add(time.Minute)))
}

func TestReplayGuard_WhenFullTheFirstToExpireGoes(t *testing.T) {
	t.Parallel()
	g := signature.NewReplayGuard(3, at(noon))
	for i, minutes := range []time.Duration{3, 1, 2} {
		require.True(t, use(t, g, fmt.Sprint(i), noon.Add(minutes*time.Minute)))
	}
	require.True(t, use(t, g, "more", noon.Add(5*time.Minute)))
	require.Equal(t, 3, g.Len())
	require.False(t, use(t, g, "0", noon))
	require.False(t, use(t, g, "2", noon))
	require.False(t, use(t, g, "more", noon))
	require.True(t, use(t, g, "1", noon.Add(9*time.Minute)), "1 would have expired first and made room")
}

func TestReplayGuard_StaysWithinItsBound(t *testing.T) {
	t.Parallel()
	const capacity = 100
	g := signature.NewReplayGuard(capacity, at(noon))
	for i := range 10 * capacity {
		require.True(t, use(t, g, fmt.Sprint(i), noon.Add(time.Duration(i)*time.Second)))
		require.LessOrEqual(t, g.Len(), capacity)
	}
	require.Equal(t, capacity, g.Len())
}

func TestReplayGuard_OneOfManyIsFresh(t *testing.T) {
	t.Parallel()
	const nonces, goroutines = 200, 16
	g := signature.NewReplayGuard(0, nil)
	until := time.Now().Add(time.Hour)
	var fresh atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range nonces {
				if ok, err := g.Use(t.Context(), fmt.Sprint(i), until); ok && err == nil {
					fresh.Add(1)
				}
				g.Len()
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, nonces, fresh.Load())
	require.Equal(t, nonces, g.Len())
}

func TestBase_OneOfManyConcurrentReplaysPasses(t *testing.T) {
	t.Parallel()
	base := newBase(t, signature.Config{Nonces: signature.NewReplayGuard(0, at(noon))})
	body := []byte(`{"a":1}`)
	p, err := base.Sign(body)
	require.NoError(t, err)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if base.Verify(t.Context(), p, body) == nil {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, passed.Load())
}
