package mutant

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/isvkit/isvkit/sdk/signature"
)

// object is a JSON object.
type object = map[string]any

// call is a request on its way to the right ISV, and what a mutant may do to it.
type call struct {
	isv  *ISV
	next http.Handler

	method  string
	url     *url.URL
	query   url.Values
	header  http.Header
	raw     []byte
	body    object // nil if it is no JSON object
	request *http.Request
}

// answer is what goes back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   object // nil if it is no JSON object; written instead of raw if it was changed by set
	forged bool   // Body-Sign stays as it is, right or wrong
}

// behaviour is a mutant's handler.
type behaviour func(c *call) *answer

func (b behaviour) handler(isv *ISV) http.Handler { return b.over(isv, isv.Handler) }

// over is handler in front of another one than the right ISV's.
func (b behaviour) over(isv *ISV, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{isv: isv, next: next, method: r.Method, url: r.URL, query: r.URL.Query(), header: r.Header.Clone(), request: r}
		c.raw, _ = io.ReadAll(r.Body)
		_ = json.Unmarshal(c.raw, &c.body)
		a := b(c)
		if !a.forged {
			a.signV1(isv.Keys.V1)
		}
		maps.Copy(w.Header(), a.header)
		w.WriteHeader(a.status)
		_, _ = w.Write(a.raw)
	})
}

func (c *call) text(name string) string {
	s, _ := c.body[name].(string)
	return s
}

func (c *call) is(activity string) bool { return c.text("activity") == activity }
func (c *call) debug() bool             { return c.text("testFlag") == "1" }

func (c *call) key() string {
	if c.is("orderNotify") {
		return c.isv.Keys.General
	}
	if c.licence() {
		return c.isv.Keys.License
	}
	return c.isv.Keys.Base
}

// pass lets the right ISV answer.
func (c *call) pass() *answer {
	r := c.request.Clone(c.request.Context())
	u := *c.url
	u.RawQuery = c.query.Encode()
	r.URL, r.Method, r.Header = &u, c.method, c.header
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(c.raw)), int64(len(c.raw))
	w := &recorder{header: http.Header{}, status: 200}
	c.next.ServeHTTP(w, r)
	a := &answer{status: w.status, header: w.header, raw: w.body.Bytes()}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

// resigned lets the right ISV answer the call with a fresh, right signature.
func (c *call) resigned() *answer {
	base, err := signature.NewBase(signature.Config{Keys: []string{c.key()}})
	if err != nil {
		panic(err) // the keys are ours
	}
	params, err := base.Sign(c.raw)
	if err != nil {
		panic(err)
	}
	c.query = params.Query()
	return c.pass()
}

// with changes a field of the body and has it signed again; nil takes the field away.
func (c *call) with(name string, value any) *call {
	changed := *c
	changed.body = maps.Clone(c.body)
	if value == nil {
		delete(changed.body, name)
	} else {
		changed.body[name] = value
	}
	changed.raw, _ = json.Marshal(changed.body)
	return &changed
}

// rightFor reports whether the signature fits a body, a timestamp and a nonce, whatever their age.
func (c *call) rightFor(body string) bool {
	base, err := signature.NewBase(signature.Config{Keys: []string{c.key()}})
	if err != nil {
		panic(err)
	}
	return strings.EqualFold(base.SignAt([]byte(body), c.query.Get("timestamp"), c.query.Get("nonce")), c.query.Get("signature"))
}

func (c *call) right() bool { return c.rightFor(string(c.raw)) }

// trusted reports whether the right ISV would accept the signature, its age included; it does not look for replays.
func (c *call) trusted() bool {
	ms, err := strconv.ParseInt(c.query.Get("timestamp"), 10, 64)
	return err == nil && time.Since(time.UnixMilli(ms)).Abs() < time.Minute && c.query.Get("nonce") != "" && c.right()
}

// signV1 signs an answer of V1 anew, because it may have been changed.
func (a *answer) signV1(key string) {
	if a.header.Get("Body-Sign") == "" || key == "" {
		return
	}
	var ascii bytes.Buffer
	for _, r := range string(a.raw) {
		if r < 0x80 {
			ascii.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&ascii, `\u%04x`, unit)
		}
	}
	a.raw = ascii.Bytes()
	a.header.Set("Body-Sign", signature.BodySign(key, a.raw))
}

func reply(code, msg string) *answer {
	a := &answer{status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: object{"resultCode": code, "resultMsg": msg}}
	return a.write()
}

func success() *answer { return reply("000000", "success") }

func (a *answer) code() string {
	s, _ := a.body["resultCode"].(string)
	return s
}

func (a *answer) ok() bool { return a.code() == "000000" }

func (a *answer) write() *answer {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(a.body)
	a.raw = b.Bytes()
	return a
}

// set changes a field of the answer; nil takes it away.
func (a *answer) set(name string, value any) *answer {
	if a.body == nil {
		return a
	}
	if value == nil {
		delete(a.body, name)
	} else {
		a.body[name] = value
	}
	return a.write()
}

// entries changes every entry of info.
func (a *answer) entries(change func(object)) *answer {
	list, _ := a.body["info"].([]any)
	for _, e := range list {
		if entry, ok := e.(object); ok {
			change(entry)
		}
	}
	if list == nil {
		return a
	}
	return a.write()
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func randomID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
