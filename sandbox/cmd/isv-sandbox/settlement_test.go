package main

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quay is a market of its own: an order is revenue when it is delivered, and costs 12.5%.
const quay = `market: quay
name: The quay
effective: 2020-01-01
currency: CNY
timezone: Asia/Shanghai
calendar: china
sources: {ours: {title: made up for a test, confidence: ours}}
fields: {quay.berth: {kind: yes-no, asks: "Is there a berth?"}}
categories: [{id: saas, name: SaaS, saas: true, says: SaaS., source: ours}, {id: other, name: Other, says: Other., source: ours}]
papers: []
conditions: [{id: berth, says: A berth., stage: entry, needs: {field: quay.berth, is: true}, next: Ask for one., source: ours}]
onboarding: [{id: come-in, says: Come in., by: seller, opens: listing, source: ours}]
charges: [{id: flag, says: A flag., amount: "20.00", before: entry, refundable: false, source: ours}]
deposit: {neededFor: [withdrawal], combine: sum, amounts: [{id: rope, says: For the rope., amount: "50.00", source: ours}]}
revenue: [{id: direct, name: Sold, says: Sold., source: ours}]
fees:
  rates: [{id: fee, says: One rate., charged: [direct], tiers: [{from: "0.00", rate: 12.5%}], source: ours}]
  rounding: {id: cents, says: Half up., places: 2, mode: half-up, source: ours}
settlement: {}
refunds: [{id: none, says: Nothing., after: none, source: ours}]
failedDelivery: {unstated: Nothing.}
violations: []
exit: {unstated: Nobody leaves.}
`

func TestCommands_MarketsAndMoney(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) {
		_, _ = w.Write([]byte(`{"resultCode":"000000","resultMsg":"success","instanceId":"i-` + lineID + `"}`))
	})
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "policies"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policies", "quay.yaml"), []byte(quay), 0o600))
	p := serveProcess(t, dir, "--database", ":memory:", "--provider", isv.URL, "--policies", filepath.Join(dir, "policies"))
	require.Contains(t, p.ok("markets"), "quay")
	require.Regexp(t, `market +koogallery, policy effective from`, p.ok("market"))
	out := p.ok("register", "quay", "--category", "saas", "--category", "other", "--product", "demo-notify=other", "--entered", "2026-01-05", "--say", "quay.berth=true")
	require.Regexp(t, `market +quay, policy effective from 2020-01-01`, out)
	require.Regexp(t, `deposit +0.00 of 100.00`, out)
	require.Regexp(t, `charges due +flag`, out)
	require.Contains(t, p.ok("money", "deposit", "100"), "100.00")
	require.Contains(t, p.ok("money", "charge", "20", "--reason", "flag"), "20.00")
	p.ok("buy", "--sku", "demo-one-time")
	month := time.Now().In(time.FixedZone("", 8*3600)).Format("2006-01")
	require.Contains(t, p.ok("statement", month), "Statement of demo on quay for "+month+" (not final, the month is not over)")
	var statement struct{ Charged, Net, Deposit string }
	require.NoError(t, json.Unmarshal([]byte(p.ok("statement", month, "--format", "json")), &statement))
	require.Equal(t, "112.50", statement.Charged)
	require.Equal(t, "787.50", statement.Net)
	require.Equal(t, "100.00", statement.Deposit)
	rows, err := csv.NewReader(strings.NewReader(p.ok("statement", month, "--format", "csv"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 4)
	code, _, text := p.command("money", "withdrawal")
	require.Equal(t, 1, code)
	require.Contains(t, text, "nothing that is settled waits to be withdrawn")
	code, _, text = p.command("register", "tencent")
	require.Equal(t, 1, code)
	require.Contains(t, text, "stays there")
	require.Regexp(t, month+` +900.00 +0.00 +112.50 +787.50 +going on`, p.ok("market"))
}

func TestServe_PoliciesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("market: x\n"), 0o600))
	code, _, text := (&process{t: t, dir: dir}).command("serve", "--policies", dir, "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0")
	require.Equal(t, 1, code)
	require.Contains(t, text, "--policies: bad.yaml")
}
