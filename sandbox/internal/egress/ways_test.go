package egress_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/egress"
)

// way is a way to get around the policy.
type way struct {
	why      string       // it would be one
	rules    egress.Rules // default: staging below
	url      string
	set      func(w *world)                            // the world
	do       func(w *world, client *http.Client) error // default: get the URL
	may      []string                                  // what is reached nevertheless, rightly
	gets     bool                                      // it is answered, by those that may be reached
	trickles bool                                      // it never ends by itself
	other    bool                                      // what ends it is not the policy but what else is verified

	// open says that somebody without a policy would reach what must not be reached: the test shows that the way is one. "checks" is
	// for ways that get around a policy that looks a name up, decides, and then lets the name be looked up once more.
	open string
}

const (
	always = "always"
	checks = "checks"
)

var (
	staging = egress.Rules{Preset: egress.Staging, AllowHosts: []string{"isv.test", "*.partner.test"}, AllowNetworks: []string{"10.20.0.0/16"}}
	laptop  = egress.Rules{Preset: egress.Laptop, AllowHosts: []string{"isv.test"}}
	// wide is as much as one can allow.
	wide = egress.Rules{Preset: egress.Laptop, AllowHosts: []string{"*.test"}, AllowNetworks: []string{"0.0.0.0/0", "::/0", "100.64.0.0/10"}}
)

// get makes a request and reads its answer.
func get(client *http.Client, url string, change ...func(*http.Request)) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	for _, f := range change {
		f(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// twice gets a URL, does something, and gets it again.
func twice(url string, between func(client *http.Client)) func(*world, *http.Client) error {
	return func(_ *world, client *http.Client) error {
		if err := get(client, url); err != nil {
			return err
		}
		between(client)
		return get(client, url)
	}
}

func redirect(to string) func(*world) {
	return func(w *world) {
		w.answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/start" {
				http.Redirect(rw, r, to, http.StatusTemporaryRedirect)
			}
		})
	}
}

// resolves sets what a name resolves to.
func resolves(name string, answers ...[]string) func(*world) {
	return func(w *world) { w.says(name, answers...) }
}

func closeIdle(client *http.Client) { client.CloseIdleConnections() }

const good = publicISV + ":443"

