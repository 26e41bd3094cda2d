package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

var licenseCommands = []command{
	{"license", "license ACTION [arguments] [flags]; isv-sandbox help lists the actions", [2]int{1, 3}, licenseFlags, licenseCommand},
	{"bill", "bill [INSTANCE] [--from DAY] [--to DAY]", [2]int{0, 1}, billFlags, bill},
	{"packages", "packages", [2]int{0, 0}, nil, packages},
}

const licenseHelp = `
Licences. CODE is a licence code; buy one with isv-sandbox buy --sku demo-license-period:
  isv-sandbox license list | show CODE
  isv-sandbox license hand-over CODE                the buyer accepts and is given the code, for products opened on acceptance
  isv-sandbox license renew CODE [--period 1y] | cancel-renewal CODE | unsubscribe CODE
  isv-sandbox license freeze CODE | unfreeze CODE
  isv-sandbox license ask LINE [--device TEXT]      the buyer asks for the licence of an instance, as a text or a file
  isv-sandbox license files [LINE] | download EVENT FILE

What usage comes to. INSTANCE is an order line or the ISV's id, DAY such as 2026-05-20, in Beijing:
  isv-sandbox bill [INSTANCE] [--from DAY] [--to DAY]
  isv-sandbox packages                              packages of usage and what is left of them
`

type licenseOptions struct{ period, device string }

func licenseFlags(fs *flag.FlagSet) any {
	o := &licenseOptions{}
	fs.StringVar(&o.period, "period", "", "renew: by how long, such as 1y or 3m (default: what was bought)")
	fs.StringVar(&o.device, "device", "", "ask: `fingerprint` of the device that the licence is to be bound to")
	return o
}

// licenseActions are the actions and how many arguments each has, at least and at most.
var licenseActions = map[string]struct {
	args [2]int
	do   func(ctx context.Context, c *client, args []string, o *licenseOptions) error
}{
	"list": {[2]int{0, 0}, func(ctx context.Context, c *client, _ []string, _ *licenseOptions) error {
		resp, err := c.api.ListLicenses(ctx, nil)
		list, err := read[sandboxapi.LicenseList](c, resp, err)
		if err != nil {
			return err
		}
		return c.licenses(list.Licenses...)
	}},
	"show": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
		resp, err := c.api.GetLicense(ctx, args[0])
		return c.licenseMoved(resp, err)
	}},
	"hand-over": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
		resp, err := c.api.HandOverLicense(ctx, args[0])
		return c.licenseMoved(resp, err)
	}},
	"freeze": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
		resp, err := c.api.FreezeLicense(ctx, args[0])
		return c.licenseMoved(resp, err)
	}},
	"unfreeze": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
		resp, err := c.api.UnfreezeLicense(ctx, args[0])
		return c.licenseMoved(resp, err)
	}},
	"renew": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, o *licenseOptions) error {
		resp, err := c.api.RenewLicense(ctx, args[0], sandboxapi.Renewal{Period: o.period})
		return c.licenseOrdered(resp, err)
	}},
	"cancel-renewal": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
		resp, err := c.api.CancelLicenseRenewal(ctx, args[0])
		return c.licenseOrdered(resp, err)
	}},
	"unsubscribe": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
		resp, err := c.api.UnsubscribeLicense(ctx, args[0])
		return c.licenseOrdered(resp, err)
	}},
	"ask": {[2]int{1, 1}, func(ctx context.Context, c *client, args []string, o *licenseOptions) error {
		resp, err := c.api.AskLicenseFile(ctx, args[0], sandboxapi.LicenseFileRequest{DeviceFingerprint: o.device})
		f, err := read[sandboxapi.LicenseFile](c, resp, err)
		if err != nil {
			return err
		}
		return c.licenseFiles(f)
	}},
	"files": {[2]int{0, 1}, func(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
		params := &sandboxapi.ListLicenseFilesParams{}
		if len(args) == 1 {
			params.OrderLineID = args[0]
		}
		resp, err := c.api.ListLicenseFiles(ctx, params)
		list, err := read[sandboxapi.LicenseFileList](c, resp, err)
		if err != nil {
			return err
		}
		return c.licenseFiles(list.LicenseFiles...)
	}},
	"download": {[2]int{2, 2}, downloadLicense},
}

