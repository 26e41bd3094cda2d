package marketplace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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

func ExampleClient_ActivateLicense() {
	market := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/heartbeat") {
			_, _ = io.WriteString(w, `{"error_code":"92020000","data":{"license_code":"PL000001","status":"ALIVE","expire_time":"20270101155959"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"error_code":"92020003","error_msg":"illegal state"}`) // it was activated before
	}))
	defer market.Close()
	ctx := context.Background()
	client, err := marketplace.New(marketplace.Config{
		URL:         market.URL, // or Region: marketplace.China
		Credentials: signature.Credentials{AK: "demo-ak", SK: "demo-sk"},
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}

	_, err = client.ActivateLicense(ctx, "PL000001", time.Time{})
	if err != nil && !errors.Is(err, marketplace.ErrLicenseState) {
		panic(err)
	}
	info, err := client.LicenseHeartbeat(ctx, "PL000001") // tells how long it really lasts
	if err != nil {
		panic(err)
	}
	ends, err := marketplace.ParseOrderTime(info.ExpireTime)
	if err != nil {
		panic(err)
	}
	fmt.Println(info.Status, "until", ends)

	// Output:
	// ALIVE until 2027-01-01 15:59:59 +0000 UTC
}

func ExampleClient_UploadFile() {
	market := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if err != nil {
			panic(err)
		}
		content, _ := io.ReadAll(file)
		fmt.Printf("%s: %s\n", header.Filename, content)
		fmt.Println(r.FormValue("isvUpdateFileReq"))
		_, _ = io.WriteString(w, `{"error_code":"92020000","error_msg":"success"}`)
	}))
	defer market.Close()
	client, err := marketplace.New(marketplace.Config{
		URL: market.URL, Credentials: signature.Credentials{AK: "demo-ak", SK: "demo-sk"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}

	eventID := "87b94795-0603-4e24-8ae5-69420d60e3c8" // of the call getLicenseAsync
	if err := client.UploadFile(context.Background(), eventID, marketplace.FileOf("licence.lic", []byte("licence 0001"))); err != nil {
		panic(err)
	}

	// Output:
	// licence.lic: licence 0001
	// {"file_name":"licence.lic","sha256":"95be1dac24de937f2261b0c5c8436d0c1e1346f5758f85d5bca3471f7d46ea11","type":"FILE"}
}
