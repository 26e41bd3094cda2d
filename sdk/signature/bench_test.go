package signature_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

// kilobyte is a sorted compact body of 1,024 bytes.
var kilobyte = []byte(`{"activity":"newInstance","padding":"` + strings.Repeat("x", 1024-39) + `"}`)

// ratio runs both sides in turns, so that both see the same machine, and returns the median of ours/bare.
func ratio(ours, bare func()) float64 {
	const rounds, calls = 101, 50
	measure := func(f func()) time.Duration {
		start := time.Now()
		for range calls {
			f()
		}
		return time.Since(start)
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		mine := measure(ours)
		ratios[i] = float64(mine) / float64(measure(bare))
	}
	slices.Sort(ratios)
	return ratios[rounds/2]
}

// twoHMACs is the work that no implementation of the base signature can save: both HMACs, on a state that is keyed already.
func twoHMACs(p signature.Params, body []byte) func() {
	mac := hmac.New(sha256.New, []byte(testKey))
	second := []byte(testKey + p.Nonce + p.Timestamp + strings.Repeat("0", 64))
	sum := make([]byte, 0, sha256.Size)
	return func() {
		mac.Reset()
		mac.Write(body)
		sum = mac.Sum(sum[:0])
		mac.Reset()
		mac.Write(second)
		sum = mac.Sum(sum[:0])
	}
}

func BenchmarkBaseVerify(b *testing.B) {
	base := newBase(b, signature.Config{})
	p, err := base.Sign(kilobyte)
	require.NoError(b, err)
	verify := func() {
		if err := base.Verify(b.Context(), p, kilobyte); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(kilobyte)))
	for b.Loop() {
		verify()
	}
	b.ReportMetric(ratio(verify, twoHMACs(p, kilobyte)), "x-hmac")
}

// The dearest call a stranger can cause: a wrong signature, so that the sorted compact form is made and tried too.
func BenchmarkBaseVerify_Mismatch(b *testing.B) {
	base := newBase(b, signature.Config{})
	p, err := base.Sign(kilobyte)
	require.NoError(b, err)
	p.Nonce = "other"
	body := append([]byte(" "), kilobyte...)
	b.ReportAllocs()
	for b.Loop() {
		if base.Verify(b.Context(), p, body) == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkBaseVerify_WithReplayGuard(b *testing.B) {
	base := newBase(b, signature.Config{Nonces: signature.NewReplayGuard(0, at(noon))})
	b.ReportAllocs()
	for b.Loop() {
		p, err := base.Sign(kilobyte)
		if err == nil {
			err = base.Verify(b.Context(), p, kilobyte)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBaseSign(b *testing.B) {
	base := newBase(b, signature.Config{})
	sign := func() {
		if _, err := base.Sign(kilobyte); err != nil {
			b.Fatal(err)
		}
	}
	p, err := base.Sign(kilobyte)
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetBytes(int64(len(kilobyte)))
	for b.Loop() {
		sign()
	}
	b.ReportMetric(ratio(sign, twoHMACs(p, kilobyte)), "x-hmac")
}

func BenchmarkUsageSign(b *testing.B) {
	usage := newUsage(b, signature.Config{})
	b.ReportAllocs()
	b.SetBytes(int64(len(kilobyte)))
	for b.Loop() {
		if _, err := usage.Sign(kilobyte); err != nil {
			b.Fatal(err)
		}
	}
}

func akskBenchRequest(b *testing.B) *http.Request {
	b.Helper()
	return signedRequest(b, http.MethodPost, "https://mkt.example.com/rest/marketplace/v1/isv/usage-data?a=1&b=x%20y", kilobyte,
		http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}})
}

// akskHashes is the work that no implementation of the AK/SK signature can save: body and canonical request hashed, and one
// HMAC, on a state that is keyed already.
func akskHashes(b *testing.B, req *http.Request) func() {
	b.Helper()
	canonical, err := signature.CanonicalRequest(req, []string{"accept", "content-type", "host", "x-sdk-date"}, kilobyte)
	require.NoError(b, err)
	text, toSign := []byte(canonical), []byte(signature.StringToSign("20240102T030405Z", canonical))
	mac := hmac.New(sha256.New, []byte(testCredentials.SK))
	sum := make([]byte, 0, sha256.Size)
	var hashes [2][sha256.Size]byte
	return func() {
		hashes[0], hashes[1] = sha256.Sum256(kilobyte), sha256.Sum256(text)
		mac.Reset()
		mac.Write(toSign)
		sum = mac.Sum(sum[:0])
	}
}

func BenchmarkAKSKSign(b *testing.B) {
	req := akskBenchRequest(b)
	sign := func() {
		if err := testCredentials.SignRequest(req, kilobyte, noon); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(kilobyte)))
	for b.Loop() {
		sign()
	}
	b.ReportMetric(ratio(sign, akskHashes(b, req)), "x-hmac")
}

func BenchmarkAKSKVerify(b *testing.B) {
	req := akskBenchRequest(b)
	verifier := akskVerifier(b, testCredentials.AK, testCredentials.SK, at(noon))
	verify := func() {
		if _, err := verifier.Verify(req, kilobyte); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(kilobyte)))
	for b.Loop() {
		verify()
	}
	b.ReportMetric(ratio(verify, akskHashes(b, req)), "x-hmac")
}

func BenchmarkCanonicalBody(b *testing.B) {
	body := []byte(strings.Repeat(" ", 4) + string(kilobyte))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := signature.CanonicalBody(body); !ok {
			b.Fatal("no form")
		}
	}
}

func TestKilobyteIsOne(t *testing.T) {
	t.Parallel()
	require.Len(t, kilobyte, 1024)
}
