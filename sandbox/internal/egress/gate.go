package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// dialLimit is how long a connection may take to come about, its name included. It is longer than the marketplace waits for an
	// answer, so that this wait is what ends a call.
	dialLimit = 30 * time.Second
	// stagger is how long one address of a name is tried alone before the next is tried as well (RFC 8305).
	stagger = 250 * time.Millisecond
	// maxAddresses is how many addresses of a name are tried. All are checked.
	maxAddresses = 8
	// maxHeader is how long the head of an answer may be.
	maxHeader = 64 << 10
	// idle is how long a connection is kept for the next call.
	idle = 90 * time.Second
)

// Options are about a gate.
type Options struct {
	// Resolver looks names up. Default: net.DefaultResolver.
	Resolver *net.Resolver
	// Log gets the addresses that were in the way, which refusals do not tell. Default: none.
	Log *slog.Logger
	// Idle is how many connections to one ISV are kept. Default: 2.
	Idle int
}

// Gate makes connections as a policy allows, and HTTP requests over them. It is an http.RoundTripper that asks no proxy, decompresses
// nothing, and speaks TLS 1.2 or better with certificates verified against the name in the URL, whichever address was dialled. It is
// safe for concurrent use.
//
// It may speak HTTP/2 over TLS. That opens no way around the policy: Go keeps a connection for the host and port it was made for, and
// never uses it for another name that the certificate has as well.
type Gate struct {
	opts  Options
	state atomic.Pointer[state]
	// connect makes a connection to an address that was checked.
	connect func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
}

// state is a policy and the connections that were made under it.
type state struct {
	policy        *Policy
	plain, secure *http.Transport
}

// NewGate makes a gate.
func NewGate(p *Policy, o Options) *Gate {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gate{opts: o, connect: connect}
	g.Replace(p)
	return g
}

// Policy is the one in force.
func (g *Gate) Policy() *Policy { return g.state.Load().policy }

// Replace puts another policy in force. Connections that were made before are not used again.
func (g *Gate) Replace(p *Policy) {
	s := &state{policy: p, plain: g.transport("http", p), secure: g.transport("https", p)}
	if old := g.state.Swap(s); old != nil {
		old.close()
	}
}

func (s *state) close() {
	s.plain.CloseIdleConnections()
	s.secure.CloseIdleConnections()
}

// CloseIdleConnections closes what no request uses.
func (g *Gate) CloseIdleConnections() { g.state.Load().close() }

func (g *Gate) transport(scheme string, p *Policy) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(scheme == "https") // and never without TLS
	return &http.Transport{
		Proxy: nil, // one from the environment would connect where it likes
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return g.Dial(ctx, scheme, address)
		},
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.roots},
		TLSHandshakeTimeout:    dialLimit,
		DisableCompression:     true, // a megabyte on the wire is a megabyte
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    g.opts.Idle,
		MaxIdleConns:           idleConnections,
		IdleConnTimeout:        idle,
	}
}

// idleConnections is how many are kept altogether, as http.DefaultTransport does.
const idleConnections = 100

