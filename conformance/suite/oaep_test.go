package suite

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/secret"
)

func TestEncryptOAEP_IsOpenedByItsDigestsOnly(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	all := []secret.Digests{secret.DigestsJCE, secret.DigestsSHA256, secret.DigestsSHA1}
	for _, sent := range all {
		text := encryptOAEP(&key.PublicKey, "cs-秘密", sent, bytes.Repeat([]byte{7}, 32))
		assert.Equal(t, text, encryptOAEP(&key.PublicKey, "cs-秘密", sent, bytes.Repeat([]byte{7}, 32)))
		for _, taken := range all {
			oaep, err := secret.NewOAEP(secret.OAEPConfig{Key: key, Digests: []secret.Digests{taken}, InsecureAllowShortKey: true})
			require.NoError(t, err)
			plain, err := oaep.Decrypt(text)
			if taken == sent {
				require.NoError(t, err, "%v", sent)
				assert.Equal(t, "cs-秘密", plain)
				continue
			}
			require.Error(t, err, "%v opened with %v", sent, taken)
		}
	}
}
