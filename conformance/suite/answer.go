package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// Answer is what came back for one call. It is read as forgivingly as can be, so that one fault does not show up in every check;
// the checks of area ANS are strict.
type Answer struct {
	Err         error // no HTTP answer
	Status      int
	ContentType string
	Header      http.Header
	Body        []byte
	Duration    time.Duration
	talk        *transcript // the exchange it ended

	JSONErr    error // the body is no JSON object
	Code       string
	InstanceID string
	Info       []Entry
	Fields     map[string]json.RawMessage
}

// Entry is one element of info.
type Entry struct {
	InstanceID string
	Fields     map[string]json.RawMessage
}

func (a *Answer) parse() {
	if err := json.Unmarshal(a.Body, &a.Fields); err != nil || a.Fields == nil {
		a.JSONErr = err
		if err == nil {
			a.JSONErr = fmt.Errorf("it is null")
		}
		return
	}
	a.Code = text(a.Fields["resultCode"])
	var n json.Number
	if a.Code == "" && json.Unmarshal(a.Fields["resultCode"], &n) == nil {
		a.Code = strings.Repeat("0", max(0, 6-len(n))) + string(n)
	}
	a.InstanceID = text(a.Fields["instanceId"])
	var entries []map[string]json.RawMessage
	_ = json.Unmarshal(a.Fields["info"], &entries)
	for _, e := range entries {
		a.Info = append(a.Info, Entry{InstanceID: text(e["instanceId"]), Fields: e})
	}
}

func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

// ok reports a status of success; that it must be 200 exactly is a check of its own.
func (a *Answer) ok() bool { return a.Err == nil && a.Status >= 200 && a.Status < 300 }

// Succeeded reports 000000.
func (a *Answer) Succeeded() bool { return a.ok() && a.Code == string(providerapi.ResultSuccess) }

// InProgress reports 000004.
func (a *Answer) InProgress() bool { return a.ok() && a.Code == string(providerapi.ResultInProgress) }

// Refused reports any answer that tells the marketplace no.
func (a *Answer) Refused() bool { return a.Err == nil && !a.Succeeded() && !a.InProgress() }

// Entry finds the entry of info about an instance.
func (a *Answer) Entry(id string) (Entry, bool) {
	for _, e := range a.Info {
		if e.InstanceID == id {
			return e, true
		}
	}
	return Entry{}, false
}

// JSONContentType reports whether the content type is application/json.
func (a *Answer) JSONContentType() bool {
	kind, _, err := mime.ParseMediaType(a.ContentType)
	return err == nil && kind == "application/json"
}

// String describes the answer in a few words, for messages.
func (a *Answer) String() string {
	if a.Err != nil {
		return "no answer (" + a.Err.Error() + ")"
	}
	status := ""
	if a.Status != 200 {
		status = fmt.Sprintf("HTTP %d with ", a.Status)
	}
	if a.JSONErr != nil {
		return status + "a body that is no JSON object: " + shorten(a.Body)
	}
	if a.Code == "" {
		return status + "no resultCode: " + shorten(a.Body)
	}
	msg := text(a.Fields["resultMsg"])
	if msg == "" {
		return status + a.Code
	}
	return status + a.Code + " (" + shorten([]byte(msg)) + ")"
}

func shorten(b []byte) string {
	const most = 120
	s := strings.ToValidUTF8(string(bytes.Join(bytes.Fields(b), []byte(" "))), "?")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
