package usage

import "errors"

// Why [Reporter.Record] refused, for [errors.Is]. Nothing was recorded then, and repeating the same call is no use.
var (
	ErrInvalidAmount     = errors.New("usage: no decimal number")
	ErrTooManyDecimals   = errors.New("usage: too many decimals")
	ErrAmountNotPositive = errors.New("usage: the amount is not above 0")
	ErrAmountTooLarge    = errors.New("usage: the amount has too many digits")                         // more than 99999999.9999
	ErrTooOld            = errors.New("usage: the window began more than 21 days ago")                 // the marketplace takes none of those
	ErrInFuture          = errors.New("usage: the time lies in the future")                            // more than 5 minutes ahead
	ErrInvalidID         = errors.New("usage: invalid id")                                             // of instance, package instance or call
	ErrConflictingID     = errors.New("usage: this id has been recorded with another amount or owner") // see [ID]
)

// ErrNotFound says that no rejected window has this metering_sn.
var ErrNotFound = errors.New("usage: no rejected window has this metering_sn")
