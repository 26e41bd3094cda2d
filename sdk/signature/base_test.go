package signature_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

const testKey = "demo-access-key-0001"

var noon = time.UnixMilli(1680508066618)

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

func newBase(t testing.TB, cfg signature.Config) *signature.Base {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = []string{testKey}
	}
	if cfg.Now == nil {
		cfg.Now = at(noon)
	}
	base, err := signature.NewBase(cfg)
	require.NoError(t, err)
	return base
}

func newUsage(t testing.TB, cfg signature.Config) *signature.Usage {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = []string{testKey}
	}
	if cfg.Now == nil {
		cfg.Now = at(noon)
	}
	usage, err := signature.NewUsage(cfg)
	require.NoError(t, err)
	return usage
}

// requireFault checks kind, sentinel and field, and that the message is fit for a log.
func requireFault(t *testing.T, err error, kind signature.Kind, sentinel error, field string) {
	t.Helper()
	var fault *signature.Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, kind, fault.Kind, "kind of %v", err)
	require.Equal(t, field, fault.Field, "field of %v", err)
	sentinels := []error{
		signature.ErrMissing, signature.ErrMalformed, signature.ErrStale,
		signature.ErrReplayed, signature.ErrMismatch, signature.ErrUnknownKey,
	}
	for _, s := range sentinels {
		require.Equal(t, s == sentinel, errors.Is(err, s), "errors.Is(%v, %v)", err, s)
	}
	require.NotContains(t, err.Error(), testKey)
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, len(err.Error()), 400)
}

var baseFaults = []struct {
	name     string
	change   func(p *signature.Params, body *[]byte)
	kind     signature.Kind
	sentinel error
	field    string
}{
	{"no signature", func(p *signature.Params, _ *[]byte) { p.Signature = "" }, signature.KindMissing, signature.ErrMissing, "signature"},
	{"no timestamp", func(p *signature.Params, _ *[]byte) { p.Timestamp = "" }, signature.KindMissing, signature.ErrMissing, "timestamp"},
	{"no nonce", func(p *signature.Params, _ *[]byte) { p.Nonce = "" }, signature.KindMissing, signature.ErrMissing, "nonce"},
	{"signature too short", func(p *signature.Params, _ *[]byte) { p.Signature = p.Signature[:63] }, signature.KindMalformed, signature.ErrMalformed, "signature"},
	{"signature too long", func(p *signature.Params, _ *[]byte) { p.Signature = strings.Repeat("A", 1<<20) }, signature.KindMalformed, signature.ErrMalformed, "signature"},
	{"signature not hexadecimal", func(p *signature.Params, _ *[]byte) { p.Signature = "G" + p.Signature[1:] }, signature.KindMalformed, signature.ErrMalformed, "signature"},
	{"timestamp negative", func(p *signature.Params, _ *[]byte) { p.Timestamp = "-680508066618" }, signature.KindMalformed, signature.ErrMalformed, "timestamp"},
	{"timestamp signed plus", func(p *signature.Params, _ *[]byte) { p.Timestamp = "+680508066618" }, signature.KindMalformed, signature.ErrMalformed, "timestamp"},
	{"timestamp text", func(p *signature.Params, _ *[]byte) { p.Timestamp = "yesterday\n" }, signature.KindMalformed, signature.ErrMalformed, "timestamp"},
	{"timestamp with blank", func(p *signature.Params, _ *[]byte) { p.Timestamp = " " + p.Timestamp }, signature.KindMalformed, signature.ErrMalformed, "timestamp"},
	{"timestamp 14 digits", func(p *signature.Params, _ *[]byte) { p.Timestamp += "0" }, signature.KindMalformed, signature.ErrMalformed, "timestamp"},
	{"timestamp overlong", func(p *signature.Params, _ *[]byte) { p.Timestamp = strings.Repeat("1", 1<<16) }, signature.KindMalformed, signature.ErrMalformed, "timestamp"},
	{"timestamp V1 form", func(p *signature.Params, _ *[]byte) { p.Timestamp = "20230403074746618" }, signature.KindMalformed, signature.ErrMalformed, "timestamp"},
	{"nonce overlong", func(p *signature.Params, _ *[]byte) { p.Nonce = strings.Repeat("n", 129) }, signature.KindMalformed, signature.ErrMalformed, "nonce"},
	{"nonce with line break", func(p *signature.Params, _ *[]byte) { p.Nonce = "a\nb" }, signature.KindMalformed, signature.ErrMalformed, "nonce"},
	{"nonce not ASCII", func(p *signature.Params, _ *[]byte) { p.Nonce = "é" }, signature.KindMalformed, signature.ErrMalformed, "nonce"},
	{"stale", func(p *signature.Params, _ *[]byte) { p.Timestamp = "1680508006617" }, signature.KindStale, signature.ErrStale, "timestamp"},
	{"from the future", func(p *signature.Params, _ *[]byte) { p.Timestamp = "1680508126619" }, signature.KindStale, signature.ErrStale, "timestamp"},
	{"the far past", func(p *signature.Params, _ *[]byte) { p.Timestamp = "0000000000000" }, signature.KindStale, signature.ErrStale, "timestamp"},
	{"the far future", func(p *signature.Params, _ *[]byte) { p.Timestamp = "9999999999999" }, signature.KindStale, signature.ErrStale, "timestamp"},
	{"another timestamp", func(p *signature.Params, _ *[]byte) { p.Timestamp = "1680508066619" }, signature.KindMismatch, signature.ErrMismatch, "signature"},
	{"another nonce", func(p *signature.Params, _ *[]byte) { p.Nonce += "0" }, signature.KindMismatch, signature.ErrMismatch, "signature"},
	{"another body", func(_ *signature.Params, b *[]byte) { *b = []byte(`{"a":2}`) }, signature.KindMismatch, signature.ErrMismatch, "signature"},
	{"no body", func(_ *signature.Params, b *[]byte) { *b = nil }, signature.KindMismatch, signature.ErrMismatch, "signature"},
	{"body not JSON", func(_ *signature.Params, b *[]byte) { *b = []byte(`{"a":1`) }, signature.KindMismatch, signature.ErrMismatch, "signature"},
	{"another signature", func(p *signature.Params, _ *[]byte) { p.Signature = strings.Repeat("0", 64) }, signature.KindMismatch, signature.ErrMismatch, "signature"},
}

