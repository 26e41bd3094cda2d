package providerapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Class is the interface class of a call. A production address has one access key per class.
type Class string

// The interface classes of provider.yaml.
const (
	ClassBase    Class = "base"    // calls told apart by the body field activity
	ClassKit     Class = "kit"     // the five calls under /produceAPI/v2/
	ClassGeneral Class = "general" // order notify
	ClassLicense Class = "license" // the calls about licences
)

// Call is what the contract says about one call: where it goes, which key signs it, which fields its body has. The calls
// are generated from provider.yaml and provider-v1.yaml; see [Lookup] and [LookupV1].
type Call struct {
	Name    string  // newInstance, tenantSync, …
	Class   Class   // which access key signs it
	SubPath string  // appended to the production address; empty for base calls
	Fields  []Field // in order of their names
}

// Field is the contract's word on one top-level field of a call's body.
type Field struct {
	Name      string
	Required  bool
	Kind      Kind
	MinLength int            // in characters; 0 is no limit
	MaxLength int            // in characters; 0 is no limit
	MaxItems  int            // of an array, or of a comma-separated list; 0 is no limit
	ItemMax   int            // longest item of a comma-separated list, in characters; 0: no such list
	Enum      []string       // allowed values, numbers in decimal; empty: any
	Pattern   *regexp.Regexp // nil: any
}

// Kind is the JSON type of a field.
type Kind uint8

// The kinds of fields that calls have.
const (
	KindString       Kind = iota // text
	KindInteger                  // whole number
	KindObjectOrText             // an object, or its JSON text
	KindArrayOrText              // an array, or its JSON text
)

// Violation is one way in which a body differs from the contract.
type Violation struct {
	Field   string // name of the field, empty for the body as a whole
	Problem string // what is wrong and what was expected; quotes no values
}

// String gives the violation as a sentence.
func (v Violation) String() string {
	if v.Field == "" {
		return v.Problem
	}
	return v.Field + " " + v.Problem
}

// Lookup finds a call of V2 by its name, which for base calls is the value of the field activity.
func Lookup(name string) (*Call, bool) {
	i := slices.IndexFunc(Calls, func(c *Call) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return Calls[i], true
}

// LookupV1 finds a call of V1 by its name, which for base calls is the value of the parameter activity.
func LookupV1(name string) (*Call, bool) {
	i := slices.IndexFunc(CallsV1, func(c *Call) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return CallsV1[i], true
}

// Check compares a body, decoded one level deep, with the contract and returns every violation found. Fields that the
// contract does not know are no violation: the marketplace may add some. A null counts as absent.
func (c *Call) Check(body map[string]json.RawMessage) []Violation {
	var found []Violation
	for i := range c.Fields {
		f := &c.Fields[i]
		raw := body[f.Name]
		if raw == nil || bytes.Equal(raw, []byte("null")) {
			if f.Required {
				found = append(found, Violation{f.Name, "is missing"})
			}
			continue
		}
		if problem := f.check(raw); problem != "" {
			found = append(found, Violation{f.Name, problem})
		}
	}
	return found
}

// CheckText compares a V1 call, whose parameters are all text, with the contract and returns every violation found. Empty text
// counts as absent, and absent is a violation only where empty text would be one: V1 signs blank values as if they were not
// there.
func (c *Call) CheckText(values map[string]string) []Violation {
	var found []Violation
	for i := range c.Fields {
		f := &c.Fields[i]
		text := values[f.Name]
		problem := ""
		switch {
		case text == "":
			if f.Required && (f.MinLength > 0 || f.Kind == KindInteger || len(f.Enum) > 0) {
				problem = "is missing"
			}
		case f.Kind == KindInteger:
			problem = f.check(json.RawMessage(text))
		default:
			problem = f.checkText(text, utf8.RuneCountInString(text))
		}
		if problem != "" {
			found = append(found, Violation{f.Name, problem})
		}
	}
	return found
}

func (f *Field) check(raw json.RawMessage) string {
	switch f.Kind {
	case KindInteger:
		if _, err := strconv.ParseInt(string(raw), 10, 64); err != nil {
			return "must be a whole number"
		}
		if len(f.Enum) > 0 && !slices.Contains(f.Enum, string(raw)) {
			return "must be one of " + strings.Join(f.Enum, ", ")
		}
		return ""
	case KindObjectOrText:
		return f.checkNested(raw, '{', "an object")
	case KindArrayOrText:
		return f.checkNested(raw, '[', "an array")
	default:
		return f.checkString(raw)
	}
}

func (f *Field) checkString(raw json.RawMessage) string {
	if raw[0] != '"' {
		return "must be text"
	}
	// Nearly every value is plain ASCII without escapes, which needs no decoding.
	inner := raw[1 : len(raw)-1]
	length := len(inner)
	var text string
	if slices.ContainsFunc(inner, func(b byte) bool { return b == '\\' || b >= utf8.RuneSelf }) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return "must be text"
		}
		length = utf8.RuneCountInString(text)
	} else {
		text = string(inner)
	}
	return f.checkText(text, length)
}

func (f *Field) checkText(text string, length int) string {
	switch {
	case length < f.MinLength:
		if length == 0 {
			return "is empty"
		}
		return fmt.Sprintf("is %d characters long, expected at least %d", length, f.MinLength)
	case f.ItemMax > 0:
		return f.checkList(text)
	case f.MaxLength > 0 && length > f.MaxLength:
		return fmt.Sprintf("is %d characters long, expected at most %d", length, f.MaxLength)
	case len(f.Enum) > 0 && !slices.Contains(f.Enum, text):
		return "must be one of " + strings.Join(f.Enum, ", ")
	case f.Pattern != nil && !f.Pattern.MatchString(text):
		return "must match " + f.Pattern.String()
	}
	return ""
}

func (f *Field) checkList(text string) string {
	n := 0
	for item := range strings.SplitSeq(text, ",") {
		n++
		switch l := utf8.RuneCountInString(item); {
		case l == 0:
			return fmt.Sprintf("has an empty item at position %d", n)
		case l > f.ItemMax:
			return fmt.Sprintf("has an item of %d characters at position %d, expected at most %d", l, n, f.ItemMax)
		}
	}
	if n > f.MaxItems {
		return fmt.Sprintf("has %d items, expected at most %d", n, f.MaxItems)
	}
	return ""
}

// checkNested looks at a value that comes as JSON, or as the text of that JSON, as V1 sent it.
func (f *Field) checkNested(raw json.RawMessage, open byte, what string) string {
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return "must be " + what + " or its JSON text"
		}
		raw = json.RawMessage(strings.TrimSpace(text))
		if !json.Valid(raw) {
			return "must be " + what + " or its JSON text; the text is not JSON"
		}
	}
	if len(raw) == 0 || raw[0] != open {
		return "must be " + what + " or its JSON text"
	}
	if f.MaxItems > 0 {
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return "must be " + what + " or its JSON text"
		}
		if len(items) > f.MaxItems {
			return fmt.Sprintf("has %d items, expected at most %d", len(items), f.MaxItems)
		}
	}
	return ""
}
