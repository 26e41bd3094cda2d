package delivery

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/egress"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
)

// TestSend_EndsInTime: an attempt ends when the marketplace's patience does, however the answer is drawn out, and the end of a protocol
// that was switched to is not waited for.
func TestSend_EndsInTime(t *testing.T) {
	t.Parallel()
	require.Equal(t, 20*time.Second, NewSender(&http.Client{Timeout: time.Hour}, nil).timeout)
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	policy, err := egress.New(egress.Rules{})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		answer  http.HandlerFunc
		outcome sandboxapi.AttemptOutcome
		detail  string
	}{
		"never answers": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection goes unnoticed
			<-r.Context().Done()
		}, sandboxapi.AttemptTimeout, "no answer within 20s"},
		"stops in the body": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			flush(w)
			<-r.Context().Done()
		}, sandboxapi.AttemptTimeout, "no answer within 20s"},
		"trickles": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for tick := time.NewTicker(10 * time.Millisecond); ; {
				_, _ = io.WriteString(w, " ")
				flush(w)
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		}, sandboxapi.AttemptTimeout, "no answer within 20s"},
		"hints without end": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for r.Context().Err() == nil {
				w.Header().Set("Link", "</x>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, sandboxapi.AttemptUnreachable, "no answer: "},
		"switches protocols": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "h2c")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}, sandboxapi.AttemptInvalidAnswer, "101"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isv := httptest.NewServer(tc.answer)
			t.Cleanup(isv.Close)
			for _, client := range []*http.Client{nil, {Transport: egress.NewGate(policy, egress.Options{})}} {
				s := NewSender(client, nil)
				s.timeout = 500 * time.Millisecond
				p, err := Prepare(
					Target{Address: isv.URL, Access: catalogue.AccessV2, Keys: catalogue.Keys{Base: "k"}}, newInstanceCall(),
					Facts{Order: orderOf("CS1"), Instance: instance(marketplaceapi.ChargingPeriod)}, Options{})
				require.NoError(t, err)
				r, err := s.Send(t.Context(), p, fault.Exchange{})
				require.NoError(t, err)
				if name == "hints without end" && client == nil && r.Outcome == sandboxapi.AttemptTimeout {
					continue // a client of one's own may take more of a head, but not more time
				}
				require.Equal(t, tc.outcome, r.Outcome, r.Detail)
				require.Contains(t, r.Detail, tc.detail)
			}
		})
	}
}
