package mutant_test

import (
	"bytes"
	"flag"
	"net"
	"net/http/httptest"
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
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	isv, err := mutant.New(keys, "http://"+listener.Addr().String())
	require.NoError(t, err)
	server := httptest.NewServer(m.Build(isv))
	defer server.Close()
	r, err := conformance.Run(t.Context(), conformance.Options{
		Target: server.URL + "/saasproduce", BaseKey: keys.Base, AK: keys.AK, SK: keys.SK, MarketListener: listener,
		Charging: []string{suite.Period}, With: []string{suite.Upgrade}, Seed: 1, Build: "crm 4.2.0",
		Run: []string{"new-instance/*", "query-instance/*", "answers/*", "release-instance/*", "SIG-1", "SIG-2", "UPG-*"},
	})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	text := bytes.ReplaceAll(b.Bytes(), []byte(server.URL), []byte("http://127.0.0.1:9000"))
	require.NoError(t, os.WriteFile(filepath.Join("..", "..", "report", "testdata", "example.json"), text, 0o600))
}
