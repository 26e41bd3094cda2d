//go:build race

package mutant_test

const raced = true
