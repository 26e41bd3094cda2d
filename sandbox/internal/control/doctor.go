package control

import (
	"cmp"
	"context"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/doctor"
)

// examination is how long the doctor takes at most.
const examination = 30 * time.Second

func (s *server) Examine(ctx context.Context, r ExamineRequestObject) (ExamineResponseObject, error) {
	seller, err := s.s.Store().Seller(ctx, sellerOf(ctx))
	if err != nil {
		return nil, err
	}
	counts, err := s.counts(ctx)
	if err != nil {
		return nil, err
	}
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
		Ahead: s.s.Clock().Ahead(), Orders: counts.Orders, CallsWaiting: counts.CallsWaiting, MarketURL: market, Last: s.s.LastAsked(access.From(ctx).Scope()),
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
