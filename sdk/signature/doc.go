// Package signature signs and verifies the calls between a cloud marketplace and an ISV.
//
// # The schemes
//
//	scheme  who signs     what                          carried in                       type
//	base    marketplace   calls of the V2 base          query: signature, timestamp,     [Base]
//	                      interfaces                    nonce
//	kit     marketplace   calls of the V2 kit           headers: x-sign, x-timestamp,    [Kit]
//	                      interfaces                    x-nonce
//	usage   ISV           the new usage push            headers: signature, ts, nonce    [Usage]
//	AK/SK   ISV           the open API (order query,    headers: Authorization,          [Credentials] signs,
//	                      old usage push, ...)          X-Sdk-Date                       [AKSK] verifies
//	V1      marketplace   calls of the V1 interfaces    query or header: authToken       [V1]
//	        ISV           answers of V1 interfaces      header: Body-Sign                [BodySign] signs,
//	                                                                                     [VerifyBodySign] verifies
//
// Base and usage share an access key, the one bound to the base interfaces; kit has another one, and AK/SK a pair of its own.
// All use HMAC-SHA256. Both sides of each scheme are here, so that a service, a test and a sandbox agree to the byte.
//
// # Units and defaults
//
// Timestamps of base, kit and usage are Unix milliseconds in 13 digits and may be 60 s off, in either direction; the base scheme
// also takes 10 digits of seconds, because the sources disagree. X-Sdk-Date is UTC to the second, yyyyMMdd'T'HHmmss'Z', and may
// be 15 minutes off. V1's timeStamp is yyyyMMddHHmmssSSS, UTC in queries and UTC+8 in bodies, and not checked unless a leeway is
// set. Nonces are remembered for two minutes, twice the leeway. All of it hangs on an injected clock.
//
// # Verification
//
// Checks run from cheap to dear and stop at the first failure: everything present, everything well-formed, fresh, signature
// right, nonce unused. The failure is an *[Error] with a kind, the field at fault and a detail for the log; [errors.Is] with
// [ErrMissing], [ErrMalformed], [ErrStale], [ErrReplayed], [ErrMismatch] or [ErrUnknownKey] tells them apart. An error of
// another type means that we could not judge (a nonce store that is down), and the call must be refused too.
//
// # What the caller still owes
//
//   - Limit the body's size before reading it, and pass the bytes exactly as received; decode only after Verify.
//   - Set Config.Nonces where calls are verified. Without it nothing detects a replay. Several replicas need a store they
//     share; [ReplayGuard] is for one process.
//   - Be idempotent all the same: the marketplace repeats calls, each attempt properly signed with a new nonce, and AK/SK and
//     V1 have no nonce at all.
//   - Answer the peer of a failed verification in general terms and keep the detail for the log.
//   - Authorise: after Verify the body comes from a holder of the key; whether the instance it names may be touched is another
//     question.
//   - Decode with a decoder in which the last of repeated names wins, as in encoding/json. Where the sorted compact form was
//     what matched, the body may differ from the signed one in blanks, order, escapes, top-level nulls and repeated names.
//
// # When a signature does not fit
//
// [Base.Explain], [Kit.Explain], [Usage.Explain] and [V1.ExplainQuery] recognise the mistakes that signatures are made with, for
// the log of a developer. What they say must never reach the peer.
//
// The package does not encrypt fields (package secret does) or keep keys.
package signature
