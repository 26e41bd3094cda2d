package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Queries are written once, for SQLite and PostgreSQL: placeholders as ? or ?1, what is yes or no as the numbers 1 and 0, times as
// milliseconds, conditions summed up with CASE, names for tables in FROM that are queries. Where a number's type cannot be told from
// what it is compared with, it is CAST. The rest is done here and by functions that PostgreSQL's first migration adds.

// phrases are what PostgreSQL says in other words.
var phrases = strings.NewReplacer(
	"json_each(", "json_elements(", // which has the name for something else
)

// postgresText gives a query in PostgreSQL's words.
func postgresText(query string) string {
	var b strings.Builder
	next := 0
	quoted := false
	query = phrases.Replace(query)
	for i := 0; i < len(query); i++ {
		c := query[i]
		switch {
		case c == '\'':
			quoted = !quoted // '' inside a text ends it and begins it again
		case c == '?' && !quoted:
			end := i + 1
			for end < len(query) && query[end] >= '0' && query[end] <= '9' {
				end++
			}
			number := query[i+1 : end]
			if number == "" {
				next++
				number = strconv.Itoa(next)
			}
			b.WriteString("$" + number)
			i = end - 1
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// postgresArgs gives arguments as PostgreSQL takes them: numbers for what is yes or no, and text that is UTF-8 without zeros, which is
// all that its texts can hold. What an ISV answered may be anything, so there the journal keeps U+FFFD in place of what is neither.
func postgresArgs(args []any) []any {
	var own []any
	for i, a := range args {
		v := reflect.ValueOf(a)
		text, nullable := a.(sql.NullString)
		var replaced any
		switch {
		case nullable:
			text.String = clean(text.String)
			replaced = text
		case v.Kind() == reflect.Bool:
			replaced = int64(0)
			if v.Bool() {
				replaced = int64(1)
			}
		case v.Kind() == reflect.String:
			replaced = clean(v.String())
		default:
			continue
		}
		if own == nil {
			own = append(own, args...)
		}
		own[i] = replaced
	}
	if own == nil {
		return args
	}
	return own
}

// clean makes any text one that PostgreSQL can hold.
func clean(text string) string {
	if utf8.ValidString(text) && !strings.Contains(text, "\x00") {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// querier runs queries.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// transaction is a querier that may write.
type transaction interface {
	querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// handle is a pool of connections. In SQLite it prepares every statement once; PostgreSQL's driver does that by itself.
type handle struct {
	db       *sql.DB
	postgres bool

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // SQLite
	writing  statements           // of SQLite's writer
	texts    map[string]string    // PostgreSQL: queries in its words
}

// open opens a database of SQLite.
func open(dsn string, connections int) (*handle, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	return newHandle(db, false, connections), nil
}

func newHandle(db *sql.DB, postgres bool, connections int) *handle {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &handle{db: db, postgres: postgres, prepared: map[string]*sql.Stmt{}, texts: map[string]string{}}
}

// text gives a query in PostgreSQL's words. Queries are constants of this package but for one, so there are not many.
func (h *handle) text(query string) string {
	h.mu.RLock()
	text := h.texts[query]
	h.mu.RUnlock()
	if text == "" {
		text = postgresText(query)
		h.mu.Lock()
		h.texts[query] = text
		h.mu.Unlock()
	}
	return text
}

// prepare gives SQLite's statement of a query.
func (h *handle) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	h.mu.RLock()
	stmt := h.prepared[query]
	h.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := h.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if earlier := h.prepared[query]; earlier != nil {
		return earlier, stmt.Close()
	}
	h.prepared[query] = stmt
	return stmt, nil
}

// QueryContext runs a query that gives rows.
func (h *handle) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if h.postgres {
		rows, err := h.db.QueryContext(ctx, h.text(query), postgresArgs(args)...)
		for wait := (waiting{}); Away(err) && wait.more(ctx); {
			rows, err = h.db.QueryContext(ctx, h.text(query), postgresArgs(args)...)
		}
		return rows, err
	}
	stmt, err := h.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext runs a query that gives one row.
func (h *handle) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if h.postgres {
		row := h.db.QueryRowContext(ctx, h.text(query), postgresArgs(args)...)
		for wait := (waiting{}); Away(row.Err()) && wait.more(ctx); {
			row = h.db.QueryRowContext(ctx, h.text(query), postgresArgs(args)...)
		}
		return row
	}
	stmt, err := h.prepare(ctx, query)
	if err != nil {
		return h.db.QueryRowContext(ctx, query, args...) // a Row cannot be made of an error; this gives the same one
	}
	return stmt.QueryRowContext(ctx, args...)
}

// view is a handle in place of a transaction.
type view struct{ *handle }

// ExecContext refuses: a view does not write.
func (view) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errors.New("store: a view does not write")
}

// prepared is a transaction of SQLite that uses its handle's prepared statements. On the one connection of the writer they need no
// preparing; more are not prepared inside a transaction, which holds that connection.
type prepared struct {
	*sql.Tx
	conn   *sql.Conn // that it runs on
	handle *handle
	own    map[string]*sql.Stmt // prepared in this transaction, closed with it
}

func (p *prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	p.handle.mu.RLock()
	stmt := p.handle.prepared[query]
	p.handle.mu.RUnlock()
	if stmt == nil {
		if p.own[query] == nil {
			own, err := p.PrepareContext(ctx, query)
			if err != nil {
				return nil, err
			}
			p.own[query] = own
		}
		return p.own[query], nil
	}
	return p.StmtContext(ctx, stmt), nil
}

// ExecContext runs a statement that gives no rows.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (result sql.Result, err error) {
	err = p.conn.Raw(func(c any) (err error) {
		result, err = p.handle.writing.exec(ctx, c, query, args)
		return err
	})
	return result, err
}

// statements are those of the writer that the driver itself prepares: most of what a delivery costs are a dozen of them, and a third of that
// would be what database/sql does around each.
type statements struct {
	conn any // whose they are
	all  map[string]statement
	args []driver.NamedValue
}

type statement interface {
	driver.StmtExecContext
	driver.StmtQueryContext
}

// statement gives the statement of a query, and its arguments as the driver takes them, until the next is asked for.
func (s *statements) statement(ctx context.Context, conn any, query string, args []any) (statement, []driver.NamedValue, error) {
	if s.conn != conn {
		s.conn, s.all = conn, map[string]statement{}
	}
	stmt := s.all[query]
	if stmt == nil {
		preparer, ok := conn.(driver.ConnPrepareContext)
		if !ok {
			return nil, nil, fmt.Errorf("store: the driver's connection, a %T, prepares no statements", conn)
		}
		made, err := preparer.PrepareContext(ctx, query)
		if err != nil {
			return nil, nil, err
		}
		if stmt, ok = made.(statement); !ok {
			return nil, nil, fmt.Errorf("store: the driver's statement, a %T, takes no context", made)
		}
		s.all[query] = stmt
	}
	s.args = s.args[:0]
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, nil, fmt.Errorf("store: argument %d: %w", i+1, err)
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return stmt, s.args, nil
}

func (s *statements) exec(ctx context.Context, conn any, query string, args []any) (driver.Result, error) {
	stmt, values, err := s.statement(ctx, conn, query, args)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, values)
}

// text gives the first column of the first row, a text; sql.ErrNoRows if there is none.
func (s *statements) text(ctx context.Context, conn any, query string, args []any) (text string, err error) {
	stmt, values, err := s.statement(ctx, conn, query, args)
	if err != nil {
		return "", err
	}
	rows, err := stmt.QueryContext(ctx, values)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(row); errors.Is(err, io.EOF) {
		return "", sql.ErrNoRows
	} else if err != nil {
		return "", err
	}
	text, ok := row[0].(string)
	if !ok {
		return "", fmt.Errorf("store: a %T, expected a text", row[0])
	}
	return text, nil
}

// text is [Tx.text].
func (p *prepared) text(ctx context.Context, query string, args []any) (text string, err error) {
	err = p.conn.Raw(func(c any) (err error) {
		text, err = p.handle.writing.text(ctx, c, query, args)
		return err
	})
	return text, err
}

// QueryContext runs a query that gives rows.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext runs a query that gives one row.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, err := p.stmt(ctx, query)
	if err != nil {
		return p.Tx.QueryRowContext(ctx, query, args...) // gives the same error
	}
	return stmt.QueryRowContext(ctx, args...)
}
