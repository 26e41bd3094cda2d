package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sdk/usage"
)

// Dialect is the kind of database. The zero Dialect is not used.
type Dialect uint8

// The databases that are known.
const (
	SQLite     Dialect = iota + 1 // 3.35 or newer
	PostgreSQL                    // 10 or newer
)

// Config is how a [Store] is set up. Only Dialect is required.
type Config struct {
	Dialect Dialect

	// Prefix is put before the names of the four tables, which are usage_window, usage_event, usage_instance and usage_schema.
	// Lower-case letters, digits and underscores, for PostgreSQL also a schema and a dot before them. Default: isvkit_.
	Prefix string
}

const (
	defaultPrefix = "isvkit_"
	maxGroup      = 256 // events in one transaction
)

// Store is a [usage.Store] in a database. It is safe for concurrent use, by any number of processes. Create it with [New].
type Store struct {
	db      *sql.DB
	dialect Dialect
	prefix  string
	writer  chan struct{} // SQLite: holds a token while nobody writes
	queue   chan *addition
	sql     statements
}

type statements struct {
	lock, event, sameEvent, first, grow, open string
}

// addition is an event on its way into the database.
type addition struct {
	ctx   context.Context //nolint:containedctx // lives no longer than the call of Add that made it
	event usage.Event
	added bool
	err   error
	done  chan struct{}
}

var prefixForm = regexp.MustCompile(`^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,31}$`)

// New returns a Store in db, which stays the caller's to close. It does not touch the database; see [Store.Migrate]. The error says
// which setting makes no sense.
func New(db *sql.DB, cfg Config) (*Store, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, defaultPrefix)
	switch {
	case db == nil:
		return nil, errors.New("sqlstore: the database is nil")
	case cfg.Dialect != SQLite && cfg.Dialect != PostgreSQL:
		return nil, fmt.Errorf("sqlstore: Config.Dialect is %d, expected SQLite or PostgreSQL", cfg.Dialect)
	case !prefixForm.MatchString(cfg.Prefix) || cfg.Dialect == SQLite && strings.Contains(cfg.Prefix, "."):
		return nil, fmt.Errorf("sqlstore: Config.Prefix is %q, expected lower-case letters, digits and underscores", cfg.Prefix)
	}
	s := &Store{db: db, dialect: cfg.Dialect, prefix: cfg.Prefix + "usage"}
	if s.dialect == SQLite {
		s.writer = make(chan struct{}, 1)
		s.writer <- struct{}{}
		s.queue = make(chan *addition, maxGroup)
	}
	s.sql = statements{
		// A write, so that SQLite's transaction is one that may write from the start, and waits where it has to.
		lock:      s.text(`UPDATE {t}_schema SET version = version WHERE id = 1`),
		event:     s.text(`INSERT INTO {t}_event (id, instance_id, package_id, amount, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`),
		sameEvent: s.text(`SELECT instance_id, package_id, amount FROM {t}_event WHERE id = ?`),
		first: s.text(`INSERT INTO {t}_instance AS i (instance_id, first_used) VALUES (?, ?)
			ON CONFLICT (instance_id) DO UPDATE SET first_used = CASE WHEN excluded.first_used < i.first_used THEN excluded.first_used ELSE i.first_used END`),
		grow: s.text(`UPDATE {t}_window SET amount = amount + ? WHERE id = (SELECT id FROM {t}_window WHERE state = 'open' AND instance_id = ? AND package_id = ?
			AND window_begin = ? AND window_end = ? AND amount <= ? ORDER BY id LIMIT 1)`),
		open: s.text(`INSERT INTO {t}_window (instance_id, package_id, window_begin, window_end, amount, state, due) VALUES (?, ?, ?, ?, ?, 'open', ?)`),
	}
	return s, nil
}

