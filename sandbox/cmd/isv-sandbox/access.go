package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/access"
)

const accessHelp = `
Who may what, see sandbox/README.md:
  isv-sandbox token new --role seller --seller ID [--ttl 24h]
                                                    a token for the control API, shown once
  isv-sandbox token keys | rotate | revoke-key ID   the keys that sign tokens; a new one; take back all that one has signed
  isv-sandbox audit [--seller ID] [--operation NAME]
                                                    who changed what through the control API
`

var accessCommands = []command{
	{"token", "token new [flags] | token keys | token rotate | token revoke-key ID", [2]int{1, 2}, tokenFlags, token},
	{"audit", "audit [flags]", [2]int{0, 0}, auditFlags, audit},
}

func tokenFlags(fs *flag.FlagSet) any {
	r := &sandboxapi.TokenRequest{Role: sandboxapi.TokenRoleSeller}
	fs.Func("role", "new: `operator` or seller (default seller)", func(s string) error { r.Role = sandboxapi.TokenRole(s); return nil })
	fs.StringVar(&r.SellerID, "seller", "", "new: the seller, by `id`")
	fs.StringVar(&r.TTL, "ttl", "", "new: how long it is good, a `duration` such as 24h or 30d (default: what the sandbox was started with)")
	return r
}

func token(ctx context.Context, c *client, args []string, flags any) error {
	r, _ := flags.(*sandboxapi.TokenRequest)
	switch {
	case args[0] == "new" && r.Role == sandboxapi.TokenRoleSeller && r.SellerID == "":
		return misuse("token new: expected --seller ID, whose token it is, or --role operator")
	case args[0] == "new" && len(args) == 1:
		resp, err := c.api.CreateToken(ctx, *r)
		made, err := read[sandboxapi.Token](c, resp, err)
		if err != nil {
			return err
		}
		// The token alone on its line, so that a shell can take it.
		return c.table("", [][]string{{made.Token}})
	case args[0] == "keys" && len(args) == 1:
		resp, err := c.api.ListTokenKeys(ctx)
		return c.tokenKeys(resp, err)
	case args[0] == "rotate" && len(args) == 1:
		resp, err := c.api.RotateTokenKey(ctx)
		return c.tokenKeys(resp, err)
	case args[0] == "revoke-key" && len(args) == 2:
		resp, err := c.api.RevokeTokenKey(ctx, args[1])
		return c.tokenKeys(resp, err)
	}
	return misuse("usage: isv-sandbox token new [flags], token keys, token rotate or token revoke-key ID")
}

