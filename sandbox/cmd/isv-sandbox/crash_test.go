package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// A crash is told as the issue has it: so many orders are in flight, processes of the real program are killed with SIGKILL at random again
// and again, and in the end nothing shows it but the journal, which tells of attempts that were interrupted.

// life is what an ISV is called for in the life of an order, in this order. It refuses the first newInstance.
var life = []string{"newInstance", "queryInstance", "updateInstanceStatus", "releaseInstance"}

const attemptsOfALife = 5

// crashISV records what it is sent.
type crashISV struct {
	*httptest.Server
	mu   sync.Mutex
	got  int
	sent map[string][]string // activities, by order line
	ok   map[string]int      // by line and activity: how often it answered that all is well
	most int                 // requests that it takes; those beyond wait
	held int                 // how many waited
	more chan struct{}       // closed when it takes more
}

func newCrashISV(t *testing.T) *crashISV {
	v := &crashISV{sent: map[string][]string{}, ok: map[string]int{}, most: math.MaxInt, more: make(chan struct{})}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ Activity, OrderLineID, InstanceID string }
		err := json.NewDecoder(r.Body).Decode(&call)
		if err != nil {
			return // its process was killed while it sent this
		}
		line := call.OrderLineID
		if line == "" {
			line = strings.TrimPrefix(call.InstanceID, "i-")
		}
		time.Sleep(10 * time.Millisecond) // so that some are under way whenever a process dies
		v.take()
		if r.Context().Err() != nil {
			return // its process was killed while this waited
		}
		v.mu.Lock()
		first := len(v.sent[line]) == 0
		v.sent[line] = append(v.sent[line], call.Activity)
		if !first {
			v.ok[line+" "+call.Activity]++
		}
		v.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case first:
			_, _ = io.WriteString(w, `{"resultCode":"000005","resultMsg":"not now"}`)
		case call.Activity == "newInstance":
			created(w, line)
		case call.Activity == "queryInstance":
			_, _ = fmt.Fprintf(w, `{"resultCode":"000000","resultMsg":"ok","info":[{"instanceId":%q,"appInfo":{"frontEndUrl":"https://a.example.com"}}]}`, call.InstanceID)
		default:
			_, _ = io.WriteString(w, `{"resultCode":"000000","resultMsg":"ok"}`)
		}
	}))
	t.Cleanup(func() {
		v.upTo(math.MaxInt)
		v.Close()
	})
	return v
}

// upTo has it take so many requests in all. The others wait until it takes more, so that work does not end before it is disturbed.
func (v *crashISV) upTo(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.most, v.held = n, 0
	close(v.more)
	v.more = make(chan struct{})
}

// take waits until it takes one more.
func (v *crashISV) take() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for waits := false; v.got >= v.most; {
		if !waits {
			v.held++
			waits = true
		}
		more := v.more
		v.mu.Unlock()
		<-more
		v.mu.Lock()
	}
	v.got++
}

// holds tells how many requests wait.
func (v *crashISV) holds() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held
}

func (v *crashISV) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.got
}

// crowd is some processes that share a database, one of which is killed now and then.
type crowd struct {
	t        *testing.T
	database string
	provider string
	env      []string

	mu      sync.Mutex
	members []*member
}

type member struct {
	cmd     *exec.Cmd
	control string
	dead    chan struct{}
}

func newCrowd(t *testing.T, database, provider string, n int) *crowd {
	c := &crowd{t: t, database: database, provider: provider, env: append(os.Environ(), "ISVKIT_TEST_MAIN=1", envSecretsKey+"="+secrets.NewKey(), envControlToken+"=crash-token")}
	for _, name := range []string{envBaseKey, envKitKey, envGeneralKey, envLicenseKey, envAK, envSK} {
		c.env = append(c.env, name+"=crash-"+strings.ToLower(name))
	}
	t.Cleanup(c.stop)
	for range n {
		m, err := c.start()
		require.NoError(t, err)
		c.members = append(c.members, m)
	}
	return c
}

