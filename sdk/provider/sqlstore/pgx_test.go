package sqlstore_test

import _ "github.com/jackc/pgx/v5/stdlib" // the driver of the tests on PostgreSQL
