package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
)

// source answers orders from a map.
type source struct {
	mu     sync.Mutex
	calls  []string
	orders map[string]*marketplaceapi.OrderInfo
}

func (s *source) QueryOrder(_ context.Context, orderID, lineID string) (*marketplaceapi.OrderInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, orderID+" "+lineID)
	if o, ok := s.orders[orderID]; ok {
		return o, nil
	}
	return nil, errors.New("no such order")
}

func TestOrder_IsFetchedOncePerCall(t *testing.T) {
	t.Parallel()
	src := &source{orders: map[string]*marketplaceapi.OrderInfo{
		"CS1": {OrderID: "CS1", OrderLine: []marketplaceapi.OrderLine{
			{OrderLineID: "CS1-000002"},
			{OrderLineID: "CS1-000001", ChargingMode: marketplaceapi.ChargingPeriod, ProductInfo: []marketplaceapi.ProductInfo{{ProductID: "OFFI1"}}},
		}},
		"CS2": {OrderID: "CS2", OrderLine: []marketplaceapi.OrderLine{{OrderLineID: "CS2-000009"}}},
		"CS3": {OrderID: "CS4"},
		"CS5": nil,
	}}
	a := &fullApp{}
	a.newInstance = func(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				order, err := call.Order(ctx)
				if err == nil {
					assert.Equal(t, call.OrderID, order.OrderID)
				}
			})
		}
		wg.Wait()
		line, err := call.OrderLine(ctx)
		if err != nil {
			return provider.Instance{}, err
		}
		assert.Equal(t, marketplaceapi.ChargingPeriod, line.ChargingMode)
		return provider.Instance{ID: "i-1"}, nil
	}
	a.refresh = func(ctx context.Context, call provider.RefreshInstance) error { _, err := call.Order(ctx); return err }
	a.upgrade = func(ctx context.Context, call provider.UpgradeInstance) error {
		_, err := call.Order(ctx)
		assert.Error(t, err)
		_, err = call.OrderLine(ctx)
		return err
	}
	a.notify = func(ctx context.Context, call provider.OrderNotify) error { _, err := call.Order(ctx); return err }
	s := setup(t, a, func(c *provider.Config) { c.Market = src })

	assert.Equal(t, providerapi.ResultSuccess, s.call(newInstanceBody("CS1", "b")).ResultCode)
	assert.Equal(t, []string{"CS1 CS1-000001"}, src.calls)
	assert.Equal(t, providerapi.ResultSuccess, s.call(refreshBody).ResultCode)
	assert.Equal(t, providerapi.ResultSuccess, s.signed(s.general, notifyBody).ResultCode)
	for order, reason := range map[string]string{
		"CS2": "order CS2 has no line CS2-000001", "CS3": "no or another order", "CS5": "no or another order", "CS6": "no such order",
	} {
		ans := s.call(newInstanceBody(order, "b"))
		assert.Equal(t, providerapi.ResultInternalError, ans.ResultCode, order)
		assert.Equal(t, "internal error", ans.ResultMsg)
		assert.Contains(t, lastLine(s), reason)
	}
	before := len(src.calls)
	assert.Equal(t, providerapi.ResultInternalError, s.call(upgradeBody).ResultCode)
	assert.Len(t, src.calls, before+2, "a failed fetch is not kept")
}

func TestOrder_WithoutAMarket(t *testing.T) {
	t.Parallel()
	_, err := provider.NewInstance{}.Order(t.Context())
	require.ErrorContains(t, err, "Config.Market is nil")
	_, err = provider.UpgradeInstance{}.OrderLine(t.Context())
	require.ErrorContains(t, err, "Config.Market is nil")
}

