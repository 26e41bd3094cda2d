package signature

import "net/url"

// Finding is one mistake that a signature was made with.
type Finding struct {
	Mistake     Mistake
	Explanation string // what the signer did
	Mend        string // what it has to do instead
}

// Mistake names a mistake in the making of a signature.
type Mistake string

// OtherKey is a key of another class, such as "kit", "general" or "SK".
type OtherKey struct{ Class, Key string }

// Explain is being written.
func (b *Base) Explain(_ Params, _ []byte, _ ...OtherKey) []Finding { return nil }

// Explain is being written.
func (k *Kit) Explain(_ Params, _ []byte, _ ...OtherKey) []Finding { return nil }

// Explain is being written.
func (u *Usage) Explain(_ Params, _ []byte, _ ...OtherKey) []Finding { return nil }

// ExplainQuery is being written.
func (v *V1) ExplainQuery(_ url.Values, _ ...OtherKey) []Finding { return nil }
