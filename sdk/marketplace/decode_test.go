package marketplace_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

const wholeOrder = `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":{"orderId":"CS1","orderType":"NEW","createTime":"20241121090846",
 "orderLine":[{"orderLineId":"CS1-000001","chargingMode":"PERIOD","periodType":"year","periodNumber":1,"expireTime":"20251121155959",
 "productInfo":[{"productId":"OFFI1","skuCode":"s-1","linearValue":50,"productName":"CRM"}],"extendParams":[{"name":"ip","value":"10.0.0.1"}],
 "currency":"100","currencyAfterDiscount":"90"}],
 "buyerInfo":{"mobilePhone":"13800000000","email":"a@example.com","customerId":"c-1","customerName":"acme","customerRealName":"Acme","customerType":1,"userId":"u-1","userName":"ann"},
 "extendParams":[{"name":"a","value":"b"}]}}`

func TestQueryOrder_AllFields(t *testing.T) {
	t.Parallel()
	s := setup(t, always(200, wholeOrder))
	got, err := s.client.QueryOrder(t.Context(), "CS1", "")
	require.NoError(t, err)
	assert.Equal(t, &marketplaceapi.OrderInfo{
		OrderID: "CS1", OrderType: "NEW", CreateTime: "20241121090846",
		OrderLine: []marketplaceapi.OrderLine{{
			OrderLineID: "CS1-000001", ChargingMode: "PERIOD", PeriodType: "year", PeriodNumber: 1, ExpireTime: "20251121155959",
			ProductInfo:  []marketplaceapi.ProductInfo{{ProductID: "OFFI1", SKUCode: "s-1", LinearValue: 50, ProductName: "CRM"}},
			ExtendParams: []marketplaceapi.ExtendParam{{Name: "ip", Value: "10.0.0.1"}},
			Currency:     "100", CurrencyAfterDiscount: "90",
		}},
		BuyerInfo: marketplaceapi.BuyerInfo{
			MobilePhone: "13800000000", Email: "a@example.com", CustomerID: "c-1", CustomerName: "acme", CustomerRealName: "Acme",
			CustomerType: 1, UserID: "u-1", UserName: "ann",
		},
		ExtendParams: []marketplaceapi.ExtendParam{{Name: "a", Value: "b"}},
	}, got)
	assert.NotContains(t, s.log.String(), "WARN")
}

func TestQueryOrder_FieldsOfAnotherType(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, old, new string
		check          func(*testing.T, *marketplaceapi.OrderInfo) // nil if the order cannot be used
	}{
		{"a number as text", `"customerType":1`, `"customerType":"1"`, func(t *testing.T, o *marketplaceapi.OrderInfo) { assert.Equal(t, 1, o.BuyerInfo.CustomerType) }},
		{"a word for a number nobody needs", `"customerType":1`, `"customerType":"ENTERPRISE"`, func(t *testing.T, o *marketplaceapi.OrderInfo) {
			assert.Zero(t, o.BuyerInfo.CustomerType)
			assert.Equal(t, "u-1", o.BuyerInfo.UserID)
		}},
		{"an object for a name", `"customerName":"acme"`, `"customerName":{"a":1}`, func(t *testing.T, o *marketplaceapi.OrderInfo) { assert.Empty(t, o.BuyerInfo.CustomerName) }},
		{"a list for the buyer", `"buyerInfo":{`, `"buyerInfo":["x"],"other":{`, func(t *testing.T, o *marketplaceapi.OrderInfo) { assert.Empty(t, o.BuyerInfo) }},
		{"several at once", `"customerType":1,"userId":"u-1"`, `"customerType":[],"userId":17`, func(t *testing.T, o *marketplaceapi.OrderInfo) {
			assert.Equal(t, "17", o.BuyerInfo.UserID)
		}},
		{"an amount of money as number", `"currency":"100"`, `"currency":100.50`, func(t *testing.T, o *marketplaceapi.OrderInfo) { assert.Equal(t, "100.50", o.OrderLine[0].Currency) }},
		{"seats as text", `"linearValue":50`, `"linearValue":" 50"`, func(t *testing.T, o *marketplaceapi.OrderInfo) {
			assert.Equal(t, 50, o.OrderLine[0].ProductInfo[0].LinearValue)
		}},
		{"seats with decimals of nothing", `"linearValue":50`, `"linearValue":50.00`, func(t *testing.T, o *marketplaceapi.OrderInfo) {
			assert.Equal(t, 50, o.OrderLine[0].ProductInfo[0].LinearValue)
		}},
		{"an id as number", `"skuCode":"s-1"`, `"skuCode":12345678901234567890`, func(t *testing.T, o *marketplaceapi.OrderInfo) {
			assert.Equal(t, "12345678901234567890", o.OrderLine[0].ProductInfo[0].SKUCode)
		}},
		{"a time as number", `"20251121155959"`, `20251121155959`, func(t *testing.T, o *marketplaceapi.OrderInfo) {
			assert.Equal(t, "20251121155959", o.OrderLine[0].ExpireTime)
		}},
		{"what the buyer entered as number", `"value":"10.0.0.1"`, `"value":7`, func(t *testing.T, o *marketplaceapi.OrderInfo) {
			assert.Equal(t, "7", o.OrderLine[0].ExtendParams[0].Value)
		}},
		{"seats that are none", `"linearValue":50`, `"linearValue":"many"`, nil},
		{"half a seat", `"linearValue":50`, `"linearValue":0.5`, nil},
		{"period in words", `"periodNumber":1`, `"periodNumber":"one"`, nil},
		{"an object for the charging mode", `"chargingMode":"PERIOD"`, `"chargingMode":{}`, nil},
		{"what the buyer entered as text", `"extendParams":[{"name":"ip","value":"10.0.0.1"}]`, `"extendParams":"ip=10.0.0.1"`, nil},
		{"texts for what the buyer entered", `"extendParams":[{"name":"ip","value":"10.0.0.1"}]`, `"extendParams":["ip"]`, nil},
		{"no list of lines", `"orderLine":[`, `"orderLine":"x","other":[`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(wholeOrder, tt.old, tt.new, 1)
			require.NotEqual(t, wholeOrder, body)
			s := setup(t, always(200, body))
			order, err := s.client.QueryOrder(t.Context(), "CS1", "")
			if tt.check == nil {
				require.ErrorContains(t, err, "read the answer: orderInfo.orderLine")
				require.ErrorContains(t, err, "is not of type")
				assert.Len(t, s.got, 1)
				return
			}
			require.NoError(t, err)
			tt.check(t, order)
			assert.Equal(t, "CS1-000001", order.OrderLine[0].OrderLineID, "the rest is there")
			assert.Contains(t, s.log.String(), `"level":"WARN"`)
			assert.NotContains(t, s.log.String(), "ENTERPRISE", "what the peer sent is not logged")
		})
	}
}

