package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

const orderHelp = `
Orders of every type:
  isv-sandbox buy --line sku=SKU,quantity=5 --line …
                                                    several SKUs of one product in one order
  isv-sandbox accept ORDER                          the buyer accepts, for products that are opened then
  isv-sandbox buy --trial --sku SKU | formal LINE   a trial, and its becoming formal
  isv-sandbox renew LINE --sku SKU --quantity N     renew with a change; the ISV is asked first
  isv-sandbox check-change LINE --sku SKU           ask the ISV only
  isv-sandbox cancel-renewal LINE                   the buyer takes the latest renewal back
  isv-sandbox details LINE …                        the buyer opens the details of instances
  isv-sandbox order ORDER                           one order, line by line
`

// orderCommands are what buyers do, and the operator does to instances.
var orderCommands = []command{
	{"buy", "buy --sku SKU [flags] | buy --line sku=SKU,period=1y,quantity=5 [--line …] [flags]", [2]int{0, 0}, purchaseFlags, buy},
	{"accept", "accept ORDER", [2]int{1, 1}, nil, accept},
	{"formal", "formal LINE [--period 1y]", [2]int{1, 1}, func(fs *flag.FlagSet) any {
		return fs.String("period", "", "for how long, such as 1y or 3m (default: what is usual for the SKU)")
	}, formal},
	{"renew", "renew LINE [--period 1y] [--sku SKU] [--quantity N]", [2]int{1, 1}, renewalFlags, renew},
	{"check-change", "check-change LINE [--sku SKU] [--quantity N] [--period 1y]", [2]int{1, 1}, renewalFlags, checkChange},
	{"cancel-renewal", "cancel-renewal LINE", [2]int{1, 1}, nil, cancelRenewal},
	{"upgrade", "upgrade LINE [--sku SKU] [--quantity N]", [2]int{1, 1}, func(fs *flag.FlagSet) any {
		u := &sandboxapi.Upgrade{}
		fs.StringVar(&u.SKUCode, "sku", "", "SKU to change to (default: the same)")
		fs.IntVar(&u.Quantity, "quantity", 0, "quantity to change to (default: the same)")
		return u
	}, upgrade},
	{"freeze", "freeze LINE", [2]int{1, 1}, nil, freeze},
	{"unfreeze", "unfreeze LINE", [2]int{1, 1}, nil, unfreeze},
	{"release", "release LINE", [2]int{1, 1}, nil, release},
	{"details", "details LINE [LINE …]", [2]int{1, 100}, nil, details},
	{"order", "order ORDER", [2]int{1, 1}, nil, showOrder},
	{"orders", "orders [--seller ID] [--product CODE] [--type TYPE] [--status STATUS]", [2]int{0, 0}, func(fs *flag.FlagSet) any {
		p := &sandboxapi.ListOrdersParams{}
		fs.StringVar(&p.SellerID, "seller", "", "only those of this seller")
		fs.StringVar(&p.ProductCode, "product", "", "only those of this product")
		fs.StringVar((*string)(&p.OrderType), "type", "", "only those of this type, such as RENEW")
		fs.StringVar((*string)(&p.Status), "status", "", "only those of this status, such as failed")
		return p
	}, orders},
	{"instances", "instances [--seller ID] [--product CODE] [--status STATUS]", [2]int{0, 0}, func(fs *flag.FlagSet) any {
		p := &sandboxapi.ListInstancesParams{}
		fs.StringVar(&p.SellerID, "seller", "", "only those of this seller")
		fs.StringVar(&p.ProductCode, "product", "", "only those of this product")
		fs.StringVar((*string)(&p.Status), "status", "", "only those of this status, such as frozen")
		return p
	}, instances},
}

type purchase struct {
	sandboxapi.Purchase
	wait time.Duration
}

