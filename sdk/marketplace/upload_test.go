package marketplace_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// uploaded takes an upload apart.
func uploaded(t *testing.T, contentType string, body io.Reader) (name string, file []byte, description marketplaceapi.UploadDescription) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	require.NoError(t, err)
	require.Equal(t, "multipart/form-data", kind)
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return name, file, description
		}
		require.NoError(t, err)
		content, err := io.ReadAll(part)
		require.NoError(t, err)
		switch part.FormName() {
		case "file":
			name, file = part.FileName(), content
		case "isvUpdateFileReq":
			assert.Equal(t, "application/json", part.Header.Get("Content-Type"))
			schema, err := contract.Marketplace().At("/components/schemas/UploadDescription")
			require.NoError(t, err)
			assert.Empty(t, schema.Violations(content))
			require.NoError(t, json.Unmarshal(content, &description))
		default:
			t.Errorf("unknown part %q", part.FormName())
		}
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	s := setup(t, func(n int, w http.ResponseWriter, r *http.Request) {
		assert.Positive(t, r.ContentLength)
		if n < 3 {
			say(w, 503, ``)
			return
		}
		say(w, 200, `{"error_code":"92020000","error_msg":"success"}`)
	})
	content := bytes.Repeat([]byte("licence\x00\r\n--"), 1000)
	require.NoError(t, s.client.UploadFile(t.Context(), "87b94795-0603", marketplace.FileOf(`许可 "1".lic`, content)))
	require.NoError(t, s.client.UploadCharacters(t.Context(), "e 2?", "text <1> &"))
	require.Len(t, s.got, 4)
	sum := sha256.Sum256(content)
	for _, got := range s.got[:3] {
		assert.Equal(t, "/api/mkp-openapi-public/global/v1/market-event/87b94795-0603/file", got.path)
		assert.Equal(t, "UNSIGNED-PAYLOAD", got.header.Get("X-Sdk-Content-Sha256"))
		assert.Contains(t, got.header.Get("Authorization"), "x-sdk-content-sha256")
		name, file, description := uploaded(t, got.header.Get("Content-Type"), strings.NewReader(got.body))
		assert.Equal(t, `许可 "1".lic`, name)
		assert.Equal(t, content, file)
		assert.Equal(t, marketplaceapi.UploadDescription{
			Type: marketplaceapi.UploadFile, FileName: `许可 "1".lic`, Sha256: hex.EncodeToString(sum[:]),
		}, description)
	}
	assert.NotEqual(t, s.got[0].header.Get("X-Sdk-Date"), s.got[2].header.Get("X-Sdk-Date"))
	assert.Equal(t, "/api/mkp-openapi-public/global/v1/market-event/e 2?/file", s.got[3].path)
	name, file, description := uploaded(t, s.got[3].header.Get("Content-Type"), strings.NewReader(s.got[3].body))
	assert.Empty(t, name)
	assert.Nil(t, file)
	assert.Equal(t, marketplaceapi.UploadDescription{Type: marketplaceapi.UploadCharacters, Characters: "text <1> &"}, description)
}

// pattern is a file of any size that no memory holds; it notes the largest piece that was asked for.
type pattern struct{ largest int }

func (p *pattern) ReadAt(b []byte, off int64) (int, error) {
	p.largest = max(p.largest, len(b))
	for i := range b {
		b[i] = byte(off + int64(i))
	}
	return len(b), nil
}

func TestUploadFile_Streams(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	var length, read int64
	c := offline(t, func(r *http.Request) (*http.Response, error) {
		length = r.ContentLength
		var err error
		read, err = io.Copy(io.Discard, r.Body)
		return response(r, 200, `{"error_code":"92020000"}`), err
	})
	p := &pattern{}
	require.NoError(t, c.UploadFile(t.Context(), "e-1", marketplace.File{Name: "big", Content: p, Size: size}))
	assert.Equal(t, length, read)
	assert.Greater(t, read, int64(size))
	assert.LessOrEqual(t, p.largest, 1<<20)
}

func TestUpload_IsCheckedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	s := setup(t, func(int, http.ResponseWriter, *http.Request) { t.Error("nothing must be sent") })
	good := marketplace.FileOf("a", []byte("x"))
	for _, tt := range []struct {
		want, event string
		file        marketplace.File
	}{
		{"event id is empty", "", good},
		{"event id is 65", strings.Repeat("x", 65), good},
		{"cannot stand in a path", "..", good},
		{"cannot stand in a path", "a/b", good},
		{"name is empty", "e", marketplace.FileOf("", nil)},
		{"name is 1025", "e", marketplace.FileOf(strings.Repeat("x", 1025), nil)},
		{"control characters", "e", marketplace.FileOf("a\r\nX: y", nil)},
		{"no content", "e", marketplace.File{Name: "a"}},
		{"3 bytes, expected 4", "e", marketplace.File{Name: "a", Content: strings.NewReader("abc"), Size: 4}},
		{"disk", "e", marketplace.File{Name: "a", Content: brokenFile{}, Size: 4}},
	} {
		require.ErrorContains(t, s.client.UploadFile(t.Context(), tt.event, tt.file), tt.want)
	}
	require.ErrorContains(t, s.client.UploadCharacters(t.Context(), "e", ""), "text is empty")
	require.ErrorContains(t, s.client.UploadCharacters(t.Context(), "e", strings.Repeat("x", 1025)), "text is 1025")
	require.ErrorContains(t, s.client.UploadCharacters(t.Context(), "../e", "x"), "path")
}

type brokenFile struct{}

func (brokenFile) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk") }
