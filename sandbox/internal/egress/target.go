package egress

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// target is whom a URL leads to, in the one way in which we write it.
type target struct {
	scheme string
	host   string     // a name in small letters; empty with an address
	addr   netip.Addr // if the URL has one
	port   uint16
}

func (t target) secure() bool { return t.scheme == "https" }

// named is the host as people write it.
func (t target) named() string {
	switch {
	case t.host != "":
		return t.host
	case t.addr.Is6():
		return "[" + t.addr.String() + "]"
	}
	return t.addr.String()
}

// String is the target as a URL, without the port that goes without saying.
func (t target) String() string {
	if t.port == defaultPort(t.scheme) {
		return t.scheme + "://" + t.named()
	}
	return t.scheme + "://" + t.hostport()
}

func (t target) hostport() string { return t.named() + ":" + strconv.Itoa(int(t.port)) }

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// parse reads a URL. Whatever two programs might read in two ways is refused: the fault, in words, is the second result.
func parse(address string) (target, string) {
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return target{}, "it has a space, a control character or a backslash in it"
	}
	u, err := url.Parse(address)
	if err != nil {
		return target{}, "it is no address" // the error would repeat it, password included
	}
	return parseURL(u)
}

func parseURL(u *url.URL) (target, string) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, "its scheme is neither https nor http"
	case u.Opaque != "":
		return target{}, "behind the scheme there is no //"
	case u.User != nil:
		return target{}, "it has a user before an @"
	}
	return parseAuthority(u.Scheme, u.Host)
}

// parseAuthority reads host and port.
func parseAuthority(scheme, authority string) (target, string) {
	t := target{scheme: scheme, port: defaultPort(scheme)}
	var host, port string
	var hasPort bool
	bracket := strings.HasPrefix(authority, "[")
	if bracket {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return t, "its host has a bracket that does not end"
		}
		host = authority[1:end]
		rest := authority[end+1:]
		if port, hasPort = strings.CutPrefix(rest, ":"); !hasPort && rest != "" {
			return t, "there is something between its host and its port"
		}
	} else {
		host, port, hasPort = strings.Cut(authority, ":")
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' {
			return t, "its port is not a number from 1 to 65535"
		}
		t.port = uint16(n)
	}
	if bracket {
		a, err := netip.ParseAddr(host)
		switch {
		case err != nil || !a.Is6():
			return t, "what its brackets hold is no IPv6 address"
		case a.Zone() != "":
			return t, "its address has a zone"
		}
		t.addr = a
		return t, ""
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		t.addr = a
		return t, ""
	}
	t.host = strings.ToLower(host)
	return t, nameFault(t.host)
}

// maxName is how long a name can be in DNS, and maxLabel the part between two dots.
const (
	maxName  = 253
	maxLabel = 63
)

// nameFault tells what is wrong with a name in small letters; empty: nothing.
func nameFault(name string) string {
	switch {
	case name == "":
		return "it has no host"
	case len(name) > maxName:
		return "its host is longer than a name can be"
	case strings.HasSuffix(name, "."):
		return "its host ends with a dot: leave it out"
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel {
			return "a part of its host is empty or longer than 63 characters"
		}
		for _, c := range []byte(label) {
			switch {
			case c >= 0x80:
				return "its host has characters beyond ASCII: write the name as DNS does (xn--…)"
			case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_':
			default:
				return "its host has a character that names do not have"
			}
		}
	}
	// What some programs take for an IPv4 address: 2130706433, 0x7f.1, 0177.0.0.1. No top-level domain is a number.
	if last := labels[len(labels)-1]; isNumber(last) {
		return "its host is a number but no IPv4 address: write four decimal numbers, such as 127.0.0.1"
	}
	return ""
}

func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
