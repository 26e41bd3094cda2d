package orderbook

import (
	"context"
	"fmt"
	"strings"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// MaxDetails is how many instances one queryInstance asks for at most, as the guide says.
const MaxDetails = 100

// Details are what a buyer sees of instances.
type Details struct {
	CallID    int64
	Instances []Detail // as they were asked for; one that the ISV left out has no Info
}

// Detail is what a buyer sees of an instance.
type Detail struct {
	Instance lifecycle.Instance
	Info     providerapi.InstanceInfo // without the initial password
	Told     bool                     // the ISV's answer has the instance
}

// OpenDetails is a buyer who opens the details of instances, all of one product: the ISV is asked at once, in one call, and not again.
func (b *Book) OpenDetails(ctx context.Context, lineIDs []string) (d Details, err error) {
	if n := len(lineIDs); n == 0 || n > MaxDetails {
		return d, invalid("orderLineIds: expected 1 to %d, not %d", MaxDetails, n)
	}
	instances := make([]lifecycle.Instance, len(lineIDs))
	ids := make([]string, len(lineIDs))
	seen := map[string]bool{}
	for n, lineID := range lineIDs {
		i, err := b.cfg.Store.Instance(ctx, lineID)
		if err != nil {
			return d, err
		}
		if err := i.Inspect(); err != nil {
			return d, err
		}
		switch {
		case seen[lineID]:
			return d, invalid("orderLineIds: %s is there twice", lineID)
		case i.ProductCode != instances[0].ProductCode && n > 0:
			return d, invalid("orderLineIds: %s is of product %s, %s of %s; one call asks about one product", lineID, i.ProductCode, lineIDs[0], instances[0].ProductCode)
		case i.V1 && len(lineIDs) > 1 && (i.ChargingMode == marketplaceapi.ChargingPeriod || i.ChargingMode == marketplaceapi.ChargingOneTime):
			return d, invalid("orderLineIds: access interface V1 has queryInstance for what is charged by usage only; ask for the details of %s by themselves", lineID)
		}
		seen[lineID], instances[n], ids[n] = true, i, i.InstanceID
	}
	about := store.AboutInstance(instances[0])
	about.Subject = "details/" + lineIDs[0] // the buyer waits; it overtakes what waits for the instance
	if len(lineIDs) > 1 {
		about.LineID = ""
	}
	call, r, err := b.cfg.Asker.Ask(ctx, about, lifecycle.Call{Activity: providerapi.ActivityQueryInstance, Body: providerapi.QueryInstanceCall{
		Activity: providerapi.ActivityQueryInstance, InstanceID: strings.Join(ids, ","),
	}}, false)
	if err != nil {
		return d, err
	}
	if r.Outcome != sandboxapi.AttemptSucceeded {
		return d, &Refusal{NoAnswer, fmt.Sprintf("the ISV was asked for the details (call %d): %s", call.ID, r.Detail)}
	}
	return Details{call.ID, told(instances, r.Info)}, nil
}

// told puts the ISV's answer beside the instances.
func told(instances []lifecycle.Instance, answer []providerapi.InstanceInfo) []Detail {
	details := make([]Detail, len(instances))
	for n, i := range instances {
		details[n].Instance = i
		for _, info := range answer {
			if info.InstanceID == i.InstanceID {
				details[n].Info, details[n].Told = info, true
			}
		}
	}
	return details
}