func TestBase_OneFaultEach(t *testing.T) {
	t.Parallel()
	for _, test := range baseFaults {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			guard := signature.NewReplayGuard(0, at(noon))
			base := newBase(t, signature.Config{Nonces: guard})
			body := []byte(`{"a":1}`)
			p, err := base.Sign(body)
			require.NoError(t, err)
			test.change(&p, &body)
			err = base.Verify(t.Context(), p, body)
			requireFault(t, err, test.kind, test.sentinel, test.field)
			require.Contains(t, err.Error(), "signature: base: ")
			require.Zero(t, guard.Len(), "a refused call must not record its nonce")
		})
	}
}

func TestBase_ReplayIsRefused(t *testing.T) {
	t.Parallel()
	base := newBase(t, signature.Config{Nonces: signature.NewReplayGuard(0, at(noon))})
	body := []byte(`{"a":1}`)
	p, err := base.Sign(body)
	require.NoError(t, err)
	require.NoError(t, base.Verify(t.Context(), p, body))
	requireFault(t, base.Verify(t.Context(), p, body), signature.KindReplayed, signature.ErrReplayed, "nonce")

	// The same nonce with a new timestamp is refused too.
	p.Timestamp = "1680508066619"
	p.Signature = base.SignAt(body, p.Timestamp, p.Nonce)
	requireFault(t, base.Verify(t.Context(), p, body), signature.KindReplayed, signature.ErrReplayed, "nonce")

	// And so is the same call as another form of its body.
	requireFault(t, base.Verify(t.Context(), p, []byte(` {"a" : 1}`)), signature.KindReplayed, signature.ErrReplayed, "nonce")
}

// A call stamped a leeway ahead stays fresh for two of them: its nonce has to be known all that time.
func TestBase_ReplayIsRefusedAsLongAsTheTimestampIsFresh(t *testing.T) {
	t.Parallel()
	now := noon
	clock := func() time.Time { return now }
	base := newBase(t, signature.Config{Now: clock, Nonces: signature.NewReplayGuard(0, clock)})
	p := signature.Params{Timestamp: fmt.Sprint(noon.Add(time.Minute).UnixMilli()), Nonce: "n"}
	p.Signature = base.SignAt(nil, p.Timestamp, p.Nonce)
	require.NoError(t, base.Verify(t.Context(), p, nil))
	now = noon.Add(2 * time.Minute)
	requireFault(t, base.Verify(t.Context(), p, nil), signature.KindReplayed, signature.ErrReplayed, "nonce")
	now = now.Add(time.Millisecond)
	requireFault(t, base.Verify(t.Context(), p, nil), signature.KindStale, signature.ErrStale, "timestamp")
}

