package egress_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/egress"
)

// TestAllowed: what must work, works, over the connections that it should.
func TestAllowed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rules   egress.Rules
		url     string
		set     func(*world)
		reaches string
	}{
		"localhost":                    {egress.Rules{}, "http://localhost:9000/saasproduce?tenant=a", nil, "127.0.0.1:9000"},
		"LOCALHOST":                    {egress.Rules{}, "HTTP://LocalHost:9000/", nil, "127.0.0.1:9000"},
		"127.0.0.1":                    {egress.Rules{}, "http://127.0.0.1/", nil, "127.0.0.1:80"},
		"::1":                          {egress.Rules{}, "http://[::1]:9000/", nil, "[::1]:9000"},
		"10/8":                         {egress.Rules{}, "http://10.255.0.1/", nil, "10.255.0.1:80"},
		"172.16/12":                    {egress.Rules{}, "http://172.31.0.1/", nil, "172.31.0.1:80"},
		"192.168/16":                   {egress.Rules{}, "http://192.168.1.2:22/", nil, "192.168.1.2:22"},
		"fc00::/7":                     {egress.Rules{}, "http://[fd12:3456::1]/", nil, "[fd12:3456::1]:80"},
		"a name of a container":        {egress.Rules{}, "http://my_isv:9000/", resolves("my_isv", []string{"172.18.0.3"}), "172.18.0.3:9000"},
		"an alias of an inner name":    {egress.Rules{}, "http://alias.test/", resolves("alias.test", []string{"internal.test"}), "10.0.0.5:80"},
		"https with an own CA":         {egress.Rules{}, "https://private.test/", nil, privateISV + ":443"},
		"a public name, allowed":       {laptop, "https://isv.test/", nil, good},
		"shared space, allowed":        {egress.Rules{AllowNetworks: []string{"100.64.0.0/10"}}, "http://100.99.1.2/", nil, "100.99.1.2:80"},
		"staging, a name":              {staging, "https://isv.test/", nil, good},
		"staging, in capitals":         {staging, "HTTPS://ISV.Test/", nil, good},
		"staging, another port":        {staging, "https://isv.test:8443/", nil, publicISV + ":8443"},
		"staging, below a name":        {staging, "https://a.partner.test/", nil, good},
		"staging, a network":           {staging, "https://10.20.0.5/", nil, privateISV + ":443"},
		"staging, a name in a network": {staging, "https://private.test/", nil, privateISV + ":443"},
		"staging, the internet":        {egress.Rules{Preset: egress.Staging, AllowNetworks: []string{"0.0.0.0/0", "::/0"}}, "https://isv.test/", nil, good},
		"IPv6 of the internet": {
			egress.Rules{Preset: egress.Staging, AllowNetworks: []string{"::/0"}},
			"https://isv.test/",
			resolves("isv.test", []string{"2606:4700::1"}), "[2606:4700::1]:443",
		},
		"text behind the host is no user":  {staging, "https://isv.test/?next=https://x@evil.test/", nil, good},
		"a query that looks like an @ URL": {staging, "https://isv.test?@evil.test/", nil, good},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tc.set != nil {
				tc.set(w)
			}
			g := w.gate(tc.rules, nil)
			require.NoError(t, g.Policy().Check(tc.url))
			require.NoError(t, get(&http.Client{Transport: g}, tc.url))
			reached := w.connections()
			require.Contains(t, reached, tc.reaches)
			require.LessOrEqual(t, len(reached), 2, "localhost may be tried in both families")
		})
	}
}

