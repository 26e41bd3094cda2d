package suite

import (
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // one of the digests that OAEP is used with
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"math/big"

	"github.com/isvkit/isvkit/sdk/secret"
)

// encryptOAEP is RSA-OAEP (RFC 8017, 7.1.1) with a seed that is given, because crypto/rsa takes none: two runs with one seed send the same.
// Nothing that is encrypted so is a secret.
func encryptOAEP(public *rsa.PublicKey, plain string, digests secret.Digests, seed []byte) string {
	label, mask := sha256.New, sha1.New
	switch digests {
	case secret.DigestsSHA256:
		mask = sha256.New
	case secret.DigestsSHA1:
		label = sha1.New
	case secret.DigestsJCE:
	}
	size, digest := public.Size(), label().Size()
	em := make([]byte, size)
	seedPart, db := em[1:1+digest], em[1+digest:]
	copy(seedPart, seed)
	copy(db, label().Sum(nil))
	db[len(db)-len(plain)-1] = 1
	copy(db[len(db)-len(plain):], plain)
	mgf1(mask, db, seedPart)
	mgf1(mask, seedPart, db)
	sum := new(big.Int).Exp(new(big.Int).SetBytes(em), big.NewInt(int64(public.E)), public.N)
	return base64.StdEncoding.EncodeToString(sum.FillBytes(make([]byte, size)))
}

// mgf1 masks data with what is made of a seed.
func mgf1(newHash func() hash.Hash, data, seed []byte) {
	for n, done := uint32(0), 0; done < len(data); n++ {
		h := newHash()
		h.Write(seed)
		h.Write(binary.BigEndian.AppendUint32(nil, n))
		for _, b := range h.Sum(nil) {
			if done < len(data) {
				data[done] ^= b
				done++
			}
		}
	}
}
