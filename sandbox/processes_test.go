package sandbox_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// TestMain is a sandbox at work instead of the tests, if it is told on which database.
func TestMain(m *testing.M) {
	if database := os.Getenv("ISVKIT_TEST_PROCESS"); database != "" {
		if err := work(database, os.Getenv("ISVKIT_TEST_PROCESS_PROVIDER")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// work is a process that is killed some time. If it is told to wait, it delivers nothing before it reads a line.
func work(database, provider string) error {
	ctx := context.Background()
	s, err := sandbox.New(ctx, sandbox.Config{Database: database, Keys: testKeys, SecretsKey: testSecretsKey, ProductionAddress: provider, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	openAPI, control := httptest.NewServer(s.OpenAPIHandler()), httptest.NewServer(s.ControlHandler())
	fmt.Println("ready", openAPI.URL, control.URL)
	if os.Getenv("ISVKIT_TEST_PROCESS_WAITS") != "" {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
	}
	return s.Run(ctx)
}

// worker is a process that works on a database.
type worker struct {
	openAPI, control string
	pid              int
	goOn             func() // ends its wait
	kill             func()
}

// startWorker starts one, which waits before it delivers anything or does not.
func startWorker(tb testing.TB, database, provider string, waits bool) *worker {
	tb.Helper()
	c := exec.CommandContext(context.Background(), os.Args[0]) // this very program
	c.Env = append(os.Environ(), "ISVKIT_TEST_PROCESS="+database, "ISVKIT_TEST_PROCESS_PROVIDER="+provider)
	if waits {
		c.Env = append(c.Env, "ISVKIT_TEST_PROCESS_WAITS=yes")
	}
	out, err := c.StdoutPipe()
	require.NoError(tb, err)
	in, err := c.StdinPipe()
	require.NoError(tb, err)
	require.NoError(tb, c.Start())
	w := &worker{pid: c.Process.Pid}
	w.goOn = func() {
		_, err := io.WriteString(in, "go on\n")
		require.NoError(tb, err)
	}
	w.kill = sync.OnceFunc(func() {
		_ = c.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = c.Wait()
	})
	tb.Cleanup(w.kill)
	_, err = fmt.Fscanf(out, "ready %s %s\n", &w.openAPI, &w.control)
	require.NoError(tb, err)
	return w
}

// process starts a process that works on a database, and gives what kills it.
func process(t *testing.T, database, provider string) (kill func()) {
	t.Helper()
	return startWorker(t, database, provider, false).kill
}

// TestProcesses_AnyMayDie has three processes share the work while one after the other is killed, the one that leads among them. Every call
// is delivered, those of an instance in their order, and none again once its success was stored.
func TestProcesses_AnyMayDie(t *testing.T) {
	database := storetest.Postgres(t)
	isv := newISV(t)
	// It takes its time, so that calls are under way when a process dies.
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		isv.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	kills := []func(){process(t, database, front.URL), process(t, database, front.URL)} // the first leads
	m := start(t, front.URL, func(c *sandbox.Config) { c.Database = database })

	const orders, deaths = 120, 4
	var lines []string
	for range deaths {
		for range orders / deaths {
			lines = append(lines, m.buy("demo-period"))
		}
		kills[0]()
		kills = append(kills[1:], process(t, database, front.URL))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	require.NoError(t, m.Settle(ctx))
	for _, line := range lines {
		i := m.is(line, sandboxapi.InstanceReady)
		require.Equal(t, "i-"+line, i.InstanceID)
	}

	// A move of the clock reaches all, and another process does its part.
	m.advance("366d")
	kills[0]()
	interrupted := 0
	for _, line := range lines {
		m.is(line, sandboxapi.InstanceFrozen)
		interrupted += m.provesOnce(line)
	}
	t.Logf("%d attempts were under way when their process died", interrupted)
}

// TestProcesses_TheServerMayGoAway ends all connections to the database again and again while two processes work.
func TestProcesses_TheServerMayGoAway(t *testing.T) {
	database := storetest.Postgres(t)
	isv := newISV(t)
	name := fmt.Sprintf("&application_name=away_%d", os.Getpid())
	process(t, database+name, isv.URL)
	m := start(t, isv.URL, func(c *sandbox.Config) { c.Database = database + name })
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var lines []string
	ended := 0
	for range 10 {
		for range 6 {
			lines = append(lines, m.buy("demo-period"))
		}
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE '&application_name=' || application_name = $1", name).Scan(&n))
		ended += n
	}
	require.Positive(t, ended)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	require.NoError(t, m.Settle(ctx))
	for _, line := range lines {
		m.is(line, sandboxapi.InstanceReady)
		m.provesOnce(line)
	}
}

// TestProcesses_TheServerMayGoAwayAtTheStart ends all connections to the database while a process begins to work.
func TestProcesses_TheServerMayGoAwayAtTheStart(t *testing.T) {
	database := storetest.Postgres(t)
	isv := newISV(t)
	name := fmt.Sprintf("&application_name=starting_%d", os.Getpid())
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for range 6 {
		m := start(t, isv.URL, func(c *sandbox.Config) { c.Database = database + name })
		for range 60 {
			_, err := db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE '&application_name=' || application_name = $1", name)
			require.NoError(t, err)
		}
		line := m.buy("demo-period")
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		require.NoError(t, m.Settle(ctx))
		cancel()
		m.is(line, sandboxapi.InstanceReady)
		m.stop()
	}
}

// provesOnce checks by the journal that each call of an instance succeeded once, with its last attempt, before the one after it began, and
// tells how many attempts were interrupted.
func (m *market) provesOnce(line string) (interrupted int) {
	m.t.Helper()
	attempts := m.attempts(line)
	slices.Reverse(attempts) // oldest first
	succeeded := map[int64]bool{}
	var last int64
	for _, a := range attempts {
		require.False(m.t, succeeded[a.CallID], "call %d was delivered again after it had succeeded", a.CallID)
		require.GreaterOrEqual(m.t, a.CallID, last, "calls are made in their order")
		if a.CallID > last {
			require.True(m.t, last == 0 || succeeded[last], "call %d began before call %d had ended", a.CallID, last)
		}
		last = a.CallID
		switch a.Outcome {
		case sandboxapi.AttemptSucceeded:
			succeeded[a.CallID] = true
		case sandboxapi.AttemptInterrupted:
			interrupted++
		default:
			require.Fail(m.t, "an attempt ended as nobody said", "%+v", a)
		}
	}
	for _, c := range m.calls(line) {
		require.Equal(m.t, sandboxapi.CallSucceeded, c.Status)
		require.True(m.t, succeeded[c.CallID])
	}
	return interrupted
}

// TestProcesses_TheServerMayBeRestarted stops PostgreSQL in the middle of the work, in order and as if it had crashed, and starts it again a
// moment later. Orders go on being placed meanwhile.
func TestProcesses_TheServerMayBeRestarted(t *testing.T) {
	server := storetest.NewServer(t)
	isv := newISV(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(5 * time.Millisecond) // so that some are under way
		isv.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	process(t, server.URL(), front.URL)
	m := start(t, front.URL, func(c *sandbox.Config) { c.Database = server.URL() })
	const orders = 150
	placed := make(chan string, orders)
	go func() {
		defer close(placed)
		for range orders {
			var p sandboxapi.OrderPlaced
			if status, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"}, &p); status != http.StatusCreated {
				t.Errorf("an order was not taken: HTTP %d %s", status, detail)
				return
			}
			placed <- p.Order.OrderLineID
		}
	}()
	var lines []string
	for line := range placed {
		lines = append(lines, line)
		switch len(lines) {
		case orders / 4, orders * 3 / 4:
			server.Stop("fast")
			server.Start()
		case orders / 2:
			server.Stop("immediate")
			server.Start()
		}
	}
	require.Len(t, lines, orders)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	require.NoError(t, m.Settle(ctx))
	interrupted := 0
	for _, line := range lines {
		m.is(line, sandboxapi.InstanceReady)
		interrupted += m.provesOnce(line)
	}
	t.Logf("%d attempts lost the server before their end was written", interrupted)
}
