// Package request names the requests that a server of the sandbox takes, and tells the log of them.
package request

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync/atomic"
	"time"
)

// Header carries the id of a request, in and out.
const Header = "X-Request-Id"

// form is what is taken from others as an id: short, and nothing that means anything in a log, a header or a page.
var form = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

var (
	prefix  = newPrefix()
	counter atomic.Uint64
)

func newPrefix() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails, see crypto/rand
	return hex.EncodeToString(random)
}

// ID is the id of a request: the one that it came with, if that is one, or else a new one of 32 hexadecimal digits.
func ID(r *http.Request) string {
	if given := r.Header.Get(Header); form.MatchString(given) {
		return given
	}
	return fmt.Sprintf("%s%016x", prefix, counter.Add(1))
}

// Entry is what the log is told of a request. There is no path and no query in it: both may hold what is nobody's business.
type Entry struct {
	API       string // open or control
	ID        string
	Operation string // of the document; empty for anything else
	Method    string
	Status    int
	Code      string // of the answer
	Role      string // who asked; empty if that was not found out
	SellerID  string
	Changes   bool // it may change something, and is rare enough to be told of when nothing is wrong
	Took      time.Duration
}

// Log tells the log of a request: debug if all is well and nothing changed, info if it changed something or was refused, error if the
// sandbox could not answer.
func Log(log *slog.Logger, e Entry) {
	level := slog.LevelDebug
	switch {
	case e.Status >= http.StatusInternalServerError:
		level = slog.LevelError
	case e.Status >= http.StatusBadRequest, e.Changes:
		level = slog.LevelInfo
	}
	ctx := context.Background()
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("api", e.API), slog.String("requestId", e.ID), slog.String("method", e.Method), slog.String("operation", e.Operation), slog.Int("status", e.Status),
		slog.Int64("ms", e.Took.Milliseconds()),
	}
	for _, a := range []slog.Attr{slog.String("code", e.Code), slog.String("role", e.Role), slog.String("sellerId", e.SellerID)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	log.LogAttrs(ctx, level, "request", attrs...)
}
