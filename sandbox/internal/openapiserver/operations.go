package openapiserver

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
)

// operation is what a path stands for.
type operation struct {
	id     string // operationId; empty for a path that the contract does not have
	method string
	path   string // as the contract has it
	kind   kind
}

// kind is a family of operations. Each has its own shape for errors.
type kind int

const (
	nothing kind = iota
	orders
	pushes
	licenses
)

const (
	apiPath     = "/api/mkp-openapi-public/global/"
	eventPrefix = apiPath + "v1/market-event/"
	eventSuffix = "/file"
)

var upload = operation{"uploadFile", "POST", eventPrefix + "{event_id}" + eventSuffix, licenses}

var operations = map[string]operation{}

func init() {
	for _, o := range []operation{
		{"queryOrder", "GET", apiPath + "v1/order/query", orders},
		{"pushUsage", "POST", apiPath + "v1/isv/usage-data", pushes},
		{"pushUsageOld", "POST", "/rest/marketplace/v1/isv/usage-data", pushes},
		{"activateLicense", "POST", apiPath + "v1/license/activate", licenses},
		{"activateLicenses", "POST", apiPath + "v2/license/activate", licenses},
		{"licenseHeartbeat", "POST", apiPath + "v1/license/heartbeat", licenses},
		{"licenseHeartbeats", "POST", apiPath + "v2/license/heartbeat", licenses},
	} {
		operations[o.path] = o
	}
}

func operationOf(path string) operation {
	if event, ok := strings.CutPrefix(path, eventPrefix); ok {
		if event, ok = strings.CutSuffix(event, eventSuffix); ok && event != "" && !strings.Contains(event, "/") {
			return upload
		}
	}
	return operations[path]
}

// Violations tells everything in the answer that is not as the contract says. Paths and methods that it does not have are answered
// by the gateway; their answers have its shape.
func (x Exchange) Violations() []string {
	o := operationOf(x.Path)
	var schema *contract.Schema
	var err error
	switch f := fault.Kind(x.Fault); {
	case f == fault.GatewayError && bytes.HasPrefix(x.ResponseBody, []byte("<")):
		return nil // a page is what was asked for
	case f == fault.GatewayError || f == fault.RateLimit:
		schema, err = contract.Marketplace().At("/components/schemas/GatewayErrorAnswer")
	case f == fault.ServerError:
		schema, err = contract.Marketplace().Response(o.method, o.path, http.StatusInternalServerError)
	case o.id == "" || o.method != x.Method || x.Status == 413 || x.Status == 429:
		schema, err = contract.Marketplace().At("/components/schemas/GatewayErrorAnswer")
		if o.kind == licenses && x.Status == 405 {
			schema, err = contract.Marketplace().At("/components/schemas/LicenseErrorAnswer")
		}
	default:
		schema, err = contract.Marketplace().Response(o.method, o.path, x.Status)
	}
	if err != nil {
		return []string{fmt.Sprintf("%s %s: the contract has no HTTP %d", x.Method, x.Path, x.Status)}
	}
	return schema.Violations(x.ResponseBody)
}
