// Package providerapi is Go's reading of provider.yaml: the types of every call and answer, a WebhookInitiator that makes the calls
// (and signs nothing), and a table of the fields to check calls against.
package providerapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config config.yaml ../provider.yaml
//go:generate go run ../internal/genfields -out fields.gen.go ../provider.yaml
