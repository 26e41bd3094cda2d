package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

const marketHelp = `
The marketplace itself:
  isv-sandbox products [--seller ID]                what can be bought
  isv-sandbox product CODE                          a product as JSON; edit it and put it back
  isv-sandbox put-product FILE                      list a product, or change one ("-" reads standard input)
  isv-sandbox sellers | seller ID [--name N] [--provider URL] [--new-keys]
                                                    show the sellers; add one, or change one
  isv-sandbox buyers | buyer ID [--name N] [--email E] [--phone P]
  isv-sandbox redeliver CALL [LAST] | --line LINE [--activity A]
                                                    send calls again that ended
  isv-sandbox snapshot FILE | restore FILE | reset  keep everything, put it back, forget it
`

var marketCommands = []command{
	{"products", "products [--seller ID]", [2]int{0, 0}, func(fs *flag.FlagSet) any {
		return fs.String("seller", "", "only products of this seller")
	}, products},
	{"product", "product CODE", [2]int{1, 1}, nil, product},
	{"put-product", "put-product FILE", [2]int{1, 1}, nil, putProduct},
	{"sellers", "sellers", [2]int{0, 0}, nil, sellers},
	{"seller", "seller ID [--name N] [--provider URL] [--new-keys]", [2]int{1, 1}, func(fs *flag.FlagSet) any {
		s := &sandboxapi.SellerSettings{}
		fs.StringVar(&s.Name, "name", "", "name of the seller")
		fs.StringVar(&s.ProductionAddress, "provider", "", "its ISV's production address, a `URL`")
		fs.BoolVar(&s.NewKeys, "new-keys", false, "make new keys")
		return s
	}, putSeller},
	{"buyers", "buyers", [2]int{0, 0}, nil, buyers},
	{"buyer", "buyer ID [--name N] [--email E] [--phone P]", [2]int{1, 1}, func(fs *flag.FlagSet) any {
		b := &sandboxapi.BuyerInfo{}
		fs.StringVar(&b.CustomerName, "name", "", "name of the account")
		fs.StringVar(&b.Email, "email", "", "e-mail address")
		fs.StringVar(&b.MobilePhone, "phone", "", "mobile number")
		return b
	}, putBuyer},
	{"redeliver", "redeliver CALL [LAST] | --line LINE [--activity A]", [2]int{0, 2}, func(fs *flag.FlagSet) any {
		r := &sandboxapi.Redelivery{}
		fs.StringVar(&r.OrderLineID, "line", "", "only calls about this instance")
		fs.StringVar(&r.Activity, "activity", "", "only this call, such as newInstance")
		return r
	}, redeliver},
	{"snapshot", "snapshot FILE", [2]int{1, 1}, nil, snapshot},
	{"restore", "restore FILE", [2]int{1, 1}, nil, restore},
	{"reset", "reset", [2]int{0, 0}, nil, reset},
}

func products(ctx context.Context, c *client, _ []string, flags any) error {
	seller, _ := flags.(*string)
	resp, err := c.api.ListProducts(ctx, &sandboxapi.ListProductsParams{SellerID: *seller})
	list, err := read[sandboxapi.ProductList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, p := range list.Products {
		for _, s := range p.SKUs {
			prices := make([]string, len(s.Items))
			for i, item := range s.Items {
				prices[i] = item.Price
				if per := or(string(item.PeriodType), item.Unit); per != "" {
					prices[i] += "/" + per
				}
			}
			rows = append(rows, []string{s.SKUCode, string(s.ChargingMode), strings.Join(prices, " "), or(string(p.Status), "on-sale"), p.ProductCode, s.Name})
		}
	}
	return c.table("SKU\tCHARGED\tPRICE\tSTATUS\tPRODUCT\tNAME", rows)
}

func product(ctx context.Context, c *client, args []string, _ any) error {
	c.asJSON = false
	resp, err := c.api.GetProduct(ctx, args[0])
	p, err := read[sandboxapi.Product](c, resp, err)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	_, err = c.out.Write(append(text, '\n'))
	return err
}

func putProduct(ctx context.Context, c *client, args []string, _ any) error {
	var text []byte
	var err error
	if args[0] == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(args[0]) //nolint:gosec // the operator names it
	}
	if err != nil {
		return fmt.Errorf("product: %w", err)
	}
	var p sandboxapi.Product
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return &hintError{fmt.Errorf("%s: %w", args[0], err), "isv-sandbox product demo shows what a product looks like"}
	}
	if p.ProductCode == "" {
		return &hintError{fmt.Errorf("%s: productCode is missing", args[0]), "isv-sandbox product demo shows what a product looks like"}
	}
	resp, err := c.api.PutProduct(ctx, p.ProductCode, p)
	p, err = read[sandboxapi.Product](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{{fmt.Sprintf("product %s is %s, with %d SKUs", p.ProductCode, p.Status, len(p.SKUs))}})
}

