package delivery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
	"github.com/isvkit/isvkit/sdk/signature"
)

// answer is what an answer can have, every field still to be looked at.
type answer struct {
	ResultCode json.RawMessage `json:"resultCode"`
	ResultMsg  json.RawMessage `json:"resultMsg"`
	InstanceID json.RawMessage `json:"instanceId"` // newInstance
	AppInfo    json.RawMessage `json:"appInfo"`    // newInstance of V1
	Info       json.RawMessage `json:"info"`       // queryInstance
}

// judge decides what an answer is worth. The transport rules, in V1 the signature of the answer, and the result code decide;
// everything else that is not as the contract says is told as a violation. Debug calls are judged as the console does: nothing but
// 000000 will do, and no violation.
func judge(r *Result, p Prepared, bodySign string, body []byte) {
	r.Outcome = sandboxapi.AttemptInvalidAnswer
	if r.Status != http.StatusOK {
		r.Detail = fmt.Sprintf("HTTP status %d, expected 200 whatever happens", r.Status)
		return
	}
	if media, _, err := mime.ParseMediaType(r.ContentType); err != nil || media != "application/json" {
		r.Detail = fmt.Sprintf("Content-Type %q, expected application/json", r.ContentType)
		return
	}
	if len(body) > maxAnswer {
		r.Detail = fmt.Sprintf("the answer is longer than %d bytes", maxAnswer)
		return
	}
	document := contract.Provider()
	if p.Access == catalogue.AccessV1 {
		document = contract.ProviderV1()
	}
	schema, err := document.Answer(p.Name)
	if err != nil {
		r.Detail = err.Error()
		return
	}
	r.Violations = schema.Violations(body)
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		r.Detail = "the answer is no JSON object"
		return
	}
	broken := slices.Clone(r.Violations)
	if len(a.ResultMsg) == 0 {
		r.Violations = append(r.Violations, "resultMsg is missing; the guides differ on whether it may be, send it")
	}
	if err := json.Unmarshal(a.ResultCode, &r.ResultCode); err != nil || r.ResultCode == "" {
		r.Detail = "resultCode is missing, or no text"
		return
	}
	if p.Access == catalogue.AccessV1 {
		if err := checkBodySign(p.key, bodySign, body); err != nil {
			r.Detail = err.Error()
			return
		}
	}
	judgeCode(r, p)
	switch {
	case p.debug && r.Outcome == sandboxapi.AttemptSucceeded && len(broken) > 0:
		r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "the answer is not as the contract says: "+broken[0]
		return
	case p.debug && r.Outcome != sandboxapi.AttemptSucceeded:
		return
	}
	judgeContent(r, p, a)
}

// checkBodySign tells what is wrong with the header in which V1 has the answer signed.
func checkBodySign(key, header string, body []byte) error {
	err := signature.VerifyBodySign([]string{key}, header, body)
	var wrong *signature.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && wrong.Kind == signature.KindMissing:
		return errors.New("the header Body-Sign is missing, or has no signature; V1 has every answer signed")
	case errors.As(err, &wrong) && wrong.Kind == signature.KindMismatch:
		return errors.New("the signature in the header Body-Sign does not fit the answer; sign the very bytes that are written, with the access key")
	case errors.As(err, &wrong):
		return fmt.Errorf("the header Body-Sign cannot be read: %s", wrong.Detail)
	}
	return errors.New("the header Body-Sign cannot be judged without the access key")
}

