// Package sandboxtest is a whole marketplace inside go test: it sells, calls the ISV under test, answers and takes what the ISV
// sends, and moves its clock, all in memory and closed with the test.
//
//	func TestAYearOfLife(t *testing.T) {
//		m := sandboxtest.Start(t, sandboxtest.ProviderFunc(func(env sandboxtest.Env) http.Handler {
//			return newCRM(t, env.MarketURL, env.Keys) // your handler, as your main makes it
//		}))
//		inst := m.Buy(t, sandboxtest.Period(1, "year")).Ready(t)
//		m.Advance(t, 366*24*time.Hour)
//		inst.Is(t, sandboxtest.Frozen)
//	}
//
// Every method that takes a testing.TB ends the test if it cannot do what it says. The log then shows the journal of the instance
// concerned: what was sent, what came, and why it was judged as it was.
//
// A method returns when everything that it set off was attempted, so that nothing needs to be waited for: after [Market.Buy] the ISV
// was called, after [Market.Advance] everything that came due on the way happened, in its order. What is retried later, such as a
// newInstance that was refused, happens when the clock gets there.
//
// What the marketplace imitates, and what not, is in the README of package sandbox.
package sandboxtest
