package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/attest"
	"github.com/isvkit/isvkit/conformance/report"
)

// need refuses flags that are missing, in their order.
func (t terminal) need(flags ...[3]string) (code int, missing bool) {
	for _, f := range flags {
		if f[1] == "" {
			return t.refuse("--"+f[0]+" is missing, expected "+f[2], ""), true
		}
	}
	return 0, false
}

func keygen(_ context.Context, t terminal, args []string) int {
	flags := quietFlags("keygen")
	private := flags.String("key", "", "`FILE` for the private key, which must not exist yet; keep it secret")
	public := flags.String("public-key", "", "`FILE` for the public key, for those who verify; default: the other one with .pub")
	if _, code, done := t.parse(flags, args); done {
		return code
	}
	if code, missing := t.need([3]string{"key", *private, "a file for the private key"}); missing {
		return code
	}
	if *public == "" {
		*public = *private + ".pub"
	}
	priv, pub, err := attest.NewKey()
	if err != nil {
		return t.refuse(err.Error(), "")
	}
	for _, f := range []struct {
		flag, name string
		text       []byte
		mode       os.FileMode
	}{{"key", *private, priv, 0o600}, {"public-key", *public, pub, 0o644}} {
		file, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if err != nil {
			return t.refuse(fmt.Sprintf("--%s: %v", f.flag, err), "a key that is there is never overwritten; choose another file")
		}
		_, err = file.Write(f.text)
		if err = errors.Join(err, file.Close()); err != nil {
			return t.refuse(fmt.Sprintf("--%s: %v", f.flag, err), "")
		}
	}
	key, err := attest.ParsePublicKey(pub)
	if err != nil {
		return t.refuse(err.Error(), "")
	}
	t.say("the key %s: %s is private, %s is for those who verify", attest.KeyID(key), *private, *public)
	return exitOK
}

func attestation(_ context.Context, t terminal, args []string) int {
	flags := quietFlags("attest")
	reportFile := flags.String("report", "", "`FILE` with the report in JSON")
	keyFile := flags.String("key", "", "`FILE` with the private Ed25519 key in PEM, from keygen or openssl genpkey -algorithm ed25519")
	out := flags.String("out", "-", "`FILE` for the statement; default: the standard output")
	o := attest.Options{Now: time.Now()}
	flags.StringVar(&o.Issuer, "issuer", "", "`NAME` of who judged, such as https://market.example")
	flags.StringVar(&o.Build, "build", "", "`ID` of what was judged; default: the one in the report")
	valid := flags.String("valid", "90d", "`TIME` for which the statement holds, in days or as 36h; default: 90d")
	if _, code, done := t.parse(flags, args); done {
		return code
	}
	if code, missing := t.need([3]string{"report", *reportFile, "the report in JSON that run --json wrote"},
		[3]string{"key", *keyFile, "a private key, as keygen makes one"}, [3]string{"issuer", o.Issuer, "who judged, such as https://market.example"}); missing {
		return code
	}
	var err error
	if o.Valid, err = days(*valid); err != nil {
		return t.refuse("--valid: "+err.Error(), "")
	}
	text, err := readFile(*reportFile)
	if err != nil {
		return t.refuse("--report: "+err.Error(), "")
	}
	pem, err := readFile(*keyFile)
	if err != nil {
		return t.refuse("--key: "+err.Error(), "")
	}
	key, err := attest.ParsePrivateKey(pem)
	if err != nil {
		return t.refuse(fmt.Sprintf("--key: %s: %v", *keyFile, err), "isv-conformance keygen --key FILE makes one")
	}
	statement, err := attest.Sign(text, key, o)
	if err != nil {
		return t.refuse("cannot attest: "+err.Error(), "")
	}
	if *out == "-" {
		_, err = io.WriteString(t.out, statement+"\n")
	} else {
		err = os.WriteFile(*out, []byte(statement+"\n"), 0o644) //nolint:gosec // for everybody to read
	}
	if err != nil {
		return t.refuse("--out: "+err.Error(), "")
	}
	return exitOK
}

// days reads 90d, or what Go calls a duration.
func days(text string) (time.Duration, error) {
	var d time.Duration
	n, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	if err == nil && strings.HasSuffix(text, "d") && n < 100*365 {
		d = time.Duration(n) * 24 * time.Hour
	} else if d, err = time.ParseDuration(text); err != nil {
		return 0, fmt.Errorf("%q is no time, expected days as 90d, or hours as 36h", text)
	}
	if d <= 0 {
		return 0, fmt.Errorf("%q is over already, expected a time above 0", text)
	}
	return d, nil
}

func verify(_ context.Context, t terminal, args []string) int {
	flags := quietFlags("verify")
	statementFile := flags.String("attestation", "", "`FILE` with the statement")
	reportFile := flags.String("report", "", "`FILE` with the report in JSON that it is about")
	keyFile := flags.String("public-key", "", "`FILE` with the public Ed25519 key of who judged, in PEM")
	issuer := flags.String("issuer", "", "`NAME` of who must have judged; default: anybody who has the key")
	against := flags.String("against", "", "`FILE` with an earlier statement by the same key, to compare with")
	if _, code, done := t.parse(flags, args); done {
		return code
	}
	if code, missing := t.need([3]string{"attestation", *statementFile, "the statement that attest wrote"}, [3]string{"report", *reportFile, "the report that it is about"},
		[3]string{"public-key", *keyFile, "the public key of who judged"}); missing {
		return code
	}
	var files [4][]byte
	for n, f := range [][2]string{{"attestation", *statementFile}, {"report", *reportFile}, {"public-key", *keyFile}, {"against", *against}} {
		if f[1] == "" {
			continue
		}
		var err error
		if files[n], err = readFile(f[1]); err != nil {
			return t.refuse("--"+f[0]+": "+err.Error(), "")
		}
	}
	key, err := attest.ParsePublicKey(files[2])
	if err != nil {
		return t.refuse(fmt.Sprintf("--public-key: %s: %v", *keyFile, err), "")
	}
	reject := func(what string, err error) int {
		t.say("%s is not to be relied upon: %v", what, err)
		return exitNot
	}
	s, err := attest.Verify(strings.TrimSpace(string(files[0])), files[1], key, time.Now())
	if err != nil {
		return reject(*statementFile, err)
	}
	if *issuer != "" && s.Issuer != *issuer {
		return reject(*statementFile, fmt.Errorf("%q judged, expected %q", s.Issuer, *issuer))
	}
	var b strings.Builder
	s.Describe(&b)
	if *against != "" {
		earlier, err := attest.VerifyEarlier(strings.TrimSpace(string(files[3])), key)
		if err != nil {
			return reject(*against, err)
		}
		attest.Compare(earlier, s).Describe(&b)
	}
	if _, err := io.WriteString(t.out, b.String()); err != nil {
		return t.refuse(err.Error(), "")
	}
	if s.Verdict != report.Conformant {
		return exitNot
	}
	return exitOK
}

// readFile reads a file of a size that can be.
func readFile(name string) ([]byte, error) {
	file, err := os.Open(name) //nolint:gosec // whoever runs it names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, mostReport+1))
	if err == nil && len(text) > mostReport {
		err = fmt.Errorf("%s: it has more than %d bytes", name, mostReport)
	}
	return text, err
}
