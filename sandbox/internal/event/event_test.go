package event_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
)

var noon = time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)

func TestNotification_TellsWhatWhenAndWhatToDo(t *testing.T) {
	t.Parallel()
	failure := event.Failure{
		SellerID: "demo", Subject: "CS1-000001", ProductCode: "crm", OrderID: "CS1", CallID: 7, Activity: "newInstance", Attempt: 2,
		Detail: "HTTP status 500, expected 200 whatever happens", ResultCode: "",
	}
	for name, tc := range map[string]struct {
		change func(f *event.Failure)
		want   []string
	}{
		"tried again": {
			func(f *event.Failure) { f.Next = noon.Add(time.Hour) },
			[]string{"newInstance", "order CS1", "product crm", "attempt 2", "HTTP status 500", "again at 2026-03-01 13:00:00 Beijing time", "call 7"},
		},
		"the order failed": {
			func(f *event.Failure) { f.FailsOrder = true },
			[]string{"order CS1 has failed", "money back", "more than five"},
		},
		"waits": {
			func(f *event.Failure) { f.OrderID = "" },
			[]string{"order line CS1-000001", "no longer called again by itself", "isv-sandbox restart 7"},
		},
		"somebody asked": {
			func(f *event.Failure) { f.OrderID, f.Subject, f.Wanted = "", "kit/t-1", true },
			[]string{"for kit t-1", "has to ask again"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := failure
			tc.change(&f)
			e := event.Notification(f, noon)
			require.Equal(t, sandboxapi.EventNotification, e.Kind)
			require.Equal(t, "demo", e.SellerID)
			require.Equal(t, noon, e.Time)
			for _, want := range tc.want {
				require.Contains(t, e.Text, want)
			}
			require.Equal(t, "7", e.Details["callId"])
			require.Equal(t, !f.Next.IsZero(), e.Details["nextTime"] != "")
			require.NotContains(t, e.Details, "resultCode", "what is empty is left out")
		})
	}
}

func TestEvents_HaveTextsThatArePlain(t *testing.T) {
	t.Parallel()
	o := event.Order{SellerID: "demo", OrderID: "CS1", Type: "NEW", Line: "CS1-000001"}
	for _, tc := range []struct {
		event event.Event
		want  string
	}{
		{event.OrderPlaced(o, noon), "Order CS1, NEW, was placed."},
		{event.OrderCompleted(o, noon), "Order CS1, NEW, is completed."},
		{event.OrderFailed(o, noon), "Order CS1, NEW, has failed; the buyer gets the money back."},
		{event.InstanceChanged("demo", "CS1-000001", "i-1", "opening", "ready", noon), "The instance of order line CS1-000001 is ready, it was opening."},
		{event.InstanceChanged("demo", "CS1-000001", "", "", "creating", noon), "The instance of order line CS1-000001 is creating."},
		{event.CallWaiting(event.Failure{CallID: 7, Activity: "releaseInstance", Subject: "CS1-000001", Attempt: 61}, noon), "Call 7, releaseInstance for order line CS1-000001, waits for a restart by hand after 61 attempts."},
		{event.Status("demo", "crm", sandboxapi.EventProductFrozen, "Its probes failed for five days", noon), "Product crm is frozen: it is hidden, and nobody can order it. Its probes failed for five days."},
		{event.Status("demo", "crm", sandboxapi.EventProductOnSale, "", noon), "Product crm is on sale."},
		{event.ProbeFailed("demo", "crm", []string{"newInstance: HTTP status 500"}, 2, 5, noon.Add(3*time.Hour), noon), "The probe of product crm failed: newInstance: HTTP status 500. The next probe is at 2026-03-01 15:00:00 Beijing time. Mend it; after 5 days of failing probes in a row the product is frozen."},
		{event.ProbeRecovered("demo", "crm", noon), "The probe of product crm succeeded again."},
		{event.UsageRejected("demo", 2, 10, "005", "instance i-1: duplicate unique id", noon), "2 of 10 usage records were refused; for one: instance i-1: duplicate unique id. See isv-sandbox usage, mend them and push them again."},
		{event.ClockMoved(36*time.Hour, noon), "The clock was moved forward by 36h0m0s, to 2026-03-01 12:00:00 Beijing time."},
		{event.FaultApplied("demo", "CS1-000001", "f-1", "drop-answer", "newInstance", noon), "Fault f-1, drop-answer, was applied to newInstance."},
		{event.ProviderChanged("demo", "http://127.0.0.1:9000/", noon), "The production address is http://127.0.0.1:9000/ now, also for calls that wait."},
		{event.Attempt(event.Ended{ID: 3, CallID: 7, Activity: "newInstance", Number: 1, Outcome: "timeout", Detail: "no answer within 20s"}), "newInstance, attempt 1 of call 7: timeout, no answer within 20s."},
	} {
		require.Equal(t, tc.want, tc.event.Text)
		require.True(t, tc.event.Kind.Valid(), tc.event.Kind)
		require.NotEmpty(t, tc.event.Subject+tc.event.Details["attemptId"])
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]event.Cursor{
		"0":           {},
		"120":         {Event: 120},
		"120.0":       {Event: 120, Journal: true},
		"120.340":     {Event: 120, Journal: true, Attempt: 340},
		"0.1":         {Journal: true, Attempt: 1},
		"5.340-4-1":   {Event: 5, Journal: true, Attempt: 340, Open: []int64{336, 339}},
		"5.340-339-0": {Event: 5, Journal: true, Attempt: 340, Open: []int64{1, 340}},
	} {
		got, err := event.ParseCursor(id)
		require.NoError(t, err, id)
		require.Equal(t, want, got, id)
		require.Equal(t, id, got.String())
	}
	for _, bad := range []string{"", "-1", "+1", "01", "x", "1.", "1.0-0", "1.x", "1.5-", "1.5-5", "1.5-1-4", "1.5-1-1", "1.5--1", "99999999999999999999", "1.2.3", "1.500" + strings.Repeat("-1", event.MaxOpen+1)} {
		_, err := event.ParseCursor(bad)
		require.ErrorContains(t, err, "expected the id of a message", bad)
	}
}

// TestCursor_Passed walks over attempts that end in another order than they began.
func TestCursor_Passed(t *testing.T) {
	t.Parallel()
	c := event.Cursor{Event: 9, Journal: true}
	for _, step := range []struct {
		attempt int64
		ended   bool
		want    string
	}{
		{1, true, "9.1"},
		{2, false, "9.2-0"},
		{3, true, "9.3-1"},
		{4, false, "9.4-2-0"},
		{4, false, "9.4-2-0"}, // still under way
		{2, true, "9.4-0"},
		{4, true, "9.4"},
		{5, true, "9.5"},
	} {
		before := c.String()
		next := c.Passed(step.attempt, step.ended)
		require.Equal(t, step.want, next.String())
		require.Equal(t, before, c.String(), "a cursor that was sent does not change")
		c = next
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "0", "120.340-4-1", "1.5-5", "9223372036854775807.9223372036854775807-0", "1.5--1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := event.ParseCursor(s)
		if err != nil {
			return
		}
		if c.String() != s {
			t.Errorf("%q reads as %+v, which is %q", s, c, c.String())
		}
		for _, id := range c.Open {
			if id <= 0 || id > c.Attempt {
				t.Errorf("%q has the open attempt %d", s, id)
			}
		}
	})
}
