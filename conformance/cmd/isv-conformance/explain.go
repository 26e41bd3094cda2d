package main

import (
	"bytes"
	"context"

	"github.com/isvkit/isvkit/conformance/report"
)

func explain(_ context.Context, t terminal, args []string) int {
	flags := quietFlags("explain")
	rest, code, done := t.parse(flags, args, "id of a check, a requirement or an ambiguity")
	if done {
		return code
	}
	var b bytes.Buffer
	if err := report.Explain(&b, rest[0]); err != nil {
		return t.refuse(err.Error(), "isv-conformance list shows the checks and their requirements")
	}
	if _, err := t.out.Write(b.Bytes()); err != nil {
		return t.refuse(err.Error(), "")
	}
	return exitOK
}
