package store

import "context"

// checkpoints brings what SQLite's writer appended to its log into the file, from time to time and beside the writer: this is the only
// part of writing that waits for the disk. SQLite would do it itself in the middle of some update, and still does when the log has grown to
// 64 MB because the writer never paused.
type checkpoints struct {
	handle *handle
	due    chan struct{}
	stop   context.CancelFunc
	ended  chan struct{}
	since  int // updates; the writer's
}

// checkpointEvery is after how many updates: some 20 MB of log.
const checkpointEvery = 2000

func startCheckpoints(dsn string) (*checkpoints, error) {
	h, err := open(dsn, 1)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpoints{handle: h, due: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		for {
			select {
			case <-c.due:
				// It never waits for the writer, and what it could not bring over is brought by the next one, so nobody need know.
				_, _ = h.db.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
			case <-ctx.Done():
				return
			}
		}
	}()
	return c, nil
}

// written counts updates.
func (c *checkpoints) written(updates int) {
	if c == nil { // in memory
		return
	}
	if c.since += updates; c.since < checkpointEvery {
		return
	}
	c.since = 0
	select {
	case c.due <- struct{}{}:
	default: // one is under way
	}
}

func (c *checkpoints) close() error {
	c.stop()
	<-c.ended
	return c.handle.db.Close()
}
