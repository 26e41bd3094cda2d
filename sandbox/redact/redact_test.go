package redact_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/isvkit/isvkit/sandbox/redact"
)

func TestValues(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"one", "2", "three", "four"}, redact.Values(`{"password":"one","a":{"accessToken":[2,{"x":"three"}]},"client_secret":"four","name":"five"}`))
	assert.Empty(t, redact.Values(`{"name":"five"}`))
	assert.Equal(t, []string{"one", "two", "three"}, redact.Values(`password=one&x=2 secret: 'two' {"token":"three","password":`))
	assert.Equal(t, []string{"cut of"}, redact.Values(`{"password":"cut of`))
}

func TestText(t *testing.T) {
	t.Parallel()
	assert.JSONEq(t, `{"password":"***","a":1}`, redact.Text(`{"password":"one","a":1}`))
	assert.Equal(t, "token=*** and more", redact.Text("token=one and more"))
}
