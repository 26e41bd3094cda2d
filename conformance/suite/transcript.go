package suite

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sdk/signature"
)

// Attempt is one HTTP exchange of a check, as it went over the wire. Bodies are cut off at a limit; their sizes are true.
type Attempt struct {
	// Asked says that the ISV asked the marketplace. Otherwise the marketplace called the ISV.
	Asked bool
	// Note says why the marketplace refused what the ISV asked.
	Note string
	// Fault says that the marketplace answered wrongly on purpose.
	Fault bool

	Method, URL   string
	RequestHeader http.Header
	RequestBody   []byte
	RequestSize   int

	Err          string // no answer, or not all of it
	Status       int
	AnswerHeader http.Header
	AnswerBody   []byte
	AnswerSize   int
	Duration     time.Duration // until the last byte
}

const (
	mostKept     = 8 << 10 // bytes of a body
	mostAttempts = 64      // of one check
)

// transcript collects the attempts that are made with a context.
type transcript struct {
	mu       sync.Mutex
	attempts []*recording
	left     int // so many more were made
}

// recording is an attempt that may still be going on: the transport can be reading the request when the answer is there.
type recording struct {
	mu sync.Mutex
	Attempt
}

type transcriptKey struct{}

// branch starts a transcript of its own, for what runs at the same time as other things. join adds it to the one that ctx had.
func branch(ctx context.Context) (_ context.Context, t *transcript, join func()) {
	outer, _ := ctx.Value(transcriptKey{}).(*transcript)
	t = &transcript{}
	return context.WithValue(ctx, transcriptKey{}, t), t, func() {
		if outer == nil {
			return
		}
		outer.mu.Lock()
		defer outer.mu.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, r := range t.attempts {
			outer.add(r)
		}
		outer.left += t.left
	}
}

func (t *transcript) add(r *recording) {
	if len(t.attempts) >= mostAttempts {
		t.left++
		return
	}
	t.attempts = append(t.attempts, r)
}

// mark is a place in the transcript to return to with rewind.
func (t *transcript) mark() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.attempts)
}

// rewind forgets what came after a mark, so that of many polls only the last one is told: how many there were is a matter of time.
func (t *transcript) rewind(mark int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempts = t.attempts[:min(mark, len(t.attempts))]
}

// taken are copies of the attempts so far, and how many more there were.
func (t *transcript) taken() (attempts []Attempt, left int) {
	if t == nil {
		return nil, 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.attempts {
		r.mu.Lock()
		attempts = append(attempts, r.Attempt)
		r.mu.Unlock()
	}
	return attempts, t.left
}

// Recording wraps the transport of a client, so that what checks send with it, and what comes back, gets into their results.
func Recording(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return recorder{next}
}

type recorder struct{ next http.RoundTripper }

// RoundTrip makes one exchange and keeps it.
func (t recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	into, _ := req.Context().Value(transcriptKey{}).(*transcript)
	if into == nil {
		return t.next.RoundTrip(req)
	}
	start := time.Now()
	r := &recording{Attempt: Attempt{Method: req.Method, URL: req.URL.String(), RequestHeader: req.Header.Clone()}}
	if req.Body != nil && req.ContentLength < 0 {
		r.RequestHeader.Set("Transfer-Encoding", "chunked")
	}
	into.mu.Lock()
	into.add(r)
	into.mu.Unlock()
	if req.Body != nil && req.Body != http.NoBody {
		req = req.Clone(req.Context())
		get := req.GetBody
		req.Body = r.sending(req.Body)
		if get != nil { // the transport sends it again on a new connection if an idle one turns out to be closed
			req.GetBody = func() (io.ReadCloser, error) {
				body, err := get()
				if err != nil {
					return nil, err
				}
				return r.sending(body), nil
			}
		}
	}
	resp, err := t.next.RoundTrip(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Duration = time.Since(start)
	if err != nil {
		r.Err = plainError(err).Error()
		return resp, err
	}
	r.Status, r.AnswerHeader = resp.StatusCode, resp.Header.Clone()
	resp.Body = &tee{from: resp.Body, seen: func(p []byte, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.AnswerBody = keep(r.AnswerBody, p)
		r.AnswerSize += len(p)
		r.Duration = time.Since(start)
		if err != nil && !errors.Is(err, io.EOF) {
			r.Err = plainError(err).Error()
		}
	}}
	return resp, nil
}

// sending notes the body of the request while it is read, from the beginning.
func (r *recording) sending(body io.ReadCloser) io.ReadCloser {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.RequestBody, r.RequestSize = nil, 0
	return &tee{from: body, seen: func(p []byte, _ error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.RequestBody = keep(r.RequestBody, p)
		r.RequestSize += len(p)
	}}
}

// keep adds what there is room for.
func keep(kept, more []byte) []byte {
	room := mostKept - len(kept)
	return append(kept, more[:min(room, len(more))]...)
}

// tee tells what is read.
type tee struct {
	from io.ReadCloser
	seen func([]byte, error)
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.seen(p[:n], err)
	return n, err
}

func (t *tee) Close() error { return t.from.Close() }

// asked is a request of the ISV as an attempt.
func (e *Env) asked(x Exchange) Attempt {
	address := x.Path
	if x.Query != "" {
		address += "?" + x.Query
	}
	a := Attempt{
		Asked: true, Method: x.Method, URL: address, RequestBody: keep(nil, x.RequestBody), RequestSize: len(x.RequestBody),
		Status: x.Status, AnswerBody: keep(nil, x.ResponseBody), AnswerSize: len(x.ResponseBody),
	}
	switch {
	case x.Fault != "":
		a.Fault = true
	case x.Code != "" && x.Code != "MKT.0000":
		a.Note = strings.TrimSuffix(strings.TrimSpace(x.Code+" "+x.Detail), ".") + e.autopsy(x)
	}
	return a
}

// autopsy says how the signature of a usage push was made, if it was made with one of the known mistakes.
func (e *Env) autopsy(x Exchange) string {
	q, err := url.ParseQuery(x.Query)
	if err != nil || x.Operation != opPush || !refusedSignature(x) {
		return ""
	}
	usage, err := signature.NewUsage(signature.Config{Keys: []string{e.BaseKey}})
	if err != nil {
		return ""
	}
	var others []signature.OtherKey
	for class, key := range map[string]string{"kit": e.KitKey, "general": e.GeneralKey, "license": e.LicenseKey, "V1": e.V1Key, "SK": e.SK} {
		if key != "" && key != e.BaseKey {
			others = append(others, signature.OtherKey{Class: class, Key: key})
		}
	}
	slices.SortFunc(others, func(a, b signature.OtherKey) int { return strings.Compare(a.Class, b.Class) })
	said := ""
	for _, f := range usage.Explain(signature.Params{Signature: q.Get("signature"), Timestamp: q.Get("ts"), Nonce: q.Get("nonce")}, x.RequestBody, others...) {
		said += "; " + strings.TrimSuffix(f.Explanation, ".") + ": " + strings.TrimSuffix(f.Mend, ".")
	}
	return said
}