func purchaseFlags(fs *flag.FlagSet) any {
	p := &purchase{}
	fs.StringVar(&p.SKUCode, "sku", "", "what to buy; isv-sandbox products lists it")
	fs.StringVar(&p.Period, "period", "", "for how long, such as 1y or 3m, where something expires (default: what is usual for the SKU)")
	fs.IntVar(&p.Quantity, "quantity", 0, "quantity, or number of packages (default 1)")
	fs.BoolVar(&p.Trial, "trial", false, "a trial")
	fs.StringVar(&p.BuyerID, "buyer", "", "who buys (default demo-buyer)")
	fs.IntVar(&p.DiscountPercent, "discount", 0, "discount in percent")
	fs.DurationVar(&p.wait, "wait", 10*time.Second, "how long to wait until the instance is ready, at most 60s; 0 not at all")
	fs.Func("param", "`name=value` that the buyer enters; may be repeated", func(s string) error { return addParam(&p.ExtendParams, s) })
	fs.Func("line", "one of several things, as `sku=SKU,period=1y,quantity=5,param=name=value`; may be repeated", func(s string) error {
		line, err := parseLine(s)
		p.Lines = append(p.Lines, line)
		return err
	})
	return p
}

func addParam(params *map[string]string, s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("expected name=value")
	}
	if *params == nil {
		*params = map[string]string{}
	}
	(*params)[name] = value
	return nil
}

// parseLine reads one line of an order.
func parseLine(s string) (l sandboxapi.PurchaseLine, err error) {
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "sku":
			l.SKUCode = value
		case "period":
			l.Period = value
		case "quantity":
			if l.Quantity, err = strconv.Atoi(value); err != nil {
				return l, fmt.Errorf("quantity %q: expected a number", value)
			}
		case "param":
			if err := addParam(&l.ExtendParams, value); err != nil {
				return l, fmt.Errorf("param %q: %w", value, err)
			}
		default:
			return l, fmt.Errorf("%q: expected sku=, period=, quantity= or param=", part)
		}
	}
	if l.SKUCode == "" {
		return l, errors.New("sku= is missing")
	}
	return l, nil
}

func buy(ctx context.Context, c *client, _ []string, flags any) error {
	p, _ := flags.(*purchase)
	if p.SKUCode == "" && len(p.Lines) == 0 {
		return misuse("buy: --sku is missing, or --line")
	}
	quiet := *c
	quiet.asJSON = c.asJSON && p.wait <= 0
	resp, err := c.api.PlaceOrder(ctx, p.Purchase)
	placed, err := read[sandboxapi.OrderPlaced](&quiet, resp, err)
	if err != nil {
		return err
	}
	if len(placed.Licenses) > 0 { // they are there at once
		if c.asJSON && !quiet.asJSON {
			return json.NewEncoder(c.out).Encode(placed)
		}
		return c.licenses(placed.Licenses...)
	}
	if placed.Order.Status == sandboxapi.OrderAwaitingAcceptance {
		return c.table("", [][]string{{"order " + placed.Order.OrderID + " paid; the buyer has to accept it: isv-sandbox accept " + placed.Order.OrderID}})
	}
	return c.created(ctx, placed, p.wait)
}

// created prints what an order created, once it is ready.
func (c *client) created(ctx context.Context, placed sandboxapi.OrderPlaced, wait time.Duration) error {
	rows := [][]string{{"order " + placed.Order.OrderID + " paid, line " + placed.Order.OrderLineID}}
	for _, i := range placed.Instances[min(1, len(placed.Instances)):] {
		rows = append(rows, []string{"order " + placed.Order.OrderID + " paid, line " + i.OrderLineID})
	}
	if err := c.table("", rows); err != nil || wait <= 0 || len(placed.Instances) == 0 {
		return err
	}
	var all []sandboxapi.Instance
	for _, i := range placed.Instances {
		quiet := *c
		quiet.asJSON = c.asJSON && len(placed.Instances) == 1
		ready, err := quiet.await(ctx, i.OrderLineID, sandboxapi.InstanceReady, wait)
		if err != nil {
			return &hintError{err, "isv-sandbox journal " + i.OrderLineID}
		}
		all = append(all, ready)
	}
	if c.asJSON && len(all) > 1 {
		return json.NewEncoder(c.out).Encode(sandboxapi.InstanceList{Instances: all})
	}
	for _, i := range all {
		if err := c.show(i); err != nil {
			return err
		}
	}
	return nil
}

