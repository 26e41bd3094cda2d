package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// The environment that the parts of isvkit share.
const (
	envBaseKey      = "ISVKIT_BASE_KEY"
	envKitKey       = "ISVKIT_KIT_KEY"
	envGeneralKey   = "ISVKIT_GENERAL_KEY"
	envLicenseKey   = "ISVKIT_LICENSE_KEY"
	envAK           = "ISVKIT_AK"
	envSK           = "ISVKIT_SK"
	envMarketURL    = "ISVKIT_MARKET_URL"
	envControlURL   = "ISVKIT_CONTROL_URL"
	envControlToken = "ISVKIT_CONTROL_TOKEN"
)

// readKeyFile reads a key file: shell lines `export NAME='value'`. A file that does not exist is an empty one.
func readKeyFile(name string) (map[string]string, error) {
	text, err := os.ReadFile(name) //nolint:gosec // the operator names it
	values := map[string]string{}
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			return nil, fmt.Errorf("key file %s, line %d: expected export NAME='value'", name, n+1)
		}
		values[strings.TrimSpace(key)] = unquote(value)
	}
	return values, nil
}

// unquote undoes curl.Quote, and leaves what is not quoted.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return s
	}
	return strings.ReplaceAll(s[1:len(s)-1], `'\''`, `'`)
}

// loadKeys takes keys from the environment, else from the key file, else makes them.
func loadKeys(name string, getenv func(string) string) (sandbox.Keys, error) {
	file, err := readKeyFile(name)
	if err != nil {
		return sandbox.Keys{}, err
	}
	get := func(key string) string {
		if v := getenv(key); v != "" {
			return v
		}
		return file[key]
	}
	return sandbox.Keys{
		BaseKey: get(envBaseKey), KitKey: get(envKitKey), GeneralKey: get(envGeneralKey), LicenseKey: get(envLicenseKey),
		AK: get(envAK), SK: get(envSK), ControlToken: get(envControlToken),
	}.GenerateKeys(), nil
}

// writeKeyFile writes the key file, readable by its owner alone.
func writeKeyFile(name string, keys sandbox.Keys, marketURL, controlURL string) error {
	var b strings.Builder
	b.WriteString("# Keys and addresses of an isvkit sandbox. In a shell: . ./" + filepath.Base(name) + "\n")
	for _, v := range [][2]string{
		{envMarketURL, marketURL},
		{envBaseKey, keys.BaseKey},
		{envKitKey, keys.KitKey},
		{envGeneralKey, keys.GeneralKey},
		{envLicenseKey, keys.LicenseKey},
		{envAK, keys.AK},
		{envSK, keys.SK},
		{envControlURL, controlURL},
		{envControlToken, keys.ControlToken},
	} {
		b.WriteString("export " + v[0] + "=" + curl.Quote(v[1]) + "\n")
	}
	// A new file in place of the old one: a reader sees all of it or none, and an old file's permissions do not stay.
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	_, err = tmp.WriteString(b.String())
	if err = errors.Join(err, tmp.Chmod(0o600), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}
