// Package intent tells what the judge is up to with a call, besides what is in its bytes: that others are made at the same time, or that it
// will hang up. It stands in the context of the request; no ISV gets to know of it.
//
// Package mutant looks at it, so that whether an ISV is caught that is wrong when calls overlap does not depend on who is faster.
package intent

import "context"

// Intent is what the judge is up to with one call. The zero value is a call that is made alone and waits for its answer.
type Intent struct {
	// Group is what the call is made together with; nil: it is made alone.
	Group *Group
	// HangsUp says that the connection ends before the answer.
	HangsUp bool
	// Over is set if other calls are made while this one is being carried out. It is closed when no more of them come.
	Over <-chan struct{}
}

// Group are calls that are made at the same time.
type Group struct {
	Size int // how many they are
}

type key struct{}

// With puts an intent into the context of a request, in the place of the one that is there.
func With(ctx context.Context, i Intent) context.Context { return context.WithValue(ctx, key{}, i) }

// Of is the intent in a context; the zero value if there is none.
func Of(ctx context.Context) Intent {
	i, _ := ctx.Value(key{}).(Intent)
	return i
}

// Together is With for calls that are made at the same time. Each of them has to be given the context.
func Together(ctx context.Context, size int) context.Context {
	if size < 2 {
		return ctx
	}
	return With(ctx, Intent{Group: &Group{Size: size}})
}
