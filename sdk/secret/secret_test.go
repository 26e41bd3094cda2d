package secret

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The keys are made once: that is what takes long.
var (
	shortKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(1024) })
	longKey  = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(minRSABits) })
)

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newOAEP(t testing.TB, cfg OAEPConfig) *OAEP {
	t.Helper()
	if cfg.Key == nil && cfg.PEM == nil {
		cfg.Key, cfg.InsecureAllowShortKey = shortKey(), true
	}
	o, err := NewOAEP(cfg)
	require.NoError(t, err)
	return o
}

func newFields(t testing.TB, key string, size FieldSize) *Fields {
	t.Helper()
	f, err := NewFields(key, size)
	require.NoError(t, err)
	return f
}

// requireRefused checks kind and sentinel.
func requireRefused(t testing.TB, err error, kind Kind, sentinel error) {
	t.Helper()
	var fault *Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, kind, fault.Kind, "kind of %v", err)
	for _, s := range []error{ErrMalformed, ErrUndecryptable, ErrTooLong} {
		require.Equal(t, s == sentinel, errors.Is(err, s), "errors.Is(%v, %v)", err, s)
	}
	require.NotContains(t, err.Error(), "\n")
}

func TestFields_RoundTripOfEveryLength(t *testing.T) {
	t.Parallel()
	for _, size := range []FieldSize{AES128, AES256} {
		f := newFields(t, "k", size)
		for n := range maxFieldPlain + 1 {
			plain := strings.Repeat("x", n)
			text, err := f.Encrypt(plain)
			require.NoError(t, err)
			require.LessOrEqual(t, len(text), maxField)
			require.Regexp(t, "^[A-Za-z0-9]{16}[A-Za-z0-9+/]+=*$", text)
			got, err := f.Decrypt(text)
			require.NoError(t, err)
			require.Equal(t, plain, got)
			got, err = f.Decrypt(strings.ReplaceAll(text, "+", " "))
			require.NoError(t, err, "+ turned into a blank")
			require.Equal(t, plain, got)
		}
		_, err := f.Encrypt(strings.Repeat("x", maxFieldPlain+1))
		requireRefused(t, err, KindTooLong, ErrTooLong)
		_, err = f.Encrypt(strings.Repeat("中", 27))
		requireRefused(t, err, KindTooLong, ErrTooLong)
	}
}

func TestFields_IVsDiffer(t *testing.T) {
	t.Parallel()
	f := newFields(t, "k", AES256)
	seen, letters := map[string]bool{}, map[rune]bool{}
	for range 1000 {
		text, err := f.Encrypt("")
		require.NoError(t, err)
		iv := text[:16]
		require.False(t, seen[iv])
		seen[iv] = true
		for _, r := range iv {
			letters[r] = true
		}
	}
	require.Len(t, letters, 62)
}

func TestFields_Refusals(t *testing.T) {
	t.Parallel()
	f := newFields(t, "dummy-access-key", AES128)
	const good = "AbCd0123EfGh4567GGHJQOk4FFa/4HlplYKtjQ=="
	plain, err := f.Decrypt(good[:30] + "\r\n" + good[30:])
	require.NoError(t, err, "line breaks of an older encoder")
	require.Equal(t, "admin", plain)
	for name, text := range map[string]string{
		"nothing":            "",
		"too short":          good[:15],
		"the IV alone":       good[:16],
		"IV not letters":     "!" + good[1:],
		"IV not ASCII":       "é" + good[2:],
		"not Base64":         good[:16] + "!" + good[17:],
		"no padding":         strings.TrimRight(good, "="),
		"no whole block":     good[:16] + "QUJD",
		"trailing bits":      good[:37] + "R==",
		"text after padding": good + "QUJD",
	} {
		_, err := f.Decrypt(text)
		requireRefused(t, err, KindMalformed, ErrMalformed)
		require.NotContains(t, err.Error(), good[20:30], name)
	}

	// Wrong key, wrong size, changed ciphertext, bad padding and text that is not UTF-8 all say the same.
	raw := func(data string) string {
		text, err := f.encryptWithIV("", good[:16])
		require.NoError(t, err)
		sealed := make([]byte, 16)
		_, err = base64.StdEncoding.Decode(sealed, []byte(text[16:]))
		require.NoError(t, err)
		// In the first block, CBC lets the IV change the plaintext as one likes: but the IV has to be letters, so encrypt anew.
		iv := []byte(good[:16])
		for i := range sealed {
			sealed[i] = data[i] ^ iv[i]
		}
		f.block.Encrypt(sealed, sealed)
		return good[:16] + base64.StdEncoding.EncodeToString(sealed)
	}
	got, err := f.Decrypt(raw("admin\v\v\v\v\v\v\v\v\v\v\v"))
	require.NoError(t, err)
	require.Equal(t, "admin", got)
	messages := map[string]bool{}
	for _, text := range []string{
		raw("0123456789abcde\x00"), raw("0123456789abcde\x11"), raw("0123456789abcde\xff"),
		raw("0123456789abc\x02\x03\x03"), raw("admin\v\v\v\v\n\v\v\v\v\v\v"), raw("\x0f" + strings.Repeat("\x10", 15)),
		raw("\xff" + strings.Repeat("\x0f", 15)),
	} {
		_, err := f.Decrypt(text)
		requireRefused(t, err, KindUndecryptable, ErrUndecryptable)
		messages[err.Error()] = true
	}
	require.Len(t, messages, 1)
	got, err = f.Decrypt(raw(strings.Repeat("\x10", 16)))
	require.NoError(t, err)
	require.Empty(t, got)
	for _, other := range []*Fields{newFields(t, "dummy-access-key", AES256), newFields(t, "other", AES128)} {
		_, err := other.Decrypt("AbCd0123EfGh4567qRG1B9LimVhEuBxiyLuRnQ==")
		requireRefused(t, err, KindUndecryptable, ErrUndecryptable)
	}
}

