package mutant

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"sync"

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/secret"
)

// kitKey is the private key of every ISV of this process; one takes its time.
var kitKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		panic(err) // does not fail
	}
	return key
})

// kitSecretOf decrypts client secrets with some digests; none are all.
func kitSecretOf(digests ...secret.Digests) *secret.OAEP {
	oaep, err := secret.NewOAEP(secret.OAEPConfig{Key: kitKey(), Digests: digests})
	if err != nil {
		panic(err) // the key is ours
	}
	return oaep
}

var kitSecret = sync.OnceValue(func() *secret.OAEP { return kitSecretOf() })

// KitPublicKey is what the ISVs of this package gave the marketplace to encrypt client secrets with.
func KitPublicKey() string { return kitSecret().PublicKeyText() }

// The right ISV takes whatever the kit and licence calls tell: nothing asks it about them later.

// TenantSync implements provider.Kit.
func (*App) TenantSync(context.Context, provider.TenantSync) error { return nil }

// ApplicationSync implements provider.Kit.
func (*App) ApplicationSync(context.Context, provider.ApplicationSync) error { return nil }

// AuthSync implements provider.Kit.
func (*App) AuthSync(context.Context, provider.AuthSync) error { return nil }

// SingleOrgSync implements provider.Kit.
func (*App) SingleOrgSync(context.Context, provider.SingleOrgSync) error { return nil }

// AllOrgSync implements provider.Kit.
func (*App) AllOrgSync(context.Context, provider.AllOrgSync) error { return nil }

// RefreshLicense implements provider.Licenser.
func (*App) RefreshLicense(context.Context, provider.RefreshLicense) error { return nil }

// UpdateLicenseStatus implements provider.Licenser.
func (*App) UpdateLicenseStatus(context.Context, provider.UpdateLicenseStatus) error { return nil }

// ReleaseLicense implements provider.Licenser.
func (*App) ReleaseLicense(context.Context, provider.ReleaseLicense) error { return nil }

// GetLicense implements provider.Licenser.
func (*App) GetLicense(context.Context, provider.GetLicense) error { return nil }
