package openapiserver

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// QueryOrder answers an order, one of the seller's or a mock.
func (s *server) QueryOrder(c echo.Context, params marketplaceapi.QueryOrderParams) error {
	x := exchangeOf(c)
	x.OrderID = params.OrderID
	if n := len(params.OrderID); n == 0 || n > 64 {
		return &refusal{http.StatusInternalServerError, "MKT.0100", "Failure of input parameter", "orderId: expected 1 to 64 characters"}
	}
	if len(params.OrderLineID) > 64 {
		return &refusal{http.StatusInternalServerError, "MKT.0100", "Failure of input parameter", "orderLineId: expected at most 64 characters"}
	}
	document, err := s.document(c, x, params)
	if err != nil {
		return err
	}
	x.Code = "MKT.0000"
	// The order is answered as it stands in the store, byte for byte.
	answer := make([]byte, 0, len(orderPrefix)+len(document)+1)
	answer = append(append(append(answer, orderPrefix...), document...), '}')
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, answer)
}

const orderPrefix = `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":`

// document gives the order in JSON, of one line where that is asked for.
func (s *server) document(c echo.Context, x *Exchange, params marketplaceapi.QueryOrderParams) ([]byte, error) {
	if doc, ok := order.Mock(params.OrderID); ok {
		return oneLine(doc, params.OrderLineID)
	}
	document, err := s.cfg.Store.OrderDocument(c.Request().Context(), x.SellerID, params.OrderID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &refusal{http.StatusUnauthorized, "MKT.0150", "Illegal operation", "orderId: you have no such order"}
	}
	if err != nil || params.OrderLineID == "" {
		return document, err
	}
	var doc marketplaceapi.OrderInfo
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	return oneLine(doc, params.OrderLineID)
}

func oneLine(doc marketplaceapi.OrderInfo, lineID string) ([]byte, error) {
	if lineID != "" {
		lines := doc.OrderLine
		doc.OrderLine = nil
		for _, l := range lines {
			if l.OrderLineID == lineID {
				doc.OrderLine = append(doc.OrderLine, l)
			}
		}
		if doc.OrderLine == nil {
			return nil, &refusal{http.StatusUnauthorized, "MKT.0150", "Illegal operation", "orderLineId: the order has no such line"}
		}
	}
	return json.Marshal(doc)
}
