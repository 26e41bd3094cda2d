package event

import (
	"fmt"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// Seller is the subject of events about a seller.
func Seller(id string) string { return "seller/" + id }

// Registered tells that a seller is registered on a market.
func Registered(sellerID, market string, categories []string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventSellerRegistered, SellerID: sellerID, Subject: Seller(sellerID), Time: at,
		Text:    fmt.Sprintf("Seller %s is registered on %s, for %s.", sellerID, market, strings.Join(categories, ", ")),
		Details: details("market", market, "categories", strings.Join(categories, " ")),
	}
}

// Settled tells that an order line is completed, and so counts as revenue.
func Settled(sellerID, line, amount, currency string, billed, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventOrderSettled, SellerID: sellerID, Subject: line, Time: at,
		Text:    fmt.Sprintf("%s %s of order line %s are revenue now, and are billed from %s.", amount, currency, line, Clock(billed)),
		Details: details("amount", amount, "currency", currency, "billedTime", stamp(billed)),
	}
}

// Refunded tells that a buyer gets money back.
func Refunded(sellerID, line, orderID, amount, currency string, full bool, why string, at time.Time) Event {
	how := "the unused part"
	if full {
		how = "in full"
	}
	return Event{
		Kind: sandboxapi.EventOrderRefunded, SellerID: sellerID, Subject: line, Time: at,
		Text:    fmt.Sprintf("%s %s of order %s go back to the buyer, %s. %s", amount, currency, orderID, how, why),
		Details: details("orderId", orderID, "amount", amount, "currency", currency, "full", fmt.Sprint(full)),
	}
}

// Statement tells that the statement of a month is final.
func Statement(sellerID, month, currency, sales, refunds, fees, net string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventStatementReady, SellerID: sellerID, Subject: Seller(sellerID), Time: at,
		Text: fmt.Sprintf("The statement of %s is ready: sales %s, refunds %s, platform fee %s, so %s %s are settled (isv-sandbox statement %s --seller %s).",
			month, sales, refunds, fees, net, currency, month, sellerID),
		Details: details("month", month, "currency", currency, "sales", sales, "refunds", refunds, "fees", fees, "net", net),
	}
}

// MoneyMoved tells of a deposit, what is taken from it or given back, a charge that was paid, or a withdrawal.
func MoneyMoved(sellerID, kind, amount, currency, reason string, at time.Time) Event {
	text := fmt.Sprintf("A %s of %s %s", kind, amount, currency)
	if reason != "" {
		text += ": " + reason
	}
	return Event{
		Kind: sandboxapi.EventMoneyMoved, SellerID: sellerID, Subject: Seller(sellerID), Time: at, Text: strings.TrimSuffix(text, ".") + ".",
		Details: details("kind", kind, "amount", amount, "currency", currency, "reason", reason),
	}
}

// DeliveryFailed tells that an order goes back to the seller, to be repaired.
func DeliveryFailed(sellerID, line, productCode string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventDeliveryFailed, SellerID: sellerID, Subject: line, Time: at,
		Text: fmt.Sprintf("Order line %s of product %s could not be delivered and goes back to you. Mend your production address, then restart its call (isv-sandbox calls %s).",
			line, productCode, line),
		Details: details("productCode", productCode),
	}
}

// DeliveryRepaired tells that what had failed is delivered.
func DeliveryRepaired(sellerID, line, productCode string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventDeliveryRepaired, SellerID: sellerID, Subject: line, Time: at,
		Text: fmt.Sprintf("Order line %s of product %s is delivered after all.", line, productCode), Details: details("productCode", productCode),
	}
}
