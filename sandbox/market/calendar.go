package market

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed calendars/*.yaml
var calendarFiles embed.FS

// Calendar says which days are working days: Monday to Friday, but not holidays, and the days of a weekend that are worked for one.
// Holidays are data; in a year of which none are known every Monday to Friday counts (ours), and Knows says so.
type Calendar struct {
	Name     string    `yaml:"name"`
	Timezone string    `yaml:"timezone"`
	Source   string    `yaml:"source"`
	Years    []int     `yaml:"years"`    // whose holidays are known
	Holidays []Holiday `yaml:"holidays"` // days off
	Worked   []Date    `yaml:"worked"`   // days of a weekend that are worked

	location *time.Location
	off, on  map[Date]bool
}

// Holiday is a range of days off.
type Holiday struct {
	Name  string `yaml:"name"`
	Dates `yaml:",inline"`
}

// calendars are the embedded ones. They are read once; a test reads them too, so a broken one does not reach anybody.
var calendars = sync.OnceValue(func() map[string]*Calendar {
	all := map[string]*Calendar{}
	entries, err := calendarFiles.ReadDir("calendars")
	if err != nil {
		panic("market: " + err.Error())
	}
	for _, e := range entries {
		text, err := calendarFiles.ReadFile("calendars/" + e.Name())
		if err != nil {
			panic("market: " + err.Error())
		}
		c, err := ParseCalendar("calendars/"+e.Name(), text)
		if err != nil {
			panic("market: " + err.Error())
		}
		all[strings.TrimSuffix(e.Name(), ".yaml")] = c
	}
	return all
})

// Calendars are the names of the calendars that a document may use.
func Calendars() []string {
	var names []string
	for name := range calendars() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ParseCalendar reads a calendar. The first argument names the document in errors.
func ParseCalendar(document string, text []byte) (*Calendar, error) {
	var c Calendar
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", document, err)
	}
	var err error
	if c.location, err = time.LoadLocation(c.Timezone); err != nil {
		return nil, fmt.Errorf("%s: timezone: expected a name such as Asia/Shanghai: %w", document, err)
	}
	c.off, c.on = map[Date]bool{}, map[Date]bool{}
	for i, h := range c.Holidays {
		from, through := h.From.Start(c.location), h.Through.Start(c.location)
		if from.IsZero() || through.IsZero() || through.Before(from) || through.Sub(from) > 60*24*time.Hour {
			return nil, fmt.Errorf("%s: holidays.%d: expected two days, the second not before the first and at most 60 days later", document, i)
		}
		for day := from; !day.After(through); day = day.AddDate(0, 0, 1) {
			c.off[DateOf(day, c.location)] = true
		}
	}
	for i, day := range c.Worked {
		if day.Start(c.location).IsZero() {
			return nil, fmt.Errorf("%s: worked.%d: %q is no day, expected one such as 2026-01-04", document, i, day)
		}
		c.on[day] = true
	}
	return &c, nil
}

// Knows tells whether the holidays of the year are known.
func (c *Calendar) Knows(year int) bool { return slices.Contains(c.Years, year) }

// Working tells whether the day in which the time lies is a working day.
func (c *Calendar) Working(t time.Time) bool {
	t = t.In(c.location)
	day := DateOf(t, c.location)
	switch {
	case c.on[day]:
		return true
	case c.off[day]:
		return false
	}
	return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday
}

// WorkingDay is the n-th working day of the month in which the time lies: the midnight with which it begins. n counts from 1.
func (c *Calendar) WorkingDay(month time.Time, n int) time.Time {
	month = month.In(c.location)
	day := time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, c.location)
	for {
		if c.Working(day) {
			if n--; n <= 0 {
				return day
			}
		}
		day = day.AddDate(0, 0, 1)
	}
}

// Add is the moment at which a period that begins at t is over. Days, months and years keep the time of day, and a month that is too
// short ends with its last day (ours). Working days are counted from the day after t, and are over with the end of the last of them.
func (c *Calendar) Add(t time.Time, p Period) time.Time {
	t = t.In(c.location)
	switch p.Unit {
	case Hours:
		return t.Add(time.Duration(p.N) * time.Hour)
	case CalendarDays:
		return t.AddDate(0, 0, p.N)
	case WorkingDays:
		day := DateOf(t, c.location).Start(c.location)
		for n := 0; n < p.N; {
			day = day.AddDate(0, 0, 1)
			if c.Working(day) {
				n++
			}
		}
		return day.AddDate(0, 0, 1)
	case Months:
		return addMonths(t, p.N)
	case Years:
		return addMonths(t, 12*p.N)
	}
	return t
}

func addMonths(t time.Time, n int) time.Time {
	moved := t.AddDate(0, n, 0)
	if moved.Day() != t.Day() { // the month has no such day, so Go went on into the next
		moved = moved.AddDate(0, 0, -moved.Day())
	}
	return moved
}
