package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
)

// envSecretsKey has the keys that seal secrets, separated by commas, instead of a file.
const envSecretsKey = "ISVKIT_SECRETS_KEY" //nolint:gosec // a name

const secretsHelp = `
Secrets at rest, see sandbox/README.md:
  isv-sandbox rotate-secrets --add FILE             put a new key first in the file of --secrets-key; then start the sandbox again
  isv-sandbox rotate-secrets                        seal everything in the database with the first key
`

// secretsFile is where the secrets key is kept if nobody says where: beside the key file.
func secretsFile(keyFile string) string {
	return strings.TrimSuffix(keyFile, filepath.Ext(keyFile)) + ".secrets"
}

// loadSecretsKey takes the secrets key from the file that was named, else from the environment, else from the file beside the key file, which is
// made if there is none; made is its name then.
func loadSecretsKey(named, keyFile string, getenv func(string) string) (key, made string, err error) {
	if named != "" {
		text, err := os.ReadFile(named) //nolint:gosec // the operator names it
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", &hintError{fmt.Errorf("secrets key: there is no file %s", named), "make one with: isv-sandbox rotate-secrets --add " + named}
		}
		return string(text), "", err
	}
	if key := getenv(envSecretsKey); key != "" {
		return key, "", nil
	}
	name := secretsFile(keyFile)
	key, isNew, err := sandbox.SecretsKeyFile(name)
	if err != nil {
		return "", "", fmt.Errorf("secrets key: %w", err)
	}
	if isNew {
		made = name
	}
	return key, made, nil
}

var secretsCommands = []command{
	{"rotate-secrets", "rotate-secrets [--add FILE]", [2]int{0, 0}, func(fs *flag.FlagSet) any {
		return fs.String("add", "", "only put a new key first in this `file`, made if there is none; the running sandbox is not asked")
	}, rotateSecrets},
}

func rotateSecrets(ctx context.Context, c *client, _ []string, _ any) error {
	resp, err := c.api.RotateSecrets(ctx)
	r, err := read[sandboxapi.SecretsRotation](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{
		{"sealed anew", fmt.Sprint(r.Sealed)}, {"key", r.KeyID}, {"keys that seal nothing any more", cmp.Or(strings.Join(r.OtherKeyIDs, ", "), "none")},
	})
}

// addSecretsKey puts a new key first in a file.
func addSecretsKey(name string, stdout io.Writer) error {
	text, err := os.ReadFile(name) //nolint:gosec // the operator names it
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if _, err := secrets.Parse(string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	key := secrets.NewKey()
	if err := writeFile(name, key+"\n"+string(text), 0o600); err != nil {
		return err
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "key %s is the first in %s now; start the sandbox again, then: isv-sandbox rotate-secrets\n", ring.IDs()[0], name)
	return err
}
