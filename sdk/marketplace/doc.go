// Package marketplace is an ISV's client of a cloud marketplace's open API: it asks for orders and pushes metered usage.
//
// # The picture
//
//	QueryOrder   PushUsage   PushUsageOld
//	     └───────────┼───────────┘
//	          one request path          builds the request once, body compact and sorted by name
//	                 │
//	          retry (retryablehttp)     what may be repeated, and when; the last answer is kept
//	                 │                  ── once per call above, once per attempt below ──
//	          usage signature           PushUsage only: headers signature, ts, nonce (access key of the base class)
//	                 │
//	          AK/SK signature           headers X-Sdk-Date, Authorization
//	                 │
//	          the transport of Config.HTTPClient
//
// Signing sits below the retry, so each attempt has a fresh date, nonce and signature. What makes a repeat harmless sits above
// it: the metering_sn of a usage record is chosen by the caller and stays the same.
//
// # What is retried
//
//	                                   QueryOrder, PushUsage     PushUsageOld
//	no connection                      yes                       yes
//	connection lost, no answer         yes                       no
//	429, code 0250 (too many calls)    yes                       yes
//	5xx without a marketplace code     yes                       no
//	code 0999 (internal error)         yes                       no
//	any other code, any other 4xx      no                        no
//
// Business errors come as HTTP 500 too, so the code in the answer decides before the status does. The older push has no
// metering_sn: it is repeated only where it certainly was not taken. Waits double from RetryWaitMin to RetryWaitMax, with
// jitter; a Retry-After is obeyed up to RetryWaitMax. A context that ends also ends a wait.
//
// # What it does not do
//
// It follows no redirects, keeps no usage until it can be pushed (a program that must not lose usage stores it first), splits no
// batches, and logs neither keys nor headers nor bodies. File upload, licences and kit login are not in it.
package marketplace
