package mistyped

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestName(t *testing.T) {
	t.Parallel()
	names := []string{"serve", "buy", "provider", "doctor"}
	for name, want := range map[string]string{
		"serv": "serve", "SERVE": "serve", "provder": "provider", "doktor": "doctor", "by": "buy", "zzzzzz": "", strings.Repeat("a", 1000): "",
	} {
		assert.Equal(t, want, Name(name, names, Half), name)
	}
	assert.Empty(t, Name("serv", nil, Half))

	names = []string{"run", "explain", "NEW-3", "SIG-1", "signing/replay-is-refused"}
	for name, want := range map[string]string{
		"rnu": "run", "EXPLAIN": "explain", "NWE-3": "NEW-3", "signing/replay-is-refuse": "signing/replay-is-refused", "zzzzzz": "", strings.Repeat("a", 1000): "",
	} {
		assert.Equal(t, want, Name(name, names, Third), name)
	}
	assert.Empty(t, Name("serv", nil, Third))
}
