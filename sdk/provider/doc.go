// Package provider turns an ISV's own code, an [Application], into the [net/http.Handler] that a cloud marketplace calls when a
// buyer pays, renews, upgrades or leaves (access interface V2.0, base calls and order notify).
//
// # The picture
//
//	POST /anything?signature=…&timestamp=…&nonce=…     {"activity":"newInstance", …}
//	  │
//	  ├ limit the body's size                               too big           000002
//	  ├ verify the signature over the raw bytes              wrong, replayed   000001
//	  │   (key of the base or of the general class)          stale, no nonce   000002
//	  ├ compare the body with the contract                   field named       000002
//	  ├ debug call (testFlag "1"): answered here             nothing touched   000000
//	  ├ newInstance: one Application call per order line, its instance id remembered
//	  ├ Application                                          its error decides, see the Err… variables
//	  └ answer: always HTTP 200, application/json, resultCode and resultMsg; the reason goes to the log
//
// [NewHandler] looks neither at the path nor at the host, so the handler can be mounted on any router at any path.
//
// # Repeats
//
// The marketplace repeats newInstance, every hour for three hours, until it gets an instance id; the same order line must get
// the same id each time. The handler takes care of it: repeats that arrive together share one Application call, repeats after
// success are answered from the [InstanceStore] without one, and repeats after [ErrInProgress] ask the Application again and
// keep the id that was answered first. The default store is in memory and one process. What makes repeats safe across
// restarts and replicas without any store is [NewInstance.SuggestedID], a digest of the order line.
//
// A client that goes away does not end the call that others wait for. A repeat waits for at most Config.Timeout; then it is
// answered 000004 with the id of an earlier answer, or 000005 if there is none, because 000004 is not complete without an id.
// Only success and ErrInProgress are remembered: after any other error the next repeat is a new attempt.
//
// The other activities are passed on each time they come. They are made to be repeated: set an expiry, do not add to it; freezing
// what is frozen and releasing what is released succeed.
//
// # Choices where the published texts are silent or disagree
//
//   - An activity that is unknown, or optional and not implemented, is answered 000002, in debug calls too: a debug run must
//     not promise what a real call would refuse.
//   - Nothing but its size is said about a body before the signature is right. The activity is read earlier only to choose the key.
//   - Without Config.GeneralKeys an orderNotify is checked with the base keys, so the marketplace's own one is answered
//     000001 and the log says which setting is missing.
//   - A name that stands twice at the top level of a body is refused (000002), because programs differ in which of the two
//     they read. Names the contract does not know are ignored. Names are compared exactly, also in upper and lower case.
//   - Result codes from 000100 belong to newInstance, and 000003 to calls that name an instance; returned elsewhere they become
//     000005.
//   - What an Application answers is checked against the contract too; an answer that breaks it becomes 000005 and the log says
//     which field it was.
//
// # What it does not do
//
// It stores no instances and runs no background work: no goroutine is started, at all. It serves no kit calls and no V1. It
// does not terminate TLS, and it sets no read deadlines: give the http.Server a ReadTimeout. It does not decide whether an
// instance exists; the Application does.
package provider
