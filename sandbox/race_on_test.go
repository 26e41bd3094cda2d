//go:build race

package sandbox_test

// underRace: SQLite in Go is some thirty times slower under the race detector, so the longest stories are told shorter there.
const underRace = true
