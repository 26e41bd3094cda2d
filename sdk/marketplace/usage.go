package marketplace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// MaxRecords is how many usage records one push may have.
const MaxRecords = 1000

const (
	recordTime = "20060102T150405Z"
	orderTime  = "20060102150405"
)

// FormatTime writes a time as usage records want it: UTC, yyyyMMddTHHmmssZ. Fractions of a second are cut off.
func FormatTime(t time.Time) string { return t.UTC().Format(recordTime) }

// ParseOrderTime reads a time of an order, such as createTime and expireTime: UTC, yyyyMMddHHmmss. (The vendor's texts do not name the
// zone; their examples are UTC.)
func ParseOrderTime(text string) (time.Time, error) {
	at, err := time.Parse(orderTime, text)
	if err != nil || len(text) != len(orderTime) {
		return time.Time{}, fmt.Errorf("marketplace: order time %q: expected yyyyMMddHHmmss", oneLine(text, 32))
	}
	return at, nil
}

// PushResult is how a push ended that the marketplace read.
type PushResult struct {
	Accepted int        // records taken by this push
	Rejected []Rejected // the others, as the marketplace lists them
}

// Rejected is a record that was not taken.
type Rejected struct {
	Index   int                                         // in the records that were pushed; -1 if the answer does not say which
	Record  marketplaceapi.UsageRecord                  // as pushed; zero if Index is -1
	Code    marketplaceapi.AbnormalUsageRecordErrorCode // 001 to 013
	Message string                                      // text for people
}

// Repeat reports whether the marketplace has the record already: its metering_sn (005), or a record of the same instance and time
// (010). That is how a push ends whose first attempt was taken though its answer was lost, so it is no reason to push again.
func (r Rejected) Repeat() bool {
	return r.Code == marketplaceapi.RecordMeteringSNDuplicate || r.Code == marketplaceapi.RecordDuplicate
}

// PushUsage pushes usage records of on-demand instances, 1 to [MaxRecords] at once. Records are compared with the contract first;
// a wrong one is an *[InvalidRecordsError], and nothing is sent then. A nil error means that the push was read: look at Rejected.
//
// An unanswered push is repeated, so choose metering_sn yourself, store it with the usage, and use it again when you push the
// same usage again. The pattern to follow is in [Rejected.Repeat].
//
//isvkit:operation pushUsage
func (c *Client) PushUsage(ctx context.Context, records []marketplaceapi.UsageRecord) (*PushResult, error) {
	const op = "pushUsage"
	if c.usage == nil {
		return nil, errors.New("marketplace: " + op + ": Config.BaseKey is empty, and it has to sign the body")
	}
	if err := checkCount(op, len(records)); err != nil {
		return nil, err
	}
	if err := checkRecords(records); err != nil {
		return nil, err
	}
	body, err := encode(marketplaceapi.UsagePush{UsageRecords: records})
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: %w", op, err)
	}
	req, err := marketplaceapi.NewPushUsageRequestWithBody(c.server, nil, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: %w", op, err)
	}
	ans, err := c.do(ctx, &call{operation: op, repeatable: true, signUsage: true}, req)
	if err != nil {
		return nil, err
	}
	return pushResult(op, records, ans)
}

// PushUsageOld pushes usage records in the older form, 1 to [MaxRecords] at once. The marketplace does not tell which records it
// did not take; they show up in the seller's console. Without a metering_sn a push is repeated only where it certainly was not
// taken: after another error it may or may not have been.
//
//isvkit:operation pushUsageOld
func (c *Client) PushUsageOld(ctx context.Context, records []marketplaceapi.UsageRecordOld) error {
	const op = "pushUsageOld"
	if err := checkCount(op, len(records)); err != nil {
		return err
	}
	if err := checkRecordsOld(records); err != nil {
		return err
	}
	body, err := encode(marketplaceapi.UsagePushOld{UsageRecords: records})
	if err != nil {
		return fmt.Errorf("marketplace: %s: %w", op, err)
	}
	req, err := marketplaceapi.NewPushUsageOldRequestWithBody(c.server, "application/json", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("marketplace: %s: %w", op, err)
	}
	ans, err := c.do(ctx, &call{operation: op}, req)
	if err != nil {
		return err
	}
	if !ans.succeeded() {
		return ans.refusal(op)
	}
	return nil
}

