package egress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// document is a policy as a file has it.
type document struct {
	Preset        string   `yaml:"preset"`
	AllowHosts    []string `yaml:"allowHosts"`
	AllowNetworks []string `yaml:"allowNetworks"`
	DenyNetworks  []string `yaml:"denyNetworks"`
	Ports         []uint16 `yaml:"ports"`
	CA            []string `yaml:"ca"` // files, from where this one is
}

// maxFile is far more than rules or certificates need.
const maxFile = 4 << 20

// ReadFile reads rules from a YAML file:
//
//	preset: staging                     # or laptop, the default
//	allowHosts: ["isv.example.com", "*.partner.example"]
//	allowNetworks: ["10.20.0.0/16"]
//	denyNetworks: ["10.20.9.0/24"]
//	ports: [443, 8443]
//	ca: ["our-ca.pem"]                  # files, from where this one is
//
// The policy gets the name of the file.
func ReadFile(name string) (Rules, error) {
	text, err := read(name)
	if err != nil {
		return Rules{}, err
	}
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return Rules{}, fmt.Errorf("%w: file %s: %w", ErrRules, name, err)
	}
	if err := decoder.Decode(new(document)); !errors.Is(err, io.EOF) {
		return Rules{}, fmt.Errorf("%w: file %s: expected one document", ErrRules, name)
	}
	r := Rules{
		Name: filepath.Base(name), Preset: d.Preset, AllowHosts: d.AllowHosts, AllowNetworks: d.AllowNetworks, DenyNetworks: d.DenyNetworks,
		Ports: d.Ports,
	}
	for _, ca := range d.CA {
		if !filepath.IsAbs(ca) {
			ca = filepath.Join(filepath.Dir(name), ca)
		}
		if err := r.AddCA(ca); err != nil {
			return Rules{}, fmt.Errorf("file %s: %w", name, err)
		}
	}
	if _, err := New(r); err != nil {
		return Rules{}, fmt.Errorf("file %s: %w", name, err)
	}
	return r, nil
}

// AddCA adds the certificates of a file.
func (r *Rules) AddCA(name string) error {
	text, err := read(name)
	if err != nil {
		return err
	}
	if _, err := New(Rules{CA: text}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.CA = append(append(r.CA, text...), '\n')
	return nil
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("%w: file %s is longer than 4 MB", ErrRules, name)
	}
	return text, nil
}
