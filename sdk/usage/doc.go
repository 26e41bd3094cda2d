// Package usage meters on-demand instances: an ISV records what was used, and a [Reporter] sums it up by the hour and pushes it to
// the marketplace, each unit exactly once, through crashes, restarts and answers that got lost.
package usage
