package openapiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/licensebook"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// licenseBody reads the body of a licence operation. Everything that is not as the contract says is refused, shapes and lengths
// included.
func licenseBody[T any](c echo.Context) (v T, _ error) {
	x := exchangeOf(c)
	if media, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type")); err != nil || media != "application/json" {
		return v, refuse(http.StatusBadRequest, license.CodeContentType, "Content-Type: expected application/json")
	}
	if !json.Valid(x.RequestBody) {
		return v, refuse(http.StatusBadRequest, license.CodeBody, "the body is no JSON")
	}
	schema, err := contract.Marketplace().Request(x.Method, x.Path)
	if err != nil {
		return v, err
	}
	if found := schema.Violations(x.RequestBody); len(found) > 0 {
		return v, refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: %s", found[0])
	}
	if err := json.Unmarshal(x.RequestBody, &v); err != nil {
		return v, refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: a name is there twice")
	}
	return v, nil
}

// effectTime reads real_effect_time, whose form was checked; empty is the zero time.
func effectTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(order.TimeFormat, text)
	if err != nil {
		return t, refuse(http.StatusOK, license.CodeParameter, "real_effect_time: no such time")
	}
	return t, nil
}

// ActivateLicense starts the life of a licence.
func (s *server) ActivateLicense(c echo.Context) error {
	body, err := licenseBody[marketplaceapi.LicenseActivate](c)
	if err != nil {
		return err
	}
	list, err := s.activate(c, []string{body.License}, body.RealEffectTime)
	if err != nil {
		return err
	}
	info, err := activated(list[0])
	info.LicenseCode = "" // in the answer to a list only
	return s.success(c, err, marketplaceapi.LicenseActivateAnswer{ErrorCode: license.CodeSuccess, ErrorMsg: "success", Data: info})
}

// ActivateLicenses starts the lives of licences, all of them or none.
func (s *server) ActivateLicenses(c echo.Context) error {
	body, err := licenseBody[marketplaceapi.LicensesActivate](c)
	if err != nil {
		return err
	}
	list, err := s.activate(c, body.LicenseList, body.RealEffectTime)
	var refused *refusal
	if errors.As(err, &refused) && refused.code != license.CodeParameter {
		return &refusal{http.StatusOK, license.CodeOneInvalid, "one of the licences is not valid: " + refused.msg, ""}
	}
	if err != nil {
		return err
	}
	answer := marketplaceapi.LicensesActivateAnswer{ErrorCode: license.CodeSuccess, ErrorMsg: "success"}
	for _, l := range list {
		info, infoErr := activated(l)
		err = errors.Join(err, infoErr)
		answer.Data = append(answer.Data, info)
	}
	return s.success(c, err, answer)
}

func (s *server) activate(c echo.Context, codes []string, effect string) ([]license.License, error) {
	at, err := effectTime(effect)
	if err != nil {
		return nil, err
	}
	list, err := s.cfg.Licenses.Activate(c.Request().Context(), exchangeOf(c).SellerID, codes, at)
	var refused *licensebook.Refusal
	if errors.As(err, &refused) {
		return nil, &refusal{http.StatusOK, refused.Code, refused.Message, ""}
	}
	return list, err
}

func activated(l license.License) (marketplaceapi.ActivatedLicense, error) {
	status, _ := l.Heartbeat()
	info, err := json.Marshal(marketplaceapi.LicenseCodeInfo{
		Status: status, ExpireTime: orderTime(l.ExpireTime), ProductID: l.ProductID, OrderID: l.OrderID, Amount: l.Quantity,
	})
	return marketplaceapi.ActivatedLicense{LicenseCode: l.Code, LicenseCodeInfo: string(info)}, err
}

func orderTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(order.TimeFormat)
}

// LicenseHeartbeat tells the state of a licence.
func (s *server) LicenseHeartbeat(c echo.Context) error {
	body, err := licenseBody[marketplaceapi.LicenseHeartbeat](c)
	if err != nil {
		return err
	}
	info, err := s.heartbeat(c, body.License)
	return s.success(c, err, marketplaceapi.LicenseHeartbeatAnswer{ErrorCode: license.CodeSuccess, ErrorMsg: "success", Data: info})
}

// LicenseHeartbeats tells the states of licences, unless one of them has none to tell.
func (s *server) LicenseHeartbeats(c echo.Context) error {
	body, err := licenseBody[marketplaceapi.LicensesHeartbeat](c)
	if err != nil {
		return err
	}
	answer := marketplaceapi.LicensesHeartbeatAnswer{ErrorCode: license.CodeSuccess, ErrorMsg: "success"}
	for i, code := range body.LicenseList {
		info, err := s.heartbeat(c, code)
		var refused *refusal
		if errors.As(err, &refused) {
			return &refusal{http.StatusOK, license.CodeOneInvalid, fmt.Sprintf("one of the licences is not valid: number %d: %s", i+1, refused.msg), ""}
		}
		if err != nil {
			return err
		}
		answer.Data = append(answer.Data, info)
	}
	return s.success(c, nil, answer)
}

func (s *server) heartbeat(c echo.Context, code string) (marketplaceapi.LicenseInfo, error) {
	l, err := s.cfg.Store.License(c.Request().Context(), exchangeOf(c).SellerID, code)
	if errors.Is(err, store.ErrNotFound) {
		return marketplaceapi.LicenseInfo{}, refuse(http.StatusOK, license.CodeNotFound, "no such licence")
	}
	if err != nil {
		return marketplaceapi.LicenseInfo{}, err
	}
	status, refused := l.Heartbeat()
	switch refused {
	case "":
	case license.CodeNotReceived:
		return marketplaceapi.LicenseInfo{}, refuse(http.StatusOK, refused, "the buyer has not received the licence yet")
	default:
		return marketplaceapi.LicenseInfo{}, refuse(http.StatusOK, refused, "the licence is not activated")
	}
	return marketplaceapi.LicenseInfo{
		LicenseCode: l.Code, Status: status, ActivateTime: orderTime(l.ActivateTime), ExpireTime: orderTime(l.ExpireTime),
		ProductID: l.ProductID, OrderID: l.OrderID, Amount: l.Quantity,
	}, nil
}

// success answers, unless there is an error.
func (s *server) success(c echo.Context, err error, answer any) error {
	if err != nil {
		return err
	}
	exchangeOf(c).Code = license.CodeSuccess
	return c.JSON(http.StatusOK, answer)
}
