package report

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/isvkit/isvkit/conformance/internal/hide"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// Again is what it takes to send the requests of a check again: what is sent, before it is signed, and the orders that it is about.
type Again struct {
	Requests []Request                  `json:"requests"`
	Orders   []marketplaceapi.OrderInfo `json:"orders,omitempty"`
}

// Request is a call as data. In JSON it has the fields of [curl.Request] that are not zero; texts that are no UTF-8 are in Base64, under
// a name that ends so.
type Request struct{ curl.Request }

const (
	mostAgain = 64 << 10 // of all bodies of a check
	// MostCurl is the length from which on a line is not worth copying; replay sends the same.
	MostCurl = 16 << 10
)

// NewAgain is nil if there is nothing to send, or too much to write down.
func NewAgain(requests []curl.Request, orders []marketplaceapi.OrderInfo) *Again {
	again := &Again{Orders: orders}
	size := 0
	for _, r := range requests {
		size += len(r.Body) + len(r.Signed)
		again.Requests = append(again.Requests, Request{r})
	}
	if len(requests) == 0 || size > mostAgain {
		return nil
	}
	return again
}

func (a *Again) hide(s *hide.Secrets) {
	for n := range a.Requests {
		r := &a.Requests[n]
		r.URL, r.Body, r.Signed, r.Key = s.URL(r.URL), s.Known(r.Body), s.Known(r.Signed), s.Known(r.Key)
	}
}

// fields are the fields of a request, embedded ones too.
func fields(v reflect.Value, each func(name string, v reflect.Value)) {
	for n := range v.NumField() {
		f := v.Type().Field(n)
		if f.Anonymous {
			fields(v.Field(n), each)
			continue
		}
		if f.IsExported() {
			name := strings.ToLower(f.Name[:1]) + f.Name[1:]
			if f.Name == strings.ToUpper(f.Name) {
				name = strings.ToLower(f.Name)
			}
			each(name, v.Field(n))
		}
	}
}

const inBase64 = "Base64"

// MarshalJSON writes what differs from the zero value.
func (r Request) MarshalJSON() ([]byte, error) {
	m := map[string]any{}
	fields(reflect.ValueOf(r.Request), func(name string, v reflect.Value) {
		switch {
		case v.IsZero():
		case v.Kind() == reflect.String && !utf8.ValidString(v.String()):
			m[name+inBase64] = base64.StdEncoding.EncodeToString([]byte(v.String()))
		default:
			m[name] = v.Interface()
		}
	})
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON writes. A field that is not known is an error: without it the request would be another one.
func (r *Request) UnmarshalJSON(text []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	r.Request = curl.Request{}
	var failed error
	fields(reflect.ValueOf(&r.Request).Elem(), func(name string, v reflect.Value) {
		if raw, ok := m[name]; ok {
			if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
				failed = fmt.Errorf("request: %s: %w", name, err)
			}
		}
		if raw, ok := m[name+inBase64]; ok && v.Kind() == reflect.String {
			var b []byte
			if err := json.Unmarshal(raw, &b); err != nil {
				failed = fmt.Errorf("request: %s: %w", name+inBase64, err)
			}
			v.SetString(string(b))
			delete(m, name+inBase64)
		}
		delete(m, name)
	})
	for name := range m {
		return fmt.Errorf("request: the field %q is not known; the report was written by another version of the suite", name)
	}
	return failed
}
