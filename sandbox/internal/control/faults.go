package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// faultView shows a fault.
func faultView(f store.Fault) sandboxapi.Fault {
	v := sandboxapi.Fault{
		FaultID: f.ID, Kind: sandboxapi.FaultKind(f.Kind), Activity: f.Activity, ProductCode: f.ProductCode, OrderLineID: f.OrderLineID, Operation: f.Operation,
		First: f.First, Probability: f.Probability, Seed: f.Seed, Bound: f.Bound, Status: f.Status, HTML: f.HTML, RetryAfter: f.RetryAfter,
		RecordCode: f.RecordCode, Records: f.Records, Struck: f.Total,
	}
	if f.Delay != 0 {
		v.Delay = f.Delay.String()
	}
	return v
}

// faultRule reads a rule.
func faultRule(id string, v sandboxapi.FaultRule) (r fault.Rule, err error) {
	r = fault.Rule{
		ID: id, Kind: fault.Kind(v.Kind), Activity: v.Activity, ProductCode: v.ProductCode, OrderLineID: v.OrderLineID, Operation: v.Operation,
		First: v.First, Probability: v.Probability, Seed: v.Seed, Bound: v.Bound, Status: v.Status, HTML: v.HTML, RetryAfter: v.RetryAfter,
		RecordCode: v.RecordCode, Records: v.Records,
	}
	if v.Delay != "" {
		if r.Delay, err = clock.ParseDuration(v.Delay); err != nil {
			return r, fmt.Errorf("%w: delay: %w", orderbook.ErrInvalid, err)
		}
	}
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("%w: %w", orderbook.ErrInvalid, err)
	}
	return r, nil
}

func (s *server) ListFaults(ctx context.Context, _ ListFaultsRequestObject) (ListFaultsResponseObject, error) {
	faults, err := s.s.Store().Faults(ctx)
	if err != nil {
		return nil, err
	}
	list := ListFaults200JSONResponse{Faults: []sandboxapi.Fault{}}
	seller := access.From(ctx).Scope()
	for _, f := range faults {
		// A seller sees those of its own products.
		if seller != "" {
			p, err := s.s.Store().Product(ctx, f.ProductCode)
			switch {
			case errors.Is(err, store.ErrNotFound) || err == nil && p.SellerID != seller:
				continue
			case err != nil:
				return nil, err
			}
		}
		list.Faults = append(list.Faults, faultView(f))
	}
	return list, nil
}

func (s *server) PutFault(ctx context.Context, r PutFaultRequestObject) (PutFaultResponseObject, error) {
	rule, err := faultRule(r.FaultID, *r.Body)
	if err != nil {
		return nil, err
	}
	var f store.Fault
	err = s.s.Store().Update(ctx, func(tx *store.Tx) error {
		if rule.ProductCode != "" {
			if _, err := tx.Product(rule.ProductCode); errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("%w: productCode: there is no product %q", orderbook.ErrInvalid, rule.ProductCode)
			} else if err != nil {
				return err
			}
		}
		f, err = tx.PutFault(rule)
		return err
	})
	return PutFault200JSONResponse(faultView(f)), err
}

func (s *server) DeleteFault(ctx context.Context, r DeleteFaultRequestObject) (DeleteFaultResponseObject, error) {
	err := s.s.Store().Update(ctx, func(tx *store.Tx) error { return tx.DeleteFault(r.FaultID) })
	return DeleteFault204Response{}, err
}

func (s *server) DeleteFaults(ctx context.Context, _ DeleteFaultsRequestObject) (DeleteFaultsResponseObject, error) {
	err := s.s.Store().Update(ctx, func(tx *store.Tx) error { return tx.DeleteFaults() })
	return DeleteFaults204Response{}, err
}
