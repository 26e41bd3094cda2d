package openapiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/licensebook"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/openapiserver"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usagebook"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
)

var (
	now  = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	ours = catalogue.Seller{ID: "ours", Address: "http://127.0.0.1:1", Keys: catalogue.Keys{AK: "our-ak", SK: "our-sk", Base: "our-base-key"}}
	// theirs is another ISV on the same marketplace.
	theirs = catalogue.Seller{ID: "theirs", Address: "http://127.0.0.1:1", Keys: catalogue.Keys{AK: "their-ak", SK: "their-sk", Base: "their-base-key"}}
)

// market is the open API over a store with two sellers, on the clock of the sandbox, which stands still at now.
type market struct {
	*httptest.Server
	t        testing.TB
	store    *store.Store
	orders   *orderbook.Book
	licenses *licensebook.Book
	clock    *clock.Clock
}

func open(t testing.TB) *market {
	t.Helper()
	s, err := store.Open(t.Context(), ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	m := &market{t: t, store: s, clock: clock.New(func() time.Time { return now }, 0)}
	m.licenses = licensebook.New(s, m.clock, func(tx *store.Tx, p orderbook.Placement) (store.Order, error) { return m.orders.Place(tx, p) })
	m.orders, err = orderbook.New(orderbook.Config{Store: s, Clock: m.clock, Licences: m.licenses})
	require.NoError(t, err)
	m.update(func(tx *store.Tx) error {
		for _, v := range []catalogue.Seller{ours, theirs} {
			if err := tx.PutSeller(v); err != nil {
				return err
			}
			for _, p := range catalogue.DemoProducts() {
				p.Code, p.SellerID = v.ID+"-"+p.Code, v.ID
				for i := range p.SKUs {
					p.SKUs[i].Code = v.ID + "-" + p.SKUs[i].Code
				}
				if err := tx.PutProduct(p); err != nil {
					return err
				}
			}
		}
		return tx.PutBuyer(catalogue.DemoBuyer)
	})
	h, err := openapiserver.New(openapiserver.Config{
		Store: s, Clock: m.clock, Usage: usagebook.New(s, m.clock, m.orders.UsedUp), Licenses: m.licenses, Log: slog.New(slog.DiscardHandler),
		Observe: func(x openapiserver.Exchange) {
			for _, v := range x.Violations() {
				m.t.Errorf("%s %s: HTTP %d %s is not as the contract says: %s", x.Method, x.Path, x.Status, x.ResponseBody, v)
			}
			if x.Status != http.StatusOK || x.Code != "MKT.0000" && x.Code != license.CodeSuccess {
				assert.NotEmpty(m.t, x.Detail, "a refusal is explained")
			}
		},
	})
	require.NoError(t, err)
	m.Server = httptest.NewServer(h)
	t.Cleanup(m.Close)
	return m
}

func (m *market) update(f func(tx *store.Tx) error) {
	m.t.Helper()
	require.NoError(m.t, m.store.Update(context.Background(), f))
}

// instance puts an instance of a product that is ready, bought a day ago.
func (m *market) instance(id, product, sku string, mode marketplaceapi.ChargingMode, change func(*lifecycle.Instance)) {
	m.t.Helper()
	seller, _, _ := strings.Cut(product, "-")
	i := lifecycle.Instance{
		OrderID: "CS-" + id, OrderLineID: "CS-" + id + "-000001", InstanceID: id, SellerID: seller, ProductCode: product, BuyerID: catalogue.DemoBuyer.ID,
		ChargingMode: mode, Product: lifecycle.Product{SKUCode: sku, ProductID: "OFFI700000000000000041", Quantity: 1},
		Status: sandboxapi.InstanceReady, Intent: sandboxapi.InstanceReady, CreateTime: now.AddDate(0, 0, -1),
	}
	if change != nil {
		change(&i)
	}
	m.update(func(tx *store.Tx) error { return tx.PutInstance(i) })
}

func (m *market) client(s catalogue.Seller) *marketplace.Client {
	m.t.Helper()
	c, err := marketplace.New(marketplace.Config{
		URL: m.URL, Credentials: signature.Credentials{AK: s.Keys.AK, SK: s.Keys.SK}, BaseKey: s.Keys.Base, RetryMax: -1,
	})
	require.NoError(m.t, err)
	return c
}

// buyLicense buys a licence and gives its code.
func (m *market) buyLicense(sku string, period string) string {
	m.t.Helper()
	o, instances, err := m.orders.Buy(m.t.Context(), orderbook.Purchase{Lines: []order.Choice{{SKUCode: sku, Period: period}}})
	require.NoError(m.t, err)
	require.Empty(m.t, instances)
	list, err := m.store.Licenses(m.t.Context(), o.OrderID, 10)
	require.NoError(m.t, err)
	require.Len(m.t, list, 1)
	return list[0].Code
}

func record(sn, instance, value string, hoursAgo int) marketplaceapi.UsageRecord {
	begin := now.Add(-time.Duration(hoursAgo) * time.Hour)
	return marketplaceapi.UsageRecord{
		MeteringSN: sn, InstanceID: instance, UsageValue: value, RecordTime: marketplace.FormatTime(now),
		BeginTime: marketplace.FormatTime(begin), EndTime: marketplace.FormatTime(begin.Add(time.Hour)),
	}
}

// send sends a request signed by us and gives status, code and answer.
func (m *market) send(method, path, contentType string, body []byte, change func(*http.Request)) (int, string, map[string]any) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, m.URL+path, bytes.NewReader(body))
	require.NoError(m.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if strings.Contains(path, "global/v1/isv/usage-data") {
		usage, err := signature.NewUsage(signature.Config{Keys: []string{ours.Keys.Base}})
		require.NoError(m.t, err)
		params, err := usage.Sign(body)
		require.NoError(m.t, err)
		params.SetUsageHeaders(req.Header)
	}
	if change != nil {
		change(req)
	}
	require.NoError(m.t, signature.Credentials{AK: ours.Keys.AK, SK: ours.Keys.SK}.SignRequest(req, body, time.Now()))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(m.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	var answer map[string]any
	require.NoError(m.t, json.Unmarshal(text, &answer), "%s", text)
	code, _ := answer["error_code"].(string)
	if code == "" {
		code, _ = answer["resultCode"].(string)
	}
	return resp.StatusCode, code, answer
}

// TestServer_KeepsSellersApart: what is another seller's does not exist for us, and two sellers may use the same ids of records.
func TestServer_KeepsSellersApart(t *testing.T) {
	t.Parallel()
	m := open(t)
	us, them := m.client(ours), m.client(theirs)

	o, _, err := m.orders.Buy(t.Context(), orderbook.Purchase{Lines: []order.Choice{{SKUCode: "theirs-demo-one-time"}}})
	require.NoError(t, err)
	got, err := them.QueryOrder(t.Context(), o.OrderID, "")
	require.NoError(t, err)
	require.Equal(t, o.Document, *got)
	_, err = us.QueryOrder(t.Context(), o.OrderID, "")
	require.ErrorIs(t, err, marketplace.ErrNotYours)
	_, err = us.QueryOrder(t.Context(), o.OrderID, o.OrderID+"-000001")
	require.ErrorIs(t, err, marketplace.ErrNotYours)

	m.instance("our-metered", "ours-demo", "ours-demo-on-demand", marketplaceapi.ChargingOnDemand, nil)
	m.instance("their-metered", "theirs-demo", "theirs-demo-on-demand", marketplaceapi.ChargingOnDemand, nil)
	m.instance("their-package", "theirs-demo", "theirs-demo-package", marketplaceapi.ChargingPackage, func(i *lifecycle.Instance) { i.Package.Amount = "10" })
	packaged := record("sn-2", "our-metered", "1", 3)
	packaged.RelatePkgInstance = "their-package"
	pushed, err := us.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record("sn-1", "their-metered", "1", 2), packaged, record("sn-3", "our-metered", "1", 4)})
	require.NoError(t, err)
	require.Len(t, pushed.Rejected, 2)
	require.EqualValues(t, "009", pushed.Rejected[0].Code)
	require.EqualValues(t, "009", pushed.Rejected[1].Code)
	pushed, err = them.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record("sn-3", "their-metered", "1", 4)})
	require.NoError(t, err)
	require.Empty(t, pushed.Rejected, "our sn-3 is not theirs")

	code := m.buyLicense("theirs-demo-license-period", "1y")
	_, err = us.ActivateLicense(t.Context(), code, time.Time{})
	require.ErrorIs(t, err, marketplace.ErrLicenseNotFound)
	_, err = them.ActivateLicense(t.Context(), code, time.Time{})
	require.NoError(t, err)
	_, err = us.LicenseHeartbeat(t.Context(), code)
	require.ErrorIs(t, err, marketplace.ErrLicenseNotFound)
	_, err = us.LicenseHeartbeats(t.Context(), []string{code})
	require.ErrorIs(t, err, marketplace.ErrLicenseNotFound)

	asked, err := m.licenses.Ask(t.Context(), "CS-their-metered-000001", "")
	require.NoError(t, err)
	require.ErrorIs(t, us.UploadCharacters(t.Context(), asked.EventID, "text"), marketplace.ErrNotYours)
	require.NoError(t, them.UploadCharacters(t.Context(), asked.EventID, "text"))

	// The body of a push is signed by the seller that AK/SK says. Without AK/SK it says itself who it is.
	body, err := json.Marshal(marketplaceapi.UsagePush{UsageRecords: []marketplaceapi.UsageRecord{record("sn-9", "their-metered", "1", 5)}})
	require.NoError(t, err)
	their := func(r *http.Request) {
		usage, err := signature.NewUsage(signature.Config{Keys: []string{theirs.Keys.Base}})
		require.NoError(t, err)
		params, err := usage.Sign(body)
		require.NoError(t, err)
		params.SetUsageHeaders(r.Header)
	}
	const path = "/api/mkp-openapi-public/global/v1/isv/usage-data"
	status, refused, _ := m.send("POST", path, "application/json", body, their)
	require.Equal(t, []any{400, "MKT.0102"}, []any{status, refused})
	req, err := http.NewRequestWithContext(t.Context(), "POST", m.URL+path, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	their(req)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var answer marketplaceapi.UsageAnswer
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(t, "MKT.0000", answer.ErrorCode)

	// A seller that changes its keys is known by the new ones at once.
	changed := ours
	changed.Keys.SK = "another-sk"
	m.update(func(tx *store.Tx) error { return tx.PutSeller(changed) })
	_, err = us.QueryOrder(t.Context(), "MOCKONDEMAND", "")
	require.ErrorIs(t, err, marketplace.ErrBadSignature)
	_, err = m.client(changed).QueryOrder(t.Context(), "MOCKONDEMAND", "")
	require.NoError(t, err)
}

