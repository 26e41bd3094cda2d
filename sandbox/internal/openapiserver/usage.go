package openapiserver

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
	"github.com/isvkit/isvkit/sdk/signature"
)

// maxRecords is how many usage records fit into one push.
const maxRecords = 1000

// PushUsage takes usage records in the newer form.
func (s *server) PushUsage(c echo.Context, params marketplaceapi.PushUsageParams) error {
	x := exchangeOf(c)
	known := x.SellerID != ""
	if err := s.bodySign(c, x, signature.Params{Signature: params.Signature, Timestamp: params.TS, Nonce: params.Nonce}); err != nil {
		return err
	}
	if !known { // only now it is
		if err := s.often(c, operationOf(x.Path), x.SellerID); err != nil {
			return err
		}
	}
	rejected, err := s.take(c, true)
	if err != nil {
		return err
	}
	if len(rejected) == 0 {
		x.Code = "MKT.0000"
		return c.JSON(http.StatusOK, marketplaceapi.UsageAnswer{ErrorCode: "MKT.0000", ErrorMsg: "Success"})
	}
	x.Code = "94060999"
	x.Detail = fmt.Sprintf("%d records were not accepted; the first: %s %s", len(rejected), rejected[0].ErrorCode, rejected[0].ErrorMsg)
	return c.JSON(http.StatusOK, marketplaceapi.UsageAnswer{
		ErrorCode: "94060999", ErrorMsg: "Failed", Data: marketplaceapi.AbnormalUsageData{AbnormalUsageData: rejected},
	})
}

// bodySign verifies the signature of a push over its body, with the base key of the seller that AK/SK told. A push without AK/SK is
// of the seller whose base key fits.
func (s *server) bodySign(c echo.Context, x *Exchange, params signature.Params) error {
	ctx := c.Request().Context()
	candidates, err := s.cfg.Store.Sellers(ctx)
	if err != nil {
		return err
	}
	var refused error
	for _, seller := range candidates {
		if seller.Keys.Base == "" || x.SellerID != "" && seller.ID != x.SellerID {
			continue
		}
		verifier, err := s.usageVerifier(seller.Keys.Base)
		if err != nil {
			return err
		}
		if refused = verifier.Verify(ctx, params, x.RequestBody); refused == nil {
			x.SellerID = seller.ID
			return nil
		}
	}
	if refused == nil {
		return refuse(http.StatusBadRequest, "MKT.0102", "Invalid body sign: the seller has no key of the base interface class")
	}
	return refuse(http.StatusBadRequest, "MKT.0102", "Invalid body sign: %s", refused)
}

// usageVerifier gives the verifier of a base key; there are as many as there are sellers.
func (s *server) usageVerifier(key string) (*signature.Usage, error) {
	if v, ok := s.bodies.Load(key); ok {
		return v.(*signature.Usage), nil //nolint:forcetypeassert // nothing else is stored
	}
	v, err := signature.NewUsage(signature.Config{Keys: []string{key}, Leeway: usageLeeway})
	if err == nil {
		s.bodies.Store(key, v)
	}
	return v, err
}

// PushUsageOld takes usage records in the older form, whose answer does not tell of bad records.
func (s *server) PushUsageOld(c echo.Context) error {
	if _, err := s.take(c, false); err != nil {
		return err
	}
	exchangeOf(c).Code = "MKT.0000"
	return c.JSON(http.StatusOK, marketplaceapi.UsageAnswer{ErrorCode: "MKT.0000", ErrorMsg: "Success"})
}

// take judges and keeps the records of a push.
func (s *server) take(c echo.Context, withSN bool) ([]marketplaceapi.AbnormalUsageRecord, error) {
	if media, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, refuse(http.StatusBadRequest, "MKT.0199", "Request parameter error: Content-Type: expected application/json")
	}
	x := exchangeOf(c)
	var push struct {
		Records *[]usage.Record `json:"usage_records"`
	}
	if err := json.Unmarshal(x.RequestBody, &push); err != nil {
		return nil, refuse(http.StatusBadRequest, "MKT.0101", "Invalid parameter: the body is not an object with a list usage_records of objects")
	}
	switch {
	case push.Records == nil:
		return nil, refuse(http.StatusBadRequest, "MKT.0101", "Invalid parameter: usage_records is missing")
	case len(*push.Records) == 0:
		return nil, &refusal{http.StatusInternalServerError, "MKT.9002", "Invalid usage entities", "usage_records is empty"}
	case len(*push.Records) > maxRecords:
		return nil, refuse(http.StatusInternalServerError, "MKT.9003", "Usage records exceed the limit: %d, expected at most %d", len(*push.Records), maxRecords)
	}
	records, rejected := refusedByFault(c, *push.Records)
	rejections, err := s.cfg.Usage.Take(c.Request().Context(), x.SellerID, records, withSN)
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		if rejections[i].Code != "" {
			rejected = append(rejected, marketplaceapi.AbnormalUsageRecord{
				InstanceID: r.InstanceID, MeteringSN: r.MeteringSN, BeginTime: r.BeginTime, EndTime: r.EndTime,
				ErrorCode: rejections[i].Code, ErrorMsg: rejections[i].Message,
			})
		}
	}
	return rejected, nil
}
