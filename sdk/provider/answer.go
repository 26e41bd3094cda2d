package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// answer is an answer on the wire: resultCode and resultMsg always, because the marketplace has been seen to fail at an answer
// without resultMsg.
type answer struct {
	AppInfo     *AppInfo       `json:"appInfo,omitempty"`     // V1
	EncryptType string         `json:"encryptType,omitempty"` // V1
	Info        []InstanceInfo `json:"info,omitempty"`
	InstanceID  string         `json:"instanceId,omitempty"`
	ResultCode  ResultCode     `json:"resultCode"`
	ResultMsg   string         `json:"resultMsg"`
}

func (rep *reply) encode() ([]byte, error) {
	msg := rep.msg
	if msg == "" {
		msg = standardText(rep.code)
	}
	a := answer{AppInfo: rep.appInfo, EncryptType: rep.encryptType, Info: rep.info, InstanceID: rep.instanceID, ResultCode: rep.code, ResultMsg: clip(msg, maxMessage)}
	var b bytes.Buffer
	b.Grow(128)
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // addresses stay readable
	if err := encoder.Encode(&a); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ascii writes what is beyond ASCII as \uXXXX, as the guide of V1 wants it. In JSON that can stand in texts only.
func ascii(body []byte) []byte {
	if !bytes.ContainsFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return body
	}
	out := make([]byte, 0, 2*len(body))
	for _, r := range string(body) {
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r)) //nolint:gosec // below 0x80
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// checkInstanceID returns what is wrong with an instance id an Application named, "" if nothing is.
func checkInstanceID(id string) string {
	switch n := utf8.RuneCountInString(id); {
	case n == 0:
		return "is empty"
	case n > 64:
		return fmt.Sprintf("is %d characters long, expected at most 64", n)
	case !utf8.ValidString(id):
		return "is not UTF-8"
	case strings.ContainsFunc(id, func(r rune) bool { return r == ',' || r < ' ' || r == 0x7f }):
		return "has a comma or a control character in it; queryInstance separates ids by commas"
	}
	return ""
}

var statisticalTime = regexp.MustCompile(`^[0-9]{14}([0-9]{3})?$`)

// checkInfo returns what is wrong with an entry by the contract, "" if nothing is. It quotes no values.
func checkInfo(info *InstanceInfo) string {
	if problem := checkInstanceID(info.InstanceID); problem != "" {
		return "instanceId " + problem
	}
	if app := &info.AppInfo; *app != (AppInfo{}) {
		if app.FrontEndURL == "" {
			return "appInfo.frontEndUrl is empty"
		}
		for _, f := range []struct {
			name, value string
			most        int
		}{
			{"frontEndUrl", app.FrontEndURL, 512},
			{"adminUrl", app.AdminURL, 512},
			{"userName", app.UserName, 128},
			{"password", app.Password, 128},
			{"memo", app.Memo, 1024},
		} {
			if problem := tooLong(f.value, f.most); problem != "" {
				return "appInfo." + f.name + problem
			}
		}
	}
	for i := range info.UsageInfo {
		usage := &info.UsageInfo[i]
		problem := ""
		switch {
		case !statisticalTime.MatchString(usage.StatisticalTime):
			problem = ".statisticalTime is not of the form yyyyMMddHHmmssSSS"
		case !usageValue(usage.UsageValue):
			problem = ".usageValue is no plain decimal number with at most 4 decimals"
		case tooLong(usage.RelatedInstanceID, 64) != "":
			problem = ".relatedInstanceId" + tooLong(usage.RelatedInstanceID, 64)
		case tooLong(usage.DashboardURL, 512) != "":
			problem = ".dashboardUrl" + tooLong(usage.DashboardURL, 512)
		}
		if problem != "" {
			return fmt.Sprintf("usageInfo[%d]%s", i, problem)
		}
	}
	return ""
}

func tooLong(text string, most int) string {
	if n := utf8.RuneCountInString(text); n > most {
		return fmt.Sprintf(" is %d characters long, expected at most %d", n, most)
	}
	return ""
}

var plainNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})?$`)

func usageValue(n json.Number) bool { return plainNumber.MatchString(string(n)) }
