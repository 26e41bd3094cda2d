package control

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/marketbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/market/settlement"
)

func money(d decimal.Decimal) sandboxapi.Amount { return d.StringFixed(2) }

// ListMarkets lists the editions of every market's policy.
func (s *server) ListMarkets(context.Context, ListMarketsRequestObject) (ListMarketsResponseObject, error) {
	list := ListMarkets200JSONResponse{Markets: []sandboxapi.Market{}}
	set := s.s.Markets().Policies()
	for _, name := range set.Names() {
		for _, p := range set.Editions(name) {
			m := sandboxapi.Market{Market: p.Market, Name: p.Name, Effective: string(p.Effective), Until: string(p.Until), Categories: make([]string, len(p.Categories))}
			for i, c := range p.Categories {
				m.Categories[i] = c.ID
			}
			list.Markets = append(list.Markets, m)
		}
	}
	return list, nil
}

func (s *server) standing(ctx context.Context, sellerID string) (v sandboxapi.MarketStanding, err error) {
	st, err := s.s.Markets().Standing(ctx, sellerID)
	if err != nil {
		return v, err
	}
	registration, err := as[sandboxapi.Registration](st.Registration)
	if err != nil {
		return v, err
	}
	v = sandboxapi.MarketStanding{
		SellerID: sellerID, Registration: registration, PolicyEffective: string(st.Policy.Effective), PolicyLapsed: st.Policy.Lapsed(s.s.Clock().Now()),
		Deposit: sandboxapi.DepositStanding{
			Required: money(st.Deposit.Required), Held: money(st.Deposit.Held), Short: money(st.Deposit.Short), TopUpTime: st.Deposit.TopUpBy, Overdue: st.Deposit.Overdue,
		},
		Withdrawable: sandboxapi.Withdrawable{Possible: st.Withdrawable.Possible, Amount: money(st.Withdrawable.Amount), Why: st.Withdrawable.Why, Months: st.Withdrawable.Months},
		ChargesDue:   []string{}, Months: make([]sandboxapi.MonthSummary, len(st.Statements)),
		FailedDeliveries: make([]sandboxapi.FailedDelivery, len(st.Failures)), Actions: make([]sandboxapi.MarketAction, len(st.Actions)),
	}
	for _, f := range st.Deposit.Follows {
		v.Deposit.Sanctions = append(v.Deposit.Sanctions, f.Do)
	}
	for _, c := range st.Charges {
		v.ChargesDue = append(v.ChargesDue, c.Rule)
	}
	for i, m := range st.Statements {
		v.Months[i] = sandboxapi.MonthSummary{
			Month: m.Month, Final: m.Final, Sales: money(m.Sales), Refunds: money(m.Refunds), Fee: money(m.Charged.Sub(m.Correction).Sub(m.GivenBack)), Net: money(m.Net),
		}
	}
	for i, f := range st.Failures {
		v.FailedDeliveries[i] = sandboxapi.FailedDelivery{OrderLineID: f.LineID, ProductCode: f.ProductCode, FailedTime: f.Since}
	}
	for i, a := range st.Actions {
		v.Actions[i] = sandboxapi.MarketAction{ProductCode: a.ProductCode, Action: a.Do, Rule: a.Rule}
	}
	return v, nil
}

// GetMarket tells how a seller stands with its market.
func (s *server) GetMarket(ctx context.Context, r GetMarketRequestObject) (GetMarketResponseObject, error) {
	v, err := s.standing(ctx, r.SellerID)
	return GetMarket200JSONResponse(v), err
}

// PutMarket registers a seller on a market.
func (s *server) PutMarket(ctx context.Context, r PutMarketRequestObject) (PutMarketResponseObject, error) {
	registration, err := as[store.Registration](r.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", catalogue.ErrInvalid, err)
	}
	if err := s.s.Markets().Register(ctx, r.SellerID, registration); err != nil {
		return nil, err
	}
	v, err := s.standing(ctx, r.SellerID)
	return PutMarket200JSONResponse(v), err
}

// MoveMoney writes a movement of money that somebody makes by hand.
func (s *server) MoveMoney(ctx context.Context, r MoveMoneyRequestObject) (MoveMoneyResponseObject, error) {
	if !r.Body.Kind.Valid() {
		return nil, fmt.Errorf("%w: kind: is %q, expected deposit, deduction, return, charge or withdrawal", catalogue.ErrInvalid, r.Body.Kind)
	}
	if seller := access.From(ctx).Scope(); seller != "" && (r.Body.Kind == sandboxapi.MoveDeduction || r.Body.Kind == sandboxapi.MoveReturn) {
		return nil, &problem{http.StatusForbidden, "forbidden", "kind: a seller pays and withdraws; to take from a deposit, or give it back, is the operator's"}
	}
	amount := decimal.Zero
	if text := r.Body.Amount; text != "" {
		var err error
		if amount, err = decimal.NewFromString(text); err != nil || len(text) > 15 || strings.ContainsAny(text, "eE") {
			return nil, fmt.Errorf("%w: amount: expected a number with at most two decimals, such as 5000.00", catalogue.ErrInvalid)
		}
	}
	e, err := s.s.Markets().Move(ctx, r.SellerID, settlement.Kind(r.Body.Kind), amount, r.Body.Reason)
	return MoveMoney200JSONResponse{ID: e.ID, Time: e.At, Kind: string(e.Kind), Amount: money(e.Amount), Reason: e.Reason}, err
}

// GetStatement gives the statement of a month, as JSON, as text or as CSV.
func (s *server) GetStatement(ctx context.Context, r GetStatementRequestObject) (GetStatementResponseObject, error) {
	if _, err := time.Parse(settlement.MonthFormat, r.Month); err != nil {
		return nil, fmt.Errorf("%w: month: is %q, expected one such as 2026-10", catalogue.ErrInvalid, r.Month)
	}
	st, err := s.s.Markets().Standing(ctx, r.SellerID)
	if err != nil {
		return nil, err
	}
	now := s.s.Clock().Now().In(st.Policy.Location()).Format(settlement.MonthFormat)
	if r.Month > now {
		return nil, fmt.Errorf("%w: month: %s has not begun on the sandbox's clock", catalogue.ErrInvalid, r.Month)
	}
	statement := statementOf(st, r.SellerID, r.Month, r.Month < now)
	var text bytes.Buffer
	switch r.Params.Format {
	case sandboxapi.StatementText:
		err = statement.Text(&text)
		return GetStatement200TextResponse(text.String()), err
	case sandboxapi.StatementCSV:
		err = statement.CSV(&text)
		return GetStatement200TextCsvResponse{Body: &text, ContentLength: int64(text.Len())}, err
	case "", sandboxapi.StatementJSON:
		v, err := as[sandboxapi.Statement](statement)
		return GetStatement200JSONResponse(v), err
	}
	return nil, fmt.Errorf("%w: format: is %q, expected json, text or csv", catalogue.ErrInvalid, r.Params.Format)
}

// statementOf finds the statement of a month. One in which nothing was earned or paid yet is empty.
func statementOf(st marketbook.Standing, sellerID, month string, final bool) settlement.Statement {
	for _, s := range st.Statements {
		if s.Month == month {
			return s
		}
	}
	return settlement.Statement{
		Market: st.Policy.Market, Policy: string(st.Policy.Effective), Seller: sellerID, Month: month, Currency: st.Policy.Currency, Final: final,
		Lines: []settlement.Line{}, Totals: []settlement.Total{},
	}
}
