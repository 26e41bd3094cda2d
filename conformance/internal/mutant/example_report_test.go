package mutant_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/suite"
)

var newExample = flag.Bool("new-example", false, "write the report of one mutant anew that the formats are shown with")

// TestExample makes the report in report/testdata that the README shows in each format. It is made by hand, because it has times in it.
func TestExample(t *testing.T) {
	if !*newExample {
		t.Skip("skipped: -new-example writes the report anew")
	}
	all := mutant.Mutants()
	m := all[slices.IndexFunc(all, func(m mutant.Mutant) bool { return m.Name == "answers the businessId as the id of a repeat" })]
	r, err := m.Try(t.Context(), func(o *conformance.Options) {
		o.Charging, o.With, o.Replicas, o.UsageWait, o.Build = []string{suite.Period}, []string{suite.Upgrade}, nil, 0, "crm 4.2.0"
		o.Run = []string{"new-instance/*", "query-instance/*", "answers/*", "release-instance/*", "SIG-1", "SIG-2", "UPG-*"}
	})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	text := bytes.ReplaceAll(b.Bytes(), []byte(r.Target), []byte("http://127.0.0.1:9000/saasproduce"))
	require.NoError(t, os.WriteFile(filepath.Join("..", "..", "report", "testdata", "example.json"), text, 0o600))
}