func judgeCode(r *Result, p Prepared) {
	switch providerapi.ResultCode(r.ResultCode) {
	case providerapi.ResultSuccess:
		r.Outcome = sandboxapi.AttemptSucceeded
	case providerapi.ResultInProgress:
		r.Outcome, r.Detail = sandboxapi.AttemptInProgress, "the ISV is still at work on it"
	case providerapi.ResultInstanceNotFound:
		r.Outcome, r.Detail = sandboxapi.AttemptRefused, "the ISV knows no such instance"
		if p.Activity == providerapi.ActivityReleaseInstance || p.Activity == providerapi.ActivityReleaseLicenseCode {
			r.Outcome = sandboxapi.AttemptSucceeded // gone is gone
		}
	default:
		r.Outcome, r.Detail = sandboxapi.AttemptRefused, "result code "+r.ResultCode
		meaning := contract.Provider().Meaning("ResultCode", r.ResultCode)
		if p.Activity == "applicationSync" && r.ResultCode == string(providerapi.ResultMobileInUse) {
			meaning = "the client secret could not be decrypted; has the ISV the private key that belongs to the product's public key?"
		}
		if meaning != "" {
			r.Detail += ": " + meaning
		}
		if r.ResultCode == string(providerapi.ResultAuthenticationFailed) {
			r.Detail += fmt.Sprintf("; has the ISV the %s key of its seller (%s; the key file has the demo seller's, another's was shown when it was made)?", keyClass(p), p.keyName)
		}
	}
	if p.debug && r.ResultCode != string(providerapi.ResultSuccess) {
		r.Outcome = sandboxapi.AttemptRefused
		r.Detail += "; a debug call succeeds with 000000, whatever it names"
	}
}

func keyClass(p Prepared) providerapi.Class {
	if p.Access == catalogue.AccessV1 {
		return providerapi.ClassBase // one key for all
	}
	return p.Class
}

func judgeContent(r *Result, p Prepared, a answer) {
	opened := r.Outcome == sandboxapi.AttemptSucceeded || r.Outcome == sandboxapi.AttemptInProgress
	switch {
	case p.Name == "newInstance" && opened:
		// V1 may be at work on it without having named it yet: it is called again.
		if p.Access == catalogue.AccessV1 && r.Outcome == sandboxapi.AttemptInProgress && len(a.InstanceID) == 0 {
			return
		}
		judgeInstanceID(r, p, a)
	case p.Name == "queryInstance" && r.Outcome == sandboxapi.AttemptSucceeded:
		judgeInfo(r, p, a.Info)
	}
}

func judgeInstanceID(r *Result, p Prepared, a answer) {
	var id string
	if err := json.Unmarshal(a.InstanceID, &id); err != nil || id == "" {
		r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "instanceId is missing, or no text"
		return
	}
	if n := utf8.RuneCountInString(id); n > 64 {
		r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, fmt.Sprintf("instanceId is %d characters long, expected at most 64", n)
		return
	}
	if p.instanceID != "" && id != p.instanceID {
		r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "newInstance of the same order answers another instanceId than before"
		return
	}
	r.Lifecycle = lifecycle.Answer{InProgress: r.Outcome == sandboxapi.AttemptInProgress, InstanceID: id}
	var app providerapi.AppInfo
	if p.Access == catalogue.AccessV1 && len(a.AppInfo) > 0 && json.Unmarshal(a.AppInfo, &app) == nil {
		r.Lifecycle.FrontEndURL = app.FrontEndURL
		r.Info = shown(p, []providerapi.InstanceInfo{{InstanceID: id, AppInfo: app}})
	}
}

// shown is what a buyer is shown of instances: no initial password, and of V1 no account either, which is encrypted.
func shown(p Prepared, info []providerapi.InstanceInfo) []providerapi.InstanceInfo {
	for i := range info {
		info[i].AppInfo.Password = ""
		if p.Access == catalogue.AccessV1 {
			info[i].AppInfo.UserName = ""
		}
	}
	return info
}

