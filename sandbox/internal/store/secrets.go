package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
)

// What is sealed in the database: the keys of sellers but the AK, by which they are found; the client secrets of kit applications and their
// digests; and the keys of tokens. Passwords and tokens of users are digests of random texts, and stay as they are.
//
// A store that is not unlocked keeps these things plain, which only tests of single packages do.

// sealedSeller gives the sealed fields of a seller by their places.
func sealedSeller(v *catalogue.Seller) map[string]*string {
	place := "sellers/" + v.ID + "/"
	return map[string]*string{
		place + "sk": &v.Keys.SK, place + "base": &v.Keys.Base, place + "kit": &v.Keys.Kit, place + "general": &v.Keys.General, place + "license": &v.Keys.License,
	}
}

// sealedClient gives those of a kit client.
func sealedClient(c *kit.Client) map[string]*string {
	place := "kit_clients/" + c.ID + "/"
	return map[string]*string{place + "secret": &c.Secret, place + "secret_hash": &c.Hash}
}

func tokenKeyPlace(id string) string { return "token_keys/" + id + "/secret" }

func (s *Store) seal(fields map[string]*string) {
	if r := s.secrets.Load(); r != nil {
		for place, text := range fields {
			*text = r.Seal(*text, place)
		}
	}
}

func (s *Store) openText(text *string, place string) error {
	r := s.secrets.Load()
	if r == nil {
		if secrets.Sealed(*text) {
			return fmt.Errorf("%s is sealed, and there is no secrets key", place)
		}
		return nil
	}
	plain, err := r.Open(*text, place)
	if err == nil {
		*text = plain
	}
	return err
}

func (s *Store) unseal(fields map[string]*string) error {
	for place, text := range fields {
		if err := s.openText(text, place); err != nil {
			return err
		}
	}
	return nil
}

// seller opens a seller that was read.
func (s *Store) seller(v catalogue.Seller, err error) (catalogue.Seller, error) {
	if err == nil {
		err = s.unseal(sealedSeller(&v))
	}
	return v, err
}

// client opens a kit client that was read.
func (s *Store) client(c kit.Client, err error) (kit.Client, error) {
	if err == nil {
		err = s.unseal(sealedClient(&c))
	}
	return c, err
}

// OtherSecretsKeyError says that the secrets in a database, or in a snapshot, were sealed with a key that is not given.
type OtherSecretsKeyError struct {
	Snapshot bool
	Err      *secrets.OtherKeyError
}

func (e *OtherSecretsKeyError) Error() string {
	if e.Snapshot {
		return fmt.Sprintf("the snapshot comes from a sandbox with another secrets key: %s. Nothing was changed. Add that key as another line to the file of --secrets-key, "+
			"start the sandbox again, restore, and have isv-sandbox rotate-secrets seal everything with your own key", e.Err)
	}
	return fmt.Sprintf("this is not the secrets key of this database: %s. Nothing was changed. Give the right one with --secrets-key or ISVKIT_SECRETS_KEY; "+
		"without it the keys of the sellers are lost", e.Err)
}

func (e *OtherSecretsKeyError) Unwrap() error { return e.Err }

func otherKey(err error, snapshot bool) error {
	var other *secrets.OtherKeyError
	if errors.As(err, &other) {
		return &OtherSecretsKeyError{snapshot, other}
	}
	return err
}

// Unlock has the store keep secrets sealed with a ring's first key from now on. It opens everything that is sealed already, and seals what
// an older version has left plain, without a trace in the file. If it fails, nothing has changed. It comes before anything else.
func (s *Store) Unlock(ctx context.Context, ring *secrets.Ring) error {
	plain := 0
	err := s.UpdateQuietly(ctx, func(tx *Tx) (err error) {
		_, plain, err = reseal(tx.ctx, tx.tx, ring, false)
		return err
	})
	if err != nil {
		return otherKey(err, false)
	}
	s.secrets.Store(ring)
	if plain == 0 {
		return nil
	}
	return s.scrub(ctx)
}

