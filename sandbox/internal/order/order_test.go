package order_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/order"
)

func TestPeriod_ExpireFrom(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		period, from, want string
	}{
		"as in the guide's example":         {"1y", "2022-07-26T06:47:36Z", "2023-07-26T15:59:59Z"},
		"evening in Beijing is today":       {"1m", "2026-01-10T15:59:00Z", "2026-02-10T15:59:59Z"},
		"night in Beijing is the day after": {"1m", "2026-01-10T16:01:00Z", "2026-02-11T15:59:59Z"},
		"end of January":                    {"1m", "2026-01-31T01:00:00Z", "2026-02-28T15:59:59Z"},
		"leap day":                          {"1y", "2028-02-29T01:00:00Z", "2029-02-28T15:59:59Z"},
		"thirteen months":                   {"13m", "2026-11-30T01:00:00Z", "2027-12-30T15:59:59Z"},
		"a week":                            {"7d", "2026-12-28T01:00:00Z", "2027-01-04T15:59:59Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := order.ParsePeriod(tc.period)
			require.NoError(t, err)
			from, err := time.Parse(time.RFC3339, tc.from)
			require.NoError(t, err)
			require.Equal(t, tc.want, p.ExpireFrom(from).Format(time.RFC3339))
		})
	}
	for _, bad := range []string{"", "0y", "1", "y", "100y", "1w", "-1y", "1y2m"} {
		_, err := order.ParsePeriod(bad)
		require.ErrorContains(t, err, "such as 1y", bad)
	}
}

func TestNewID_HasTheMarketplacesShape(t *testing.T) {
	t.Parallel()
	id := order.NewID(time.Date(2022, 7, 26, 6, 47, 36, 0, time.UTC))
	require.Regexp(t, `^CS2207261447[A-Z0-9]{5}$`, id)
	require.Equal(t, id+"-000002", order.LineID(id, 2))
}

// TestMock_AllNine checks that the mock orders are those of the contract, and as the contract says.
func TestMock_AllNine(t *testing.T) {
	t.Parallel()
	text, err := openapi.FS.ReadFile("marketplace.yaml")
	require.NoError(t, err)
	var doc struct {
		Paths map[string]struct {
			Get struct {
				Mocks []string `yaml:"x-mock-orders"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	const path = "/api/mkp-openapi-public/global/v1/order/query"
	ids := doc.Paths[path].Get.Mocks
	require.Len(t, ids, 9)
	schema, err := contract.Marketplace().Response("GET", path, 200)
	require.NoError(t, err)
	for _, id := range ids {
		mock, ok := order.Mock(id)
		require.True(t, ok, id)
		require.Equal(t, id+"-000001", mock.OrderLine[0].OrderLineID)
		body, err := json.Marshal(marketplaceapi.OrderAnswer{ResultCode: "MKT.0000", ResultMsg: "Success", OrderInfo: mock})
		require.NoError(t, err)
		require.Empty(t, schema.Violations(body), id)
		if strings.Contains(id, "PERIOD") {
			require.Equal(t, marketplaceapi.ChargingPeriod, mock.OrderLine[0].ChargingMode, id)
			require.NotEmpty(t, mock.OrderLine[0].ExpireTime, id)
		}
	}
	_, ok := order.Mock("MOCKNONSENSE")
	require.False(t, ok)
}
