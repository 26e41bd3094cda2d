package suite

import (
	"context"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// SendTo is Send to one of the addresses of the ISV.
func (c *Case) SendTo(ctx context.Context, address string, body Body) *Answer {
	r := curl.Request{URL: address, Body: body.Text()}
	if body.Activity() == "orderNotify" {
		r.KeyVariable = generalKeyVariable
	}
	return c.SendRequest(ctx, body.Activity()+" at "+address, r)
}

// others are the addresses besides the first.
func (c *Case) others() []string { return c.env.Replicas }
