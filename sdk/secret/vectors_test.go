package secret

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/vectors"
)

type aesVector struct {
	AccessKey, AESKeyHex, IV, Plaintext, WireValue string
	KeyBits                                        FieldSize
}

func aesVectors(t testing.TB) []aesVector {
	t.Helper()
	data, err := vectors.FS.ReadFile("v1.json")
	require.NoError(t, err)
	var all struct{ AES []aesVector }
	require.NoError(t, json.Unmarshal(data, &all))
	require.GreaterOrEqual(t, len(all.AES), 28)
	return all.AES
}

func TestFieldVectors(t *testing.T) {
	t.Parallel()
	for _, v := range aesVectors(t) {
		require.Equal(t, v.AESKeyHex, hex.EncodeToString(DeriveKey(v.AccessKey, v.KeyBits)))
		fields, err := NewFields(v.AccessKey, v.KeyBits)
		require.NoError(t, err)
		plain, err := fields.Decrypt(v.WireValue)
		require.NoError(t, err)
		require.Equal(t, v.Plaintext, plain)
		text, err := fields.encryptWithIV(v.Plaintext, v.IV)
		require.NoError(t, err)
		require.Equal(t, v.WireValue, text)
	}
}
