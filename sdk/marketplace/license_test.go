package marketplace_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

const licensePath = "/api/mkp-openapi-public/global/%s/license/%s"

func TestActivateLicense(t *testing.T) {
	t.Parallel()
	s := setup(t, always(200, `{"error_code":"92020000","error_msg":"success","data":{"license_code_info":`+
		`"{\"status\":\"ALIVE\",\"expire_time\":\"20230726121646\",\"product_id\":\"12345\",\"amount\":2,\"order_id\":\"CS123\",\"more\":1}"}}`))
	at := time.Date(2026, 1, 2, 23, 35, 55, 0, time.FixedZone("Beijing", 8*3600))
	got, err := s.client.ActivateLicense(t.Context(), "PL1", at)
	require.NoError(t, err)
	assert.Equal(t, &marketplace.Activation{License: "PL1", Info: marketplaceapi.LicenseCodeInfo{
		Status: marketplaceapi.LicenseAlive, ExpireTime: "20230726121646", ProductID: "12345", Amount: 2, OrderID: "CS123",
	}}, got)
	_, err = s.client.ActivateLicense(t.Context(), "PL1", time.Time{})
	require.NoError(t, err)
	require.Len(t, s.got, 2)
	assert.Equal(t, fmt.Sprintf(licensePath, "v1", "activate"), s.got[0].path)
	assert.JSONEq(t, `{"license":"PL1","real_effect_time":"20260102153555"}`, s.got[0].body)
	assert.JSONEq(t, `{"license":"PL1"}`, s.got[1].body)
}

// TestActivateLicense_IsDoneWhateverTheAnswerTells: the code alone says that a licence is active, and it cannot be activated twice.
func TestActivateLicense_IsDoneWhateverTheAnswerTells(t *testing.T) {
	t.Parallel()
	zero := marketplaceapi.LicenseCodeInfo{}
	for data, want := range map[string]marketplaceapi.LicenseCodeInfo{
		`null`: zero, `"text"`: zero, `[]`: zero, `{}`: zero, `{"license_code_info":5}`: zero, `{"license_code_info":"no JSON"}`: zero,
		`{"license_code_info":"[]"}`:                                      zero,
		`{"license_code_info":"{\"status\":7,\"amount\":\"3\"}"}`:         {Status: "7", Amount: 3},
		`{"license_code_info":"{\"status\":\"ALIVE\",\"amount\":\"?\"}"}`: {Status: "ALIVE"},
	} {
		s := setup(t, always(200, `{"error_code":"92020000","data":`+data+`}`))
		got, err := s.client.ActivateLicense(t.Context(), "PL1", time.Time{})
		require.NoError(t, err, data)
		assert.Equal(t, &marketplace.Activation{License: "PL1", Info: want}, got, data)
		_, err = s.client.ActivateLicenses(t.Context(), []string{"PL1"}, time.Time{})
		require.NoError(t, err, data)
	}
}

