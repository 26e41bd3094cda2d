// Package metrics counts what a sandbox does, and tells it in Prometheus' format.
//
// Labels have few values: activities, operations, outcomes and codes of the contract, all of them known before the first request. Orders,
// calls and addresses are never among them, nor are sellers: anybody with an operator's token can add as many as he likes, and what
// one of them does is in the journal.
package metrics

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	namespace = "isv_sandbox"
	// none is the operation of a request that is for no operation of the document, or was refused before that was looked at.
	none = "none"
	// readLimit is how long a scrape waits for the database.
	readLimit = 5 * time.Second
)

// The limits of a seller.
const (
	LimitControl = "control-rate"
	LimitOpenAPI = "openapi-rate"
	LimitPending = "pending"
	LimitJournal = "journal"
)

// Metrics of one sandbox, in a registry of its own. Its methods may be called concurrently, and cost less than a microsecond.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	attempts   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	late       prometheus.Histogram
	deliveries *prometheus.CounterVec
	perCall    *prometheus.HistogramVec

	openAPI, control                 *prometheus.CounterVec
	openAPIDuration, controlDuration *prometheus.HistogramVec

	updates       prometheus.Counter
	perCommit     prometheus.Histogram
	commitSeconds prometheus.Histogram
	again         *prometheus.CounterVec

	limits  *prometheus.CounterVec
	removed *prometheus.CounterVec
}

// State is how things stand when somebody asks.
type State struct {
	Ready     bool
	Due       int           // calls whose attempt is due or under way
	Scheduled int           // calls whose next attempt is later
	Waiting   int           // calls that are not retried any more and wait for somebody
	OldestDue time.Duration // since when the oldest of Due is, on the sandbox's clock
	Lag       time.Duration // how far everything that is due, calls and timers, is behind the clock
	Ahead     time.Duration // how far the clock is ahead of real time
	Held      bool          // it was stopped
	Bytes     int64         // of the database
	Processes int           // that share it
	Leads     bool          // this one leads them
}

// New makes the metrics of a sandbox of a version.
func New(version string) *Metrics {
	registry := prometheus.NewRegistry()
	m := &Metrics{registry: registry}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
		registry.MustRegister(v)
		return v
	}
	answers := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}
	m.attempts = counter("attempts_total", "Attempts at calls that ended, those made besides because of a fault included.", "activity", "outcome")
	m.durations = histogram("attempt_duration_seconds", "How long the ISV took for an attempt, in real time.", answers, "activity")
	m.late = histogram("attempt_delay_seconds", "How long after it was due an attempt began, on the sandbox's clock.",
		[]float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}).WithLabelValues().(prometheus.Histogram)
	m.deliveries = counter("deliveries_total", "Calls whose delivery ended: they succeeded, failed for good, or wait until somebody restarts them.", "activity", "outcome")
	m.perCall = histogram("delivery_attempts", "How many attempts a delivery took until it ended.", []float64{1, 2, 3, 5, 10, 20, 60}, "outcome")
	m.openAPI = counter("openapi_requests_total", "Requests to the open API.", "operation", "status", "code")
	m.openAPIDuration = histogram("openapi_request_duration_seconds", "How long requests to the open API took.", answers, "operation")
	m.control = counter("control_requests_total", "Requests to the control API.", "operation", "status")
	m.controlDuration = histogram("control_request_duration_seconds", "How long requests to the control API took. Some wait for what they are told to wait for.", answers, "operation")
	m.updates = counter("store_updates_total", "Updates of the database that were committed.").WithLabelValues()
	m.perCommit = histogram("store_updates_per_commit", "How many updates shared a transaction.", []float64{1, 2, 4, 8, 16, 32, 64, 128}).WithLabelValues().(prometheus.Histogram)
	m.commitSeconds = histogram("store_commit_duration_seconds", "How long a transaction took, from its begin until it was committed.",
		[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}).WithLabelValues().(prometheus.Histogram)
	m.again = counter("store_retries_total", "Updates that were run again in PostgreSQL: others had changed the same rows, or the server was away.", "reason")
	m.limits = counter("limit_refusals_total", "Requests that were refused because a seller had reached a limit.", "limit")
	m.removed = counter("journal_removed_total", "What retention removed from the journal.", "what")
	// Those of which there are few are told from the start, so that the first of them is seen as an increase.
	for v, values := range map[*prometheus.CounterVec][]string{
		m.again: {"conflict", "duplicate", "away"}, m.limits: {LimitControl, LimitOpenAPI, LimitPending, LimitJournal}, m.removed: {"attempts", "calls"},
	} {
		for _, value := range values {
			v.WithLabelValues(value)
		}
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "1, with the version of the sandbox and of Go."}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 3})
	return m
}

