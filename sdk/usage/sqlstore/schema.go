package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

const schemaVersion = 1

// Times are Unix milliseconds, window bounds and ranges Unix seconds, amounts units of 0.0001. The partial indexes are as long as
// what waits, not as long as what was.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS {t}_instance (
		instance_id TEXT PRIMARY KEY,
		first_used BIGINT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS {t}_event (
		id TEXT PRIMARY KEY,
		instance_id TEXT NOT NULL,
		package_id TEXT NOT NULL,
		amount BIGINT NOT NULL,
		at BIGINT NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS {index}_event_at ON {t}_event (at)`,
	`CREATE TABLE IF NOT EXISTS {t}_window (
		id {serial},
		instance_id TEXT NOT NULL,
		package_id TEXT NOT NULL,
		window_begin BIGINT NOT NULL,
		window_end BIGINT NOT NULL,
		amount BIGINT NOT NULL,
		state TEXT NOT NULL,
		due BIGINT NOT NULL,
		metering_sn TEXT UNIQUE,
		range_from BIGINT,
		range_to BIGINT,
		sealed_at BIGINT,
		attempts BIGINT NOT NULL DEFAULT 0,
		unsure BIGINT NOT NULL DEFAULT 0,
		code TEXT NOT NULL DEFAULT '',
		message TEXT NOT NULL DEFAULT '',
		claimed_by TEXT NOT NULL DEFAULT '',
		claimed_until BIGINT NOT NULL DEFAULT 0)`,
	`CREATE INDEX IF NOT EXISTS {index}_window_open ON {t}_window (instance_id, package_id, window_begin, window_end) WHERE state = 'open'`,
	`CREATE INDEX IF NOT EXISTS {index}_window_due ON {t}_window (due, id) WHERE state IN ('open', 'sealed')`,
	`CREATE INDEX IF NOT EXISTS {index}_window_end ON {t}_window (window_end) WHERE state = 'done'`,
	`CREATE UNIQUE INDEX IF NOT EXISTS {index}_window_range ON {t}_window (instance_id, range_to, range_from)`,
}

// Migrate makes the tables if there are none. Call it at every start; processes may do it at the same time.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.migrate(ctx)
	if err != nil {
		err = fmt.Errorf("sqlstore: make the tables: %w", err)
	}
	return err
}

func (s *Store) migrate(ctx context.Context) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if s.dialect == PostgreSQL {
			if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtext($1))`, s.prefix); err != nil {
				return err
			}
		}
		meta := []string{
			`CREATE TABLE IF NOT EXISTS {t}_schema (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)`,
			fmt.Sprintf(`INSERT INTO {t}_schema (id, version) VALUES (1, %d) ON CONFLICT (id) DO NOTHING`, schemaVersion),
		}
		for _, text := range meta {
			if _, err := tx.ExecContext(ctx, s.text(text)); err != nil {
				return err
			}
		}
		var version int
		if err := tx.QueryRowContext(ctx, s.text(`SELECT version FROM {t}_schema WHERE id = 1`)).Scan(&version); err != nil {
			return err
		}
		if version != schemaVersion {
			return fmt.Errorf("the tables are of version %d, this program knows %d", version, schemaVersion)
		}
		for _, text := range schema {
			if _, err := tx.ExecContext(ctx, s.text(text)); err != nil {
				return err
			}
		}
		return nil
	})
}

// text puts the names of the tables into a statement, and its placeholders into the dialect's form.
func (s *Store) text(text string) string {
	serial := "INTEGER PRIMARY KEY AUTOINCREMENT"
	if s.dialect == PostgreSQL {
		serial = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	}
	index := s.prefix[strings.LastIndexByte(s.prefix, '.')+1:] // an index is in the schema of its table, and its name does not say so
	text = strings.NewReplacer("{t}", s.prefix, "{index}", index, "{serial}", serial).Replace(text)
	if s.dialect != PostgreSQL {
		return text
	}
	var b strings.Builder
	n := 0
	for _, c := range []byte(text) {
		if c == '?' {
			n++
			fmt.Fprintf(&b, "$%d", n)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// list is "(?, ?, …)" for n values.
func list(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")" }