var ways = map[string]way{
	// the URL
	"plain http":                      {why: "whoever sees the traffic sees the signatures", url: "http://isv.test/", open: always},
	"another scheme":                  {why: "other services take lines of a URL for commands", url: "gopher://isv.test:70/_x"},
	"a file":                          {why: "no connection, but the machine's own files", url: "file:///etc/passwd"},
	"no slashes":                      {why: "opaque URLs have a host for some readers and none for others", url: "https:evil.test/"},
	"no host":                         {why: "an empty host is the machine itself to a dialler", url: "https:///saasproduce"},
	"only a port":                     {why: "an empty host is the machine itself to a dialler", url: "http://:80/", rules: wide},
	"allowed name as user":            {why: "a careless reader sees the allowed name first", url: "https://isv.test@evil.test/", open: always},
	"allowed name and port as user":   {why: "as above, and it looks like a port", url: "https://isv.test:443@evil.test/", open: always},
	"user of an allowed host":         {why: "a password in an address ends up in logs", url: "https://root:hunter2@isv.test/"},
	"a backslash in the host":         {why: "browsers take it for a slash, Go does not", url: `https://evil.test\.partner.test/`},
	"a backslash before the @":        {why: "browsers end the host there", url: `https://evil.test\@isv.test/`},
	"a new line":                      {why: "a second header or request", url: "https://isv.test/\r\nHost: evil.test"},
	"a name that ends as allowed":     {why: "compared as text it ends in partner.test", url: "https://evilpartner.test/", open: always},
	"a name that begins as allowed":   {why: "compared as text it begins with isv.test", url: "https://isv.test.evil.test/", open: always},
	"the name above the suffix":       {why: "*.partner.test is not partner.test, which somebody else may have", url: "https://partner.test/", open: always},
	"a dot at the end":                {why: "it is the same name to DNS and another to a comparison", url: "https://isv.test./", set: resolves("isv.test.", []string{"6.6.6.6"})},
	"a dot behind a name not allowed": {why: "as above, past a list of what is denied", url: "https://evil.test./"},
	"a percent sign in the host":      {why: "decoded once more it is another host", url: "https://%65vil.test/"},
	"an encoded slash in the host":    {why: "decoded once more the host ends before it", url: "https://evil.test%2f.partner.test/"},
	"small print of an allowed port":  {why: "smtp, ssh and others live below 1024", url: "https://isv.test:25/", open: always},
	"a port with a zero before it":    {why: "some read it as octal", url: "https://isv.test:0443/"},
	"a port that is too big":          {why: "modulo 65536 it is 22", url: "https://isv.test:65558/"},
	"a port that is a name":           {why: "it is looked up as a service", url: "https://isv.test:ssh/"},
	"a port without a number":         {why: "readers differ in whether there is one", url: "https://isv.test:/", may: []string{good}, gets: true},
	"a denied port of a file":         {why: "the file says 443 only", rules: egress.Rules{Preset: egress.Staging, AllowHosts: []string{"isv.test"}, Ports: []uint16{443}}, url: "https://isv.test:8443/", open: always},

	// IPv4 in other words, which C libraries take for addresses; in this world the resolver does, too
	"decimal":           {why: "one number for four", rules: laptop, url: "http://2852039166/", set: resolves("2852039166", []string{"169.254.169.254"}), open: always},
	"hexadecimal":       {why: "one number for four", rules: laptop, url: "http://0xa9fea9fe/", set: resolves("0xa9fea9fe", []string{"169.254.169.254"}), open: always},
	"HEXADECIMAL":       {why: "one number for four, in capitals", rules: laptop, url: "http://0XA9FEA9FE/", set: resolves("0xa9fea9fe", []string{"169.254.169.254"}), open: always},
	"octal":             {why: "zeros before numbers", rules: laptop, url: "http://0251.0376.0251.0376/", set: resolves("0251.0376.0251.0376", []string{"169.254.169.254"}), open: always},
	"one octal":         {why: "one number for four", rules: staging, url: "https://017700000001/", set: resolves("017700000001", []string{"127.0.0.1"}), open: always},
	"short":             {why: "two numbers for four", url: "https://127.1/", set: resolves("127.1", []string{"127.0.0.1"}), open: always},
	"short and mixed":   {why: "hexadecimal and decimal", url: "https://0x7f.1/", set: resolves("0x7f.1", []string{"127.0.0.1"}), open: always},
	"five numbers":      {why: "some readers take the last four", url: "https://0.127.0.0.1/", set: resolves("0.127.0.0.1", []string{"127.0.0.1"}), open: always},
	"too big":           {why: "modulo 256 it is 127.0.0.1", url: "https://383.256.256.257/", set: resolves("383.256.256.257", []string{"127.0.0.1"}), open: always},
	"full-width digits": {why: "Unicode takes them for digits, and so does Go when it connects", rules: laptop, url: "http://１６９.２５４.１６９.２５４/", open: always},
	"ideographic dots":  {why: "Unicode takes them for dots", rules: laptop, url: "http://169。254。169。254/", open: always},
	"a full-width name": {why: "Unicode takes it for internal.test", url: "https://ｉｎｔｅｒｎａｌ.test/", open: always},

	// addresses
	"loopback":                    {why: "the control API of the sandbox itself", url: "https://127.0.0.1/", open: always},
	"other loopback":              {why: "all of 127.0.0.0/8 is", url: "https://127.8.8.8/", open: always},
	"IPv6 loopback":               {why: "the machine itself", url: "https://[::1]/", open: always},
	"localhost":                   {why: "the machine itself", url: "https://localhost/", open: always},
	"LOCALHOST":                   {why: "the machine itself, in capitals", url: "https://LOCALHOST/", open: always},
	"below localhost":             {why: "some resolvers take all of it for the machine itself", url: "https://isv.localhost/", set: resolves("isv.localhost", []string{"127.0.0.1"}), open: always},
	"private":                     {why: "an inner service", url: "https://10.0.0.5/", open: always},
	"private IPv6":                {why: "an inner service", url: "https://[fd12::5]/", open: always},
	"link-local":                  {why: "the metadata of most clouds, with their keys", rules: laptop, url: "http://169.254.169.254/latest/meta-data/", open: always},
	"link-local, all allowed":     {why: "0.0.0.0/0 has it", rules: wide, url: "https://169.254.169.254/", open: always},
	"metadata of Alibaba":         {why: "it lies in the shared space", rules: wide, url: "https://100.100.100.200/", open: always},
	"metadata of Oracle":          {why: "it is not link-local", rules: wide, url: "https://192.0.0.192/", open: always},
	"wire server of Azure":        {why: "it looks public", rules: wide, url: "https://168.63.129.16/", open: always},
	"metadata of Amazon":          {why: "it is a private address", rules: laptop, url: "http://[fd00:ec2::254]/", open: always},
	"metadata of Google":          {why: "it is a private address", rules: laptop, url: "http://[fd20:ce::254]/", open: always},
	"link-local IPv6":             {why: "the neighbours", rules: wide, url: "https://[fe80::1]/", open: always},
	"a zone":                      {why: "it names the interface", rules: wide, url: "https://[fe80::1%25eth0]/", open: always},
	"loopback with a zone":        {why: "a comparison fails, the connection does not", rules: laptop, url: "http://[::1%25lo]/", open: always},
	"unspecified":                 {why: "Linux takes it for the machine itself", url: "https://0.0.0.0/", open: always},
	"unspecified, on a laptop":    {why: "Linux takes it for the machine itself", rules: wide, url: "http://0.0.0.0/", open: always},
	"unspecified IPv6":            {why: "Linux takes it for the machine itself", rules: wide, url: "http://[::]/", open: always},
	"broadcast":                   {why: "everybody", rules: wide, url: "https://255.255.255.255/", open: always},
	"multicast":                   {why: "many", rules: wide, url: "https://224.0.0.1/", open: always},
	"multicast IPv6":              {why: "many", rules: wide, url: "https://[ff02::1]/", open: always},
	"reserved":                    {why: "networks of large firms route it inside", rules: wide, url: "https://240.0.0.1/", open: always},
	"mapped loopback":             {why: "127.0.0.1 as IPv6", url: "https://[::ffff:127.0.0.1]/", open: always},
	"mapped, on a laptop":         {why: "169.254.169.254 as IPv6", rules: laptop, url: "http://[::ffff:169.254.169.254]/", open: always},
	"mapped in hexadecimal":       {why: "169.254.169.254 as IPv6", rules: wide, url: "https://[::ffff:a9fe:a9fe]/", open: always},
	"compatible":                  {why: "127.0.0.1 as IPv6, the older form", rules: wide, url: "https://[::127.0.0.1]/", open: always},
	"translated":                  {why: "an IPv4 address as IPv6", rules: wide, url: "https://[::ffff:0:169.254.169.254]/", open: always},
	"NAT64":                       {why: "a gateway makes it 169.254.169.254", rules: wide, url: "https://[64:ff9b::a9fe:a9fe]/", open: always},
	"local NAT64":                 {why: "a gateway makes it 169.254.169.254", rules: wide, url: "https://[64:ff9b:1::a9fe:a9fe]/", open: always},
	"6to4":                        {why: "a tunnel to 169.254.169.254", rules: wide, url: "https://[2002:a9fe:a9fe::1]/", open: always},
	"Teredo":                      {why: "a tunnel to an IPv4 address", rules: wide, url: "https://[2001:0:a9fe:a9fe::5601:5601]/", open: always},
	"ISATAP":                      {why: "a tunnel to an IPv4 address", rules: wide, url: "https://[2606:4700::5efe:169.254.169.254]/", open: always},
	"a laptop calls the internet": {why: "a laptop's policy is its own network", rules: egress.Rules{}, url: "https://93.184.216.34/", open: always},
	"plain http to the internet":  {why: "the name is allowed, over https", rules: laptop, url: "http://isv.test/", open: always},
	"shared space":                {why: "clouds keep inner services there", rules: laptop, url: "http://100.64.0.1/", open: always},
	"everything, and so private":  {why: "0.0.0.0/0 was meant to be the internet", rules: egress.Rules{Preset: egress.Staging, AllowNetworks: []string{"0.0.0.0/0"}}, url: "https://10.0.0.5/", open: always},
	"around a private network":    {why: "10.0.0.0/7 has 10.0.0.0/8", rules: egress.Rules{Preset: egress.Staging, AllowNetworks: []string{"10.0.0.0/7"}}, url: "https://10.0.0.5/", open: always},
	"a denied network":            {why: "a smaller network within one that is allowed", rules: egress.Rules{Preset: egress.Staging, AllowNetworks: []string{"10.20.0.0/16"}, DenyNetworks: []string{"10.20.0.0/24"}}, url: "https://10.20.0.5/", open: always},

	// DNS
	"a name not allowed":             {why: "nobody allowed it", url: "https://evil.test/", open: always},
	"a name at loopback":             {why: "whoever owns the name says where it leads", url: "https://isv.test/", set: resolves("isv.test", []string{"127.0.0.1"}), open: always},
	"a name at a private address":    {why: "the name is allowed, the address is not", url: "https://isv.test/", set: resolves("isv.test", []string{"10.0.0.5"}), open: always},
	"a name at the metadata":         {why: "loopback and private are allowed on a laptop, this is not", rules: laptop, url: "http://isv.test/", set: resolves("isv.test", []string{"169.254.169.254"}), open: always},
	"an alias of an inner name":      {why: "the name that was allowed has no address of its own", url: "https://isv.test/", set: resolves("isv.test", []string{"internal.test"}), open: always},
	"one bad address, first":         {why: "whichever comes first is connected to", url: "https://isv.test/", set: resolves("isv.test", []string{"169.254.169.254", publicISV}), open: always},
	"one bad address, last":          {why: "the first one refuses the connection", url: "https://isv.test/", set: resolves("isv.test", []string{publicISV, "127.0.0.1"}), open: always},
	"good IPv4, bad IPv6":            {why: "IPv6 is tried first", url: "https://isv.test/", set: resolves("isv.test", []string{publicISV, "::1"}), open: always},
	"good IPv6, bad IPv4":            {why: "without IPv6 only IPv4 is left", url: "https://isv.test/", set: resolves("isv.test", []string{"2606:4700::1", "10.0.0.5"}), open: always},
	"mapped in DNS":                  {why: "an AAAA record with an IPv4 address inside", rules: laptop, url: "http://isv.test/", set: resolves("isv.test", []string{"::ffff:169.254.169.254"}), open: always},
	"NAT64 in DNS":                   {why: "an AAAA record with an IPv4 address inside", rules: wide, url: "https://isv.test/", set: resolves("isv.test", []string{"64:ff9b::7f00:1"}), open: always},
	"another answer within a call":   {why: "good when it is checked, bad when it is connected to", url: "https://isv.test/", set: resolves("isv.test", []string{publicISV}, []string{"127.0.0.1"}), may: []string{good}, gets: true, open: checks},
	"another answer for the next":    {why: "good for the first call, bad for the second", set: resolves("isv.test", []string{publicISV}, []string{"127.0.0.1"}), do: twice("https://isv.test/", closeIdle), may: []string{good}, open: always},
	"another answer for a retry":     {why: "the kept connection is gone, and the client repeats the request by itself", rules: laptop, set: resolves("private.test", []string{privateISV}, []string{"169.254.169.254"}), do: retried, may: []string{privateISV + ":80"}, open: always},
	"very many addresses, one bad":   {why: "only so many are looked at", url: "https://isv.test/", set: func(w *world) { w.says("isv.test", append(many(20), "10.0.0.5")) }, open: always},
	"a name that wants no https":     {why: "an inner service at an allowed network", url: "http://private.test/", open: always},
	"a private name of the internet": {why: "the wide rules allow all names, but only at public addresses", rules: egress.Rules{Preset: egress.Staging, AllowHosts: []string{"*.test"}}, url: "https://internal.test/", open: always},

	// on the way
	"redirect to the metadata":   {why: "the client follows", url: "https://isv.test/start", set: redirect("http://169.254.169.254/latest/"), may: []string{good}, open: always},
	"redirect to plain http":     {why: "the client follows", url: "https://isv.test/start", set: redirect("http://isv.test/"), may: []string{good}, open: always},
	"redirect to an inner name":  {why: "the client follows", url: "https://isv.test/start", set: redirect("https://internal.test/"), may: []string{good}, open: always},
	"redirect without a scheme":  {why: "the client follows", url: "https://isv.test/start", set: redirect("//127.0.0.1/"), may: []string{good}, open: always},
	"redirect to another port":   {why: "the client follows", url: "https://isv.test/start", set: redirect("https://isv.test:22/"), may: []string{good}, open: always},
	"a proxy of the environment": {why: "the proxy connects where it likes", url: "https://isv.test/", may: []string{good}, gets: true, open: always},
	"a proxy, for plain http":    {why: "the proxy connects where it likes", rules: laptop, url: "http://private.test/", may: []string{privateISV + ":80"}, gets: true, open: always},
	"another Host header": {why: "a server that is allowed serves names that are not", do: func(_ *world, c *http.Client) error {
		return get(c, "https://isv.test/", func(r *http.Request) { r.Host = "internal.test" })
	}},
	"another server's certificate": {why: "somebody changed DNS on the way", rules: egress.Rules{Preset: egress.Staging, AllowHosts: []string{"*.test"}}, url: "https://evil.test/", may: []string{"6.6.6.6:443"}, other: true},
	"a certificate of an address":  {why: "the connection goes to an address that the certificate has, the URL has a name", rules: egress.Rules{Preset: egress.Staging, AllowHosts: []string{"*.test"}}, url: "https://evil.test/", set: resolves("evil.test", []string{publicISV}), may: []string{good}, other: true},
	"TLS 1.1": {why: "it can be read", set: func(w *world) {
		w.tls.TLS.MinVersion, w.tls.TLS.MaxVersion, w.tls.TLS.NextProtos = tls.VersionTLS10, tls.VersionTLS11, []string{"http/1.1"}
	}, url: "https://isv.test/", may: []string{good}, other: true},
	"TLS on a port of plain http": {why: "it falls back", url: "https://isv.test:8080/", may: []string{publicISV + ":8080"}, other: true},
	"another place for the service": {why: "Alt-Svc tells browsers to go elsewhere", set: func(w *world) {
		w.answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Alt-Svc", `h2="127.0.0.1:443"; ma=86400, h3="169.254.169.254:443"`)
		})
	}, do: twice("https://isv.test/", closeIdle), may: []string{good, good}, gets: true},
	"a connection that is another's": {why: "HTTP/2 lets a client use a connection for every name in its certificate", do: func(_ *world, c *http.Client) error {
		if err := get(c, "https://isv.test/"); err != nil {
			return err
		}
		return get(c, "https://internal.test/")
	}, may: []string{good}, open: always},
	"an upgrade to h2c": {why: "behind it any request can be sent past a proxy", rules: laptop, do: func(_ *world, c *http.Client) error {
		return get(c, "http://private.test/", func(r *http.Request) {
			r.Header.Set("Upgrade", "h2c")
			r.Header.Set("Connection", "Upgrade, HTTP2-Settings")
			r.Header.Set("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")
		})
	}, set: func(w *world) {
		w.answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Upgrade", "h2c")
			rw.Header().Set("Connection", "Upgrade")
			rw.Header().Set("Location", "http://169.254.169.254/")
			rw.WriteHeader(http.StatusSwitchingProtocols)
		})
	}, may: []string{privateISV + ":80"}, gets: true},
	"a compressed bomb": {why: "a megabyte on the wire is a gigabyte in memory", set: func(w *world) {
		w.answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				panic(http.ErrAbortHandler)
			}
		})
	}, url: "https://isv.test/", may: []string{good}, gets: true},
	"a head without end": {why: "the limit is on the body", url: "https://isv.test/", set: func(w *world) {
		w.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X-Long", strings.Repeat("x", 200<<10)) })
	}, may: []string{good}, other: true},
	"an answer that trickles": {why: "each byte comes in time", url: "https://isv.test/", set: func(w *world) {
		w.answers(func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(rw, "x")
				_ = http.NewResponseController(rw).Flush()
				time.Sleep(20 * time.Millisecond) // real time is what is measured
			}
		})
	}, may: []string{good}, trickles: true, other: true},
}

