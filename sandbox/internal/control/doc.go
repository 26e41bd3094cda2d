// Package control serves the sandbox's control API: thin translation between sandbox.yaml, whose stubs are generated here, and
// the order book. It is no part of the marketplace's contract.
package control
