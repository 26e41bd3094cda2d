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
	"github.com/isvkit/isvkit/sdk/signature"
)

// TestPushUsage_BodyIsCanonical: sent and signed bytes agree whatever form the receiver brings the body into.
func TestPushUsage_BodyIsCanonical(t *testing.T) {
	t.Parallel()
	s := setup(t, always(200, `{"error_code":"MKT.0000","error_msg":"Success"}`))
	r := record(1)
	r.MeteringSN, r.RelatePkgInstance = "a<b>&c 中\u2028/", "pkg-1"
	_, err := s.client.PushUsage(t.Context(), []marketplaceapi.UsageRecord{r, record(2)})
	require.NoError(t, err)
	require.NoError(t, s.client.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{recordOld()}))
	require.Len(t, s.got, 2)
	assert.Equal(t, `{"usage_records":[{"begin_time":"20220809T080000Z","end_time":"20220809T090000Z","instance_id":"i-1","metering_sn":"a<b>&c 中`+"\u2028"+`/","record_time":"20220809T091000Z","relate_pkg_instance":"pkg-1","usage_value":"99"},`+
		`{"begin_time":"20220809T080000Z","end_time":"20220809T090000Z","instance_id":"i-1","metering_sn":"sn-0002","record_time":"20220809T091000Z","usage_value":"99"}]}`, s.got[0].body)
	assert.Equal(t, usagePath, s.got[0].path)
	assert.Equal(t, usageOldPath, s.got[1].path)
	for _, got := range s.got {
		for _, form := range []func([]byte) ([]byte, bool){signature.CanonicalBody, signature.CanonicalUsageBody} {
			canonical, ok := form([]byte(got.body))
			assert.True(t, ok)
			assert.Equal(t, string(canonical), got.body)
		}
	}
}

func TestPushUsage_Results(t *testing.T) {
	t.Parallel()
	records := []marketplaceapi.UsageRecord{record(1), record(2), record(3)}
	records[2].InstanceID = "i-3"
	bad := func(entries string) string {
		return `{"error_code":"94060999","error_msg":"Failed","data":{"abnormal_usage_data":[` + entries + `]}}`
	}
	tests := []struct {
		name, body string
		accepted   int
		rejected   []marketplace.Rejected
	}{
		{"all taken", `{"error_code":"MKT.0000","error_msg":"Success"}`, 3, nil},
		{"older prefix", `{"error_code":"CBC.0000"}`, 3, nil},
		{
			"by metering_sn", bad(`{"metering_sn":"sn-0002","instance_id":"i-1","error_code":"005","error_msg":"used before"}`), 2,
			[]marketplace.Rejected{{Index: 1, Record: records[1], Code: marketplaceapi.RecordMeteringSNDuplicate, Message: "used before"}},
		},
		{
			"by instance and time", bad(`{"instance_id":"i-3","begin_time":"20220809T080000Z","end_time":"20220809T090000Z","error_code":"012"}`), 2,
			[]marketplace.Rejected{{Index: 2, Record: records[2], Code: marketplaceapi.RecordNotOnDemand}},
		},
		{
			"which one is not said", bad(`{"error_code":"001"},{"metering_sn":"other","error_code":"001"}`), 1,
			[]marketplace.Rejected{{Index: -1, Code: marketplaceapi.RecordInstanceNotFound}, {Index: -1, Code: marketplaceapi.RecordInstanceNotFound}},
		},
		{
			"one record, two reasons", bad(`{"metering_sn":"sn-0001","error_code":"001"},{"metering_sn":"sn-0001","error_code":"002"}`), 2,
			[]marketplace.Rejected{{Index: 0, Record: records[0], Code: "001"}, {Index: 0, Record: records[0], Code: "002"}},
		},
		{
			"listed beside a success", `{"error_code":"MKT.0000","data":{"abnormal_usage_data":[{"metering_sn":"sn-0001","error_code":"008"}]}}`, 2,
			[]marketplace.Rejected{{Index: 0, Record: records[0], Code: "008"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, always(200, tt.body))
			res, err := s.client.PushUsage(t.Context(), records)
			require.NoError(t, err)
			assert.Equal(t, &marketplace.PushResult{Accepted: tt.accepted, Rejected: tt.rejected}, res)
		})
	}
}

func TestRejected_Repeat(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 13; n++ {
		code := fmt.Sprintf("%03d", n)
		r := marketplace.Rejected{Code: marketplaceapi.AbnormalUsageRecordErrorCode(code)}
		assert.Equal(t, code == "005" || code == "010", r.Repeat(), code)
	}
}

