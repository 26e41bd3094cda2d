package readiness

import (
	"slices"
	"strings"

	"github.com/isvkit/isvkit/sandbox/mistyped"
)

// expected says which names there are, or which one was probably meant.
func expected(name string, names []string) string {
	names = sorted(slices.Clone(names))
	if near := mistyped.Name(name, names, mistyped.Third); near != "" {
		return "did you mean " + near + "?"
	}
	return "expected one of " + strings.Join(names, ", ")
}
