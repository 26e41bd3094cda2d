package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// nearest is the name that was probably meant, or nothing if none is near.
func nearest(name string, names []string) string {
	best, distance := "", len(name)/2+2
	for _, n := range names {
		if d := edits(strings.ToLower(name), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// edits counts the letters to add, drop or change to get from a to b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// expected says which names there are, and which one was probably meant.
func expected(name string, names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	text := "expected " + strings.Join(names, ", ")
	if n := len(names); n > 1 {
		text = "expected one of " + strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	if near := nearest(name, names); near != "" {
		text = fmt.Sprintf("did you mean %s? %s", near, text)
	}
	return text
}
