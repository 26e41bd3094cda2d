package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Java's SHA1PRNG is made of it, and the peer derives its key so
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// FieldSize is the length of an AES key in bits.
type FieldSize int

const (
	// AES128 is AES128_CBC_PKCS5Padding, encryptType "2".
	AES128 FieldSize = 128
	// AES256 is AES256_CBC_PKCS5Padding, encryptType "1", the vendor's default.
	AES256 FieldSize = 256
)

// String returns the name of the algorithm in the vendor's documents.
func (s FieldSize) String() string {
	if s != AES128 && s != AES256 {
		return fmt.Sprintf("FieldSize(%d)", int(s))
	}
	return fmt.Sprintf("AES%d_CBC_PKCS5Padding", int(s))
}

// EncryptType returns the value that the field encryptType of an answer has for s: "1" for AES256, "2" for AES128.
func (s FieldSize) EncryptType() string {
	switch s {
	case AES128:
		return "2"
	case AES256:
		return "1"
	default:
		return ""
	}
}

const (
	// maxField is the room that the contract's tables give an encrypted value, IV included.
	maxField = 128
	// maxFieldPlain is the longest plaintext whose encrypted form fits: 79 bytes are 80 with padding, 108 characters in
	// Base64, 124 with the IV; one byte more would make it 144 with the next block.
	maxFieldPlain = 79

	ivAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// Fields encrypts and decrypts the sensitive fields of the V1 interfaces:
//
//	text = IV + Base64( AES-CBC-PKCS5( plaintext ) )
//
// where the IV is 16 ASCII letters and digits that are also its 16 bytes, and the AES key comes from the access key
// ([DeriveKey]). Which size a call uses is not in the call: the ISV chooses it with the product in the console; an answer says
// it in encryptType. Source: vendor's V1 guide, vendor's V1 samples, several public ISVs.
//
// A Fields is safe for concurrent use.
type Fields struct{ block cipher.Block }

// NewFields returns a Fields for an access key. The error is about an empty key or an unknown size.
func NewFields(key string, size FieldSize) (*Fields, error) {
	if key == "" {
		return nil, errors.New("secret: field: the access key is empty")
	}
	if size != AES128 && size != AES256 {
		return nil, fmt.Errorf("secret: field: size is %d, expected AES128 or AES256", int(size))
	}
	block, err := aes.NewCipher(DeriveKey(key, size))
	if err != nil {
		return nil, fmt.Errorf("secret: field: %w", err)
	}
	return &Fields{block}, nil
}

// Format makes every way of printing a Fields leave the key out.
func (f Fields) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, "{key redacted}") }

// Encrypt encrypts plain with a random IV. The result has at most 128 characters, which is what the contract allows an
// encrypted value, so a plain of more than 79 bytes (in UTF-8) is an *[Error] of KindTooLong: an order with a longer value
// would hang at the marketplace.
func (f *Fields) Encrypt(plain string) (string, error) {
	return f.encryptWithIV(plain, randomIV())
}

