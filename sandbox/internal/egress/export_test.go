package egress

import (
	"context"
	"net"
	"net/netip"
)

// ConnectWith makes a gate reach checked addresses in another way.
func (g *Gate) ConnectWith(connect func(ctx context.Context, address netip.AddrPort) (net.Conn, error)) {
	g.connect = connect
}

// KindOf tells whether an address is never called, and what it is.
func KindOf(a netip.Addr) (isNever bool, what string) {
	b := blockOf(a)
	return b.kind == never, b.what
}

// HostOf reads a URL: its name, or its address.
func HostOf(address string) (name string, a netip.Addr, ok bool) {
	t, fault := parse(address)
	return t.host, t.addr, fault == ""
}
