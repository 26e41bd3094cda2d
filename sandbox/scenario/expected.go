package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/sandbox/mistyped"
)

// expected says which names there are, and which one was probably meant.
func expected(name string, names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	text := "expected " + strings.Join(names, ", ")
	if n := len(names); n > 1 {
		text = "expected one of " + strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	if near := mistyped.Name(name, names, mistyped.Half); near != "" {
		text = fmt.Sprintf("did you mean %s? %s", near, text)
	}
	return text
}