// retried makes two requests, of which the second finds the kept connection closed by the server after it was written: the client
// then repeats it over a new one.
func retried(w *world, client *http.Client) error {
	n := 0
	w.answers(func(http.ResponseWriter, *http.Request) {
		if n++; n == 2 {
			panic(http.ErrAbortHandler)
		}
	})
	return twice("http://private.test/", func(*http.Client) {})(w, client)
}

// many public addresses.
func many(n int) (all []string) {
	for i := range n {
		all = append(all, "93.184.216."+strconv.Itoa(i+1))
	}
	return all
}

// careless is a client without a policy, which connects to every address that a name has. With twice it looks the name up before,
// as if to check it.
func (w *world) careless(twice bool) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, address string) (conn net.Conn, err error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return nil, err
			}
			addresses := []netip.Addr{}
			if a, err := netip.ParseAddr(host); err == nil {
				addresses = append(addresses, a)
			} else {
				for range 1 + map[bool]int{true: 1}[twice] {
					if addresses, err = w.resolver.LookupNetIP(ctx, "ip", host); err != nil {
						return nil, err
					}
				}
			}
			for _, a := range addresses {
				if conn != nil {
					_ = conn.Close()
				}
				if conn, err = w.connect(ctx, netip.AddrPortFrom(a, uint16(n))); err != nil {
					return nil, err
				}
			}
			return conn, nil
		},
	}}
}

