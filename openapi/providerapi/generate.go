// Package providerapi is Go's reading of provider.yaml: the types of every call and answer, a WebhookInitiator that makes the
// calls (and signs nothing), and tables of the fields to check calls against. Of V1, provider-v1.yaml, there is the table only:
// its calls are parameters of a query.
package providerapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config config.yaml ../provider.yaml
//go:generate go run ../internal/genfields -out fields.gen.go ../provider.yaml
//go:generate go run ../internal/genfields -version V1 -out fieldsv1.gen.go ../provider-v1.yaml
