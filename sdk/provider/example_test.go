package provider_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

// crm is an ISV's whole integration: one type.
type crm struct{}

func (crm) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	line, err := call.OrderLine(ctx) // asks the marketplace what was bought
	if err != nil {
		return provider.Instance{}, err // 000005, the detail stays in the log
	}
	fmt.Println("provision", line.ProductInfo[0].LinearValue, "seats")
	return provider.Instance{ID: call.SuggestedID()}, nil
}

func (crm) QueryInstance(context.Context, provider.QueryInstance) ([]provider.InstanceInfo, error) {
	return nil, provider.ErrInstanceNotFound
}
func (crm) RefreshInstance(context.Context, provider.RefreshInstance) error           { return nil }
func (crm) UpdateInstanceStatus(context.Context, provider.UpdateInstanceStatus) error { return nil }
func (crm) ReleaseInstance(context.Context, provider.ReleaseInstance) error           { return nil }

// shop stands for the marketplace; a real program uses the client of package marketplace.
type shop struct{}

func (shop) QueryOrder(_ context.Context, orderID, lineID string) (*marketplaceapi.OrderInfo, error) {
	return &marketplaceapi.OrderInfo{OrderID: orderID, OrderLine: []marketplaceapi.OrderLine{{
		OrderLineID: lineID, ProductInfo: []marketplaceapi.ProductInfo{{ProductID: "OFFI1", LinearValue: 50}},
	}}}, nil
}

func Example() {
	handler, err := provider.NewHandler(crm{}, provider.Config{
		BaseKeys: []string{"demo-access-key-0001"},
		Market:   shop{},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/saasproduce", handler) // any router, any path

	// What the marketplace sends: the same order line twice, each time with a businessId, a nonce and a signature of its own.
	server := httptest.NewServer(mux)
	defer server.Close()
	base, err := signature.NewBase(signature.Config{Keys: []string{"demo-access-key-0001"}})
	if err != nil {
		panic(err)
	}
	for _, business := range []string{"b-1", "b-2"} {
		body := `{"activity":"newInstance","businessId":"` + business + `","orderId":"CS1","orderLineId":"CS1-000001"}`
		params, err := base.Sign([]byte(body))
		if err != nil {
			panic(err)
		}
		resp, err := http.Post(server.URL+"/saasproduce?"+params.Query().Encode(), "application/json", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, string(answer))
	}

	// Output:
	// provision 50 seats
	// 200 {"instanceId":"20f225746e62c72224b3168d79b6c352","resultCode":"000000","resultMsg":"success"}
	// 200 {"instanceId":"20f225746e62c72224b3168d79b6c352","resultCode":"000000","resultMsg":"success"}
}

func ExampleError() {
	inUse, target := 42, 20
	err := &provider.Error{
		Code:    provider.ErrInvalidParameter.Code,
		Message: fmt.Sprintf("%d seats are in use, the target has %d", inUse, target),
	}
	fmt.Println(err)
	// Output: provider: result 000002: 42 seats are in use, the target has 20
}

// A program with routing of its own takes the middleware, and answers by itself.
func ExampleVerify() {
	verify, err := provider.Verify(provider.Config{BaseKeys: []string{"demo-access-key-0001"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/saasproduce", verify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, _ := provider.VerifiedFrom(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"resultCode":"000000","resultMsg":"%s, debug %t"}`, call.Name, call.Debug)
	})))

	base, err := signature.NewBase(signature.Config{Keys: []string{"demo-access-key-0001"}})
	if err != nil {
		panic(err)
	}
	body := `{"activity":"releaseInstance","instanceId":"i-1","testFlag":"1"}`
	params, err := base.Sign([]byte(body))
	if err != nil {
		panic(err)
	}
	forged := params
	forged.Signature = strings.Repeat("0", 64)
	for _, params := range []signature.Params{params, forged} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/saasproduce?"+params.Query().Encode(), strings.NewReader(body)))
		fmt.Println(rec.Body)
	}
	// Output:
	// {"resultCode":"000000","resultMsg":"releaseInstance, debug true"}
	// {"resultCode":"000001","resultMsg":"authentication failed"}
}
