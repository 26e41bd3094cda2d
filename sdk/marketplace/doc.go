// Package marketplace is an ISV's client of a cloud marketplace's open API: it asks for orders, pushes metered usage, activates and
// queries licences, and hands over the files that were asked for.
//
// # The picture
//
//	QueryOrder   PushUsage   PushUsageOld   ActivateLicense(s)   LicenseHeartbeat(s)   UploadFile   UploadCharacters
//	     └───────────┴────────────┴──────────────┬──┴─────────────────────┴────────────────┴───────────────┘
//	          one request path          builds the request once, JSON compact and sorted by name, files streamed
//	                 │
//	          retry (retryablehttp)     what may be repeated, and when; the last answer is kept
//	                 │                  ── once per call above, once per attempt below ──
//	          limiter                   Config.RequestsPerSecond, and pauses that the marketplace asks for
//	                 │
//	          host                      of Config.Region, or its second one while the first cannot be reached
//	                 │
//	          usage signature           PushUsage only: headers signature, ts, nonce (access key of the base class)
//	                 │
//	          AK/SK signature           headers X-Sdk-Date, Authorization
//	                 │
//	          the transport of Config.HTTPClient
//
// Signing sits below the retry, so each attempt has a fresh date, nonce and signature. What makes a repeat harmless sits above
// it: the metering_sn of a usage record is chosen by the caller and stays the same, and so does the event of an upload.
//
// Every method says in a directive comment which operation of openapi/marketplace.yaml it performs; a test holds that each operation
// has a method. The operations of the auth centre, tagged kit-login, are in sdk/kitlogin.
//
// # What is retried
//
//	                                   QueryOrder, PushUsage,    PushUsageOld,
//	                                   LicenseHeartbeat(s),      ActivateLicense(s)
//	                                   UploadFile/Characters
//	no connection                      yes                       yes
//	connection lost, no answer         yes                       no
//	429, code 0250 (too many calls)    yes                       yes
//	5xx without a marketplace code     yes                       no
//	code 0999, 92020001 (internal)     yes                       no
//	any other code, any other 4xx      no                        no
//
// Business errors come as HTTP 500 too, and licence errors as HTTP 200, so the code in the answer decides before the status does. The
// older push has no metering_sn, and a licence can be activated once only: they are repeated only where the first attempt
// certainly was not carried out. Waits double from RetryWaitMin to RetryWaitMax, with jitter; a Retry-After is obeyed up to
// RetryWaitMax. After 429 or 0250 the whole client waits, not only the call that was refused. A context that ends also ends a wait.
//
// # What it does not do
//
// It follows no redirects, keeps no usage until it can be pushed (package usage does), splits no batches, and logs neither keys nor
// headers nor bodies. Where licences are stored is up to the ISV.
package marketplace
