// Package keyfile reads key files, which isv-sandbox writes: lines for a shell of the form export NAME='value'.
package keyfile

import (
	"fmt"
	"strings"
)

// Parse reads a key file. Empty lines and lines that start with # are left out. The error names a line and repeats nothing of it.
func Parse(text string) (map[string]string, error) {
	values := map[string]string{}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			return nil, fmt.Errorf("line %d: expected export NAME='value'", n+1)
		}
		values[strings.TrimSpace(name)] = unquote(value)
	}
	return values, nil
}

// unquote undoes what package curl does to quote, and leaves what is not quoted.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return s
	}
	return strings.ReplaceAll(s[1:len(s)-1], `'\''`, `'`)
}