func (y way) try(w *world, client *http.Client) error {
	if y.set != nil {
		y.set(w)
	}
	if y.do != nil {
		return y.do(w, client)
	}
	return get(client, y.url)
}

func TestWays(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(ways), 30)
	for name, y := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, y.why)
			rules := y.rules
			if rules.Preset == "" && rules.AllowHosts == nil && name != "a laptop calls the internet" {
				rules = staging
			}
			w := newWorld(t)
			// One that follows redirects, which the sandbox does not: they are refused all the same.
			client := &http.Client{Transport: w.gate(rules, nil), Timeout: 20 * time.Second}
			if y.trickles {
				client.Timeout = time.Second
			}
			err := y.try(w, client)
			reached := w.connections()
			if len(y.may) == 0 {
				require.Empty(t, reached, y.why)
			} else {
				require.Equal(t, y.may, reached, y.why)
			}
			var refusal *egress.Refusal
			switch {
			case y.gets:
				require.NoError(t, err)
			case y.other:
				require.Error(t, err)
				require.NotErrorAs(t, err, &refusal)
			default:
				require.Error(t, err)
				if !errors.As(err, &refusal) { // it is not even a request
					require.Contains(t, err.Error(), "parse ")
				}
			}
			if y.open == "" {
				return
			}
			w = newWorld(t)
			client = w.careless(y.open == checks)
			_ = y.try(w, client)
			client.CloseIdleConnections()
			reached = w.connections()
			for _, right := range y.may {
				for i, r := range reached {
					if r == right {
						reached = append(reached[:i:i], reached[i+1:]...)
						break
					}
				}
			}
			require.NotEmpty(t, reached, "it is no way: nobody would get there without a policy")
		})
	}
}

