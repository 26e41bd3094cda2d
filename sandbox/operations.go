package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/doctor"
	"github.com/isvkit/isvkit/sandbox/internal/egress"
	"github.com/isvkit/isvkit/sandbox/internal/metrics"
)

const (
	// healthLimit is how long the database may take to answer before it is taken for one that does not.
	healthLimit = 2 * time.Second
	// healthFresh is how long its answer counts: anybody may ask for health, as often as he likes.
	healthFresh = time.Second
)

// Health is what /readyz answers. Parts that are not ready say why, and never more than everybody may know.
type Health struct {
	Ready bool              `json:"ready"`
	Parts map[string]string `json:"parts"` // ok, or what is not
}

// Names of the parts, and what an ok one says.
const (
	partDatabase   = "database"
	partMigrations = "migrations"
	partKeys       = "keys"
	partQueue      = "queue"
	partOK         = "ok"
)

// stored is what is known of the database, as it was a moment ago.
type stored struct {
	mu    sync.Mutex
	at    time.Time
	parts map[string]string
}

// Health tells whether this process is ready for work: its database answers and has the schema that this program knows, the keys in it
// can be opened, and the queue works. It is not while it starts, and while it shuts down.
func (s *Sandbox) Health(ctx context.Context) Health {
	h := Health{Ready: true, Parts: map[string]string{partQueue: partOK}}
	for name, text := range s.storedHealth(ctx) {
		h.Parts[name] = text
	}
	if err := s.queue.Working(); err != nil {
		h.Parts[partQueue] = err.Error() // one of the queue's own
	}
	for _, text := range h.Parts {
		h.Ready = h.Ready && text == partOK
	}
	return h
}

// storedHealth looks at the database, unless that was done just now.
func (s *Sandbox) storedHealth(ctx context.Context) map[string]string {
	s.stored.mu.Lock()
	defer s.stored.mu.Unlock()
	if time.Since(s.stored.at) < healthFresh {
		return s.stored.parts
	}
	// Whoever asked may leave; the others wait for the same answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthLimit)
	defer cancel()
	const unknown = "not known while the database does not answer"
	parts := map[string]string{partDatabase: partOK, partMigrations: partOK, partKeys: partOK}
	current, err := s.store.Current(ctx)
	switch {
	case err != nil:
		parts[partDatabase], parts[partMigrations], parts[partKeys] = "does not answer; the log says more", unknown, unknown
	case !current:
		parts[partMigrations] = "another version of the sandbox has changed the schema; start this one again"
	}
	if err == nil {
		if _, err = s.store.TokenKeys(ctx); err == nil {
			_, err = s.store.Seller(ctx, catalogue.DemoSeller)
		}
		if err != nil {
			parts[partKeys] = "the keys in the database cannot be opened; the log says more"
		}
	}
	if err != nil {
		s.log.Warn("not ready", "error", err)
	}
	s.stored.parts, s.stored.at = parts, time.Now()
	return parts
}

// HealthHandler serves /healthz, which tells that this process is alive, and /readyz, which tells whether it is ready for work, with each
// part. Anybody may ask. The control API's handler serves them too.
func (s *Sandbox) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"alive": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		h := s.Health(r.Context())
		status := http.StatusOK
		if !h.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, h)
	})
	return mux
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked may have left
}

// MetricsHandler serves the metrics in Prometheus' format at /metrics, to everybody who can reach it, and health as [Sandbox.HealthHandler]
// does. The control API's handler has /metrics too, for operators.
func (s *Sandbox) MetricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics)
	mux.Handle("/", s.HealthHandler())
	return mux
}

// state tells the metrics how things stand.
func (s *Sandbox) state(ctx context.Context) (metrics.State, error) {
	now := s.clock.Now()
	backlog, err := s.store.Backlog(ctx, now)
	if err != nil {
		return metrics.State{}, err
	}
	state := metrics.State{
		Ready: s.Health(ctx).Ready, Due: backlog.Due, Scheduled: backlog.Scheduled, Waiting: backlog.Waiting,
		Ahead: s.clock.Ahead(), Held: s.clock.Held(), Processes: 1, Leads: true,
	}
	if !backlog.Oldest.IsZero() {
		state.OldestDue = max(0, now.Sub(backlog.Oldest))
	}
	next, err := s.queue.Next(ctx)
	if err != nil {
		return state, err
	}
	if !next.IsZero() {
		state.Lag = max(0, now.Sub(next))
	}
	if state.Bytes, err = s.store.Bytes(ctx); err != nil || !s.store.Shared() {
		return state, err
	}
	processes, err := s.store.Processes(ctx)
	state.Processes, state.Leads = len(processes), s.store.Leads(ctx)
	return state, err
}

// Drain is the first part of a shutdown: the sandbox is not ready any more, requests that wait for something are ended, and no attempt is
// begun. It returns when those under way have ended and are stored, or when the context is over. Then the context of Run may be ended; what
// is under way even then is cut, journaled as interrupted, and repeated by the next Run on the database.
func (s *Sandbox) Drain(ctx context.Context) error {
	s.stop()
	return s.queue.Drain(ctx)
}

// refusedAddresses finds the stored production addresses that the egress policy does not allow, as far as that can be told without asking for
// names; of one seller if sellerID is not empty.
func (s *Sandbox) refusedAddresses(ctx context.Context, sellerID string) (refused []doctor.RefusedAddress, err error) {
	if !s.gated {
		return nil, nil
	}
	sellers, err := s.store.Sellers(ctx)
	if err != nil {
		return nil, err
	}
	products, err := s.store.Products(ctx, sellerID)
	if err != nil {
		return nil, err
	}
	check := func(sellerID, productCode, address string) {
		if address == "" {
			return
		}
		if err := s.gate.Policy().Check(address); err != nil {
			refused = append(refused, doctor.RefusedAddress{SellerID: sellerID, ProductCode: productCode, Err: err})
		}
	}
	for _, seller := range sellers {
		if sellerID == "" || seller.ID == sellerID {
			check(seller.ID, "", seller.Address)
		}
	}
	for _, p := range products {
		check(p.SellerID, p.Code, p.Address)
	}
	return refused, nil
}

// manyRefused is how many refused addresses are told one by one.
const manyRefused = 20

// tellRefusedAddresses tells the log of stored production addresses that the policy refuses: calls to them are not made, which would be
// seen only when one is due.
func (s *Sandbox) tellRefusedAddresses(ctx context.Context) error {
	refused, err := s.refusedAddresses(ctx, "")
	for i, a := range refused {
		if i == manyRefused {
			s.log.Warn("the egress policy refuses more stored production addresses", "more", len(refused)-i)
			break
		}
		s.log.Warn("the egress policy refuses a stored production address: attempts at calls to it are not made, and count as unreachable",
			"sellerId", a.SellerID, "productCode", a.ProductCode, "why", egress.Explain(a.Err))
	}
	return err
}
