package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

// How long a certificate of our own is good, and when a new one is made before its end. Longer ones are not taken everywhere.
const (
	certificateLife  = 397 * 24 * time.Hour
	certificateSpare = 30 * 24 * time.Hour
)

// ownCertificate gives the certificate for these hosts, names or addresses, from a file that also has its private key; if there is
// none in it, or one that is for other hosts or about to end, it makes one. It signs itself: whoever connects trusts the file that
// trust names, which has the certificate alone.
func ownCertificate(file, trust string, hosts []string, now time.Time) (tls.Certificate, error) {
	text, err := os.ReadFile(file) //nolint:gosec // beside the key file, which the operator names
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil || !serves(cert.Leaf, hosts, now) {
		if text, err = makeCertificate(hosts, now); err != nil {
			return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
		}
		if err := writeFile(file, string(text), 0o600); err != nil {
			return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
		}
		if cert, err = tls.X509KeyPair(text, text); err != nil {
			return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
		}
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if err := writeFile(trust, string(public), 0o644); err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return cert, nil
}

// serves tells whether a certificate is good for all hosts, for a while.
func serves(leaf *x509.Certificate, hosts []string, now time.Time) bool {
	return now.After(leaf.NotBefore) && now.Add(certificateSpare).Before(leaf.NotAfter) &&
		!slices.ContainsFunc(hosts, func(host string) bool { return leaf.VerifyHostname(host) != nil })
}

// makeCertificate makes a key and a certificate that signs itself, both in PEM.
func makeCertificate(hosts []string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "isvkit sandbox"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}