func judgeInfo(r *Result, p Prepared, raw json.RawMessage) {
	var info []providerapi.InstanceInfo
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &info); err != nil {
			r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "info is not as the contract says"
			return
		}
	}
	ids := strings.Split(p.instanceID, ",")
	some := slices.ContainsFunc(info, func(i providerapi.InstanceInfo) bool { return slices.Contains(ids, i.InstanceID) })
	for n, id := range ids {
		i := slices.IndexFunc(info, func(i providerapi.InstanceInfo) bool { return i.InstanceID == id })
		if i < 0 && (p.debug || some) {
			continue // the ids of debug calls are made up; and of several the ISV may know only some
		}
		if i < 0 {
			r.Outcome, r.Detail = sandboxapi.AttemptInvalidAnswer, "info has no entry for the instance that was asked for"
			return
		}
		if p.metered && len(info[i].UsageInfo) == 0 {
			r.MissUsage()
		}
		if n == 0 {
			r.Lifecycle.FrontEndURL, r.Usage = info[i].AppInfo.FrontEndURL, info[i].UsageInfo
		}
	}
	r.Info = shown(p, info)
}

// judgeExtra tells what is wrong with the answer to an exchange that was made besides an attempt. It changes nothing else: the
// attempt itself is what counts.
func judgeExtra(r *Result, p Prepared, attempt Result, kind fault.Kind) {
	wrong := func(format string, args ...any) { r.Violations = append(r.Violations, fmt.Sprintf(format, args...)) }
	accepted := r.ResultCode == string(providerapi.ResultSuccess) || r.ResultCode == string(providerapi.ResultInProgress)
	switch {
	case kind == fault.StaleTimestamp && p.Access == catalogue.AccessV1: // no window is documented
	case kind.Forged() && accepted:
		wrong("%s: a call that must not be believed was answered %s; verify the signature and the time before anything else", kind, r.ResultCode)
	case kind.Forged():
	case r.Outcome == sandboxapi.AttemptUnreachable || r.Outcome == sandboxapi.AttemptTimeout:
		wrong("%s: no answer to a call that came twice", kind)
	case !attempt.Succeeded(p.Activity): // what was refused, or not seen, can end another way the second time
	case kind == fault.Replay && !accepted: // its nonce was used, it may be refused
	case !sameCode(p, attempt.ResultCode, r.ResultCode):
		wrong("%s: answered %s, the first time it was %s; the same call gets the same answer however often it comes", kind, orText(r.ResultCode, "nothing that is a result code"), attempt.ResultCode)
	case r.Lifecycle.InstanceID != attempt.Lifecycle.InstanceID:
		wrong("%s: another instanceId than the first time; one order line is one instance", kind)
	}
}

// sameCode: what was under way may have ended, and what was released may be unknown, by the second time.
func sameCode(p Prepared, first, second string) bool {
	released := p.Activity == providerapi.ActivityReleaseInstance || p.Activity == providerapi.ActivityReleaseLicenseCode
	return first == second ||
		first == string(providerapi.ResultInProgress) && second == string(providerapi.ResultSuccess) ||
		released && second == string(providerapi.ResultInstanceNotFound)
}

// ForJournal cuts an answer and blanks the initial passwords in it, whatever else calls itself a secret, and the given ones, so that it can
// be kept and shown.
func ForJournal(body []byte, given ...string) string {
	// Blank first: a cut in the middle of a password would hide it.
	blanked := []byte(secrets.Redact(string(body)))
	for _, s := range given {
		if s != "" {
			blanked = bytes.ReplaceAll(blanked, []byte(s), []byte("***"))
		}
	}
	return strings.ToValidUTF8(string(blanked[:min(len(blanked), maxJournal)]), "\uFFFD")
}

// Metered tells whether an instance is charged by usage, so that queryInstance has to tell of it.
func Metered(i lifecycle.Instance) bool {
	return i.ChargingMode == marketplaceapi.ChargingOnDemand || i.ChargingMode == marketplaceapi.ChargingPackage
}

// MissUsage notes that the answer to a queryInstance says nothing of the usage of a metered instance.
func (r *Result) MissUsage() {
	r.Violations = append(r.Violations, "usageInfo is missing; instances that are charged by usage have it")
}
