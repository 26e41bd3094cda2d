package curl

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// Of gives the right request of a journaled exchange: the call, the method and address that it was sent with, and its body. What
// carries the signature is taken off the address.
func Of(activity, method, address, body string) Request {
	r := Request{URL: unsigned(address), Body: body}
	call, known := providerapi.Lookup(activity)
	switch {
	case method == http.MethodGet:
		r.Scheme = V1Query
	case known && call.Class == providerapi.ClassKit && !strings.Contains(address, call.SubPath):
		r.Scheme = V1Body
	case known && call.Class == providerapi.ClassKit:
		r.Scheme, r.KeyVariable = Kit, "ISVKIT_KIT_KEY"
	case known && call.Class == providerapi.ClassGeneral:
		r.KeyVariable = "ISVKIT_GENERAL_KEY"
	case known && call.Class == providerapi.ClassLicense:
		r.KeyVariable = "ISVKIT_LICENSE_KEY"
	}
	return r
}

// KeyName is the environment variable that holds the key of the request.
func (r Request) KeyName() string { return r.keyVariable() }

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
