package secret

import (
	"errors"
	"fmt"
)

// Kind says why a value was refused. The zero Kind is not used.
type Kind uint8

const (
	// KindMalformed means that a text is not in the form of an encrypted value: too short, not Base64, a wrong length.
	KindMalformed Kind = iota + 1
	// KindUndecryptable means that the form is right and that the key does not open it. A wrong key, a wrong algorithm, a
	// changed ciphertext and a plaintext that is not UTF-8 are not told apart, on purpose.
	KindUndecryptable
	// KindTooLong means that a plaintext is longer than its encrypted form has room for.
	KindTooLong
)

// The sentinels, one per [Kind], for [errors.Is].
var (
	ErrMalformed     = errors.New("secret: malformed")
	ErrUndecryptable = errors.New("secret: undecryptable")
	ErrTooLong       = errors.New("secret: too long")
)

// String returns the kind in one or two lower-case words, "malformed" for KindMalformed.
func (k Kind) String() string {
	switch k {
	case KindMalformed:
		return "malformed"
	case KindUndecryptable:
		return "undecryptable"
	case KindTooLong:
		return "too long"
	default:
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
}

// Error says why a value could not be encrypted or decrypted. It contains neither the value nor a key, only lengths, so it can
// be logged as it is.
type Error struct {
	Kind   Kind
	Scheme string // "field" or "OAEP"
	Detail string // what was expected and what came
}

// Error returns the failure in one line, for logs.
func (e *Error) Error() string {
	msg := "secret: " + e.Scheme + ": " + e.Kind.String()
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	return msg
}

// Is reports whether target is the sentinel of e's kind.
func (e *Error) Is(target error) bool {
	switch e.Kind {
	case KindMalformed:
		return target == ErrMalformed
	case KindUndecryptable:
		return target == ErrUndecryptable
	case KindTooLong:
		return target == ErrTooLong
	default:
		return false
	}
}
