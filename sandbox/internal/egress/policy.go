// Package egress decides where the sandbox may connect to, and makes the connections. Sellers tell the sandbox which addresses to
// call; without a policy they could have it call what only the sandbox can reach: a cloud's metadata, an inner service, another
// seller.
//
// A [Policy] says what is allowed. It is asked twice. [Policy.Check] says what can be told from a URL, so that a wrong production
// address is refused when it is set. A [Gate] decides again whenever it dials, about the addresses that the name has at that moment, and
// dials one of the addresses it has just checked: the name is not looked up once more in between.
package egress

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The presets.
const (
	// Laptop allows loopback and private networks over http and https.
	Laptop = "laptop"
	// Staging allows https only, and nothing but what rules allow.
	Staging = "staging"
)

// Rules are a policy as one writes it down. The zero value is that of a laptop.
type Rules struct {
	// Name of the policy in messages. Default: the preset.
	Name string
	// Preset is what the rules begin with: [Laptop], which is also the default, or [Staging].
	Preset string
	// AllowHosts are names whose public addresses may be called over https: isv.example.com, or *.example.com for all names below it.
	// They open no address that is not public, because whoever owns a name says which addresses it has.
	AllowHosts []string
	// AllowNetworks are addresses (10.1.2.3) and networks (10.1.0.0/16) that may be called, by whatever name. A network allows loopback,
	// private or shared addresses (RFC 6598) only if it lies within them: 0.0.0.0/0 is every public IPv4 address and no private one.
	AllowNetworks []string
	// DenyNetworks may not be called, whatever else says so: your own services at public addresses, for instance, or the prefix
	// of a NAT64 of your own.
	DenyNetworks []string
	// Ports that may be called. Default: any on a laptop; 443 and those from 1024 up in staging.
	Ports []uint16
	// CA are certificates of authorities to trust besides the system's, as PEM.
	CA []byte
}

// ErrRules is wrapped by errors about rules that cannot be understood.
var ErrRules = errors.New("egress policy")

// Policy is what may be called. It is made by [New] and does not change.
type Policy struct {
	name     string
	staging  bool
	hosts    []string // names; those below a name begin with a dot
	networks []netip.Prefix
	denied   []netip.Prefix
	ports    []uint16
	roots    *x509.CertPool // nil: the system's
}

// New reads rules. Its errors wrap [ErrRules], and say what was expected.
func New(r Rules) (*Policy, error) {
	p := &Policy{name: cmp.Or(r.Name, r.Preset, Laptop), ports: r.Ports}
	switch cmp.Or(r.Preset, Laptop) {
	case Laptop:
		for _, b := range blocks {
			if b.kind == loopback || b.kind == private {
				p.networks = append(p.networks, b.Prefix)
			}
		}
	case Staging:
		p.staging = true
	default:
		return nil, fmt.Errorf("%w: preset %q: expected laptop or staging", ErrRules, r.Preset)
	}
	for _, host := range r.AllowHosts {
		name, err := readHost(host)
		if err != nil {
			return nil, err
		}
		p.hosts = append(p.hosts, name)
	}
	for _, text := range r.AllowNetworks {
		n, err := readNetwork(text)
		if err != nil {
			return nil, err
		}
		if what, yes := useless(n); yes {
			return nil, fmt.Errorf("%w: network %s: %s is never called", ErrRules, text, what)
		}
		p.networks = append(p.networks, n)
	}
	for _, text := range r.DenyNetworks {
		n, err := readNetwork(text)
		if err != nil {
			return nil, err
		}
		p.denied = append(p.denied, n)
	}
	if slices.Contains(p.ports, 0) {
		return nil, fmt.Errorf("%w: port 0: expected 1 to 65535", ErrRules)
	}
	if len(r.CA) > 0 {
		var err error
		if p.roots, err = x509.SystemCertPool(); err != nil {
			p.roots = x509.NewCertPool()
		}
		if !p.roots.AppendCertsFromPEM(r.CA) {
			return nil, fmt.Errorf("%w: CA: there is no certificate in it: expected PEM, -----BEGIN CERTIFICATE-----", ErrRules)
		}
	}
	return p, nil
}

// readHost gives a name as the policy keeps it.
func readHost(host string) (string, error) {
	name, below := strings.CutPrefix(strings.ToLower(host), "*.")
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch fault := nameFault(name); {
	case host == "*":
		return "", fmt.Errorf("%w: host *: expected a name, or *.example.com; the networks 0.0.0.0/0 and ::/0 are all public addresses", ErrRules)
	case err == nil:
		return "", fmt.Errorf("%w: host %s: an address is allowed as a network", ErrRules, host)
	case fault != "":
		return "", fmt.Errorf("%w: host %q: expected a name such as isv.example.com, or *.example.com, without scheme, port and path", ErrRules, host)
	}
	if below {
		return "." + name, nil
	}
	return name, nil
}

