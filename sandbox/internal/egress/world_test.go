package egress_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/egress"
)

// proxy is what the environment of all these tests says.
const proxy = "http://proxy.test:3128"

func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		if err := os.Setenv(name, proxy); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// world is an internet in which every address answers: a DNS server over UDP, and a web server behind every address and port, with
// and without TLS. It remembers who was connected to.
type world struct {
	t        *testing.T
	resolver *net.Resolver
	ca       []byte // PEM
	web, tls *httptest.Server

	mu      sync.Mutex
	zone    map[string][][]string // name: what is answered to the first question, the second, and so on; the last stays
	asked   map[string]int        // name: questions for A records
	reached []string              // address and port
	handler http.HandlerFunc
}

// The addresses of good people.
const (
	publicISV  = "93.184.216.34"
	privateISV = "10.20.0.5"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, asked: map[string]int{}, zone: map[string][][]string{
		"isv.test": {{publicISV}}, "a.partner.test": {{publicISV}}, "private.test": {{privateISV}}, "evil.test": {{"6.6.6.6"}},
		"partner.test": {{"6.6.6.6"}}, "evilpartner.test": {{"6.6.6.6"}}, "isv.test.evil.test": {{"6.6.6.6"}}, "internal.test": {{"10.0.0.5"}},
		"proxy.test": {{"6.6.6.7"}},
	}}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() { defer close(served); w.serveDNS(udp) }()
	w.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", udp.LocalAddr().String())
	}}
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		h := w.handler
		w.mu.Unlock()
		if h != nil {
			h(rw, r)
		}
	})
	w.web = httptest.NewServer(handler)
	w.tls = httptest.NewUnstartedServer(handler)
	var cert tls.Certificate
	cert, w.ca = certificates(t, []string{"isv.test", "*.partner.test", "private.test", "internal.test"}, publicISV, privateISV)
	w.tls.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	w.tls.EnableHTTP2 = true
	w.tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.tls.StartTLS()
	t.Cleanup(func() {
		w.web.Close()
		w.tls.Close()
		_ = udp.Close()
		<-served
	})
	return w
}

// certificates makes an authority and a certificate of it.
func certificates(t *testing.T, names []string, addresses ...string) (tls.Certificate, []byte) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "World CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "world"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, a := range addresses {
		leaf.IPAddresses = append(leaf.IPAddresses, net.ParseIP(a))
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
}

// connect reaches an address of the world.
func (w *world) connect(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.reached = append(w.reached, address.String())
	w.mu.Unlock()
	server := w.web
	if address.Port() == 443 || address.Port() == 8443 {
		server = w.tls
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
}

func (w *world) connections() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.reached...)
}

// says replaces what a name resolves to: the answers to the first question, the second, and so on. An answer that is no address
// is an alias.
func (w *world) says(name string, answers ...[]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.zone[name], w.asked[name] = answers, 0
}

func (w *world) questions(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name]
}

func (w *world) answers(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handler = h
}

// gate is one in this world.
func (w *world) gate(r egress.Rules, log *slog.Logger) *egress.Gate {
	w.t.Helper()
	r.CA = w.ca
	p, err := egress.New(r)
	require.NoError(w.t, err)
	g := egress.NewGate(p, egress.Options{Resolver: w.resolver, Log: log})
	g.ConnectWith(w.connect)
	w.t.Cleanup(g.CloseIdleConnections)
	return g
}

const (
	typeA     = 1
	typeCNAME = 5
	typeAAAA  = 28
)

// serveDNS answers questions (RFC 1035) until the socket is closed.
func (w *world) serveDNS(udp net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		n, from, err := udp.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer := w.answerDNS(packet[:n]); answer != nil {
			_, _ = udp.WriteTo(answer, from)
		}
	}
}

func (w *world) answerDNS(question []byte) []byte {
	if len(question) < 12 {
		return nil
	}
	var labels []string
	i := 12
	for i < len(question) && question[i] != 0 {
		end := i + 1 + int(question[i])
		if end >= len(question) {
			return nil
		}
		labels = append(labels, string(question[i+1:end]))
		i = end
	}
	if i+5 > len(question) {
		return nil
	}
	kind := binary.BigEndian.Uint16(question[i+1:])
	name := strings.ToLower(strings.Join(labels, "."))
	w.mu.Lock()
	all, known := w.zone[name]
	records := []string(nil)
	if known {
		records = all[min(w.asked[name], len(all)-1)]
		if kind == typeA {
			w.asked[name]++
		}
	}
	w.mu.Unlock()
	var answers [][]byte
	record := func(kind uint16, data []byte) {
		head := binary.BigEndian.AppendUint16([]byte{0xc0, 12}, kind)
		head = append(head, 0, 1, 0, 0, 0, 0) // class IN, to be kept for 0 s
		answers = append(answers, append(binary.BigEndian.AppendUint16(head, uint16(len(data))), data...))
	}
	for _, r := range records {
		a, err := netip.ParseAddr(r)
		switch {
		case err != nil: // an alias, and what the alias is, as a resolver gives them
			var data []byte
			for label := range strings.SplitSeq(r, ".") {
				data = append(append(data, byte(len(label))), label...)
			}
			record(typeCNAME, append(data, 0))
			w.mu.Lock()
			for _, target := range w.zone[r][0] {
				if a := netip.MustParseAddr(target); a.Is4() && kind == typeA {
					ip := a.As4()
					own := append(append([]byte{}, data...), 0)
					own = append(own, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
					answers = append(answers, append(own, ip[:]...))
				}
			}
			w.mu.Unlock()
		case a.Is4() && kind == typeA:
			ip := a.As4()
			record(typeA, ip[:])
		case a.Is6() && kind == typeAAAA:
			ip := a.As16()
			record(typeAAAA, ip[:])
		}
	}
	answer := append([]byte{}, question[:2]...)
	rcode := byte(0)
	if !known {
		rcode = 3
	}
	answer = append(answer, 0x85, 0x80|rcode, 0, 1, 0, byte(len(answers)), 0, 0, 0, 0)
	answer = append(answer, question[12:i+5]...)
	for _, a := range answers {
		answer = append(answer, a...)
	}
	return answer
}