// RoundTrip makes a request if the policy allows its URL, and does not follow redirects. Its Host header has to be that of the URL: a
// server that is allowed might serve names that are not.
func (g *Gate) RoundTrip(req *http.Request) (*http.Response, error) {
	s := g.state.Load()
	err := s.policy.CheckURL(req.URL)
	if err == nil && req.Host != "" && req.Host != req.URL.Host {
		err = &Refusal{Policy: s.policy.name, Target: "", Rule: "its Host header names another host than the address"}
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	transport := s.plain
	if req.URL.Scheme == "https" {
		transport = s.secure
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	EndUpgrade(resp)
	return resp, nil
}

// EndUpgrade ends a connection whose server switched to another protocol, which it may do unasked. The body of such an answer is the
// connection itself, and neither the client's timeout nor the request's context ends it: reading it might take forever.
func EndUpgrade(resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		resp.Body = http.NoBody
	}
}

// Dial connects to host:port for a scheme, if the policy in force allows every address that the host has now.
func (g *Gate) Dial(ctx context.Context, scheme, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	t, fault := parseAuthority(scheme, address)
	p := g.Policy()
	if err := p.checked(t, fault); err != nil {
		return nil, err
	}
	addresses, err := g.lookup(ctx, p, t)
	if err != nil {
		return nil, err
	}
	conn, err := g.connectAny(ctx, addresses[:min(len(addresses), maxAddresses)], t.port)
	if err != nil {
		return nil, &connectError{t.hostport(), err}
	}
	return conn, nil
}

// Lookup gives the addresses of the host of a URL, if the policy allows every one of them.
func (g *Gate) Lookup(ctx context.Context, address string) ([]netip.Addr, error) {
	t, fault := parse(address)
	p := g.Policy()
	if err := p.checked(t, fault); err != nil {
		return nil, err
	}
	return g.lookup(ctx, p, t)
}

// lookup gives the addresses of a target that was checked. One that is not allowed is enough to refuse them all: such a name is a
// mistake or an attack, and which of its addresses comes first is chance.
func (g *Gate) lookup(ctx context.Context, p *Policy, t target) ([]netip.Addr, error) {
	if t.addr.IsValid() {
		return []netip.Addr{t.addr}, nil
	}
	found, err := g.opts.Resolver.LookupNetIP(ctx, "ip", t.host)
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown) && p.staging && !p.host(t.host):
		g.opts.Log.Warn("egress: a name could not be looked up", "policy", p.name, "host", t.host, "error", err)
		return nil, p.unknown(t)
	case err != nil:
		return nil, &lookupError{t.host, err}
	case len(found) == 0:
		return nil, &lookupError{t.host, errors.New("no addresses")}
	}
	for i, a := range found {
		// An A record may come as IPv4 inside IPv6, and what an AAAA record of that form leads to is the IPv4 address. It is what is
		// checked, and what is dialled.
		found[i] = a.Unmap()
		if r := p.refusesAddr(t, found[i]); r != nil {
			g.opts.Log.Warn("egress: refused", "policy", p.name, "host", t.host, "address", r.Resolved, "rule", blockOf(r.Resolved).what)
			return nil, r
		}
	}
	return slices.Compact(found), nil
}

type connected struct {
	conn net.Conn
	err  error
}

// connectAny connects to the first address that takes a connection.
func (g *Gate) connectAny(ctx context.Context, addresses []netip.Addr, port uint16) (net.Conn, error) {
	if len(addresses) == 1 {
		return g.connect(ctx, netip.AddrPortFrom(addresses[0], port))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan connected, len(addresses))
	var first error
	under, next := 0, 0
	try := func() {
		address := netip.AddrPortFrom(addresses[next], port)
		under, next = under+1, next+1
		go func() {
			conn, err := g.connect(ctx, address)
			results <- connected{conn, err}
		}()
	}
	try()
	for {
		var late <-chan time.Time
		if next < len(addresses) {
			late = time.After(stagger)
		}
		select {
		case <-late:
			try()
		case r := <-results:
			under--
			switch {
			case r.err == nil:
				go closeLate(results, under)
				return r.conn, nil
			case first == nil:
				first = r.err
			}
			if next < len(addresses) {
				try()
			} else if under == 0 {
				return nil, first
			}
		}
	}
}

// closeLate closes connections that came about behind another one.
func closeLate(results <-chan connected, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			_ = r.conn.Close()
		}
	}
}

// connect connects to an address. The last word is said when the socket is there and its address is final.
func connect(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, final string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(final)
		if err != nil || a != address {
			return fmt.Errorf("egress: about to connect to another address than the one that was checked")
		}
		return nil
	}}
	return dialer.DialContext(ctx, "tcp", address.String())
}
