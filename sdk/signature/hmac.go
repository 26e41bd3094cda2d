package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// keyed is one access key together with HMAC states that are already keyed with it. Keying an HMAC costs two hash blocks
// and several allocations; a state that is reset keeps both, so the states are pooled per key.
type keyed struct {
	text string
	pool sync.Pool
}

// mac is one HMAC state with the scratch space a signature needs.
type mac struct {
	hash.Hash
	key string
	buf []byte
	sum [sha256.Size]byte
}

func newMAC(key string) *mac { return &mac{Hash: hmac.New(sha256.New, []byte(key)), key: key} }

func newKeyed(text string) *keyed {
	k := &keyed{text: text}
	k.pool.New = func() any { return newMAC(text) }
	return k
}

func (k *keyed) get() *mac {
	m := k.pool.Get().(*mac)
	m.Reset()
	return m
}

func (k *keyed) put(m *mac) { k.pool.Put(m) }

// finish returns the HMAC of what was written, in m's own memory: valid until the next finish.
func (m *mac) finish() []byte { return m.Sum(m.sum[:0]) }

// secretMACs holds states for AK/SK, where the key comes with the call. A process mostly signs with one SK, so the state at
// hand mostly has the right key already; if not, it is left to the garbage collector.
var secretMACs sync.Pool

func getSecretMAC(sk string) *mac {
	if m, ok := secretMACs.Get().(*mac); ok && m.key == sk {
		m.Reset()
		return m
	}
	return newMAC(sk)
}

func putSecretMAC(m *mac) { secretMACs.Put(m) }