func TestFields_Config(t *testing.T) {
	t.Parallel()
	_, err := NewFields("", AES128)
	require.Error(t, err)
	_, err = NewFields("k", 192)
	require.Error(t, err)
	require.Nil(t, DeriveKey("k", 192))
	require.Equal(t, "AES256_CBC_PKCS5Padding", AES256.String())
	require.Equal(t, "AES128_CBC_PKCS5Padding", AES128.String())
	require.Equal(t, "FieldSize(1)", FieldSize(1).String())
	require.Equal(t, "1", AES256.EncryptType())
	require.Equal(t, "2", AES128.EncryptType())
	require.Empty(t, FieldSize(1).EncryptType())
	f := newFields(t, "k", AES128)
	require.Equal(t, "{key redacted}", fmt.Sprintf("%+v", *f))
	require.Equal(t, "{key redacted}", fmt.Sprintf("%#v", f))
}

// Derived with OpenJDK 17, as are the vectors; an empty key does not occur there.
func TestDeriveKey(t *testing.T) {
	t.Parallel()
	require.Equal(t, "da495cf27591a9a89408d9272d81666c4f69e0031691d18e069d31a179065e5b",
		fmt.Sprintf("%x", DeriveKey("demo-access-key-0001", AES256)))
	require.Len(t, DeriveKey("k", AES128), 16)
	require.Equal(t, 32, cap(DeriveKey("k", AES256)), "no more of the stream behind the key")

	// The state in Java moves on even when adding changed nothing.
	state, out := [20]byte{}, [20]byte{}
	for i := range out {
		out[i] = 0xff // -1, and with the carry of 1 nothing in the first byte
	}
	state = [20]byte{}
	advance(&state, &out)
	require.NotEqual(t, [20]byte{}, state)
}

func TestOAEP_EveryCombination(t *testing.T) {
	t.Parallel()
	all := []Digests{DigestsJCE, DigestsSHA256, DigestsSHA1}
	o := newOAEP(t, OAEPConfig{})
	for _, d := range all {
		for _, plain := range []string{"", "s3cret", "密钥", strings.Repeat("x", 128-2*32-2)} {
			text, err := o.Encrypt(plain, d)
			require.NoError(t, err)
			got, err := o.Decrypt(text)
			require.NoError(t, err, "%v", d)
			require.Equal(t, plain, got)
			got, err = o.Decrypt(strings.ReplaceAll(text[:64]+"\n"+text[64:], "+", " "))
			require.NoError(t, err)
			require.Equal(t, plain, got)
			for _, only := range all {
				_, err := newOAEP(t, OAEPConfig{Key: shortKey(), InsecureAllowShortKey: true, Digests: []Digests{only}}).Decrypt(text)
				if only == d {
					require.NoError(t, err)
				} else {
					requireRefused(t, err, KindUndecryptable, ErrUndecryptable)
				}
			}
		}
	}
	_, err := o.Encrypt(strings.Repeat("x", 128-2*32-1), DigestsJCE)
	requireRefused(t, err, KindTooLong, ErrTooLong)
	_, err = o.Encrypt("x", 0)
	require.Error(t, err)
}

