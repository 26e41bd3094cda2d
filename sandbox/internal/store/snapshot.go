package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// exclusively runs f on the connection of SQLite's writer, outside of any transaction, while no update runs.
func (s *Store) exclusively(ctx context.Context, f func(conn *sql.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, alone: func() error {
		conn, err := s.write.db.Conn(ctx)
		if err != nil {
			return err
		}
		return errors.Join(f(conn), conn.Close())
	}, done: make(chan struct{})}
	return s.submit(j)
}

// Snapshot writes the whole database into a new file, as it stands between two updates. The file must not exist. It is an SQLite database
// whatever this one is, so a snapshot of one kind can be restored into the other.
func (s *Store) Snapshot(ctx context.Context, name string) error {
	if s.server != nil {
		return s.export(ctx, name)
	}
	return s.exclusively(ctx, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "VACUUM INTO ?", name)
		return err
	})
}

// ErrNoSnapshot is wrapped by what Restore returns for a file that is no snapshot.
var ErrNoSnapshot = errors.New("the file is no snapshot of a sandbox")

// Restore replaces everything but token keys and audit log by what a snapshot holds, in one transaction. A snapshot of an older version
// is brought to the newest schema first, in the file.
func (s *Store) Restore(ctx context.Context, name string) error {
	if err := s.checkSnapshot(ctx, name); err != nil {
		return err
	}
	if s.server != nil {
		return s.load(ctx, name)
	}
	return s.exclusively(ctx, func(conn *sql.Conn) (err error) {
		if _, err := conn.ExecContext(ctx, "ATTACH DATABASE ? AS snapshot", name); err != nil {
			return err
		}
		defer func() {
			_, detachErr := conn.ExecContext(context.WithoutCancel(ctx), "DETACH DATABASE snapshot")
			err = errors.Join(err, detachErr)
		}()
		return replace(ctx, conn, func(table string) bool { return !stays(table) }, true)
	})
}

// Clear empties every table but those named, token keys and audit log.
func (s *Store) Clear(ctx context.Context, keep ...string) error {
	if s.server != nil {
		return s.clear(ctx, keep)
	}
	return s.exclusively(ctx, func(conn *sql.Conn) error {
		return replace(ctx, conn, func(table string) bool { return !stays(table) && !slices.Contains(keep, table) }, false)
	})
}

// checkSnapshot opens a snapshot as a database of its own, which brings it to the newest schema, and seals its secrets.
func (s *Store) checkSnapshot(ctx context.Context, name string) error {
	head := make([]byte, 16)
	f, err := os.Open(name) //nolint:gosec // written by the caller
	if err != nil {
		return err
	}
	_, err = f.Read(head)
	if err := errors.Join(err, f.Close()); err != nil || string(head) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: it is no SQLite database", ErrNoSnapshot)
	}
	h, err := openFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = h.db.Close() }()
	var check string
	var ours int
	if err := h.db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&check); err != nil || check != "ok" {
		return fmt.Errorf("%w: it is damaged", ErrNoSnapshot)
	}
	if err := h.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('setting', 'orders', 'calls', 'attempts')").Scan(&ours); err != nil || ours != 4 {
		return fmt.Errorf("%w: it has other tables", ErrNoSnapshot)
	}
	if err := h.migrate(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNoSnapshot, err)
	}
	return s.sealSnapshot(ctx, h)
}

// openFile opens a file as a plain SQLite database, without the rest of a store.
func openFile(name string) (*handle, error) {
	return open("file:"+strings.NewReplacer("?", "%3f", "#", "%23").Replace(name), 1)
}

// replace empties tables, and fills them from the attached snapshot if it is told to.
func replace(ctx context.Context, conn *sql.Conn, which func(table string) bool, fill bool) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if _, err := tx.ExecContext(ctx, "PRAGMA defer_foreign_keys = 1"); err != nil {
		return err
	}
	tables, err := collect(ctx, tx, scanText, "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND (name NOT LIKE 'sqlite_%' OR name = 'sqlite_sequence') ORDER BY name")
	if err != nil {
		return err
	}
	// The counters last: filling a table moves its own.
	slices.SortStableFunc(tables, func(a, b string) int {
		return strings.Compare(strings.TrimSuffix(a, "sqlite_sequence"), strings.TrimSuffix(b, "sqlite_sequence"))
	})
	slices.Reverse(tables)
	for _, table := range tables {
		if !which(table) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM main."`+table+`"`); err != nil { //nolint:gosec // a table of our own schema
			return err
		}
		if !fill {
			continue
		}
		columns, err := collect(ctx, tx, scanText, "SELECT '\"' || name || '\"' FROM pragma_table_info(?)", table)
		if err != nil {
			return err
		}
		list := strings.Join(columns, ", ")
		if _, err := tx.ExecContext(ctx, `INSERT INTO main."`+table+`" (`+list+`) SELECT `+list+` FROM snapshot."`+table+`"`); err != nil { //nolint:gosec // a table of our own schema
			return err
		}
	}
	return tx.Commit()
}
