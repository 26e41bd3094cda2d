package egress

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
)

// Refusal is that the policy does not allow a connection. Its text may be shown to the seller whose ISV should be called: it never
// has an address that a name resolved to, and nothing of a URL but scheme, host and port.
type Refusal struct {
	Policy string // its name
	Target string // what was to be called, such as https://isv.example.com; empty if it cannot be read
	Rule   string // what is in the way
	Allow  string // how it is allowed; empty: in no way

	// Resolved is the address that a name resolved to and that is in the way. It is for the operator's log only.
	Resolved netip.Addr
}

// Error says which policy, what is in the way, and how to mend it.
func (r *Refusal) Error() string {
	if r.Allow == "" {
		return r.What()
	}
	return r.What() + "; " + r.Allow
}

// What is Error without how to mend it.
func (r *Refusal) What() string {
	return "the egress policy " + r.Policy + " does not allow " + cmp.Or(r.Target, "this address") + ": " + r.Rule
}

// connectError is that no connection came about. It names whom we called as we were told to call it: the address behind a name is
// nobody's business.
type connectError struct {
	host string // with port
	err  error
}

func (e *connectError) Error() string { return "no connection to " + e.host + ": " + Explain(e.err) }
func (e *connectError) Unwrap() error { return e.err }

// lookupError is that a name has no address.
type lookupError struct {
	host string
	err  error
}

func (e *lookupError) Error() string { return e.host + " has no address: " + Explain(e.err) }
func (e *lookupError) Unwrap() error { return e.err }

// Explain is the text of an error of a connection without the URL, which has signatures, and without the addresses of the ISV, of
// this machine and of its DNS server.
func Explain(err error) string {
	var refusal *Refusal
	var connect *connectError
	var lookup *lookupError
	var dns *net.DNSError
	var op *net.OpError
	var u *url.Error
	switch {
	case errors.As(err, &refusal):
		return refusal.Error()
	case errors.As(err, &connect):
		return connect.Error()
	case errors.As(err, &lookup):
		return lookup.Error()
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &op) && op.Err != nil:
		if op.Op == "dial" { // the system call says so itself
			return op.Err.Error()
		}
		return op.Op + ": " + op.Err.Error()
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}