func licenseCommand(ctx context.Context, c *client, args []string, flags any) error {
	o, _ := flags.(*licenseOptions)
	action, ok := licenseActions[args[0]]
	if !ok {
		return misuse("license: there is no action %q; expected one of %s", args[0], strings.Join(slices.Sorted(maps.Keys(licenseActions)), ", "))
	}
	args = args[1:]
	if len(args) < action.args[0] || len(args) > action.args[1] {
		return misuse("license: wrong number of arguments; isv-sandbox help shows them")
	}
	return action.do(ctx, c, args, o)
}

func (c *client) licenseMoved(resp *http.Response, err error) error {
	l, err := read[sandboxapi.License](c, resp, err)
	if err != nil {
		return err
	}
	return c.licenses(l)
}

func (c *client) licenseOrdered(resp *http.Response, err error) error {
	o, err := read[sandboxapi.LicenseOrder](c, resp, err)
	if err != nil {
		return err
	}
	return c.licenses(o.License)
}

func (c *client) licenses(list ...sandboxapi.License) error {
	var rows [][]string
	for _, l := range list {
		status := string(l.Status)
		if l.Violation {
			status += ", frozen for a violation"
		}
		rows = append(rows, []string{l.License, status, l.SKUCode, strconv.Itoa(l.Quantity), when(l.ActivateTime), when(l.ExpireTime)})
	}
	return c.table("LICENCE\tSTATUS\tSKU\tQUANTITY\tACTIVATED\tEXPIRES", rows)
}

func (c *client) licenseFiles(list ...sandboxapi.LicenseFile) error {
	var rows [][]string
	for _, f := range list {
		rows = append(rows, []string{f.EventID, f.OrderLineID, when(f.AskTime), string(f.Status), or(f.Type, "-"), or(f.FileName, "-"), strconv.Itoa(f.Size)})
	}
	return c.table("EVENT\tLINE\tASKED\tSTATUS\tTYPE\tNAME\tBYTES", rows)
}

// downloadLicense writes what the ISV uploaded to a file, which must not exist: its name comes from the command line, and never from the
// ISV.
func downloadLicense(ctx context.Context, c *client, args []string, _ *licenseOptions) error {
	resp, err := c.api.DownloadLicenseFile(ctx, args[0])
	if err != nil || resp.StatusCode != http.StatusOK {
		_, err := read[struct{}](c, resp, err)
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the sandbox's answer: %w", err)
	}
	f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return c.table("", [][]string{{fmt.Sprintf("%d bytes written to %s", len(content), args[1])}})
}

func billFlags(fs *flag.FlagSet) any {
	p := &sandboxapi.ListBillsParams{Limit: 1000}
	fs.StringVar(&p.From, "from", "", "the first `day`, such as 2026-05-20")
	fs.StringVar(&p.To, "to", "", "the last `day`")
	return p
}

func bill(ctx context.Context, c *client, args []string, flags any) error {
	p, _ := flags.(*sandboxapi.ListBillsParams)
	if len(args) == 1 {
		p.Instance = args[0]
	}
	resp, err := c.api.ListBills(ctx, p)
	list, err := read[sandboxapi.BillList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, b := range list.Bills {
		rows = append(rows, []string{or(b.InstanceID, b.OrderLineID), b.Day, b.Usage, b.Deducted, b.Unpaid, b.Charged, b.Price, b.Amount})
	}
	rows = append(rows, []string{"sum", "", "", "", "", "", "", list.Amount})
	return c.table("INSTANCE\tDAY\tUSAGE\tFROM PACKAGES\tUNPAID\tCHARGED\tPRICE\tAMOUNT", rows)
}

func packages(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.ListPackages(ctx, nil)
	list, err := read[sandboxapi.PackageList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, p := range list.Packages {
		end := "goes on by usage"
		if p.StopWhenUsedUp {
			end = "stops"
		}
		rows = append(rows, []string{or(p.InstanceID, p.OrderLineID), p.Amount, p.Used, p.Left, end, when(p.UntilTime)})
	}
	return c.table("PACKAGE\tAMOUNT\tUSED\tLEFT\tWHEN USED UP\tVALID UNTIL", rows)
}
