// Package openapi embeds the contract: the documents that describe what marketplace and ISV send each other, and the rules
// an ISV is judged by.
package openapi

import "embed"

// FS holds the documents at its root: provider.yaml, provider-v1.yaml, marketplace.yaml, sandbox.yaml, requirements.yaml.
//
//go:embed provider.yaml provider-v1.yaml marketplace.yaml sandbox.yaml requirements.yaml
var FS embed.FS
