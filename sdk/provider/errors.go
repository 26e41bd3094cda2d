package provider

import (
	"errors"
	"strings"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// ResultCode is how a call ended, six digits.
type ResultCode = providerapi.ResultCode

// Error is a refusal with a documented result code. Return one of the Err… variables where the code says enough, wrapped or not,
// and an Error of your own where people should read more:
//
//	return &provider.Error{Code: provider.ErrInvalidParameter.Code, Message: "42 seats are in use, the target has 20"}
//
// Every error that is neither is answered 000005 and its text goes to the log only.
type Error struct {
	Code ResultCode
	// Message is the resultMsg the marketplace gets; it may show it to the buyer. Empty means the standard text of the
	// code; more than 255 characters are cut.
	Message string
}

// The documented refusals an Application can return. Codes from 000100 to 000107 are for NewInstance only.
var (
	ErrInvalidParameter  = &Error{Code: providerapi.ResultInvalidParameter}  // 000002: a parameter makes no sense to the Application
	ErrInstanceNotFound  = &Error{Code: providerapi.ResultInstanceNotFound}  // 000003: no such instance
	ErrInProgress        = &Error{Code: providerapi.ResultInProgress}        // 000004: accepted, the work goes on
	ErrNoResource        = &Error{Code: providerapi.ResultNoResource}        // 000100: no resource left for another instance
	ErrMobileInUse       = &Error{Code: providerapi.ResultMobileInUse}       // 000101: mobile number empty or registered already
	ErrEmailInUse        = &Error{Code: providerapi.ResultEmailInUse}        // 000102: e-mail address empty or registered already
	ErrCannotBuyAgain    = &Error{Code: providerapi.ResultCannotBuyAgain}    // 000103: the product cannot be bought a second time
	ErrServiceError      = &Error{Code: providerapi.ResultServiceError}      // 000104: error inside the product's service
	ErrBenefitExists     = &Error{Code: providerapi.ResultBenefitExists}     // 000105: the account has this benefit already
	ErrSoldOut           = &Error{Code: providerapi.ResultSoldOut}           // 000106: sold out
	ErrEmailDomainExists = &Error{Code: providerapi.ResultEmailDomainExists} // 000107: the e-mail domain exists already

	// ErrClientSecret is 000101 too, for ApplicationSync only: the client secret is not usable. The handler answers it by itself
	// where the secret cannot be decrypted.
	ErrClientSecret = &Error{Code: providerapi.ResultMobileInUse, Message: "the client secret cannot be decrypted"}

	// The codes that the guide of online licences lists without a text that can be seen; for a Licenser only.
	ErrLicense900 = &Error{Code: providerapi.ResultLicense900} // 000900
	ErrLicense901 = &Error{Code: providerapi.ResultLicense901} // 000901
	ErrLicense902 = &Error{Code: providerapi.ResultLicense902} // 000902
	ErrLicense903 = &Error{Code: providerapi.ResultLicense903} // 000903
)

var sentinels = []*Error{
	ErrInvalidParameter, ErrInstanceNotFound, ErrInProgress, ErrNoResource, ErrMobileInUse, ErrEmailInUse,
	ErrCannotBuyAgain, ErrServiceError, ErrBenefitExists, ErrSoldOut, ErrEmailDomainExists,
	ErrClientSecret, ErrLicense900, ErrLicense901, ErrLicense902, ErrLicense903,
}

// Error returns the code and the text.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = standardText(e.Code)
	}
	return "provider: result " + string(e.Code) + ": " + text
}

// Is reports whether target is an Error of the same code: errors.Is(err, ErrSoldOut) holds whatever the message.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

const maxMessage = 255 // characters; length of resultMsg in the contract

// standardText is the one resultMsg of a code.
func standardText(code ResultCode) string {
	switch code {
	case providerapi.ResultSuccess:
		return "success"
	case providerapi.ResultAuthenticationFailed:
		return "authentication failed"
	case providerapi.ResultInvalidParameter:
		return "invalid request parameter"
	case providerapi.ResultInstanceNotFound:
		return "the instance does not exist"
	case providerapi.ResultInProgress:
		return "being processed"
	case providerapi.ResultNoResource:
		return "no resource is left for another instance"
	case providerapi.ResultMobileInUse:
		return "the mobile number is empty or registered already"
	case providerapi.ResultEmailInUse:
		return "the e-mail address is empty or registered already"
	case providerapi.ResultCannotBuyAgain:
		return "the product cannot be bought a second time"
	case providerapi.ResultServiceError:
		return "error inside the product's service"
	case providerapi.ResultBenefitExists:
		return "the account has this benefit already"
	case providerapi.ResultSoldOut:
		return "sold out"
	case providerapi.ResultEmailDomainExists:
		return "the e-mail domain exists already"
	case providerapi.ResultLicense900, providerapi.ResultLicense901, providerapi.ResultLicense902, providerapi.ResultLicense903:
		return "the licence is refused"
	case providerapi.ResultInternalError:
	}
	return "internal error"
}

// result maps what an Application returned to the code and the text that are answered. Anything undocumented is 000005 and
// tells the peer nothing.
func result(activity providerapi.Activity, err error) (code ResultCode, msg string) {
	if err == nil {
		return providerapi.ResultSuccess, ""
	}
	var refusal *Error
	if !errors.As(err, &refusal) {
		for _, s := range sentinels {
			if errors.Is(err, s) { // an error type with an Is method of its own
				refusal = s
				break
			}
		}
	}
	if refusal == nil || !mayAnswer(activity, refusal.Code) {
		return providerapi.ResultInternalError, ""
	}
	if refusal.Message == "" && refusal.Code == ErrClientSecret.Code && activity == applicationSync {
		return refusal.Code, ErrClientSecret.Message
	}
	return refusal.Code, refusal.Message
}

const applicationSync = "applicationSync"

// mayAnswer reports whether a failed call of this activity may be answered with code.
func mayAnswer(activity providerapi.Activity, code ResultCode) bool {
	switch code {
	case providerapi.ResultInvalidParameter, providerapi.ResultInProgress, providerapi.ResultInternalError:
		return true
	case providerapi.ResultInstanceNotFound:
		return activity != providerapi.ActivityNewInstance && activity != providerapi.ActivityOrderNotify
	case providerapi.ResultSuccess, providerapi.ResultAuthenticationFailed:
		return false
	case providerapi.ResultLicense900, providerapi.ResultLicense901, providerapi.ResultLicense902, providerapi.ResultLicense903:
		return classOf(string(activity)) == providerapi.ClassLicense
	default:
		return code.Valid() && (activity == providerapi.ActivityNewInstance || activity == applicationSync && code == ErrClientSecret.Code)
	}
}

// clip cuts text to at most n characters of valid UTF-8 without control characters.
func clip(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= n {
		return text
	}
	count := 0
	for i := range text {
		if count == n {
			return text[:i]
		}
		count++
	}
	return text
}
