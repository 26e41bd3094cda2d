// Package sandboxapi is Go's reading of sandbox.yaml: the types of the sandbox's control API, and a client for it.
package sandboxapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config config.yaml ../sandbox.yaml
