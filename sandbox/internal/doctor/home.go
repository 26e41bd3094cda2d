package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/egress"
)

// Home is what the sandbox knows of itself.
type Home struct {
	Ahead        time.Duration // of the sandbox's clock before real time
	Orders       int
	CallsWaiting int    // for a restart
	MarketURL    string // empty: not known
	Last         *Asked // the latest request of an ISV to the open API since the sandbox started; nil: none came
	Refused      []RefusedAddress
}

// Asked is a request to the open API.
type Asked struct {
	Operation string // empty for an unknown path
	Path      string
	Status    int
	Code      string
	Detail    string // why it was refused
}

// RefusedAddress is a stored production address that the egress policy does not allow.
type RefusedAddress struct {
	SellerID    string
	ProductCode string // of a product with an address of its own; else empty
	Err         error
}

// AtHome looks at the sandbox.
func AtHome(h Home) []Finding {
	findings := []Finding{h.asked(), ok(AboutSandboxClock, "the sandbox's clock shows real time"), ok(AboutCalls, "no call waits for a restart")}
	if h.Ahead > 0 {
		findings[1] = warning(AboutSandboxClock, fmt.Sprintf("the sandbox's clock is %s ahead", h.Ahead.Round(time.Second)),
			"Usage that you push with your own time is judged by this clock: a day behind it is late, more than 21 days is refused. Signatures are real time and are not concerned.",
			"Take the time from the Date header of the open API, or begin anew with isv-sandbox reset.")
	}
	if h.CallsWaiting > 0 {
		findings[2] = warning(AboutCalls, fmt.Sprintf("%d calls are no longer retried and wait for a restart", h.CallsWaiting),
			"Their instances get no other calls until then.", "isv-sandbox calls shows them and why; mend that, then isv-sandbox restart CALL.")
	}
	for i, r := range h.Refused {
		const means = "Attempts at calls to it are not made, and count as unreachable."
		if i == manyRefused {
			return append(findings, wrong(AboutStored, fmt.Sprintf("%d more stored production addresses are refused", len(h.Refused)-i), means, "The sandbox's log tells them at its start."))
		}
		whose := "the stored production address of seller " + r.SellerID
		if r.ProductCode != "" {
			whose = fmt.Sprintf("the stored production address of product %s of seller %s", r.ProductCode, r.SellerID)
		}
		what, mend := egress.Explain(r.Err), "Set another address, or allow this one where the sandbox is started."
		var refusal *egress.Refusal
		if errors.As(r.Err, &refusal) {
			what, mend = refusal.What(), cmp.Or(refusal.Allow, mend)
		}
		findings = append(findings, wrong(AboutStored, whose+": "+what, means, mend))
	}
	return findings
}

// manyRefused is how many refused addresses are told one by one.
const manyRefused = 20

// asked looks at whether the ISV knows where the marketplace is.
func (h Home) asked() Finding {
	where := ""
	if h.MarketURL != "" {
		where = " at " + h.MarketURL
	}
	const mend = "Give the ISV the address and the keys of this sandbox: isv-sandbox env prints them."
	switch {
	case h.Last == nil && h.Orders == 0:
		return ok(AboutOrderQuery, "the ISV has not asked the open API for anything; nobody has ordered yet")
	case h.Last == nil:
		return warning(AboutOrderQuery, "the ISV has not asked the open API for anything since the sandbox started, though there are orders",
			"V2 calls do not tell what was bought: who does not ask, does not know. (An ISV that is called by V1 needs not ask.)", "Is ISVKIT_MARKET_URL set to this sandbox"+where+"? "+mend)
	case h.Last.Operation == "":
		return wrong(AboutOrderQuery, fmt.Sprintf("the ISV's last request to the open API was to %s, which is none of its paths", h.Last.Path),
			"It gets no answer that it understands.", "The address is without a path: it ends after the port.")
	case h.Last.Status == 401 && len(h.Last.Code) > 4 && h.Last.Code[:4] == "APIG":
		return wrong(AboutOrderQuery, fmt.Sprintf("the ISV's last request to the open API, %s, was refused by the gateway: %s %s", h.Last.Operation, h.Last.Code, h.Last.Detail),
			"It cannot find out what was bought, or push usage.", "Has the ISV AK and SK of this sandbox, and is its clock right? "+mend)
	}
	return ok(AboutOrderQuery, fmt.Sprintf("the ISV's last request to the open API, %s, was answered HTTP %d, %s", h.Last.Operation, h.Last.Status, h.Last.Code))
}
