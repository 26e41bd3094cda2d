package market_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/market"
)

func beijing(t *testing.T, text string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	at, err := time.ParseInLocation("2006-01-02 15:04:05", text, zone)
	require.NoError(t, err)
	return at
}

func TestCalendar_WorkingDays(t *testing.T) {
	p, err := market.Load("tencent", now)
	require.NoError(t, err)
	c := p.WorkingDays()
	for day, working := range map[string]bool{
		"2026-09-30": true, "2026-10-01": false, "2026-10-07": false, "2026-10-08": true,
		"2026-10-10": true, "2026-10-11": false, // a Saturday that is worked, and the Sunday after it
		"2026-02-14": true, "2026-02-15": false, "2026-02-23": false, "2026-02-24": true, "2026-02-28": true,
		"2026-11-20": true, "2026-11-21": false, "2026-11-22": false, "2026-11-23": true,
		"2031-10-01": true, // a Wednesday of a year whose holidays are not known
	} {
		assert.Equal(t, working, c.Working(beijing(t, day+" 12:00:00")), day)
	}
	assert.True(t, c.Knows(2026))
	assert.False(t, c.Knows(2031))
	// The holidays of October 2026 end on the 7th, and the 10th is worked, so the tenth working day is the 20th.
	assert.Equal(t, beijing(t, "2026-10-20 00:00:00"), c.WorkingDay(beijing(t, "2026-10-31 23:59:59"), 10))
	assert.Equal(t, beijing(t, "2026-10-08 00:00:00"), c.WorkingDay(beijing(t, "2026-10-01 00:00:00"), 1))
}

func TestCalendar_Add(t *testing.T) {
	p, err := market.Load("tencent", now)
	require.NoError(t, err)
	for _, tc := range []struct{ from, period, want string }{
		{"2026-09-25 10:00:00", "3 hours", "2026-09-25 13:00:00"},
		{"2026-09-25 10:00:00", "5 days", "2026-09-30 10:00:00"},
		{"2026-09-25 10:00:00", "0 days", "2026-09-25 10:00:00"},
		{"2026-09-28 10:00:00", "1 working day", "2026-09-30 00:00:00"},   // Tuesday, over with its end
		{"2026-09-30 10:00:00", "2 working days", "2026-10-10 00:00:00"},  // the 8th and the 9th
		{"2026-09-30 10:00:00", "3 working days", "2026-10-11 00:00:00"},  // and Saturday the 10th, which is worked
		{"2026-11-20 23:59:59", "7 working days", "2026-12-02 00:00:00"},  // Monday to Friday, Monday, Tuesday
		{"2026-11-21 00:00:00", "7 working days", "2026-12-02 00:00:00"},  // from a Saturday it is the same
		{"2026-01-31 08:00:00", "1 month", "2026-02-28 08:00:00"},         // a month without that day
		{"2024-02-29 08:00:00", "1 year", "2025-02-28 08:00:00"},          // a year without that day
		{"2026-11-30 08:00:00", "3 months", "2027-02-28 08:00:00"},        // over the end of the year
		{"2026-08-15 08:00:00", "15 working days", "2026-09-05 00:00:00"}, // three weeks from a Saturday
	} {
		period, err := market.ParsePeriod(tc.period)
		require.NoError(t, err)
		assert.Equal(t, tc.period, period.String())
		assert.Equal(t, beijing(t, tc.want), p.WorkingDays().Add(beijing(t, tc.from), period), "%s + %s", tc.from, tc.period)
	}
	for _, text := range []string{"", "3", "days", "-1 days", "3 weeks", "10001 days", "3.5 days", "99999999999999999999 days"} {
		_, err := market.ParsePeriod(text)
		assert.Error(t, err, text)
	}
}

func TestParseCalendar_Refuses(t *testing.T) {
	for name, text := range map[string]string{
		"a zone that is none":     "timezone: Moon/Tycho\n",
		"a holiday backwards":     "timezone: UTC\nholidays: [{from: 2026-01-02, through: 2026-01-01}]\n",
		"a holiday of a century":  "timezone: UTC\nholidays: [{from: 1926-01-02, through: 2026-01-01}]\n",
		"a day that is none":      "timezone: UTC\nworked: [2026-02-30]\n",
		"a name that is unknown":  "timezone: UTC\nfeasts: []\n",
		"something else entirely": "[]",
	} {
		_, err := market.ParseCalendar("mine.yaml", []byte(text))
		assert.ErrorContains(t, err, "mine.yaml", name)
	}
}
