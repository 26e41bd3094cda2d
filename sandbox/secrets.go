package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/isvkit/isvkit/sandbox/internal/secrets"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// SecretsKeyFile reads the keys that seal secrets from a file, for [Config.SecretsKey]. If there is no such file it is made, with one new key,
// readable by its owner alone. Whoever loses it loses the keys of the sellers: back it up, but not beside the database.
func SecretsKeyFile(name string) (key string, made bool, err error) {
	text, err := os.ReadFile(name) //nolint:gosec // the operator names it
	if !errors.Is(err, fs.ErrNotExist) {
		return string(text), false, err
	}
	key = "# Seals the secrets in the database of an isvkit sandbox. Without it they are lost.\n" + secrets.NewKey() + "\n"
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // as above
	if errors.Is(err, fs.ErrExist) {                                      // made in this moment by another process
		text, err := os.ReadFile(name) //nolint:gosec // as above
		return string(text), false, err
	}
	if err != nil {
		return "", false, err
	}
	_, err = f.WriteString(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", false, errors.Join(err, os.Remove(name))
	}
	return key, true, nil
}

// IsOtherSecretsKey tells whether New failed because the secrets in the database were sealed with another key. Nothing was changed then.
func IsOtherSecretsKey(err error) bool {
	var other *store.OtherSecretsKeyError
	return errors.As(err, &other)
}

// secretsRing gives the keys that the configuration says, and the file that was made for them, if one was.
func secretsRing(cfg Config) (ring *secrets.Ring, made string, err error) {
	text := cfg.SecretsKey
	switch {
	case text != "":
	case cfg.Database == ":memory:":
		text = secrets.NewKey()
	case store.IsPostgres(cfg.Database):
		return nil, "", errors.New("a database in PostgreSQL needs a SecretsKey, which must be the same for every process: 32 bytes in Base64, as openssl rand -base64 32 makes them")
	default:
		name := strings.TrimSuffix(cfg.Database, filepath.Ext(cfg.Database)) + ".secrets"
		var isNew bool
		if text, isNew, err = SecretsKeyFile(name); err != nil {
			return nil, "", fmt.Errorf("secrets key: %w", err)
		}
		if isNew {
			made = name
		}
	}
	ring, err = secrets.Parse(text)
	return ring, made, err
}