// readNetwork reads 10.1.0.0/16, or one address.
func readNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return n, fmt.Errorf("%w: network %q: expected one such as 10.1.0.0/16, 10.1.2.3 or fd12:3456::/32", ErrRules, text)
	}
	if n != n.Masked() {
		return n, fmt.Errorf("%w: network %s: its address is not its first one; did you mean %s?", ErrRules, text, n.Masked())
	}
	return n, nil
}

// Name of the policy, as messages have it.
func (p *Policy) Name() string { return p.name }

// RootCAs are the authorities to trust; nil means the system's.
func (p *Policy) RootCAs() *x509.CertPool { return p.roots }

// Discreet tells whether whoever asks should not learn what names resolve to.
func (p *Policy) Discreet() bool { return p.staging }

// Check tells what is wrong with calling a URL, as far as that can be told without looking its name up. Its error is a [*Refusal].
func (p *Policy) Check(address string) error {
	t, fault := parse(address)
	return p.checked(t, fault)
}

// CheckURL is Check of a URL that was parsed.
func (p *Policy) CheckURL(u *url.URL) error {
	t, fault := parseURL(u)
	return p.checked(t, fault)
}

func (p *Policy) checked(t target, fault string) error {
	if fault != "" {
		return &Refusal{Policy: p.name, Rule: fault}
	}
	if r := p.refuses(t); r != nil {
		return r
	}
	return nil
}

// refuses decides what can be decided about a target without looking its name up.
func (p *Policy) refuses(t target) *Refusal {
	switch {
	case p.staging && !t.secure():
		return p.refusal(t, "http: it allows https only", "serve https")
	case !p.port(t.port):
		allowed := "of its ports it allows 443 and those from 1024 up"
		if len(p.ports) > 0 {
			allowed = "of its ports it allows " + strings.Trim(fmt.Sprint(p.ports), "[]")
		}
		return p.refusal(t, fmt.Sprintf("port %d: %s", t.port, allowed), "ports are allowed in a file: serve --egress FILE")
	case t.addr.IsValid():
		return p.refusesAddr(t, t.addr)
	case !p.resolves(t):
		return p.refusal(t, "the name is not among those that it allows", allowHost(t))
	}
	return nil
}

func (p *Policy) refusal(t target, rule, allow string) *Refusal {
	return &Refusal{Policy: p.name, Target: t.String(), Rule: rule, Allow: allow}
}

func allowHost(t target) string { return "to allow it: isv-sandbox serve --allow-host " + t.host }
func allowNetwork(n string) string {
	return "to allow it: isv-sandbox serve --allow-network " + n
}

func (p *Policy) port(port uint16) bool {
	switch {
	case len(p.ports) > 0:
		return slices.Contains(p.ports, port)
	case p.staging:
		return port == 443 || port >= 1024 // below are other services
	}
	return true
}

// host tells whether a name is allowed.
func (p *Policy) host(name string) bool {
	return name != "" && slices.ContainsFunc(p.hosts, func(h string) bool {
		return h == name || h[0] == '.' && strings.HasSuffix(name, h)
	})
}

// resolves tells whether a name may lead to an address that is allowed. If it cannot, it is not looked up: whether it exists within
// the operator's network is not told either.
func (p *Policy) resolves(t target) bool { return p.host(t.host) || len(p.networks) > 0 }

// network tells whether the rules have a network with an address of a block.
func (p *Policy) network(b block, a netip.Addr) bool {
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool {
		return n.Contains(a) && (b.kind == public || n.Bits() >= b.Bits())
	})
}

// refusesAddr decides about one address of a target, which is its own or that of its name.
func (p *Policy) refusesAddr(t target, a netip.Addr) *Refusal {
	b := blockOf(a)
	rule, allow := b.what, ""
	switch {
	case b.kind == never:
		rule += ", which is never called"
	case slices.ContainsFunc(p.denied, func(n netip.Prefix) bool { return n.Contains(a) }):
		rule = "in a network that it denies"
	case b.kind == public && !t.secure():
		rule, allow = rule+", which is called over https only", "serve https"
	case p.network(b, a) || b.kind == public && p.host(t.host):
		return nil
	case t.addr.IsValid():
		allow = allowNetwork(netip.PrefixFrom(a, a.BitLen()).String())
	case b.kind == public:
		allow = allowHost(t)
	case b.kind == shared:
		allow = allowNetwork(b.String())
	}
	if t.addr.IsValid() {
		return p.refusal(t, "it is "+rule, allow)
	}
	r := p.refusal(t, "an address of its name is "+rule, allow)
	if p.staging {
		r = p.unknown(t)
	}
	r.Resolved = a
	return r
}

// unknown is what is said of a name that leads nowhere allowed, without telling where it leads, or that it leads nowhere.
func (p *Policy) unknown(t target) *Refusal {
	if p.host(t.host) {
		return p.refusal(t, "the name is allowed, but not every address that it has: only public ones are, and networks that are allowed",
			"the sandbox's log has the address; to allow it: isv-sandbox serve --allow-network")
	}
	return p.refusal(t, "neither the name nor every address that it may have is allowed", "for public addresses: isv-sandbox serve --allow-host "+t.host)
}
