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
	month := now.AddDate(0, 0, -30)
	pkg := func(amount, used int, stop bool) *usage.Package {
		return &usage.Package{LineID: id, Amount: usage.Whole(amount), Used: usage.Whole(used), From: now.Add(-4 * time.Hour), Until: now.Add(time.Hour), StopWhenUsedUp: stop}
	}
	metered := usage.Instance{
		LineID: id, ChargingMode: marketplaceapi.ChargingOnDemand, Status: sandboxapi.InstanceReady, CreateTime: month,
		Buyer: "buyer", Product: "listing", ProductID: "OFFI1",
	}
	packaged := metered
	packaged.ChargingMode, packaged.Package = marketplaceapi.ChargingPackage, pkg(10, 3, false)
	change := map[string]func() usage.Instance{
		"metered":         func() usage.Instance { return metered },
		"young":           func() usage.Instance { metered.CreateTime = now.Add(-90 * time.Minute); return metered },
		"frozen":          func() usage.Instance { metered.Status = sandboxapi.InstanceFrozen; return metered },
		"opening":         func() usage.Instance { metered.Status = sandboxapi.InstanceOpening; return metered },
		"creating":        func() usage.Instance { metered.Status = sandboxapi.InstanceCreating; return metered },
		"failed":          func() usage.Instance { metered.Status = sandboxapi.InstanceFailed; return metered },
		"released":        func() usage.Instance { metered.Status = sandboxapi.InstanceReleased; return metered },
		"foreign":         func() usage.Instance { metered.Foreign = true; return metered },
		"delisted":        func() usage.Instance { metered.Delisted = true; return metered },
		"period":          func() usage.Instance { metered.ChargingMode = marketplaceapi.ChargingPeriod; return metered },
		"package":         func() usage.Instance { return packaged },
		"empty package":   func() usage.Instance { packaged.Package = pkg(10, 10, false); return packaged },
		"stops":           func() usage.Instance { packaged.Package = pkg(10, 9, true); return packaged },
		"stopped":         func() usage.Instance { packaged.Package = pkg(10, 10, true); return packaged },
		"foreign package": func() usage.Instance { packaged.Foreign = true; return packaged },
		"other's package": func() usage.Instance { packaged.Buyer = "another"; return packaged },
		"other product's": func() usage.Instance { packaged.Product = "another"; return packaged },
		"gone package":    func() usage.Instance { packaged.Status = sandboxapi.InstanceReleased; return packaged },
		"opening package": func() usage.Instance { packaged.Status = sandboxapi.InstanceOpening; return packaged },
		"frozen package":  func() usage.Instance { packaged.Status = sandboxapi.InstanceFrozen; return packaged },
	}[id]
	if change == nil {
		return usage.Instance{}, false, nil
	}
	return change(), true, nil
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
		"good":                  {func(*usage.Record) {}, false, ""},
		"good, old form":        {func(r *usage.Record) { r.MeteringSN = "" }, true, ""},
		"frozen may be late":    {func(r *usage.Record) { r.InstanceID = "frozen" }, false, ""},
		"from a package":        {func(r *usage.Record) { r.RelatePkgInstance = "package" }, false, ""},
		"from an empty package": {func(r *usage.Record) { r.RelatePkgInstance = "empty package" }, false, ""},
		"from one that stops":   {func(r *usage.Record) { r.RelatePkgInstance = "stops" }, false, ""},
		"from a frozen package": {func(r *usage.Record) { r.RelatePkgInstance = "frozen package" }, false, ""},
		"from its first second": {func(r *usage.Record) {
			r.RelatePkgInstance = "package"
			r.InstanceID = "frozen"
			r.BeginTime = at(-4 * time.Hour)
		}, false, ""},
		"a second before that":       {func(r *usage.Record) { r.RelatePkgInstance = "package"; r.BeginTime = at(-4*time.Hour - time.Second) }, false, "013"},
		"from one that stopped":      {func(r *usage.Record) { r.RelatePkgInstance = "stopped" }, false, "013"},
		"from another ISV's package": {func(r *usage.Record) { r.RelatePkgInstance = "foreign package" }, false, "009"},
		"from another buyer's":       {func(r *usage.Record) { r.RelatePkgInstance = "other's package" }, false, "013"},
		"from another product's":     {func(r *usage.Record) { r.RelatePkgInstance = "other product's" }, false, "013"},
		"from one that is gone":      {func(r *usage.Record) { r.RelatePkgInstance = "gone package" }, false, "013"},
		"from one that opens":        {func(r *usage.Record) { r.RelatePkgInstance = "opening package" }, false, "013"},
		"while it opens":             {func(r *usage.Record) { r.InstanceID = "opening" }, false, ""},
		"not created yet":            {func(r *usage.Record) { r.InstanceID = "creating" }, false, "013"},
		"failed":                     {func(r *usage.Record) { r.InstanceID = "failed" }, false, "013"},
		"another ISV's":              {func(r *usage.Record) { r.InstanceID = "foreign" }, false, "009"},
		"delisted":                   {func(r *usage.Record) { r.InstanceID = "delisted" }, false, "006"},
		"old, another product":       {func(r *usage.Record) { r.ProductID = "OFFI2" }, true, "001"},
		"old, no product":            {func(r *usage.Record) { r.ProductID = "" }, true, "001"},
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
				ProductID: "OFFI1", InstanceID: "metered", RecordTime: "20260520T101000Z", BeginTime: "20260520T090000Z", EndTime: "20260520T100000Z",
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

func TestCheck_Warnings(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 5, 19, 16, 0, 0, 0, time.UTC) // of May 20 in Beijing
	for name, tc := range map[string]struct {
		begin, end, recorded, now time.Time
		want                      string
	}{
		"in time":                  {now.Add(-2 * time.Hour), now.Add(-time.Hour), now, now, ""},
		"2 hours late":             {now.Add(-3 * time.Hour), now.Add(-2 * time.Hour), now, now, ""},
		"a second later":           {now.Add(-3 * time.Hour), now.Add(-2 * time.Hour), now, now.Add(time.Second), "more than 2 hours"},
		"recorded before it ended": {now.Add(-2 * time.Hour), now.Add(-time.Hour), now.Add(-time.Hour - time.Second), now, "before end_time"},
		"daily, by 1 o'clock":      {midnight.AddDate(0, 0, -1), midnight, midnight, midnight.Add(time.Hour), ""},
		"daily, a second later":    {midnight.AddDate(0, 0, -1), midnight, midnight, midnight.Add(time.Hour + time.Second), "20260519T170000Z"},
		"longer than a day":        {midnight.AddDate(0, 0, -1), midnight.Add(time.Second), midnight.Add(time.Second), midnight.Add(time.Hour), "longer than a day"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := usage.Check(usage.Record{
				InstanceID: "frozen", MeteringSN: "sn", UsageValue: "1", BeginTime: tc.begin.Format(usage.TimeFormat), EndTime: tc.end.Format(usage.TimeFormat),
				RecordTime: tc.recorded.Format(usage.TimeFormat),
			}, true, tc.now, facts{})
			require.NoError(t, err)
			require.Empty(t, v.Code, v.Message)
			require.Equal(t, tc.begin, v.Begin)
			require.Equal(t, tc.end, v.End)
			if tc.want == "" {
				require.Empty(t, v.Warnings)
				return
			}
			require.Len(t, v.Warnings, 1)
			require.Contains(t, v.Warnings[0], tc.want)
		})
	}
}