// Made with OpenJDK 17: a key of 1024 bits for this test only, and one text encrypted with each combination. The first is what
// Cipher.getInstance("RSA/ECB/OAEPWithSHA-256AndMGF1Padding") does without parameters.
const javaKey = `-----BEGIN PRIVATE KEY-----
MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAKOV7MDMpIEcHO4O
C8JbcWvVHJQvkU35BjQv2lvTjeLUsEqlpZLcK9c8BJyQ/ygpmnuiH7pv4+dIImEu
zU1gB7ZiNQc8W8irIz7bD3WYL5N4rD/3xfnnG+FpXaer4Bil74o+XRvDqdgVlLbV
cPojqKqz5Wp7vyoEZWdm78uqqjCTAgMBAAECgYAvzRsSGZqGab8gZvVTtWHWxz7j
JGU62iZQcJ1HkPGYk1rybSYNXI3pBo44a/xLcaDFONI5qgF4L3FwYXs3fXSzBEmu
iLhlXgbIU6zzujxazYJ/TB2e699TzjeIj3wIQ8cnyLS3oUSP+k9fznp1kXaqzfgZ
LQXcQKGWCWwZJWdliQJBALwrtywP0vl+1lRc+7GO142OabiK+B0lvwkMLpOYJGGy
iPQrTCgtZK2HIOtoNlPoK4QIQusB/CgmWIdVxsGFokkCQQDejYJf6o+QopedYqGx
vmdDEOLWg9PbdOKmv6dEWMYybUFZpBuafo2OOg8HRdJZnGMGoCKjQnPQawCi+hRK
U3v7AkBhS/1ftCLzzQjIAHhIfEKquEukF39pmt3nsLvYp1+QgL9d+ZFcaPRY4bk8
39rPkgoGMDthxtn6bLFz8P9fi1i5AkEAhgzwkbukW/dDoZ4OTRSl+ESMja98Bb0C
5HOeWdGrGCas7USnB8jglOGtubC5whYro4sDMhlNzyUUjhZZ8GcWzwJAEqKdNx38
W2xtSKaPBgz+mTJdxlJEKuQohX16ebX0HtiSrREpwuo59gM+38oPiUPXrlygJiMr
JsLl5e4OMXaLuQ==
-----END PRIVATE KEY-----
`

const javaPublic = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCjlezAzKSBHBzuDgvCW3Fr1RyUL5FN+QY0L9pb043i1LBKpaWS3CvXPASckP8oKZp7oh+6b+PnSCJhLs1NYAe2YjUHPFvIqyM+2w91mC+TeKw/98X55xvhaV2nq+AYpe+KPl0bw6nYFZS21XD6I6iqs+Vqe78qBGVnZu/LqqowkwIDAQAB"

var javaSecrets = map[Digests]string{
	DigestsJCE:    "ipXG1bD7ajP4hJyaQZk9hRZXSFJyIrZXbFQKoIVmgXf5FyT99zaylQIH8sOJmUDIvbvfUyrDJXm7eGJ8HvHoLgCxzhGJaAIx+JpifBQJ8ULhk0kR9bDxUSTlcpGkhjRYpjF2hNzgHmCCl24VqPTGp7mVUqKqKPzzsQ91rtaNPeU=",
	DigestsSHA256: "WYUbiOlp1EohcH9WCCxKy2hrC3pD28jSHmcd+Psmex3YkotKJcQ48Q22/7bOrLlVpGsPtRE+nPsHbrIk2Xy9Fiv1wH1YopXPNKjjLNN158bLI7SDxdBHf0WETYU06pa7yEZCm36kzGLAWlUY36jmVoOrfY6BiSQbD5sXvtpoSHw=",
	DigestsSHA1:   "AIcvrARzoSaTz+feRzhVgJbw+2BHWlwnQP0QFMIZWQxblpyUFTyca5PG3OkYCC7/xQxwPG0HnjSGjtyklf1IotcVrGXqXAWOa53A/OxoEaCfL1tFOYOMdbzqvWFutLxp3ZxrrhBj5QfvW0+1AVfLt7J6Dx6v2wFn1b6YmVxnmWg=",
}

