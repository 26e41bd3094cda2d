package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
)

func TestLicenseAndBill(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) })
	dir := t.TempDir()
	p := serveProcess(t, dir, "--database", ":memory:", "--quiet", "--provider", isv.URL)
	market, err := marketplace.New(marketplace.Config{
		URL: p.keys[envMarketURL], Credentials: signature.Credentials{AK: p.keys[envAK], SK: p.keys[envSK]}, BaseKey: p.keys[envBaseKey],
	})
	require.NoError(t, err)

	require.Contains(t, p.ok("license", "list"), "none")
	code := regexp.MustCompile(`PL\w{24}`).FindString(p.ok("buy", "--sku", "demo-license-period", "--period", "1m"))
	require.NotEmpty(t, code)
	require.Contains(t, p.ok("buy", "--sku", "demo-license-period", "--json"), `"licenses":[{`)
	require.Regexp(t, code+` +issued`, p.ok("license", "list"))
	_, err = market.ActivateLicense(t.Context(), code, time.Time{})
	require.NoError(t, err)
	require.Regexp(t, code+` +alive `, p.ok("license", "renew", code, "--period", "1y"))
	require.Regexp(t, code+` +alive `, p.ok("license", "cancel-renewal", code))
	require.Regexp(t, code+` +alive, frozen for a violation`, p.ok("license", "freeze", code))
	require.Regexp(t, code+` +alive  `, p.ok("license", "unfreeze", code))
	require.Regexp(t, code+` +released`, p.ok("license", "unsubscribe", code))

	line := regexp.MustCompile(`line (\S+)`).FindStringSubmatch(p.ok("buy", "--sku", "demo-on-demand"))[1]
	event := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(p.ok("license", "ask", line, "--device", "3C-7A"))
	file := filepath.Join(dir, "licence")
	refused, _, stderr := p.command("license", "download", event, file)
	require.Equal(t, 1, refused)
	require.Contains(t, stderr, "not found")
	require.NoError(t, market.UploadCharacters(t.Context(), event, "licence-text"))
	require.Regexp(t, event+` .* uploaded +CHARACTERS`, p.ok("license", "files", line))
	require.Contains(t, p.ok("license", "download", event, file), "12 bytes")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "licence-text", string(content))
	refused, _, _ = p.command("license", "download", event, file)
	require.Equal(t, 1, refused, "a file that exists is not written over")

	require.Regexp(t, `^INSTANCE.*\nsum +0\n`, p.ok("bill"))
	p.ok("clock", "advance", "3h")
	now := time.Now().Add(3 * time.Hour)
	_, err = market.PushUsage(t.Context(), []marketplaceapi.UsageRecord{{
		MeteringSN: "sn", InstanceID: "i-" + line, UsageValue: "12.5", RecordTime: marketplace.FormatTime(now),
		BeginTime: marketplace.FormatTime(now.Add(-2 * time.Hour)), EndTime: marketplace.FormatTime(now.Add(-time.Hour)),
	}})
	require.NoError(t, err)
	require.Regexp(t, `i-`+line+` +\d{4}-\d\d-\d\d +12.5 +0 +0 +12.5 +1 +12.5\nsum +12.5\n`, p.ok("bill", line))
	p.ok("buy", "--sku", "demo-package")
	require.Regexp(t, ` 1000 +0 +1000 +goes on by usage`, p.ok("packages"))

	for want, args := range map[string][]string{
		`no action "explode"`:       {"license", "explode"},
		"wrong number of arguments": {"license", "renew"},
		"place a new order":         {"license", "renew", code},
		"there is no licence":       {"license", "show", "PL-nobody"},
		"expected a day":            {"bill", "--from", "yesterday"},
	} {
		status, _, stderr := p.command(args...)
		require.NotZero(t, status, args)
		require.Contains(t, stderr, want, args)
	}
}
