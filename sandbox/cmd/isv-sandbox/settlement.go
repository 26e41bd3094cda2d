package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

const settlementHelp = `
Markets, their policies, and money:
  isv-sandbox markets                               markets on which a seller can be registered
  isv-sandbox market [--seller ID]                  where a seller is registered, and how it stands: deposit, failed deliveries, months
  isv-sandbox register MARKET [--seller ID] [--category C] [--product CODE=C] [--entered DAY] [--say FIELD=VALUE]
                                                    register a seller on a market
  isv-sandbox statement MONTH [--seller ID] [--format text|json|csv]
                                                    what a seller earned and paid in a month, such as 2026-10
  isv-sandbox money deposit|charge|withdrawal|deduction|return [AMOUNT] [--seller ID] [--reason R]
                                                    pay, withdraw, or take from a deposit
`

var settlementCommands = []command{
	{"markets", "markets", [2]int{0, 0}, nil, markets},
	{"market", "market [--seller ID]", [2]int{0, 0}, ofSeller, showMarket},
	{"register", "register MARKET [--seller ID] [--category C] [--product CODE=C] [--entered DAY] [--say FIELD=VALUE]", [2]int{1, 1}, func(fs *flag.FlagSet) any {
		r := &registration{}
		fs.StringVar(&r.seller, "seller", "demo", "the seller's id")
		fs.StringVar(&r.Entered, "entered", "", "the `day` of entry, from which promotions count")
		fs.StringVar(&r.FirstListed, "first-listed", "", "the `day` on which its first product was put on sale")
		fs.Func("category", "what it sells; may be repeated", func(s string) error { r.Categories = append(r.Categories, s); return nil })
		r.Products, r.Profile = map[string]string{}, map[string]any{}
		fs.Func("product", "category of a product, `CODE=CATEGORY`; may be repeated", func(s string) error {
			code, category, ok := strings.Cut(s, "=")
			if !ok {
				return fmt.Errorf("expected CODE=CATEGORY")
			}
			r.Products[code] = category
			return nil
		})
		fs.Func("say", "what the policy may ask, `FIELD=VALUE`, such as company.kind=enterprise; may be repeated", func(s string) error {
			field, value, ok := strings.Cut(s, "=")
			if !ok {
				return fmt.Errorf("expected FIELD=VALUE")
			}
			switch value {
			case "true", "false":
				r.Profile[field] = value == "true"
			default:
				r.Profile[field] = value
			}
			return nil
		})
		return r
	}, register},
	{"statement", "statement MONTH [--seller ID] [--format text|json|csv]", [2]int{1, 1}, func(fs *flag.FlagSet) any {
		f := &statementFlags{}
		fs.StringVar(&f.seller, "seller", "demo", "the seller's id")
		fs.StringVar(&f.format, "format", "text", "text, json or csv")
		return f
	}, statement},
	{"money", "money KIND [AMOUNT] [--seller ID] [--reason R]", [2]int{1, 2}, func(fs *flag.FlagSet) any {
		f := &moneyFlags{}
		fs.StringVar(&f.seller, "seller", "demo", "the seller's id")
		fs.StringVar(&f.reason, "reason", "", "for people; of a charge the id of its rule")
		return f
	}, moveMoney},
}

type registration struct {
	sandboxapi.Registration
	seller string
}

type statementFlags struct{ seller, format string }

type moneyFlags struct{ seller, reason string }

func ofSeller(fs *flag.FlagSet) any { return fs.String("seller", "demo", "the seller's id") }

func markets(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.ListMarkets(ctx)
	list, err := read[sandboxapi.MarketList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, m := range list.Markets {
		until := m.Until
		if until == "" {
			until = "-"
		}
		rows = append(rows, []string{m.Market, m.Effective, until, strings.Join(m.Categories, " ")})
	}
	return c.table("MARKET\tEFFECTIVE\tUNTIL\tCATEGORIES", rows)
}

func showMarket(ctx context.Context, c *client, _ []string, flags any) error {
	resp, err := c.api.GetMarket(ctx, *flags.(*string))
	return c.showStanding(resp, err)
}

func register(ctx context.Context, c *client, args []string, flags any) error {
	r := flags.(*registration)
	r.Market = args[0]
	resp, err := c.api.PutMarket(ctx, r.seller, r.Registration)
	return c.showStanding(resp, err)
}

func (c *client) showStanding(resp *http.Response, err error) error {
	v, err := read[sandboxapi.MarketStanding](c, resp, err)
	if err != nil || c.asJSON {
		return err
	}
	deposit := v.Deposit.Held + " of " + v.Deposit.Required
	if !v.Deposit.TopUpTime.IsZero() {
		deposit += ", to be topped up by " + when(v.Deposit.TopUpTime)
	}
	withdraw := v.Withdrawable.Amount
	if !v.Withdrawable.Possible {
		withdraw += "; not now: " + v.Withdrawable.Why
	}
	if err := c.table("", [][]string{
		{"seller", v.SellerID},
		{"market", v.Registration.Market + ", policy effective from " + v.PolicyEffective},
		{"categories", strings.Join(v.Registration.Categories, ", ")},
		{"deposit", deposit},
		{"charges due", or(strings.Join(v.ChargesDue, ", "), "none")},
		{"withdrawable", withdraw},
	}); err != nil {
		return err
	}
	var rows [][]string
	for _, m := range v.Months {
		state := "final"
		if !m.Final {
			state = "going on"
		}
		rows = append(rows, []string{m.Month, m.Sales, m.Refunds, m.Fee, m.Net, state})
	}
	if err := c.table("MONTH\tSALES\tREFUNDS\tFEE\tNET\t", rows); err != nil {
		return err
	}
	rows = nil
	for _, f := range v.FailedDeliveries {
		rows = append(rows, []string{f.OrderLineID, f.ProductCode, when(f.FailedTime)})
	}
	for _, a := range v.Actions {
		rows = append(rows, []string{"-", a.ProductCode, a.Action + " (" + a.Rule + ")"})
	}
	if len(rows) == 0 {
		return nil
	}
	return c.table("FAILED DELIVERY\tPRODUCT\tSINCE, OR WHAT FOLLOWED", rows)
}

func statement(ctx context.Context, c *client, args []string, flags any) error {
	f := flags.(*statementFlags)
	if c.asJSON {
		f.format = "json"
	}
	format := sandboxapi.GetStatementParamsFormat(f.format)
	resp, err := c.api.GetStatement(ctx, f.seller, args[0], &sandboxapi.GetStatementParams{Format: format})
	if err != nil {
		return &hintError{fmt.Errorf("the sandbox does not answer at %s", c.address), "is it running? start it with isv-sandbox serve"}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the sandbox's answer: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return problemIn(body, resp)
	}
	_, err = c.out.Write(body)
	return err
}

func moveMoney(ctx context.Context, c *client, args []string, flags any) error {
	f := flags.(*moneyFlags)
	move := sandboxapi.MoneyMove{Kind: sandboxapi.MoneyMoveKind(args[0]), Reason: f.reason}
	if len(args) == 2 {
		move.Amount = args[1]
	}
	resp, err := c.api.MoveMoney(ctx, f.seller, move)
	e, err := read[sandboxapi.MarketEntry](c, resp, err)
	if err != nil || c.asJSON {
		return err
	}
	return c.table("", [][]string{{"entry", e.ID}, {"amount", e.Amount}, {"time", when(e.Time)}})
}
