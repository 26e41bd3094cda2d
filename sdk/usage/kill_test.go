package usage_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/sqlstore"
)

const childVariable = "ISVKIT_USAGE_TEST_CHILD" // database file and marketplace, for the process that is killed

func TestMain(m *testing.M) {
	if where := os.Getenv(childVariable); where != "" {
		os.Exit(child(where))
	}
	os.Exit(m.Run())
}

func sqliteDSN(file string) string {
	return "file:" + filepath.ToSlash(file) + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)"
}

// child records what it is told, and pushes all the while. Each line of stdin is
//
//	now SECONDS                            the clock shows
//	rec ID INSTANCE PACKAGE AMOUNT SECONDS answered "ok ID" after Record returned; package - is none
//	pending                                answered "pending N"
func child(where string) int {
	file, url, _ := strings.Cut(where, "|")
	fail := func(err error) int {
		fmt.Println("fail", err)
		return 1
	}
	db, err := sql.Open("sqlite", sqliteDSN(file))
	if err != nil {
		return fail(err)
	}
	store, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	if err := store.Migrate(ctx); err != nil {
		return fail(err)
	}
	silent := slog.New(slog.DiscardHandler)
	client, err := marketplace.New(marketplace.Config{
		URL: url, Credentials: signature.Credentials{AK: "ak", SK: "sk"}, BaseKey: "key", RetryMax: -1, Timeout: 100 * time.Millisecond, Logger: silent,
	})
	if err != nil {
		return fail(err)
	}
	var clock atomic.Int64
	reporter, err := usage.New(usage.Config{
		Store: store, Pusher: client, Now: func() time.Time { return time.Unix(clock.Load(), 0) }, Logger: silent,
		PushTimeout: time.Second, RetryWaitMin: time.Second, RetryWaitMax: 20 * time.Second, PollEvery: time.Millisecond, MaxBatch: 7,
		OnRejected: func(_ context.Context, r usage.Rejection) {
			fmt.Println("fail rejected:", r.Window.Code, r.Window.Message)
		},
	})
	if err != nil {
		return fail(err)
	}
	var out sync.Mutex
	say := func(words ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(words...)
	}
	started := false
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch f[0] {
		case "now":
			seconds, _ := strconv.ParseInt(f[1], 10, 64)
			clock.Store(seconds)
			if !started {
				started = true
				say("ready")
				// Failed rounds make Run wait, in real time; Flush in a loop keeps pushing as hard as it can.
				go func() {
					for {
						_ = reporter.Flush(ctx)
						time.Sleep(time.Millisecond)
					}
				}()
			}
		case "rec":
			go func() {
				seconds, _ := strconv.ParseInt(f[5], 10, 64)
				err := reporter.Record(ctx, f[2], usage.MustParseAmount(f[4]), time.Unix(seconds, 0), usage.ID(f[1]), usage.Package(strings.Trim(f[3], "-")))
				if err != nil {
					say("fail record:", err)
					return
				}
				say("ok", f[1])
			}()
		case "pending":
			p, err := reporter.Pending(ctx)
			if err != nil {
				say("fail pending:", err)
				continue
			}
			say("pending", p.Open.Windows+p.Sealed.Windows)
		}
	}
	return 0
}

// ledger is a marketplace that books usage records, and misbehaves: it refuses, takes a push and says it failed, cuts the
// connection or never answers, before or after it has booked.
type ledger struct {
	t       *testing.T
	mu      sync.Mutex
	rng     *rand.Rand
	booked  map[string]marketplaceapi.UsageRecord // by metering_sn
	ranges  map[string]string                     // instance, begin and end → metering_sn
	seen    map[string]marketplaceapi.UsageRecord // every record ever pushed, booked or not
	counts  map[string]int
	before  func() // called in front of booking, and after it
	after   func()
	atPush  int // the push at which they are called
	current int
}

