//go:build race

package main

// underRace makes the longest tests shorter where the race detector makes everything slower.
const underRace = true
