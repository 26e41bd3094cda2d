package signature

import (
	"errors"
	"fmt"
)

// Kind says why a verification failed. The zero Kind is not used.
type Kind uint8

const (
	// KindMissing means that a parameter, header or listed signed header is absent or empty.
	KindMissing Kind = iota + 1
	// KindMalformed means that it is there, but it is not in the form the scheme asks for, or it came twice.
	KindMalformed
	// KindStale means that the timestamp is further from the verifier's clock than the leeway, in either direction.
	KindStale
	// KindReplayed means that the signature is right, but its nonce was used before.
	KindReplayed
	// KindMismatch means that the signature, or the declared body hash, does not fit what was received.
	KindMismatch
	// KindUnknownKey means that no secret is known for the access key (AK/SK only).
	KindUnknownKey
)

// The sentinels, one per [Kind], for [errors.Is].
var (
	ErrMissing    = errors.New("signature: missing")
	ErrMalformed  = errors.New("signature: malformed")
	ErrStale      = errors.New("signature: stale")
	ErrReplayed   = errors.New("signature: replayed")
	ErrMismatch   = errors.New("signature: mismatch")
	ErrUnknownKey = errors.New("signature: unknown access key")
)

// String returns the kind in one or two lower-case words, "missing" for KindMissing.
func (k Kind) String() string {
	switch k {
	case KindMissing:
		return "missing"
	case KindMalformed:
		return "malformed"
	case KindStale:
		return "stale"
	case KindReplayed:
		return "replayed"
	case KindMismatch:
		return "mismatch"
	case KindUnknownKey:
		return "unknown key"
	default:
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
}

// Error is every verification failure: what a peer sent did not pass. Failures on our own side (a nonce store or a secret
// source that cannot answer) are ordinary errors and never an *Error.
//
// It never contains a key or the expected signature, and text that came from the peer is quoted and cut short, so it can be
// logged as it is. Do not send it to the peer: one generic answer is enough there.
type Error struct {
	Kind   Kind
	Scheme string // "base", "kit", "usage", "AK/SK", "V1" or "Body-Sign"
	Field  string // the parameter or header at fault: "timestamp", "X-Sdk-Date", ...
	Detail string // what was expected and what came
}

// Error returns the failure in one line, for logs.
func (e *Error) Error() string {
	msg := "signature: " + e.Scheme + ": " + e.Field + ": " + e.Kind.String()
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	return msg
}

// Is reports whether target is the sentinel of e's kind.
func (e *Error) Is(target error) bool {
	switch e.Kind {
	case KindMissing:
		return target == ErrMissing
	case KindMalformed:
		return target == ErrMalformed
	case KindStale:
		return target == ErrStale
	case KindReplayed:
		return target == ErrReplayed
	case KindMismatch:
		return target == ErrMismatch
	case KindUnknownKey:
		return target == ErrUnknownKey
	default:
		return false
	}
}

// shown quotes what a stranger sent and cuts it short, so that it can neither break a log line nor fill the log.
func shown(s string) string {
	const most = 40
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
