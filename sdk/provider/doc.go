// Package provider turns an ISV's own code, an [Application], into the [net/http.Handler] that a cloud marketplace calls when a
// buyer pays, renews, upgrades or leaves: access interface V2.0 with base calls, order notify, kit calls and licence calls, and
// the deprecated V1.0 at the same address.
//
// # The picture
//
//	POST /anything?signature=…&timestamp=…&nonce=…     {"activity":"newInstance", …}
//	  │
//	  ├ limit the body's size                               too big           000002
//	  ├ verify the signature over the raw bytes              wrong, replayed   000001
//	  │   (key of the class that the call belongs to)        stale, no nonce   000002
//	  ├ compare the body with the contract                   field named       000002
//	  ├ debug call (testFlag "1"): answered here             nothing touched   000000
//	  ├ newInstance: one Application call per order line, its instance id remembered
//	  ├ applicationSync: the client secret decrypted         cannot be         000101
//	  ├ Application                                          its error decides, see the Err… variables
//	  └ answer: always HTTP 200, application/json, resultCode and resultMsg; the reason goes to the log
//
// Where it comes in is told by the request:
//
//	POST …                            base, general and licence calls; the body field activity says which
//	POST …/produceAPI/v2/tenantSync   and the four other kit calls of V2, by the end of the path
//	GET  …?activity=…                 base calls of V1, if Config.V1 has keys
//	POST …/produceAPI/tenantSync      and the four other kit calls of V1, if Config.V1 has keys
//
// Nothing else of the path matters, nor the host, so the handler can be mounted on any router at any path, as long as what
// comes below that path reaches it too.
//
// A program that routes by itself, or is not made of one Application, takes [Verify] instead: the steps up to the contract, as
// a middleware.
//
// # Repeats
//
// The marketplace repeats newInstance, every hour for three hours, until it gets an instance id; the same order line must get
// the same id each time. The handler takes care of it: repeats that arrive together share one Application call, repeats after
// success are answered from the [InstanceStore] without one, and repeats after [ErrInProgress] ask the Application again and
// keep the id that was answered first. The default store is in memory and one process. Package sqlstore has one for replicas
// that share a database; it is a [Locker] as well, so that the Application is called by one replica at a time for an order
// line. What makes repeats safe across restarts and replicas without any store is [NewInstance.SuggestedID], a digest of the
// order line.
//
// A client that goes away does not end the call that others wait for. A repeat waits for at most Config.Timeout; then it is
// answered 000004 with the id of an earlier answer, or 000005 if there is none, because 000004 is not complete without an id.
// Only success and ErrInProgress are remembered: after any other error the next repeat is a new attempt.
//
// The other activities are passed on each time they come. They are made to be repeated: set an expiry, do not add to it;
// freezing what is frozen and releasing what is released succeed.
//
// # V1
//
// With Config.V1 the calls of V1 reach the same methods of the same Application:
//
//	newInstance             NewInstance, and then QueryInstance for the access information, which V1 wants in the same answer
//	refreshInstance         RefreshInstance; the scene is TRIAL_TO_FORMAL with trialToFormal 1, UNSUBSCRIBE_RENEWAL_PERIOD with a
//	                        negative orderAmount, else RENEWAL
//	expireInstance          UpdateInstanceStatus, FREEZE
//	instanceStatus          UpdateInstanceStatus, FREEZE or UNFREEZE (V1 says NORMAL)
//	releaseInstance         ReleaseInstance without an order: V1 always names the purchase, V2 the unsubscription
//	upgrade                 UpgradeInstance
//	queryInstance           QueryInstance
//	tenantSync and so on    the methods of [Kit]
//
// Order and OrderLine of these calls answer from what V1 sends along, decrypted and in the types of the order query; what V1
// does not send is zero: the time of the order, the name of the product, the amount before discounts. There is no order line id
// in V1. The order id identifies a purchase, for on-demand products with the product id, so OrderLineID is the product id of an
// on-demand newInstance and empty otherwise; SuggestedID and the InstanceStore rest on that.
//
// Answers are signed (Body-Sign, with the key that signed the call), user name and password in them encrypted, and characters
// beyond ASCII escaped. If QueryInstance answers ErrInProgress, newInstance is answered 000004 with the id; if it answers
// ErrInstanceNotFound or no entry, 000000 without access information; after any other error 000005, and the next repeat finds
// the instance made. Blanks that were "+" are mended where a value is Base64.
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
//   - Result codes from 000100 belong to newInstance, 000101 to applicationSync too, 000900 to 000903 to licence calls, and
//     000003 to calls that name an instance. Returned elsewhere they become 000005.
//   - A kit debug call is compared and decrypted like a real one, and then answered without the Application.
//   - Users are taken from an array or its text, with the three fields of V1's extension in their places; of one who is
//     deleted only the name is needed.
//   - What an Application answers is checked against the contract too; an answer that breaks it becomes 000005 and the log says
//     which field it was.
//
// # What it does not do
//
// It stores no instances and runs no background work: no goroutine is started, at all. It does not terminate TLS, and it sets
// no read deadlines: give the http.Server a ReadTimeout. It does not decide whether an instance exists; the Application does.
package provider
