//go:build race

package mutant_test

// underRace says that the tests run with the race detector.
const underRace = true
