package secrets

import "github.com/isvkit/isvkit/sandbox/redact"

// Hidden stands in the place of what is not shown.
const Hidden = redact.Hidden

// SoundsSecret tells whether a name promises a secret: password, client_secret, accessToken and so on.
func SoundsSecret(name string) bool { return redact.SoundsSecret(name) }

// Redact hides what a text, which somebody else wrote, gives by names that promise a secret. Everything else stays as it is, byte by byte.
func Redact(text string) string { return redact.Text(text) }
