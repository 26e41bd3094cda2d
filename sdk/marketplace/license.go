package marketplace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// MaxLicenses is how many licences one call may have.
const MaxLicenses = 100

// Activation is what became of one licence.
type Activation struct {
	License string                         // the licence code; empty if the answer does not say which one it is
	Info    marketplaceapi.LicenseCodeInfo // what the answer tells; zero if it tells nothing
}

// ActivateLicense starts the life of a licence, 64 characters at most, as of effective, or of now if that is zero. A nil error says
// that the licence is active, even if the answer tells nothing else about it; how long it lasts is an estimate here, and known
// by [Client.LicenseHeartbeat].
//
// A licence can be activated once: the second time is [ErrLicenseState]. So an activation is repeated only where it certainly was
// not carried out; after an error that is no *[Error], ask LicenseHeartbeat before activating again.
//
//isvkit:operation activateLicense
func (c *Client) ActivateLicense(ctx context.Context, license string, effective time.Time) (*Activation, error) {
	const op = "activateLicense"
	if err := checkLicenses(op, license); err != nil {
		return nil, err
	}
	ans, err := c.post(ctx, &call{operation: op}, marketplaceapi.NewActivateLicenseRequestWithBody,
		marketplaceapi.LicenseActivate{License: license, RealEffectTime: formatOrderTime(effective)})
	if err != nil {
		return nil, err
	}
	activation := &Activation{License: license}
	if body, err := decode[marketplaceapi.LicenseActivateAnswer](ctx, c, op, ans.body, everything); err == nil {
		activation.Info = c.licenseCodeInfo(ctx, op, body.Data.LicenseCodeInfo)
	}
	return activation, nil
}

// ActivateLicenses activates 1 to [MaxLicenses] licences at once; see [Client.ActivateLicense]. A nil error says that all of them are
// active. The list is what the answer tells about them, which may be nothing: its form is not published.
//
//isvkit:operation activateLicenses
func (c *Client) ActivateLicenses(ctx context.Context, licenses []string, effective time.Time) ([]Activation, error) {
	const op = "activateLicenses"
	if err := checkLicenses(op, licenses...); err != nil {
		return nil, err
	}
	ans, err := c.post(ctx, &call{operation: op}, marketplaceapi.NewActivateLicensesRequestWithBody,
		marketplaceapi.LicensesActivate{LicenseList: licenses, RealEffectTime: formatOrderTime(effective)})
	if err != nil {
		return nil, err
	}
	entries, err := decodeList[marketplaceapi.ActivatedLicense](ctx, c, op, ans.body)
	if err != nil {
		c.warn(ctx, op, "the licences are active, but what else the answer says cannot be read", slog.String("reason", err.Error()))
		return nil, nil
	}
	var activations []Activation
	for _, e := range entries {
		activations = append(activations, Activation{License: e.LicenseCode, Info: c.licenseCodeInfo(ctx, op, e.LicenseCodeInfo)})
	}
	return activations, nil
}

// LicenseHeartbeat asks for the state of an activated licence, 64 characters at most. Ask on the first use of a day. A success
// without the licence that was asked for is an error.
//
//isvkit:operation licenseHeartbeat
func (c *Client) LicenseHeartbeat(ctx context.Context, license string) (*marketplaceapi.LicenseInfo, error) {
	const op = "licenseHeartbeat"
	if err := checkLicenses(op, license); err != nil {
		return nil, err
	}
	ans, err := c.post(ctx, &call{operation: op, repeatable: true}, marketplaceapi.NewLicenseHeartbeatRequestWithBody,
		marketplaceapi.LicenseHeartbeat{License: license})
	if err != nil {
		return nil, err
	}
	body, err := decode[marketplaceapi.LicenseHeartbeatAnswer](ctx, c, op, ans.body, licenseExtras)
	if err != nil {
		return nil, err
	}
	if body.Data.LicenseCode != license || body.Data.Status == "" {
		return nil, fmt.Errorf("marketplace: %s: the answer is a success but does not tell the state of the licence", op)
	}
	return &body.Data, nil
}