func accept(ctx context.Context, c *client, args []string, _ any) error {
	quiet := *c
	quiet.asJSON = false
	resp, err := c.api.AcceptOrder(ctx, args[0])
	placed, err := read[sandboxapi.OrderPlaced](&quiet, resp, err)
	if err != nil {
		return err
	}
	return c.created(ctx, placed, 10*time.Second)
}

func renewalFlags(fs *flag.FlagSet) any {
	r := &sandboxapi.Renewal{}
	fs.StringVar(&r.Period, "period", "", "by how long, such as 1y or 3m (default: what is usual for the SKU)")
	fs.StringVar(&r.SKUCode, "sku", "", "SKU to change to with the renewal (default: the same)")
	fs.IntVar(&r.Quantity, "quantity", 0, "quantity to change to with the renewal (default: the same)")
	return r
}

func renew(ctx context.Context, c *client, args []string, flags any) error {
	r, _ := flags.(*sandboxapi.Renewal)
	resp, err := c.api.RenewInstance(ctx, args[0], *r)
	return c.moved(ctx, resp, err, sandboxapi.InstanceReady)
}

func checkChange(ctx context.Context, c *client, args []string, flags any) error {
	r, _ := flags.(*sandboxapi.Renewal)
	resp, err := c.api.CheckChange(ctx, args[0], *r)
	answer, err := read[sandboxapi.ChangeAnswer](c, resp, err)
	if err != nil {
		return err
	}
	said := "the ISV allows it"
	if !answer.Allowed {
		said = "the ISV does not allow it: " + answer.Detail
	}
	return c.table("", [][]string{{said}})
}

func formal(ctx context.Context, c *client, args []string, flags any) error {
	period, _ := flags.(*string)
	resp, err := c.api.ConvertTrial(ctx, args[0], sandboxapi.Conversion{Period: *period})
	return c.moved(ctx, resp, err, sandboxapi.InstanceReady)
}

func cancelRenewal(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.CancelRenewal(ctx, args[0])
	return c.moved(ctx, resp, err, sandboxapi.InstanceReady)
}

func upgrade(ctx context.Context, c *client, args []string, flags any) error {
	u, _ := flags.(*sandboxapi.Upgrade)
	resp, err := c.api.UpgradeInstance(ctx, args[0], *u)
	return c.moved(ctx, resp, err, sandboxapi.InstanceReady)
}

func release(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.ReleaseInstance(ctx, args[0])
	return c.moved(ctx, resp, err, sandboxapi.InstanceReleased)
}

func freeze(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.FreezeInstance(ctx, args[0])
	return c.changed(ctx, resp, err, args[0], sandboxapi.InstanceFrozen)
}

func unfreeze(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.UnfreezeInstance(ctx, args[0])
	return c.changed(ctx, resp, err, args[0], sandboxapi.InstanceReady)
}

func details(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.OpenDetailsOfSeveral(ctx, sandboxapi.DetailsRequest{OrderLineIDs: args})
	answer, err := read[sandboxapi.DetailsAnswer](c, resp, err)
	if err != nil {
		return err
	}
	rows := make([][]string, len(answer.Instances))
	for n, i := range answer.Instances {
		rows[n] = []string{i.OrderLineID, i.InstanceID, detailsOf(i)}
	}
	return c.table("LINE\tINSTANCE\tDETAILS", rows)
}