// TestServer_Delisted: usage of a product that was taken off the marketplace is not accepted.
func TestServer_Delisted(t *testing.T) {
	t.Parallel()
	m := open(t)
	m.instance("metered", "ours-demo", "ours-demo-on-demand", marketplaceapi.ChargingOnDemand, nil)
	m.update(func(tx *store.Tx) error {
		p, err := tx.Product("ours-demo")
		p.Status = catalogue.Delisted
		return errorOr(err, tx.PutProduct(p))
	})
	pushed, err := m.client(ours).PushUsage(t.Context(), []marketplaceapi.UsageRecord{record("sn", "metered", "1", 2)})
	require.NoError(t, err)
	require.Len(t, pushed.Rejected, 1)
	require.EqualValues(t, "006", pushed.Rejected[0].Code)
}

func errorOr(err, next error) error {
	if err != nil {
		return err
	}
	return next
}

const licensePath = "/api/mkp-openapi-public/global/%s/license/%s"

// TestServer_Licenses is the table of what licence operations are answered.
func TestServer_Licenses(t *testing.T) {
	t.Parallel()
	m := open(t)
	m.update(func(tx *store.Tx) error {
		p, err := tx.Product("ours-demo-license")
		p.Code, p.Provision = "ours-accept-license", catalogue.OnAcceptance
		p.SKUs[0].Code = "ours-accept-license-period"
		return errorOr(err, tx.PutProduct(p))
	})
	const sku = "ours-demo-license-period"
	issued, alive, gone, waiting := m.buyLicense(sku, "1y"), m.buyLicense(sku, "1m"), m.buyLicense(sku, "1y"), m.buyLicense("ours-accept-license-period", "1y")
	us := m.client(ours)
	for _, code := range []string{alive, gone} {
		_, err := us.ActivateLicense(t.Context(), code, time.Time{})
		require.NoError(t, err)
	}
	_, _, err := m.licenses.Unsubscribe(t.Context(), gone)
	require.NoError(t, err)
	long := strings.Repeat("x", 65)
	many := `{"license_list":["` + strings.Repeat(`x","`, 100) + `x"]}`
	json1 := "application/json"
	for name, tc := range map[string]struct {
		version, operation, contentType, body string
		status                                int
		code                                  string
	}{
		"activate nobody's":               {"v1", "activate", json1, `{"license":"PL-nobody"}`, 200, "92020005"},
		"activate twice":                  {"v1", "activate", json1, `{"license":"` + alive + `"}`, 200, "92020003"},
		"activate what is gone":           {"v1", "activate", json1, `{"license":"` + gone + `"}`, 200, "92020003"},
		"activate before it is received":  {"v1", "activate", json1, `{"license":"` + waiting + `"}`, 200, "92020004"},
		"activate before the order":       {"v1", "activate", json1, `{"license":"` + issued + `","real_effect_time":"20260520115959"}`, 200, "92020002"},
		"activate on no day":              {"v1", "activate", json1, `{"license":"` + issued + `","real_effect_time":"20260231115959"}`, 200, "92020002"},
		"activate nothing":                {"v1", "activate", json1, `{}`, 400, "95000001"},
		"activate the empty code":         {"v1", "activate", json1, `{"license":""}`, 400, "95000001"},
		"activate a long code":            {"v1", "activate", json1, `{"license":"` + long + `"}`, 400, "95000001"},
		"activate a number":               {"v1", "activate", json1, `{"license":5}`, 400, "95000001"},
		"activate a list":                 {"v1", "activate", json1, `[]`, 400, "95000001"},
		"activate, other letters too":     {"v1", "activate", json1, `{"license":"a","License":5}`, 400, "95000001"},
		"activate at a time of 13 digits": {"v1", "activate", json1, `{"license":"` + issued + `","real_effect_time":"2026052011595"}`, 400, "95000001"},
		"activate, no JSON":               {"v1", "activate", json1, `license`, 400, "95000004"},
		"activate, empty body":            {"v1", "activate", json1, ``, 400, "95000004"},
		"activate, as text":               {"v1", "activate", "text/plain", `{"license":"a"}`, 400, "95000003"},
		"activate, no content type":       {"v1", "activate", "", `{"license":"a"}`, 400, "95000003"},
		"activate none of a list":         {"v2", "activate", json1, `{"license_list":[]}`, 400, "95000001"},
		"activate 101":                    {"v2", "activate", json1, many, 400, "95000001"},
		"activate one and nobody's":       {"v2", "activate", json1, `{"license_list":["` + issued + `","PL-nobody"]}`, 200, "92020020"},
		"activate one and an alive one":   {"v2", "activate", json1, `{"license_list":["` + issued + `","` + alive + `"]}`, 200, "92020020"},
		"activate one twice in a list":    {"v2", "activate", json1, `{"license_list":["` + issued + `","` + issued + `"]}`, 200, "92020020"},
		"activate a list at no time":      {"v2", "activate", json1, `{"license_list":["` + issued + `"],"real_effect_time":"20260231115959"}`, 200, "92020002"},
		"heartbeat of nobody's":           {"v1", "heartbeat", json1, `{"license":"PL-nobody"}`, 200, "92020005"},
		"heartbeat before activation":     {"v1", "heartbeat", json1, `{"license":"` + issued + `"}`, 200, "92020011"},
		"heartbeat before it is received": {"v1", "heartbeat", json1, `{"license":"` + waiting + `"}`, 200, "92020004"},
		"heartbeat":                       {"v1", "heartbeat", json1, `{"license":"` + alive + `"}`, 200, "92020000"},
		"heartbeat with a user":           {"v1", "heartbeat", json1, `{"license":"` + alive + `","heartbeatInfo":{"thirdPartyAccount":"a"}}`, 200, "92020000"},
		"heartbeat with no user":          {"v1", "heartbeat", json1, `{"license":"` + alive + `","heartbeatInfo":{}}`, 400, "95000001"},
		"heartbeat of what is gone":       {"v1", "heartbeat", json1, `{"license":"` + gone + `"}`, 200, "92020000"},
		"heartbeats":                      {"v2", "heartbeat", json1, `{"license_list":["` + alive + `","` + gone + `"]}`, 200, "92020000"},
		"heartbeats and one of nobody's":  {"v2", "heartbeat", json1, `{"license_list":["` + alive + `","PL-nobody"]}`, 200, "92020020"},
		"heartbeats and one not active":   {"v2", "heartbeat", json1, `{"license_list":["` + alive + `","` + issued + `"]}`, 200, "92020020"},
	} {
		t.Run(name, func(t *testing.T) {
			status, code, answer := m.send("POST", fmt.Sprintf(licensePath, tc.version, tc.operation), tc.contentType, []byte(tc.body), nil)
			require.Equal(t, tc.status, status, answer)
			require.Equal(t, tc.code, code, answer)
		})
	}
	status, code, _ := m.send("GET", fmt.Sprintf(licensePath, "v1", "activate"), "", nil, nil)
	require.Equal(t, []any{405, "95000002"}, []any{status, code})

	// Nothing of a list that was refused has been activated.
	_, err = us.LicenseHeartbeat(t.Context(), issued)
	require.ErrorIs(t, err, marketplace.ErrLicenseState)
	_, err = m.licenses.HandOver(t.Context(), waiting)
	require.NoError(t, err)
	activated, err := us.ActivateLicenses(t.Context(), []string{issued, waiting}, now.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, activated, 2)
	require.Equal(t, issued, activated[0].License)
	require.Equal(t, "20270520155959", activated[0].Info.ExpireTime, "a year from then on, to the end of the day in Beijing")
	infos, err := us.LicenseHeartbeats(t.Context(), []string{waiting, alive, gone})
	require.NoError(t, err)
	require.Equal(t, []marketplaceapi.LicenseStatus{"ALIVE", "ALIVE", "RELEASED"}, []marketplaceapi.LicenseStatus{infos[0].Status, infos[1].Status, infos[2].Status})
	require.Equal(t, "20260520130000", infos[0].ActivateTime)
	require.Equal(t, "20260620155959", infos[1].ExpireTime)
}

