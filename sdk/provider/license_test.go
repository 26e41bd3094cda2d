package provider_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
)

type licenseApp struct {
	app
	err  error
	last any
}

func (a *licenseApp) RefreshLicense(_ context.Context, c provider.RefreshLicense) error {
	a.last = c
	return a.err
}

func (a *licenseApp) UpdateLicenseStatus(_ context.Context, c provider.UpdateLicenseStatus) error {
	a.last = c
	return a.err
}

func (a *licenseApp) ReleaseLicense(_ context.Context, c provider.ReleaseLicense) error {
	a.last = c
	return a.err
}

func (a *licenseApp) GetLicense(_ context.Context, c provider.GetLicense) error {
	a.last = c
	return a.err
}

const (
	refreshLicenseBody = `{"activity":"refreshLicenseCode","expireTime":"20231124155959","license":"L-1","orderId":"CS2","orderLineId":"CS2-000001","scene":"RENEWAL"}`
	licenseStatusBody  = `{"activity":"updateLicenseCodeStatus","license":"L-1","status":"UNFREEZE"}`
	releaseLicenseBody = `{"activity":"releaseLicenseCode","license":"L-1"}`
	getLicenseBody     = `{"activity":"getLicenseAsync","effectiveTime":"2023-10-27 10:30:15 z","eventId":"ev-1","instanceId":"i-1"}`
)

func withLicense(cfg *provider.Config) { cfg.LicenseKeys = []string{licenseKey} }

func TestLicense(t *testing.T) {
	t.Parallel()
	a := &licenseApp{}
	s := setup(t, a, withLicense)
	by := signer(t, licenseKey)
	bodies := []string{refreshLicenseBody, licenseStatusBody, releaseLicenseBody, getLicenseBody}
	for _, body := range bodies {
		a.last = nil
		require.Equal(t, providerapi.ResultSuccess, s.signed(by, body).ResultCode, body)
		switch call := a.last.(type) {
		case provider.RefreshLicense:
			assert.Equal(t, time.Date(2023, 11, 24, 15, 59, 59, 0, time.UTC), call.Expiry())
			assert.Equal(t, "L-1", call.License)
			_, err := call.Order(t.Context())
			assert.ErrorContains(t, err, "Config.Market is nil")
		case provider.UpdateLicenseStatus:
			assert.Equal(t, providerapi.StatusUnfreeze, call.Status)
		case provider.ReleaseLicense:
			assert.Empty(t, call.OrderID)
		case provider.GetLicense:
			assert.Equal(t, "ev-1", call.EventID)
		default:
			t.Errorf("%s: got %T", body, a.last)
		}
		a.last = nil
		require.Equal(t, providerapi.ResultSuccess, s.signed(by, debugBody(body)).ResultCode)
		require.Nil(t, a.last)
		require.Equal(t, providerapi.ResultAuthenticationFailed, s.call(body).ResultCode, "the key of another class")
	}
	a.err = provider.ErrInProgress
	require.Equal(t, providerapi.ResultInProgress, s.signed(by, getLicenseBody).ResultCode)
	a.err = provider.ErrLicense902
	require.Equal(t, providerapi.ResultLicense902, s.signed(by, releaseLicenseBody).ResultCode)
	a.err = provider.ErrSoldOut
	require.Equal(t, providerapi.ResultInternalError, s.signed(by, releaseLicenseBody).ResultCode)

	none := setup(t, a)
	require.Equal(t, providerapi.ResultAuthenticationFailed, none.signed(by, getLicenseBody).ResultCode)
	require.Contains(t, lastLine(none), "LicenseKeys is empty")
	require.Equal(t, providerapi.ResultInvalidParameter, none.call(getLicenseBody).ResultCode)
	plain := setup(t, &app{}, withLicense)
	for _, body := range bodies {
		ans := plain.signed(by, debugBody(body))
		require.Equal(t, providerapi.ResultInvalidParameter, ans.ResultCode)
		require.Contains(t, ans.ResultMsg, "not supported")
	}
}