// TestHTTP2: it is spoken where the ISV can, and connections are kept.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			rw.WriteHeader(http.StatusTeapot)
		}
	})
	client := &http.Client{Transport: w.gate(staging, nil)}
	for range 3 {
		resp, err := client.Get("https://isv.test/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	require.Len(t, w.connections(), 1)
}

// TestKinds: what every range is, at both of its ends.
func TestKinds(t *testing.T) {
	t.Parallel()
	for text, tc := range map[string]struct {
		never bool
		what  string
	}{
		"9.255.255.255": {false, "public"}, "10.0.0.0": {false, "private"}, "10.255.255.255": {false, "private"}, "11.0.0.0": {false, "public"},
		"172.15.255.255": {false, "public"}, "172.16.0.0": {false, "private"}, "172.31.255.255": {false, "private"}, "172.32.0.0": {false, "public"},
		"192.167.255.255": {false, "public"}, "192.168.0.0": {false, "private"}, "192.169.0.0": {false, "public"},
		"126.255.255.255": {false, "public"}, "127.0.0.0": {false, "loopback"}, "127.255.255.255": {false, "loopback"}, "128.0.0.0": {false, "public"},
		"100.63.255.255": {false, "public"}, "100.64.0.0": {false, "shared"}, "100.127.255.255": {false, "shared"}, "100.128.0.0": {false, "public"},
		"169.253.255.255": {false, "public"}, "169.254.0.0": {true, "link-local"}, "169.254.255.255": {true, "link-local"}, "169.255.0.0": {false, "public"},
		"0.0.0.0": {true, "unspecified"}, "0.255.255.255": {true, "unspecified"}, "1.0.0.0": {false, "public"},
		"192.0.0.1": {true, "reserved"}, "192.0.2.1": {true, "documentation"}, "198.51.100.1": {true, "documentation"}, "203.0.113.9": {true, "documentation"},
		"198.17.255.255": {false, "public"}, "198.18.0.0": {true, "benchmarks"}, "198.19.255.255": {true, "benchmarks"}, "198.20.0.0": {false, "public"},
		"192.88.99.1": {true, "6to4"}, "223.255.255.255": {false, "public"}, "224.0.0.0": {true, "multicast"}, "239.255.255.255": {true, "multicast"},
		"240.0.0.0": {true, "reserved"}, "255.255.255.254": {true, "reserved"}, "255.255.255.255": {true, "broadcast"},
		"::": {true, "unspecified"}, "::1": {false, "loopback"}, "::2": {true, "inside"}, "::ffff:8.8.8.8": {true, "inside"}, "::ffff:0:8.8.8.8": {true, "inside"},
		"64:ff9b::808:808": {true, "inside"}, "64:ff9b:1:ffff::1": {true, "inside"}, "64:ff9b:2::1": {true, "reserved"}, "100::1": {true, "reserved"},
		"1fff:ffff::1": {true, "reserved"}, "2000::1": {false, "public"}, "2001::1": {true, "inside"}, "2001:2::1": {true, "benchmarks"}, "2001:1ff::1": {true, "reserved"},
		"2001:200::1": {false, "public"}, "2001:db8::1": {true, "documentation"}, "2002::1": {true, "inside"}, "2003::1": {false, "public"},
		"2606:4700::5efe:8.8.8.8": {true, "inside"}, "2606:4700::200:5efe:8.8.8.8": {true, "inside"}, "2606:4700::5efe:1": {false, "public"},
		"3fff::1": {true, "documentation"}, "3fff:1000::1": {false, "public"}, "4000::1": {true, "reserved"}, "5f00::1": {true, "reserved"},
		"fbff::1": {true, "reserved"}, "fc00::1": {false, "private"}, "fdff::1": {false, "private"}, "fd00:ec2::254": {true, "metadata"}, "fd20:ce::254": {true, "metadata"},
		"fe80::1": {true, "link-local"}, "febf::1": {true, "link-local"}, "fe80::1%eth0": {true, "zone"}, "::1%lo": {true, "zone"},
		"fec0::1": {true, "site-local"}, "ff00::1": {true, "multicast"}, "ffff::1": {true, "multicast"},
	} {
		never, what := egress.KindOf(netip.MustParseAddr(text))
		require.Equal(t, tc.never, never, "%s: %s", text, what)
		require.Contains(t, what, tc.what, text)
	}
	never, _ := egress.KindOf(netip.Addr{})
	require.True(t, never)
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]egress.Rules{
		`preset "cloud": expected laptop or staging`: {Preset: "cloud"},
		"host *: expected a name":                    {AllowHosts: []string{"*"}},
		`host "*."`:                                  {AllowHosts: []string{"*."}},
		`host "https://isv.test"`:                    {AllowHosts: []string{"https://isv.test"}},
		`host "isv.test:443"`:                        {AllowHosts: []string{"isv.test:443"}},
		`host "isv.*.test"`:                          {AllowHosts: []string{"isv.*.test"}},
		`host "例え.test"`:                             {AllowHosts: []string{"例え.test"}},
		"host 10.0.0.1: an address is allowed as a":  {AllowHosts: []string{"10.0.0.1"}},
		"host [::1]: an address is allowed as a":     {AllowHosts: []string{"[::1]"}},
		`network "all"`:                              {AllowNetworks: []string{"all"}},
		`network "fe80::1%eth0"`:                     {AllowNetworks: []string{"fe80::1%eth0"}},
		"did you mean 10.1.0.0/16?":                  {AllowNetworks: []string{"10.1.2.3/16"}},
		"link-local address, where clouds keep":      {AllowNetworks: []string{"169.254.169.254"}},
		"network fe80::/64":                          {AllowNetworks: []string{"fe80::/64"}},
		"network ::ffff:10.0.0.1":                    {AllowNetworks: []string{"::ffff:10.0.0.1"}},
		"network 64:ff9b::/96":                       {AllowNetworks: []string{"64:ff9b::/96"}},
		`network "10.0.0"`:                           {DenyNetworks: []string{"10.0.0"}},
		"port 0":                                     {Ports: []uint16{443, 0}},
		"there is no certificate in it":              {CA: []byte("-----BEGIN")},
	} {
		_, err := egress.New(r)
		require.ErrorIs(t, err, egress.ErrRules, want)
		require.ErrorContains(t, err, want)
	}
}