// Reseal seals with the ring's first key what another has sealed, and tells how many texts that were.
func (s *Store) Reseal(ctx context.Context) (n int, err error) {
	ring := s.secrets.Load()
	if ring == nil {
		return 0, errors.New("store: there is no secrets key")
	}
	err = s.Update(ctx, func(tx *Tx) error {
		old, plain, err := reseal(tx.ctx, tx.tx, ring, true)
		n = old + plain
		return err
	})
	return n, err
}

// SecretsKeys are the ids of the keys, that of the one that seals first.
func (s *Store) SecretsKeys() []string {
	if ring := s.secrets.Load(); ring != nil {
		return ring.IDs()
	}
	return nil
}

// sealedColumn is a column of texts that are sealed one by one.
type sealedColumn struct{ table, key, column string }

var sealedColumns = []sealedColumn{
	{"kit_clients", "client_id", "secret"}, {"kit_clients", "client_id", "secret_hash"}, {"token_keys", "key_id", "secret"},
}

func scanTwo(row interface{ Scan(...any) error }) (two [2]string, err error) {
	err = row.Scan(&two[0], &two[1])
	return two, err
}

// reseal opens everything and seals what is plain; and, if all is told, what another key than the first has sealed. It counts the texts.
func reseal(ctx context.Context, tx transaction, ring *secrets.Ring, all bool) (old, plain int, err error) {
	again := func(text *string, place string) error {
		opened, err := ring.Open(*text, place)
		switch {
		case err != nil:
			return err
		case *text == "":
			return nil
		case !secrets.Sealed(*text):
			plain++
		case all && secrets.KeyOf(*text) != ring.IDs()[0]:
			old++
		default:
			return nil
		}
		*text = ring.Seal(opened, place)
		return nil
	}
	sellers, err := collect(ctx, tx, scanDocument[catalogue.Seller], "SELECT document FROM sellers ORDER BY seller_id")
	if err != nil {
		return 0, 0, err
	}
	for _, v := range sellers {
		before := old + plain
		for place, text := range sealedSeller(&v) {
			if err := again(text, place); err != nil {
				return 0, 0, err
			}
		}
		if old+plain == before {
			continue
		}
		if err := putSeller(ctx, tx, v); err != nil {
			return 0, 0, err
		}
	}
	for _, c := range sealedColumns {
		rows, err := collect(ctx, tx, scanTwo, "SELECT "+c.key+", "+c.column+" FROM "+c.table+" ORDER BY "+c.key)
		if err != nil {
			return 0, 0, err
		}
		for _, row := range rows {
			text := row[1]
			if err := again(&text, c.table+"/"+row[0]+"/"+c.column); err != nil {
				return 0, 0, err
			}
			if text == row[1] {
				continue
			}
			if _, err := tx.ExecContext(ctx, "UPDATE "+c.table+" SET "+c.column+" = ? WHERE "+c.key+" = ?", text, row[0]); err != nil {
				return 0, 0, err
			}
		}
	}
	return old, plain, nil
}

// scrub leaves no trace of what was plain: a database keeps what was overwritten until it needs the room.
func (s *Store) scrub(ctx context.Context) error {
	if s.server != nil {
		for _, table := range []string{"sellers", "kit_clients", "token_keys"} {
			if _, err := s.write.db.ExecContext(ctx, "VACUUM FULL "+table); err != nil {
				return err
			}
		}
		return nil
	}
	return s.exclusively(ctx, func(conn *sql.Conn) error {
		for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// sealSnapshot seals what is plain in a snapshot, a file of our own by now, before it is loaded; and refuses one whose secrets nobody here
// could open. What is not loaded need not be opened.
func (s *Store) sealSnapshot(ctx context.Context, h *handle) error {
	ring := s.secrets.Load()
	if ring == nil {
		return nil
	}
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if _, err := tx.ExecContext(ctx, "DELETE FROM token_keys"); err != nil {
		return err
	}
	if _, _, err := reseal(ctx, tx, ring, false); err != nil {
		return otherKey(err, true)
	}
	return tx.Commit()
}
