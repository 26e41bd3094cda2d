package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/probe"
	"github.com/isvkit/isvkit/sandbox/internal/probebook"
)

func (s *server) overview(ctx context.Context, productCode string) (v sandboxapi.CaseOverview, err error) {
	o, err := s.s.Probes().Overview(ctx, productCode)
	if err != nil {
		return v, err
	}
	v = sandboxapi.CaseOverview{
		ProductCode: o.Product.Code, Status: sandboxapi.ProductStatus(o.Product.Status), Cases: make([]sandboxapi.Case, len(o.Saved)),
		Missing: make([]sandboxapi.CaseKey, len(o.Missing)), LastProbeTime: o.Health.LastProbe, LastProbePassed: o.Health.LastPassed,
		NextProbeTime: o.NextProbe, FailedDays: o.Health.FailedDays, FrozenTime: o.Health.FrozenSince, FailedOrders: o.FailedOrders,
	}
	for i, c := range o.Saved {
		parameters, err := probe.Parameters(c.Call)
		if err != nil {
			return v, err
		}
		v.Cases[i] = sandboxapi.Case{
			Activity: c.Activity, Scene: c.Scene, Parameters: parameters, SavedTime: c.SavedAt, CalledTime: c.CalledAt,
			Passed: c.Problem == "", Problem: c.Problem,
		}
	}
	for i, key := range o.Missing {
		v.Missing[i] = sandboxapi.CaseKey{Activity: key.Activity, Scene: key.Scene}
	}
	return v, nil
}

func (s *server) ListCases(ctx context.Context, r ListCasesRequestObject) (ListCasesResponseObject, error) {
	v, err := s.overview(ctx, r.ProductCode)
	return ListCases200JSONResponse(v), err
}

func caseResult(r probebook.Result) sandboxapi.CaseResult {
	v := sandboxapi.CaseResult{Activity: r.Activity, Scene: r.Scene, CallID: r.CallID, Passed: r.Passed(), Saved: r.Saved, Problems: r.Problems}
	if v.Problems == nil {
		v.Problems = []string{}
	}
	return v
}

func caseResults(results []probebook.Result) sandboxapi.CaseResultList {
	list := sandboxapi.CaseResultList{Passed: true, Results: make([]sandboxapi.CaseResult, len(results))}
	for i, r := range results {
		list.Results[i] = caseResult(r)
		list.Passed = list.Passed && r.Passed()
	}
	return list
}

func (s *server) SaveCase(ctx context.Context, r SaveCaseRequestObject) (SaveCaseResponseObject, error) {
	parameters := map[string]json.RawMessage{}
	for name, value := range r.Body.Parameters {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%w: parameters: %s: %w", catalogue.ErrInvalid, name, err)
		}
		parameters[name] = text
	}
	result, err := s.s.Probes().Save(ctx, r.ProductCode, probe.Key{Activity: r.Body.Activity, Scene: r.Body.Scene}, parameters)
	return SaveCase200JSONResponse(caseResult(result)), err
}

func (s *server) SaveNeededCases(ctx context.Context, r SaveNeededCasesRequestObject) (SaveNeededCasesResponseObject, error) {
	results, err := s.s.Probes().SaveNeeded(ctx, r.ProductCode)
	return SaveNeededCases200JSONResponse(caseResults(results)), err
}

func (s *server) ProbeProduct(ctx context.Context, r ProbeProductRequestObject) (ProbeProductResponseObject, error) {
	results, err := s.s.Probes().Probe(ctx, r.ProductCode)
	if errors.Is(err, probebook.ErrNoCases) {
		return nil, &problem{http.StatusConflict, "no-cases", "product " + r.ProductCode + " has no saved debug case to probe it with: saveCase, or saveNeededCases"}
	}
	return ProbeProduct200JSONResponse(caseResults(results)), err
}

func (s *server) SetProductStatus(ctx context.Context, r SetProductStatusRequestObject) (SetProductStatusResponseObject, error) {
	if !r.Body.Status.Valid() {
		return nil, fmt.Errorf("%w: status %q: expected on-sale, frozen, hidden, delisted or stopped", catalogue.ErrInvalid, r.Body.Status)
	}
	err := s.s.Probes().SetStatus(ctx, r.ProductCode, catalogue.ProductStatus(r.Body.Status), r.Body.WithoutCases)
	var missing *probebook.MissingError
	if errors.As(err, &missing) {
		return nil, &problem{http.StatusConflict, "cases-missing", missing.Error()}
	}
	var repair *probebook.RepairError
	if errors.As(err, &repair) {
		return nil, &problem{http.StatusConflict, "repair-first", repair.Error()}
	}
	if err != nil {
		return nil, err
	}
	v, err := s.overview(ctx, r.ProductCode)
	return SetProductStatus200JSONResponse(v), err
}
