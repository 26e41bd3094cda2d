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
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/keyfile"
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
	envLoginPage    = "ISVKIT_LOGIN_PAGE" // where users of kit tenants log in, see kitlogin.Config.LoginPage
	envAuthCA       = "ISVKIT_AUTH_CA"    // file with the certificate of the auth centres, to be trusted by the ISV
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
	if values, err = keyfile.Parse(string(text)); err != nil {
		return nil, fmt.Errorf("key file %s, %w", name, err)
	}
	return values, nil
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
	control := get(envControlToken)
	if access.LooksLikeToken(control) {
		control = "" // left by a sandbox with tokens; it is no secret to be taken as it is
	}
	return sandbox.Keys{
		BaseKey: get(envBaseKey), KitKey: get(envKitKey), GeneralKey: get(envGeneralKey), LicenseKey: get(envLicenseKey),
		AK: get(envAK), SK: get(envSK), ControlToken: control,
	}.GenerateKeys(), nil
}

// writeKeyFile writes the key file, readable by its owner alone. more are further variables; those without a value are left out.
func writeKeyFile(name string, keys sandbox.Keys, marketURL, controlURL string, more ...[2]string) error {
	var b strings.Builder
	b.WriteString("# Keys and addresses of an isvkit sandbox. In a shell: . ./" + filepath.Base(name) + "\n")
	for _, v := range append([][2]string{
		{envMarketURL, marketURL},
		{envBaseKey, keys.BaseKey},
		{envKitKey, keys.KitKey},
		{envGeneralKey, keys.GeneralKey},
		{envLicenseKey, keys.LicenseKey},
		{envAK, keys.AK},
		{envSK, keys.SK},
		{envControlURL, controlURL},
		{envControlToken, keys.ControlToken},
	}, more...) {
		if v[1] == "" {
			continue
		}
		b.WriteString("export " + v[0] + "=" + curl.Quote(v[1]) + "\n")
	}
	if err := writeFile(name, b.String(), 0o600); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}

// writeFile writes a new file in place of the old one: a reader sees all of it or none, and an old file's permissions do not stay.
func writeFile(name, text string, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(text)
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// noSandbox says that nothing tells where a sandbox is, and which key files there are instead.
func noSandbox(keyFile string) error {
	hint := "start one with isv-sandbox serve, or name its key file with --keys"
	if others, err := filepath.Glob(filepath.Join(filepath.Dir(keyFile), "*.keys")); err == nil && len(others) > 0 && len(others) < 4 {
		hint = "is it the sandbox of --keys " + strings.Join(others, ", or of --keys ") + "?"
	}
	return &hintError{fmt.Errorf("no running sandbox is known: no key file %s, and %s is not set", keyFile, envControlURL), hint}
}
