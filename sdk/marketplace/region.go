package marketplace

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// Region is an edition of the marketplace, with its own hosts, orders and access keys.
type Region string

// The regions. Only the Chinese one has a second host.
const (
	China         Region = "china"         // mkt.myhuaweicloud.com, or else mkt.myhuaweicloud.cn
	International Region = "international" // mkt-intl.myhuaweicloud.com
	Europe        Region = "europe"        // mkt.myhuaweicloud.eu
)

// Hosts returns the hosts of a region, the one to be used first, or nothing if there is no such region.
func (r Region) Hosts() []string {
	switch r {
	case China:
		return []string{"mkt.myhuaweicloud.com", "mkt.myhuaweicloud.cn"}
	case International:
		return []string{"mkt-intl.myhuaweicloud.com"}
	case Europe:
		return []string{"mkt.myhuaweicloud.eu"}
	}
	return nil
}

// fallbackTime is how long attempts go to the second host once the first could not be reached.
const fallbackTime = 5 * time.Minute

// hosts chooses the host of each attempt. The time is real time, whatever Config.Now says, because a network is reached in it.
type hosts struct {
	names []string // empty with Config.URL: the host in it is the only one
	mu    sync.Mutex
	until time.Time // until then the second one is used
}

// pick returns the host for an attempt, "" for the only one.
func (h *hosts) pick() string {
	if len(h.names) < 2 {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.until) {
		return h.names[1]
	}
	return h.names[0]
}

// unreachable has the next attempts go to the other host.
func (h *hosts) unreachable(name string) {
	if len(h.names) < 2 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if name == h.names[0] {
		h.until = time.Now().Add(fallbackTime)
	} else {
		h.until = time.Time{}
	}
}

// connection watches whether an attempt got a connection, which only transports of net/http tell.
type connection struct{ asked, got atomic.Bool }

func (c *connection) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { c.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { c.got.Store(true) },
	}
}

// neverSent reports whether an attempt failed before anything could be sent.
func (c *connection) neverSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || c.asked.Load() && !c.got.Load()
}

// wrongCertificate reports whether a host was reached that is not the one it should be. Another host is no remedy for that.
func wrongCertificate(err error) bool {
	var wrong *tls.CertificateVerificationError
	return errors.As(err, &wrong)
}
