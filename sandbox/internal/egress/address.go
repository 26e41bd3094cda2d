package egress

import "net/netip"

// kind is what an address is to the policy.
type kind int

const (
	never    kind = iota // no rule allows it
	loopback             // this machine
	private              // private networks, RFC 1918 and RFC 4193
	shared               // 100.64.0.0/10, RFC 6598: carriers, VPNs, and inner services of clouds
	public               // what the internet routes
)

// block is a range of addresses, and what to call one of them in a sentence.
type block struct {
	netip.Prefix
	kind kind
	what string
}

func in(prefix string, k kind, what string) block {
	return block{netip.MustParsePrefix(prefix), k, what}
}

const (
	metadata = "a metadata address of a cloud"
	embedded = "an IPv6 form with an IPv4 address inside"
	reserved = "an address that is reserved"
	examples = "an address for documentation"
	measures = "an address for benchmarks"
	casts    = "a multicast address"
	links    = "a link-local address"
)

// blocks are the ranges with a meaning, of which the first that has an address counts. They are those of the IANA registries of
// special-purpose addresses (RFC 6890 and what came after it), and the metadata services of the clouds that do not use
// 169.254.0.0/16 for them. The last of each family is what is left.
var blocks = []block{
	in("127.0.0.0/8", loopback, "a loopback address"),
	in("10.0.0.0/8", private, "a private address"),
	in("172.16.0.0/12", private, "a private address"),
	in("192.168.0.0/16", private, "a private address"),
	in("169.254.0.0/16", never, "a link-local address, where clouds keep their metadata"),
	in("100.100.100.200/32", never, metadata), // Alibaba Cloud
	in("192.0.0.192/32", never, metadata),     // Oracle Cloud
	in("168.63.129.16/32", never, metadata),   // Azure
	in("100.64.0.0/10", shared, "an address of the shared space 100.64.0.0/10"),
	in("0.0.0.0/8", never, "an unspecified address"), // Linux takes it for the machine itself
	in("192.0.0.0/24", never, reserved),
	in("192.0.2.0/24", never, examples),
	in("198.51.100.0/24", never, examples),
	in("203.0.113.0/24", never, examples),
	in("198.18.0.0/15", never, measures),
	in("192.88.99.0/24", never, "a relay of 6to4"),
	in("192.31.196.0/24", never, reserved), // AS112
	in("192.52.193.0/24", never, reserved), // AMT
	in("192.175.48.0/24", never, reserved), // AS112
	in("224.0.0.0/4", never, casts),
	in("255.255.255.255/32", never, "the broadcast address"),
	in("240.0.0.0/4", never, reserved),
	in("0.0.0.0/0", public, "a public address"),

	in("::1/128", loopback, "a loopback address"),
	in("::/128", never, "an unspecified address"),
	in("::ffff:0:0/96", never, embedded),   // IPv4-mapped
	in("::ffff:0:0:0/96", never, embedded), // IPv4-translated, RFC 2765
	in("::/96", never, embedded),           // IPv4-compatible
	in("64:ff9b::/96", never, embedded),    // NAT64
	in("64:ff9b:1::/48", never, embedded),  // NAT64 of a local network
	in("2002::/16", never, embedded),       // 6to4
	in("2001::/32", never, embedded),       // Teredo
	in("2001:2::/48", never, measures),
	in("2001::/23", never, reserved),
	in("2001:db8::/32", never, examples),
	in("3fff::/20", never, examples),
	in("2620:4f:8000::/48", never, reserved), // AS112
	in("fd00:ec2::/32", never, metadata),     // Amazon
	in("fd20:ce::/32", never, metadata),      // Google Cloud
	in("fd00:c1::/32", never, metadata),      // Oracle Cloud
	in("fd00:42::42/128", never, metadata),   // Scaleway
	in("fc00::/7", private, "a private address"),
	in("fe80::/10", never, links),
	in("fec0::/10", never, "a site-local address"),
	in("ff00::/8", never, casts),
	in("2000::/3", public, "a public address"),
	in("::/0", never, reserved),
}

// isatap is an address of which the last half says that it is an IPv4 address (RFC 5214), whatever the first half is.
var isatap = block{kind: never, what: embedded}

// blockOf tells what an address is.
func blockOf(a netip.Addr) block {
	if a.Is6() {
		if b := a.As16(); b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
			return isatap
		}
	}
	if a.Zone() != "" { // no prefix contains one
		return block{kind: never, what: "an address with a zone"}
	}
	for _, b := range blocks {
		if b.Contains(a) {
			return b
		}
	}
	return block{kind: never, what: "no address"}
}

// useless tells whether no address of a network can ever be called, and why.
func useless(n netip.Prefix) (what string, yes bool) {
	for _, b := range blocks {
		switch {
		case b.Bits() <= n.Bits() && b.Contains(n.Addr()): // n lies within it
			return b.what, b.kind == never
		case b.kind != never && n.Contains(b.Addr()):
			return "", false
		}
	}
	return "", false
}