// part is a part of an upload.
type part struct{ disposition, contentType, content string }

func form(t testing.TB, parts ...part) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		out, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {p.disposition}, "Content-Type": {p.contentType}})
		require.NoError(t, err)
		_, _ = io.WriteString(out, p.content)
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.Bytes()
}

// helloSum is the SHA-256 of "hello".
const helloSum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

// TestServer_Upload is the table of what uploads are answered.
func TestServer_Upload(t *testing.T) {
	t.Parallel()
	m := open(t)
	m.instance("metered", "ours-demo", "ours-demo-on-demand", marketplaceapi.ChargingOnDemand, nil)
	ask := func() string {
		f, err := m.licenses.Ask(t.Context(), "CS-metered-000001", "3C-7A")
		require.NoError(t, err)
		return f.EventID
	}
	file := part{`form-data; name="file"; filename="a.lic"`, "application/octet-stream", "hello"}
	about := func(text string) part {
		return part{`form-data; name="isvUpdateFileReq"`, "application/json", text}
	}
	good := about(`{"type":"FILE","file_name":"a.lic","sha256":"` + helloSum + `"}`)
	for name, tc := range map[string]struct {
		parts  []part
		status int
		code   string
	}{
		"a file":                 {[]part{file, good}, 200, "92020000"},
		"the file at the end":    {[]part{good, file}, 200, "92020000"},
		"an empty file":          {[]part{{file.disposition, file.contentType, ""}, about(`{"type":"FILE","file_name":"a","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`)}, 200, "92020000"},
		"a part more":            {[]part{file, good, {`form-data; name="more"`, "text/plain", "x"}}, 200, "92020000"},
		"a text":                 {[]part{about(`{"type":"CHARACTERS","characters":"licence-text"}`)}, 200, "92020000"},
		"another hash":           {[]part{{file.disposition, file.contentType, "hullo"}, good}, 200, "92020002"},
		"the hash in capitals":   {[]part{file, about(`{"type":"FILE","file_name":"a.lic","sha256":"` + strings.ToUpper(helloSum) + `"}`)}, 200, "92020002"},
		"no file":                {[]part{good}, 400, "95000001"},
		"no name":                {[]part{file, about(`{"type":"FILE","sha256":"` + helloSum + `"}`)}, 400, "95000001"},
		"no hash":                {[]part{file, about(`{"type":"FILE","file_name":"a.lic"}`)}, 400, "95000001"},
		"no text":                {[]part{about(`{"type":"CHARACTERS"}`)}, 400, "95000001"},
		"a text of 1025":         {[]part{about(`{"type":"CHARACTERS","characters":"` + strings.Repeat("ä", 1025) + `"}`)}, 400, "95000001"},
		"a text of 1024":         {[]part{about(`{"type":"CHARACTERS","characters":"` + strings.Repeat("ä", 1024) + `"}`)}, 200, "92020000"},
		"another type":           {[]part{about(`{"type":"LINK","characters":"x"}`)}, 400, "95000001"},
		"no type":                {[]part{file, about(`{}`)}, 400, "95000001"},
		"no description":         {[]part{file}, 400, "95000001"},
		"two descriptions":       {[]part{good, good, file}, 400, "95000001"},
		"two files":              {[]part{good, file, file}, 400, "95000001"},
		"description is no JSON": {[]part{file, about(`type=FILE`)}, 400, "95000004"},
		"no parts":               {nil, 400, "95000004"},
	} {
		t.Run(name, func(t *testing.T) {
			contentType, body := form(t, tc.parts...)
			status, code, answer := m.send("POST", eventPath(ask()), contentType, body, unsigned)
			require.Equal(t, tc.status, status, answer)
			require.Equal(t, tc.code, code, answer)
		})
	}
	contentType, body := form(t, file, good)
	for name, tc := range map[string]struct {
		path, contentType string
		body              []byte
		change            func(*http.Request)
		status            int
		code              string
	}{
		"nobody asked":           {eventPath("nobody"), contentType, body, unsigned, 401, "MKT.0150"},
		"a long event":           {eventPath(strings.Repeat("x", 65)), contentType, body, unsigned, 400, "95000001"},
		"as JSON":                {eventPath(ask()), "application/json", body, nil, 400, "95000003"},
		"without a boundary":     {eventPath(ask()), "multipart/form-data", body, unsigned, 400, "95000003"},
		"cut off":                {eventPath(ask()), contentType, body[:len(body)-10], unsigned, 400, "95000004"},
		"with a hash":            {eventPath(ask()), contentType, body, nil, 200, "92020000"},
		"JSON, but not signed":   {eventPath(ask()), "application/json", body, unsigned, 401, "APIGW.0301"},
		"no event, another path": {"/api/mkp-openapi-public/global/v1/market-event//file", contentType, body, unsigned, 404, "APIGW.0101"},
	} {
		t.Run(name, func(t *testing.T) {
			status, code, answer := m.send("POST", tc.path, tc.contentType, tc.body, tc.change)
			require.Equal(t, []any{tc.status, tc.code}, []any{status, code}, answer)
		})
	}

	// The same once more is harmless; anything else comes too late.
	event := ask()
	us := m.client(ours)
	for range 2 {
		require.NoError(t, us.UploadFile(t.Context(), event, marketplace.FileOf("a.lic", []byte("hello"))))
	}
	require.ErrorIs(t, us.UploadFile(t.Context(), event, marketplace.FileOf("a.lic", []byte("other"))), marketplace.ErrLicenseState)
	require.ErrorIs(t, us.UploadCharacters(t.Context(), event, "hello"), marketplace.ErrLicenseState)
	content, err := m.store.LicenseFileContent(t.Context(), event)
	require.NoError(t, err)
	require.Equal(t, "hello", string(content))
	f, err := m.store.LicenseFile(t.Context(), event)
	require.NoError(t, err)
	require.Equal(t, store.LicenseFile{
		EventID: event, LineID: "CS-metered-000001", SellerID: "ours", InstanceID: "metered", Fingerprint: "3C-7A", AskedAt: now, UploadedAt: now,
		Type: "FILE", FileName: "a.lic", SHA256: helloSum, Size: 5,
	}, f)
}

