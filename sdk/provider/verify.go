package provider

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// Verified is a call whose signature was right and whose fields are as the contract says.
type Verified struct {
	// Name is the activity, or the name of the kit call, as it was sent: newInstance, tenantSync, V1's expireInstance, …
	Name string
	// Class says which access key signed it. V1 has one key for all and tells base from kit calls.
	Class providerapi.Class
	// V1 says that it came by the access interface V1.0.
	V1 bool
	// Debug says that it is a debug call: answer success, and change nothing.
	Debug bool
	// Body is the body as it came; nil for base calls of V1.
	Body []byte
	// Values are the parameters of a V1 call as text; what is encrypted in them still is. nil for V2.
	Values map[string]string
}

type verifiedKey struct{}

// VerifiedFrom returns the call that [Verify] has let through.
func VerifiedFrom(ctx context.Context) (Verified, bool) {
	v, ok := ctx.Value(verifiedKey{}).(Verified)
	return v, ok
}

// Verify returns a middleware for programs that route and answer calls by themselves. It does the first half of what
// [NewHandler] does: limits the body, verifies signature, freshness and nonce, compares with the contract, and answers and logs
// what does not pass. What passes goes to the next handler, with the body readable again and the call in the context
// ([VerifiedFrom]).
//
// It does not answer debug calls, decrypt anything, or remember instance ids: Instances, Market, KitSecret, DebugInfo and
// Timeout of the Config are not used. Answers to V1 calls are held back until the next handler returns, to be signed
// (Body-Sign).
func Verify(cfg Config) (func(http.Handler) http.Handler, error) {
	h, err := newHandler(nil, cfg)
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.verified(w, r, next) })
	}, nil
}

func (h *handler) verified(w http.ResponseWriter, r *http.Request, next http.Handler) {
	start := h.cfg.Now()
	var x exchange
	in, rep, ok := h.guardedAccept(w, r, &x)
	if !ok {
		h.finish(w, r, &x, rep, start)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), verifiedKey{}, Verified{
		Name: in.call.Name, Class: in.call.Class, V1: in.v1, Debug: x.debug, Body: in.body, Values: maps.Clone(in.texts),
	}))
	if in.body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(in.body)), int64(len(in.body))
	}
	if !x.v1 {
		next.ServeHTTP(w, r)
		return
	}
	held := &heldAnswer{header: w.Header(), status: http.StatusOK}
	next.ServeHTTP(held, r)
	w.Header().Set("Body-Sign", h.v1.sign(x.v1Key, held.body.Bytes()))
	w.Header().Del("Content-Length")
	w.WriteHeader(held.status)
	_, _ = w.Write(held.body.Bytes()) // whether the peer still listens is not known here
}

func (h *handler) guardedAccept(w http.ResponseWriter, r *http.Request, x *exchange) (in incoming, rep reply, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			rep, ok = panicked(p), false
		}
	}()
	return h.accept(w, r, x)
}

// heldAnswer keeps an answer until it can be signed.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) Header() http.Header         { return a.header }
func (a *heldAnswer) WriteHeader(status int)      { a.status = status }
func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
