package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/metrics"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// Access says who may use the control API.
type Access struct {
	ControlToken string        // the operator's, for laptop mode; empty: only tokens of createToken are taken
	SellerTTL    time.Duration // how long a seller's token is good if nobody says otherwise; 0: a day
	Limits       access.Limits // of every seller
	Now          func() time.Time
}

// gate stands before every operation.
type gate struct {
	Access
	s     Sandbox
	log   *slog.Logger
	rates *access.Rates
	loads loads
}

func newGate(s Sandbox, a Access, log *slog.Logger) *gate {
	return &gate{Access: a, s: s, log: log, rates: access.NewRates(a.Limits.ControlRate, a.Now), loads: loads{s: s, now: a.Now, known: map[string]load{}}}
}

// identify finds out who asks, and how often he may.
func (g *gate) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		p, err := g.principal(req)
		if err != nil {
			return err
		}
		c.Set(principalKey, p)
		if p.Role == access.Seller {
			if wait, ok := g.rates.Take(p.SellerID); !ok {
				return tooMany(metrics.LimitControl, wait, fmt.Sprintf("seller %s asks more than %g times in a second", p.SellerID, g.Limits.ControlRate))
			}
		}
		c.SetRequest(req.WithContext(access.With(req.Context(), p)))
		return next(c)
	}
}

func (g *gate) principal(req *http.Request) (access.Principal, error) {
	text, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	// Digests, so that not even the length of the token can be measured.
	given, own := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(g.ControlToken))
	switch {
	case ok && g.ControlToken != "" && subtle.ConstantTimeCompare(given[:], own[:]) == 1:
		return access.Principal{Role: access.Operator}, nil
	case !ok || !access.LooksLikeToken(text):
		expected := "expected Authorization: Bearer with the control token from the key file, or a token of createToken"
		if g.ControlToken == "" {
			expected = "expected Authorization: Bearer with a token of createToken; the control token is not taken while tokens are on"
		}
		return access.Principal{}, &problem{http.StatusUnauthorized, "unauthorized", expected}
	}
	keys, err := g.s.Store().TokenKeys(req.Context())
	if err != nil {
		return access.Principal{}, err
	}
	p, err := keys.Verify(text, g.Now())
	if err != nil {
		return p, &problem{http.StatusUnauthorized, "unauthorized", err.Error()}
	}
	return p, nil
}

// tooMany is the answer to whoever wants too much: which limit he has reached, when to try again, and why.
func tooMany(limit string, wait time.Duration, why string) *tooManyError {
	return &tooManyError{limit, wait, why}
}

type tooManyError struct {
	limit string
	wait  time.Duration
	why   string
}

func (e *tooManyError) Error() string { return e.why }

// authorise lets an operation pass if its rule does, and writes down what it changed.
func (g *gate) authorise(next StrictHandlerFunc, name string) StrictHandlerFunc {
	operation := operationID(name)
	rule, known := rules[operation]
	return func(c echo.Context, request any) (any, error) {
		c.Set(operationKey, operation)
		ctx := c.Request().Context()
		p := access.From(ctx)
		var response any
		var err error
		switch {
		case !known: // a test sees to it that there is none
			err = fmt.Errorf("operation %s has no rule that says who may use it", operation)
		case p.Role == access.Operator:
			response, err = next(c, request)
		case rule.role == access.Operator:
			err = &problem{http.StatusForbidden, "forbidden", "this operation is the operator's: it concerns everybody who uses this sandbox"}
		default:
			if rule.calls {
				err = g.loads.check(ctx, p.SellerID, g.Limits)
			}
			if err == nil && rule.check != nil {
				request, err = rule.check(&scope{ctx: ctx, store: g.s.Store(), seller: p.SellerID}, request)
			}
			if err == nil {
				response, err = next(c, request)
			}
		}
		if !rule.reads {
			g.note(ctx, p, operation, idsOf(c, rule, request), err)
		}
		return response, err
	}
}

// operationID is the name in the document of what the generated code calls GetOrder.
func operationID(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

// idForm is what may stand in the audit log as an id. Anything else is somebody's mistake, and may be a secret in the wrong place.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$`)

// idsOf tells what an operation is about: what stands in its path, and what its rule finds in the body.
func idsOf(c echo.Context, r rule, request any) map[string]string {
	ids := map[string]string{}
	for _, name := range c.ParamNames() {
		ids[name] = c.Param(name)
	}
	if r.ids != nil {
		for name, id := range r.ids(request) {
			if id != "" {
				ids[name] = id
			}
		}
	}
	for name, id := range ids {
		if !idForm.MatchString(id) {
			ids[name] = "(no id)"
		}
	}
	return ids
}

// note writes into the audit log. What was done is done, so a log that cannot be written is an error of ours and not of who asked.
func (g *gate) note(ctx context.Context, p access.Principal, operation string, ids map[string]string, err error) {
	if errors.Is(err, context.Canceled) {
		return // nobody was answered; what was begun in a transaction was given up with it
	}
	e := store.AuditEntry{
		Time: g.Now(), TokenID: p.TokenID, Role: p.Role, SellerID: p.SellerID, Operation: operation, IDs: ids, Status: http.StatusOK, Outcome: "done",
	}
	if err != nil {
		answer := problemOf(err)
		e.Status, e.Outcome = answer.status, answer.kind
	}
	if err := g.s.Store().UpdateQuietly(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.AddAudit(e) }); err != nil {
		g.log.Error("control API: the audit log could not be written", "operation", operation, "status", e.Status, "error", err)
	}
}

// loads knows what sellers take of the sandbox, as it was a second ago at most.
type loads struct {
	s   Sandbox
	now func() time.Time

	mu    sync.Mutex
	known map[string]load
}

type load struct {
	pending, journal int
	at               time.Time
}

const (
	loadIsFresh = time.Second
	// retryLoad is what a seller is told to wait: deliveries take their time.
	retryLoad = 10 * time.Second
	// retryJournal is how long it may take until old attempts are deleted.
	retryJournal = time.Hour
)

func (l *loads) check(ctx context.Context, sellerID string, limits access.Limits) error {
	if limits.Pending <= 0 && limits.Journal <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	k, ok := l.known[sellerID]
	if since := now.Sub(k.at); !ok || since >= loadIsFresh || since < 0 {
		pending, journal, err := l.s.Store().Load(ctx, sellerID)
		if err != nil {
			return err
		}
		k = load{pending, journal, now}
		if len(l.known) > 10_000 {
			clear(l.known)
		}
	}
	k.pending++ // what is let pass now, until it is counted again
	l.known[sellerID] = k
	switch {
	case limits.Pending > 0 && k.pending > limits.Pending:
		return tooMany(metrics.LimitPending, retryLoad, fmt.Sprintf("seller %s has %d deliveries under way or waiting for their time, the most that it may have; listCalls shows them", sellerID, limits.Pending))
	case limits.Journal > 0 && k.journal >= limits.Journal:
		return tooMany(metrics.LimitJournal, retryJournal, fmt.Sprintf("seller %s has %d attempts in the journal, and may have %d; the operator can raise the limit or have old ones deleted",
			sellerID, k.journal, limits.Journal))
	}
	return nil
}

// retryAfter is a wait in whole seconds, rounded up.
func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
