// Package marketplaceapi is Go's reading of marketplace.yaml: the types of the open API, and a client for it that signs nothing.
// An ISV uses package sdk/marketplace instead, which does.
package marketplaceapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config config.yaml ../marketplace.yaml
