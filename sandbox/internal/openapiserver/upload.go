package openapiserver

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
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/licensebook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

const (
	// maxParts is far more than an upload needs.
	maxParts = 10
	// maxDescription is more than the longest description, of three texts of 1024 characters, escaped.
	maxDescription = 64 << 10
)

// UploadFile takes the licence of an instance, as a text or a file.
func (s *server) UploadFile(c echo.Context, eventID string) error {
	x := exchangeOf(c)
	if n := utf8.RuneCountInString(eventID); n == 0 || n > 64 {
		return refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: event_id: expected 1 to 64 characters")
	}
	description, file, err := uploaded(c.Request().Header.Get("Content-Type"), x.RequestBody)
	if err != nil {
		return err
	}
	f := store.LicenseFile{EventID: eventID, Type: description.Type, FileName: description.FileName}
	content := file
	switch description.Type {
	case marketplaceapi.UploadFile:
		sum := sha256.Sum256(file)
		switch {
		case file == nil:
			return refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: file: type FILE needs the part")
		case description.FileName == "" || description.Sha256 == "":
			return refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: isvUpdateFileReq: type FILE needs file_name and sha256")
		case description.Sha256 != hex.EncodeToString(sum[:]):
			return refuse(http.StatusOK, license.CodeParameter, "sha256 is not that of the file, in lower-case hex")
		}
	default:
		if description.Characters == "" {
			return refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: isvUpdateFileReq: type CHARACTERS needs characters")
		}
		content, f.FileName = []byte(description.Characters), ""
	}
	sum := sha256.Sum256(content)
	f.SHA256 = hex.EncodeToString(sum[:])
	err = s.cfg.Licenses.Upload(c.Request().Context(), x.SellerID, f, content)
	var refused *licensebook.Refusal
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refuse(http.StatusUnauthorized, "MKT.0150", "Illegal operation: event_id: nobody asked you for a licence with this eventId")
	case errors.As(err, &refused):
		return refuse(http.StatusOK, refused.Code, "%s", refused.Message)
	}
	return s.success(c, err, marketplaceapi.UploadAnswer{ErrorCode: license.CodeSuccess, ErrorMsg: "success"})
}

// uploaded reads the parts. The file is nil if there is none.
func uploaded(contentType string, body []byte) (d marketplaceapi.UploadDescription, file []byte, _ error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return d, nil, refuse(http.StatusBadRequest, license.CodeContentType, "Content-Type: expected multipart/form-data with a boundary")
	}
	broken := refuse(http.StatusBadRequest, license.CodeBody, "the body cannot be read as multipart/form-data")
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var description []byte
	for n := 0; ; n++ {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) && n > 0 {
			break
		}
		if err != nil || n >= maxParts {
			return d, nil, broken
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return d, nil, broken
		}
		switch part.FormName() {
		case "file":
			if file != nil {
				return d, nil, refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: file: the part is there twice")
			}
			file = content
		case "isvUpdateFileReq":
			if description != nil {
				return d, nil, refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: isvUpdateFileReq: the part is there twice")
			}
			description = content
		}
	}
	switch {
	case description == nil:
		return d, nil, refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: isvUpdateFileReq: the part is missing")
	case len(description) > maxDescription || !json.Valid(description):
		return d, nil, refuse(http.StatusBadRequest, license.CodeBody, "isvUpdateFileReq is no JSON")
	}
	schema, err := contract.Marketplace().At("/components/schemas/UploadDescription")
	if err != nil {
		return d, nil, err
	}
	if found := schema.Violations(description); len(found) > 0 {
		return d, nil, refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: isvUpdateFileReq: %s", found[0])
	}
	if err := json.Unmarshal(description, &d); err != nil {
		return d, nil, refuse(http.StatusBadRequest, license.CodeRequestParameter, "req param is invalid: isvUpdateFileReq: a name is there twice")
	}
	return d, file, nil
}