func (f *Fields) encryptWithIV(plain, iv string) (string, error) {
	if len(plain) > maxFieldPlain {
		return "", &Error{Kind: KindTooLong, Scheme: "field", Detail: fmt.Sprintf(
			"expected at most %d bytes, so that the result has at most %d characters, got %d", maxFieldPlain, maxField, len(plain))}
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	data := make([]byte, len(plain)+pad)
	for i := copy(data, plain); i < len(data); i++ {
		data[i] = byte(pad)
	}
	cipher.NewCBCEncrypter(f.block, []byte(iv)).CryptBlocks(data, data)
	return iv + base64.StdEncoding.EncodeToString(data), nil
}

// Decrypt decrypts an encrypted field. Blanks in it count as "+", which is what a sender that forgot to escape it in a query
// turns them into; line breaks of older Base64 encoders are ignored. An error is an *[Error] of KindMalformed or
// KindUndecryptable.
//
// Length and alphabet are judged first, since anybody can see them. After that there is one failure for everything, and its
// time does not depend on the padding's content.
func (f *Fields) Decrypt(text string) (string, error) {
	if len(text) < aes.BlockSize {
		return "", fieldMalformed(fmt.Sprintf("expected an IV of %d characters first, got %d altogether", aes.BlockSize, len(text)))
	}
	iv, encoded := text[:aes.BlockSize], text[aes.BlockSize:]
	if strings.Trim(iv, ivAlphabet) != "" {
		return "", fieldMalformed("expected an IV of ASCII letters and digits")
	}
	data, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(encoded, " ", "+"))
	if err != nil {
		return "", fieldMalformed("expected Base64 after the IV")
	}
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return "", fieldMalformed(fmt.Sprintf("expected whole blocks of %d bytes, got %d bytes", aes.BlockSize, len(data)))
	}
	cipher.NewCBCDecrypter(f.block, []byte(iv)).CryptBlocks(data, data)
	n, padded := unpad(data)
	text8 := utf8.Valid(data[:n])
	if !padded || !text8 {
		return "", &Error{Kind: KindUndecryptable, Scheme: "field", Detail: "the access key does not open it with this key size"}
	}
	return string(data[:n]), nil
}

func fieldMalformed(detail string) error {
	return &Error{Kind: KindMalformed, Scheme: "field", Detail: detail}
}

// unpad returns the length of data without its PKCS#5 padding, and len(data) if the padding is wrong. It looks at the same
// bytes whatever they hold.
func unpad(data []byte) (n int, ok bool) {
	last := data[len(data)-1]
	pad := int(last)
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, aes.BlockSize)
	for i := 1; i <= aes.BlockSize; i++ {
		inside := subtle.ConstantTimeLessOrEq(i, pad)
		same := subtle.ConstantTimeByteEq(data[len(data)-i], last)
		good &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	return len(data) - subtle.ConstantTimeSelect(good, pad, 0), good == 1
}

// randomIV returns 16 letters and digits, each as likely as the others.
func randomIV() string {
	const fair = 256 / len(ivAlphabet) * len(ivAlphabet)
	iv := make([]byte, 0, aes.BlockSize)
	for {
		var random [2 * aes.BlockSize]byte
		_, _ = rand.Read(random[:]) // does not fail
		for _, b := range random {
			if int(b) >= fair {
				continue
			}
			if iv = append(iv, ivAlphabet[int(b)%len(ivAlphabet)]); len(iv) == cap(iv) {
				return string(iv)
			}
		}
	}
}

// DeriveKey returns the AES key, 16 or 32 bytes, that Java derives from an access key with
//
//	SecureRandom random = SecureRandom.getInstance("SHA1PRNG");
//	random.setSeed(key.getBytes(UTF_8));
//	KeyGenerator.getInstance("AES").init(size, random);
//
// It is not a password hash: whoever has one plaintext with its ciphertext can try access keys at full speed. For a size that
// is neither AES128 nor AES256 it returns nil.
func DeriveKey(key string, size FieldSize) []byte {
	if size != AES128 && size != AES256 {
		return nil
	}
	length := int(size) / 8
	derived := make([]byte, 0, 2*sha1.Size)
	state := sha1.Sum([]byte(key)) //nolint:gosec // see the import
	for len(derived) < length {
		out := sha1.Sum(state[:]) //nolint:gosec // see the import
		derived = append(derived, out[:]...)
		advance(&state, &out)
	}
	return derived[:length:length]
}

// advance is updateState of Java's sun.security.provider.SecureRandom: state + out + 1, lowest byte first, over signed bytes.
func advance(state, out *[sha1.Size]byte) {
	carry, changed := 1, false
	for i := range state {
		v := int(int8(state[i])) + int(int8(out[i])) + carry //nolint:gosec // signed on purpose, as in Java
		next := byte(v)                                      //nolint:gosec // the low eight bits on purpose
		changed = changed || next != state[i]
		state[i], carry = next, v>>8
	}
	if !changed {
		state[0]++
	}
}