// start starts a process and waits until it is ready.
func (c *crowd) start() (*member, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &member{dead: make(chan struct{})}
	m.cmd = exec.Command(exe, "serve", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--auth-listen", "off", "--quiet",
		"--database", c.database, "--provider", c.provider, "--keys", filepath.Join(c.t.TempDir(), "isvkit.keys"))
	m.cmd.Env = c.env
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	m.cmd.Stderr = &stderr
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		if _, url, found := strings.Cut(lines.Text(), "control API  "); found {
			m.control = url
		}
	}
	if lines.Text() != "ready" {
		return nil, errors.Join(fmt.Errorf("it did not become ready: %s", &stderr), m.cmd.Process.Kill(), m.cmd.Wait())
	}
	return m, nil
}

// kill ends processes with SIGKILL, at once, and puts others in their places.
func (c *crowd) kill(places ...int) {
	c.t.Helper()
	var all sync.WaitGroup
	errs := make([]error, len(places))
	for i, n := range places {
		m := c.members[n]
		close(m.dead)
		require.NoError(c.t, m.cmd.Process.Kill())
		all.Go(func() {
			_ = m.cmd.Wait()
			var fresh *member
			if fresh, errs[i] = c.start(); errs[i] != nil {
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.members[n] = fresh
		})
	}
	all.Wait()
	require.NoError(c.t, errors.Join(errs...))
}

// stop ends all.
func (c *crowd) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
	}
	c.members = nil
}

// post asks the control API of one of the processes. It fails if that is killed meanwhile.
func (c *crowd) post(path string, body, into any) error {
	c.mu.Lock()
	m := c.members[len(path)%len(c.members)]
	c.mu.Unlock()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.control+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer crash-token")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		select {
		case <-m.dead:
			return errors.Join(errKilled, err)
		default:
			return err
		}
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return errors.Join(errKilled, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("HTTP %d: %s", resp.StatusCode, answer)
	}
	return json.Unmarshal(answer, into)
}

var errKilled = errors.New("the process was killed")

// ended is what is known of an order in the end that does not depend on when it was made, and by which id.
type ended struct {
	Status   string
	Instance string
	FrontEnd string
	Calls    []string
}

