// Package fault decides which exchanges are disturbed, and how. It is pure: no clock, no store, no network. The same rules decide
// the same about the same call and attempt every time, so a run can be repeated.
package fault

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// Kind is a way of disturbing an exchange. FAULTS.md says what each does and what it teaches.
type Kind string

// Faults that add an exchange to an attempt. The attempt itself is made as always, and only its answer counts.
const (
	Duplicate      Kind = "duplicate"       // the call once more, with a nonce of its own
	Replay         Kind = "replay"          // the identical bytes once more
	WrongSignature Kind = "wrong-signature" // with a signature that fits nothing
	StaleTimestamp Kind = "stale-timestamp" // rightly signed, ten minutes ago
	OtherKey       Kind = "other-key"       // signed with a key that is not the ISV's
)

// Faults that change the attempt itself. An attempt has at most one of them.
const (
	Reorder       Kind = "reorder"        // the next call of the same instance passes this one
	Delay         Kind = "delay"          // made later, by the sandbox's clock
	DropAnswer    Kind = "drop-answer"    // the ISV answers, the sandbox does not see it
	Cut           Kind = "cut"            // the connection ends in the middle of the body
	SlowBody      Kind = "slow-body"      // the body trickles in
	UnknownFields Kind = "unknown-fields" // with fields that the contract does not know
	UnsortedBody  Kind = "unsorted-body"  // with its fields in another order, and blanks between them
)

// Faults of the open API.
const (
	ServerError      Kind = "server-error"      // status 5xx
	RateLimit        Kind = "rate-limit"        // status 429 with Retry-After
	Timeout          Kind = "timeout"           // the answer is held back
	GatewayError     Kind = "gateway-error"     // the gateway in front answers for the marketplace
	PartialRejection Kind = "partial-rejection" // some usage records of a push are refused
)

var (
	extraKinds   = []Kind{Duplicate, Replay, WrongSignature, StaleTimestamp, OtherKey}
	attemptKinds = []Kind{Reorder, Delay, DropAnswer, Cut, SlowBody, UnknownFields, UnsortedBody}
	openAPIKinds = []Kind{ServerError, RateLimit, Timeout, GatewayError, PartialRejection}
)

// Kinds lists every kind.
func Kinds() []Kind { return slices.Concat(extraKinds, attemptKinds, openAPIKinds) }

// Extra tells whether the fault adds an exchange, rather than changing the attempt.
func (k Kind) Extra() bool { return slices.Contains(extraKinds, k) }

// OpenAPI tells whether the fault is one of the open API, rather than of calls to the ISV.
func (k Kind) OpenAPI() bool { return slices.Contains(openAPIKinds, k) }

// Forged tells whether the extra exchange is one that the ISV has to refuse.
func (k Kind) Forged() bool { return k == WrongSignature || k == StaleTimestamp || k == OtherKey }

// Operations are the operations of the open API that faults can be limited to, as marketplace.yaml calls them. Those of the kit login
// are an auth centre's, which faults leave alone.
var Operations = []string{
	"queryOrder", "pushUsage", "pushUsageOld", "uploadFile", "activateLicense", "activateLicenses", "licenseHeartbeat", "licenseHeartbeats",
}

