package store

import (
	"context"
	"encoding/json"

	"github.com/isvkit/isvkit/sandbox/internal/fault"
)

// Fault is a rule that is switched on, and what it has done.
type Fault struct {
	fault.Rule
	fault.Seen
}

func scanFault(row interface{ Scan(...any) error }) (f Fault, err error) {
	var rule []byte
	if err := row.Scan(&rule, &f.Total, &f.Requests, &f.Row); err != nil {
		return f, err
	}
	return f, json.Unmarshal(rule, &f.Rule)
}

const selectFaults = "SELECT rule, total, requests, row FROM faults"

// Faults lists the rules in the order in which they are asked.
func (s *Store) Faults(ctx context.Context) ([]Fault, error) {
	return collect(ctx, s.read, scanFault, selectFaults+" ORDER BY seq")
}

// FaultRules gives the rules alone, without a query unless one was changed.
func (s *Store) FaultRules(ctx context.Context) (rules []fault.Rule, err error) {
	if known := s.faultRules.Load(); known != nil {
		return *known, nil
	}
	err = s.UpdateQuietly(ctx, func(tx *Tx) error {
		rules, err = tx.FaultRules()
		return err
	})
	return rules, err
}

// FaultRules gives the rules in the order in which they are asked. Nobody may change them.
func (tx *Tx) FaultRules() ([]fault.Rule, error) {
	if tx.known.faultRules != nil {
		return *tx.known.faultRules, nil
	}
	faults, err := collect(tx.ctx, tx.tx, scanFault, selectFaults+" ORDER BY seq")
	if err != nil {
		return nil, err
	}
	rules := make([]fault.Rule, len(faults))
	for i, f := range faults {
		rules[i] = f.Rule
	}
	tx.known.faultRules, tx.faultRules = &rules, &rules
	return rules, nil
}

// forgetFaultRules has them read again.
func (tx *Tx) forgetFaultRules() {
	tx.known.faultRules, tx.faultRules, tx.faultsChanged = nil, nil, true
}

// PutFault switches a rule on, or replaces one, which then begins anew in its old place.
func (tx *Tx) PutFault(r fault.Rule) (Fault, error) {
	rule, err := json.Marshal(r)
	if err != nil {
		return Fault{}, err
	}
	tx.forgetFaultRules()
	if err := tx.exec("DELETE FROM fault_uses WHERE fault_id = ?", r.ID); err != nil {
		return Fault{}, err
	}
	return Fault{Rule: r}, tx.exec(`INSERT INTO faults (fault_id, seq, rule, total, requests, row) VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM faults), ?, 0, 0, 0)
		ON CONFLICT (fault_id) DO UPDATE SET rule = excluded.rule, total = 0, requests = 0, row = 0`, r.ID, string(rule))
}

// DeleteFault switches a rule off; ErrNotFound if there is none of that id.
func (tx *Tx) DeleteFault(id string) error {
	tx.forgetFaultRules()
	var deleted string
	_, err := one(deleted, tx.row("DELETE FROM faults WHERE fault_id = ? RETURNING fault_id", id).Scan(&deleted))
	return err
}

// DeleteFaults switches all rules off.
func (tx *Tx) DeleteFaults() error {
	tx.forgetFaultRules()
	return tx.exec("DELETE FROM faults")
}

// FaultUses tells how often each rule has struck, in all, at a call, and at the attempt of this number.
func (tx *Tx) FaultUses(callID int64, number int) (map[string]fault.Used, error) {
	type use struct {
		id string
		fault.Used
	}
	uses, err := collect(tx.ctx, tx.tx, func(row interface{ Scan(...any) error }) (u use, err error) {
		return u, row.Scan(&u.id, &u.Total, &u.Call, &u.Now)
	}, `SELECT f.fault_id, f.total, count(u.number), coalesce(max(CASE WHEN u.number = ?2 THEN 1 ELSE 0 END), 0) FROM faults f
		LEFT JOIN fault_uses u ON u.fault_id = f.fault_id AND u.call_id = ?1 GROUP BY f.fault_id`, callID, number)
	used := make(map[string]fault.Used, len(uses))
	for _, u := range uses {
		used[u.id] = u.Used
	}
	return used, err
}

// UseFaults notes that rules strike at an attempt.
func (tx *Tx) UseFaults(ids []string, callID int64, number int) error {
	for _, id := range ids {
		if err := tx.exec("INSERT INTO fault_uses (fault_id, call_id, number) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", id, callID, number); err != nil {
			return err
		}
		if err := tx.exec("UPDATE faults SET total = total + 1 WHERE fault_id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

// FaultsSeen tells what the rules of the open API have seen.
func (tx *Tx) FaultsSeen() (map[string]fault.Seen, error) {
	faults, err := collect(tx.ctx, tx.tx, scanFault, selectFaults)
	seen := make(map[string]fault.Seen, len(faults))
	for _, f := range faults {
		seen[f.ID] = f.Seen
	}
	return seen, err
}

// PutFaultsSeen writes it back.
func (tx *Tx) PutFaultsSeen(seen map[string]fault.Seen) error {
	for id, s := range seen {
		if err := tx.exec("UPDATE faults SET total = ?, requests = ?, row = ? WHERE fault_id = ?", s.Total, s.Requests, s.Row, id); err != nil {
			return err
		}
	}
	return nil
}

// CallAfter finds the pending call of a subject that follows another in their order.
func (tx *Tx) CallAfter(c Call) (Call, error) {
	return one(scanCall(tx.row("SELECT "+callColumns+" FROM calls WHERE subject = ? AND status = 'pending' AND seq > ? ORDER BY seq LIMIT 1", c.Subject, c.Seq)))
}
