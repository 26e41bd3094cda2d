package keyfile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sandbox/keyfile"
)

func TestParse(t *testing.T) {
	t.Parallel()
	odd := `it's a "key" = #`
	values, err := keyfile.Parse("# keys\n\nexport A=" + curl.Quote(odd) + "\r\nB=plain\n export  C = x \n")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"A": odd, "B": "plain", "C": " x"}, values)

	_, err = keyfile.Parse("A='1'\nthis-is-a-secret\n")
	require.ErrorContains(t, err, "line 2: expected export NAME='value'")
	assert.NotContains(t, err.Error(), "secret")
}

func FuzzParse(f *testing.F) {
	f.Add("name", "it's")
	f.Fuzz(func(t *testing.T, _, value string) {
		values, err := keyfile.Parse("export A=" + curl.Quote(value))
		if err != nil || len(values) != 1 {
			return // the value has a line break
		}
		assert.Contains(t, values, "A")
	})
}