// update runs f in a transaction and commits it, or rolls it back if f fails.
func (s *Store) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	if s.writer != nil {
		select {
		case <-s.writer:
			defer func() { s.writer <- struct{}{} }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.transact(ctx, f)
}

func (s *Store) transact(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone leaves out that a transaction was rolled back already, because its context ended.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Add implements [usage.Store].
func (s *Store) Add(ctx context.Context, e usage.Event) (added bool, err error) {
	if s.dialect == PostgreSQL {
		err = s.transact(ctx, func(tx *sql.Tx) error {
			added, err = s.add(ctx, tx, e)
			return err
		})
		return added && err == nil, err
	}
	a := &addition{ctx: ctx, event: e, done: make(chan struct{})}
	select {
	case s.queue <- a:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	// Whoever gets the token writes for all that are waiting, this goroutine's own addition among them or written before.
	select {
	case <-a.done:
		return a.added, a.err
	case <-s.writer:
	}
	defer func() { s.writer <- struct{}{} }()
	for {
		select {
		case <-a.done:
			return a.added, a.err
		default:
			s.addGroup()
		}
	}
}

// addGroup writes what is in the queue in one transaction: all of it, or nothing.
func (s *Store) addGroup() {
	var group []*addition
	for len(group) < maxGroup {
		select {
		case a := <-s.queue:
			if a.err = a.ctx.Err(); a.err != nil {
				close(a.done)
				continue
			}
			group = append(group, a)
			continue
		default:
		}
		break
	}
	if len(group) == 0 {
		return
	}
	ctx := group[0].ctx
	if len(group) > 1 {
		ctx = context.WithoutCancel(ctx) // one that goes away does not take the others with it
	}
	err := s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, s.sql.lock); err != nil {
			return err
		}
		for _, a := range group {
			a.added, a.err = s.add(ctx, tx, a.event)
			if a.err != nil && !errors.Is(a.err, usage.ErrConflictingID) { // which has changed nothing
				return a.err
			}
		}
		return nil
	})
	for _, a := range group {
		if err != nil {
			a.added, a.err = false, err
		}
		close(a.done)
	}
}

