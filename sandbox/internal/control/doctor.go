package control

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/doctor"
)

// examination is how long the doctor takes at most.
const examination = 30 * time.Second

func (s *server) Examine(ctx context.Context, r ExamineRequestObject) (ExamineResponseObject, error) {
	seller, err := s.s.Store().Seller(ctx, cmp.Or(r.Body.SellerID, sellerOf(ctx)))
	if err != nil {
		return nil, err
	}
	of := cmp.Or(r.Body.SellerID, access.From(ctx).Scope()) // empty: everybody's
	counts, err := s.counts(ctx)
	if of != "" {
		counts, err = s.s.Store().CountsOfSeller(ctx, of)
	}
	if err != nil {
		return nil, err
	}
	refused, err := s.s.RefusedAddresses(ctx, of)
	if err != nil {
		return nil, err
	}
	refused = slices.DeleteFunc(refused, func(a doctor.RefusedAddress) bool { // the examination itself tells
		return a.SellerID == seller.ID && a.ProductCode == "" && r.Body.ProductionAddress == ""
	})
	if address := r.Body.ProductionAddress; address != "" {
		if err := catalogue.CheckAddress(address); err != nil {
			return nil, err
		}
	}
	market, _ := s.s.Addresses()
	outside, cancel := context.WithTimeout(ctx, examination)
	defer cancel()
	findings := doctor.Examine(outside, doctor.Patient{
		Address: cmp.Or(r.Body.ProductionAddress, seller.Address), BaseKey: seller.Keys.Base, V1: r.Body.Access == sandboxapi.ExamineV1,
		Gate: s.s.Gate(),
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	findings = append(findings, doctor.AtHome(doctor.Home{
		Ahead: s.s.Clock().Ahead(), Orders: counts.Orders, CallsWaiting: counts.CallsWaiting, MarketURL: market, Last: s.s.LastAsked(of), Refused: refused,
	})...)
	d := Examine200JSONResponse{Findings: findings}
	for _, f := range findings {
		switch f.Severity {
		case sandboxapi.SeverityWrong:
			d.Wrong++
		case sandboxapi.SeverityWarning:
			d.Warnings++
		}
	}
	return d, nil
}
