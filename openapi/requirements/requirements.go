// Package requirements reads requirements.yaml: the rules an ISV is judged by, and the register of the points on which the
// published texts contradict each other or are silent.
//
// It only reads. That each rule has a check, and each check a rule, is held by the conformance suite's tests.
package requirements

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
)

// Level says how much it matters that a requirement is met.
type Level string

// The levels. Only a MUST that is not met makes an ISV not conformant; the others are told as warnings.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
	May    Level = "MAY"
)

// Confidence says how sure it is that the marketplace works as a requirement says.
type Confidence string

// The confidences, as x-confidences of provider.yaml explains them.
const (
	Confirmed Confidence = "confirmed"
	Single    Confidence = "single"
	Inferred  Confidence = "inferred"
	Ours      Confidence = "ours"
)

// Requirement is one rule.
type Requirement struct {
	ID         string     `yaml:"id" json:"id"`
	Level      Level      `yaml:"level" json:"level"`
	Text       string     `yaml:"text" json:"text"`     // the rule in one sentence
	Source     []string   `yaml:"source" json:"source"` // ids of x-sources in the documents
	Confidence Confidence `yaml:"confidence" json:"confidence"`
	About      string     `yaml:"about" json:"about"` // the call or the area
	Why        string     `yaml:"why" json:"why"`     // what goes wrong otherwise
	Mend       string     `yaml:"mend" json:"mend"`   // how to meet it
	Ambiguity  string     `yaml:"ambiguity" json:"ambiguity,omitempty"`
}

// Area is the part of the id before the dash, such as NEW.
func (r Requirement) Area() string {
	area, _, _ := strings.Cut(r.ID, "-")
	return area
}

// Ambiguity is a question that the published texts answer in more than one way, or not at all.
type Ambiguity struct {
	ID       string    `yaml:"id" json:"id"`
	Question string    `yaml:"question" json:"question"`
	Readings []Reading `yaml:"readings" json:"readings"`
	Taken    string    `yaml:"taken" json:"taken"` // id of the reading that the contract follows
	Because  string    `yaml:"because" json:"because"`
}

// Reading is one answer to the question of an [Ambiguity].
type Reading struct {
	ID      string   `yaml:"id" json:"id"`
	Text    string   `yaml:"text" json:"text"`
	Sources []string `yaml:"sources" json:"sources"`
}

// Set is the whole file.
type Set struct {
	Requirements []Requirement `yaml:"requirements"`
	Ambiguities  []Ambiguity   `yaml:"ambiguities"`
}

// Load returns the embedded file, parsed once. The caller must not change it.
var Load = sync.OnceValues(func() (*Set, error) {
	text, err := openapi.FS.ReadFile("requirements.yaml")
	if err != nil {
		return nil, fmt.Errorf("requirements: %w", err)
	}
	return Parse(text)
})

// Parse reads a file of this form. Names of fields that are not known are an error, and so is a file without requirements.
func Parse(text []byte) (*Set, error) {
	var set Set
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&set); err != nil {
		return nil, fmt.Errorf("requirements: parse: %w", err)
	}
	if len(set.Requirements) == 0 {
		return nil, errors.New("requirements: the list is empty")
	}
	return &set, nil
}

// Requirement finds a rule by its id.
func (s *Set) Requirement(id string) (Requirement, bool) {
	i := slices.IndexFunc(s.Requirements, func(r Requirement) bool { return r.ID == id })
	if i < 0 {
		return Requirement{}, false
	}
	return s.Requirements[i], true
}

// Ambiguity finds an entry of the register by its id.
func (s *Set) Ambiguity(id string) (Ambiguity, bool) {
	i := slices.IndexFunc(s.Ambiguities, func(a Ambiguity) bool { return a.ID == id })
	if i < 0 {
		return Ambiguity{}, false
	}
	return s.Ambiguities[i], true
}
