package delivery

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/providerapi"
)

// Sent is a request as it leaves the sandbox.
type Sent struct {
	Activity string // the name of the call in V2
	Method   string
	URL      string // with the signature
	Body     []byte
	Fault    string // what disturbs it; empty: nothing
}

// Violations compares the request with the contract: provider.yaml, or provider-v1.yaml for a call of V1. There never are any, whatever
// the fault; tests look.
func (s Sent) Violations() []string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return []string{"its address is none"}
	}
	if s.Method == http.MethodGet {
		return v1Query(u.Query())
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(s.Body, &fields); err != nil {
		return []string{"its body is no JSON object"}
	}
	document, name := contract.Provider(), strings.Trim(string(fields["activity"]), `"`)
	switch _, path, kit := strings.Cut(u.Path, "/produceAPI/"); {
	case kit && strings.HasPrefix(path, "v2/"):
		name = strings.TrimPrefix(path, "v2/")
	case kit:
		document, name = contract.ProviderV1(), path
	}
	schema, err := document.Call(name)
	if err != nil {
		return []string{err.Error()}
	}
	return schema.Violations(s.Body)
}

func v1Query(query url.Values) (found []string) {
	values := map[string]string{}
	for name, v := range query { // with the address's own one, which is signed as well
		if len(v) != 1 || v[0] == "" {
			found = append(found, name+" is empty, or there more than once")
		}
		values[name] = v[0]
	}
	call, ok := providerapi.LookupV1(values["activity"])
	if !ok {
		return append(found, "V1 has no activity "+values["activity"])
	}
	for _, v := range call.CheckText(values) {
		found = append(found, v.String())
	}
	return found
}
