package signature_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

func newKit(t testing.TB, cfg signature.Config) *signature.Kit {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = []string{testKey}
	}
	if cfg.Now == nil {
		cfg.Now = at(noon)
	}
	kit, err := signature.NewKit(cfg)
	require.NoError(t, err)
	return kit
}

func TestKit_OneFaultEach(t *testing.T) {
	t.Parallel()
	names := map[string]string{"signature": "x-sign", "timestamp": "x-timestamp", "nonce": "x-nonce"}
	for _, test := range baseFaults {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			guard := signature.NewReplayGuard(0, at(noon))
			kit := newKit(t, signature.Config{Nonces: guard})
			body := []byte(`{"a":1}`)
			p, err := kit.Sign(body)
			require.NoError(t, err)
			test.change(&p, &body)
			err = kit.Verify(t.Context(), p, body)
			requireFault(t, err, test.kind, test.sentinel, names[test.field])
			require.Contains(t, err.Error(), "signature: kit: x-")
			require.Zero(t, guard.Len(), "a refused call must not record its nonce")
		})
	}
}

func TestKit_RepliesRotationFreshness(t *testing.T) {
	t.Parallel()
	kit := newKit(t, signature.Config{Keys: []string{"new", testKey}, Nonces: signature.NewReplayGuard(0, at(noon))})
	p, err := newKit(t, signature.Config{}).Sign([]byte(`{"a":1,"b":2}`))
	require.NoError(t, err)
	require.Regexp(t, "^[0-9A-F]{64}$", p.Signature)
	require.NoError(t, kit.Verify(t.Context(), p, []byte(`{"b":2, "a":1}`)), "old key, sorted compact form")
	requireFault(t, kit.Verify(t.Context(), p, []byte(`{"a":1,"b":2}`)), signature.KindReplayed, signature.ErrReplayed, "x-nonce")

	p = signature.Params{Timestamp: "1680508066", Nonce: "n"}
	p.Signature = kit.SignAt(nil, p.Timestamp, p.Nonce)
	requireFault(t, kit.Verify(t.Context(), p, nil), signature.KindMalformed, signature.ErrMalformed, "x-timestamp")

	for off, fresh := range map[time.Duration]bool{time.Minute: true, -time.Minute: true, time.Minute + time.Millisecond: false, -time.Minute - time.Millisecond: false} {
		p, err := newKit(t, signature.Config{Now: at(noon.Add(off))}).Sign(nil)
		require.NoError(t, err)
		err = newKit(t, signature.Config{}).Verify(t.Context(), p, nil)
		require.Equal(t, fresh, err == nil, "%v: %v", off, err)
	}
}

// A signature of one scheme is none of the other.
func TestKit_IsNotBase(t *testing.T) {
	t.Parallel()
	kit, base := newKit(t, signature.Config{}), newBase(t, signature.Config{})
	p, err := base.Sign([]byte(`{}`))
	require.NoError(t, err)
	require.ErrorIs(t, kit.Verify(t.Context(), p, []byte(`{}`)), signature.ErrMismatch)
	p, err = kit.Sign([]byte(`{}`))
	require.NoError(t, err)
	require.ErrorIs(t, base.Verify(t.Context(), p, []byte(`{}`)), signature.ErrMismatch)
}

func TestKitParams_ThroughTheRequest(t *testing.T) {
	t.Parallel()
	p := signature.Params{Signature: "+/=", Timestamp: "1", Nonce: "n&"}
	h := http.Header{}
	p.SetKitHeaders(h)
	got, err := signature.KitParams(h)
	require.NoError(t, err)
	require.Equal(t, p, got)
	require.Equal(t, "1", h.Get("x-timestamp"))
	got, err = signature.KitParams(nil)
	require.NoError(t, err)
	require.Zero(t, got)
	for _, name := range []string{"x-sign", "x-timestamp", "x-nonce"} {
		h := h.Clone()
		h.Add(name, "x")
		_, err = signature.KitParams(h)
		requireFault(t, err, signature.KindMalformed, signature.ErrMalformed, name)
	}
}

func TestKit_ConfigIsCheckedAndKeysAreHidden(t *testing.T) {
	t.Parallel()
	for _, cfg := range []signature.Config{{}, {Keys: []string{""}}, {Keys: []string{"a"}, Leeway: -1}} {
		_, err := signature.NewKit(cfg)
		require.Error(t, err)
	}
	requireHidden(t, newKit(t, signature.Config{}))
	_, err := newKit(t, signature.Config{Rand: strings.NewReader("")}).Sign(nil)
	require.Error(t, err)
}
