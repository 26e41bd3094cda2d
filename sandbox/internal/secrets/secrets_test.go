package secrets

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ring(t *testing.T, keys ...string) *Ring {
	t.Helper()
	r, err := Parse(strings.Join(keys, "\n"))
	require.NoError(t, err)
	return r
}

func TestRing(t *testing.T) {
	a, b := NewKey(), NewKey()
	r := ring(t, a)
	sealed := r.Seal("my secret", "sellers/demo/sk")
	require.True(t, Sealed(sealed))
	require.NotContains(t, sealed, "my secret")
	require.Equal(t, r.IDs()[0], KeyOf(sealed))
	require.NotEqual(t, sealed, r.Seal("my secret", "sellers/demo/sk"), "equal secrets do not look equal")
	plain, err := r.Open(sealed, "sellers/demo/sk")
	require.NoError(t, err)
	require.Equal(t, "my secret", plain)

	_, err = r.Open(sealed, "sellers/other/sk")
	require.ErrorIs(t, err, ErrDamaged, "it cannot be moved")
	for i := len(prefix) + 9; i < len(sealed); i++ {
		changed := []byte(sealed)
		changed[i] ^= 1
		_, err := r.Open(string(changed), "sellers/demo/sk")
		require.Error(t, err, "at %d", i)
	}
	for n := range len(sealed) - len(prefix) {
		_, err := r.Open(sealed[:len(prefix)+n], "sellers/demo/sk")
		require.Error(t, err, "cut after %d", n)
	}

	// Rotation: the new key seals, the old one still opens.
	both := ring(t, "# newest first", b, "", a)
	plain, err = both.Open(sealed, "sellers/demo/sk")
	require.NoError(t, err)
	require.Equal(t, "my secret", plain)
	again := both.Seal(plain, "sellers/demo/sk")
	require.NotEqual(t, KeyOf(sealed), KeyOf(again))
	_, err = r.Open(again, "sellers/demo/sk")
	var other *OtherKeyError
	require.ErrorAs(t, err, &other)
	require.Equal(t, both.IDs()[0], other.Need)
	require.Equal(t, r.IDs(), other.Have)

	require.Empty(t, r.Seal("", "x"))
	plain, err = r.Open("not sealed", "x")
	require.NoError(t, err)
	require.Equal(t, "not sealed", plain)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, both), a)
		require.Equal(t, "{secrets keys "+strings.Join(both.IDs(), ", ")+"}", fmt.Sprintf(verb, both))
	}
}

func TestParse(t *testing.T) {
	a, b := NewKey(), NewKey()
	require.Len(t, ring(t, a+","+b).IDs(), 2, "as an environment variable has it")
	for _, text := range []string{"", "# nothing", "short", a[:43], a + "A", "c2hvcnQ=", a + "\n" + "wrong-" + b} {
		_, err := Parse(text)
		require.ErrorContains(t, err, "openssl rand -base64 32")
		require.NotContains(t, err.Error(), a[:10])
		require.NotContains(t, err.Error(), b[:10])
	}
}
