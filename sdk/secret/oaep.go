package secret

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"
)

// minRSABits is what the vendor's console asks for.
const minRSABits = 3072

// Digests is a combination of the two digests that OAEP needs: one for the label, one for the mask (MGF1).
type Digests uint8

const (
	// DigestsJCE is SHA-256 for the label and SHA-1 for the mask: what Java makes of
	// "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" without parameters.
	DigestsJCE Digests = iota + 1
	// DigestsSHA256 is SHA-256 for both.
	DigestsSHA256
	// DigestsSHA1 is SHA-1 for both: what most libraries do when asked for OAEP without saying more.
	DigestsSHA1
)

// String returns the combination as "SHA-256/MGF1-SHA-1".
func (d Digests) String() string {
	switch d {
	case DigestsJCE:
		return "SHA-256/MGF1-SHA-1"
	case DigestsSHA256:
		return "SHA-256/MGF1-SHA-256"
	case DigestsSHA1:
		return "SHA-1/MGF1-SHA-1"
	default:
		return fmt.Sprintf("Digests(%d)", uint8(d))
	}
}

func (d Digests) options() (*rsa.OAEPOptions, bool) {
	switch d {
	case DigestsJCE:
		return &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1}, true
	case DigestsSHA256:
		return &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA256}, true
	case DigestsSHA1:
		return &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}, true
	default:
		return nil, false
	}
}

// OAEPConfig is how an [OAEP] is set up. Exactly one of PEM and Key is required.
type OAEPConfig struct {
	// PEM is the private key of the ISV as PKCS#8 ("PRIVATE KEY") or PKCS#1 ("RSA PRIVATE KEY"), without a passphrase.
	PEM []byte

	// Key is the private key itself.
	Key *rsa.PrivateKey

	// Digests are the combinations to try, in order. Default: DigestsJCE, DigestsSHA256, DigestsSHA1. Ours: the vendor says
	// "RSA-OAEP" and no more. Leave only the right one when it is known; each wrong one costs an RSA operation per value.
	Digests []Digests

	// InsecureAllowShortKey allows a key of less than 3072 bits, which the vendor's console refuses. For tests.
	InsecureAllowShortKey bool
}

// String leaves the key out.
func (c OAEPConfig) String() string { return fmt.Sprintf("{Key:redacted Digests:%v}", c.Digests) }

// Format writes what String returns whatever the verb, so that no way of printing shows the key.
func (c OAEPConfig) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the key out.
func (c OAEPConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// OAEP decrypts the client secret that applicationSync carries: Base64 of RSA-OAEP with the public key that the ISV has pasted
// into the console. Source: vendor's kit guide; the encoding and the digests are ours: not published.
//
// An OAEP is safe for concurrent use.
type OAEP struct {
	key     *rsa.PrivateKey
	digests []Digests
	public  string
}

// NewOAEP returns an OAEP. The error is about the key (none, unreadable, not RSA, shorter than 3072 bits) or about digests that
// are not among the known ones; it never contains the key.
func NewOAEP(cfg OAEPConfig) (*OAEP, error) {
	key := cfg.Key
	switch {
	case (len(cfg.PEM) == 0) == (key == nil):
		return nil, errors.New("secret: OAEP: expected exactly one of OAEPConfig.PEM and OAEPConfig.Key")
	case key == nil:
		var err error
		if key, err = parsePrivateKey(cfg.PEM); err != nil {
			return nil, err
		}
	}
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("secret: OAEP: private key: %w", err)
	}
	if bits := key.N.BitLen(); bits < minRSABits && !cfg.InsecureAllowShortKey {
		return nil, fmt.Errorf("secret: OAEP: the key has %d bits, expected at least %d", bits, minRSABits)
	}
	digests := slices.Clone(cfg.Digests)
	if len(digests) == 0 {
		digests = []Digests{DigestsJCE, DigestsSHA256, DigestsSHA1}
	}
	for i, d := range digests {
		if _, ok := d.options(); !ok {
			return nil, fmt.Errorf("secret: OAEP: OAEPConfig.Digests[%d] is %v, expected one of the constants", i, d)
		}
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("secret: OAEP: public key: %w", err)
	}
	return &OAEP{key: key, digests: digests, public: base64.StdEncoding.EncodeToString(spki)}, nil
}

