package nearest

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
		assert.Equal(t, want, Name(name, names), name)
	}
	assert.Empty(t, Name("serv", nil))
}