func TestPushUsage_RecordsAreCheckedBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	s := setup(t, func(int, http.ResponseWriter, *http.Request) { t.Error("nothing must be sent") })
	tests := []struct {
		field, problem string
		change         func(*marketplaceapi.UsageRecord)
	}{
		{"instance_id", "is empty", func(r *marketplaceapi.UsageRecord) { r.InstanceID = "" }},
		{"instance_id", "is 65 characters long", func(r *marketplaceapi.UsageRecord) { r.InstanceID = strings.Repeat("x", 65) }},
		{"instance_id", "is not UTF-8", func(r *marketplaceapi.UsageRecord) { r.InstanceID = "\xff" }},
		{"metering_sn", "is empty", func(r *marketplaceapi.UsageRecord) { r.MeteringSN = "" }},
		{"metering_sn", "is that of record 0 too", func(r *marketplaceapi.UsageRecord) { r.MeteringSN = "sn-0000" }},
		{"record_time", "is no time", func(r *marketplaceapi.UsageRecord) { r.RecordTime = "2022-08-09T09:10:00Z" }},
		{"record_time", "is no time", func(r *marketplaceapi.UsageRecord) { r.RecordTime = "" }},
		{"begin_time", "is no time", func(r *marketplaceapi.UsageRecord) { r.BeginTime = "20221309T080000Z" }},
		{"begin_time", "is no time", func(r *marketplaceapi.UsageRecord) { r.BeginTime = "20220809T080000.5Z" }},
		{"end_time", "is no time", func(r *marketplaceapi.UsageRecord) { r.EndTime = "20220809T090000" }},
		{"end_time", "is not after begin_time", func(r *marketplaceapi.UsageRecord) { r.EndTime = r.BeginTime }},
		{"usage_value", "is no decimal number", func(r *marketplaceapi.UsageRecord) { r.UsageValue = "" }},
		{"relate_pkg_instance", "is 65 characters", func(r *marketplaceapi.UsageRecord) { r.RelatePkgInstance = strings.Repeat("x", 65) }},
	}
	for _, v := range []string{"0", "0.0000", "-1", "+1", "1e3", "1.", ".5", "1.23456", "1,5", " 1", "NaN", "0x1", strings.Repeat("9", 21)} {
		tests = append(tests, struct {
			field, problem string
			change         func(*marketplaceapi.UsageRecord)
		}{"usage_value", "is no decimal number above 0", func(r *marketplaceapi.UsageRecord) { r.UsageValue = v }})
	}
	for _, tt := range tests {
		r := record(1)
		tt.change(&r)
		_, err := s.client.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record(0), r})
		var invalid *marketplace.InvalidRecordsError
		require.ErrorAs(t, err, &invalid, tt.problem)
		require.Len(t, invalid.Records, 1)
		assert.Equal(t, 1, invalid.Records[0].Index)
		assert.Equal(t, tt.field, invalid.Records[0].Field)
		assert.Contains(t, err.Error(), "record 1: "+tt.field+" "+tt.problem)
	}

	old := recordOld()
	old.ProductID = ""
	require.ErrorContains(t, s.client.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{old}), "product_id is empty")
	require.ErrorContains(t, s.client.PushUsageOld(t.Context(), nil), "no records")

	many := make([]marketplaceapi.UsageRecord, marketplace.MaxRecords+1)
	_, err := s.client.PushUsage(t.Context(), many)
	require.ErrorIs(t, err, marketplace.ErrTooManyRecords)
	_, err = s.client.PushUsage(t.Context(), many[:10])
	require.ErrorContains(t, err, "and 7 more")
	_, err = s.client.PushUsage(t.Context(), nil)
	require.ErrorContains(t, err, "no records")

	c := offline(t, nil, func(c *marketplace.Config) { c.BaseKey = "" })
	_, err = c.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record(1)})
	require.ErrorContains(t, err, "Config.BaseKey is empty")
}

func TestPushUsage_GoodValues(t *testing.T) {
	t.Parallel()
	s := setup(t, always(200, `{"error_code":"MKT.0000"}`))
	var records []marketplaceapi.UsageRecord
	for i, v := range []string{"1", "0.0001", "99.5", "012", strings.Repeat("9", 20), "12345678.1234"} {
		r := record(i)
		r.UsageValue = v
		records = append(records, r)
	}
	res, err := s.client.PushUsage(t.Context(), records)
	require.NoError(t, err)
	assert.Equal(t, len(records), res.Accepted)

	full := make([]marketplaceapi.UsageRecord, marketplace.MaxRecords)
	for i := range full {
		full[i] = record(i)
	}
	res, err = s.client.PushUsage(t.Context(), full)
	require.NoError(t, err)
	assert.Equal(t, marketplace.MaxRecords, res.Accepted)
}

func TestTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2022, 8, 9, 16, 0, 0, 999, time.FixedZone("Beijing", 8*3600))
	assert.Equal(t, "20220809T080000Z", marketplace.FormatTime(at))
	got, err := marketplace.ParseOrderTime("20230726155959")
	require.NoError(t, err)
	assert.Equal(t, time.Date(2023, 7, 26, 15, 59, 59, 0, time.UTC), got)
	for _, text := range []string{"", "2023", "20231326155959", "20230726155959123", "20230726155959.1", "2023-07-26"} {
		_, err := marketplace.ParseOrderTime(text)
		require.Error(t, err, text)
	}
}
