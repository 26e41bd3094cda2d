package marketplace

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The kinds of refusal, for [errors.Is]. Four digits are those of the marketplace's code, with prefix MKT. or the older
// CBC.; eight digits are a whole code.
var (
	ErrInvalidParameter = errors.New("marketplace: invalid parameter")                 // 0100, 0101, 0199, 92020002, 95000001 to 95000004
	ErrBadSignature     = errors.New("marketplace: signature refused")                 // 0102 (body), APIGW.0301 and APIGW.0303 (AK/SK)
	ErrNotYours         = errors.New("marketplace: the object is another ISV's")       // 0150
	ErrNotSeller        = errors.New("marketplace: the caller is not a seller")        // 0151
	ErrIllegalToken     = errors.New("marketplace: illegal token")                     // 0154
	ErrRateLimited      = errors.New("marketplace: too many calls")                    // 0250, APIGW.0308, HTTP 429
	ErrInternal         = errors.New("marketplace: error inside the marketplace")      // 0999, 92020001, or HTTP 5xx without a code
	ErrInstanceNotFound = errors.New("marketplace: no such instance")                  // 9001
	ErrInvalidUsage     = errors.New("marketplace: invalid usage records")             // 9002
	ErrTooManyRecords   = errors.New("marketplace: too many usage records")            // 9003, and PushUsage before it sends
	ErrTooOld           = errors.New("marketplace: usage began more than 21 days ago") // 9004
	ErrLicenseNotFound  = errors.New("marketplace: no such licence")                   // 92020005, 92020020 (one of a list)
	ErrLicenseState     = errors.New("marketplace: state of the licence forbids it")   // 92020003, 92020004, 92020011, 91381034, 91381035
)

// Error is an answer that says no. Everything in it was said by the peer: by the marketplace, or by the gateway in front of it.
// Failures to get an answer are other errors.
type Error struct {
	Operation string // queryOrder, pushUsage, …: the operationId of the contract
	Status    int    // HTTP status
	Code      string // "MKT.0150", "92020003", "APIGW.0301", …; empty if the answer had none
	Message   string // text for people
	ExtraInfo string // more, with some codes
	RequestID string // the gateway's id of the request, worth quoting to support
}

// Error returns everything that is known in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "marketplace: %s: HTTP %d", e.Operation, e.Status)
	if e.Code != "" {
		b.WriteString(", " + oneLine(e.Code, 64))
	}
	if e.Message != "" {
		b.WriteString(": " + oneLine(e.Message, 1024))
	}
	if e.ExtraInfo != "" {
		b.WriteString(" (" + oneLine(e.ExtraInfo, 256) + ")")
	}
	if e.RequestID != "" {
		b.WriteString(" [request " + oneLine(e.RequestID, 64) + "]")
	}
	return b.String()
}

// Is reports whether target is the sentinel of e's code.
func (e *Error) Is(target error) bool {
	kind := e.kind()
	return kind != nil && target == kind
}

func (e *Error) kind() error {
	if suffix, ok := marketplaceCode(e.Code); ok {
		switch suffix {
		case "0100", "0101", "0199", "92020002", "95000001", "95000002", "95000003", "95000004":
			return ErrInvalidParameter
		case "0102":
			return ErrBadSignature
		case "0150":
			return ErrNotYours
		case "0151":
			return ErrNotSeller
		case "0154":
			return ErrIllegalToken
		case codeRateLimited:
			return ErrRateLimited
		case codeInternal, codeLicenseInternal:
			return ErrInternal
		case "92020005", "92020020":
			return ErrLicenseNotFound
		case "92020003", "92020004", "92020011", "91381034", "91381035":
			return ErrLicenseState
		case "9001":
			return ErrInstanceNotFound
		case "9002":
			return ErrInvalidUsage
		case "9003":
			return ErrTooManyRecords
		case "9004":
			return ErrTooOld
		}
		return nil
	}
	switch {
	case e.Code == "APIGW.0301" || e.Code == "APIGW.0303":
		return ErrBadSignature
	case e.Code == codeThrottled || e.Status == http.StatusTooManyRequests:
		return ErrRateLimited
	case e.Status >= http.StatusInternalServerError:
		return ErrInternal
	}
	return nil
}

const (
	codeSuccess     = "0000"
	codeRateLimited = "0250"
	codeInternal    = "0999"
	codeSomeBad     = "94060999" // some usage records were not accepted
	codeThrottled   = "APIGW.0308"

	codeLicenseSuccess  = "92020000" // also of uploads
	codeLicenseInternal = "92020001"
)

// marketplaceCode returns a code of the marketplace itself without its prefix: four digits, or eight.
func marketplaceCode(code string) (digits string, ok bool) {
	if len(code) == 8 && strings.Trim(code, "0123456789") == "" {
		return code, true
	}
	digits, ok = strings.CutPrefix(code, "MKT.")
	if !ok {
		digits, ok = strings.CutPrefix(code, "CBC.")
	}
	return digits, ok
}

// oneLine cuts what the peer said to at most n bytes in one line of valid UTF-8.
func oneLine(text string, n int) string {
	if len(text) > n {
		text = text[:n] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// InvalidRecord is one usage record that was not sent because it breaks the contract.
type InvalidRecord struct {
	Index   int    // in the records that were given
	Field   string // name in JSON
	Problem string // what is wrong with it
}

// InvalidRecordsError lists the records that break the contract. Nothing was sent.
type InvalidRecordsError struct{ Records []InvalidRecord }

// Error names the first few.
func (e *InvalidRecordsError) Error() string {
	const shown = 3
	var b strings.Builder
	b.WriteString("marketplace: usage records not sent")
	for i, r := range e.Records {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.Records)-shown)
			break
		}
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%srecord %d: %s %s", sep, r.Index, r.Field, r.Problem)
	}
	return b.String()
}
