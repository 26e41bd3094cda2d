// Package attest signs the verdict of a report, so that a marketplace can check it offline: who judged which build, with which suite, how it
// ended, and for how long the statement holds.
//
// The statement is a JWT, signed with Ed25519 and nothing else. It names the report by its SHA-256; a report that was changed afterwards
// does not fit it any more. Whom to trust is up to whoever verifies: it takes a public key that one has got from the judge before.
package attest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/isvkit/isvkit/conformance/report"
)

// Type is the type of the JWT, so that a token for something else never passes for a statement.
const Type = "isv-conformance+jwt"

// Statement is what is signed.
type Statement struct {
	jwt.RegisteredClaims // issuer: who judged; subject: the production address

	ReportSHA256    string         `json:"reportSha256"` // of the report in JSON, byte by byte
	Verdict         report.Verdict `json:"verdict"`
	Build           string         `json:"build"`
	SuiteVersion    string         `json:"suiteVersion"`
	ContractVersion string         `json:"contractVersion"`
	JudgedAt        time.Time      `json:"judgedAt"`
	Charging        []string       `json:"charging"`
	With            []string       `json:"with"`
	Level           string         `json:"level"`
	Readings        []string       `json:"readings,omitempty"`
	// Outcomes are the ids of the checks by outcome, so that statements can be compared.
	Outcomes map[report.Outcome][]string `json:"outcomes"`
}

// Options say who signs.
type Options struct {
	Issuer string        // who judged; must not be empty
	Build  string        // what was judged. Default: the build that the report names; one of the two must be there
	Valid  time.Duration // for how long the statement holds; must be above 0
	Now    time.Time     // the time of the statement
}

// Sign makes a statement about a report in JSON. A report without a verdict, or of a part of the suite, is refused: it says too little.
func Sign(reportJSON []byte, key ed25519.PrivateKey, o Options) (string, error) {
	r, err := report.Parse(reportJSON)
	if err != nil {
		return "", err
	}
	build := r.Build
	switch {
	case r.Verdict == report.Error:
		return "", errors.New("the report has no verdict: something could not be judged")
	case r.NotSelected > 0:
		return "", fmt.Errorf("the report is about %d checks that were selected, out of %d; run the whole suite, without --run, --skip and --rerun", len(r.Checks), len(r.Checks)+r.NotSelected)
	case o.Issuer == "":
		return "", errors.New("no issuer is given, expected who judged, such as https://market.example")
	case o.Valid <= 0:
		return "", errors.New("the statement would have expired already, expected a time above 0")
	case build == "" && o.Build == "":
		return "", errors.New("no build is given, and the report names none; expected a version or a commit of what was judged")
	case build != "" && o.Build != "" && build != o.Build:
		return "", fmt.Errorf("the report is about build %q, not %q", build, o.Build)
	case build == "":
		build = o.Build
	}
	s := Statement{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: o.Issuer, Subject: r.Target, IssuedAt: jwt.NewNumericDate(o.Now), ExpiresAt: jwt.NewNumericDate(o.Now.Add(o.Valid)),
		},
		ReportSHA256: digest(reportJSON), Verdict: r.Verdict, Build: build, SuiteVersion: r.SuiteVersion, ContractVersion: r.ContractVersion,
		JudgedAt: r.StartedAt, Charging: r.Charging, With: r.With, Level: r.Level, Readings: r.Readings, Outcomes: map[report.Outcome][]string{},
	}
	for _, c := range r.Checks {
		s.Outcomes[c.Outcome] = append(s.Outcomes[c.Outcome], c.ID)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, s)
	token.Header["typ"] = Type
	token.Header["kid"] = KeyID(key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // what an Ed25519 key has
	return token.SignedString(key)
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// KeyID is a short name of a public key, to tell keys apart.
func KeyID(key ed25519.PublicKey) string { return digest(key)[:16] }

// Verify checks a statement, and that it is about this report. The error says in what way it is not to be relied upon.
func Verify(token string, reportJSON []byte, key ed25519.PublicKey, now time.Time) (*Statement, error) {
	s, err := read(token, key, jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		return nil, err
	}
	if got := digest(reportJSON); got != s.ReportSHA256 {
		return nil, fmt.Errorf("the statement is about another report, or this one was changed: expected SHA-256 %s, got %s", s.ReportSHA256, got)
	}
	return s, nil
}

// VerifyEarlier checks a statement to compare with. It may have expired.
func VerifyEarlier(token string, key ed25519.PublicKey) (*Statement, error) {
	return read(token, key, jwt.WithoutClaimsValidation())
}

func read(token string, key ed25519.PublicKey, with jwt.ParserOption) (*Statement, error) {
	var s Statement
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), with)
	parsed, err := parser.ParseWithClaims(token, &s, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != Type {
			return nil, fmt.Errorf("it is of the type %q, expected %q", t.Header["typ"], Type)
		}
		return key, nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, fmt.Errorf("the statement expired on %s", s.ExpiresAt.UTC().Format(time.RFC1123))
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return nil, errors.New("the statement is from the future; do the clocks agree?")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, errors.New("it is no statement: expected three parts of Base64, separated by dots")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, fmt.Errorf("the statement was changed, or signed by somebody else or in another way than with Ed25519: expected the key %s", KeyID(key))
	case err != nil:
		return nil, fmt.Errorf("it is no statement: %w", err)
	}
	if parsed == nil || s.Verdict == "" || s.ReportSHA256 == "" {
		return nil, errors.New("it is no statement: the verdict or the report is missing")
	}
	return &s, nil
}

