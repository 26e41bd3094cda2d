package usage

import (
	"errors"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

type kind int

const (
	final   kind = iota + 1 // pushing the same again gets the same answer
	healing                 // the reason may go away by itself: push again, for as long as patience says
	ours                    // the marketplace has this very record
	crossed                 // the marketplace has a record of the same instance and time, perhaps this one
)

// rule is what a code means for the window.
type rule struct {
	kind     kind
	patience time.Duration // after sealing
}

// rules decides by record-level code.
var rules = map[marketplaceapi.AbnormalUsageRecordErrorCode]rule{
	// The ISV hears of an instance first (it makes the id), the marketplace later; a wrong id stays wrong, so a day is enough.
	marketplaceapi.RecordInstanceNotFound: {healing, 24 * time.Hour},
	// Made from the same stored record each time, so the same again each time.
	marketplaceapi.RecordTimeFormat:        {kind: final},
	marketplaceapi.RecordUsageValue:        {kind: final},
	marketplaceapi.RecordMeteringSNMissing: {kind: final},
	// Nobody else makes this random id: an earlier push was taken and its answer lost.
	marketplaceapi.RecordMeteringSNDuplicate: {kind: ours},
	// People take a product off and put it back, in days; the instances go on being used.
	marketplaceapi.RecordProductDelisted: {healing, MaxAge},
	// Time does not go back.
	marketplaceapi.RecordExpired: {kind: final},
	// The id is that of another ISV's instance.
	marketplaceapi.RecordNotYourInstance: {kind: final},
	// After a push without an answer it was that push. Otherwise the time is taken by a record that this store does not know: then
	// the same metering_sn is pushed with another piece of the window, which ends in accepted or in 005, and both are exact.
	marketplaceapi.RecordDuplicate: {kind: crossed},
	// An end in the future heals when the ISV's clock is ahead; nothing else about it does.
	marketplaceapi.RecordTimeRange: {healing, time.Hour},
	// The charging mode of an instance does not change.
	marketplaceapi.RecordNotOnDemand: {kind: final},
	// Being opened, frozen, in arrears: such a state ends, at times after the 15 days that a freeze lasts.
	marketplaceapi.RecordInstanceState: {healing, MaxAge},
}

// ruleOf also knows codes that are not in the list: asking again does no harm, and a day is enough to see whether it helps.
func ruleOf(code marketplaceapi.AbnormalUsageRecordErrorCode) rule {
	if r, ok := rules[code]; ok {
		return r
	}
	return rule{healing, 24 * time.Hour}
}

// maxCrossed is how many pieces of a window are tried against records that the store does not know.
const maxCrossed = 16

// refusal reports whether a whole push was refused for what is in it, so that a part of it may pass, and which code a push of a
// single record would have had. Without a code it is pushed again for a day. That goes for 0150 (another ISV's) too: it may as well be
// about the AK/SK.
func refusal(err error) (code marketplaceapi.AbnormalUsageRecordErrorCode, ok bool) {
	switch {
	case errors.Is(err, marketplace.ErrInstanceNotFound):
		return marketplaceapi.RecordInstanceNotFound, true
	case errors.Is(err, marketplace.ErrTooOld):
		return marketplaceapi.RecordExpired, true
	}
	for _, kind := range []error{marketplace.ErrNotYours, marketplace.ErrInvalidUsage, marketplace.ErrInvalidParameter, marketplace.ErrTooManyRecords} {
		if errors.Is(err, kind) {
			return "", true
		}
	}
	var invalid *marketplace.InvalidRecordsError
	return "", errors.As(err, &invalid)
}

// maxRefused is how many records are singled out of one batch. If more are refused, then it is not for what is in them.
const maxRefused = 16

// mayBeTaken reports whether a push that ended in err may have been carried out all the same.
func mayBeTaken(err error) bool {
	var e *marketplace.Error
	if !errors.As(err, &e) {
		return true // no answer
	}
	return errors.Is(err, marketplace.ErrInternal) || e.Code == ""
}
