package readiness

import (
	"slices"
	"strings"

	"github.com/isvkit/isvkit/conformance/internal/nearest"
)

// expected says which names there are, or which one was probably meant.
func expected(name string, names []string) string {
	names = sorted(slices.Clone(names))
	if near := nearest.Name(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "expected one of " + strings.Join(names, ", ")
}
