// Package openapiserver serves the marketplace's open API: it verifies signatures as the gateway does, answers orders, and
// takes usage pushes. The stubs are generated from marketplace.yaml.
//
// AK/SK dates and the ts of usage pushes are compared with real time, because the ISV's clock is real; the times inside usage
// records are compared with the sandbox's clock, which every answer tells in its Date header.
package openapiserver
