package store_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

func ringOf(t *testing.T, keys ...string) *secrets.Ring {
	t.Helper()
	r, err := secrets.Parse(strings.Join(keys, "\n"))
	require.NoError(t, err)
	return r
}

// The secrets of these tests; whoever finds one of them in a file has found what should not be there.
var canaries = catalogue.Seller{ID: "s", Name: "S", Keys: catalogue.Keys{
	AK: "the-ak", SK: "canary-sk", Base: "canary-base", Kit: "canary-kit", General: "canary-general", License: "canary-license",
}}

func putCanaries(t *testing.T, s *store.Store) access.Key {
	t.Helper()
	key := access.Key{ID: "k1", Secret: []byte("canary-token-key-of-32-bytes-len"), Created: now}
	product := catalogue.DemoProducts()[0]
	product.SellerID = "s"
	app := kit.Application{ID: "app", ProductCode: product.Code, TestTenantID: "t"}
	require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
		for _, err := range []error{
			tx.PutSeller(canaries), tx.AddTokenKey(key), tx.PutProduct(product), tx.AddKitTenant(kit.Tenant{ID: "t", Code: "t"}, now), tx.PutKitApplication(app, now),
			tx.PutKitClient("t", "app", kit.Client{ID: "c", Secret: "canary-client", Hash: "canary-hash"}),
			tx.AddKitBinding("t", kit.Binding{Application: app}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return key
}

// wantCanaries wants them all back.
func wantCanaries(t *testing.T, s *store.Store, tokens bool) {
	t.Helper()
	for _, find := range []func() (catalogue.Seller, error){
		func() (catalogue.Seller, error) { return s.Seller(t.Context(), "s") },
		func() (catalogue.Seller, error) { return s.SellerByAK(t.Context(), "the-ak") },
		func() (catalogue.Seller, error) { all, err := s.Sellers(t.Context()); return all[0], err },
		func() (v catalogue.Seller, err error) {
			err = s.View(t.Context(), func(tx *store.Tx) error { v, err = tx.Seller("s"); return err })
			return v, err
		},
	} {
		got, err := find()
		require.NoError(t, err)
		require.Equal(t, canaries, got)
	}
	tenant, err := s.KitTenant(t.Context(), "t")
	require.NoError(t, err)
	require.Equal(t, kit.Client{ID: "c", Secret: "canary-client", Hash: "canary-hash"}, tenant.Bindings[0].Client)
	require.NoError(t, s.View(t.Context(), func(tx *store.Tx) error {
		c, err := tx.KitClient("t", "app")
		require.Equal(t, "canary-client", c.Secret)
		return err
	}))
	keys, err := s.TokenKeys(t.Context())
	require.NoError(t, err)
	if tokens {
		require.Equal(t, "canary-token-key-of-32-bytes-len", string(keys[0].Secret))
	}
}

// silentFiles wants no canary in a database's files.
func silentFiles(t *testing.T, name string) {
	t.Helper()
	files, err := filepath.Glob(name + "*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		require.NotContains(t, string(data), "canary", f)
		require.NotContains(t, string(data), "Y2FuYXJ5", f) // in Base64
	}
}

func TestUnlock_SealsWhatIsWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		key := secrets.NewKey()
		s := open(t, database)
		require.NoError(t, s.Unlock(t.Context(), ringOf(t, key)))
		putCanaries(t, s)
		wantCanaries(t, s, true)
		file := filepath.Join(t.TempDir(), "snapshot.db")
		require.NoError(t, s.Snapshot(t.Context(), file))
		silentFiles(t, file)
		if strings.HasSuffix(database, ".db") {
			silentFiles(t, database)
		}

		// A snapshot goes where the key is known.
		same := open(t, ":memory:")
		require.NoError(t, same.Unlock(t.Context(), ringOf(t, secrets.NewKey(), key)))
		own := access.NewKey(time.Now())
		require.NoError(t, same.Update(t.Context(), func(tx *store.Tx) error { return tx.AddTokenKey(own) }))
		require.NoError(t, same.Restore(t.Context(), file))
		wantCanaries(t, same, false)
		keys, err := same.TokenKeys(t.Context())
		require.NoError(t, err)
		require.Len(t, keys, 1)
		require.Equal(t, own.ID, keys[0].ID, "keys of tokens stay where they are")
		other := open(t, ":memory:")
		require.NoError(t, other.Unlock(t.Context(), ringOf(t, secrets.NewKey())))
		require.NoError(t, other.PutSetting(t.Context(), "name", "stays"))
		err = other.Restore(t.Context(), file)
		var wrong *store.OtherSecretsKeyError
		require.ErrorAs(t, err, &wrong)
		require.ErrorContains(t, err, "another line to the file of --secrets-key")
		text, err := other.Setting(t.Context(), "name")
		require.NoError(t, err)
		require.Equal(t, "stays", text, "nothing was changed")
	})
}

