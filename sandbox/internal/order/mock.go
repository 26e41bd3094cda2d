package order

import (
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// mocks are the nine debugging orders. Their ids are official, "MONTY" included; which type and charging mode the others than
// the first have follows from their names.
var mocks = []struct {
	id     string
	kind   marketplaceapi.OrderType
	mode   marketplaceapi.ChargingMode
	period Period
}{
	{"MOCKPERIODYEARNEW", marketplaceapi.OrderNew, marketplaceapi.ChargingPeriod, Period{1, marketplaceapi.PeriodYear}},
	{"MOCKONETIMENEW", marketplaceapi.OrderNew, marketplaceapi.ChargingOneTime, Period{}},
	{"MOCKONDEMAND", marketplaceapi.OrderNew, marketplaceapi.ChargingOnDemand, Period{}},
	{"MOCKONDEMANDPKG", marketplaceapi.OrderNew, marketplaceapi.ChargingPackage, Period{1, marketplaceapi.PeriodYear}},
	{"MOCKPERIODDAYTRIAL", marketplaceapi.OrderTrial, marketplaceapi.ChargingPeriod, Period{7, marketplaceapi.PeriodDay}},
	{"MOCKMONTYTRIALTOFORMAL", marketplaceapi.OrderTrialToFormal, marketplaceapi.ChargingPeriod, Period{1, marketplaceapi.PeriodMonth}},
	{"MOCKMONTYUNSUBSCRIBE", marketplaceapi.OrderUnsubscribe, marketplaceapi.ChargingPeriod, Period{1, marketplaceapi.PeriodMonth}},
	{"MOCKMONTYRENEW", marketplaceapi.OrderRenew, marketplaceapi.ChargingPeriod, Period{1, marketplaceapi.PeriodMonth}},
	{"MOCKMONTYCHANGE", marketplaceapi.OrderChange, marketplaceapi.ChargingPeriod, Period{1, marketplaceapi.PeriodMonth}},
}

// Mock gives the mock order of this id. All were placed at the same made-up moment, so that answers can be compared.
func Mock(id string) (marketplaceapi.OrderInfo, bool) {
	placed := time.Date(2024, 11, 21, 9, 8, 46, 0, time.UTC)
	for _, m := range mocks {
		if m.id != id {
			continue
		}
		hundred, _ := ParseAmount("100")
		line := Line{
			Product: lifecycle.Product{SKUCode: "0a4d1578-5295-46a7-92d4-7c803dccc51d", ProductID: "OFFI846204237451911168", Quantity: 50},
			Name:    "Mock product, " + string(m.mode), ChargingMode: m.mode, Period: m.period,
			ExtendParams: []marketplaceapi.ExtendParam{{Name: "emailDomainName", Value: "mail.example.com"}, {Name: "ip", Value: "127.0.0.1"}},
			Full:         hundred, Paid: hundred,
		}
		if m.period.Number > 0 {
			line.Expire = m.period.ExpireFrom(placed)
		}
		return Document(m.id, m.kind, placed, catalogue.DemoBuyer.Info, line), true
	}
	return marketplaceapi.OrderInfo{}, false
}