// pushResult reads the answer to a push: a success, a list of records that were not taken, or a refusal of the whole.
func pushResult(op string, records []marketplaceapi.UsageRecord, ans *answered) (*PushResult, error) {
	someBad := ans.code() == codeSomeBad // whatever the status, because it brings the list
	if !someBad && !ans.succeeded() {
		return nil, ans.refusal(op)
	}
	var body marketplaceapi.UsageAnswer
	if err := json.Unmarshal(ans.body, &body); err != nil {
		return nil, fmt.Errorf("marketplace: %s: read the answer: %w", op, err)
	}
	listed := body.Data.AbnormalUsageData
	if someBad && len(listed) == 0 {
		return nil, ans.refusal(op) // some were not taken, and nobody says which
	}
	res := &PushResult{}
	named := make(map[int]bool, len(listed))
	unnamed := 0
	for _, r := range listed {
		rejected := Rejected{Index: indexOf(records, r), Code: r.ErrorCode, Message: r.ErrorMsg}
		if rejected.Index >= 0 {
			rejected.Record = records[rejected.Index]
			named[rejected.Index] = true
		} else {
			unnamed++
		}
		res.Rejected = append(res.Rejected, rejected)
	}
	res.Accepted = max(len(records)-len(named)-unnamed, 0)
	return res, nil
}

// indexOf finds the record an entry is about: by metering_sn, or by instance and time where the entry has none.
func indexOf(records []marketplaceapi.UsageRecord, r marketplaceapi.AbnormalUsageRecord) int {
	for i := range records {
		switch p := &records[i]; {
		case r.MeteringSN != "":
			if p.MeteringSN == r.MeteringSN {
				return i
			}
		case r.InstanceID != "" && p.InstanceID == r.InstanceID && p.BeginTime == r.BeginTime && p.EndTime == r.EndTime:
			return i
		}
	}
	return -1
}

func checkCount(op string, n int) error {
	switch {
	case n == 0:
		return errors.New("marketplace: " + op + ": no records, expected at least one")
	case n > MaxRecords:
		return fmt.Errorf("%w: %s: %d, expected at most %d", ErrTooManyRecords, op, n, MaxRecords)
	}
	return nil
}

// checker collects the first problem of each record.
type checker struct{ found []InvalidRecord }

func (c *checker) first(index int, problems ...[2]string) {
	for _, p := range problems {
		if p[1] != "" {
			c.found = append(c.found, InvalidRecord{Index: index, Field: p[0], Problem: p[1]})
			return
		}
	}
}

func (c *checker) err() error {
	if len(c.found) == 0 {
		return nil
	}
	return &InvalidRecordsError{Records: c.found}
}

func checkRecords(records []marketplaceapi.UsageRecord) error {
	var c checker
	seen := make(map[string]int, len(records))
	for i := range records {
		r := &records[i]
		twice := ""
		if first, ok := seen[r.MeteringSN]; ok {
			twice = fmt.Sprintf("is that of record %d too", first)
		} else {
			seen[r.MeteringSN] = i
		}
		c.first(i,
			[2]string{"metering_sn", textProblem(r.MeteringSN, 1)},
			[2]string{"metering_sn", twice},
			[2]string{"instance_id", textProblem(r.InstanceID, 1)},
			[2]string{"record_time", timeProblem(r.RecordTime)},
			[2]string{"begin_time", timeProblem(r.BeginTime)},
			[2]string{"end_time", timeProblem(r.EndTime)},
			[2]string{"end_time", orderProblem(r.BeginTime, r.EndTime)},
			[2]string{"usage_value", valueProblem(r.UsageValue)},
			[2]string{"relate_pkg_instance", textProblem(r.RelatePkgInstance, 0)},
		)
	}
	return c.err()
}

func checkRecordsOld(records []marketplaceapi.UsageRecordOld) error {
	var c checker
	for i := range records {
		r := &records[i]
		c.first(i,
			[2]string{"instance_id", textProblem(r.InstanceID, 1)},
			[2]string{"product_id", textProblem(r.ProductID, 1)},
			[2]string{"record_time", timeProblem(r.RecordTime)},
			[2]string{"begin_time", timeProblem(r.BeginTime)},
			[2]string{"end_time", timeProblem(r.EndTime)},
			[2]string{"end_time", orderProblem(r.BeginTime, r.EndTime)},
			[2]string{"usage_value", valueProblem(r.UsageValue)},
			[2]string{"relate_pkg_instance", textProblem(r.RelatePkgInstance, 0)},
		)
	}
	return c.err()
}

func timeProblem(text string) string {
	if at, err := time.Parse(recordTime, text); err != nil || at.Format(recordTime) != text {
		return "is no time of the form yyyyMMddTHHmmssZ"
	}
	return ""
}

// orderProblem compares two times of that form, which sort as texts.
func orderProblem(begin, end string) string {
	if end <= begin {
		return "is not after begin_time"
	}
	return ""
}

// valueProblem wants a plain decimal number above 0, at most 20 characters, at most 4 decimals.
func valueProblem(text string) string {
	const want = "is no decimal number above 0 with at most 4 decimals and 20 characters"
	whole, decimals, dotted := strings.Cut(text, ".")
	switch {
	case len(text) > 20 || whole == "" || dotted && decimals == "" || len(decimals) > 4:
		return want
	case strings.Trim(whole+decimals, "0123456789") != "":
		return want
	case strings.Trim(whole+decimals, "0") == "":
		return want
	}
	return ""
}