// Rule says when a fault strikes. Empty criteria match everything. With neither First nor Probability it strikes once.
type Rule struct {
	ID   string `json:"faultId"`
	Kind Kind   `json:"kind"`

	Activity    string `json:"activity,omitempty"`    // calls: newInstance, tenantSync, …
	ProductCode string `json:"productCode,omitempty"` // calls: about this product
	OrderLineID string `json:"orderLineId,omitempty"` // calls: about this order line, or whatever else calls are about
	Operation   string `json:"operation,omitempty"`   // open API: queryOrder, pushUsage, …

	First       int     `json:"first,omitempty"`       // strikes the first N that match
	Probability float64 `json:"probability,omitempty"` // strikes this share of what matches, 0 to 1
	Seed        int64   `json:"seed,omitempty"`        // of the chance
	// Bound is how many attempts of one call may be disturbed before it is left alone; of the open API, how many requests in a row.
	// 0: no bound with First, and 3 with Probability.
	Bound int `json:"bound,omitempty"`

	Delay      time.Duration `json:"delay,omitempty"`      // delay: by how long on the sandbox's clock; slow-body, timeout: for how long in real time
	Status     int           `json:"status,omitempty"`     // server-error, gateway-error: HTTP status
	HTML       bool          `json:"html,omitempty"`       // gateway-error: a page instead of JSON
	RetryAfter int           `json:"retryAfter,omitempty"` // rate-limit: seconds
	RecordCode string        `json:"recordCode,omitempty"` // partial-rejection: 001 to 013
	Records    int           `json:"records,omitempty"`    // partial-rejection: how many records of a push are refused
}

// The defaults.
const (
	DefaultBound      = 3                // attempts of a call that a chance disturbs
	DefaultDelay      = 10 * time.Minute // delay
	DefaultSlow       = 2 * time.Second  // slow-body
	DefaultHold       = 30 * time.Second // timeout
	DefaultStatus     = 500              // server-error
	DefaultGateway    = 502              // gateway-error
	DefaultRetryAfter = 1                // rate-limit, in seconds
	DefaultRecordCode = "013"            // partial-rejection: state of the resource is abnormal
	maxReal           = time.Minute      // what real time may be wasted
)

// Stale is how old the timestamp of a stale-timestamp exchange is. The guides allow a minute.
const Stale = 10 * time.Minute

// ErrInvalid is wrapped by what Check returns.
var ErrInvalid = errors.New("invalid fault")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

var (
	idForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	codeForm = regexp.MustCompile(`^0(0[1-9]|1[0-3])$`)
)

// Check fills in the defaults of the kind and tells what is wrong with the rule.
func (r *Rule) Check() error {
	if !idForm.MatchString(r.ID) {
		return invalid("faultId %q: expected 1 to 64 letters, digits, points, dashes or underlines", r.ID)
	}
	if !slices.Contains(Kinds(), r.Kind) {
		return invalid("kind %q: expected one of %s", r.Kind, list(Kinds()))
	}
	if err := r.checkMatch(); err != nil {
		return err
	}
	if err := r.checkWhen(); err != nil {
		return err
	}
	return r.checkParameters()
}

func list(kinds []Kind) string {
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = string(k)
	}
	return strings.Join(texts, ", ")
}

func (r *Rule) checkMatch() error {
	if r.Kind.OpenAPI() {
		switch {
		case r.Activity != "" || r.ProductCode != "" || r.OrderLineID != "":
			return invalid("%s is a fault of the open API: expected operation, not activity, productCode or orderLineId", r.Kind)
		case r.Operation != "" && !slices.Contains(Operations, r.Operation):
			return invalid("operation %q: expected one of %s", r.Operation, strings.Join(Operations, ", "))
		case r.Kind == PartialRejection && r.Operation != "" && r.Operation != "pushUsage":
			return invalid("operation %q: only pushUsage answers about single records", r.Operation)
		}
		if r.Kind == PartialRejection {
			r.Operation = "pushUsage"
		}
		return nil
	}
	if r.Operation != "" {
		return invalid("%s is a fault of calls to the ISV: expected activity, productCode or orderLineId, not operation", r.Kind)
	}
	if _, known := providerapi.Lookup(r.Activity); r.Activity != "" && !known {
		return invalid("activity %q: expected a call of the contract, such as newInstance or tenantSync; V1 calls go by their names of V2", r.Activity)
	}
	return nil
}