// Format makes every way of printing an OAEP leave the key out.
func (o OAEP) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "{OAEP, key redacted}") }

// PublicKeyText returns the public key as the vendor's console wants it: a SubjectPublicKeyInfo in Base64, on one line, without
// the lines that PEM has before and after it.
func (o *OAEP) PublicKeyText() string { return o.public }

// Decrypt decrypts a client secret with the first combination of digests that opens it. An error is an *[Error]: KindMalformed
// if text is not Base64 of exactly one RSA block, KindUndecryptable for all the rest. Line breaks in text are ignored, and
// blanks count as "+".
func (o *OAEP) Decrypt(text string) (string, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		return "", &Error{Kind: KindMalformed, Scheme: "OAEP", Detail: fmt.Sprintf("expected Base64, got %d characters of something else", len(text))}
	}
	if len(data) != o.key.Size() {
		return "", &Error{Kind: KindMalformed, Scheme: "OAEP", Detail: fmt.Sprintf(
			"expected %d bytes in Base64, as the key has, got %d", o.key.Size(), len(data))}
	}
	for _, d := range o.digests {
		options, _ := d.options()
		plain, err := o.key.Decrypt(nil, data, options)
		if err == nil && utf8.Valid(plain) {
			return string(plain), nil
		}
	}
	return "", &Error{Kind: KindUndecryptable, Scheme: "OAEP", Detail: fmt.Sprintf(
		"the private key does not open it with any of %v", o.digests)}
}

// Encrypt encrypts plain as the marketplace would, for a sandbox and for tests.
func (o *OAEP) Encrypt(plain string, d Digests) (string, error) {
	return EncryptOAEP(&o.key.PublicKey, plain, d)
}

// EncryptOAEP encrypts plain with a public key ([ParsePublicKey]) and returns the Base64 that [OAEP.Decrypt] takes. The error is
// an *[Error] of KindTooLong, or about unknown digests, or about a key that cannot be used.
func EncryptOAEP(public *rsa.PublicKey, plain string, d Digests) (string, error) {
	options, ok := d.options()
	if !ok {
		return "", fmt.Errorf("secret: OAEP: digests are %v, expected one of the constants", d)
	}
	data, err := rsa.EncryptOAEPWithOptions(rand.Reader, public, []byte(plain), options)
	switch {
	case errors.Is(err, rsa.ErrMessageTooLong):
		return "", &Error{Kind: KindTooLong, Scheme: "OAEP", Detail: fmt.Sprintf(
			"expected at most %d bytes with this key, got %d", max(0, public.Size()-2*options.Hash.Size()-2), len(plain))}
	case err != nil:
		return "", fmt.Errorf("secret: OAEP: encrypt: %w", err)
	}
	return base64.StdEncoding.EncodeToString(data), nil
}

// ParsePublicKey reads a public key in the form of [OAEP.PublicKeyText], or the same in PEM ("PUBLIC KEY"). It does not judge
// the key's length.
func ParsePublicKey(text string) (*rsa.PublicKey, error) {
	var der []byte
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der = block.Bytes
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err != nil {
			return nil, fmt.Errorf("secret: OAEP: public key: expected Base64 or PEM: %w", err)
		}
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("secret: OAEP: public key: expected a SubjectPublicKeyInfo: %w", err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("secret: OAEP: public key: expected RSA, got %T", key)
	}
	return public, nil
}

// parsePrivateKey leaves the parsers' errors out: they may quote what they could not read.
func parsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("secret: OAEP: private key: expected PEM")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if private, ok := key.(*rsa.PrivateKey); ok {
			return private, nil
		}
		if err == nil {
			return nil, fmt.Errorf("secret: OAEP: private key: expected RSA, got %T", key)
		}
	default:
		return nil, fmt.Errorf("secret: OAEP: private key: expected PRIVATE KEY (PKCS#8) or RSA PRIVATE KEY (PKCS#1), got a PEM block %.40q", block.Type)
	}
	return nil, errors.New("secret: OAEP: private key: the PEM block cannot be read, or it has a passphrase")
}