// TestWays_PolicyChanged: a connection that was made under another policy is not used again.
func TestWays_PolicyChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gate(laptop, nil)
	closed := make(chan struct{})
	g.ConnectWith(func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		conn, err := w.connect(ctx, a)
		return &tellsClosed{conn, sync.OnceFunc(func() { close(closed) })}, err
	})
	client := &http.Client{Transport: g}
	url := "http://private.test/"
	require.NoError(t, get(client, url))
	require.NoError(t, get(client, url))
	require.Len(t, w.connections(), 1, "the connection was kept")
	other, err := egress.New(egress.Rules{DenyNetworks: []string{"10.20.0.0/16"}})
	require.NoError(t, err)
	g.Replace(other)
	var refusal *egress.Refusal
	require.ErrorAs(t, get(client, url), &refusal)
	require.Len(t, w.connections(), 1)
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the old connection stays open")
	}
}

// tellsClosed is a connection that tells when it is closed.
type tellsClosed struct {
	net.Conn
	told func()
}

func (c *tellsClosed) Close() error {
	c.told()
	return c.Conn.Close()
}

// TestLookedUpOnce: the address that was checked is dialled without asking again.
func TestLookedUpOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("isv.test", []string{publicISV})
	require.NoError(t, get(&http.Client{Transport: w.gate(staging, nil)}, "https://isv.test/"))
	require.Equal(t, 1, w.questions("isv.test"))
}

