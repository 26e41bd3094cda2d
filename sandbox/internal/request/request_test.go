package request_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/request"
)

func TestID_TakesWhatIsOneAndNothingElse(t *testing.T) {
	for _, given := range []string{"a", "r-1", "0f5a6d9c8e7b4a3d2c1b0a9f8e7d6c5b", "A.b_c-9", strings.Repeat("x", 64)} {
		require.Equal(t, given, request.ID(&http.Request{Header: http.Header{"X-Request-Id": {given}}}))
	}
	seen := map[string]bool{}
	for _, given := range []string{"", " ", "a b", "a\nb", "a\r\nSet-Cookie: x", "Bearer x", "key=value", "<script>", "ü", "a\x00", strings.Repeat("x", 65), `a"b`, "a/b"} {
		id := request.ID(&http.Request{Header: http.Header{"X-Request-Id": {given}}})
		require.Regexp(t, `^[0-9a-f]{32}$`, id, "in place of %q", given)
		require.False(t, seen[id])
		seen[id] = true
	}
	require.Regexp(t, `^[0-9a-f]{32}$`, request.ID(&http.Request{}))
}

func TestLog_Levels(t *testing.T) {
	for _, c := range []struct {
		name  string
		entry request.Entry
		level string
	}{
		{"all is well", request.Entry{Status: 200}, "DEBUG"},
		{"something changed", request.Entry{Status: 201, Changes: true}, "INFO"},
		{"refused", request.Entry{Status: 401}, "INFO"},
		{"our mistake", request.Entry{Status: 500}, "ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			c.entry.ID, c.entry.SellerID, c.entry.Took = "id-1", "acme", 1500*time.Microsecond
			request.Log(log, c.entry)
			require.Contains(t, out.String(), "level="+c.level+" msg=request")
			require.Contains(t, out.String(), "requestId=id-1")
			require.Contains(t, out.String(), "ms=1 ")
			require.Contains(t, out.String(), "sellerId=acme")
			require.NotContains(t, out.String(), "code=", "what is not there is not told")

			out.Reset()
			request.Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError + 1})), c.entry)
			require.Empty(t, out.String())
		})
	}
}
