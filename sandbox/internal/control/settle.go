package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
)

func (s *server) Settle(ctx context.Context, r SettleRequestObject) (SettleResponseObject, error) {
	timeout := 30 * time.Second
	if r.Params.Timeout != "" {
		d, err := time.ParseDuration(r.Params.Timeout)
		if err != nil || d < 0 || d > maxWait {
			return nil, fmt.Errorf("%w: timeout %q: expected a duration from 0s to %s", orderbook.ErrInvalid, r.Params.Timeout, maxWait)
		}
		timeout = d
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch err := s.s.Settle(waiting); {
	case err == nil:
		return Settle200JSONResponse(s.clock()), nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, &problem{http.StatusRequestTimeout, "not-yet", fmt.Sprintf("after %s there are still calls under way; the attempts tell which", timeout)}
	default:
		return nil, err
	}
}