func sellers(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.ListSellers(ctx)
	list, err := read[sandboxapi.SellerList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, s := range list.Sellers {
		rows = append(rows, []string{s.SellerID, s.Name, or(s.ProductionAddress, "-")})
	}
	return c.table("SELLER\tNAME\tPRODUCTION ADDRESS", rows)
}

func putSeller(ctx context.Context, c *client, args []string, flags any) error {
	settings, _ := flags.(*sandboxapi.SellerSettings)
	resp, err := c.api.PutSeller(ctx, args[0], *settings)
	s, err := read[sandboxapi.Seller](c, resp, err)
	if err != nil || c.asJSON {
		return err
	}
	if err := c.table("", [][]string{{"seller " + s.SellerID + " (" + s.Name + "), called at " + or(s.ProductionAddress, "no address yet")}}); err != nil || s.Keys.AK == "" {
		return err
	}
	_, err = fmt.Fprintf(c.out, "# its keys, shown this once:\n")
	for _, k := range [][2]string{
		{envAK, s.Keys.AK},
		{envSK, s.Keys.SK},
		{envBaseKey, s.Keys.BaseKey},
		{envKitKey, s.Keys.KitKey},
		{envGeneralKey, s.Keys.GeneralKey},
		{envLicenseKey, s.Keys.LicenseKey},
	} {
		_, _ = fmt.Fprintf(c.out, "export %s='%s'\n", k[0], k[1])
	}
	return err
}

func buyers(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.ListBuyers(ctx)
	list, err := read[sandboxapi.BuyerList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, b := range list.Buyers {
		rows = append(rows, []string{b.BuyerID, b.Info.CustomerName, or(b.Info.Email, "-"), or(b.Info.MobilePhone, "-")})
	}
	return c.table("BUYER\tNAME\tE-MAIL\tPHONE", rows)
}

func putBuyer(ctx context.Context, c *client, args []string, flags any) error {
	info, _ := flags.(*sandboxapi.BuyerInfo)
	resp, err := c.api.PutBuyer(ctx, args[0], *info)
	b, err := read[sandboxapi.Buyer](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{{"buyer " + b.BuyerID + " (" + b.Info.CustomerName + ")"}})
}

func redeliver(ctx context.Context, c *client, args []string, flags any) error {
	r, _ := flags.(*sandboxapi.Redelivery)
	for i, to := range []*int64{&r.FromCallID, &r.ToCallID} {
		if i >= len(args) {
			break
		}
		id, err := strconv.ParseInt(args[i], 10, 64)
		if err != nil || id <= 0 {
			return misuse("redeliver: %q is no number of a call; isv-sandbox calls lists them", args[i])
		}
		*to = id
	}
	if r.ToCallID != 0 && r.ToCallID < r.FromCallID {
		return misuse("redeliver: LAST, %d, is before CALL, %d", r.ToCallID, r.FromCallID)
	}
	if len(args) == 0 && r.OrderLineID == "" {
		return misuse("redeliver: say which calls: CALL, CALL LAST, or --line LINE")
	}
	resp, err := c.api.Redeliver(ctx, *r)
	list, err := read[sandboxapi.CallList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, k := range list.Calls {
		rows = append(rows, []string{strconv.FormatInt(k.CallID, 10), k.Activity, string(k.Status), k.OrderLineID})
	}
	return c.table("CALL\tACTIVITY\tSTATUS\tLINE", rows)
}

// snapshot writes to a file beside the one asked for first, so that a snapshot that broke off replaces nothing.
func snapshot(ctx context.Context, c *client, args []string, _ any) (err error) {
	resp, err := c.api.TakeSnapshot(ctx)
	if err != nil {
		return &hintError{fmt.Errorf("the sandbox does not answer at %s", c.address), "is it running? start it with isv-sandbox serve"}
	}
	if resp.StatusCode != http.StatusOK {
		return problemOf(resp)
	}
	defer func() { _ = resp.Body.Close() }()
	f, err := os.CreateTemp(filepath.Dir(args[0]), filepath.Base(args[0])+".*") // for its owner alone
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	n, err := io.Copy(f, resp.Body)
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), args[0]) //nolint:gosec // the operator names it
	}
	if err != nil {
		_ = os.Remove(f.Name()) //nolint:gosec // made above
		return fmt.Errorf("snapshot: %w", err)
	}
	return c.table("", [][]string{{fmt.Sprintf("%s written, %d bytes; it holds keys, keep it as the key file", args[0], n)}})
}

func restore(ctx context.Context, c *client, args []string, _ any) error {
	f, err := os.Open(args[0]) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer func() { _ = f.Close() }()
	resp, err := c.api.RestoreSnapshotWithBody(ctx, "application/vnd.sqlite3", f)
	return c.replaced(resp, err)
}

func reset(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.Reset(ctx)
	return c.replaced(resp, err)
}

func (c *client) replaced(resp *http.Response, err error) error {
	s, err := read[sandboxapi.Status](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{{fmt.Sprintf("%d orders, %d instances, %d calls under way; the clock shows %s UTC", s.Orders, s.Instances, s.CallsPending, when(s.Clock.Now))}})
}