// FuzzAnswer: whatever is answered, nothing panics, and what is no success is an *Error or says that it could not be read.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		orderAnswer, wholeOrder, ``, `null`, `[]`, `{"error_code":5}`, `{"resultCode":"MKT.0150"}`, `{"error_code":"92020000","data":[{"license_code":"PL1"}]}`,
		`{"error_code":"92020000","data":{"license_code_info":"{\"amount\":\"2\"}"}}`, `{"error_code":"94060999","data":{"abnormal_usage_data":[{}]}}`,
		`{"error_code":"92020000","data":{"license_code":"PL1","status":"ALIVE","amount":{}}}`, `{"resultCode":"CBC.0000","orderInfo":{"orderLine":[[[{"currency":{}}]]]}}`,
	} {
		f.Add(200, []byte(body))
		f.Add(500, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		c := offline(t, func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			return response(r, status, string(body)), nil
		}, func(c *marketplace.Config) {
			c.RetryMax, c.RetryWaitMin, c.RetryWaitMax, c.Logger = -1, time.Nanosecond, time.Nanosecond, slog.New(slog.DiscardHandler)
		})
		order, err := c.QueryOrder(t.Context(), "CS1", "")
		judge(t, err, order != nil && order.OrderID == "CS1")
		pushed, err := c.PushUsage(t.Context(), []marketplaceapi.UsageRecord{record(1)})
		judge(t, err, pushed != nil)
		judge(t, c.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{recordOld()}), true)
		activation, err := c.ActivateLicense(t.Context(), "PL1", time.Time{})
		judge(t, err, activation != nil)
		_, err = c.ActivateLicenses(t.Context(), []string{"PL1"}, time.Time{})
		judge(t, err, true)
		info, err := c.LicenseHeartbeat(t.Context(), "PL1")
		judge(t, err, info != nil && info.LicenseCode == "PL1" && info.Status != "")
		_, err = c.LicenseHeartbeats(t.Context(), []string{"PL1"})
		judge(t, err, true)
		judge(t, c.UploadCharacters(t.Context(), "e", "x"), true)
	})
}

func judge(t *testing.T, err error, right bool) {
	t.Helper()
	if err == nil {
		require.True(t, right, "a success without a result")
		return
	}
	var refused *marketplace.Error
	if !errors.As(err, &refused) {
		text := err.Error()
		require.True(t, strings.Contains(text, "read the answer") || strings.Contains(text, "is a success but"), text)
	}
}
