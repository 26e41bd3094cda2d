package mutant

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/suite"
)

// trialKeys are those of every trial.
func trialKeys() Keys {
	return Keys{
		Base: "base-key-of-the-tests", General: "general-key-of-the-tests", Kit: "kit-key-of-the-tests", V1: "v1-key-of-the-tests",
		License: "license-key-of-the-tests", AK: "AKTEST", SK: "sk-of-the-tests",
	}
}

const (
	// unhurried is a limit that nobody is slow by, whatever else the machine has to do.
	unhurried = 40 * time.Second
	// usageWait is enough for an ISV that pushes whenever it is asked for an instance, on a machine at work.
	usageWait = 30 * time.Second
	// ShortUsageWait is spent on an ISV that does not push, or not again.
	ShortUsageWait = 2 * time.Second
)

// Try serves a mutant at two addresses and judges it. What the run is to be like otherwise than usual is up to the changes; usual is the
// whole suite in all charging modes, with what the mutant is to be judged with.
func (m Mutant) Try(ctx context.Context, changes ...func(*conformance.Options)) (*conformance.Report, error) {
	market, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	keys := trialKeys()
	isv, err := New(keys, "http://"+market.Addr().String())
	if err != nil {
		_ = market.Close()
		return nil, err
	}
	carrier := newCarrier()
	serve := func(h http.Handler) (address string, end func()) {
		server := httptest.NewServer(carrier.received(h))
		return server.URL + "/saasproduce", server.Close
	}
	first, second := m.Serve(isv)
	target, end := serve(first)
	defer end()
	replica, end := serve(second)
	defer end()
	o := conformance.Options{
		Target: target, Replicas: []string{replica}, MarketListener: market, Client: carrier.client(), Seed: 1,
		BaseKey: keys.Base, GeneralKey: keys.General, AK: keys.AK, SK: keys.SK,
		KitKey: keys.Kit, KitPublicKey: KitPublicKey(), V1Key: keys.V1, LicenseKey: keys.License,
		Charging: suite.Modes(), With: m.With, Run: m.Run,
		AnswerLimit: unhurried, ReadyLimit: unhurried / 2, UsageWait: usageWait, UsageRetry: usageWait,
	}
	if m.Hurried {
		o.AnswerLimit, o.ReadyLimit = AnswerLimit, time.Second // an instance that is ready when it is first asked for is so in any time
	}
	if m.Silent {
		o.UsageWait, o.UsageRetry = ShortUsageWait, ShortUsageWait
	}
	for _, change := range changes {
		change(&o)
	}
	return conformance.Run(ctx, o)
}
