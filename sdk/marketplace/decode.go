package marketplace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
)

// decode reads an answer, and lives with fields of another type than the contract says: a number as text is read as the number, a
// number where text belongs as the text, and a field that nothing depends on is left out if it cannot be read. Everything else
// is an error.
func decode[T any](ctx context.Context, c *Client, op string, body []byte, expendable func(field string) bool) (value T, err error) {
	var tree any
	for range 64 { // an answer has fewer fields
		var v T
		err = json.Unmarshal(body, &v)
		if err == nil {
			return v, nil
		}
		var wrong *json.UnmarshalTypeError
		if !errors.As(err, &wrong) || wrong.Field == "" {
			break
		}
		if tree == nil {
			numbers := json.NewDecoder(bytes.NewReader(body))
			numbers.UseNumber()
			if numbers.Decode(&tree) != nil {
				break
			}
		}
		if !mend(tree, strings.Split(wrong.Field, "."), wrong.Type, expendable(wrong.Field)) {
			break
		}
		c.warn(ctx, op, "a field of the answer has another type than the contract says", slog.String("field", wrong.Field))
		mended, marshalErr := json.Marshal(tree)
		if marshalErr != nil {
			break
		}
		body = mended
	}
	return value, fmt.Errorf("marketplace: %s: read the answer: %w", op, tame(err))
}

// tame makes an error of encoding/json say where, and not what the peer sent.
func tame(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s is not of type %s", wrong.Field, wrong.Type)
	}
	return err
}

// mend converts or leaves out the field at path, in each element of the lists on the way. It reports whether it changed
// anything and nothing is left that it could not mend.
func mend(node any, path []string, want reflect.Type, expendable bool) bool {
	changed, failed := false, false
	var visit func(node any, path []string)
	visit = func(node any, path []string) {
		switch node := node.(type) {
		case []any:
			for _, element := range node {
				visit(element, path)
			}
		case map[string]any:
			child, has := node[path[0]]
			switch {
			case !has:
			case len(path) > 1:
				visit(child, path[1:])
			case fits(child, want):
			default:
				changed = true
				if converted, ok := convert(child, want); ok {
					node[path[0]] = converted
				} else if delete(node, path[0]); !expendable {
					failed = true
				}
			}
		}
	}
	visit(node, path)
	return changed && !failed
}

func fits(value any, want reflect.Type) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return want.Kind() == reflect.String
	case json.Number:
		_, err := strconv.ParseInt(value.String(), 10, strconv.IntSize)
		return want.Kind() == reflect.Int && err == nil
	case map[string]any:
		return want.Kind() == reflect.Struct
	case []any:
		return want.Kind() == reflect.Slice
	}
	return false
}

func convert(value any, want reflect.Type) (any, bool) {
	switch value := value.(type) {
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, strconv.IntSize)
		return n, want.Kind() == reflect.Int && err == nil
	case json.Number:
		if want.Kind() == reflect.String {
			return value.String(), true
		}
		whole, decimals, _ := strings.Cut(value.String(), ".")
		n, err := strconv.ParseInt(whole, 10, strconv.IntSize)
		return n, want.Kind() == reflect.Int && err == nil && strings.Trim(decimals, "0") == ""
	}
	return nil, false
}
