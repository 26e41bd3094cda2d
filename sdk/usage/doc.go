// Package usage meters on-demand instances: an ISV records what was used, and a [Reporter] sums it up by the hour and pushes it to
// the marketplace, each unit exactly once, through crashes, restarts and answers that got lost.
//
// # The picture
//
//	Record(instance, amount, at)               durable when it returns; with an ID it can be repeated
//	   │
//	 open window                               one per instance, package instance and hour; amounts are added, exactly
//	   │  the hour is over, and 1 to 12 minutes
//	 sealed window                             metering_sn, begin_time, end_time and record_time, stored before the first push
//	   │  Run: up to 1000 at once                 ▲
//	   ├─ no answer, error, timeout ──────────────┤  the same record again, after a wait
//	   ├─ 001 006 011 013: may heal ──────────────┤  the same record again, for hours or days
//	   ├─ 010, and it was not us ─────────────────┘  the same metering_sn, another piece of the hour
//	   ├─ accepted, 005, 010 after a push without an answer ──→ done
//	   └─ any other code, or more than 21 days ──→ rejected: OnRejected is told, Inspect lists it, Requeue tries again
//
// What each code means, how long it is asked again and why is one table, in codes.go.
//
// # Guarantees
//
//   - What Record returned nil for is pushed, or told to OnRejected. Nothing is dropped in silence.
//   - Nothing is billed twice. A sealed window never changes its amount or metering_sn, and is pushed with these until its outcome is
//     known, by whichever process: the metering_sn is what the marketplace tells records apart by.
//   - Amounts are exact: integers of 0.0001, overflow checked, no floating point.
//   - Any number of Reporters may share a store in a database. A window is reserved by the one that pushes it; if that one is gone,
//     another goes on with it after PushTimeout and a minute.
//   - One record that makes the marketplace refuse a whole push is singled out; the others pass.
//
// These hold if the store is durable, as those of package sqlstore are; [MemoryStore] is not.
//
// # Choices
//
// The marketplace takes two records of one instance with the same begin and end for the same, whatever their package instances. So
// whatever needs a second record in an hour gets the hour less its first second, or its first two, and so on: usage of another
// package instance, usage that comes after the hour was sealed, and usage above 99999999.9999. It stays in the hour, and so in the
// day and the month, that it belongs to. If no piece is left, which takes thousands of records or an instance that
// was born in the last seconds of the hour, it is billed in the following hour.
//
// Usage that comes late is gathered until the next hour's turn, so that it makes one more record an hour and not one each.
//
// A record that begins before its instance does is refused. So the first record of an instance begins with the second of its first
// usage, and all others with the hour.
//
// A window counts as too old 21 days after its begin, as the marketplace counts, not after the usage in it.
//
// # What it does not do
//
// It does not look at the instance: whether it exists, is charged on demand or is frozen only the marketplace can say. It does not
// serve usageInfo in queryInstance. It corrects nothing: what is pushed is billed, and no negative usage exists. It does not speak the
// older push, which has no metering_sn. Record does not take part in a transaction of the caller's; that is what [ID] is for.
// Failures that a background job of the marketplace finds later, in the seller's console, do not come back to it. The
// wall clock is believed: a clock that is far ahead seals too early.
package usage