// Register adds metrics that somebody else keeps.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// Attempted counts an attempt that ended. late is how long after it was due it began; below zero if it was never due.
func (m *Metrics) Attempted(activity, outcome string, took, late time.Duration) {
	m.attempts.WithLabelValues(activity, outcome).Inc()
	m.durations.WithLabelValues(activity).Observe(took.Seconds())
	if late >= 0 {
		m.late.Observe(late.Seconds())
	}
}

// Delivered counts a delivery that ended, after so many attempts.
func (m *Metrics) Delivered(activity, outcome string, attempts int) {
	m.deliveries.WithLabelValues(activity, outcome).Inc()
	m.perCall.WithLabelValues(outcome).Observe(float64(attempts))
}

// OpenAPI counts a request to the open API.
func (m *Metrics) OpenAPI(operation string, status int, code string, took time.Duration) {
	if operation == "" {
		operation = none
	}
	m.openAPI.WithLabelValues(operation, strconv.Itoa(status), code).Inc()
	m.openAPIDuration.WithLabelValues(operation).Observe(took.Seconds())
}

// Control counts a request to the control API.
func (m *Metrics) Control(operation string, status int, took time.Duration) {
	if operation == "" {
		operation = none
	}
	m.control.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.controlDuration.WithLabelValues(operation).Observe(took.Seconds())
}

// Committed counts a transaction with some updates.
func (m *Metrics) Committed(updates int, took time.Duration) {
	m.updates.Add(float64(updates))
	m.perCommit.Observe(float64(updates))
	m.commitSeconds.Observe(took.Seconds())
}

// Again counts an update that is run again.
func (m *Metrics) Again(reason string) { m.again.WithLabelValues(reason).Inc() }

// Limited counts a request that a limit refused.
func (m *Metrics) Limited(limit string) { m.limits.WithLabelValues(limit).Inc() }

// Removed counts what retention removed.
func (m *Metrics) Removed(what string, n int64) { m.removed.WithLabelValues(what).Add(float64(n)) }

// Watch has every scrape ask how things stand. Where that cannot be told, up is 0 and nothing else is told of it.
func (m *Metrics) Watch(read func(ctx context.Context) (State, error)) {
	m.registry.MustRegister(&watcher{read: read})
}

type gauge struct {
	desc  *prometheus.Desc
	value func(s State) float64
}

func newGauge(name, help string, value func(s State) float64) gauge {
	return gauge{prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, nil, nil), value}
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var (
	up     = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "database_up"), "1 if the database answered this scrape.", nil, nil)
	calls  = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "calls"), "Calls that have not succeeded: due or under way, scheduled for later, or waiting until somebody restarts them.", []string{"state"}, nil)
	gauges = []gauge{
		newGauge("ready", "1 if this process is ready for work, as /readyz says.", func(s State) float64 { return yes(s.Ready) }),
		newGauge("oldest_due_seconds", "Since when the oldest call is due that is due or under way, on the sandbox's clock.", func(s State) float64 { return s.OldestDue.Seconds() }),
		newGauge("clock_lag_seconds", "How far what is due and not begun, calls and what time demands, is behind the sandbox's clock.", func(s State) float64 { return s.Lag.Seconds() }),
		newGauge("clock_ahead_seconds", "How far the sandbox's clock is ahead of real time.", func(s State) float64 { return s.Ahead.Seconds() }),
		newGauge("clock_held", "1 if the sandbox's clock was stopped.", func(s State) float64 { return yes(s.Held) }),
		newGauge("database_bytes", "The size of the database, without what SQLite has not yet written back from its log.", func(s State) float64 { return float64(s.Bytes) }),
		newGauge("processes", "How many processes share the database.", func(s State) float64 { return float64(s.Processes) }),
		newGauge("leads", "1 if this process leads those that share the database.", func(s State) float64 { return yes(s.Leads) }),
	}
)

// watcher asks one at a time: a scrape that comes while another waits for the database would only add to what makes it slow.
type watcher struct {
	read func(ctx context.Context) (State, error)
	mu   sync.Mutex
}

// Describe tells what there is.
func (w *watcher) Describe(to chan<- *prometheus.Desc) {
	to <- up
	to <- calls
	for _, g := range gauges {
		to <- g.desc
	}
}

// Collect asks.
func (w *watcher) Collect(to chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	s, err := w.read(ctx)
	to <- prometheus.MustNewConstMetric(up, prometheus.GaugeValue, yes(err == nil))
	if err != nil {
		return
	}
	for state, n := range map[string]int{"due": s.Due, "scheduled": s.Scheduled, "waiting": s.Waiting} {
		to <- prometheus.MustNewConstMetric(calls, prometheus.GaugeValue, float64(n), state)
	}
	for _, g := range gauges {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(s))
	}
}