func TestNewInstance_SuggestedID(t *testing.T) {
	t.Parallel()
	id := func(business, order, line string) string {
		return provider.NewInstance{NewInstanceCall: providerapi.NewInstanceCall{BusinessID: business, OrderID: order, OrderLineID: line}}.SuggestedID()
	}
	const want = "20f225746e62c72224b3168d79b6c352" // printf 'CS1\nCS1-000001' | sha256sum | cut -c 1-32
	assert.Equal(t, want, id("b-1", "CS1", "CS1-000001"))
	assert.Equal(t, want, id("b-2", "CS1", "CS1-000001"))
	assert.NotEqual(t, want, id("b-1", "CS1", "CS1-000002"))
	assert.NotEqual(t, id("", "a", "bc"), id("", "ab", "c"))
}

func TestRefreshInstance_Expiry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"20231124155959":    time.Date(2023, 11, 24, 15, 59, 59, 0, time.UTC),
		"20221124023618256": time.Date(2022, 11, 24, 2, 36, 18, 256e6, time.UTC),
		"20231324155959":    {}, "2023": {}, "": {}, "20221124023618xyz": {}, "202211240236182567": {},
	} {
		assert.Equal(t, want, provider.RefreshInstance{RefreshInstanceCall: providerapi.RefreshInstanceCall{ExpireTime: text}}.Expiry(), text)
	}
}

func TestChangeCheck_Product(t *testing.T) {
	t.Parallel()
	want := providerapi.TargetProduct{ProductID: "OFFI1", SKUCode: "s", LinearValue: 5}
	for _, info := range []string{
		`{"productId":"OFFI1","skuCode":"s","linearValue":5}`,
		`"{\"productId\":\"OFFI1\",\"skuCode\":\"s\",\"linearValue\":5}"`,
	} {
		got, err := provider.ChangeCheck{ChangeInstanceCheckCall: providerapi.ChangeInstanceCheckCall{ProductInfo: json.RawMessage(info)}}.Product()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, info := range []string{``, `"x"`, `null`, `"null"`, `[]`, `{"linearValue":"many"}`} {
		_, err := provider.ChangeCheck{ChangeInstanceCheckCall: providerapi.ChangeInstanceCheckCall{ProductInfo: json.RawMessage(info)}}.Product()
		require.ErrorIs(t, err, provider.ErrInvalidParameter, info)
	}
}

func TestFormatStatisticalTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2022, 11, 24, 10, 36, 18, 6e6, time.FixedZone("Beijing", 8*3600))
	assert.Equal(t, "20221124023618006", provider.FormatStatisticalTime(at))
}

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	line := func(n int) provider.OrderLineKey {
		return provider.OrderLineKey{OrderID: "CS", OrderLineID: fmt.Sprint(n)}
	}
	s := provider.NewMemoryStore(3)
	save := func(n int, id string, ready bool) provider.Remembered {
		r, err := s.Save(ctx, line(n), provider.Remembered{InstanceID: id, Ready: ready})
		require.NoError(t, err)
		return r
	}
	known := func(n int) bool {
		_, ok, err := s.Load(ctx, line(n))
		require.NoError(t, err)
		return ok
	}
	assert.Equal(t, provider.Remembered{InstanceID: "a"}, save(1, "a", false))
	assert.Equal(t, provider.Remembered{InstanceID: "a", Ready: true}, save(1, "b", true), "the first id stays")
	assert.Equal(t, provider.Remembered{InstanceID: "a", Ready: true}, save(1, "a", false), "ready stays")
	save(2, "c", false)
	save(3, "d", true)
	save(4, "e", true)
	assert.Equal(t, []bool{false, true, true, true}, []bool{known(1), known(2), known(3), known(4)}, "the oldest ready one goes first")
	save(5, "f", false)
	save(6, "g", false)
	assert.Equal(t, []bool{true, false, false, true, true}, []bool{known(2), known(3), known(4), known(5), known(6)})
	save(7, "h", false)
	assert.False(t, known(2), "only unfinished ones are left, so the oldest of them goes")
	assert.Equal(t, 3, s.Len())
}
