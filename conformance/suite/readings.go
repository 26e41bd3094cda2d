package suite

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// sent are the entries of the register that say how calls look, with what a reading other than the one taken makes of a right call. The
// checks that send something wrong on purpose send the same as ever.
var sent = map[string]map[string]func(curl.Request, time.Time) curl.Request{
	"TIMESTAMP-UNIT": {"seconds": func(r curl.Request, now time.Time) curl.Request {
		if r.Timestamp == "" {
			r.Timestamp = strconv.FormatInt(now.Add(r.Offset).Unix(), 10)
		}
		return r
	}},
	"SIGNATURE-CASE": {"lower": func(r curl.Request, _ time.Time) curl.Request {
		if r.Signature == curl.AsComputed {
			r.Signature = curl.LowerCase
		}
		return r
	}},
	"TEST-FLAG": {"zero": func(r curl.Request, _ time.Time) curl.Request {
		return changed(r, func(b Body) bool {
			_, has := b["testFlag"]
			if !has {
				b["testFlag"] = "0"
			}
			return !has
		})
	}},
	"EXPIRE-TIME-DIGITS": {"seventeen": func(r curl.Request, _ time.Time) curl.Request {
		return changed(r, func(b Body) bool {
			at, _ := b["expireTime"].(string)
			if len(at) != 14 {
				return false
			}
			b["expireTime"] = at + "000"
			return true
		})
	}},
}

// Sends reports whether a reading of this entry of the register can change what the marketplace sends.
func Sends(ambiguity string) bool { return sent[ambiguity] != nil }

// changed changes the body of a right call.
func changed(r curl.Request, change func(Body) bool) curl.Request {
	var b Body
	if r.Signed != "" || r.Scheme != curl.Base || json.Unmarshal([]byte(r.Body), &b) != nil || b == nil || b.Text() != r.Body || !change(b) {
		return r
	}
	r.Body = b.Text()
	return r
}

// read makes a call look as the chosen readings have it.
func (e *Env) read(r curl.Request, now time.Time) curl.Request {
	for _, ambiguity := range slices.Sorted(maps.Keys(e.Readings)) {
		if how := sent[ambiguity][e.Readings[ambiguity]]; how != nil {
			r = how(r, now)
		}
	}
	return r
}
