package kit

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/isvkit/isvkit/sdk/secret"
)

// minKeyBits is what the console asks of an ISV's key. Source: CN-434.
const minKeyBits = 3072

// HowToMakeAKey is what to do where a public key is missing or no good.
const HowToMakeAKey = "make a pair with: openssl genrsa -out kit.pem 3072 && openssl rsa -in kit.pem -pubout | grep -v -- ----- | tr -d '\\n'" +
	"; keep kit.pem at the ISV and give the line that is printed to the sandbox"

// ParsePublicKey reads the ISV's public key as it is pasted into the console: Base64 of a SubjectPublicKeyInfo. The lines of PEM around
// it and the breaks within, which the console wants removed, are forgiven; the text that is returned has neither.
func ParsePublicKey(value string) (*rsa.PublicKey, string, error) {
	if strings.TrimSpace(value) == "" {
		return nil, "", invalid("kitPublicKey is missing: %s", HowToMakeAKey)
	}
	if !strings.Contains(value, "-----BEGIN") {
		value = strings.Join(strings.Fields(value), "")
	}
	key, err := secret.ParsePublicKey(value)
	if err != nil {
		return nil, "", invalid("kitPublicKey: expected the Base64 text of an RSA public key (SubjectPublicKeyInfo) without the lines of PEM; %s", HowToMakeAKey)
	}
	if bits := key.N.BitLen(); bits < minKeyBits {
		return nil, "", invalid("kitPublicKey: the key has %d bits, expected at least %d; %s", bits, minKeyBits, HowToMakeAKey)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	return key, base64.StdEncoding.EncodeToString(spki), err
}

// RandomText is n random bytes in hexadecimal.
func RandomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// NewPassword is a random password of 16 characters that can be typed.
func NewPassword() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

// NewClient makes the OAuth2 client of an application at one tenant; an id that is not empty is kept. The secret is random, is encrypted
// at once, and nobody but the holder of the private key can read it again.
func NewClient(id string, key *rsa.PublicKey, digests secret.Digests) (Client, error) {
	if id == "" {
		id = RandomText(16)
	}
	plain := RandomText(32)
	encrypted, err := secret.EncryptOAEP(key, plain, digests)
	if err != nil {
		return Client{}, invalid("kitPublicKey: %w", err)
	}
	return Client{ID: id, Secret: encrypted, Hash: Hash(plain)}, nil
}

// Hash is how secrets, passwords, codes and tokens are kept. They are all random and long, so that a plain digest is enough.
func Hash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// Matches tells whether a value is the one that was hashed, in a time that does not depend on where they differ.
func Matches(hash, value string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(Hash(value))) == 1
}