// TestRefusal_SaysHowToMendIt: the reason, and the flag that would allow it.
func TestRefusal_SaysHowToMendIt(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]string{
		"https://93.184.216.34/x?secret=1": {"laptop does not allow https://93.184.216.34: it is a public address; to allow it: isv-sandbox serve --allow-network 93.184.216.34/32", ""},
		"http://100.64.0.9":                {"shared space 100.64.0.0/10; to allow it: isv-sandbox serve --allow-network 100.64.0.9/32", ""},
		"http://169.254.169.254":           {"it is a link-local address, where clouds keep their metadata, which is never called", "--allow"},
		"http://isv.test.":                 {"its host ends with a dot: leave it out", "--allow"},
		"http://me:hunter2@isv.test":       {"it has a user before an @", "hunter2"},
		"http://例え.test":                   {"write the name as DNS does (xn--…)", "--allow"},
	} {
		p, err := egress.New(egress.Rules{})
		require.NoError(t, err)
		err = p.Check(address)
		require.ErrorContains(t, err, want[0])
		require.NotContains(t, err.Error(), "secret")
		if want[1] != "" {
			require.NotContains(t, err.Error(), want[1])
		}
	}
	p, err := egress.New(egress.Rules{Name: "ours.yaml", Preset: egress.Staging})
	require.NoError(t, err)
	require.EqualError(t, p.Check("https://isv.test/saas"),
		"the egress policy ours.yaml does not allow https://isv.test: the name is not among those that it allows; to allow it: isv-sandbox serve --allow-host isv.test")
	require.ErrorContains(t, p.Check("https://isv.test:22"), "port 22: of its ports it allows 443 and those from 1024 up")
	require.ErrorContains(t, p.Check("http://isv.test"), "it allows https only")
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	write("ca.pem", string(w.ca))
	rules, err := egress.ReadFile(write("ours.yaml", `
preset: staging
allowHosts: ["isv.test", "*.partner.test"]
allowNetworks: ["10.20.0.0/16"]
denyNetworks: ["10.20.9.0/24"]
ports: [443, 8443]
ca: ["ca.pem"]
`))
	require.NoError(t, err)
	require.Equal(t, w.ca, []byte(strings.TrimSuffix(string(rules.CA), "\n")))
	rules.CA = nil
	require.Equal(t, egress.Rules{
		Name: "ours.yaml", Preset: egress.Staging, AllowHosts: []string{"isv.test", "*.partner.test"}, AllowNetworks: []string{"10.20.0.0/16"},
		DenyNetworks: []string{"10.20.9.0/24"}, Ports: []uint16{443, 8443},
	}, rules)
	rules, err = egress.ReadFile(write("empty.yaml", ""))
	require.NoError(t, err)
	require.Equal(t, egress.Rules{Name: "empty.yaml"}, rules)
	for want, text := range map[string]string{
		"allowHost not found":   "allowHost: [a.test]",
		"expected one document": "preset: laptop\n---\npreset: staging",
		"no such file":          "ca: [missing.pem]",
		"no certificate in it":  "ca: [ours.yaml]",
		"cannot unmarshal":      "ports: [70000]",
		`network "x"`:           "allowNetworks: [x]",
	} {
		_, err := egress.ReadFile(write("bad.yaml", text))
		require.ErrorIs(t, err, egress.ErrRules, text)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "bad.yaml")
	}
	_, err = egress.ReadFile(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// FuzzCheck: whatever an address is, it does not make Check panic, and what passes is read by Go's client as Check has read it, and
// leads to an address that is allowed, if it has one.
func FuzzCheck(f *testing.F) {
	for _, y := range ways {
		f.Add(y.url)
	}
	for _, s := range []string{"http://localhost:9000/", "https://isv.test/a?b=c", "https://[fd12::1]:8443/", "https://10.20.0.5", "//isv.test", "http://[::1%25]/", "https://isv.test:443#@evil"} {
		f.Add(s)
	}
	policies := map[string]*egress.Policy{}
	for name, r := range map[string]egress.Rules{"laptop": {}, "staging": staging, "wide": wide} {
		p, err := egress.New(r)
		require.NoError(f, err)
		policies[name] = p
	}
	allowed := map[string]func(a netip.Addr) bool{
		"laptop":  func(a netip.Addr) bool { return a.IsLoopback() || a.IsPrivate() },
		"staging": func(a netip.Addr) bool { return netip.MustParsePrefix("10.20.0.0/16").Contains(a) },
		"wide":    func(a netip.Addr) bool { return (a.IsGlobalUnicast() || a.IsLoopback()) && !a.Is4In6() },
	}
	f.Fuzz(func(t *testing.T, address string) {
		for name, p := range policies {
			if err := p.Check(address); err != nil {
				var refusal *egress.Refusal
				require.ErrorAs(t, err, &refusal)
				continue
			}
			req, err := http.NewRequest(http.MethodGet, address, nil)
			require.NoError(t, err)
			require.NoError(t, p.CheckURL(req.URL))
			host, a, ok := egress.HostOf(address)
			require.True(t, ok)
			read := req.URL.Hostname()
			if a.IsValid() {
				require.Equal(t, a, netip.MustParseAddr(read))
				require.Empty(t, a.Zone())
				require.True(t, allowed[name](a), "%s: %s", name, a)
				continue
			}
			require.Equal(t, host, strings.ToLower(read))
			require.NotRegexp(t, `[^a-z0-9._-]`, host)
			require.NotRegexp(t, `(^|\.)(0x[0-9a-f]*|[0-9]+)$`, host, "somebody takes it for an address")
			require.Nil(t, req.URL.User)
			// As somebody else might read it, who ends the host at another character.
			for _, other := range []string{strings.ReplaceAll(address, `\`, "/"), strings.TrimSpace(address)} {
				u, err := url.Parse(other)
				require.NoError(t, err)
				require.Equal(t, read, u.Hostname())
			}
		}
	})
}