func TestLicenses(t *testing.T) {
	t.Parallel()
	const list = `[{"license_code":"PL1","license_code_info":"{\"status\":\"ALIVE\"}","status":"ALIVE","amount":"7"},{"license_code":"PL2","status":"EXPIRED"},
		{"license_code":"PL9","status":"ALIVE"},{"license_code":"PL1"}]`
	for _, data := range []string{list, `{"license_list":` + list + `}`} {
		s := setup(t, always(200, `{"error_code":"92020000","data":`+data+`}`))
		activations, err := s.client.ActivateLicenses(t.Context(), []string{"PL1", "PL2"}, time.Date(2026, 1, 2, 15, 35, 55, 0, time.UTC))
		require.NoError(t, err)
		require.Len(t, activations, 4)
		assert.Equal(t, marketplace.Activation{License: "PL1", Info: marketplaceapi.LicenseCodeInfo{Status: "ALIVE"}}, activations[0])
		infos, err := s.client.LicenseHeartbeats(t.Context(), []string{"PL1", "PL2"})
		require.NoError(t, err)
		assert.Equal(t, []marketplaceapi.LicenseInfo{
			{LicenseCode: "PL1", Status: marketplaceapi.LicenseAlive, Amount: 7}, {LicenseCode: "PL2", Status: marketplaceapi.LicenseExpired},
		}, infos)
		require.Len(t, s.got, 2)
		assert.Equal(t, fmt.Sprintf(licensePath, "v2", "activate"), s.got[0].path)
		assert.JSONEq(t, `{"license_list":["PL1","PL2"],"real_effect_time":"20260102153555"}`, s.got[0].body)
		assert.Equal(t, fmt.Sprintf(licensePath, "v2", "heartbeat"), s.got[1].path)
		assert.JSONEq(t, `{"license_list":["PL1","PL2"]}`, s.got[1].body)
	}
	for _, data := range []string{`"text"`, `{"a":[],"b":[]}`, `[{"status":{}}]`} {
		s := setup(t, always(200, `{"error_code":"92020000","data":`+data+`}`))
		_, err := s.client.LicenseHeartbeats(t.Context(), []string{"PL1"})
		require.ErrorContains(t, err, "read the answer", data)
	}
	s := setup(t, always(200, `{"error_code":"92020000"}`))
	infos, err := s.client.LicenseHeartbeats(t.Context(), []string{"PL1"})
	require.NoError(t, err)
	assert.Empty(t, infos)
}

func TestLicenseHeartbeat(t *testing.T) {
	t.Parallel()
	s := setup(t, always(200, `{"error_code":"92020000","data":{"license_code":"PL1","status":"RELEASED","activate_time":"20230726121646","expire_time":20240726121646}}`))
	info, err := s.client.LicenseHeartbeat(t.Context(), "PL1")
	require.NoError(t, err)
	assert.Equal(t, &marketplaceapi.LicenseInfo{
		LicenseCode: "PL1", Status: marketplaceapi.LicenseReleased, ActivateTime: "20230726121646", ExpireTime: "20240726121646",
	}, info)
	assert.Equal(t, fmt.Sprintf(licensePath, "v1", "heartbeat"), s.got[0].path)
	assert.JSONEq(t, `{"license":"PL1"}`, s.got[0].body)
	for _, data := range []string{`null`, `{}`, `{"license_code":"PL2","status":"ALIVE"}`, `{"license_code":"PL1"}`, `{"license_code":"PL1","status":{}}`, `[]`} {
		s := setup(t, always(200, `{"error_code":"92020000","data":`+data+`}`))
		_, err := s.client.LicenseHeartbeat(t.Context(), "PL1")
		require.Error(t, err, data)
	}
	s = setup(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "r-7")
		say(w, 200, `{"error_code":"92020011","error_msg":"license code has been not activated."}`)
	})
	_, err = s.client.LicenseHeartbeat(t.Context(), "PL1")
	e := s.failed(err)
	assert.Equal(t, "r-7", e.RequestID)
	require.ErrorIs(t, e, marketplace.ErrLicenseState)
}

func TestLicenses_AreCheckedBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	s := setup(t, func(int, http.ResponseWriter, *http.Request) { t.Error("nothing must be sent") })
	many := make([]string, marketplace.MaxLicenses+1)
	for i := range many {
		many[i] = fmt.Sprint("PL", i)
	}
	for want, licenses := range map[string][]string{
		"no licences": nil, "101 licences": many, "licence 1 is empty": {"a", ""}, "licence 0 is 65": {strings.Repeat("x", 65)}, "licence 2 is licence 0 too": {"a", "b", "a"},
	} {
		_, err := s.client.ActivateLicenses(t.Context(), licenses, time.Time{})
		require.ErrorContains(t, err, want)
		_, err = s.client.LicenseHeartbeats(t.Context(), licenses)
		require.ErrorContains(t, err, want)
	}
	_, err := s.client.ActivateLicense(t.Context(), "", time.Time{})
	require.ErrorContains(t, err, "is empty")
	_, err = s.client.LicenseHeartbeat(t.Context(), "\xff")
	require.ErrorContains(t, err, "is not UTF-8")
}
