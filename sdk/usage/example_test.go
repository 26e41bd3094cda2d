package usage_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/usage"
)

// printing is a marketplace that takes everything and shows it. In a program this is a *marketplace.Client.
type printing struct{}

func (printing) PushUsage(_ context.Context, records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	for _, r := range records {
		fmt.Println("pushed:", r.InstanceID, r.BeginTime, r.EndTime, r.UsageValue)
	}
	return &marketplace.PushResult{Accepted: len(records)}, nil
}

func Example() {
	ctx := context.Background()
	now := time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC)
	reporter, err := usage.New(usage.Config{
		Store:     usage.NewMemoryStore(), // in a program: package sqlstore
		Pusher:    printing{},
		PushAfter: 5 * time.Minute,
		Now:       func() time.Time { return now }, // in a program: leave it out
		OnRejected: func(_ context.Context, r usage.Rejection) {
			fmt.Println("rejected:", r.Window.InstanceID, r.Window.Code, r.Window.Message)
		},
	})
	if err != nil {
		panic(err)
	}

	// Where something is used. The id is that of the ISV's own books, so that the call can be repeated after a crash.
	for range 2 {
		err = reporter.Record(ctx, "i-1", usage.MustParseAmount("0.0375"), now, usage.ID("job-4711"))
		if err != nil {
			panic(err)
		}
	}
	_ = reporter.Record(ctx, "i-1", usage.Whole(2), now.Add(time.Minute))
	err = reporter.Record(ctx, "i-1", usage.Whole(1), now.AddDate(0, -1, 0))
	fmt.Println("too old:", errors.Is(err, usage.ErrTooOld))

	now = now.Add(65 * time.Minute)
	if err := reporter.Flush(ctx); err != nil { // in a program: go reporter.Run(ctx)
		panic(err)
	}
	pending, err := reporter.Pending(ctx)
	fmt.Println("waiting:", pending.Open.Windows+pending.Sealed.Windows, err)

	// Output:
	// too old: true
	// pushed: i-1 20260304T080000Z 20260304T090000Z 2.0375
	// waiting: 0 <nil>
}

func ExampleParseAmount() {
	a, err := usage.ParseAmount("0.1")
	fmt.Println(a, err)
	b, _ := a.Add(usage.MustParseAmount("0.2"))
	fmt.Println(b, b == usage.MustParseAmount("0.3"))
	_, err = usage.ParseAmount("0.12345")
	fmt.Println(errors.Is(err, usage.ErrTooManyDecimals))
	// Output:
	// 0.1 <nil>
	// 0.3 true
	// true
}
