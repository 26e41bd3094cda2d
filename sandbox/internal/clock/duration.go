package clock

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var days = regexp.MustCompile(`^([0-9]{1,6})d(.*)$`)

// maxMove keeps times far within the four-digit years that the protocol can write, and within a time.Duration.
const maxMove = 100 * 366 * 24 * time.Hour

// ParseDuration reads a way to move the clock: what time.ParseDuration reads, with days in front, such as `366d` or `1d12h`.
func ParseDuration(s string) (time.Duration, error) {
	fail := fmt.Errorf("duration %q: expected days, hours, minutes or seconds such as 366d, 36h, 90m or 1d12h, more than 0 and at most 100 years", s)
	rest, total := s, time.Duration(0)
	if m := days.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > int(maxMove/(24*time.Hour)) {
			return 0, fail
		}
		total, rest = time.Duration(n)*24*time.Hour, m[2]
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fail
		}
		total += d
	}
	if total <= 0 || total > maxMove {
		return 0, fail
	}
	return total, nil
}
