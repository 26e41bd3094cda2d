package provider_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
)

type newInstanceFunc = func(context.Context, provider.NewInstance) (provider.Instance, error)

func TestNewInstance_ConcurrentRepeatsShareOneCall(t *testing.T) {
	t.Parallel()
	const repeats = 50
	var calls, arrived atomic.Int32
	release := make(chan struct{})
	s := setup(t, &app{newInstance: func(_ context.Context, call provider.NewInstance) (provider.Instance, error) {
		<-release
		return provider.Instance{ID: fmt.Sprintf("made-by-%s-%d", call.BusinessID, calls.Add(1))}, nil
	}})
	answers := make([]answer, repeats)
	var wg sync.WaitGroup
	for i := range repeats {
		wg.Go(func() {
			if arrived.Add(1) == repeats {
				close(release)
			}
			answers[i] = s.call(newInstanceBody("CS1", fmt.Sprintf("b-%d", i)))
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, calls.Load())
	for _, a := range answers {
		assert.Equal(t, providerapi.ResultSuccess, a.ResultCode)
		assert.Equal(t, answers[0].InstanceID, a.InstanceID)
	}
	assert.NotEqual(t, answers[0].InstanceID, s.call(newInstanceBody("CS2", "b-1")).InstanceID, "another order line is another instance")
}

// TestNewInstance_Sequences plays what an Application returns, one after the other, against what is answered.
func TestNewInstance_Sequences(t *testing.T) {
	t.Parallel()
	suggested := provider.NewInstance{NewInstanceCall: providerapi.NewInstanceCall{OrderID: "CS1", OrderLineID: "CS1-000001"}}.SuggestedID()
	type step struct {
		id         string // what the Application returns
		err        error
		remembered string // what it is told
		code       providerapi.ResultCode
		answered   string
		log        string
	}
	notCalled := errors.New("the Application must not be called")
	tests := map[string][]step{
		"success is remembered":              {{id: "i-1", code: "000000", answered: "i-1"}, {err: notCalled, code: "000000", answered: "i-1"}},
		"no id is the suggested one":         {{code: "000000", answered: suggested}, {err: notCalled, code: "000000", answered: suggested}},
		"a failure is not remembered":        {{id: "i-1", err: provider.ErrSoldOut, code: "000106"}, {id: "i-2", code: "000000", answered: "i-2"}},
		"an unknown error is not remembered": {{id: "i-1", err: errors.New("x"), code: "000005"}, {id: "i-2", code: "000000", answered: "i-2"}},
		"in progress, then ready": {
			{id: "i-1", err: provider.ErrInProgress, code: "000004", answered: "i-1"},
			{id: "i-1", err: provider.ErrInProgress, remembered: "i-1", code: "000004", answered: "i-1"},
			{id: "i-1", remembered: "i-1", code: "000000", answered: "i-1"},
			{err: notCalled, code: "000000", answered: "i-1"},
		},
		"in progress without an id": {
			{err: fmt.Errorf("busy: %w", provider.ErrInProgress), code: "000004", answered: suggested},
			{remembered: suggested, code: "000000", answered: suggested},
		},
		"another id after in progress": {
			{id: "i-1", err: provider.ErrInProgress, code: "000004", answered: "i-1"},
			{id: "i-2", remembered: "i-1", code: "000000", answered: "i-1", log: "another instance id than the one answered before"},
			{err: notCalled, code: "000000", answered: "i-1"},
		},
		"in progress, then a failure": {
			{id: "i-1", err: provider.ErrInProgress, code: "000004", answered: "i-1"},
			{err: provider.ErrNoResource, remembered: "i-1", code: "000100"},
			{remembered: "i-1", code: "000000", answered: "i-1"},
		},
		"ids that break the contract": {
			{id: strings.Repeat("i", 65), code: "000005", log: "instanceId is 65 characters long"},
			{id: "i-1,i-2", code: "000005", log: "instanceId has a comma"},
			{id: "i\n", code: "000005", log: "control character"},
			{id: "\xff", code: "000005", log: "not UTF-8"},
			{id: strings.Repeat("中", 64), code: "000000", answered: strings.Repeat("中", 64)},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var now step
			s := setup(t, &app{newInstance: func(_ context.Context, call provider.NewInstance) (provider.Instance, error) {
				if errors.Is(now.err, notCalled) {
					t.Error(now.err)
				}
				assert.Equal(t, now.remembered, call.RememberedID())
				return provider.Instance{ID: now.id}, now.err
			}})
			for i, st := range steps {
				now = st
				ans := s.call(newInstanceBody("CS1", fmt.Sprintf("b-%d", i)))
				assert.Equal(t, now.code, ans.ResultCode, "step %d", i)
				assert.Equal(t, now.answered, ans.InstanceID, "step %d", i)
				assert.Contains(t, lastLine(s), now.log)
			}
		})
	}
}

func TestNewInstance_StoreFails(t *testing.T) {
	t.Parallel()
	st := &store{MemoryStore: provider.NewMemoryStore(0), loadErr: errors.New("store is down")}
	calls := 0
	s := setup(t, &app{newInstance: func(context.Context, provider.NewInstance) (provider.Instance, error) {
		calls++
		return provider.Instance{ID: fmt.Sprint("i-", calls)}, nil
	}}, func(c *provider.Config) { c.Instances = st })
	assert.Equal(t, providerapi.ResultInternalError, s.call(newInstanceBody("CS1", "b")).ResultCode)
	assert.Zero(t, calls, "without knowing what was answered before, nothing is made")

	st.loadErr, st.saveErr = nil, errors.New("store is down")
	assert.Equal(t, providerapi.ResultInternalError, s.call(newInstanceBody("CS1", "b")).ResultCode)
	assert.Contains(t, lastLine(s), "cannot be remembered")

	st.saveErr = nil
	st.first = provider.Remembered{InstanceID: "of-another-replica", Ready: true}
	assert.Equal(t, "of-another-replica", s.call(newInstanceBody("CS1", "b")).InstanceID)
	assert.Contains(t, lastLine(s), "another replica was first")
}

// store fails on demand, and can have been written by somebody else between Load and Save.
type store struct {
	*provider.MemoryStore
	loadErr, saveErr error
	first            provider.Remembered
}

func (s *store) Load(ctx context.Context, line provider.OrderLineKey) (provider.Remembered, bool, error) {
	r, ok, _ := s.MemoryStore.Load(ctx, line)
	return r, ok, s.loadErr
}

func (s *store) Save(ctx context.Context, line provider.OrderLineKey, r provider.Remembered) (provider.Remembered, error) {
	if s.saveErr != nil {
		return provider.Remembered{}, s.saveErr
	}
	if s.first.InstanceID != "" {
		r = s.first
	}
	return s.MemoryStore.Save(ctx, line, r)
}

// serve sends a signed call straight to a handler, as a server would.
func (s *side) serve(ctx context.Context, body string) answer {
	params, err := s.base.Sign([]byte(body))
	require.NoError(s.t, err)
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/?"+params.Query().Encode(), strings.NewReader(body))
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return judge(s.t, body, rec.Code, rec.Header(), rec.Body.Bytes())
}

func bubble(t *testing.T, create newInstanceFunc, change ...func(*provider.Config)) *side {
	cfg := provider.Config{BaseKeys: []string{baseKey}, Now: clock, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	h, err := provider.NewHandler(&app{newInstance: create}, cfg)
	require.NoError(t, err)
	return &side{t: t, handler: h, base: signer(t, baseKey), log: new(lines)}
}

func TestNewInstance_AClientThatGoesAwayPoisonsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := bubble(t, func(ctx context.Context, _ provider.NewInstance) (provider.Instance, error) {
			calls++
			select {
			case <-ctx.Done():
				return provider.Instance{}, ctx.Err()
			case <-time.After(5 * time.Second):
				return provider.Instance{ID: "i-1"}, nil
			}
		})
		impatient, leave := context.WithCancel(t.Context())
		go s.serve(impatient, newInstanceBody("CS1", "b-1"))
		synctest.Wait()
		leave()
		assert.Equal(t, "i-1", s.serve(t.Context(), newInstanceBody("CS1", "b-2")).InstanceID)
		assert.Equal(t, 1, calls)
	})
}