func TestUnlock_AWrongKeyLosesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sandbox.db")
	right, wrong := secrets.NewKey(), secrets.NewKey()
	s, err := store.Open(t.Context(), name)
	require.NoError(t, err)
	require.NoError(t, s.Unlock(t.Context(), ringOf(t, right)))
	putCanaries(t, s)
	require.NoError(t, s.Close())
	for range 2 {
		s, err = store.Open(t.Context(), name)
		require.NoError(t, err)
		err = s.Unlock(t.Context(), ringOf(t, wrong))
		var other *store.OtherSecretsKeyError
		require.ErrorAs(t, err, &other)
		require.ErrorContains(t, err, ringOf(t, right).IDs()[0])
		_, err = s.Seller(t.Context(), "s")
		require.ErrorContains(t, err, "is sealed")
		require.NoError(t, s.Close())
	}
	s, err = store.Open(t.Context(), name)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.Unlock(t.Context(), ringOf(t, right)))
	wantCanaries(t, s, true)
}

func TestReseal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		old, young := secrets.NewKey(), secrets.NewKey()
		s := open(t, database)
		_, err := s.Reseal(t.Context())
		require.Error(t, err)
		require.NoError(t, s.Unlock(t.Context(), ringOf(t, old)))
		putCanaries(t, s)
		require.NoError(t, s.Unlock(t.Context(), ringOf(t, young, old)))
		wantCanaries(t, s, true)
		n, err := s.Reseal(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5+2+1, n)
		n, err = s.Reseal(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, s.Unlock(t.Context(), ringOf(t, young)), "the old key is not needed any more")
		wantCanaries(t, s, true)
		require.Error(t, s.Unlock(t.Context(), ringOf(t, old)))
	})
}

// A sealed text works only in its own row and field.
func TestUnlock_SecretsCannotBeMoved(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sandbox.db")
	key := secrets.NewKey()
	s, err := store.Open(t.Context(), name)
	require.NoError(t, err)
	require.NoError(t, s.Unlock(t.Context(), ringOf(t, key)))
	putCanaries(t, s)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", "file:"+name)
	require.NoError(t, err)
	var document string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT document FROM sellers").Scan(&document))
	_, err = db.ExecContext(t.Context(), "INSERT INTO sellers (seller_id, ak, document) VALUES ('thief', 'ak-2', ?)", strings.Replace(document, `"sellerId":"s"`, `"sellerId":"thief"`, 1))
	require.NoError(t, err)
	require.NoError(t, db.Close())
	s, err = store.Open(t.Context(), name)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.ErrorIs(t, s.Unlock(t.Context(), ringOf(t, key)), secrets.ErrDamaged)
}

// TestUnlock_TakesOverPlainSecrets builds files as releases of schema 2 and of the last schema without seals wrote them.
func TestUnlock_TakesOverPlainSecrets(t *testing.T) {
	document, err := json.Marshal(canaries)
	require.NoError(t, err)
	first, err := os.ReadFile("migrations/0001_first.sql")
	require.NoError(t, err)
	second, err := os.ReadFile("migrations/0002_market.sql")
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "old.db")
	snapshot := filepath.Join(t.TempDir(), "snapshot.db")
	for _, file := range []string{name, snapshot} {
		old, err := sql.Open("sqlite", "file:"+file)
		require.NoError(t, err)
		for _, text := range []string{string(first), string(second), "PRAGMA user_version = 2"} {
			_, err := old.ExecContext(t.Context(), text)
			require.NoError(t, err)
		}
		_, err = old.ExecContext(t.Context(), "INSERT INTO sellers (seller_id, ak, document) VALUES ('s', 'the-ak', ?)", string(document))
		require.NoError(t, err)
		require.NoError(t, old.Close())
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.Contains(data, []byte("canary-sk")), "what this test is about")
	}
	key := secrets.NewKey()
	s, err := store.Open(t.Context(), name)
	require.NoError(t, err)
	require.NoError(t, s.Unlock(t.Context(), ringOf(t, key)))
	silentFiles(t, name)
	got, err := s.Seller(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, canaries, got)

	// An old snapshot is sealed before it gets in.
	require.NoError(t, s.Restore(t.Context(), snapshot))
	silentFiles(t, name)
	got, err = s.Seller(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, canaries, got)
	require.NoError(t, s.Close())

	// A store that was never unlocked kept everything plain, keys of tokens too.
	name = filepath.Join(t.TempDir(), "plain.db")
	s, err = store.Open(t.Context(), name)
	require.NoError(t, err)
	putCanaries(t, s)
	require.NoError(t, s.Unlock(t.Context(), ringOf(t, key)))
	silentFiles(t, name)
	wantCanaries(t, s, true)
	require.NoError(t, s.Close())
}
