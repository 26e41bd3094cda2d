// Command isv-minimal is the smallest right ISV: instances in memory, served to the marketplace at /saasproduce. What an ISV
// decides is in crm.go; this file only reads the environment and starts things.
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatalf("isv-minimal: error: %v", err)
	}
}

func run(ctx context.Context) error {
	for _, name := range []string{"ISVKIT_BASE_KEY", "ISVKIT_AK", "ISVKIT_SK", "ISVKIT_MARKET_URL"} {
		if os.Getenv(name) == "" {
			return errors.New(name + " is not set; expected ISVKIT_BASE_KEY, ISVKIT_AK, ISVKIT_SK and ISVKIT_MARKET_URL")
		}
	}
	every, err := time.ParseDuration(cmp.Or(os.Getenv("ISV_USAGE_EVERY"), "1h"))
	if err != nil || every <= 0 {
		return errors.New("ISV_USAGE_EVERY is no time, expected for instance 15m")
	}
	key := os.Getenv("ISVKIT_BASE_KEY")
	market, err := marketplace.New(marketplace.Config{
		URL:         os.Getenv("ISVKIT_MARKET_URL"),
		Credentials: signature.Credentials{AK: os.Getenv("ISVKIT_AK"), SK: os.Getenv("ISVKIT_SK")},
		BaseKey:     key,
	})
	if err != nil {
		return err
	}
	app := &crm{market: market, instances: make(map[string]*instance)}
	handler, err := provider.NewHandler(app, provider.Config{BaseKeys: []string{key}, Market: market})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/saasproduce", handler)
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ISV_LISTEN"), "127.0.0.1:9000"))
	if err != nil {
		return err
	}
	log.Printf("isv-minimal: production address http://%s/saasproduce, marketplace %s, usage every %v",
		listener.Addr(), os.Getenv("ISVKIT_MARKET_URL"), every)

	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			app.pushUsage(ctx)
		case err := <-failed:
			return err
		case <-ctx.Done():
			ending, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			return server.Shutdown(ending)
		}
	}
}
