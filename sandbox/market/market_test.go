package market_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/market"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestEmbedded_AllFiveLoad(t *testing.T) {
	assert.Equal(t, []string{"alibaba", "kingsoft", "koogallery", "kubesphere", "tencent"}, market.Names())
	for _, name := range market.Names() {
		p, err := market.Load(name, now)
		require.NoError(t, err, name)
		assert.Equal(t, name, p.Market)
		assert.NotEmpty(t, p.Conditions)
	}
}