func TestNewInstance_ARepeatDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf, hurry := make(chan struct{}), false
		s := bubble(t, func(context.Context, provider.NewInstance) (provider.Instance, error) {
			if hurry {
				return provider.Instance{ID: "i-1"}, provider.ErrInProgress
			}
			<-deaf // does not obey its context
			return provider.Instance{ID: "i-1"}, nil
		})
		leader := make(chan answer)
		repeat := func(want providerapi.ResultCode, id string) {
			go func() { leader <- s.serve(t.Context(), newInstanceBody("CS1", "b-1")) }()
			synctest.Wait()
			start := time.Now()
			ans := s.serve(t.Context(), newInstanceBody("CS1", "b-2"))
			assert.Equal(t, want, ans.ResultCode)
			assert.Equal(t, id, ans.InstanceID)
			assert.Equal(t, 15*time.Second, time.Since(start), "before the marketplace gives up")
		}
		repeat("000005", "") // no id is known yet
		deaf <- struct{}{}
		assert.Equal(t, providerapi.ResultSuccess, (<-leader).ResultCode)

		s = bubble(t, func(context.Context, provider.NewInstance) (provider.Instance, error) {
			if hurry {
				hurry = false
				return provider.Instance{ID: "i-1"}, provider.ErrInProgress
			}
			<-deaf
			return provider.Instance{ID: "i-1"}, nil
		})
		hurry = true
		assert.Equal(t, providerapi.ResultInProgress, s.serve(t.Context(), newInstanceBody("CS1", "b-0")).ResultCode)
		repeat("000004", "i-1") // the id of the answer before
		deaf <- struct{}{}
		<-leader
	})
}

