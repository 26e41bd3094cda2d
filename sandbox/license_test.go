package sandbox_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// license reads a licence once no call about it is under way.
func (m *market) license(code string) (l sandboxapi.License) {
	m.t.Helper()
	m.advance("1s") // until everything that is due was attempted
	status, detail := m.call("GET", "/v1/licenses/"+code, nil, &l)
	require.Equal(m.t, http.StatusOK, status, detail)
	return l
}

func (m *market) buyLicense(period string) sandboxapi.License {
	m.t.Helper()
	var placed sandboxapi.OrderPlaced
	status, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-license-period", Period: period, Quantity: 3}, &placed)
	require.Equal(m.t, http.StatusCreated, status, detail)
	require.Len(m.t, placed.Licenses, 1)
	require.Empty(m.t, placed.Instances)
	require.Equal(m.t, sandboxapi.OrderCompleted, placed.Order.Status, "the code is there")
	return placed.Licenses[0]
}

func (m *market) licenseOrder(code, move string, body any) (o sandboxapi.LicenseOrder) {
	m.t.Helper()
	status, detail := m.call("POST", "/v1/licenses/"+code+"/"+move, body, &o)
	require.Equal(m.t, http.StatusCreated, status, detail)
	return o
}

func TestSandbox_LifeOfALicence(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	l := m.buyLicense("1y")
	require.Equal(t, sandboxapi.LicenseIssued, l.Status)
	require.Regexp(t, `^PL[A-Z2-9]{24}$`, l.License)
	require.Equal(t, 3, l.Quantity)
	path := "/v1/licenses/" + l.License
	status, detail := m.call("POST", path+"/renew", sandboxapi.Renewal{}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "when it is activated")

	activated, err := m.sdk().ActivateLicense(t.Context(), l.License, time.Time{})
	require.NoError(t, err)
	l = m.license(l.License)
	require.Equal(t, sandboxapi.LicenseAlive, l.Status)
	require.Equal(t, marketplaceapi.LicenseCodeInfo{
		Status: "ALIVE", ExpireTime: l.ExpireTime.Format("20060102150405"), ProductID: l.ProductID, OrderID: l.OrderID, Amount: 3,
	}, activated.Info)
	order, err := m.sdk().QueryOrder(t.Context(), l.OrderID, l.OrderLineID)
	require.NoError(t, err)
	require.Equal(t, l.ProductID, order.OrderLine[0].ProductInfo[0].ProductID)

	// A renewal by the month names the product of that; taking it back gives the old one and the old expiry again.
	renewed := m.licenseOrder(l.License, "renew", sandboxapi.Renewal{Period: "1m"})
	require.Equal(t, "RENEW", renewed.OrderType)
	require.Equal(t, sandboxapi.OrderCompleted, m.afterwards(renewed.OrderID).Status)
	call := isv.got("refreshLicenseCode")[0]
	require.Equal(t, "RENEWAL", call["scene"])
	require.Equal(t, renewed.OrderID, call["orderId"])
	require.Equal(t, l.License, call["license"])
	require.Equal(t, renewed.License.ProductID, call["productId"])
	require.NotEqual(t, l.ProductID, renewed.License.ProductID)
	require.Equal(t, renewed.License.ExpireTime.Format("20060102150405"), call["expireTime"])
	order, err = m.sdk().QueryOrder(t.Context(), renewed.OrderID, "")
	require.NoError(t, err)
	require.Equal(t, marketplaceapi.OrderRenew, order.OrderType)
	require.Equal(t, call["expireTime"], order.OrderLine[0].ExpireTime)
	require.Equal(t, "30", order.OrderLine[0].CurrencyAfterDiscount)

	cancelled := m.licenseOrder(l.License, "cancel-renewal", struct{}{})
	require.Equal(t, "UNSUBSCRIBE", cancelled.OrderType)
	require.Equal(t, l.ExpireTime, cancelled.License.ExpireTime)
	require.Equal(t, l.ProductID, cancelled.License.ProductID)
	require.Equal(t, sandboxapi.OrderCompleted, m.afterwards(cancelled.OrderID).Status)
	require.Equal(t, "UNSUBSCRIBE_RENEWAL_PERIOD", isv.got("refreshLicenseCode")[1]["scene"])
	order, err = m.sdk().QueryOrder(t.Context(), cancelled.OrderID, "")
	require.NoError(t, err)
	require.Equal(t, "-30", order.OrderLine[0].CurrencyAfterDiscount)

	status, detail = m.call("POST", path+"/freeze", struct{}{}, nil)
	require.Equal(t, http.StatusAccepted, status, detail)
	info, err := m.sdk().LicenseHeartbeat(t.Context(), l.License)
	require.NoError(t, err)
	require.Equal(t, marketplaceapi.LicenseExpired, info.Status, "it may not be used")
	status, detail = m.call("POST", path+"/unfreeze", struct{}{}, nil)
	require.Equal(t, http.StatusAccepted, status, detail)

	m.advance("367d")
	require.Equal(t, sandboxapi.LicenseExpired, m.license(l.License).Status)
	m.licenseOrder(l.License, "renew", sandboxapi.Renewal{})
	require.Equal(t, sandboxapi.LicenseAlive, m.license(l.License).Status)
	m.advance("380d")
	expired := m.license(l.License)
	require.Equal(t, expired.ExpireTime.Add(15*24*time.Hour), expired.ReleaseTime)
	m.advance("15d")
	require.Equal(t, sandboxapi.LicenseReleased, m.license(l.License).Status)
	info, err = m.sdk().LicenseHeartbeat(t.Context(), l.License)
	require.NoError(t, err)
	require.Equal(t, marketplaceapi.LicenseReleased, info.Status)
	statuses := []any{}
	for _, c := range isv.got("updateLicenseCodeStatus") {
		statuses = append(statuses, c["status"])
	}
	require.Equal(t, []any{"FREEZE", "UNFREEZE", "FREEZE", "UNFREEZE", "FREEZE"}, statuses)
	require.NotContains(t, isv.got("releaseLicenseCode")[0], "orderId", "nobody unsubscribed")

	second := m.buyLicense("")
	left := m.licenseOrder(second.License, "unsubscribe", struct{}{})
	require.Equal(t, sandboxapi.OrderCompleted, m.afterwards(left.OrderID).Status)
	require.Equal(t, left.OrderID, isv.got("releaseLicenseCode")[1]["orderId"])
	var list sandboxapi.LicenseList
	m.call("GET", "/v1/licenses", nil, &list)
	require.Len(t, list.Licenses, 2)
	m.call("GET", "/v1/licenses?orderId="+second.OrderID, nil, &list)
	require.Len(t, list.Licenses, 1)
	status, _ = m.call("GET", "/v1/licenses/PL-nobody", nil, nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Empty(t, isv.got("newInstance"), "a licence is no instance")
}

// afterwards is an order once everything that is due was attempted.
func (m *market) afterwards(orderID string) sandboxapi.Order {
	m.t.Helper()
	m.advance("1s")
	return m.order(orderID)
}

func TestSandbox_LicenceCallsAreRetriedEveryTwoMinutesForTwoHours(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	l := m.buyLicense("1y")
	_, err := m.sdk().ActivateLicense(t.Context(), l.License, time.Time{})
	require.NoError(t, err)
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"no"}` })
	o := m.licenseOrder(l.License, "renew", sandboxapi.Renewal{})
	m.advance("119m")
	require.Len(t, isv.got("refreshLicenseCode"), 60)
	m.advance("24h")
	require.Len(t, isv.got("refreshLicenseCode"), 61)
	require.Equal(t, sandboxapi.OrderProcessing, m.order(o.OrderID).Status)
	var list sandboxapi.CallList
	m.call("GET", "/v1/calls", nil, &list)
	require.Equal(t, sandboxapi.CallWaiting, list.Calls[0].Status)
	require.Equal(t, 61, list.Calls[0].Attempts)
}

func TestSandbox_LicenceFile(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(call map[string]any, n int) string {
		switch {
		case call["activity"] == "getLicenseAsync" && n == 1:
			return `{"resultCode":"000005","resultMsg":"busy"}`
		case call["activity"] == "getLicenseAsync":
			return `{"resultCode":"000004","resultMsg":"it will be uploaded"}`
		}
		return right(call)
	})
	m := start(t, isv.URL)
	line := m.buy("demo-period")
	path := "/v1/instances/" + line + "/license-file"
	i := m.is(line, sandboxapi.InstanceReady)
	var f sandboxapi.LicenseFile
	status, detail := m.call("POST", path, sandboxapi.LicenseFileRequest{DeviceFingerprint: "3C-7A"}, &f)
	require.Equal(t, http.StatusCreated, status, detail)
	require.Equal(t, sandboxapi.FileAsked, f.Status)
	m.advance("3h")
	calls := isv.got("getLicenseAsync")
	require.Len(t, calls, 2, "000004 says that it will come")
	require.Equal(t, f.EventID, calls[1]["eventId"])
	require.Equal(t, i.InstanceID, calls[1]["instanceId"])
	require.Equal(t, "3C-7A", calls[1]["deviceFingerprint"])
	require.Equal(t, i.ExpireTime.Format("2006-01-02 15:04:05 z"), calls[1]["expireTime"])

	status, _ = m.call("GET", "/v1/license-files/"+f.EventID+"/content", nil, nil)
	require.Equal(t, http.StatusNotFound, status, "nothing came yet")
	content := []byte("licence \x00\xff 0001")
	require.NoError(t, m.sdk().UploadFile(t.Context(), f.EventID, marketplace.FileOf("Lizenz ä.lic", content)))
	status, detail = m.call("GET", "/v1/license-files/"+f.EventID, nil, &f)
	require.Equal(t, http.StatusOK, status, detail)
	require.Equal(t, []any{sandboxapi.FileUploaded, "FILE", "Lizenz ä.lic", len(content)}, []any{f.Status, f.Type, f.FileName, f.Size})
	req, err := http.NewRequestWithContext(t.Context(), "GET", m.control.URL+"/v1/license-files/"+f.EventID+"/content", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, content, got)

	var second sandboxapi.LicenseFile
	m.call("POST", path, sandboxapi.LicenseFileRequest{}, &second)
	require.NoError(t, m.Settle(t.Context())) // so that the ISV answers it as it does now
	require.NoError(t, m.sdk().UploadCharacters(t.Context(), second.EventID, "licence-text"))
	var list sandboxapi.LicenseFileList
	m.call("GET", "/v1/license-files?orderLineId="+line, nil, &list)
	require.Len(t, list.LicenseFiles, 2)
	isv.says(func(call map[string]any, _ int) string { return right(call) })
	m.call("POST", path, sandboxapi.LicenseFileRequest{}, nil)
	m.advance("1s")
	require.Contains(t, m.attempts(line)[0].Violations[0], "nothing came", "000000 would say that it is done")

	m.do(line, "release")
	m.is(line, sandboxapi.InstanceReleased)
	status, detail = m.call("POST", path, sandboxapi.LicenseFileRequest{}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "must be ready")
	status, _ = m.call("POST", "/v1/instances/nobody/license-file", sandboxapi.LicenseFileRequest{}, nil)
	require.Equal(t, http.StatusNotFound, status)
}

// TestSandbox_LicenceAfterAcceptance: the code is handed over when the buyer accepts, all licences of the order at once.
func TestSandbox_LicenceAfterAcceptance(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	var product map[string]any
	m.call("GET", "/v1/products/demo-license", nil, &product)
	product["provision"] = "acceptance"
	status, detail := m.call("PUT", "/v1/products/demo-license", product, nil)
	require.Equal(t, http.StatusOK, status, detail)
	var placed sandboxapi.OrderPlaced
	line := sandboxapi.PurchaseLine{SKUCode: "demo-license-period"}
	status, detail = m.call("POST", "/v1/orders", sandboxapi.Purchase{Lines: []sandboxapi.PurchaseLine{line, line}}, &placed)
	require.Equal(t, http.StatusCreated, status, detail)
	require.Equal(t, sandboxapi.OrderAwaitingAcceptance, placed.Order.Status)
	require.Len(t, placed.Licenses, 2)
	codes := []string{placed.Licenses[0].License, placed.Licenses[1].License}
	_, err := m.sdk().ActivateLicenses(t.Context(), codes, time.Time{})
	require.ErrorIs(t, err, marketplace.ErrLicenseNotFound, "one of a list")
	_, err = m.sdk().ActivateLicense(t.Context(), codes[0], time.Time{})
	require.ErrorIs(t, err, marketplace.ErrLicenseState)

	status, detail = m.call("POST", "/v1/orders/"+placed.Order.OrderID+"/accept", struct{}{}, &placed)
	require.Equal(t, http.StatusAccepted, status, detail)
	require.Equal(t, sandboxapi.OrderCompleted, placed.Order.Status)
	require.Equal(t, codes, []string{placed.Licenses[0].License, placed.Licenses[1].License}, "in the order of the lines")
	_, err = m.sdk().ActivateLicenses(t.Context(), codes, time.Time{})
	require.NoError(t, err)
	status, detail = m.call("POST", "/v1/orders/"+placed.Order.OrderID+"/accept", struct{}{}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "has it already")
}
