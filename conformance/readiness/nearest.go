package readiness

import (
	"slices"
	"strings"
)

// expected says which names there are, or which one was probably meant.
func expected(name string, names []string) string {
	names = sorted(slices.Clone(names))
	if near := nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "expected one of " + strings.Join(names, ", ")
}

// nearest is the name that was probably meant, or nothing if none is near.
func nearest(name string, names []string) string {
	best, distance := "", len(name)/3+2
	for _, n := range names {
		if d := edits(strings.ToLower(name), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// edits counts the letters to add, drop or change to get from a to b.
func edits(a, b string) int {
	if a = a[:min(len(a), 64)]; a == b {
		return 0
	}
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
