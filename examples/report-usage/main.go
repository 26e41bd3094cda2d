// Command report-usage sells by the request: each GET /INSTANCE is one request of that on-demand instance, recorded in SQLite before
// it is answered, and pushed to the marketplace by the window. Kill it whenever you like: nothing is lost and nothing billed twice.
//
// To see it with the sandbox, in four shells:
//
//	isv-sandbox serve --provider http://127.0.0.1:9000/saasproduce
//	. ./isvkit.keys; ISV_USAGE_EVERY=1000h go run ./examples/isv-minimal  # creates the instances, and leaves the metering to us
//	. ./isvkit.keys; ISV_USAGE_WINDOW=10s go run ./examples/report-usage
//	isv-sandbox buy --sku demo-on-demand; isv-sandbox instances           # INSTANCE is in the list
//
// Then, a few times, and after twenty seconds:
//
//	curl http://127.0.0.1:9100/INSTANCE
//	isv-sandbox usage                                                     # one record for each window
//	curl http://127.0.0.1:9100/                                           # what waits, what is done
//
// Environment: ISVKIT_MARKET_URL, ISVKIT_BASE_KEY, ISVKIT_AK, ISVKIT_SK; ISV_LISTEN (127.0.0.1:9100), ISV_DATABASE (usage.db),
// ISV_USAGE_WINDOW (1h).
package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	_ "modernc.org/sqlite"

	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/sqlstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("report-usage: ", err)
	}
}

func run(ctx context.Context) error {
	market, err := marketplace.New(marketplace.Config{
		URL: os.Getenv("ISVKIT_MARKET_URL"), BaseKey: os.Getenv("ISVKIT_BASE_KEY"),
		Credentials: signature.Credentials{AK: os.Getenv("ISVKIT_AK"), SK: os.Getenv("ISVKIT_SK")},
	})
	if err != nil {
		return fmt.Errorf("set ISVKIT_MARKET_URL, ISVKIT_BASE_KEY, ISVKIT_AK and ISVKIT_SK: %w", err)
	}
	window, err := time.ParseDuration(cmp.Or(os.Getenv("ISV_USAGE_WINDOW"), "1h"))
	if err != nil {
		return fmt.Errorf("ISV_USAGE_WINDOW: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+cmp.Or(os.Getenv("ISV_DATABASE"), "usage.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	store, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	reporter, err := usage.New(usage.Config{Store: store, Pusher: market, Window: window})
	if err != nil {
		return err
	}

	server := &http.Server{Addr: cmp.Or(os.Getenv("ISV_LISTEN"), "127.0.0.1:9100"), Handler: handler(reporter), ReadTimeout: 10 * time.Second}
	go func() {
		_ = reporter.Run(ctx)
		_ = server.Close()
	}()
	log.Printf("report-usage: http://%s/INSTANCE", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func handler(reporter *usage.Reporter) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{instance}", func(w http.ResponseWriter, r *http.Request) {
		var opts []usage.Option
		if id := r.Header.Get("Idempotency-Key"); id != "" {
			opts = append(opts, usage.ID(id)) // a client that repeats its request pays once
		}
		if err := reporter.Record(r.Context(), r.PathValue("instance"), usage.Whole(1), time.Now(), opts...); err != nil {
			http.Error(w, "not recorded, so not served", http.StatusServiceUnavailable)
			log.Print(err)
			return
		}
		_, _ = fmt.Fprintln(w, "served and recorded")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		p, err := reporter.Pending(r.Context())
		_, _ = fmt.Fprintf(w, "open %v, sealed %v, done %v, rejected %v (windows, amount) %v\n", p.Open, p.Sealed, p.Done, p.Rejected, err)
	})
	return mux
}