func TestFreshness_Boundaries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		off   time.Duration
		fresh bool
	}{
		{60 * time.Second, true},
		{-60 * time.Second, true},
		{60*time.Second + time.Millisecond, false},
		{-60*time.Second - time.Millisecond, false},
		{0, true},
	} {
		t.Run(test.off.String(), func(t *testing.T) {
			t.Parallel()
			timestamp := fmt.Sprint(noon.Add(test.off).UnixMilli())
			base, usage := newBase(t, signature.Config{}), newUsage(t, signature.Config{})
			for name, err := range map[string]error{
				"base":  base.Verify(t.Context(), signature.Params{Signature: base.SignAt(nil, timestamp, "n"), Timestamp: timestamp, Nonce: "n"}, nil),
				"usage": usage.Verify(t.Context(), signature.Params{Signature: usage.SignAt(nil, timestamp, "n"), Timestamp: timestamp, Nonce: "n"}, nil),
			} {
				if test.fresh {
					require.NoError(t, err, name)
				} else {
					require.ErrorIs(t, err, signature.ErrStale, name)
				}
			}
		})
	}
}

func TestBase_TimestampInSeconds(t *testing.T) {
	t.Parallel()
	base := newBase(t, signature.Config{})
	for timestamp, fresh := range map[string]bool{"1680508066": true, "1680508007": true, "1680508126": true, "1680508006": false, "1680508127": false} {
		p := signature.Params{Signature: base.SignAt(nil, timestamp, "n"), Timestamp: timestamp, Nonce: "n"}
		if err := base.Verify(t.Context(), p, nil); fresh {
			require.NoError(t, err, timestamp)
		} else {
			require.ErrorIs(t, err, signature.ErrStale, timestamp)
		}
	}
}

// Nonce and timestamp are signed as one run of characters, so once in about four months a call with milliseconds could be
// read as one with seconds and another nonce. It must not pass twice.
func TestBase_BoundaryBetweenNonceAndTimestampCannotMove(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1701701701702)
	base := newBase(t, signature.Config{Now: at(now), Nonces: signature.NewReplayGuard(0, at(now))})
	p := signature.Params{Signature: base.SignAt(nil, "1701701701702", "A"), Timestamp: "1701701701702", Nonce: "A"}
	require.NoError(t, base.Verify(t.Context(), p, nil))
	p.Nonce, p.Timestamp = "A170", "1701701702"
	requireFault(t, base.Verify(t.Context(), p, nil), signature.KindMalformed, signature.ErrMalformed, "timestamp")
}

func TestBase_KeyRotation(t *testing.T) {
	t.Parallel()
	older, newer := newBase(t, signature.Config{Keys: []string{"old"}}), newBase(t, signature.Config{Keys: []string{"new", "old"}})
	body := []byte(`{"b":1, "a":2}`)
	p, err := older.Sign(body)
	require.NoError(t, err)
	require.NoError(t, newer.Verify(t.Context(), p, body), "old key, new verifier")
	p.Signature = older.SignAt([]byte(`{"a":2,"b":1}`), p.Timestamp, p.Nonce)
	require.NoError(t, newer.Verify(t.Context(), p, body), "old key, sorted compact form")
	p, err = newer.Sign(body)
	require.NoError(t, err)
	require.ErrorIs(t, older.Verify(t.Context(), p, body), signature.ErrMismatch, "the first key signs")
}

func TestBase_NonceStoreFailureIsNotAVerificationFailure(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	base := newBase(t, signature.Config{Nonces: storeFunc(func(string) (bool, error) { return true, down })})
	p, err := base.Sign(nil)
	require.NoError(t, err)
	err = base.Verify(t.Context(), p, nil)
	require.ErrorIs(t, err, down)
	var fault *signature.Error
	require.NotErrorAs(t, err, &fault)
}

type storeFunc func(nonce string) (bool, error)

