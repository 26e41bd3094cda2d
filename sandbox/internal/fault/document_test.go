package fault_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/fault"
)

// TestDocument: every kind has its row, with the line that switches it on.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../FAULTS.md")
	require.NoError(t, err)
	for _, k := range fault.Kinds() {
		require.Contains(t, string(text), "\n| `"+string(k)+"` |")
		require.Contains(t, string(text), "`isv-sandbox fault add "+string(k))
	}
	for _, o := range fault.Operations {
		require.Contains(t, string(text), "`"+o+"`")
	}
}
