// Package isvnode holds the ISV in Node.js to what its README says.
package isvnode

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	baseKey, generalKey = "base-key-of-the-test", "general-key-of-the-test"
	ak, sk              = "AKTEST", "sk-of-the-test"
)

// node is the program, if it is there and new enough.
func node(t *testing.T) string {
	t.Helper()
	const needed = "skipped: needs Node.js 18 or newer (apt-get install nodejs)"
	program, err := exec.LookPath("node")
	if err != nil {
		t.Skip(needed)
	}
	out, err := exec.CommandContext(t.Context(), program, "--version").Output()
	require.NoError(t, err)
	m := regexp.MustCompile(`^v(\d+)\.`).FindSubmatch(out)
	require.NotNil(t, m, "%s", out)
	if major, err := strconv.Atoi(string(m[1])); err != nil || major < 18 {
		t.Skip(needed)
	}
	return program
}

// start runs the ISV and gives its production address. stop ends it and waits until it has.
func start(t *testing.T, program, marketURL, state, every string) (address string, stop func()) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "server.mjs") // stop ends it
	cmd.Env = append(os.Environ(), "ISVKIT_BASE_KEY="+baseKey, "ISVKIT_GENERAL_KEY="+generalKey, "ISVKIT_AK="+ak, "ISVKIT_SK="+sk,
		"ISVKIT_MARKET_URL="+marketURL, "ISV_STATE="+state, "ISV_LISTEN=127.0.0.1:0", "ISV_USAGE_EVERY="+every)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "it did not start: %s", &errors)
	_, address, ok := strings.Cut(strings.TrimSpace(line), "production address ")
	require.True(t, ok, line)
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait(), "%s", &errors)
	}
	t.Cleanup(stop)
	return address, stop
}

func TestServer_IsConformant(t *testing.T) {
	t.Parallel()
	program := node(t)
	market, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	target, stop := start(t, program, "http://"+market.Addr().String(), filepath.Join(t.TempDir(), "state.json"), "1")
	r, err := conformance.Run(t.Context(), conformance.Options{
		Target: target, BaseKey: baseKey, GeneralKey: generalKey, AK: ak, SK: sk, MarketListener: market, Level: report.LevelShould,
		Charging: suite.Modes(), With: []string{suite.Upgrade, suite.ChangeCheck, suite.OrderNotify}, UsageWait: 20 * time.Second,
	})
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	assert.Equal(t, report.Conformant, r.Verdict, "%s", &text)
	assert.Zero(t, r.Counts[report.Warning], "%s", &text)
	assert.Zero(t, r.Counts[suite.Skip], "%s", &text)
	assert.Greater(t, r.Counts[suite.Pass], 100)
	stop()
}

// market answers the query for every order, and takes or refuses pushes as it is told.
type market struct {
	answers chan string // to pushes
	pushes  chan []marketplaceapi.UsageRecord
}

func (m *market) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var push marketplaceapi.UsagePush
		_ = json.NewDecoder(r.Body).Decode(&push)
		m.pushes <- push.UsageRecords
		_, _ = io.WriteString(w, strings.ReplaceAll(<-m.answers, "SN", push.UsageRecords[0].MeteringSN))
		return
	}
	id := r.URL.Query().Get("orderId")
	_, _ = io.WriteString(w, `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":{"orderId":"`+id+`","orderLine":[{"orderLineId":"`+id+
		`-000001","chargingMode":"ON_DEMAND","productInfo":[{"productId":"OFFI1"}]}]}}`)
}

func call(t *testing.T, address, body string) (a struct{ ResultCode, InstanceID string }) {
	t.Helper()
	base, err := signature.NewBase(signature.Config{Keys: []string{baseKey}})
	require.NoError(t, err)
	params, err := base.Sign([]byte(body))
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"?"+params.Query().Encode(), strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
	return a
}

// What was opened and what was used outlives the process, and usage is pushed until it is accepted, under the same metering_sn.
func TestServer_KeepsItsState(t *testing.T) {
	t.Parallel()
	program := node(t)
	m := &market{answers: make(chan string), pushes: make(chan []marketplaceapi.UsageRecord)}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return t.Context() }}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	url, state := "http://"+listener.Addr().String(), filepath.Join(t.TempDir(), "state.json")

	const order = `{"activity":"newInstance","businessId":"first","orderId":"CS1","orderLineId":"CS1-000001"}`
	address, stop := start(t, program, url, state, "1")
	first := call(t, address, order)
	require.Equal(t, "000000", first.ResultCode)
	pushed := <-m.pushes
	require.NotEmpty(t, pushed)
	m.answers <- `{"error_code":"MKT.0999","error_msg":"System internal error"}`
	stop()

	address, _ = start(t, program, url, state, "1")
	again := call(t, address, strings.Replace(order, "first", "second", 1))
	assert.Equal(t, first, again)
	once := <-m.pushes
	assert.Equal(t, pushed[0], once[0], "what was not accepted is pushed again as it was")
	m.answers <- `{"error_code":"94060999","error_msg":"Failed","data":{"abnormal_usage_data":[{"metering_sn":"SN","error_code":"013"}]}}`
	twice := <-m.pushes
	assert.Equal(t, pushed[0], twice[0], "a state that passes is waited for")
	m.answers <- `{"error_code":"MKT.0000","error_msg":"Success"}`
	thrice := <-m.pushes
	assert.NotEqual(t, pushed[0].MeteringSN, thrice[0].MeteringSN, "what was accepted is not pushed again")
	m.answers <- `{"error_code":"MKT.0000","error_msg":"Success"}`
}
