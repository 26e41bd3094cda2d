package control

import (
	"context"
	"fmt"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// ListAttempts lists the journal.
func (s *server) ListAttempts(ctx context.Context, r ListAttemptsRequestObject) (ListAttemptsResponseObject, error) {
	p := r.Params
	if p.Outcome != "" && !p.Outcome.Valid() {
		return nil, fmt.Errorf("%w: outcome %q: no such outcome", orderbook.ErrInvalid, p.Outcome)
	}
	attempts, err := s.s.Store().Attempts(ctx, store.AttemptFilter{
		LineID: p.OrderLineID, Subject: p.Subject, ProductCode: p.ProductCode, SellerID: p.SellerID, CallID: p.CallID, Activity: p.Activity,
		Outcome: p.Outcome, Fault: p.Fault, Violations: p.Violations, Before: p.Before, After: p.After,
	}, limit(p.Limit))
	list := ListAttempts200JSONResponse{Attempts: make([]sandboxapi.Attempt, len(attempts))}
	for i, a := range attempts {
		list.Attempts[i] = attemptView(a)
	}
	return list, err
}

// GetAttempt shows one exchange.
func (s *server) GetAttempt(ctx context.Context, r GetAttemptRequestObject) (GetAttemptResponseObject, error) {
	a, err := s.s.Store().Attempt(ctx, r.AttemptID)
	if err != nil {
		return nil, err
	}
	return GetAttempt200JSONResponse(attemptView(a)), nil
}

func attemptView(a store.Attempt) sandboxapi.Attempt {
	return sandboxapi.Attempt{
		AttemptID: a.ID, CallID: a.CallID, OrderLineID: a.LineID, Subject: a.Subject, SellerID: a.SellerID, ProductCode: a.ProductCode,
		Activity: string(a.Activity), Number: a.Number, Time: a.StartedAt, Fault: a.Fault, Method: a.Method, URL: a.URL,
		RequestHeaders: a.RequestHeaders, RequestBody: a.RequestBody, Status: a.Status, ContentType: a.ContentType, ResponseBody: a.ResponseBody,
		DurationMs: float32(a.Duration.Microseconds()) / 1000, Outcome: a.Outcome, ResultCode: a.ResultCode, Detail: a.Detail,
		Violations: nonNil(a.Violations), Curl: again(a), Sign: signAgain(a),
	}
}

// nonNil makes an empty list of none, which JSON tells apart.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Redeliver sends calls again that ended.
func (s *server) Redeliver(ctx context.Context, r RedeliverRequestObject) (RedeliverResponseObject, error) {
	calls, err := s.s.Outbox().Redeliver(ctx, access.From(ctx).Scope(), r.Body.FromCallID, r.Body.ToCallID, r.Body.OrderLineID, r.Body.Activity)
	list := Redeliver202JSONResponse{Calls: make([]sandboxapi.Call, len(calls))}
	for i, c := range calls {
		list.Calls[i] = callView(c)
	}
	return list, err
}

// GetJournal tells how long the journal is, and what is kept of it.
func (s *server) GetJournal(ctx context.Context, _ GetJournalRequestObject) (GetJournalResponseObject, error) {
	j, err := s.s.Journal(ctx)
	return GetJournal200JSONResponse(j), err
}

// TrimJournal removes now what is not kept.
func (s *server) TrimJournal(ctx context.Context, r TrimJournalRequestObject) (TrimJournalResponseObject, error) {
	done, err := s.s.TrimJournal(ctx, *r.Body)
	return TrimJournal200JSONResponse(done), err
}
