// Package mutant holds ISVs to try the conformance suite on: a right one, variants of it that are just as right, and mutants
// that are wrong in exactly one way each. A suite that accuses one of the first two, or overlooks one of the last, is wrong itself.
package mutant
