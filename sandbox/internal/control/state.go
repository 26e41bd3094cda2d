package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
)

// maxSnapshot is how long a snapshot may be; a sandbox with a million attempts has about 1 GB.
const maxSnapshot = 8 << 30

func (s *server) clock() sandboxapi.Clock {
	c := s.s.Clock()
	return sandboxapi.Clock{Now: c.Now(), Ahead: c.Ahead().String(), Held: c.Held()}
}

// AdvanceClock moves the clock by hand.
func (s *server) AdvanceClock(ctx context.Context, r AdvanceClockRequestObject) (AdvanceClockResponseObject, error) {
	now := s.s.Clock().Now()
	switch {
	case (r.Body.Duration == "") == r.Body.To.IsZero():
		return nil, fmt.Errorf("%w: expected either duration, such as 36h, or to, a time", orderbook.ErrInvalid)
	case r.Body.To.Before(now) && r.Body.Duration == "":
		return nil, fmt.Errorf("%w: to: the clock shows %s already, and only moves forward", orderbook.ErrInvalid, now.Format("2006-01-02T15:04:05Z"))
	case r.Body.Duration == "":
		if err := s.s.AdvanceTo(ctx, r.Body.To); err != nil {
			return nil, err
		}
	default:
		d, err := clock.ParseDuration(r.Body.Duration)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", orderbook.ErrInvalid, err)
		}
		if err := s.s.Advance(ctx, d); err != nil {
			return nil, err
		}
	}
	return AdvanceClock200JSONResponse(s.clock()), nil
}

// HoldClock stops the clock.
func (s *server) HoldClock(ctx context.Context, _ HoldClockRequestObject) (HoldClockResponseObject, error) {
	err := s.s.HoldClock(ctx)
	return HoldClock200JSONResponse(s.clock()), err
}

// RunClock lets it run on.
func (s *server) RunClock(ctx context.Context, _ RunClockRequestObject) (RunClockResponseObject, error) {
	err := s.s.RunClock(ctx)
	return RunClock200JSONResponse(s.clock()), err
}

// TakeSnapshot writes a snapshot to a temporary file and sends that.
func (s *server) TakeSnapshot(ctx context.Context, _ TakeSnapshotRequestObject) (TakeSnapshotResponseObject, error) {
	dir, err := os.MkdirTemp("", "isvkit-snapshot-*")
	if err != nil {
		return nil, err
	}
	clean := func() error { return os.RemoveAll(dir) }
	name := filepath.Join(dir, "snapshot.db")
	if err := s.s.Snapshot(ctx, name); err != nil {
		return nil, errors.Join(err, clean())
	}
	f, err := os.Open(name) //nolint:gosec // made above
	if err != nil {
		return nil, errors.Join(err, clean())
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close(), clean())
	}
	return TakeSnapshot200ApplicationVndSqlite3Response{Body: &temporary{f, clean}, ContentLength: info.Size()}, nil
}

// temporary is a file that goes away when it is closed.
type temporary struct {
	*os.File
	clean func() error
}

// Close closes and removes the file.
func (t *temporary) Close() error { return errors.Join(t.File.Close(), t.clean()) }

// RestoreSnapshot takes a snapshot into a temporary file and puts it in place of everything.
func (s *server) RestoreSnapshot(ctx context.Context, r RestoreSnapshotRequestObject) (RestoreSnapshotResponseObject, error) {
	dir, err := os.MkdirTemp("", "isvkit-restore-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := filepath.Join(dir, "snapshot.db")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in a directory made above
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(f, r.Body)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%w: the snapshot could not be read: %w", orderbook.ErrInvalid, err)
	}
	if err := s.s.Restore(ctx, name); err != nil {
		return nil, err
	}
	status, err := s.status(ctx)
	return RestoreSnapshot200JSONResponse(status), err
}

// Reset forgets everything that happened.
func (s *server) Reset(ctx context.Context, _ ResetRequestObject) (ResetResponseObject, error) {
	if err := s.s.Reset(ctx); err != nil {
		return nil, err
	}
	status, err := s.status(ctx)
	return Reset200JSONResponse(status), err
}
