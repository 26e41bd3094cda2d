package store

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPostgresText(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":                                                          "SELECT 1",
		"SELECT a FROM b WHERE c = ? AND d = ?":                             "SELECT a FROM b WHERE c = $1 AND d = $2",
		"SELECT a WHERE ?1 = '' OR b = ?1 LIMIT ?12":                        "SELECT a WHERE $1 = '' OR b = $1 LIMIT $12",
		"SELECT '?', 'it''s ?1', ? || '?'":                                  "SELECT '?', 'it''s ?1', $1 || '?'",
		"SELECT 1 WHERE a IN (SELECT value FROM json_each(?3)) AND b <> ''": "SELECT 1 WHERE a IN (SELECT value FROM json_elements($3)) AND b <> ''",
	} {
		require.Equal(t, want, postgresText(query))
	}
}

func TestPostgresArgs(t *testing.T) {
	type word string
	type flag bool
	given := []any{true, flag(false), "a\x00", word("b\xff"), 7, nil, []byte{0}, sql.NullString{String: "\x00", Valid: true}}
	require.Equal(t, []any{int64(1), int64(0), "a\uFFFD", "b\uFFFD", 7, nil, []byte{0}, sql.NullString{String: "\uFFFD", Valid: true}}, postgresArgs(given))
	require.Equal(t, true, given[0], "the caller's are left as they are")
	same := []any{1, int64(2)}
	require.Equal(t, same, postgresArgs(same))
}
