// Package suite holds the checks: one explicit list, each entry naming the requirement it judges.
//
// # How a check is written
//
// A check makes calls to the ISV through its [Case] and says what it expected of the answers. It must obey four rules, so that
// it never accuses an ISV that is right:
//
//   - One fault per request. A request that is wrong in two ways proves nothing about either.
//   - No order of validation is assumed. Any refusal is a refusal; which code it has is a check of its own, and a SHOULD.
//   - What it needs and does not judge goes through the Case's set-up methods. When they fail the check is skipped, not failed.
//   - It makes its own orders and touches no others. The one shared instance is only ever asked about.
//
// Expectations are written as "what: expected X, got Y", and all of them are collected, not only the first.
package suite
