package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
)

// The whole suite, one subtest per check. The marketplace of the run and the keys are made for the test; the service is told of them.
func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.TestFunc(t, func(market conformance.Marketplace) http.Handler {
		service, err := newService(settings{market.URL, market.BaseKey, market.AK, market.SK})
		require.NoError(t, err)
		return service
	}, conformance.Options{Charging: []string{"period", "one-time"}})
}
