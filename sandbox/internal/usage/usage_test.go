package usage_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

var now = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

type facts struct{}

func (facts) Instance(id string) (usage.Instance, bool, error) {
	i, ok := map[string]usage.Instance{
		"metered":  {marketplaceapi.ChargingOnDemand, sandboxapi.InstanceReady, now.AddDate(0, 0, -30)},
		"young":    {marketplaceapi.ChargingOnDemand, sandboxapi.InstanceReady, now.Add(-90 * time.Minute)},
		"frozen":   {marketplaceapi.ChargingOnDemand, sandboxapi.InstanceFrozen, now.AddDate(0, 0, -30)},
		"released": {marketplaceapi.ChargingOnDemand, sandboxapi.InstanceReleased, now.AddDate(0, 0, -30)},
		"period":   {marketplaceapi.ChargingPeriod, sandboxapi.InstanceReady, now.AddDate(0, 0, -30)},
		"package":  {marketplaceapi.ChargingPackage, sandboxapi.InstanceReady, now.AddDate(0, 0, -30)},
	}[id]
	return i, ok, nil
}

func (facts) MeteringSNUsed(sn string) (bool, error) { return sn == "sn-used", nil }

func (facts) WindowUsed(id, begin, _ string) (bool, error) {
	return id == "metered" && begin == "20260520T080000Z", nil
}

func TestCheck(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) string { return now.Add(d).Format(usage.TimeFormat) }
	for name, tc := range map[string]struct {
		change func(r *usage.Record)
		old    bool
		want   usage.Code
	}{
		"good":                       {func(*usage.Record) {}, false, ""},
		"good, old form":             {func(r *usage.Record) { r.MeteringSN = "" }, true, ""},
		"frozen may be late":         {func(r *usage.Record) { r.InstanceID = "frozen" }, false, ""},
		"from a package":             {func(r *usage.Record) { r.RelatePkgInstance = "package" }, false, ""},
		"unknown instance":           {func(r *usage.Record) { r.InstanceID = "nobody" }, false, "001"},
		"no instance":                {func(r *usage.Record) { r.InstanceID = "" }, false, "001"},
		"unknown package":            {func(r *usage.Record) { r.RelatePkgInstance = "nobody" }, false, "001"},
		"record time":                {func(r *usage.Record) { r.RecordTime = "2026-05-20 11:00:00" }, false, "002"},
		"begin with milliseconds":    {func(r *usage.Record) { r.BeginTime = "20260520T090000.000Z" }, false, "002"},
		"end missing":                {func(r *usage.Record) { r.EndTime = "" }, false, "002"},
		"end on no day":              {func(r *usage.Record) { r.EndTime = "20260231T090000Z" }, false, "002"},
		"value 0":                    {func(r *usage.Record) { r.UsageValue = "0" }, false, "003"},
		"value 0.0000":               {func(r *usage.Record) { r.UsageValue = "0.0000" }, false, "003"},
		"value negative":             {func(r *usage.Record) { r.UsageValue = "-1" }, false, "003"},
		"value of 5 decimals":        {func(r *usage.Record) { r.UsageValue = "1.00001" }, false, "003"},
		"value of 4 decimals":        {func(r *usage.Record) { r.UsageValue = "0.0001" }, false, ""},
		"value in words":             {func(r *usage.Record) { r.UsageValue = "1e3" }, false, "003"},
		"value missing":              {func(r *usage.Record) { r.UsageValue = "" }, false, "003"},
		"no sn":                      {func(r *usage.Record) { r.MeteringSN = "" }, false, "004"},
		"long sn":                    {func(r *usage.Record) { r.MeteringSN = strings.Repeat("x", 65) }, false, "004"},
		"sn used":                    {func(r *usage.Record) { r.MeteringSN = "sn-used" }, false, "005"},
		"exactly 21 days":            {func(r *usage.Record) { r.BeginTime = at(-21 * 24 * time.Hour) }, false, ""},
		"a second more than that":    {func(r *usage.Record) { r.BeginTime = at(-21*24*time.Hour - time.Second) }, false, "007"},
		"window used":                {func(r *usage.Record) { r.BeginTime = "20260520T080000Z" }, false, "010"},
		"end before begin":           {func(r *usage.Record) { r.EndTime = "20260520T085959Z" }, false, "011"},
		"empty window":               {func(r *usage.Record) { r.EndTime = r.BeginTime }, false, "011"},
		"in the future":              {func(r *usage.Record) { r.EndTime = at(6 * time.Minute) }, false, "011"},
		"a little in the future":     {func(r *usage.Record) { r.EndTime = at(5 * time.Minute) }, false, ""},
		"before the instance":        {func(r *usage.Record) { r.InstanceID = "young" }, false, "011"},
		"since the instance":         {func(r *usage.Record) { r.InstanceID = "young"; r.BeginTime = at(-90 * time.Minute); r.EndTime = at(0) }, false, ""},
		"not on demand":              {func(r *usage.Record) { r.InstanceID = "period" }, false, "012"},
		"for the package itself":     {func(r *usage.Record) { r.InstanceID = "package" }, false, "012"},
		"released":                   {func(r *usage.Record) { r.InstanceID = "released" }, false, "013"},
		"package that is no package": {func(r *usage.Record) { r.RelatePkgInstance = "period" }, false, "013"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := usage.Record{
				InstanceID: "metered", RecordTime: "20260520T101000Z", BeginTime: "20260520T090000Z", EndTime: "20260520T100000Z",
				UsageValue: "12.5", MeteringSN: "sn-1",
			}
			tc.change(&r)
			got, err := usage.Check(r, !tc.old, now, facts{})
			require.NoError(t, err)
			require.Equal(t, tc.want, got.Code, got.Message)
			require.Equal(t, tc.want == "", got.Message == "")
		})
	}
}

func TestRecord_UnmarshalJSON_TakesWrongTypesAsText(t *testing.T) {
	t.Parallel()
	var r usage.Record
	require.NoError(t, json.Unmarshal([]byte(`{"instance_id":7,"usage_value":12.50,"begin_time":{"a":1},"metering_sn":null,"end_time":"x","more":1}`), &r))
	require.Equal(t, usage.Record{InstanceID: "7", UsageValue: "12.50", BeginTime: `{"a":1}`, EndTime: "x"}, r)
	require.Error(t, json.Unmarshal([]byte(`"text"`), &r))
}
