package conformance_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/suite"
)

// notebook is a testing.T that writes down what it is told.
type notebook struct {
	ctx                         context.Context
	name                        string
	logs, errors, skips, fatals []string
	subtests                    []*notebook
}

func (n *notebook) Helper()                  {}
func (n *notebook) Context() context.Context { return n.ctx }
func (n *notebook) Logf(format string, args ...any) {
	n.logs = append(n.logs, fmt.Sprintf(format, args...))
}

func (n *notebook) Errorf(format string, args ...any) {
	n.errors = append(n.errors, fmt.Sprintf(format, args...))
}

func (n *notebook) Fatalf(format string, args ...any) {
	n.fatals = append(n.fatals, fmt.Sprintf(format, args...))
}

func (n *notebook) Skip(args ...any) { n.skips = append(n.skips, fmt.Sprint(args...)) }

func (n *notebook) Run(name string, f func(*notebook)) bool {
	sub := &notebook{ctx: n.ctx, name: name}
	n.subtests = append(n.subtests, sub)
	f(sub)
	return len(sub.errors)+len(sub.fatals) == 0
}

func (n *notebook) sub(t *testing.T, name string) *notebook {
	t.Helper()
	for _, s := range n.subtests {
		if s.name == name {
			return s
		}
	}
	require.Fail(t, "no subtest is called "+name)
	return nil
}

// isv makes the right ISV, or a mutant of it, for the marketplace of a run.
func isv(t *testing.T, build func(*mutant.ISV) http.Handler) func(conformance.Marketplace) http.Handler {
	t.Helper()
	return func(m conformance.Marketplace) http.Handler {
		right, err := mutant.New(mutant.Keys{
			Base: m.BaseKey, General: m.GeneralKey, Kit: m.KitKey, V1: m.V1Key, License: m.LicenseKey, AK: m.AK, SK: m.SK,
		}, m.URL)
		require.NoError(t, err)
		if build == nil {
			return right.Handler
		}
		return build(right)
	}
}

// The form that people use, with a real testing.T.
func TestTestFunc_RightISV(t *testing.T) {
	t.Parallel()
	conformance.TestFunc(t, isv(t, nil), conformance.Options{Charging: []string{suite.Period}, With: []string{suite.Upgrade, suite.OrderNotify}})
}

// A handler that was made before has been told where the marketplace will be.
func TestTest_RightISV(t *testing.T) {
	t.Parallel()
	market := freeListener(t)
	handler := isv(t, nil)(conformance.Marketplace{
		URL: "http://" + market.Addr().String(), BaseKey: baseKey, GeneralKey: "g", KitKey: "k", V1Key: "v", LicenseKey: "l", AK: "AK", SK: "SK",
	})
	mux := http.NewServeMux()
	mux.Handle("/market/calls", handler)
	conformance.Test(t, mux, conformance.Options{
		Target: "/market/calls", BaseKey: baseKey, AK: "AK", SK: "SK", MarketListener: market, Run: []string{"new-instance/*", "signing/replay-is-refused"},
	})
}

func TestTestFunc_TellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	broken := mutant.Mutants()[0]
	require.Equal(t, "does not verify signatures", broken.Name)
	n := &notebook{ctx: t.Context()}
	conformance.TestFunc(n, isv(t, broken.Build), conformance.Options{
		BaseKey: baseKey, Run: []string{"signing/*", "upgrade-instance/repeat-succeeds"}, KnownFailing: []string{"signing/wrong-key-is-refused", "signing/right-signature-is-accepted"},
	})
	assert.Empty(t, n.fatals)
	assert.NotEmpty(t, n.logs, "the verdict is told")

	failed := n.sub(t, "signing/changed-body-is-refused")
	require.Len(t, failed.errors, 1)
	text := failed.errors[0]
	assert.True(t, strings.HasPrefix(text, "SIG-4 MUST\n"), text)
	for _, label := range []string{"\n  rule ", "\n  seen ", "\n  why ", "\n  mend ", "\n  curl "} {
		assert.Contains(t, text, label)
	}
	assert.NotContains(t, text, baseKey)

	warned := n.sub(t, "signing/replay-is-refused")
	assert.Empty(t, warned.errors)
	require.Len(t, warned.logs, 1)
	assert.Contains(t, warned.logs[0], "SIG-7 SHOULD")

	assert.Contains(t, n.sub(t, "upgrade-instance/repeat-succeeds").skips, "not applicable: only with the capability upgrade")
	require.Len(t, n.sub(t, "signing/wrong-key-is-refused").skips, 1)
	assert.Contains(t, n.sub(t, "signing/wrong-key-is-refused").skips[0], "known to fail, and did")
	require.Len(t, n.sub(t, "signing/right-signature-is-accepted").errors, 1)
	assert.Contains(t, n.sub(t, "signing/right-signature-is-accepted").errors[0], "take it off the list")
}

func TestTest_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	handler := http.NotFoundHandler()
	for want, call := range map[string]func(*notebook){
		"handler is nil":      func(n *notebook) { conformance.Test(n, nil, options("")) },
		"Options.BaseKey":     func(n *notebook) { conformance.Test(n, handler, conformance.Options{AK: "a", SK: "s"}) },
		"Options.SK is empty": func(n *notebook) { conformance.Test(n, handler, conformance.Options{BaseKey: "b", AK: "a"}) },
		"returned nil": func(n *notebook) {
			conformance.TestFunc(n, func(conformance.Marketplace) http.Handler { return nil }, conformance.Options{})
		},
		"unknown charging mode": func(n *notebook) {
			conformance.Test(n, handler, conformance.Options{BaseKey: "b", AK: "a", SK: "s", Charging: []string{"x"}})
		},
		"is no address or path": func(n *notebook) {
			conformance.Test(n, handler, conformance.Options{Target: "::", BaseKey: "b", AK: "a", SK: "s"})
		},
		"marketplace of the run": func(n *notebook) {
			conformance.Test(n, handler, conformance.Options{BaseKey: "b", AK: "a", SK: "s", MarketListen: "nowhere"})
		},
	} {
		n := &notebook{ctx: t.Context()}
		call(n)
		require.Len(t, n.fatals, 1, want)
		assert.Contains(t, n.fatals[0], want)
		assert.Empty(t, n.subtests, want)
	}
}

func TestMarketplace_ShowsNoKeys(t *testing.T) {
	t.Parallel()
	m := conformance.Marketplace{URL: "http://x", BaseKey: "must-not-show", SK: "must-not-show"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, m), "must-not-show")
	}
}

// The package testing defines flags, and has no place in a program.
func TestTesting_StaysOutOfTheCommand(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/isv-conformance").Output()
	require.NoError(t, err)
	packages := strings.Fields(string(out))
	assert.Contains(t, packages, "github.com/isvkit/isvkit/conformance")
	assert.NotContains(t, packages, "testing")
	assert.NotContains(t, packages, "net/http/httptest")
}

func freeListener(t testing.TB) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener
}