func (c *client) tokenKeys(resp *http.Response, err error) error {
	list, err := read[sandboxapi.TokenKeyList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, k := range list.TokenKeys {
		signs := ""
		if k.Signs {
			signs = "signs new tokens"
		}
		rows = append(rows, []string{k.KeyID, k.CreateTime.Format(time.DateTime), signs})
	}
	return c.table("KEY\tMADE\t", rows)
}

func auditFlags(fs *flag.FlagSet) any {
	p := &sandboxapi.ListAuditParams{}
	fs.StringVar(&p.SellerID, "seller", "", "only what the tokens of this seller did, by its `id`")
	fs.StringVar(&p.Operation, "operation", "", "only this `operation`, such as placeOrder")
	fs.IntVar(&p.Limit, "limit", 0, "`how many` at most (default 100)")
	return p
}

func audit(ctx context.Context, c *client, _ []string, flags any) error {
	p, _ := flags.(*sandboxapi.ListAuditParams)
	resp, err := c.api.ListAudit(ctx, p)
	list, err := read[sandboxapi.AuditList](c, resp, err)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, e := range list.Audit {
		var about []string
		for name, id := range e.IDs {
			about = append(about, name+"="+id)
		}
		slices.Sort(about)
		who := cmp.Or(e.SellerID, string(e.Role))
		rows = append(rows, []string{e.Time.Format(time.DateTime), who, cmp.Or(e.TokenID, "-"), e.Operation, e.Outcome, strings.Join(about, " ")})
	}
	return c.table("TIME\tWHO\tTOKEN\tOPERATION\tOUTCOME\tABOUT", rows)
}

// accessOptions are the flags of serve that say who may what.
type accessOptions struct {
	tokens    bool
	sellerTTL time.Duration
	limits    sandbox.Limits
	set       func() map[string]bool // the flags that were given
}

func accessFlags(fs *flag.FlagSet) *accessOptions {
	o := &accessOptions{}
	shared := sandbox.SharedLimits
	fs.BoolVar(&o.tokens, "tokens", false, "take only tokens at the control API, not the control token; needed to bind it to an address that others can reach")
	fs.DurationVar(&o.sellerTTL, "seller-token-ttl", access.DefaultTTL, "how long a seller's token is good if nobody says otherwise, a `duration`")
	fs.Float64Var(&o.limits.ControlRate, "limit-control-rate", shared.ControlRate, "`requests` per second of one seller to the control API; 0: no limit (without --tokens there is none by default)")
	fs.Float64Var(&o.limits.OpenAPIRate, "limit-openapi-rate", shared.OpenAPIRate, "`requests` per second of one seller to the open API; likewise")
	fs.IntVar(&o.limits.Pending, "limit-pending", shared.Pending, "`deliveries` of one seller that may wait or be under way; likewise")
	fs.IntVar(&o.limits.Journal, "limit-journal", shared.Journal, "`attempts` of one seller in the journal, beyond which it cannot ask for more; likewise")
	o.set = func() map[string]bool {
		given := map[string]bool{}
		fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
		return given
	}
	return o
}

// config writes what the flags say into the configuration.
func (o *accessOptions) config(c *sandbox.Config) error {
	if o.sellerTTL < access.MinTTL || o.sellerTTL > access.MaxTTL {
		return misuse("--seller-token-ttl %s: expected %s to %s", o.sellerTTL, access.MinTTL, access.MaxTTL)
	}
	l := o.limits
	if l.ControlRate < 0 || l.OpenAPIRate < 0 || l.Pending < 0 || l.Journal < 0 {
		return misuse("--limit-…: expected 0 or more")
	}
	if !o.tokens { // a laptop has limits only if somebody asks for them
		given := o.set()
		for name, zero := range map[string]func(){
			"limit-control-rate": func() { l.ControlRate = 0 }, "limit-openapi-rate": func() { l.OpenAPIRate = 0 },
			"limit-pending": func() { l.Pending = 0 }, "limit-journal": func() { l.Journal = 0 },
		} {
			if !given[name] {
				zero()
			}
		}
	}
	c.Tokens, c.SellerTokenTTL, c.Limits = o.tokens, o.sellerTTL, l
	return nil
}

// check refuses what strangers could reach too easily.
func (o *accessOptions) check(keys sandbox.Keys, control net.Listener, others ...net.Listener) error {
	e := access.Exposure{Control: control.Addr(), Addresses: []net.Addr{control.Addr()}, Tokens: o.tokens, Secrets: map[string]string{
		envBaseKey: keys.BaseKey, envKitKey: keys.KitKey, envGeneralKey: keys.GeneralKey, envLicenseKey: keys.LicenseKey, envAK: keys.AK, envSK: keys.SK,
	}}
	for _, l := range others {
		e.Addresses = append(e.Addresses, l.Addr())
	}
	err := e.Check()
	var exposed *access.ExposureError
	if errors.As(err, &exposed) {
		return &hintError{err, exposed.Mend}
	}
	return err
}

// tokenCheck is how often the operator's token in the key file is looked at.
const tokenCheck = 5 * time.Second

// keepToken writes the key file with an operator's token, and again whenever that has to be another: before it expires, and after the key
// that signed it was replaced.
func keepToken(ctx context.Context, s *sandbox.Sandbox, every time.Duration, write func(token string) error, complain io.Writer) error {
	token, err := s.OperatorToken(ctx, "")
	if err != nil {
		return err
	}
	if err := write(token); err != nil {
		return err
	}
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			next, err := s.OperatorToken(ctx, token)
			if err == nil && next != token {
				if err = write(next); err == nil {
					token = next
				}
			}
			if err != nil && ctx.Err() == nil {
				_, _ = io.WriteString(complain, "isv-sandbox: the operator's token in the key file could not be renewed: "+err.Error()+"\n")
			}
		}
	}()
	return nil
}
