package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// as calls the control API with a token, and gives the answer as it came.
func (m *market) as(token, method, path string, body any) (*http.Response, string) {
	m.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(m.t, err)
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.control.URL+path, bytes.NewReader(text))
	require.NoError(m.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.Contains(path, "/stream") { // it never ends
		client := &http.Client{Timeout: 300 * time.Millisecond}
		resp, err := client.Do(req)
		require.NoError(m.t, err)
		answer, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return resp, string(answer)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(m.t, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	require.NoError(m.t, resp.Body.Close())
	return resp, string(answer)
}

// token makes a token.
func (m *market) token(role sandboxapi.TokenRole, seller string) string {
	m.t.Helper()
	var made sandboxapi.Token
	status, detail := m.call("POST", "/v1/tokens", sandboxapi.TokenRequest{Role: role, SellerID: seller}, &made)
	require.Equal(m.t, http.StatusCreated, status, detail)
	return made.Token
}

// first is everything that the first seller has, for the second to try and reach.
type first struct {
	order, acceptOrder, line, metered, kitLine, pkg string
	license, event, tenant                          string
	call, attempt                                   int64
}

// everything makes one of each thing for the seller demo, who is the first.
func everything(t *testing.T, change ...func(*sandbox.Config)) (*kitMarket, first) {
	t.Helper()
	k := startKit(t, change...)
	own := k.token(sandboxapi.TokenRoleSeller, "demo")
	var f first
	f.line, f.metered, f.pkg = k.buy("demo-period"), k.buy("demo-on-demand"), k.buy("demo-package")
	for _, line := range []string{f.line, f.metered, f.pkg} {
		f.order = k.is(line, sandboxapi.InstanceReady).OrderID
	}
	k.credential(sandboxapi.KitApplicationInput{})
	f.kitLine = k.buyKit()
	resp, body := k.as(own, "POST", "/v1/kit/tenants", sandboxapi.KitTenantInput{TenantCode: "firstcorp", Name: "Firstcorp Limited", Departments: []sandboxapi.KitDepartment{
		{OrgCode: "sales", OrgName: "Sales of Firstcorp"}, {OrgCode: "spare", OrgName: "Spare of Firstcorp"},
	}})
	require.Equal(t, http.StatusCreated, resp.StatusCode, body)
	var tenant sandboxapi.KitTenant
	require.NoError(t, json.Unmarshal([]byte(body), &tenant))
	f.tenant = tenant.TenantID
	k.user("firstcorp", "firstann", sandboxapi.KitUserInput{})
	k.ok(201, "POST", "/v1/kit/tenants/firstcorp/bindings", sandboxapi.KitBindingInput{OrderLineID: f.kitLine}, nil)
	k.ok(201, "POST", "/v1/kit/tenants/firstcorp/authorisations", sandboxapi.KitAuthorisation{OrderLineID: f.kitLine, Users: []string{"firstann"}}, nil)
	f.license = k.buyLicense("1y").License
	var file sandboxapi.LicenseFile
	k.ok(201, "POST", "/v1/instances/"+f.line+"/license-file", sandboxapi.LicenseFileRequest{DeviceFingerprint: "first-device"}, &file)
	f.event = file.EventID
	require.NoError(t, k.sdk().UploadCharacters(t.Context(), f.event, "first-licence-text"))
	var placed sandboxapi.OrderPlaced
	k.ok(201, "POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-accept-one-time"}, &placed)
	f.acceptOrder = placed.Order.OrderID
	k.putFault("first-fault", sandboxapi.FaultRule{Kind: sandboxapi.FaultDelay, ProductCode: "demo-v1"})
	k.ok(200, "POST", "/v1/products/demo/cases/defaults", struct{}{}, nil)
	k.advance("3h")
	at := k.Now().Add(-2 * time.Hour)
	result, err := k.sdk().PushUsage(t.Context(), []marketplaceapi.UsageRecord{{
		MeteringSN: "first-sn", InstanceID: "i-" + f.metered, UsageValue: "7", RecordTime: marketplace.FormatTime(k.Now()),
		BeginTime: marketplace.FormatTime(at), EndTime: marketplace.FormatTime(at.Add(time.Hour)),
	}})
	require.NoError(t, err)
	require.Empty(t, result.Rejected)
	attempt := k.attempts(f.line)[0]
	f.attempt, f.call = attempt.AttemptID, attempt.CallID
	return k, f
}

// deed is one way to use an operation on what belongs to the first seller.
type deed struct {
	path map[string]string // for the parameters in the path
	body any
}

// deeds says how to aim each operation at the first seller. An operation with parameters in its path or with a body has to be here.
func deeds(f first) map[string]deed {
	line, product, license := map[string]string{"orderLineId": f.line}, map[string]string{"productCode": "demo-kit"}, map[string]string{"license": f.license}
	tenant := map[string]string{"tenantId": f.tenant}
	with := func(m map[string]string, more ...string) map[string]string {
		m = maps.Clone(m)
		m[more[0]] = more[1]
		return m
	}
	empty := struct{}{}
	sku := sandboxapi.SKU{SKUCode: "demo-notify-one-time", ChargingMode: "ONE_TIME", Items: []sandboxapi.BillingItem{{ProductID: "P1", Price: "1"}}}
	return map[string]deed{
		"setProvider":          {nil, sandboxapi.ProviderSettings{ProductionAddress: "http://127.0.0.1:1/elsewhere"}},
		"advanceClock":         {nil, sandboxapi.ClockAdvance{Duration: "1s"}},
		"placeOrder":           {nil, sandboxapi.Purchase{SKUCode: "demo-period"}},
		"getInstance":          {line, nil},
		"renewInstance":        {line, sandboxapi.Renewal{}},
		"upgradeInstance":      {line, sandboxapi.Upgrade{SKUCode: "demo-period-pro"}},
		"freezeInstance":       {line, empty},
		"unfreezeInstance":     {line, empty},
		"releaseInstance":      {map[string]string{"orderLineId": f.metered}, empty},
		"restartCall":          {map[string]string{"callId": fmt.Sprint(f.call)}, empty},
		"putSeller":            {map[string]string{"sellerId": "demo"}, sandboxapi.SellerSettings{Name: "Demo ISV"}},
		"getMarket":            {map[string]string{"sellerId": "demo"}, nil},
		"putMarket":            {map[string]string{"sellerId": "demo"}, sandboxapi.Registration{Market: "koogallery"}},
		"moveMoney":            {map[string]string{"sellerId": "demo"}, sandboxapi.MoneyMove{Kind: sandboxapi.MoveDeposit, Amount: "10.00"}},
		"getStatement":         {map[string]string{"sellerId": "demo", "month": "2024-01"}, nil},
		"getProduct":           {product, nil},
		"putProduct":           {map[string]string{"productCode": "demo-notify"}, sandboxapi.Product{ProductCode: "demo-notify", SellerID: "demo", SKUs: []sandboxapi.SKU{sku}}},
		"putBuyer":             {map[string]string{"buyerId": "demo-buyer"}, sandboxapi.BuyerInfo{}},
		"getOrder":             {map[string]string{"orderId": f.order}, nil},
		"acceptOrder":          {map[string]string{"orderId": f.acceptOrder}, empty},
		"openDetailsOfSeveral": {nil, sandboxapi.DetailsRequest{OrderLineIDs: []string{f.line, f.metered}}},
		"openDetails":          {line, empty},
		"checkChange":          {line, sandboxapi.Renewal{SKUCode: "demo-period-pro"}},
		"convertTrial":         {line, sandboxapi.Conversion{}},
		"cancelRenewal":        {line, empty},
		"createKitTenant":      {nil, sandboxapi.KitTenantInput{TenantCode: "firstcorp", Name: "taken already"}},

		"getKitTenant":          {tenant, nil},
		"renameKitTenant":       {tenant, sandboxapi.KitTenantName{Name: "Renamed"}},
		"deleteKitTenant":       {tenant, nil},
		"listKitCalls":          {tenant, nil},
		"replaceKitDepartments": {tenant, sandboxapi.KitDepartmentList{Departments: []sandboxapi.KitDepartment{{OrgCode: "sales", OrgName: "Sales"}, {OrgCode: "spare", OrgName: "Spare"}}}},
		"putKitDepartment":      {with(tenant, "orgCode", "more"), sandboxapi.KitDepartmentInput{OrgName: "More"}},
		"deleteKitDepartment":   {with(tenant, "orgCode", "spare"), nil},
		"listKitUsers":          {tenant, nil},
		"getKitUser":            {with(tenant, "userName", "firstann"), nil},
		"putKitUser":            {with(tenant, "userName", "firstann"), sandboxapi.KitUserInput{Name: "Ann", OrgCode: "sales"}},
		"deleteKitUser":         {with(tenant, "userName", "firstann"), nil},
		"resetKitPassword":      {with(tenant, "userName", "firstann"), empty},
		"bindKitInstance":       {tenant, sandboxapi.KitBindingInput{OrderLineID: f.kitLine}},
		"unbindKitInstance":     {with(tenant, "orderLineId", f.kitLine), nil},
		"authoriseKitUsers":     {tenant, sandboxapi.KitAuthorisation{OrderLineID: f.kitLine, Users: []string{"firstann"}}},
		"cancelKitUsers":        {tenant, sandboxapi.KitAuthorisation{OrderLineID: f.kitLine, Users: []string{"firstann"}}},
		"setKitPublicKey":       {product, sandboxapi.KitPublicKey{KitPublicKey: kitRSA().PublicKeyText()}},
		"getKitApplication":     {product, nil},
		"createKitApplication":  {product, sandboxapi.KitApplicationInput{CallbackURL: "https://isv.example.com/callback"}},
		"changeKitApplication":  {product, sandboxapi.KitApplicationInput{CallbackURL: "https://isv.example.com/callback"}},
		"deleteKitApplication":  {product, nil},
		"renewKitSecrets":       {product, empty},
		"createKitTestAccount":  {product, empty},

		"getLicense":           {license, nil},
		"handOverLicense":      {license, empty},
		"renewLicense":         {license, sandboxapi.Renewal{}},
		"cancelLicenseRenewal": {license, empty},
		"freezeLicense":        {license, empty},
		"unfreezeLicense":      {license, empty},
		"unsubscribeLicense":   {license, empty},
		"askLicenseFile":       {line, sandboxapi.LicenseFileRequest{}},
		"getLicenseFile":       {map[string]string{"eventId": f.event}, nil},
		"downloadLicenseFile":  {map[string]string{"eventId": f.event}, nil},

		"putFault":         {map[string]string{"faultId": "first-fault"}, sandboxapi.FaultRule{Kind: sandboxapi.FaultDuplicate, ProductCode: "demo"}},
		"deleteFault":      {map[string]string{"faultId": "first-fault"}, nil},
		"listCases":        {product, nil},
		"saveCase":         {map[string]string{"productCode": "demo"}, sandboxapi.CaseRequest{Activity: "refreshInstance", Scene: "RENEWAL"}},
		"saveNeededCases":  {map[string]string{"productCode": "demo"}, empty},
		"probeProduct":     {map[string]string{"productCode": "demo"}, empty},
		"setProductStatus": {map[string]string{"productCode": "demo"}, sandboxapi.ProductStatusChange{Status: sandboxapi.ProductOnSale, WithoutCases: true}},
		"getAttempt":       {map[string]string{"attemptId": fmt.Sprint(f.attempt)}, nil},
		"redeliver":        {nil, sandboxapi.Redelivery{FromCallID: 1, ToCallID: f.call}},
		"examine":          {nil, sandboxapi.Examination{}},
		"restoreSnapshot":  {nil, empty},
		"trimJournal":      {nil, sandboxapi.JournalTrim{}},
		"createToken":      {nil, sandboxapi.TokenRequest{Role: sandboxapi.TokenRoleSeller, SellerID: "demo"}},
		"revokeTokenKey":   {map[string]string{"keyId": "none"}, nil},
	}
}

// filters are the first seller's things for parameters in a query.
func (f first) filters() map[string]string {
	return map[string]string{
		"sellerId": "demo", "productCode": "demo", "buyerId": "demo-buyer", "orderLineId": f.line, "orderId": f.order, "callId": fmt.Sprint(f.call),
		"subject": f.line, "instance": "i-" + f.metered,
	}
}

type operation struct {
	id, method, path string
	*openapi3.Operation
	parameters openapi3.Parameters
}

// operations are those of the control API, by id.
func operations(t *testing.T) []operation {
	t.Helper()
	text, err := openapi.FS.ReadFile("sandbox.yaml")
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	var all []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, operation{op.OperationID, method, path, op, append(slices.Clone(item.Parameters), op.Parameters...)})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}

