package control

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// again is the shell line that makes an attempt once more, freshly signed. An attempt that was never sent has none.
func again(a store.Attempt) string {
	if a.URL == "" {
		return ""
	}
	r := curl.Request{URL: unsigned(a.URL), Body: a.RequestBody}
	call, known := providerapi.Lookup(string(a.Activity))
	switch {
	case a.Method == http.MethodGet:
		r.Scheme = curl.V1Query
	case known && call.Class == providerapi.ClassKit && !strings.Contains(a.URL, call.SubPath):
		r.Scheme = curl.V1Body
	case known && call.Class == providerapi.ClassKit:
		r.Scheme, r.KeyVariable = curl.Kit, "ISVKIT_KIT_KEY"
	case known && call.Class == providerapi.ClassGeneral:
		r.KeyVariable = "ISVKIT_GENERAL_KEY"
	case known && call.Class == providerapi.ClassLicense:
		r.KeyVariable = "ISVKIT_LICENSE_KEY"
	}
	return curl.Line(r)
}

// unsigned takes the signature parameters off a journaled address.
func unsigned(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	for _, name := range []string{"signature", "timestamp", "nonce", "timeStamp", "authToken"} {
		q.Del(name)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