// live has orders live their lives, while a process is killed each time that the ISV has got so many requests, and all of them the last time. It gives what became of the orders and how many attempts were interrupted on the way.
func live(t *testing.T, database string, processes, orders int, kills []int, seed *rand.Rand) (ends []ended, interrupted int) {
	t.Helper()
	isv := newCrashISV(t)
	c := newCrowd(t, database, isv.URL, processes)
	lines := make([]string, orders)
	for i := range lines {
		var placed sandboxapi.OrderPlaced
		require.NoError(t, c.post("/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"}, &placed))
		lines[i] = placed.Order.OrderLineID
	}
	require.Eventually(t, func() bool { return isv.count() == orders }, time.Minute, time.Millisecond, "each was refused once, and is in flight")

	if len(kills) > 0 {
		isv.upTo(kills[0])
	}
	now := time.Now()
	lived := make(chan error, 1)
	go func() {
		lived <- func() error {
			for _, days := range []time.Duration{1, 367, 400} { // it is open; it has ended; it is released
				for {
					var status sandboxapi.Clock
					err := c.post("/v1/clock/advance", sandboxapi.ClockAdvance{To: now.Add(days * 24 * time.Hour)}, &status)
					if err == nil {
						break
					}
					if !errors.Is(err, errKilled) {
						return err
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			return nil
		}()
	}()
	for n, after := range kills {
		require.Eventually(t, func() bool { return isv.count() == after || len(lived) > 0 }, 2*time.Minute, time.Millisecond)
		if len(lived) > 0 {
			require.NoError(t, <-lived)
			require.Fail(t, "all of it was done before it was killed for the last time", "%d of %d requests", isv.count(), after)
		}
		if n < len(kills)-1 {
			c.kill(seed.IntN(processes))
			isv.upTo(kills[n+1])
			continue
		}
		// At last all of them, while attempts are under way for sure.
		require.Eventually(t, func() bool { return isv.holds() > 0 }, time.Minute, time.Millisecond)
		c.kill(seed.Perm(processes)...)
		isv.upTo(math.MaxInt)
	}
	require.NoError(t, <-lived)
	c.stop()

	s, err := store.Open(t.Context(), database)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	all, err := s.Calls(t.Context(), "", 1<<20)
	require.NoError(t, err)
	attempts, err := s.Attempts(t.Context(), store.AttemptFilter{}, 1<<20)
	require.NoError(t, err)
	slices.Reverse(all)
	slices.Reverse(attempts)
	journal, byLine := map[int64][]store.Attempt{}, map[string][]store.Call{}
	for _, a := range attempts {
		journal[a.CallID] = append(journal[a.CallID], a)
	}
	for _, call := range all {
		byLine[call.LineID] = append(byLine[call.LineID], call)
	}
	require.Len(t, byLine, orders)
	for _, line := range lines {
		i, err := s.Instance(t.Context(), line)
		require.NoError(t, err)
		end := ended{Status: string(i.Status), Instance: strings.ReplaceAll(i.InstanceID, line, "LINE"), FrontEnd: i.FrontEndURL}
		var before int64
		for _, call := range byLine[line] {
			end.Calls = append(end.Calls, fmt.Sprintf("%s %s %s", call.Call.Activity, call.Status, call.ResultCode))
			before, interrupted = judge(t, call, journal[call.ID], before, interrupted)
			require.LessOrEqual(t, isv.ok[line+" "+string(call.Call.Activity)], len(journal[call.ID]), "the ISV got no more than the journal knows")
			require.Positive(t, isv.ok[line+" "+string(call.Call.Activity)], "the ISV did get it")
		}
		require.Equal(t, life, slices.Compact(isv.sent[line]), "in order, as the ISV saw it")
		ends = append(ends, end)
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(isv.sent)), lines)
	return ends, interrupted
}

// judge checks by the journal that a call was attempted until it succeeded and not again, after the one before it had ended.
func judge(t *testing.T, call store.Call, journal []store.Attempt, before int64, interrupted int) (last int64, all int) {
	t.Helper()
	require.NotEmpty(t, journal)
	for n, a := range journal {
		require.Greater(t, a.ID, before, "calls of an instance are made one after the other")
		switch a.Outcome {
		case sandboxapi.AttemptSucceeded:
			require.Equal(t, len(journal)-1, n, "call %d was delivered again after its success was stored: %+v", call.ID, journal)
		case sandboxapi.AttemptInterrupted:
			interrupted++
		default: // the refusal
			require.Equal(t, sandboxapi.AttemptRefused, a.Outcome, "%+v", a)
			require.Equal(t, "000005", a.ResultCode, "%+v", a)
		}
		require.Equal(t, n+1, a.Number)
	}
	end := journal[len(journal)-1]
	require.Equal(t, sandboxapi.AttemptSucceeded, end.Outcome, "%+v", journal)
	return end.ID, interrupted
}

// TestCrash_NothingIsLostAndNothingIsDoneTwice is the crash test: a short form of it, or that of the issue with ISVKIT_TEST_CRASH=full
// (make crash).
func TestCrash_NothingIsLostAndNothingIsDoneTwice(t *testing.T) {
	orders, deaths := 200, 5
	switch {
	case os.Getenv("ISVKIT_TEST_CRASH") == "full":
		orders, deaths = 2000, 20
	case underRace:
		orders, deaths = 50, 3
	}
	began := time.Now()
	undisturbed, none := live(t, filepath.Join(t.TempDir(), "sandbox.db"), 1, orders, nil, nil)
	require.Zero(t, none)
	t.Logf("undisturbed, with SQLite: %s", time.Since(began).Round(time.Millisecond))
	for _, kind := range []struct {
		name      string
		processes int
		database  func(testing.TB) string
	}{
		{"sqlite", 1, func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "sandbox.db") }},
		{"postgres", 3, storetest.Postgres},
	} {
		t.Run(kind.name, func(t *testing.T) {
			seed := rand.New(rand.NewPCG(5, uint64(orders)))
			kills := make([]int, deaths)
			for i := range kills { // at random, but before it is all done
				kills[i] = orders + seed.IntN(orders*(attemptsOfALife-1)*9/10)
			}
			slices.Sort(kills)
			kills = slices.Compact(kills)
			began := time.Now()
			ends, interrupted := live(t, kind.database(t), kind.processes, orders, kills, seed)
			require.Equal(t, undisturbed, ends)
			require.Positive(t, interrupted, "no process died in the middle of its work")
			t.Logf("%d orders, %d processes, killed %d times: %d attempts were interrupted; %s", orders, kind.processes, len(kills), interrupted, time.Since(began).Round(time.Millisecond))
		})
	}
}