func (f storeFunc) Use(_ context.Context, nonce string, _ time.Time) (bool, error) { return f(nonce) }

func TestSign_UsesClockAndRandomness(t *testing.T) {
	t.Parallel()
	cfg := signature.Config{Rand: strings.NewReader(strings.Repeat("\xAB", 32))}
	p, err := newBase(t, cfg).Sign([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, "1680508066618", p.Timestamp)
	require.Equal(t, strings.Repeat("AB", 32), p.Nonce)
	require.Regexp(t, "^[0-9A-F]{64}$", p.Signature)

	broken := errors.New("no entropy")
	_, err = newBase(t, signature.Config{Rand: iotest.ErrReader(broken)}).Sign(nil)
	require.ErrorIs(t, err, broken)
	_, err = newUsage(t, signature.Config{Rand: iotest.ErrReader(broken)}).Sign(nil)
	require.ErrorIs(t, err, broken)

	base := newBase(t, signature.Config{})
	a, err := base.Sign(nil)
	require.NoError(t, err)
	b, err := base.Sign(nil)
	require.NoError(t, err)
	require.NotEqual(t, a.Nonce, b.Nonce)
}

func TestConfig_IsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]signature.Config{
		"no keys":         {},
		"an empty key":    {Keys: []string{"a", ""}},
		"negative leeway": {Keys: []string{"a"}, Leeway: -1},
	} {
		_, err := signature.NewBase(cfg)
		require.Error(t, err, name)
		_, err = signature.NewUsage(cfg)
		require.Error(t, err, name)
	}
}

func TestConfig_DefaultsWork(t *testing.T) {
	t.Parallel()
	base, err := signature.NewBase(signature.Config{Keys: []string{"k"}})
	require.NoError(t, err)
	p, err := base.Sign([]byte("{}"))
	require.NoError(t, err)
	require.NoError(t, base.Verify(t.Context(), p, []byte("{}")))
}

func TestParams_ThroughTheRequest(t *testing.T) {
	t.Parallel()
	p := signature.Params{Signature: "+/=", Timestamp: "1", Nonce: "n&"}
	q, err := url.ParseQuery(p.Query().Encode())
	require.NoError(t, err)
	got, err := signature.BaseParams(q)
	require.NoError(t, err)
	require.Equal(t, p, got)

	h := http.Header{}
	p.SetUsageHeaders(h)
	got, err = signature.UsageParams(h)
	require.NoError(t, err)
	require.Equal(t, p, got)

	got, err = signature.BaseParams(nil)
	require.NoError(t, err)
	require.Zero(t, got)
	got, err = signature.UsageParams(nil)
	require.NoError(t, err)
	require.Zero(t, got)
	for _, name := range []string{"signature", "timestamp", "nonce"} {
		q := p.Query()
		q.Add(name, q.Get(name))
		_, err = signature.BaseParams(q)
		requireFault(t, err, signature.KindMalformed, signature.ErrMalformed, name)
	}
	for _, name := range []string{"signature", "ts", "nonce"} {
		h := h.Clone()
		h.Add(name, "x")
		_, err = signature.UsageParams(h)
		requireFault(t, err, signature.KindMalformed, signature.ErrMalformed, name)
	}
}

