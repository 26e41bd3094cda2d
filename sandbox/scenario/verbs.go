package scenario

import (
	"maps"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/sandbox/mistyped"
)

// verb is a short name for an operation of the control API. Every operation is a verb by its own name too.
type verb struct {
	name      string
	operation string
	main      string // the field that is meant where a step gives a plain value instead of fields; empty: the one in the path
	id        string // a field that may be left out: it is then the same as main
}

var verbs = []verb{
	// orders
	{name: "buy", operation: "placeOrder", main: "skuCode"},
	{name: "accept", operation: "acceptOrder"},
	{name: "formal", operation: "convertTrial"},
	{name: "renew", operation: "renewInstance"},
	{name: "cancelRenewal", operation: "cancelRenewal"},
	{name: "checkChange", operation: "checkChange"},
	{name: "upgrade", operation: "upgradeInstance"},
	{name: "release", operation: "releaseInstance"},
	{name: "freeze", operation: "freezeInstance"},
	{name: "unfreeze", operation: "unfreezeInstance"},
	{name: "details", operation: "openDetails"},
	{name: "restart", operation: "restartCall"},
	// joint operation
	{name: "tenant", operation: "createKitTenant"},
	{name: "credential", operation: "createKitApplication"},
	{name: "testAccount", operation: "createKitTestAccount"},
	{name: "bind", operation: "bindKitInstance"},
	{name: "unbind", operation: "unbindKitInstance"},
	{name: "department", operation: "putKitDepartment"},
	{name: "departments", operation: "replaceKitDepartments"},
	{name: "user", operation: "putKitUser"},
	{name: "deleteUser", operation: "deleteKitUser"},
	{name: "authorise", operation: "authoriseKitUsers"},
	{name: "cancelUsers", operation: "cancelKitUsers"},
	// licences; they are bought with buy, and activated with openapi
	{name: "handOver", operation: "handOverLicense"},
	{name: "licenseFile", operation: "askLicenseFile"},
	// probes
	{name: "saveCases", operation: "saveNeededCases"},
	{name: "saveCase", operation: "saveCase"},
	{name: "probe", operation: "probeProduct"},
	{name: "productStatus", operation: "setProductStatus"},
	// time and place
	{name: "advance", operation: "advanceClock", main: "duration"},
	{name: "provider", operation: "setProvider", main: "productionAddress"},
	// faults
	{name: "fault", operation: "putFault", main: "kind", id: "faultId"},
	{name: "clearFault", operation: "deleteFault"},
	{name: "clearFaults", operation: "deleteFaults"},
}

// The verbs that are no operations.
const (
	verbExpect    = "expect"
	verbWait      = "wait"
	verbCall      = "call"
	verbOpenAPI   = "openapi"
	verbPushUsage = "pushUsage"
)

var own = []string{verbExpect, verbWait, verbCall, verbOpenAPI, verbPushUsage}

// verbNames lists the short verbs.
func verbNames() []string {
	names := slices.Clone(own)
	for _, v := range verbs {
		names = append(names, v.name)
	}
	return names
}

// isVerb also knows the operations by their own names.
func isVerb(name string) bool {
	_, operation := controlDoc().operations[name]
	return operation || slices.Contains(verbNames(), name)
}

// verbOf gives a verb of the control API.
func verbOf(name string) verb {
	v := verb{name: name, operation: name}
	if i := slices.IndexFunc(verbs, func(v verb) bool { return v.name == name }); i >= 0 {
		v = verbs[i]
	}
	if v.main == "" {
		v.main = controlDoc().operations[v.operation].main()
	}
	return v
}

// noVerb says that there is no such verb.
func noVerb(name string) string {
	text := "expected one of " + strings.Join(slices.Sorted(slices.Values(verbNames())), ", ") + ", or an operation of the control API"
	if near := mistyped.Name(name, slices.Concat(verbNames(), keys(controlDoc().operations)), mistyped.Half); near != "" {
		text = "did you mean " + near + "? " + text
	}
	return text
}

// short are names that files may use for fields of operations that are called otherwise. Wherever an operation or a thing has a
// field of the long name and none of the short one, the short one is understood.
var short = map[string]string{
	"sku": "skuCode", "product": "productCode", "instance": "orderLineId", "order": "orderId", "seller": "sellerId", "buyer": "buyerId",
	"params": "extendParams", "address": "productionAddress", "tenant": "tenantId", "user": "userName", "event": "eventId",
}

