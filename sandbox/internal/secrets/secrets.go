// Package secrets seals what a database must not give away: access keys, SKs, kit secrets, keys of tokens. It is AES-256-GCM with keys that
// are kept outside of the database. It is pure but for random bytes. All of it is ours.
package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// prefix begins every sealed text: what it is, and in which version. The id of the key follows, then nonce and ciphertext.
const prefix = "sealed:1:"

// KeyBytes is how long a key is.
const KeyBytes = 32

// Ring holds keys. The first seals; every one opens what it has sealed.
type Ring struct{ keys []key }

type key struct {
	id   string
	aead cipher.AEAD
}

// Format keeps the keys out of logs.
func (r *Ring) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("{secrets keys " + strings.Join(r.IDs(), ", ") + "}"))
}

// NewKey makes a key, in Base64.
func NewKey() string {
	b := make([]byte, KeyBytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.StdEncoding.EncodeToString(b)
}

// Parse reads keys: one a line, or separated by commas, each 32 bytes in Base64. Lines that begin with # say nothing. Errors tell the line,
// and never what stands in it.
func Parse(text string) (*Ring, error) {
	r := &Ring{}
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for part := range strings.SplitSeq(line, ",") {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(part))
			if err != nil || len(raw) != KeyBytes {
				return nil, fmt.Errorf("secrets key, line %d: expected %d bytes in Base64, as openssl rand -base64 %d makes them", n+1, KeyBytes, KeyBytes)
			}
			block, err := aes.NewCipher(raw)
			if err != nil {
				return nil, err
			}
			aead, err := cipher.NewGCM(block)
			if err != nil {
				return nil, err
			}
			digest := sha256.Sum256(append([]byte("isvkit secrets key id\x00"), raw...))
			r.keys = append(r.keys, key{hex.EncodeToString(digest[:4]), aead})
		}
	}
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("secrets key: there is none; expected %d bytes in Base64, as openssl rand -base64 %d makes them", KeyBytes, KeyBytes)
	}
	return r, nil
}

// IDs are the ids of the keys, that of the one that seals first. They tell nothing about the keys.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.id
	}
	return ids
}

// Sealed tells whether a text is sealed.
func Sealed(text string) bool { return strings.HasPrefix(text, prefix) }

// KeyOf is the id of the key that sealed a text; empty if it is not sealed.
func KeyOf(text string) string {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, ":")
	return id
}

// Seal seals a text. It can only be opened in the place that it is sealed for, such as sellers/demo/sk. An empty text stays empty.
func (r *Ring) Seal(plain, place string) string {
	if plain == "" {
		return ""
	}
	k := r.keys[0]
	head := prefix + k.id + ":"
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails, see crypto/rand
	return head + base64.RawStdEncoding.EncodeToString(k.aead.Seal(nonce, nonce, []byte(plain), []byte(head+place)))
}

// OtherKeyError says that a text was sealed with a key that is not in the ring.
type OtherKeyError struct {
	Place string
	Need  string   // id of the key
	Have  []string // ids of the keys there are
}

func (e *OtherKeyError) Error() string {
	return fmt.Sprintf("%s is sealed with the secrets key %s; given: %s", e.Place, e.Need, strings.Join(e.Have, ", "))
}

// ErrDamaged is wrapped where a sealed text was changed, or was moved from another place.
var ErrDamaged = errors.New("it was changed, or belongs elsewhere")

// Open opens a sealed text. One that is not sealed stays as it is.
func (r *Ring) Open(text, place string) (string, error) {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return text, nil
	}
	id, sealed, _ := strings.Cut(rest, ":")
	var damaged error
	for _, k := range r.keys {
		if k.id != id {
			continue
		}
		raw, err := base64.RawStdEncoding.DecodeString(sealed)
		if err == nil && len(raw) >= k.aead.NonceSize() {
			n := k.aead.NonceSize()
			if plain, err := k.aead.Open(nil, raw[:n], raw[n:], []byte(prefix+id+":"+place)); err == nil {
				return string(plain), nil
			}
		}
		damaged = fmt.Errorf("%s cannot be opened: %w", place, ErrDamaged)
	}
	if damaged != nil {
		return "", damaged
	}
	return "", &OtherKeyError{Place: place, Need: id, Have: r.IDs()}
}