func (r *Rule) checkWhen() error {
	switch {
	case r.First < 0:
		return invalid("first %d: expected 1 or more", r.First)
	case math.IsNaN(r.Probability) || r.Probability < 0 || r.Probability > 1:
		return invalid("probability %v: expected more than 0, and at most 1", r.Probability)
	case r.First > 0 && r.Probability > 0:
		return invalid("first and probability: expected one of them")
	case r.Bound < 0:
		return invalid("bound %d: expected 1 or more", r.Bound)
	}
	if r.First == 0 && r.Probability == 0 {
		r.First = 1
	}
	if r.Probability > 0 && r.Bound == 0 {
		r.Bound = DefaultBound
	}
	return nil
}

// takes says which kinds take a parameter.
var takes = map[string][]Kind{
	"delay":      {Delay, SlowBody, Timeout},
	"status":     {ServerError, GatewayError},
	"html":       {GatewayError},
	"retryAfter": {RateLimit},
	"recordCode": {PartialRejection},
	"records":    {PartialRejection},
}

func (r *Rule) checkParameters() error {
	for _, p := range []struct {
		name string
		set  bool
	}{
		{"delay", r.Delay != 0},
		{"status", r.Status != 0},
		{"html", r.HTML},
		{"retryAfter", r.RetryAfter != 0},
		{"recordCode", r.RecordCode != ""},
		{"records", r.Records != 0},
	} {
		if p.set && !slices.Contains(takes[p.name], r.Kind) {
			return invalid("%s: %s has no such parameter; %s has", p.name, r.Kind, list(takes[p.name]))
		}
	}
	switch r.Kind {
	case Delay:
		r.Delay = orDefault(r.Delay, DefaultDelay)
		if r.Delay < 0 {
			return invalid("delay %s: expected more than 0", r.Delay)
		}
	case SlowBody, Timeout:
		d := DefaultSlow
		if r.Kind == Timeout {
			d = DefaultHold
		}
		if r.Delay = orDefault(r.Delay, d); r.Delay < 0 || r.Delay > maxReal {
			return invalid("delay %s: expected more than 0 and at most %s, because it is real time", r.Delay, maxReal)
		}
	case ServerError:
		r.Status = orDefault(r.Status, DefaultStatus)
	case GatewayError:
		r.Status = orDefault(r.Status, DefaultGateway)
	case RateLimit:
		if r.RetryAfter = orDefault(r.RetryAfter, DefaultRetryAfter); r.RetryAfter < 0 || r.RetryAfter > 3600 {
			return invalid("retryAfter %d: expected 1 to 3600 seconds", r.RetryAfter)
		}
	case PartialRejection:
		r.RecordCode, r.Records = orDefault(r.RecordCode, DefaultRecordCode), orDefault(r.Records, 1)
		if !codeForm.MatchString(r.RecordCode) || r.RecordCode == "008" {
			return invalid("recordCode %q: expected a code of a usage record, 001 to 013 without 008", r.RecordCode)
		}
		if r.Records < 0 {
			return invalid("records %d: expected 1 or more", r.Records)
		}
	}
	if r.Status != 0 && (r.Status < 500 || r.Status > 599) {
		return invalid("status %d: expected 500 to 599", r.Status)
	}
	return nil
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// chance is a number from 0 up to 1 that depends on nothing but its arguments.
func chance(seed int64, rule string, a, b int64) float64 {
	text := make([]byte, 0, 64)
	text = binary.BigEndian.AppendUint64(text, uint64(seed)) //nolint:gosec // bits, not a number
	text = binary.BigEndian.AppendUint64(text, uint64(a))    //nolint:gosec // as above
	text = binary.BigEndian.AppendUint64(text, uint64(b))    //nolint:gosec // as above
	sum := sha256.Sum256(append(text, rule...))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

func (r *Rule) strikes(total, here int, a, b int64) bool {
	switch {
	case r.Bound > 0 && here >= r.Bound:
		return false
	case r.Probability > 0:
		return chance(r.Seed, r.ID, a, b) < r.Probability
	}
	return total < r.First
}