func (s *Store) add(ctx context.Context, tx *sql.Tx, e usage.Event) (bool, error) {
	if e.ID != "" {
		n, err := affected(tx.ExecContext(ctx, s.sql.event, e.ID, e.InstanceID, e.PackageID, e.Amount.Units(), e.At.UnixMilli()))
		if err != nil {
			return false, err
		}
		if n == 0 {
			var instance, pkg string
			var units int64
			if err := tx.QueryRowContext(ctx, s.sql.sameEvent, e.ID).Scan(&instance, &pkg, &units); err != nil {
				return false, err
			}
			if instance != e.InstanceID || pkg != e.PackageID || units != e.Amount.Units() {
				return false, usage.ErrConflictingID
			}
			return false, nil
		}
	}
	// The instance's row stays locked until the commit, so that no window of it is sealed in between.
	if _, err := tx.ExecContext(ctx, s.sql.first, e.InstanceID, e.At.UnixMilli()); err != nil {
		return false, err
	}
	n, err := affected(tx.ExecContext(ctx, s.sql.grow, e.Amount.Units(), e.InstanceID, e.PackageID, e.Begin.Unix(), e.End.Unix(), usage.MaxUnits-e.Amount.Units()))
	if err != nil || n > 0 {
		return err == nil, err
	}
	_, err = tx.ExecContext(ctx, s.sql.open, e.InstanceID, e.PackageID, e.Begin.Unix(), e.End.Unix(), e.Amount.Units(), e.Due.UnixMilli())
	return err == nil, err
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

const columns = `id, instance_id, package_id, window_begin, window_end, amount, state, due, COALESCE(metering_sn, ''), COALESCE(range_from, 0),
	COALESCE(range_to, 0), COALESCE(sealed_at, 0), attempts, unsure, code, message`

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// windows reads windows; the query's text ends after columns and FROM.
func (s *Store) windows(ctx context.Context, q querier, where string, args ...any) (found []usage.Window, err error) {
	rows, err := q.QueryContext(ctx, s.text("SELECT "+columns+" FROM {t}_window "+where), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var w usage.Window
		var begin, end, units, due, from, to, sealed, unsure int64
		if err := rows.Scan(&w.ID, &w.InstanceID, &w.PackageID, &begin, &end, &units, &w.State, &due, &w.MeteringSN, &from, &to, &sealed,
			&w.Attempts, &unsure, &w.Code, &w.Message); err != nil {
			return nil, err
		}
		w.Begin, w.End, w.Due = time.Unix(begin, 0).UTC(), time.Unix(end, 0).UTC(), time.UnixMilli(due).UTC()
		w.Amount, w.Unsure = usage.FromUnits(units), unsure != 0
		if w.MeteringSN != "" {
			w.From, w.To, w.SealedAt = time.Unix(from, 0).UTC(), time.Unix(to, 0).UTC(), time.UnixMilli(sealed).UTC()
		}
		found = append(found, w)
	}
	return found, rows.Err()
}

// Claim implements [usage.Store].
func (s *Store) Claim(ctx context.Context, c usage.Claim) (claimed []usage.Window, _ error) {
	// Reading first: most of the time nothing is due, and then nobody has to wait for anybody.
	var due int
	err := s.db.QueryRowContext(ctx, s.text(`SELECT COUNT(*) FROM (SELECT 1 FROM {t}_window `+isDue+` LIMIT 1) AS d`), c.Now.UnixMilli(), c.Now.UnixMilli()).Scan(&due)
	if err != nil || due == 0 {
		return nil, err
	}
	err = s.update(ctx, func(tx *sql.Tx) error {
		claimed, err = s.claim(ctx, tx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

const isDue = `WHERE state IN ('open', 'sealed') AND due <= ? AND claimed_until <= ?`

func (s *Store) claim(ctx context.Context, tx *sql.Tx, c usage.Claim) (claimed []usage.Window, _ error) {
	if _, err := tx.ExecContext(ctx, s.sql.lock); err != nil { // one claims at a time
		return nil, err
	}
	due, err := s.windows(ctx, tx, isDue+` ORDER BY due, id LIMIT ?`, c.Now.UnixMilli(), c.Now.UnixMilli(), c.Limit)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	var open []usage.Window
	for _, w := range due {
		if w.State == usage.Open {
			open = append(open, w)
		}
	}
	first, err := s.lockInstances(ctx, tx, open)
	if err != nil {
		return nil, err
	}
	ids := make([]any, len(due))
	for i, w := range due {
		ids[i] = w.ID
	}
	// Once more: amounts may have grown, and outcomes may have been settled, before the locks were there.
	update := ""
	if s.dialect == PostgreSQL {
		update = " FOR UPDATE"
	}
	again := slices.Concat(ids, []any{c.Now.UnixMilli(), c.Now.UnixMilli()})
	if due, err = s.windows(ctx, tx, `WHERE id IN `+list(len(ids))+` AND state IN ('open', 'sealed') AND due <= ? AND claimed_until <= ? ORDER BY id`+update, again...); err != nil {
		return nil, err
	}
	taken, err := s.takenRanges(ctx, tx, open)
	if err != nil {
		return nil, err
	}
	claim, err := tx.PrepareContext(ctx, s.text(`UPDATE {t}_window SET state = 'sealed', metering_sn = ?, range_from = ?, range_to = ?, sealed_at = ?,
		attempts = attempts + 1, unsure = 1, claimed_by = ?, claimed_until = ? WHERE id = ?`))
	if err != nil {
		return nil, err
	}
	defer func() { _ = claim.Close() }()
	slices.SortFunc(due, func(a, b usage.Window) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })
	for _, w := range due {
		if w.State == usage.Open {
			instance, ok := first[w.InstanceID]
			if !ok {
				return nil, fmt.Errorf("sqlstore: instance %q is not in the table of instances", w.InstanceID)
			}
			from, to, ok := usage.Range(w.Begin, w.End, instance, taken.of(w.InstanceID))
			if !ok {
				if err := s.move(ctx, tx, w); err != nil {
					return nil, err
				}
				continue
			}
			taken.add(w.InstanceID, from, to)
			w.State, w.MeteringSN, w.From, w.To, w.SealedAt = usage.Sealed, c.NewSN(), from, to, c.Now
		}
		if _, err := claim.ExecContext(ctx, w.MeteringSN, w.From.Unix(), w.To.Unix(), w.SealedAt.UnixMilli(), c.Token, c.Until.UnixMilli(), w.ID); err != nil {
			return nil, err
		}
		w.Attempts++
		claimed = append(claimed, w)
	}
	return claimed, nil
}

// move puts an open window, for which there is no range left, into the following one.
func (s *Store) move(ctx context.Context, tx *sql.Tx, w usage.Window) error {
	end := w.End.Add(w.End.Sub(w.Begin))
	_, err := tx.ExecContext(ctx, s.text(`UPDATE {t}_window SET window_begin = ?, window_end = ?, due = ? WHERE id = ?`), w.End.Unix(), end.Unix(), end.UnixMilli(), w.ID)
	return err
}

// lockInstances keeps others from recording for the instances until the transaction is over, and returns when they were used
// first.
func (s *Store) lockInstances(ctx context.Context, tx *sql.Tx, windows []usage.Window) (first map[string]time.Time, err error) {
	first = make(map[string]time.Time, len(windows))
	if len(windows) == 0 {
		return first, nil
	}
	args := make([]any, len(windows))
	for i, w := range windows {
		args[i] = w.InstanceID
	}
	text := `SELECT instance_id, first_used FROM {t}_instance WHERE instance_id IN ` + list(len(args)) + ` ORDER BY instance_id`
	if s.dialect == PostgreSQL {
		text += ` FOR UPDATE`
	}
	rows, err := tx.QueryContext(ctx, s.text(text), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		var at int64
		if err := rows.Scan(&id, &at); err != nil {
			return nil, err
		}
		first[id] = time.UnixMilli(at).UTC()
	}
	return first, rows.Err()
}

// ranges are begin and end of records, by instance.
type ranges map[string]map[[2]int64]bool

func (r ranges) of(instance string) func(from, to time.Time) bool {
	return func(from, to time.Time) bool { return r[instance][[2]int64{from.Unix(), to.Unix()}] }
}

func (r ranges) add(instance string, from, to time.Time) {
	if r[instance] == nil {
		r[instance] = map[[2]int64]bool{}
	}
	r[instance][[2]int64{from.Unix(), to.Unix()}] = true
}

// takenRanges returns the ranges that lie in the given windows.
func (s *Store) takenRanges(ctx context.Context, tx *sql.Tx, windows []usage.Window) (taken ranges, err error) {
	taken = ranges{}
	if len(windows) == 0 {
		return taken, nil
	}
	ids := make([]any, len(windows))
	for i, w := range windows {
		ids[i] = w.ID
	}
	rows, err := tx.QueryContext(ctx, s.text(`SELECT DISTINCT o.instance_id, o.range_from, o.range_to FROM {t}_window AS w JOIN {t}_window AS o
		ON o.instance_id = w.instance_id AND o.range_to > w.window_begin AND o.range_to <= w.window_end WHERE w.id IN `+list(len(ids))), ids...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var instance string
		var from, to int64
		if err := rows.Scan(&instance, &from, &to); err != nil {
			return nil, err
		}
		taken.add(instance, time.Unix(from, 0), time.Unix(to, 0))
	}
	return taken, rows.Err()
}

// Settle implements [usage.Store].
func (s *Store) Settle(ctx context.Context, token string, outcomes []usage.Outcome) error {
	var reseal []usage.Window
	for _, o := range outcomes {
		if o.Verdict == usage.Reseal {
			reseal = append(reseal, o.Window)
		}
	}
	outcomes = slices.SortedFunc(slices.Values(outcomes), func(a, b usage.Outcome) int { return cmp.Compare(a.Window.ID, b.Window.ID) })
	return s.update(ctx, func(tx *sql.Tx) error {
		if s.dialect == SQLite {
			if _, err := tx.ExecContext(ctx, s.sql.lock); err != nil {
				return err
			}
		}
		first, err := s.lockInstances(ctx, tx, reseal)
		if err != nil {
			return err
		}
		taken, err := s.takenRanges(ctx, tx, reseal)
		if err != nil {
			return err
		}
		settle, err := tx.PrepareContext(ctx, s.text(`UPDATE {t}_window SET state = ?, due = ?, range_from = ?, range_to = ?, attempts = ?, unsure = ?,
			code = ?, message = ?, claimed_by = '', claimed_until = 0 WHERE id = ? AND claimed_by = ?`))
		if err != nil {
			return err
		}
		defer func() { _ = settle.Close() }()
		for _, o := range outcomes {
			w := settled(o, first, taken)
			unsure := 0
			if o.Unsure {
				unsure = 1
			}
			if _, err := settle.ExecContext(ctx, string(w.State), o.Next.UnixMilli(), w.From.Unix(), w.To.Unix(), w.Attempts, unsure,
				string(o.Code), o.Message, w.ID, token); err != nil {
				return err
			}
		}
		return nil
	})
}

// settled is the window after the outcome.
func settled(o usage.Outcome, first map[string]time.Time, taken ranges) usage.Window {
	w := o.Window
	switch o.Verdict {
	case usage.Finish:
		w.State = usage.Done
	case usage.Refuse:
		w.State = usage.Rejected
	case usage.Reseal:
		from, to, ok := usage.Range(w.Begin, w.End, first[w.InstanceID], taken.of(w.InstanceID))
		if !ok {
			w.State = usage.Rejected
			break
		}
		taken.add(w.InstanceID, from, to)
		w.From, w.To = from, to
	case usage.Abandon:
		w.Attempts--
	case usage.Repeat:
	}
	return w
}

// Requeue implements [usage.Store].
func (s *Store) Requeue(ctx context.Context, meteringSN string, now time.Time) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, s.text(`UPDATE {t}_window SET state = 'sealed', due = ?, attempts = 0 WHERE metering_sn = ? AND state = 'rejected'`),
			now.UnixMilli(), meteringSN))
		if err == nil && n == 0 {
			err = usage.ErrNotFound
		}
		return err
	})
}