func TestOAEP_Java(t *testing.T) {
	t.Parallel()
	require.Len(t, javaSecrets, 3)
	o := newOAEP(t, OAEPConfig{PEM: []byte(javaKey), InsecureAllowShortKey: true})
	require.Equal(t, javaPublic, o.PublicKeyText())
	for d, text := range javaSecrets {
		for _, digests := range [][]Digests{nil, {d}} {
			o := newOAEP(t, OAEPConfig{PEM: []byte(javaKey), InsecureAllowShortKey: true, Digests: digests})
			plain, err := o.Decrypt(text)
			require.NoError(t, err, "%v", d)
			require.Equal(t, "s3cret-密钥", plain)
		}
	}
}

func TestOAEP_PublicKey(t *testing.T) {
	t.Parallel()
	o := newOAEP(t, OAEPConfig{Key: longKey()})
	text := o.PublicKeyText()
	require.NotContains(t, text, "\n")
	require.NotContains(t, text, "-----")
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(base64.StdEncoding.DecodeString(text))})
	for _, form := range []string{text, " " + text + "\n", string(block), string(block[27 : len(block)-25])} {
		public, err := ParsePublicKey(form)
		require.NoError(t, err)
		require.True(t, public.Equal(&longKey().PublicKey))
	}
	sealed, err := EncryptOAEP(must(ParsePublicKey(text)), "s3cret", DigestsJCE)
	require.NoError(t, err)
	require.Equal(t, "s3cret", must(o.Decrypt(sealed)))

	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, bad := range []string{"", "!", "QUJD", base64.StdEncoding.EncodeToString(must(x509.MarshalPKIXPublicKey(&ec.PublicKey)))} {
		_, err := ParsePublicKey(bad)
		require.Error(t, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestOAEP_Config(t *testing.T) {
	t.Parallel()
	pkcs8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(longKey()))})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(longKey())})
	for _, good := range []OAEPConfig{{PEM: pkcs8}, {PEM: pkcs1}, {Key: longKey()}} {
		require.Equal(t, newOAEP(t, OAEPConfig{Key: longKey()}).PublicKeyText(), newOAEP(t, good).PublicKeyText())
	}
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, bad := range map[string]OAEPConfig{
		"no key":           {},
		"two keys":         {PEM: pkcs8, Key: longKey()},
		"short":            {Key: shortKey()},
		"short, PEM":       {PEM: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(shortKey()))},
		"not PEM":          {PEM: []byte("key")},
		"not a key":        {PEM: block("PRIVATE KEY", []byte("key"))},
		"not a key, 1":     {PEM: block("RSA PRIVATE KEY", []byte("key"))},
		"a certificate":    {PEM: block("CERTIFICATE", []byte("key"))},
		"not RSA":          {PEM: block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec)))},
		"a passphrase":     {PEM: block("ENCRYPTED PRIVATE KEY", []byte("key"))},
		"unknown digests":  {Key: longKey(), Digests: []Digests{DigestsJCE, 9}},
		"an empty RSA key": {Key: &rsa.PrivateKey{}},
	} {
		_, err := NewOAEP(bad)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "\n")
	}
	cfg := OAEPConfig{PEM: pkcs8}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "cfg", cfg)
	d := longKey().D.String()
	for _, shown := range []string{fmt.Sprintf("%+v %#v", cfg, cfg), log.String(), fmt.Sprintf("%+v", OAEPConfig{Key: longKey()}), fmt.Sprintf("%+v %#v", newOAEP(t, cfg), *newOAEP(t, cfg))} {
		require.NotContains(t, shown, d)
		require.NotContains(t, shown, "PRIVATE KEY")
		require.NotContains(t, shown, "45 45 45 45") // dashes as bytes
	}
}

func TestOAEP_Refusals(t *testing.T) {
	t.Parallel()
	o := newOAEP(t, OAEPConfig{})
	good := must(o.Encrypt("s3cret", DigestsJCE))
	for _, text := range []string{"", "!", good[4:], good[:len(good)-4], good + good, strings.TrimRight(good, "="), strings.Repeat("A", 1<<16)} {
		_, err := o.Decrypt(text)
		requireRefused(t, err, KindMalformed, ErrMalformed)
	}
	messages := map[string]bool{}
	changed := "AAAA" + good[4:]
	for _, text := range []string{changed, base64.StdEncoding.EncodeToString(make([]byte, 128)), must(o.Encrypt("\xff", DigestsJCE))} {
		_, err := o.Decrypt(text)
		requireRefused(t, err, KindUndecryptable, ErrUndecryptable)
		messages[err.Error()] = true
	}
	require.Len(t, messages, 1)
}

func TestNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "SHA-256/MGF1-SHA-1", DigestsJCE.String())
	require.Equal(t, "SHA-256/MGF1-SHA-256", DigestsSHA256.String())
	require.Equal(t, "SHA-1/MGF1-SHA-1", DigestsSHA1.String())
	require.Equal(t, "Digests(0)", Digests(0).String())
	require.Equal(t, "malformed", KindMalformed.String())
	require.Equal(t, "undecryptable", KindUndecryptable.String())
	require.Equal(t, "too long", KindTooLong.String())
	require.Equal(t, "Kind(0)", Kind(0).String())
	require.False(t, errors.Is(&Error{}, ErrMalformed))
	require.Equal(t, "secret: field: too long", (&Error{Kind: KindTooLong, Scheme: "field"}).Error())
}

func FuzzFieldsDecrypt(f *testing.F) {
	for _, v := range aesVectors(f) {
		f.Add(v.AccessKey, v.KeyBits == AES256, v.WireValue)
		f.Add(v.AccessKey, v.KeyBits != AES256, strings.ReplaceAll(v.WireValue, "+", " "))
	}
	f.Fuzz(func(t *testing.T, key string, long bool, text string) {
		size := AES128
		if long {
			size = AES256
		}
		fields, err := NewFields(key, size)
		if err != nil {
			require.Empty(t, key)
			return
		}
		plain, err := fields.Decrypt(text)
		var fault *Error
		if err != nil {
			require.ErrorAs(t, err, &fault)
			require.Empty(t, plain)
		} else if len(plain) <= maxFieldPlain {
			again, err := fields.encryptWithIV(plain, text[:16])
			require.NoError(t, err)
			require.Equal(t, strings.NewReplacer(" ", "+", "\r", "", "\n", "").Replace(text), again)
		}
		// Any text is a plaintext too.
		sealed, err := fields.Encrypt(text)
		if len(text) > maxFieldPlain {
			require.ErrorIs(t, err, ErrTooLong)
			return
		}
		require.NoError(t, err)
		if plain, err = fields.Decrypt(sealed); err == nil {
			require.Equal(t, text, plain)
		} else {
			require.ErrorIs(t, err, ErrUndecryptable) // not UTF-8
		}
	})
}

func FuzzOAEPDecrypt(f *testing.F) {
	o := newOAEP(f, OAEPConfig{})
	for _, d := range []Digests{DigestsJCE, DigestsSHA256, DigestsSHA1} {
		f.Add(must(o.Encrypt("s3cret", d)), "s3cret")
	}
	for _, v := range aesVectors(f)[:7] {
		f.Add(v.WireValue, v.Plaintext)
	}
	f.Fuzz(func(t *testing.T, text, plain string) {
		var fault *Error
		if _, err := o.Decrypt(text); err != nil {
			require.ErrorAs(t, err, &fault)
		}
		for _, d := range []Digests{DigestsJCE, DigestsSHA256, DigestsSHA1} {
			sealed, err := o.Encrypt(plain, d)
			if err != nil {
				require.ErrorIs(t, err, ErrTooLong)
				continue
			}
			if got, err := o.Decrypt(sealed); err == nil {
				require.Equal(t, plain, got)
			} else {
				require.ErrorIs(t, err, ErrUndecryptable) // not UTF-8
			}
		}
	})
}

func BenchmarkFieldsDecrypt(b *testing.B) {
	f := newFields(b, "dummy-access-key", AES256)
	text := must(f.Encrypt("user@example.com"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Decrypt(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFieldsEncrypt(b *testing.B) {
	f := newFields(b, "dummy-access-key", AES256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Encrypt("user@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOAEPDecrypt(b *testing.B) {
	o := newOAEP(b, OAEPConfig{Key: longKey()})
	for _, d := range []Digests{DigestsJCE, DigestsSHA256, DigestsSHA1} {
		b.Run(strings.ReplaceAll(d.String(), "/", "_"), func(b *testing.B) {
			text := must(o.Encrypt("0123456789abcdef0123456789abcdef", d))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Decrypt(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
