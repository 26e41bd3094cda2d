package providerapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config config.yaml ../provider.yaml
//go:generate go run ../internal/genfields -out fields.gen.go ../provider.yaml