// Totals implements [usage.Store].
func (s *Store) Totals(ctx context.Context) (t usage.Totals, err error) {
	rows, err := s.db.QueryContext(ctx, s.text(`SELECT state, COUNT(*), CAST(SUM(amount) AS BIGINT), MIN(window_end) FROM {t}_window GROUP BY state`))
	if err != nil {
		return usage.Totals{}, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var state usage.State
		var n int
		var units, end int64
		if err := rows.Scan(&state, &n, &units, &end); err != nil {
			return usage.Totals{}, err
		}
		c := t.Of(state)
		if c == nil {
			return usage.Totals{}, fmt.Errorf("sqlstore: a window is %q", state)
		}
		*c = usage.Count{Windows: n, Amount: usage.FromUnits(units)}
		oldest := time.Unix(end, 0).UTC()
		if (state == usage.Open || state == usage.Sealed) && (t.Oldest.IsZero() || oldest.Before(t.Oldest)) {
			t.Oldest = oldest
		}
	}
	return t, rows.Err()
}

// Inspect implements [usage.Store].
func (s *Store) Inspect(ctx context.Context, f usage.Filter) ([]usage.Window, error) {
	where, args := `WHERE id > ?`, []any{f.After}
	if f.State != "" {
		where, args = where+` AND state = ?`, append(args, string(f.State))
	}
	if f.InstanceID != "" {
		where, args = where+` AND instance_id = ?`, append(args, f.InstanceID)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	return s.windows(ctx, s.db, where+` ORDER BY id LIMIT ?`, append(args, limit)...)
}

// Prune implements [usage.Store].
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, s.sql.lock); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.text(`DELETE FROM {t}_window WHERE state = 'done' AND window_end < ?`), before.Unix()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, s.text(`DELETE FROM {t}_event WHERE at < ?`), before.UnixMilli())
		return err
	})
}

var _ usage.Store = (*Store)(nil)
