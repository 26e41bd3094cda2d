// Package vectors embeds the contract's test vectors: requests with made-up keys and the signatures they must have, as JSON
// files that programs in any language can read. README.md beside them says what each field means.
package vectors

import "embed"

// FS holds the vector files at its root: v1.json, v2.json, aksk.json.
//
//go:embed *.json
var FS embed.FS
