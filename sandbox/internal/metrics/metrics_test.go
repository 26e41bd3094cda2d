package metrics_test

import (
	"context"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/sandbox/internal/metrics"
)

// full gives metrics that have seen one of everything.
func full(read func(context.Context) (metrics.State, error)) *metrics.Metrics {
	m := metrics.New("1.2.3")
	m.Attempted("newInstance", "succeeded", time.Second, 2*time.Millisecond)
	m.Delivered("newInstance", "succeeded", 1)
	m.OpenAPI("queryOrder", 200, "MKT.0000", time.Millisecond)
	m.OpenAPI("", 404, "APIGW.0101", time.Millisecond)
	m.Control("placeOrder", 201, time.Millisecond)
	m.Control("", 401, time.Millisecond)
	m.Committed(3, time.Millisecond)
	m.Again("conflict")
	m.Limited(metrics.LimitPending)
	m.Removed("attempts", 5)
	m.Watch(read)
	return m
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code, w.Body.String())
	return w.Body.String()
}

func TestMetrics_AreTold(t *testing.T) {
	m := full(func(context.Context) (metrics.State, error) {
		return metrics.State{Ready: true, Due: 1, Scheduled: 2, Waiting: 3, OldestDue: 4 * time.Second, Lag: 5 * time.Second, Ahead: -time.Minute, Held: true, Bytes: 6, Processes: 7, Leads: true}, nil
	})
	text := scrape(t, m)
	for _, line := range []string{
		`isv_sandbox_attempts_total{activity="newInstance",outcome="succeeded"} 1`, `isv_sandbox_attempt_delay_seconds_sum 0.002`,
		`isv_sandbox_openapi_requests_total{code="APIGW.0101",operation="none",status="404"} 1`, `isv_sandbox_control_requests_total{operation="none",status="401"} 1`,
		`isv_sandbox_store_updates_total 3`, `isv_sandbox_store_retries_total{reason="away"} 0`, `isv_sandbox_store_retries_total{reason="conflict"} 1`,
		`isv_sandbox_limit_refusals_total{limit="pending"} 1`, `isv_sandbox_journal_removed_total{what="attempts"} 5`,
		`isv_sandbox_calls{state="due"} 1`, `isv_sandbox_calls{state="scheduled"} 2`, `isv_sandbox_calls{state="waiting"} 3`, `isv_sandbox_oldest_due_seconds 4`,
		`isv_sandbox_clock_lag_seconds 5`, `isv_sandbox_clock_ahead_seconds -60`, `isv_sandbox_clock_held 1`, `isv_sandbox_database_bytes 6`, `isv_sandbox_processes 7`,
		`isv_sandbox_leads 1`, `isv_sandbox_ready 1`, `isv_sandbox_database_up 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, "isv_sandbox_attempt_delay_seconds_count 2")
	m.Attempted("newInstance", "succeeded", time.Second, -1)
	require.Contains(t, scrape(t, m), "isv_sandbox_attempt_delay_seconds_count 1\n", "one that was never due is not late")
	require.Error(t, m.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "isv_sandbox_ready", Help: "taken"})))
}

// TestMetrics_WithoutADatabase tells what it knows when the database does not answer.
func TestMetrics_WithoutADatabase(t *testing.T) {
	text := scrape(t, full(func(context.Context) (metrics.State, error) { return metrics.State{}, errors.New("canary") }))
	require.Contains(t, text, "isv_sandbox_database_up 0\n")
	require.Contains(t, text, "isv_sandbox_attempts_total{")
	require.NotContains(t, text, "isv_sandbox_calls{")
	require.NotContains(t, text, "canary")
}

// TestMetrics_AreInTheDocuments holds OPERATIONS.md and alerts.yaml to the metrics that there are, and OPERATIONS.md to all of them.
func TestMetrics_AreInTheDocuments(t *testing.T) {
	there := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (isv_sandbox_\w+) `).FindAllStringSubmatch(scrape(t, full(func(context.Context) (metrics.State, error) { return metrics.State{}, nil })), -1) {
		there[found[1]] = true
	}
	require.Greater(t, len(there), 20)
	named := func(file string) map[string]bool {
		text, err := os.ReadFile("../../" + file)
		require.NoError(t, err)
		names := map[string]bool{}
		for _, name := range regexp.MustCompile(`isv_sandbox_\w+`).FindAllString(string(text), -1) {
			if !there[name] {
				name = strings.TrimSuffix(name, "_bucket")
			}
			names[name] = true
			require.True(t, there[name], "%s names %s, which there is not", file, name)
		}
		return names
	}
	require.NotEmpty(t, named("alerts.yaml"))
	require.Equal(t, slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(named("OPERATIONS.md"))))

	text, err := os.ReadFile("../../alerts.yaml")
	require.NoError(t, err)
	var rules struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal(text, &rules))
	require.Len(t, rules.Groups, 1)
	for _, r := range rules.Groups[0].Rules {
		require.NotEmpty(t, r.Alert)
		require.Contains(t, r.Expr, "isv_sandbox_", r.Alert)
		require.NotEmpty(t, r.For, r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.Equal(t, strings.Count(r.Expr, "("), strings.Count(r.Expr, ")"), r.Alert)
	}
}
