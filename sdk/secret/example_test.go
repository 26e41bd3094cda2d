package secret_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"github.com/isvkit/isvkit/sdk/secret"
)

// A V1 service reads the customer's e-mail address and answers with a password.
func ExampleFields() {
	fields, err := secret.NewFields("dummy-access-key", secret.AES256) // the key that signed the call
	if err != nil {
		fmt.Println(err)
		return
	}
	email, err := fields.Decrypt("AbCd0123EfGh4567fZCdHBJGKlQdjmCN0lq4+0RgB0AKvvZCVq2SONg3GVI=")
	fmt.Println(email, err)

	password, err := fields.Encrypt("initial-password")
	fmt.Println(len(password), err, "encryptType", secret.AES256.EncryptType())

	_, err = fields.Encrypt(strings.Repeat("x", 80))
	fmt.Println(errors.Is(err, secret.ErrTooLong))
	// Output:
	// user@example.com <nil>
	// 60 <nil> encryptType 1
	// true
}

// A kit service decrypts the client secret of applicationSync.
func ExampleOAEP() {
	key, err := rsa.GenerateKey(rand.Reader, 3072) // in earnest from a file: OAEPConfig.PEM
	if err != nil {
		fmt.Println(err)
		return
	}
	oaep, err := secret.NewOAEP(secret.OAEPConfig{Key: key})
	if err != nil {
		fmt.Println(err)
		return
	}
	console := oaep.PublicKeyText() // goes into the vendor's console

	// The marketplace encrypts with it.
	public, err := secret.ParsePublicKey(console)
	if err != nil {
		fmt.Println(err)
		return
	}
	sent, err := secret.EncryptOAEP(public, "client-secret", secret.DigestsJCE)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(oaep.Decrypt(sent))
	// Output:
	// client-secret <nil>
}
