// Package openapiserver serves the marketplace's open API: it verifies signatures as the gateway does, answers orders, takes usage
// pushes, and activates, tells and takes licences. The stubs are generated from marketplace.yaml. Kit login is not served here: it
// is the auth centre of a tenant that serves it.
//
// AK/SK dates and the ts of usage pushes are compared with real time, because the ISV's clock is real; the times inside usage
// records are compared with the sandbox's clock, which every answer tells in its Date header.
package openapiserver
