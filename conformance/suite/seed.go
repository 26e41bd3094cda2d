package suite

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
)

// source gives the ids that one check makes up. They follow from the seed of the run, the name of the check and their number, so that
// two runs with one seed make the same calls, in whichever order their checks happen to run. Nonces are no part of it: an ISV that
// remembers them would take the second run for a replay.
type source struct {
	seed uint64
	name string

	mu   sync.Mutex
	next uint64
}

// bytes gives the next n made-up bytes, at most 32.
func (s *source) bytes(n int) []byte {
	s.mu.Lock()
	s.next++
	number := s.next
	s.mu.Unlock()
	text := binary.BigEndian.AppendUint64(nil, s.seed)
	text = binary.BigEndian.AppendUint64(text, number)
	sum := sha256.Sum256(append(text, s.name...))
	return sum[:n]
}

func (s *source) hex(n int) string { return hex.EncodeToString(s.bytes(n)) }

// uuid makes an id in the form that the marketplace uses for businessId.
func (s *source) uuid() string {
	h := s.hex(16)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:]
}

// orderID makes the id of an order. It is longer than real ones, so that runs on one ISV never meet.
func (s *source) orderID() string {
	b := s.bytes(16)
	return fmt.Sprintf("CS%010d%s", binary.BigEndian.Uint64(b)%10_000_000_000, strings.ToUpper(hex.EncodeToString(b[8:14])))
}

// newCase is a check at work; ids are made up under its name.
func (e *Env) newCase(name, mode string) *Case {
	return &Case{Mode: mode, env: e, ids: source{seed: e.Seed, name: name}}
}

// uuid makes an id that no other check makes.
func (c *Case) uuid() string { return c.ids.uuid() }

// unknownID is an instance that no ISV can know.
func (c *Case) unknownID() string { return "unknown-" + c.uuid() }
