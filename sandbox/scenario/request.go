package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// request makes the request for an operation of its arguments, with the body beside it, because signatures cover its bytes.
func (o *operation) request(ctx context.Context, server string, args map[string]any) (*http.Request, []byte, error) {
	path, query := o.path, url.Values{}
	used := map[string]bool{fieldToken: o.bearer}
	if o.server != "" {
		server, used[o.server] = text(args[o.server]), true
	}
	for _, p := range o.params {
		value, there := args[p.name]
		used[p.name] = true
		switch {
		case p.in == "path":
			path = strings.ReplaceAll(path, "{"+p.name+"}", url.PathEscape(text(value)))
		case p.in == "query" && there:
			if list, ok := value.([]any); ok {
				for _, one := range list {
					query.Add(p.name, text(one))
				}
			} else {
				query.Set(p.name, text(value))
			}
		}
	}
	fields := map[string]any{}
	for name, value := range args {
		if !used[name] {
			fields[name] = value
		}
	}
	var body []byte
	contentType := o.mediaType
	var err error
	switch o.mediaType {
	case "":
	case "application/x-www-form-urlencoded":
		form := url.Values{}
		for name, value := range fields {
			form.Set(name, text(value))
		}
		body = []byte(form.Encode())
	case "multipart/form-data":
		body, contentType, err = o.multipart(fields)
	default:
		body, err = encode(fields)
	}
	if err != nil {
		return nil, nil, err
	}
	address := strings.TrimSuffix(server, "/") + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, o.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", o.id, err)
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if token := text(args[fieldToken]); o.bearer && token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, body, nil
}

// encode writes a body as compact JSON, sorted by name at every level.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// multipart writes a form: objects as JSON, binary fields as files.
func (o *operation) multipart(fields map[string]any) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, name := range keys(fields) {
		property := o.doc.resolve(o.doc.properties(o.body)[name])
		header, content := textproto.MIMEHeader{}, []byte(text(fields[name]))
		disposition := fmt.Sprintf(`form-data; name=%q`, name)
		switch {
		case property["format"] == "binary":
			disposition += fmt.Sprintf(`; filename=%q`, name)
			header.Set("Content-Type", "application/octet-stream")
		case object(fields[name]) != nil:
			if content, err = encode(fields[name]); err != nil {
				return nil, "", err
			}
			header.Set("Content-Type", "application/json")
		}
		header.Set("Content-Disposition", disposition)
		part, err := w.CreatePart(header)
		if err != nil {
			return nil, "", err
		}
		if _, err := part.Write(content); err != nil {
			return nil, "", err
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// decode reads JSON with its numbers as they are written.
func decode(body []byte) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}