// aim makes the request that uses an operation on what is the first seller's. An operation that nobody has thought of fails.
func (o operation) aim(t *testing.T, all map[string]deed) (path string, body any) {
	t.Helper()
	d, known := all[o.id]
	if !known && (o.RequestBody != nil || strings.Contains(o.path, "{")) {
		t.Fatalf("operation %s: say in deeds how to aim it at another seller", o.id)
	}
	path = o.path
	for name, value := range d.path {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	require.NotContains(t, path, "{", o.id)
	return path, d.body
}

// Everything is tried with the token of another seller: what is the operator's is forbidden, what is the first seller's does not exist, and
// nothing of it is in any answer. Then the first seller tries the same, so that it is known that there was something to be had.
func TestAccess_NobodyReachesAnother(t *testing.T) {
	t.Parallel()
	k, f := everything(t)
	k.ok(200, "PUT", "/v1/sellers/second", sandboxapi.SellerSettings{Name: "Second"}, nil)
	own, other := k.token(sandboxapi.TokenRoleSeller, "demo"), k.token(sandboxapi.TokenRoleSeller, "second")
	// Words that tell something about the first seller.
	telling := []string{
		f.order, f.acceptOrder, f.line, f.metered, f.kitLine, f.pkg, f.license, f.event, f.tenant, "firstcorp", "Firstcorp", "firstann", "first-device", "first-licence-text",
		"first-fault", "first-sn", "demo-kit", "demo-v1", "demo-notify", "demo-license", "demo-period", "Demo ISV", "KAPP-", k.isv.URL, "Demo Buyer", "13800000000",
		testKeys.BaseKey, testKeys.SK, testKeys.AK, testKitKey,
	}
	silent := func(o operation, path, body string) {
		t.Helper()
		for _, word := range telling {
			if strings.Contains(body, word) {
				t.Errorf("%s %s: the answer to another seller says %q: %s", o.id, path, word, body)
			}
		}
	}
	// What has no id to aim with, and gives another seller what is its own, which is nothing.
	ownToo := []string{
		"getStatus", "listSellers", "listProducts", "listOrders", "listInstances", "listCalls", "listAttempts", "listEvents", "streamEvents", "listUsageRecords", "listBills",
		"listPackages", "listLicenses", "listLicenseFiles", "listFaults", "listKitTenants", "listMarkets", "setProvider", "examine",
	}
	all := operations(t)
	require.Greater(t, len(all), 80)
	aims := deeds(f)
	before := k.snapshot()
	for _, o := range all {
		path, body := o.aim(t, aims)
		resp, answer := k.as(other, o.method, path, body)
		if o.id != "createKitTenant" { // its error repeats the short name that was asked for
			silent(o, path, answer)
		}
		switch {
		case o.Extensions["x-role"] == "operator":
			require.Equal(t, http.StatusForbidden, resp.StatusCode, "%s is the operator's: %s", o.id, answer)
		case o.id == "createKitTenant":
			require.Equal(t, http.StatusBadRequest, resp.StatusCode, "short names are unique on the whole marketplace: %s", answer)
		case slices.Contains(ownToo, o.id):
			require.Less(t, resp.StatusCode, 300, "%s: %s", o.id, answer)
		default:
			require.Equal(t, http.StatusNotFound, resp.StatusCode, "%s %s: %s", o.id, path, answer)
			absent, text := o.aim(t, deeds(first{order: "none", acceptOrder: "none", line: "none", metered: "none", kitLine: "none", license: "none", event: "none", tenant: "none", call: 99999999, attempt: 99999999}))
			if absent != path {
				gone, there := k.as(other, o.method, absent, text)
				require.Equal(t, http.StatusNotFound, gone.StatusCode)
				require.Equal(t, there, answer, "%s: what is another's is answered like what does not exist", o.id)
			}
		}
		// Filters that name what is the first seller's.
		for _, p := range o.parameters {
			value, named := f.filters()[p.Value.Name]
			if p.Value.In != "query" || !named || o.Extensions["x-role"] == "operator" {
				continue
			}
			filtered := path + "?" + url.Values{p.Value.Name: {value}}.Encode()
			resp, answer := k.as(other, o.method, filtered, body)
			silent(o, filtered, answer)
			if p.Value.Name != "buyerId" { // every seller has this one
				require.Equal(t, http.StatusNotFound, resp.StatusCode, "%s: %s", filtered, answer)
			}
		}
	}
	// Nothing of the first seller's has changed.
	require.Equal(t, before, k.snapshot())

	// The first seller has all of it. Deletions come last.
	slices.SortStableFunc(all, func(a, b operation) int {
		rank := func(o operation) int {
			switch {
			case o.method == "GET":
				return 0
			case strings.HasPrefix(o.id, "delete"), strings.HasPrefix(o.id, "unbind"), strings.HasPrefix(o.id, "cancelKit"):
				return 2
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	for _, o := range all {
		path, body := o.aim(t, aims)
		resp, answer := k.as(own, o.method, path, body)
		switch {
		case o.Extensions["x-role"] == "operator":
			require.Equal(t, http.StatusForbidden, resp.StatusCode, "%s: %s", o.id, answer)
		case o.method == "GET":
			require.Equal(t, http.StatusOK, resp.StatusCode, "%s %s: %s", o.id, path, answer)
		case strings.HasPrefix(o.id, "delete"): // one may need another to go first
			require.NotEqual(t, http.StatusForbidden, resp.StatusCode)
		default:
			require.NotContains(t, []int{401, 403, 404, 429, 500}, resp.StatusCode, "%s %s: %s", o.id, path, answer)
		}
		for _, p := range o.parameters {
			if value, named := f.filters()[p.Value.Name]; named && p.Value.In == "query" && o.Extensions["x-role"] != "operator" {
				resp, answer := k.as(own, o.method, path+"?"+url.Values{p.Value.Name: {value}}.Encode(), body)
				require.Equal(t, http.StatusOK, resp.StatusCode, "%s %s=%s: %s", o.id, p.Value.Name, value, answer)
			}
		}
	}
}

// snapshot gives what the operator sees of the first seller.
func (k *kitMarket) snapshot() (all []string) {
	k.t.Helper()
	k.ok(200, "POST", "/v1/clock/settle", struct{}{}, nil)
	for _, path := range []string{
		"/v1/orders?sellerId=demo", "/v1/instances?sellerId=demo", "/v1/products?sellerId=demo", "/v1/calls", "/v1/licenses", "/v1/license-files", "/v1/kit/tenants",
		"/v1/kit/tenants/firstcorp/users", "/v1/faults", "/v1/products/demo/cases", "/v1/bills", "/v1/provider-is",
	} {
		_, body := k.as(testKeys.ControlToken, "GET", path, nil)
		all = append(all, body)
	}
	return all
}

// What another seller makes is its own, and the operator sees both.
func TestAccess_ASellerWorksOnItsOwn(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	var made sandboxapi.Seller
	m.ok("PUT", "/v1/sellers/second", sandboxapi.SellerSettings{Name: "Second"}, &made)
	other := m.token(sandboxapi.TokenRoleSeller, "second")
	get := func(path string) string {
		t.Helper()
		resp, body := m.as(other, "GET", path, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		return body
	}
	do := func(want int, method, path string, body any) string {
		t.Helper()
		resp, answer := m.as(other, method, path, body)
		require.Equal(t, want, resp.StatusCode, answer)
		return answer
	}
	do(200, "PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: "http://127.0.0.1:1/second"})
	require.Contains(t, get("/v1/status"), "http://127.0.0.1:1/second")
	require.Equal(t, isv.URL, m.ProductionAddress(), "the first seller's address stays")
	sku := sandboxapi.SKU{SKUCode: "second-sku", ChargingMode: "ONE_TIME", Items: []sandboxapi.BillingItem{{ProductID: "P-second", Price: "1"}}}
	product := sandboxapi.Product{ProductCode: "second-product", SellerID: "second", SKUs: []sandboxapi.SKU{sku}}
	do(200, "PUT", "/v1/products/second-product", product)
	do(200, "PUT", "/v1/products/second-product", product)
	product.SKUs[0].SKUCode = "demo-period"
	require.NotContains(t, do(400, "PUT", "/v1/products/second-product", product), `product demo`)
	product.SellerID, product.SKUs[0].SKUCode = "demo", "third-sku"
	do(404, "PUT", "/v1/products/third-product", product)
	do(403, "PUT", "/v1/faults/all", sandboxapi.FaultRule{Kind: sandboxapi.FaultDuplicate})
	do(403, "PUT", "/v1/faults/open-api", sandboxapi.FaultRule{Kind: sandboxapi.FaultServerError})
	do(200, "PUT", "/v1/faults/mine", sandboxapi.FaultRule{Kind: sandboxapi.FaultDuplicate, ProductCode: "second-product"})
	require.Contains(t, get("/v1/faults"), "mine")
	do(204, "DELETE", "/v1/faults/mine", nil)

	m.ok("PUT", "/v1/buyers/hidden", sandboxapi.BuyerInfo{CustomerName: "hidden"}, nil)
	do(404, "POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "second-sku", BuyerID: "hidden"})
	do(404, "POST", "/v1/orders", sandboxapi.Purchase{Lines: []sandboxapi.PurchaseLine{{SKUCode: "second-sku"}, {SKUCode: "demo-period"}}})
	var placed sandboxapi.OrderPlaced
	require.NoError(t, json.Unmarshal([]byte(do(201, "POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "second-sku"})), &placed))
	mine := m.buy("demo-period")
	for _, path := range []string{"/v1/orders", "/v1/instances", "/v1/calls", "/v1/events"} {
		list := get(path)
		require.Contains(t, list, placed.Order.OrderLineID, path)
		require.NotContains(t, list, mine, path)
	}
	do(404, "POST", "/v1/instances/details", sandboxapi.DetailsRequest{OrderLineIDs: []string{placed.Order.OrderLineID, mine}})
	require.Contains(t, get("/v1/status"), `"orders":1,`)
	_, both := m.as(testKeys.ControlToken, "GET", "/v1/orders", nil)
	require.Contains(t, both, placed.Order.OrderLineID)
	require.Contains(t, both, mine)

	// Keys are shown once.
	var again sandboxapi.Seller
	require.NoError(t, json.Unmarshal([]byte(do(200, "PUT", "/v1/sellers/second", sandboxapi.SellerSettings{NewKeys: true})), &again))
	require.NotEmpty(t, again.Keys.SK)
	require.NotEqual(t, made.Keys, again.Keys)
	require.NotContains(t, do(200, "PUT", "/v1/sellers/second", sandboxapi.SellerSettings{}), again.Keys.AK)
	require.NotContains(t, get("/v1/sellers"), again.Keys.AK)
}

func TestAccess_TokensAndTheirKeys(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	m := start(t, "", func(c *sandbox.Config) {
		c.Now = func() time.Time { return time.Unix(0, now.Load()) }
		c.Tokens, c.SellerTokenTTL = true, 2*time.Hour
	})
	resp, body := m.as(testKeys.ControlToken, "GET", "/v1/status", nil)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "the control token is not taken")
	require.Contains(t, body, "control token is not taken")
	require.NotContains(t, body, testKeys.ControlToken)
	resp, _ = m.as("", "GET", "/v1/status", nil)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)

	operator, err := m.OperatorToken(t.Context(), "")
	require.NoError(t, err)
	again, err := m.OperatorToken(t.Context(), operator)
	require.NoError(t, err)
	require.Equal(t, operator, again)
	make := func(want int, request sandboxapi.TokenRequest) (made sandboxapi.Token) {
		t.Helper()
		resp, body := m.as(operator, "POST", "/v1/tokens", request)
		require.Equal(t, want, resp.StatusCode, body)
		require.NoError(t, json.Unmarshal([]byte(body), &made))
		return made
	}
	seller := make(201, sandboxapi.TokenRequest{Role: "seller", SellerID: "demo"})
	require.WithinDuration(t, time.Unix(0, now.Load()).Add(2*time.Hour), seller.ExpireTime, time.Second)
	make(400, sandboxapi.TokenRequest{Role: "seller", SellerID: "nobody"})
	make(400, sandboxapi.TokenRequest{Role: "seller"})
	make(400, sandboxapi.TokenRequest{Role: "root"})
	make(400, sandboxapi.TokenRequest{Role: "operator", TTL: "1000d"})
	make(400, sandboxapi.TokenRequest{Role: "operator", TTL: "soon"})
	status := func(token string) int {
		resp, body := m.as(token, "GET", "/v1/status", nil)
		require.NotContains(t, body, token)
		return resp.StatusCode
	}
	require.Equal(t, 200, status(seller.Token))

	// Rotation: the old token goes on, until its key is revoked.
	var keys sandboxapi.TokenKeyList
	rotated, body := m.as(operator, "POST", "/v1/token-keys", struct{}{})
	require.Equal(t, http.StatusCreated, rotated.StatusCode, body)
	require.NoError(t, json.Unmarshal([]byte(body), &keys))
	require.Len(t, keys.TokenKeys, 2)
	require.True(t, keys.TokenKeys[0].Signs)
	require.Equal(t, seller.KeyID, keys.TokenKeys[1].KeyID)
	require.Equal(t, 200, status(seller.Token))
	young := make(201, sandboxapi.TokenRequest{Role: "seller", SellerID: "demo", TTL: "10d"})
	require.Equal(t, keys.TokenKeys[0].KeyID, young.KeyID)
	renewed, err := m.OperatorToken(t.Context(), operator)
	require.NoError(t, err)
	require.NotEqual(t, operator, renewed, "the key that signed it is on its way out")
	for path, want := range map[string]int{"none": 404, young.KeyID: 409, seller.KeyID: 200} {
		resp, body := m.as(renewed, "DELETE", "/v1/token-keys/"+path, nil)
		require.Equal(t, want, resp.StatusCode, body)
	}
	require.Equal(t, 401, status(seller.Token))
	require.Equal(t, 401, status(operator))
	require.Equal(t, 200, status(young.Token))
	require.Equal(t, 200, status(renewed))

	// Revoked keys do not come back with a snapshot, nor with a reset; and what was done stays known.
	resp, body = m.as(renewed, "POST", "/v1/reset", struct{}{})
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, 401, status(seller.Token))
	require.Equal(t, 200, status(young.Token))

	now.Add(int64(6 * 24 * time.Hour))
	later, err := m.OperatorToken(t.Context(), renewed)
	require.NoError(t, err)
	require.NotEqual(t, renewed, later, "more than half of its life is over")
	now.Add(int64(5 * 24 * time.Hour))
	require.Equal(t, 401, status(young.Token), "it has expired")
	_, body = m.as(later, "GET", "/v1/audit?limit=1000", nil)
	for _, want := range []string{"reset", "revokeTokenKey", "rotateTokenKey", "createToken"} {
		require.Contains(t, body, `"operation":"`+want+`"`)
	}
}

func TestAccess_Audit(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	m.ok("PUT", "/v1/sellers/second", sandboxapi.SellerSettings{Name: "a name that is no id"}, nil)
	var token sandboxapi.Token
	m.ok("POST", "/v1/tokens", sandboxapi.TokenRequest{Role: "seller", SellerID: "second"}, &token)
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	m.as(token.Token, "POST", "/v1/instances/"+line+"/freeze", struct{}{})
	m.as(token.Token, "POST", "/v1/reset", struct{}{})
	m.as(testKeys.ControlToken, "DELETE", "/v1/faults/"+url.PathEscape("what is this?"), nil)
	m.as(testKeys.ControlToken, "POST", "/v1/instances/"+line+"/convert", struct{}{})
	var list sandboxapi.AuditList
	m.ok("GET", "/v1/audit", nil, &list)
	type entry struct {
		role, seller, operation, ids string
		status                       int
		outcome                      string
	}
	var got []entry
	for _, e := range slices.Backward(list.Audit) {
		require.WithinDuration(t, time.Now(), e.Time, time.Minute, "real time")
		if e.Role == "seller" {
			require.Equal(t, token.TokenID, e.TokenID)
		} else {
			require.Empty(t, e.TokenID)
		}
		got = append(got, entry{string(e.Role), e.SellerID, e.Operation, fmt.Sprint(e.IDs), e.Status, e.Outcome})
	}
	require.Equal(t, []entry{
		{"operator", "", "putSeller", "map[sellerId:second]", 200, "done"},
		{"operator", "", "createToken", "map[role:seller sellerId:second]", 200, "done"},
		{"operator", "", "placeOrder", "map[skuCode:demo-period]", 200, "done"},
		{"seller", "second", "freezeInstance", "map[orderLineId:" + line + "]", 404, "not-found"},
		{"seller", "second", "reset", "map[]", 403, "forbidden"},
		{"operator", "", "deleteFault", "map[faultId:(no id)]", 404, "not-found"},
		{"operator", "", "convertTrial", "map[orderLineId:" + line + "]", 409, "illegal-move"},
	}, got, "nothing that only reads")
	var some sandboxapi.AuditList
	m.ok("GET", fmt.Sprintf("/v1/audit?sellerId=second&operation=reset&before=%d", list.Audit[0].AuditID), nil, &some)
	require.Len(t, some.Audit, 1)
}

func TestAccess_Limits(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	isv := newISV(t)
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"busy"}` })
	m := start(t, isv.URL, func(c *sandbox.Config) {
		c.Now = func() time.Time { return time.Unix(0, now.Load()) }
		c.Limits = sandbox.Limits{ControlRate: 3, OpenAPIRate: 1, Pending: 2, Journal: 4}
	})
	own := m.token(sandboxapi.TokenRoleSeller, "demo")
	ask := func(method, path string, body any) (int, string, string) {
		resp, answer := m.as(own, method, path, body)
		return resp.StatusCode, answer, resp.Header.Get("Retry-After")
	}
	for range 6 {
		status, body, _ := ask("GET", "/v1/orders", nil)
		require.Equal(t, 200, status, body)
	}
	status, body, after := ask("GET", "/v1/orders", nil)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "1", after)
	require.Contains(t, body, `"type":"isvkit:too-many-requests"`)
	require.Contains(t, body, "3 times in a second")
	for range 20 {
		m.ok("GET", "/v1/orders", nil, nil) // the operator has no limit
	}
	wait := func(d time.Duration) { now.Add(int64(d)) }

	// Deliveries.
	for range 2 {
		wait(2 * time.Second)
		status, body, _ = ask("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"})
		require.Equal(t, 201, status, body)
	}
	wait(2 * time.Second)
	status, body, after = ask("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"})
	require.Equal(t, http.StatusTooManyRequests, status, body)
	require.Equal(t, "10", after)
	require.Contains(t, body, "2 deliveries")
	status, body, _ = ask("GET", "/v1/orders", nil)
	require.Equal(t, 200, status, body)

	// The journal: two attempts each, and the calls have failed for good.
	m.advance("2d")
	wait(2 * time.Second)
	status, body, after = ask("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"})
	require.Equal(t, http.StatusTooManyRequests, status, body)
	require.Equal(t, "3600", after)
	require.Contains(t, body, "attempts in the journal")
	m.buy("demo-period") // the operator may

	// The open API: every answer is compared with the contract, see start.
	query := func() (int, map[string]any, http.Header) {
		resp, err := http.DefaultClient.Do(m.request("GET", orderPath+"?orderId=none", "", nil))
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		var answer map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		return resp.StatusCode, answer, resp.Header
	}
	for range 2 {
		status, answer, _ := query()
		require.NotEqual(t, http.StatusNotAcceptable, status, answer)
	}
	status, answer, header := query()
	require.Equal(t, http.StatusNotAcceptable, status)
	require.Equal(t, "MKT.0250", answer["resultCode"])
	require.Equal(t, "1", header.Get("Retry-After"))
	resp, err := http.DefaultClient.Do(m.request("POST", "/api/mkp-openapi-public/global/v1/license/heartbeat", "{}", nil))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	wait(2 * time.Second)
	status, answer, _ = query()
	require.NotEqual(t, http.StatusNotAcceptable, status, answer)
}
