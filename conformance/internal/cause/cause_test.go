package cause_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/isvkit/isvkit/conformance/internal/cause"
	"github.com/isvkit/isvkit/conformance/suite"
)

func TestOf(t *testing.T) {
	t.Parallel()
	right := suite.Attempt{Status: 200, AnswerBody: []byte(`{"resultCode":"000000"}`)}
	answered := func(status int, body string) suite.Attempt {
		return suite.Attempt{Status: status, AnswerBody: []byte(body)}
	}
	for want, attempts := range map[string][]suite.Attempt{
		"":                         {right, right},
		"not answered in time":     {right, {Err: "timeout"}},
		"Nobody listens":           {{Err: "dial tcp: connection refused"}},
		"connection ended":         {{Err: "EOF"}},
		"redirects":                {answered(302, "")},
		"does not know the path":   {answered(404, "{}")},
		"not for this method":      {answered(405, "")},
		"in front of the handler":  {answered(403, "denied")},
		"limits the size":          {answered(413, "")},
		"another content type":     {answered(415, "")},
		"limited in number":        {answered(429, "")},
		"A proxy answered":         {answered(502, "bad gateway")},
		"The handler failed":       {answered(500, "{}"), right},
		"A web page":               {answered(200, "\n<!DOCTYPE html>")},
		"The answer is empty":      {answered(200, " ")},
		"refused: the key differs": {{Err: "timeout"}, {Asked: true, Note: "refused: the key differs"}},
	} {
		if want == "" {
			assert.Empty(t, cause.Of(attempts))
			continue
		}
		assert.Contains(t, cause.Of(attempts), want)
	}
	assert.Empty(t, cause.Of([]suite.Attempt{{Status: 401, AnswerBody: []byte(`{"resultCode":"000001"}`), AnswerHeader: http.Header{}}}))
	assert.Empty(t, cause.Of([]suite.Attempt{{Asked: true, Status: 500}}), "what the marketplace answered is not the ISV's")
	assert.Empty(t, cause.Of(nil))
}