// TestNotLookedUp: what cannot be allowed is not even asked for, so that nobody learns which names exist inside.
func TestNotLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("internal.test", []string{"10.0.0.5"})
	rules := egress.Rules{Preset: egress.Staging, AllowHosts: []string{"isv.test"}}
	require.Error(t, get(&http.Client{Transport: w.gate(rules, nil)}, "https://internal.test/"))
	require.Zero(t, w.questions("internal.test"))
}

// TestRefusals_TellNoAddress: a seller does not learn what a name resolves to, nor in staging whether it resolves; the log does.
func TestRefusals_TellNoAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log strings.Builder
	client := &http.Client{Transport: w.gate(staging, slog.New(slog.NewTextHandler(&log, nil)))}
	inner := get(client, "https://internal.test/")
	nobody := get(client, "https://nobody.test/")
	require.Error(t, inner)
	require.Equal(t, strings.ReplaceAll(egress.Explain(inner), "internal.test", "nobody.test"), egress.Explain(nobody))
	require.NotContains(t, inner.Error(), "10.0.0.5")
	require.Contains(t, log.String(), "address=10.0.0.5")
	w.says("isv.test", []string{"10.0.0.5"})
	moved := get(client, "https://isv.test/")
	require.Error(t, moved)
	require.NotContains(t, moved.Error(), "10.0.0.5")
	require.Contains(t, moved.Error(), "the name is allowed, but not every address")
	// Nor when the connection fails, or is cut.
	policy, err := egress.New(staging)
	require.NoError(t, err)
	g := egress.NewGate(policy, egress.Options{Resolver: w.resolver})
	g.ConnectWith(func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(a), Err: errors.New("connect: connection refused")}
	})
	err = get(&http.Client{Transport: g}, "https://private.test/?signature=1234")
	require.Equal(t, "no connection to private.test:443: connect: connection refused", egress.Explain(err))
	cut := &net.OpError{Op: "read", Net: "tcp", Source: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.1.1.1:5")), Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.20.0.5:443")), Err: errors.New("connection reset by peer")}
	require.Equal(t, "read: connection reset by peer", egress.Explain(cut))
	require.Equal(t, "no such host", egress.Explain(&net.DNSError{Err: "no such host", Name: "x.test", Server: "10.0.0.2:53"}))
}