func newLedger(t *testing.T, rng *rand.Rand) *ledger {
	return &ledger{
		t: t, rng: rng, booked: map[string]marketplaceapi.UsageRecord{}, ranges: map[string]string{},
		seen: map[string]marketplaceapi.UsageRecord{}, counts: map[string]int{},
	}
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var push marketplaceapi.UsagePush
	if err := json.NewDecoder(r.Body).Decode(&push); err != nil {
		return // it was killed while it sent
	}
	l.mu.Lock()
	fault := []string{"refuse", "cut", "hang", "book and fail", "book and cut", "book and hang", "", "", "", ""}[l.rng.IntN(10)]
	l.current++
	var before, after func()
	if l.current == l.atPush {
		before, after = l.before, l.after
	}
	if before != nil {
		before()
	}
	var answer marketplaceapi.UsageAnswer
	if fault == "" || strings.HasPrefix(fault, "book") {
		answer = l.book(push.UsageRecords)
	}
	if after != nil {
		after()
	}
	l.counts[fault]++
	l.mu.Unlock()
	switch {
	case strings.HasSuffix(fault, "cut"):
		panic(http.ErrAbortHandler)
	case strings.HasSuffix(fault, "hang"):
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // the client gives up, or is killed
		return
	case fault != "":
		w.WriteHeader(http.StatusInternalServerError)
		answer = marketplaceapi.UsageAnswer{ErrorCode: "MKT.0999", ErrorMsg: "System internal error"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// book takes the records that it does not have, as the sandbox does.
func (l *ledger) book(records []marketplaceapi.UsageRecord) marketplaceapi.UsageAnswer {
	var data marketplaceapi.AbnormalUsageData
	for _, r := range records {
		if old, ok := l.seen[r.MeteringSN]; ok && old != r {
			l.t.Errorf("metering_sn %s was pushed as %+v, and later as %+v", r.MeteringSN, old, r)
		}
		l.seen[r.MeteringSN] = r
		span := r.InstanceID + " " + r.BeginTime + " " + r.EndTime
		code := marketplaceapi.AbnormalUsageRecordErrorCode("")
		_, known := l.booked[r.MeteringSN]
		switch {
		case known && l.rng.IntN(2) == 0: // which of the two is looked at first is not published
			code = marketplaceapi.RecordMeteringSNDuplicate
		case l.ranges[span] != "":
			code = marketplaceapi.RecordDuplicate
			if l.ranges[span] != r.MeteringSN {
				l.t.Errorf("%s has records %s and %s", span, l.ranges[span], r.MeteringSN)
			}
		case l.rng.IntN(12) == 0:
			code = marketplaceapi.RecordInstanceState // for now
		default:
			l.booked[r.MeteringSN], l.ranges[span] = r, r.MeteringSN
		}
		if code != "" {
			l.counts["record "+string(code)]++
			data.AbnormalUsageData = append(data.AbnormalUsageData, marketplaceapi.AbnormalUsageRecord{
				InstanceID: r.InstanceID, MeteringSN: r.MeteringSN, BeginTime: r.BeginTime, EndTime: r.EndTime, ErrorCode: code,
			})
		}
	}
	if len(data.AbnormalUsageData) > 0 {
		return marketplaceapi.UsageAnswer{ErrorCode: "94060999", ErrorMsg: "Failed", Data: data}
	}
	return marketplaceapi.UsageAnswer{ErrorCode: "MKT.0000", ErrorMsg: "Success"}
}

// process is one life of the child.
type process struct {
	*exec.Cmd
	in      io.WriteCloser
	acks    chan string // ids
	pending chan int
	ready   chan struct{}
	ended   chan struct{}
}

func startChild(t *testing.T, file, url string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{Cmd: exec.Command(self), acks: make(chan string, 1000), pending: make(chan int, 1), ready: make(chan struct{}), ended: make(chan struct{})}
	p.Env = append(os.Environ(), childVariable+"="+file+"|"+url)
	p.Stderr = os.Stderr
	p.in, err = p.StdinPipe()
	require.NoError(t, err)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			word, rest, _ := strings.Cut(lines.Text(), " ")
			switch word {
			case "ready":
				close(p.ready)
			case "ok":
				p.acks <- rest
			case "pending":
				n, _ := strconv.Atoi(rest)
				p.pending <- n
			default:
				t.Errorf("child: %s", lines.Text())
			}
		}
	}()
	return p
}

func (p *process) tell(format string, args ...any) { _, _ = fmt.Fprintf(p.in, format+"\n", args...) } // it may be dead already

// record is something that was used.
type record struct {
	id, instance, pkg string
	amount            usage.Amount
	at                int64
}

// TestKilled kills a process that records and pushes, at random points, and holds that the marketplace's books come out exact.
func TestKilled(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 8
	}
	seed := uint64(20260304)
	if text := os.Getenv("ISVKIT_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d (set ISVKIT_TEST_SEED to choose another)", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	books := newLedger(t, rand.New(rand.NewPCG(seed, 2)))
	market := httptest.NewServer(books)
	market.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer market.Close()
	file := filepath.Join(t.TempDir(), "usage.db")

	now := time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC).Unix()
	birth := now
	acknowledged := map[string]bool{}
	var records []record
	var repeats []record // told to a process that was killed before it said ok
	points := map[string]int{}

	run := func(last bool) {
		p := startChild(t, file, market.URL)
		now += 60 + int64(rng.IntN(600)) // what the last one had reserved is free again
		p.tell("now %d", now)
		<-p.ready
		killed := make(chan struct{})
		kill := sync.OnceFunc(func() {
			close(killed) // first, or its end would look like one of its own
			_ = p.Process.Kill()
		})
		var told []record
		say := func(r record) {
			told = append(told, r)
			p.tell("rec %s %s %s %v %d", r.id, r.instance, orDash(r.pkg), r.amount, r.at)
		}
		for _, r := range repeats {
			say(r)
		}
		repeats = nil
		point, count := rng.IntN(4), 1+rng.IntN(4)
		if last {
			point = -1
		}
		books.mu.Lock()
		books.current, books.atPush, books.before, books.after = 0, count, nil, nil
		switch point {
		case 0:
			books.before = kill
		case 1:
			books.after = kill
		}
		books.mu.Unlock()
		n := 10 + rng.IntN(20)
		if last {
			n = 0
		}
		for i := range n {
			r := record{
				id: fmt.Sprint("e", len(records)), instance: fmt.Sprint("i", rng.IntN(4)), pkg: []string{"", "", "p1", "p2"}[rng.IntN(4)],
				amount: usage.FromUnits(1 + rng.Int64N(5_000_000)), at: max(now-rng.Int64N(7200), birth),
			}
			records = append(records, r)
			say(r)
			if rng.IntN(10) == 0 {
				say(records[rng.IntN(len(records))]) // the caller is not sure, and says it again
			}
			if rng.IntN(3) == 0 {
				now += int64(rng.IntN(400))
				p.tell("now %d", now)
			}
			if point == 2 && i == n/2 {
				pause := time.Duration(rng.IntN(4000)) * time.Microsecond // somewhere in a transaction or a push
				time.AfterFunc(pause, kill)
			}
		}
		if point == 3 {
			kill()
		}
		// Time goes on, so that pushes come due, until the point is reached or, in the last life, until nothing is left.
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		idle := 0
		for done := false; !done; {
			select {
			case <-killed:
				done = true
			case <-p.ended:
				select {
				case <-killed:
				default:
					t.Error("the child ended by itself")
				}
				done = true
			case left := <-p.pending:
				done = last && left == 0
			case <-tick.C:
				if idle++; idle > 5000 {
					t.Error("the point was not reached")
					kill()
				}
				now += 120
				p.tell("now %d", now)
				if !last && idle%100 == 0 { // everything is pushed, and the point is a push
					r := record{id: fmt.Sprint("e", len(records)), instance: "i0", amount: usage.FromUnits(int64(idle)), at: now}
					records = append(records, r)
					say(r)
				}
				if last && idle > 20 && len(p.acks) == len(told) {
					p.tell("pending")
					select {
					case left := <-p.pending:
						done = left == 0
					case <-p.ended:
					}
				}
			}
		}
		kill()
		<-p.ended
		_ = p.Wait()
		points[[]string{"at the end", "in front of booking", "after booking", "between records", "after the last record"}[point+1]]++
		close(p.acks)
		for id := range p.acks {
			acknowledged[id] = true
		}
		for _, r := range told {
			if !acknowledged[r.id] {
				repeats = append(repeats, r)
			}
		}
	}
	for range kills {
		run(false)
	}
	unsure := len(repeats)
	run(true)
	require.Empty(t, repeats)
	t.Logf("%d records, %d left unsure by the last kill; killed: %v; pushes: %v", len(records), unsure, points, books.counts)

	want, got := map[string]usage.Amount{}, map[string]usage.Amount{}
	add := func(m map[string]usage.Amount, key string, a usage.Amount) {
		sum, err := m[key].Add(a)
		require.NoError(t, err)
		m[key] = sum
	}
	for _, r := range records {
		hour := time.Unix(r.at, 0).UTC().Truncate(time.Hour)
		add(want, fmt.Sprintf("%s/%s %s", r.instance, r.pkg, hour.Format(time.RFC3339)), r.amount)
		add(want, "total", r.amount)
	}
	for _, r := range books.booked {
		begin, err := time.Parse("20060102T150405Z", r.BeginTime)
		require.NoError(t, err)
		amount := usage.MustParseAmount(r.UsageValue)
		add(got, fmt.Sprintf("%s/%s %s", r.InstanceID, r.RelatePkgInstance, begin.Truncate(time.Hour).Format(time.RFC3339)), amount)
		add(got, "total", amount)
	}
	require.Equal(t, want, got)
	t.Logf("%v in %d usage records: equal to the last digit", got["total"], len(books.booked))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
