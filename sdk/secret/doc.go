// Package secret encrypts and decrypts the sensitive values in the calls between a cloud marketplace and an ISV.
//
//	what                                        how                                           type
//	V1 mobilePhone, email, userName, password   AES-CBC, key derived from the access key      [Fields]
//	client secret of applicationSync (V1, V2)   RSA-OAEP with a key pair of the ISV           [OAEP]
//
// The V2 base interfaces encrypt nothing.
//
// Verify the signature of a call first (package signature) and decrypt afterwards: AES-CBC itself proves nothing about where a
// value comes from. A value that cannot be decrypted is an *[Error]; no error of this package contains a key, a plaintext or a
// ciphertext, and none says in what way a padding was wrong.
package secret