// Difference is what changed between two statements. The lists hold ids of checks.
type Difference struct {
	Better  []string // failed or warned, and pass now
	Worse   []string // passed, and fail or warn now
	Added   []string // are judged now and were not
	Dropped []string // were judged and are not any more
	Notes   []string // what else is different, in words
}

// Compare tells what became better and what became worse since an earlier statement.
func Compare(earlier, now *Statement) Difference {
	before, after := ranks(earlier), ranks(now)
	var d Difference
	for id, rank := range after {
		was, known := before[id]
		switch {
		case !known:
			d.Added = append(d.Added, id)
		case rank > was:
			d.Worse = append(d.Worse, id)
		case rank < was:
			d.Better = append(d.Better, id)
		}
	}
	for id := range before {
		if _, known := after[id]; !known {
			d.Dropped = append(d.Dropped, id)
		}
	}
	for _, list := range []*[]string{&d.Better, &d.Worse, &d.Added, &d.Dropped} {
		slices.Sort(*list)
	}
	for _, f := range []struct{ what, before, after string }{
		{"verdict", string(earlier.Verdict), string(now.Verdict)},
		{"production address", earlier.Subject, now.Subject},
		{"build", earlier.Build, now.Build},
		{"issuer", earlier.Issuer, now.Issuer},
		{"suite", earlier.SuiteVersion, now.SuiteVersion},
		{"contract", earlier.ContractVersion, now.ContractVersion},
		{"level", earlier.Level, now.Level},
		{"charging", fmt.Sprint(earlier.Charging), fmt.Sprint(now.Charging)},
		{"with", fmt.Sprint(earlier.With), fmt.Sprint(now.With)},
		{"readings", fmt.Sprint(earlier.Readings), fmt.Sprint(now.Readings)},
	} {
		if f.before != f.after {
			d.Notes = append(d.Notes, fmt.Sprintf("%s: %s, earlier %s", f.what, f.after, f.before))
		}
	}
	return d
}

// ranks are the checks that were judged, by how bad it is. What was skipped or did not apply was not judged.
func ranks(s *Statement) map[string]int {
	all := map[string]int{}
	for rank, outcomes := range [][]report.Outcome{{"pass", report.UnexpectedPass}, {report.Warning}, {report.KnownFailing}, {"fail"}} {
		for _, o := range outcomes {
			for _, id := range s.Outcomes[o] {
				all[id] = rank
			}
		}
	}
	return all
}