func eventPath(id string) string {
	return "/api/mkp-openapi-public/global/v1/market-event/" + id + "/file"
}

// unsigned has the body left out of the signature, as the vendor's SDK does for everything but JSON.
func unsigned(r *http.Request) { r.Header.Set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD") }

// FuzzBodies: whatever stands in a body, there is an answer of the contract's shape, which open compares.
func FuzzBodies(f *testing.F) {
	paths := []string{
		"/api/mkp-openapi-public/global/v1/isv/usage-data", "/rest/marketplace/v1/isv/usage-data", fmt.Sprintf(licensePath, "v1", "activate"),
		fmt.Sprintf(licensePath, "v2", "activate"), fmt.Sprintf(licensePath, "v1", "heartbeat"), fmt.Sprintf(licensePath, "v2", "heartbeat"), eventPath("event"),
	}
	f.Add(uint8(0), "application/json", []byte(`{"usage_records":[{"instance_id":"metered","record_time":"20260520T100000Z","begin_time":"20260520T090000Z","end_time":"20260520T100000Z","usage_value":"1","metering_sn":"a"}]}`))
	f.Add(uint8(1), "application/json", []byte(`{"usage_records":[{"instance_id":"metered"},null,5]}`))
	f.Add(uint8(2), "application/json", []byte(`{"license":"PL1","real_effect_time":"20260520120000"}`))
	f.Add(uint8(3), "application/json", []byte(`{"license_list":["PL1"]}`))
	f.Add(uint8(5), "application/json", []byte(`{"license_list":[{}]}`))
	contentType, body := form(f, part{`form-data; name="file"; filename="a"`, "application/octet-stream", "hello"},
		part{`form-data; name="isvUpdateFileReq"`, "application/json", `{"type":"FILE","file_name":"a","sha256":"` + helloSum + `"}`})
	f.Add(uint8(6), contentType, body)
	f.Add(uint8(6), "multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"isvUpdateFileReq\"\r\n\r\n{}\r\n--x--"))
	m := open(f)
	m.instance("metered", "ours-demo", "ours-demo-on-demand", marketplaceapi.ChargingOnDemand, nil)
	f.Fuzz(func(t *testing.T, which uint8, contentType string, body []byte) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", m.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Content-Type", contentType)
		if req.Write(io.Discard) != nil || strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Skip("no header")
		}
		m.t = t
		status, code, answer := m.send("POST", paths[int(which)%len(paths)], contentType, body, nil)
		require.NotEmpty(t, code, answer)
		require.NotEqual(t, "MKT.0999", code, "the server failed")
		require.NotEqual(t, license.CodeInternal, code, "the server failed")
		require.Contains(t, []int{200, 400, 401, 500}, status)
	})
}