// longName gives the name that the document uses.
func longName(name string, names []string) string {
	if long, ok := short[name]; ok && !slices.Contains(names, name) && slices.Contains(names, long) {
		return long
	}
	return name
}

// withShort adds the short names that are understood beside names, for messages.
func withShort(names []string) []string {
	all := slices.Clone(names)
	for _, s := range slices.Sorted(maps.Keys(short)) {
		if i := slices.Index(all, short[s]); i >= 0 && !slices.Contains(names, s) {
			all[i] = s
		}
	}
	return all
}

// noun is something that can be expected of.
type noun struct {
	name      string
	operation string // that tells about it
	param     string // parameter of the operation that takes the noun's value
	by        string // or the field of the items that it is compared with
	list      string // the field of the answer that has the items; empty where the answer itself is the thing
	many      bool   // the items are expected of together, oldest first
	inOrder   bool   // the operation lists the oldest first; the others the newest
}

var nouns = []noun{
	{name: "instance", operation: "getInstance", param: "orderLineId"},
	{name: "order", operation: "getOrder", param: "orderId"},
	{name: "sku", operation: "listProducts", list: "products", by: "skuCode"},
	{name: "sandbox", operation: "getStatus"},
	{name: "product", operation: "listCases", param: "productCode"},
	{name: "license", operation: "getLicense", param: "license"},
	{name: "tenant", operation: "getKitTenant", param: "tenantId"},
	{name: "package", operation: "listPackages", list: "packages", by: "orderLineId"},
	{name: "fault", operation: "listFaults", list: "faults", by: "faultId"},
	{name: "instances", operation: "listInstances", list: "instances", many: true},
	{name: "orders", operation: "listOrders", list: "orders", by: "orderLineId", many: true},
	{name: "calls", operation: "listCalls", param: "orderLineId", list: "calls", many: true},
	{name: "attempts", operation: "listAttempts", param: "orderLineId", list: "attempts", many: true},
	{name: "usage", operation: "listUsageRecords", list: "usageRecords", by: "instanceId", many: true},
	{name: "bills", operation: "listBills", param: "instance", list: "bills", many: true, inOrder: true},
	{name: "events", operation: "listEvents", param: "subject", list: "events", many: true, inOrder: true},
	{name: "users", operation: "listKitUsers", param: "tenantId", list: "users", many: true, inOrder: true},
	{name: "kitCalls", operation: "listKitCalls", param: "tenantId", list: "calls", many: true},
	{name: "licenses", operation: "listLicenses", param: "orderId", list: "licenses", many: true},
	{name: "licenseFiles", operation: "listLicenseFiles", param: "orderLineId", list: "licenseFiles", many: true},
	{name: "faults", operation: "listFaults", list: "faults", many: true, inOrder: true},
}

// all is the value of a noun that leaves nothing out.
const all = "all"

func nounNames() []string {
	names := make([]string, len(nouns))
	for i, n := range nouns {
		names[i] = n.name
	}
	return names
}

// item is the schema of what a noun is about.
func (n noun) item() schema {
	op := controlDoc().operations[n.operation]
	if n.list == "" {
		return op.answer
	}
	list := op.doc.resolve(op.doc.properties(op.answer)[n.list])
	return op.doc.resolve(list["items"])
}

// plural of the name of a field, for what a list of things has in it: activities, outcomes, statuses.
func plural(name string) string {
	switch last := name[len(name)-1]; {
	case last == 'y' && len(name) > 1 && !isVowel(name[len(name)-2]):
		return name[:len(name)-1] + "ies"
	case last == 's':
		return name + "es"
	}
	return name + "s"
}

func isVowel(c byte) bool {
	switch c {
	case 'a', 'e', 'i', 'o', 'u':
		return true
	}
	return false
}

// refers tells which fields name something that an earlier step saved with as, and which field of it is meant. In must fields nothing
// else makes sense, because their values are made by the sandbox.
func refers(name string) (key string, must, ok bool) {
	switch name {
	case "orderLineId", "orderId", "callId":
		return name, true, true
	case "instance", "subject":
		return "orderLineId", false, true
	case "instanceId", "instance_id", "relate_pkg_instance", "packageInstanceId":
		return "instanceId", false, true
	case "event_id", "eventId":
		return "eventId", false, true
	case "license", "license_code", "licenseCode":
		return "license", false, true
	case "order_id":
		return "orderId", false, true
	case "tenantId", "appId", "userName", "orgCode", "attemptId", "probeId", "faultId", "snapshotId", "clientId":
		return name, false, true
	}
	return "", false, false
}