func TestNewInstance_SaveOutlivesTheApplicationsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &ctxStore{MemoryStore: provider.NewMemoryStore(0)}
		s := bubble(t, func(ctx context.Context, _ provider.NewInstance) (provider.Instance, error) {
			<-ctx.Done()
			return provider.Instance{ID: "i-1"}, nil // made it all the same
		}, func(c *provider.Config) { c.Instances = st })
		assert.Equal(t, "i-1", s.serve(t.Context(), newInstanceBody("CS1", "b-1")).InstanceID)
		assert.NoError(t, st.saw)
	})
}

type ctxStore struct {
	*provider.MemoryStore
	saw error
}

func (s *ctxStore) Save(ctx context.Context, line provider.OrderLineKey, r provider.Remembered) (provider.Remembered, error) {
	s.saw = ctx.Err()
	return s.MemoryStore.Save(ctx, line, r)
}

func TestNewInstance_APanicReachesEverybodyWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []func(){func() { panic("boom") }, runtime.Goexit} {
			gone := false
			s := bubble(t, func(context.Context, provider.NewInstance) (provider.Instance, error) {
				if gone {
					return provider.Instance{ID: "i-1"}, nil
				}
				time.Sleep(time.Second)
				gone = true
				end()
				return provider.Instance{}, nil
			})
			go s.serve(t.Context(), newInstanceBody("CS1", "b-1"))
			synctest.Wait()
			assert.Equal(t, providerapi.ResultInternalError, s.serve(t.Context(), newInstanceBody("CS1", "b-2")).ResultCode)
			assert.Equal(t, "i-1", s.serve(t.Context(), newInstanceBody("CS1", "b-3")).InstanceID, "the next one starts anew")
		}
	})
}

// lockingStore is a store whose lock does what the test says.
type lockingStore struct {
	*provider.MemoryStore
	try      func(n int) (ok bool, err error)
	unlock   func() error
	tries    int
	loadErr  error
	unlocked int
}

