package sandbox_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// TestSandbox_SnapshotsDuringLoad takes snapshots while orders are placed and delivered. Each holds whole orders only, and a sandbox into
// which it is restored, with a database of another kind, brings all of them to their end.
func TestSandbox_SnapshotsDuringLoad(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		isv := newISV(t)
		m := start(t, isv.URL, func(c *sandbox.Config) { c.Database, c.SecretsKey = database, testSecretsKey })
		const buyers, each = 4, 15
		var buying sync.WaitGroup
		for range buyers {
			buying.Go(func() {
				for range each {
					var placed sandboxapi.OrderPlaced
					if code, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"}, &placed); code != http.StatusCreated {
						t.Error(detail)
					}
				}
			})
		}
		var snapshots [][]byte
		for range 3 {
			code, snapshot := m.rawControl("GET", "/v1/snapshot", nil)
			require.Equal(t, http.StatusOK, code)
			snapshots = append(snapshots, snapshot)
		}
		buying.Wait()
		require.NoError(t, m.Settle(t.Context()))
		_, last := m.rawControl("GET", "/v1/snapshot", nil)
		for i, snapshot := range append(snapshots, last) {
			again := start(t, isv.URL, func(c *sandbox.Config) { c.SecretsKey = testSecretsKey })
			code, answer := again.rawControl("POST", "/v1/restore", snapshot)
			require.Equal(t, http.StatusOK, code, string(answer))
			require.NoError(t, again.Settle(t.Context()))
			var orders sandboxapi.OrderList
			again.ok("GET", "/v1/orders?limit=1000", nil, &orders)
			for _, o := range orders.Orders {
				require.EqualValues(t, "completed", o.Status)
				again.is(o.OrderLineID, sandboxapi.InstanceReady)
			}
			status := again.status()
			require.Equal(t, len(orders.Orders), status.Instances, "whole orders")
			require.Zero(t, status.CallsPending)
			if i == len(snapshots) {
				require.Len(t, orders.Orders, buyers*each)
			}
		}
	})
}