func detailsOf(i sandboxapi.InstanceDetails) string {
	if !i.Told {
		return "the ISV says nothing about it"
	}
	var told []string
	for _, field := range [][2]string{{"open it at ", i.FrontEndURL}, {"as administrator at ", i.AdminURL}, {"user ", i.UserName}, {"note: ", i.Memo}} {
		if field[1] != "" {
			told = append(told, field[0]+field[1])
		}
	}
	for _, u := range i.Usage {
		text := "used " + u.UsageValue + " by " + u.StatisticalTime
		if u.RelatedInstanceID != "" {
			text += " by instance " + u.RelatedInstanceID
		}
		told = append(told, text)
	}
	return cmp.Or(strings.Join(told, "; "), "no more than that it is there")
}

func showOrder(ctx context.Context, c *client, args []string, _ any) error {
	resp, err := c.api.GetOrder(ctx, args[0])
	d, err := read[sandboxapi.OrderDetails](c, resp, err)
	if err != nil {
		return err
	}
	var doc marketplaceapi.OrderInfo
	if err := json.Unmarshal(d.Document, &doc); err != nil {
		return fmt.Errorf("the order's document: %w", err)
	}
	o := d.Order
	rows := [][]string{
		{"order", o.OrderID + ", " + o.OrderType + ", " + string(o.Status)},
		{"placed", when(o.CreateTime) + " UTC by " + o.BuyerID},
		{"product", o.ProductCode + " of seller " + o.SellerID},
		{"paid", o.Amount},
	}
	if !o.AcceptTime.IsZero() {
		rows = append(rows, []string{"accepted", when(o.AcceptTime) + " UTC"})
	}
	if err := c.table("", rows); err != nil {
		return err
	}
	states := map[string]sandboxapi.OrderLineState{}
	for _, l := range d.Lines {
		states[l.OrderLineID] = l
	}
	rows = nil
	for _, l := range doc.OrderLine {
		period, product := "-", marketplaceapi.ProductInfo{}
		if l.PeriodNumber > 0 {
			period = strconv.Itoa(l.PeriodNumber) + " " + string(l.PeriodType)
		}
		if len(l.ProductInfo) > 0 {
			product = l.ProductInfo[0]
		}
		state := states[l.OrderLineID]
		rows = append(rows, []string{
			l.OrderLineID, string(state.Status), product.SKUCode, strconv.Itoa(product.LinearValue), period, expires(l.ExpireTime),
			cmp.Or(l.CurrencyAfterDiscount, "-"), state.InstanceOrderLineID,
		})
	}
	return c.table("LINE\tSTATUS\tSKU\tQUANTITY\tPERIOD\tEXPIRES (UTC)\tPAID\tINSTANCE OF LINE", rows)
}

// expires shows a time of the order document, yyyyMMddHHmmss in UTC, as the other times are shown.
func expires(text string) string {
	if t, err := time.Parse("20060102150405", text); err == nil {
		return when(t)
	}
	return cmp.Or(text, "-")
}

func orders(ctx context.Context, c *client, _ []string, flags any) error {
	params, _ := flags.(*sandboxapi.ListOrdersParams)
	resp, err := c.api.ListOrders(ctx, params)
	list, err := read[sandboxapi.OrderList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, o := range list.Orders {
		rows = append(rows, []string{o.OrderID, o.OrderType, string(o.Status), when(o.CreateTime), o.OrderLineID})
	}
	return c.table("ORDER\tTYPE\tSTATUS\tPLACED (UTC)\tINSTANCE OF LINE", rows)
}

func instances(ctx context.Context, c *client, _ []string, flags any) error {
	params, _ := flags.(*sandboxapi.ListInstancesParams)
	resp, err := c.api.ListInstances(ctx, params)
	list, err := read[sandboxapi.InstanceList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, i := range list.Instances {
		rows = append(rows, []string{i.OrderLineID, or(i.InstanceID, "-"), string(i.Status), i.ChargingMode, i.SKUCode, strconv.Itoa(i.Quantity), when(i.ExpireTime)})
	}
	return c.table("LINE\tINSTANCE\tSTATUS\tCHARGED\tSKU\tQUANTITY\tEXPIRES (UTC)", rows)
}
