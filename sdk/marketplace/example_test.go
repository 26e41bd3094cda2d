package marketplace_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
)

// pretend is a marketplace with one order, which has seen one usage record before.
func pretend(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, `{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":{"orderId":"CS1","orderType":"NEW","createTime":"20241121090846",`+
			`"orderLine":[{"orderLineId":"CS1-000001","chargingMode":"ON_DEMAND","productInfo":[{"productId":"OFFI1"}]}]}}`)
		return
	}
	_, _ = io.WriteString(w, `{"error_code":"94060999","error_msg":"Failed","data":{"abnormal_usage_data":[{"metering_sn":"i-1-20220809T08","error_code":"005"}]}}`)
}

func ExampleClient() {
	market := httptest.NewServer(http.HandlerFunc(pretend))
	defer market.Close()
	ctx := context.Background()

	client, err := marketplace.New(marketplace.Config{
		URL:         market.URL, // https://mkt.myhuaweicloud.com
		Credentials: signature.Credentials{AK: "demo-ak", SK: "demo-sk"},
		BaseKey:     "demo-access-key-0001",
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}

	order, err := client.QueryOrder(ctx, "CS1", "")
	if err != nil {
		panic(err)
	}
	fmt.Println(order.OrderLine[0].OrderLineID, order.OrderLine[0].ChargingMode)

	begin := time.Date(2022, 8, 9, 8, 0, 0, 0, time.UTC)
	result, err := client.PushUsage(ctx, []marketplaceapi.UsageRecord{{
		InstanceID: "i-1",
		BeginTime:  marketplace.FormatTime(begin),
		EndTime:    marketplace.FormatTime(begin.Add(time.Hour)),
		RecordTime: marketplace.FormatTime(begin.Add(70 * time.Minute)),
		UsageValue: "99",
		MeteringSN: "i-1-20220809T08", // the same whenever this hour is pushed
	}})
	if err != nil {
		panic(err) // nothing is known: push the same records again later
	}
	for _, r := range result.Rejected {
		if r.Repeat() {
			fmt.Println(r.Record.MeteringSN, "was taken before")
			continue
		}
		fmt.Println(r.Record.MeteringSN, "has to be mended:", r.Code, r.Message)
	}

	// Output:
	// CS1-000001 ON_DEMAND
	// i-1-20220809T08 was taken before
}
