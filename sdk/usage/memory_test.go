package usage_test

import (
	"testing"

	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) usage.Store { return usage.NewMemoryStore() })
}
