package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// streaming serves a stream of a store's events from the beginning, or after the Last-Event-ID, and tells how each one ended.
func streaming(t *testing.T, st *store.Store, heartbeat, patience time.Duration) (address string, ended <-chan error) {
	t.Helper()
	ends := make(chan error, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var at event.Cursor
		if id := r.Header.Get("Last-Event-ID"); id != "" {
			var err error
			if at, err = event.ParseCursor(id); err != nil {
				t.Error(err)
			}
		}
		ends <- (&stream{ctx: r.Context(), store: st, at: at, heartbeat: heartbeat, patience: patience}).VisitStreamEventsResponse(w)
	}))
	t.Cleanup(server.Close)
	return server.URL, ends
}

func openStore(t *testing.T, events int, text string) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	require.NoError(t, st.Update(t.Context(), func(tx *store.Tx) error {
		for range events {
			if err := tx.AddEvent(event.Event{Kind: sandboxapi.EventClockMoved, Time: time.Unix(1e9, 0), Text: text}); err != nil {
				return err
			}
		}
		return nil
	}))
	return st
}

func TestStream_SaysThatItIsAlive(t *testing.T) {
	t.Parallel()
	address, _ := streaming(t, openStore(t, 0, ""), 10*time.Millisecond, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	lines, beats := bufio.NewScanner(resp.Body), 0
	for beats < 3 && lines.Scan() {
		if lines.Text() == ": alive" {
			beats++
		}
	}
	require.Equal(t, 3, beats, "%v", lines.Err())
}

// TestStream_WhoDoesNotReadIsCutOff has a reader that stops reading, and finds the rest when it comes back.
func TestStream_WhoDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	const events = 4000 // of 4 KB each: more than the buffers of a connection hold
	st := openStore(t, events, strings.Repeat("x", 4096))
	address, ended := streaming(t, st, time.Minute, 100*time.Millisecond)
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(address, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.NoError(t, err, "it is the reader's affair")
	case <-time.After(time.Minute):
		t.Fatal("the stream waits for who does not read")
	}

	// What was on its way arrives, and the last whole message says where to go on.
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	first := ids(t, readAll(conn))
	require.NotEmpty(t, first)
	require.Less(t, len(first), events)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(t, err)
	req.Header.Set("Last-Event-ID", first[len(first)-1])
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	rest := []string{}
	lines := bufio.NewScanner(resp.Body)
	for len(first)+len(rest) < events && lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			rest = append(rest, id)
		}
	}
	require.NoError(t, lines.Err())
	for i, id := range append(first, rest...) {
		require.Equal(t, fmt.Sprint(i+1), id)
	}
}

func readAll(r io.Reader) string {
	text, _ := io.ReadAll(r) // it ends with an error, as it was cut off
	return string(text)
}

// ids gives the ids of the whole messages in a stream, sent in chunks or not.
func ids(t *testing.T, text string) (list []string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	messages := strings.Split(readAll(resp.Body), "\n\n")
	for _, m := range messages[:len(messages)-1] {
		if rest, ok := strings.CutPrefix(m, "id: "); ok {
			id, _, _ := strings.Cut(rest, "\n")
			list = append(list, id)
		}
	}
	return list
}

// TestStream_GoesBackWithTheSandbox: after a reset the stream tells what happens from then on.
func TestStream_GoesBackWithTheSandbox(t *testing.T) {
	t.Parallel()
	st := openStore(t, 3, "before")
	s := &stream{ctx: t.Context(), store: st, at: event.Cursor{Event: 900, Journal: true, Attempt: 70}}
	messages, err := s.next()
	require.NoError(t, err)
	require.Empty(t, messages)
	require.Equal(t, "3.0", s.at.String())
	require.NoError(t, st.Update(t.Context(), func(tx *store.Tx) error {
		return tx.AddEvent(event.Event{Kind: sandboxapi.EventClockMoved, Time: time.Unix(1e9, 0), Text: "after"})
	}))
	messages, err = s.next()
	require.NoError(t, err)
	require.Contains(t, string(messages), "id: 4.0\n")
	require.Contains(t, string(messages), "after")
}