func TestUsage_OneFaultEach(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		change   func(p *signature.Params, body *[]byte)
		kind     signature.Kind
		sentinel error
		field    string
	}{
		{"no signature", func(p *signature.Params, _ *[]byte) { p.Signature = "" }, signature.KindMissing, signature.ErrMissing, "signature"},
		{"no ts", func(p *signature.Params, _ *[]byte) { p.Timestamp = "" }, signature.KindMissing, signature.ErrMissing, "ts"},
		{"no nonce", func(p *signature.Params, _ *[]byte) { p.Nonce = "" }, signature.KindMissing, signature.ErrMissing, "nonce"},
		{"hexadecimal signature", func(p *signature.Params, _ *[]byte) { p.Signature = strings.Repeat("0", 64) }, signature.KindMalformed, signature.ErrMalformed, "signature"},
		{"signature not Base64", func(p *signature.Params, _ *[]byte) { p.Signature = "!" + p.Signature[1:] }, signature.KindMalformed, signature.ErrMalformed, "signature"},
		{"signature without padding", func(p *signature.Params, _ *[]byte) { p.Signature = p.Signature[:43] }, signature.KindMalformed, signature.ErrMalformed, "signature"},
		{"signature of 31 bytes", func(p *signature.Params, _ *[]byte) { p.Signature = p.Signature[:42] + "==" }, signature.KindMalformed, signature.ErrMalformed, "signature"},
		{"signature of 33 bytes", func(p *signature.Params, _ *[]byte) { p.Signature = strings.Repeat("A", 44) }, signature.KindMalformed, signature.ErrMalformed, "signature"},
		{"ts in seconds", func(p *signature.Params, _ *[]byte) { p.Timestamp = "1680508066" }, signature.KindMalformed, signature.ErrMalformed, "ts"},
		{"nonce with separator", func(p *signature.Params, _ *[]byte) { p.Nonce = "n&body={}" }, signature.KindMalformed, signature.ErrMalformed, "nonce"},
		{"stale", func(p *signature.Params, _ *[]byte) { p.Timestamp = "1680508006617" }, signature.KindStale, signature.ErrStale, "ts"},
		{"another body", func(_ *signature.Params, b *[]byte) { *b = []byte(`{"a":2}`) }, signature.KindMismatch, signature.ErrMismatch, "signature"},
		{"another nonce", func(p *signature.Params, _ *[]byte) { p.Nonce += "x" }, signature.KindMismatch, signature.ErrMismatch, "signature"},
		{"replayed", nil, signature.KindReplayed, signature.ErrReplayed, "nonce"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			usage := newUsage(t, signature.Config{Nonces: signature.NewReplayGuard(0, at(noon))})
			body := []byte(`{"a":1}`)
			p, err := usage.Sign(body)
			require.NoError(t, err)
			if test.change == nil {
				require.NoError(t, usage.Verify(t.Context(), p, body))
			} else {
				test.change(&p, &body)
			}
			requireFault(t, usage.Verify(t.Context(), p, body), test.kind, test.sentinel, test.field)
		})
	}
}

func TestUsage_AcceptsBothReadingsOfNaturalOrder(t *testing.T) {
	t.Parallel()
	usage := newUsage(t, signature.Config{})
	sent := []byte(`{"usage_records": [{"usage_value":"1", "instance_id":"i"}], "a": null}`)
	for _, signed := range []string{
		string(sent),
		`{"usage_records":[{"usage_value":"1","instance_id":"i"}]}`,
		`{"usage_records":[{"instance_id":"i","usage_value":"1"}]}`,
	} {
		p := signature.Params{Timestamp: "1680508066618", Nonce: "n"}
		p.Signature = usage.SignAt([]byte(signed), p.Timestamp, p.Nonce)
		require.NoError(t, usage.Verify(t.Context(), p, sent), signed)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-value"
	var log bytes.Buffer
	for _, v := range []any{
		signature.Credentials{AK: "ak", SK: secret},
		&signature.Credentials{AK: "ak", SK: secret},
		signature.Config{Keys: []string{secret}},
		newBase(t, signature.Config{Keys: []string{secret}}),
		newUsage(t, signature.Config{Keys: []string{secret}}),
		signature.Credentials{AK: "ak", SK: secret}.Transport(nil, nil),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			require.NotContains(t, fmt.Sprintf(verb, v), secret, "%T with %s", v, verb)
		}
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", signature.Credentials{AK: "ak", SK: secret})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", signature.Config{Keys: []string{secret}})
	require.NotContains(t, log.String(), secret)
	require.Contains(t, fmt.Sprint(signature.Credentials{AK: "ak", SK: secret}), "AK:ak")
	require.Contains(t, fmt.Sprintf("%#v", signature.Credentials{AK: "ak", SK: secret}), `AK:"ak"`)
	require.Equal(t, "{AK:ak SK:redacted}", signature.Credentials{AK: "ak", SK: secret}.String())
}

func TestKind_String(t *testing.T) {
	t.Parallel()
	for kind, want := range map[signature.Kind]string{
		signature.KindMissing: "missing", signature.KindMalformed: "malformed", signature.KindStale: "stale",
		signature.KindReplayed: "replayed", signature.KindMismatch: "mismatch", signature.KindUnknownKey: "unknown key", 0: "Kind(0)",
	} {
		require.Equal(t, want, kind.String())
	}
	require.NotErrorIs(t, &signature.Error{}, signature.ErrMissing)
}