func (s *lockingStore) TryLock(context.Context, provider.OrderLineKey, time.Duration) (func(context.Context) error, bool, error) {
	s.tries++
	ok, err := s.try(s.tries)
	return func(context.Context) error {
		s.unlocked++
		if s.unlock == nil {
			return nil
		}
		return s.unlock()
	}, ok, err
}

func (s *lockingStore) Load(ctx context.Context, line provider.OrderLineKey) (provider.Remembered, bool, error) {
	if s.loadErr != nil && s.tries > 0 {
		return provider.Remembered{}, false, s.loadErr
	}
	return s.MemoryStore.Load(ctx, line)
}

func TestNewInstance_WithALockThatReplicasShare(t *testing.T) {
	t.Parallel()
	line := provider.OrderLineKey{OrderID: "CS1", OrderLineID: "CS1-000001"}
	free := func(int) (bool, error) { return true, nil }
	busy := func(int) (bool, error) { return false, nil }
	for name, tt := range map[string]struct {
		store         lockingStore
		before        *provider.Remembered
		want          providerapi.ResultCode
		calls, unlock int
		log           string
	}{
		"free":                         {store: lockingStore{try: free}, want: "000000", calls: 1, unlock: 1},
		"free at the third try":        {store: lockingStore{try: func(n int) (bool, error) { return n == 3, nil }}, want: "000000", calls: 1, unlock: 1},
		"never free":                   {store: lockingStore{try: busy}, want: "000005", log: "another replica"},
		"never free, id known":         {store: lockingStore{try: busy}, before: &provider.Remembered{InstanceID: "i-9"}, want: "000004", log: "another replica"},
		"ready, no lock is taken":      {store: lockingStore{try: busy}, before: &provider.Remembered{InstanceID: "i-9", Ready: true}, want: "000000"},
		"the lock fails":               {store: lockingStore{try: func(int) (bool, error) { return false, errors.New("no lock today") }}, want: "000005", log: "no lock today"},
		"unlocking fails":              {store: lockingStore{try: free, unlock: func() error { return errors.New("cannot unlock") }}, want: "000000", calls: 1, unlock: 1, log: "cannot unlock"},
		"loading under the lock fails": {store: lockingStore{try: free, loadErr: errors.New("no load")}, want: "000005", unlock: 1, log: "no load"},
	} {
		calls := 0
		store := tt.store
		store.MemoryStore = provider.NewMemoryStore(0)
		if tt.before != nil {
			_, err := store.Save(t.Context(), line, *tt.before)
			require.NoError(t, err)
		}
		s := setup(t, &app{newInstance: func(context.Context, provider.NewInstance) (provider.Instance, error) {
			calls++
			return provider.Instance{}, nil
		}}, func(c *provider.Config) { c.Instances, c.Timeout = &store, 150*time.Millisecond })
		ans := s.call(newInstanceBody("CS1", "b"))
		assert.Equal(t, tt.want, ans.ResultCode, name)
		assert.Equal(t, tt.calls, calls, name)
		assert.Equal(t, tt.unlock, store.unlocked, name)
		assert.Contains(t, lastLine(s), tt.log, name)
		if tt.before != nil {
			assert.Equal(t, "i-9", ans.InstanceID, name)
		}
	}
	// Another replica makes the line ready while this one waits.
	store := lockingStore{MemoryStore: provider.NewMemoryStore(0)}
	store.try = func(n int) (bool, error) {
		if n == 2 {
			_, _ = store.Save(t.Context(), line, provider.Remembered{InstanceID: "i-8", Ready: true})
		}
		return false, nil
	}
	s := setup(t, untouched{t}, func(c *provider.Config) { c.Instances = &store })
	ans := s.call(newInstanceBody("CS1", "b"))
	assert.Equal(t, providerapi.ResultSuccess, ans.ResultCode)
	assert.Equal(t, "i-8", ans.InstanceID)
}