// LicenseHeartbeats asks for the states of 1 to [MaxLicenses] activated licences at once; see [Client.LicenseHeartbeat]. Licences that
// the answer does not tell the state of are missing in the result; others than those asked for are left out.
//
//isvkit:operation licenseHeartbeats
func (c *Client) LicenseHeartbeats(ctx context.Context, licenses []string) ([]marketplaceapi.LicenseInfo, error) {
	const op = "licenseHeartbeats"
	if err := checkLicenses(op, licenses...); err != nil {
		return nil, err
	}
	ans, err := c.post(ctx, &call{operation: op, repeatable: true}, marketplaceapi.NewLicenseHeartbeatsRequestWithBody,
		marketplaceapi.LicensesHeartbeat{LicenseList: licenses})
	if err != nil {
		return nil, err
	}
	infos, err := decodeList[marketplaceapi.LicenseInfo](ctx, c, op, ans.body)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(infos, func(i marketplaceapi.LicenseInfo) bool {
		return i.Status == "" || !slices.Contains(licenses, i.LicenseCode)
	}), nil
}

// post sends a JSON body and returns the answer if it is a success.
func (c *Client) post(ctx context.Context, k *call, request bodyRequest, body any) (*answered, error) {
	text, err := encode(body)
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: %w", k.operation, err)
	}
	req, err := request(c.server, "application/json", bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: %w", k.operation, err)
	}
	ans, err := c.do(ctx, k, req)
	if err != nil {
		return nil, err
	}
	if !ans.succeeded() {
		return nil, ans.refusal(k.operation)
	}
	return ans, nil
}

// licenseCodeInfo reads the JSON in a text. The licence is active whatever it says, so trouble is only logged.
func (c *Client) licenseCodeInfo(ctx context.Context, op, text string) marketplaceapi.LicenseCodeInfo {
	if text == "" {
		return marketplaceapi.LicenseCodeInfo{}
	}
	info, err := decode[marketplaceapi.LicenseCodeInfo](ctx, c, op, []byte(text), everything)
	if err != nil {
		c.warn(ctx, op, "license_code_info cannot be read", slog.String("reason", err.Error()))
	}
	return info
}

func everything(string) bool { return true }

// licenseExtras are the fields that say nothing about how long a licence may be used.
func licenseExtras(field string) bool {
	return slices.Contains([]string{"error_msg", "data.product_id", "data.order_id", "data.amount", "data.activate_time"}, field)
}

// decodeList reads data as a list, or as an object with the list as its only member.
func decodeList[T any](ctx context.Context, c *Client, op string, body []byte) ([]T, error) {
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("marketplace: %s: read the answer: %w", op, tame(err))
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(answer.Data, &members) == nil && len(members) == 1 {
		for _, only := range members {
			answer.Data = only
		}
	}
	if len(answer.Data) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("marketplace: %s: read the answer: %w", op, err)
	}
	read, err := decode[struct {
		Data []T `json:"data"`
	}](ctx, c, op, list, licenseExtras)
	return read.Data, err
}

// formatOrderTime writes a time as licences want it, UTC, yyyyMMddHHmmss, and the zero time as nothing.
func formatOrderTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(orderTime)
}

func checkLicenses(op string, licenses ...string) error {
	switch {
	case len(licenses) == 0:
		return errors.New("marketplace: " + op + ": no licences, expected at least one")
	case len(licenses) > MaxLicenses:
		return fmt.Errorf("marketplace: %s: %d licences, expected at most %d", op, len(licenses), MaxLicenses)
	}
	for i, license := range licenses {
		if problem := textProblem(license, 1); problem != "" {
			return fmt.Errorf("marketplace: %s: licence %d %s", op, i, problem)
		}
		if first := slices.Index(licenses, license); first < i {
			return fmt.Errorf("marketplace: %s: licence %d is licence %d too", op, i, first)
		}
	}
	return nil
}
