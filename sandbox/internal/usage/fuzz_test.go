package usage_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

// FuzzRecord: whatever an ISV pushes as a record is judged, and what is accepted has a window in time and a plain value.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"instance_id":"metered","record_time":"20260520T101000Z","begin_time":"20260520T090000Z","end_time":"20260520T100000Z","usage_value":"12.5","metering_sn":"sn-1"}`))
	f.Add([]byte(`{"instance_id":"metered","record_time":"20260520T101000Z","begin_time":"20260520T090000Z","end_time":"20260520T100000Z","usage_value":99,"metering_sn":"sn-1","relate_pkg_instance":"package"}`))
	f.Add([]byte(`{"usage_value":1e999,"begin_time":[],"metering_sn":{"a":null}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r usage.Record
		if json.Unmarshal(data, &r) != nil {
			return
		}
		for _, withSN := range []bool{true, false} {
			got, err := usage.Check(r, withSN, now, facts{})
			require.NoError(t, err)
			require.Equal(t, got.Code == "", got.Message == "")
			if got.Code != "" {
				require.True(t, got.Code.Valid(), got.Code)
				continue
			}
			begin, err := time.Parse(usage.TimeFormat, r.BeginTime)
			require.NoError(t, err)
			end, err := time.Parse(usage.TimeFormat, r.EndTime)
			require.NoError(t, err)
			require.True(t, begin.Before(end))
			require.Zero(t, got.Value.Cmp(decimal(t, r.UsageValue)))
			require.Regexp(t, `^[0-9]+(\.[0-9]{1,4})?$`, r.UsageValue)
		}
	})
}
