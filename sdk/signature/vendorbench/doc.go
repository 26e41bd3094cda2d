// Package vendorbench compares AK/SK signing of package signature with the vendor's Go SDK: the same signatures, and how long
// each side takes. It is a module of its own, so that the SDK is no dependency of this project's users. Run it with
//
//	go test -bench . ./...
//
// in this folder.
package vendorbench
