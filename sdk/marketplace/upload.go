package marketplace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// File is a file to be uploaded. Content is read once for its hash and once more for each attempt, so it must stay the same.
type File struct {
	Name    string // 1 to 1024 characters
	Content io.ReaderAt
	Size    int64 // of Content in bytes
}

// FileOf is a file in memory.
func FileOf(name string, content []byte) File {
	return File{Name: name, Content: bytes.NewReader(content), Size: int64(len(content))}
}

// UploadFile hands over the file that was asked for by getLicenseAsync, whose eventId is eventID, 64 characters at most. The file
// is sent with its name and SHA-256, and is not held in memory. Config.Timeout has to be long enough for all of it.
//
// An upload whose answer was lost is repeated: event and bytes are the same, so the worst is that the repeat is refused.
//
//isvkit:operation uploadFile
func (c *Client) UploadFile(ctx context.Context, eventID string, file File) error {
	const op = "uploadFile"
	problem := textProblemUpTo(file.Name, 1, maxUploadText)
	switch {
	case problem != "":
		return fmt.Errorf("marketplace: %s: the file's name %s", op, problem)
	case strings.ContainsFunc(file.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("marketplace: " + op + ": the file's name has control characters")
	case file.Content == nil || file.Size < 0:
		return errors.New("marketplace: " + op + ": the file has no content, or a size below 0")
	}
	hash := sha256.New()
	n, err := io.Copy(hash, file.reader())
	if err != nil {
		return fmt.Errorf("marketplace: %s: read the file: %w", op, err)
	}
	if n != file.Size {
		return fmt.Errorf("marketplace: %s: the file has %d bytes, expected %d", op, n, file.Size)
	}
	return c.upload(ctx, eventID, &file, marketplaceapi.UploadDescription{
		Type: marketplaceapi.UploadFile, FileName: file.Name, Sha256: hex.EncodeToString(hash.Sum(nil)),
	})
}

// UploadCharacters hands over a text of 1 to 1024 characters instead of a file; see [Client.UploadFile].
//
//isvkit:operation uploadFile
func (c *Client) UploadCharacters(ctx context.Context, eventID, text string) error {
	if problem := textProblemUpTo(text, 1, maxUploadText); problem != "" {
		return fmt.Errorf("marketplace: uploadFile: the text %s", problem)
	}
	return c.upload(ctx, eventID, nil, marketplaceapi.UploadDescription{Type: marketplaceapi.UploadCharacters, Characters: text})
}

const maxUploadText = 1024

func (f File) reader() io.Reader { return io.NewSectionReader(f.Content, 0, f.Size) }

// upload sends the file, if there is one, and its description, in that order as in the published example.
func (c *Client) upload(ctx context.Context, eventID string, file *File, description marketplaceapi.UploadDescription) error {
	const op = "uploadFile"
	if problem := textProblem(eventID, 1); problem != "" {
		return fmt.Errorf("marketplace: %s: the event id %s", op, problem)
	}
	if strings.ContainsAny(eventID, `/\`) || strings.Trim(eventID, ".") == "" {
		return errors.New("marketplace: " + op + ": the event id cannot stand in a path")
	}
	text, err := encode(description)
	if err != nil {
		return fmt.Errorf("marketplace: %s: %w", op, err)
	}
	var frame bytes.Buffer // the body without the file, which belongs at split
	form, split := multipart.NewWriter(&frame), 0
	var size int64
	if file != nil {
		disposition := multipart.FileContentDisposition("file", file.Name)
		if _, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {"application/octet-stream"}}); err != nil {
			return fmt.Errorf("marketplace: %s: %w", op, err)
		}
		split, size = frame.Len(), file.Size
	}
	part, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="isvUpdateFileReq"`}, "Content-Type": {"application/json"}})
	if err == nil {
		_, _ = part.Write(text) // into memory
		err = form.Close()
	}
	if err != nil {
		return fmt.Errorf("marketplace: %s: %w", op, err)
	}
	req, err := marketplaceapi.NewUploadFileRequestWithBody(c.server, eventID, form.FormDataContentType(), nil)
	if err != nil {
		return fmt.Errorf("marketplace: %s: %w", op, err)
	}
	req.Header.Set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD") // the vendor's rule for bodies other than JSON; the signer streams them
	ans, err := c.do(ctx, &call{
		operation: op, repeatable: true,
		length: int64(frame.Len()) + size,
		body: func() io.Reader {
			if file == nil {
				return bytes.NewReader(frame.Bytes())
			}
			return io.MultiReader(bytes.NewReader(frame.Bytes()[:split]), file.reader(), bytes.NewReader(frame.Bytes()[split:]))
		},
	}, req)
	if err != nil {
		return err
	}
	if !ans.succeeded() {
		return ans.refusal(op)
	}
	return nil
}

// textProblemUpTo returns what is wrong with a text of least to most characters, "" if nothing is.
func textProblemUpTo(text string, least, most int) string {
	switch n := utf8.RuneCountInString(text); {
	case n < least:
		return "is empty"
	case n > most:
		return fmt.Sprintf("is %d characters long, expected at most %d", n, most)
	case !utf8.ValidString(text):
		return "is not UTF-8"
	}
	return ""
}
