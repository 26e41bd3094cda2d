package settlement

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shopspring/decimal"
)

// Text writes the statement for people.
func (s Statement) Text(w io.Writer) error {
	state := "final"
	if !s.Final {
		state = "not final, the month is not over"
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "Statement of %s on %s for %s (%s)\npolicy effective from %s, amounts in %s\n\n", s.Seller, s.Market, s.Month, state, s.Policy, s.Currency)
	// Writing to a table fails only where its strings.Builder does, which is never; Flush would tell.
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(tab, "category\tsales\trefunds\tcounted\ttier rate\tcharged\tdue\treturned\tgiven back\t")
	for _, t := range s.Totals {
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", t.Category, cents(t.Sales), cents(t.Refunds), cents(t.Counted), t.Rate,
			cents(t.Charged), cents(t.Due), cents(t.Correction), cents(t.GivenBack))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	tab = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range []struct {
		what   string
		amount decimal.Decimal
	}{
		{"balance before", s.Opening},
		{"+ sales", s.Sales},
		{"- refunds", s.Refunds},
		{"- platform fee as charged", s.Charged},
		{"+ fee returned for the month's tier", s.Correction},
		{"+ fee given back for refunds of earlier months", s.GivenBack},
		{"= the month", s.Net},
		{"- withdrawn", s.Withdrawn},
		{"= balance after", s.Closing},
		{"deposit held", s.DepositPaid},
	} {
		_, _ = fmt.Fprintf(tab, "%s\t%s\t\n", row.what, cents(row.amount))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if len(s.Lines) > 0 {
		fmt.Fprintln(out)
		tab = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(tab, "at\tkind\tid\tcategory\tamount\tfree\trate\tfee\trule")
		for _, l := range s.Lines {
			_, _ = fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.At.UTC().Format(time.RFC3339), l.Kind, l.ID, dash(l.Category), cents(l.Amount),
				cents(l.Free), l.Rate, cents(l.Fee), dash(l.Rule))
		}
		if err := tab.Flush(); err != nil {
			return err
		}
	}
	for _, n := range s.Notes {
		fmt.Fprintf(out, "\nnote: %s\n", n)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// amounts are the names of what MarshalJSON writes with two decimals.
var amounts = map[string]bool{
	"amount": true, "free": true, "fee": true, "sales": true, "refunds": true, "counted": true, "charged": true, "due": true, "correction": true,
	"givenBack": true, "opening": true, "net": true, "withdrawn": true, "closing": true, "deposit": true,
}

// MarshalJSON writes amounts as texts with two decimals.
func (s Statement) MarshalJSON() ([]byte, error) {
	type bare Statement
	text, err := json.Marshal(bare(s))
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	fix(tree)
	return json.Marshal(tree)
}

func fix(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			fix(e)
		}
	case map[string]any:
		for name, e := range v {
			text, ok := e.(string)
			if !ok || !amounts[name] {
				fix(e)
				continue
			}
			if d, err := decimal.NewFromString(text); err == nil {
				v[name] = cents(d)
			}
		}
	}
}

// JSON writes the statement as JSON. Amounts are texts, so that nobody reads them as floating point.
func (s Statement) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

// CSV writes the lines of the statement, a header first, and after them a line for each correction and the totals, so that the column
// "net" sums up to the month's net.
func (s Statement) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"month", "at", "kind", "id", "of", "category", "revenue", "currency", "amount", "free", "rate", "fee", "net", "rule", "reason"}}
	for _, l := range s.Lines {
		net := decimal.Zero
		switch l.Kind {
		case Sale:
			net = l.Amount.Sub(l.Fee)
		case Refund:
			net = l.Amount.Neg().Sub(l.Fee)
		}
		rows = append(rows, []string{
			s.Month, l.At.UTC().Format(time.RFC3339Nano), string(l.Kind), plain(l.ID), plain(l.Of), l.Category, l.Revenue, s.Currency,
			cents(l.Amount), cents(l.Free), l.Rate.String(), cents(l.Fee), cents(net), l.Rule, plain(l.Reason),
		})
	}
	for _, t := range s.Totals {
		if !t.Correction.IsZero() {
			rows = append(rows, []string{
				s.Month, "", "correction", "", "", t.Category, "", s.Currency, cents(t.Counted), "0.00", t.Rate.String(),
				cents(t.Correction.Neg()), cents(t.Correction), "", "",
			})
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return err
	}
	return out.Error()
}

func cents(d decimal.Decimal) string { return d.StringFixed(2) }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// plain keeps a spreadsheet from taking a text for a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
