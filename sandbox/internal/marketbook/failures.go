package marketbook

import (
	"errors"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/market"
)

// GoesBack tells whether an order whose delivery failed goes back to the seller, to be repaired, rather than to the buyer.
func (b *Book) GoesBack(tx *store.Tx, sellerID string, now time.Time) (bool, error) {
	p, _, err := b.Policy(tx, sellerID, now)
	return err == nil && len(p.FailedDelivery.Steps) > 0, err
}

// DeliveryFailed writes that an instance could not be delivered, and does what follows at once.
func (b *Book) DeliveryFailed(tx *store.Tx, lineID, sellerID, productCode string, now time.Time) error {
	if err := tx.AddFailedDelivery(store.FailedDelivery{LineID: lineID, SellerID: sellerID, ProductCode: productCode, Since: now}); err != nil {
		return err
	}
	return errors.Join(tx.AddEvent(event.DeliveryFailed(sellerID, lineID, productCode, now)), b.follow(tx, sellerID, now))
}

// DeliveryRepaired writes that an instance is delivered after all, or that nobody wants it any more. It says nothing of one that had not
// failed.
func (b *Book) DeliveryRepaired(tx *store.Tx, lineID, sellerID, productCode string, now time.Time) error {
	repaired, err := tx.RepairDelivery(lineID, now)
	if err != nil || !repaired {
		return err
	}
	return errors.Join(tx.AddEvent(event.DeliveryRepaired(sellerID, lineID, productCode, now)), b.follow(tx, sellerID, now))
}

// follow does with a seller's products what follows from its failed deliveries now, and sets the timer for what follows later.
func (b *Book) follow(tx *store.Tx, sellerID string, now time.Time) error {
	p, r, err := b.Policy(tx, sellerID, now)
	if err != nil {
		return err
	}
	open, err := tx.FailedDeliveries(sellerID)
	if err != nil {
		return err
	}
	all, err := tx.ProductsOf(sellerID)
	if err != nil {
		return err
	}
	byCode := map[string]catalogue.Product{}
	var codes []string
	for _, product := range all {
		byCode[product.Code] = product
		if c, ok := p.Category(r.Category(product.Code)); ok && c.SaaS && !product.License {
			codes = append(codes, product.Code)
		}
	}
	failures := make([]market.Failure, len(open))
	for i, f := range open {
		failures[i] = market.Failure{Product: f.ProductCode, Since: f.Since}
	}
	due, next := p.Consequences(failures, codes, now)
	actions, err := tx.MarketActions(sellerID)
	if err != nil {
		return err
	}
	done := map[string]store.MarketAction{}
	for _, a := range actions {
		done[a.ProductCode] = a
	}
	for _, product := range all { // in a stable order
		want, has := due[product.Code]
		was, had := done[product.Code]
		switch {
		case has && (!had || was.Do != want.Do || was.Rule != want.Rule):
			err = b.act(tx, product, was, had, want, now)
		case !has && had:
			err = b.restore(tx, p, product, was, now)
		}
		if err != nil {
			return err
		}
	}
	return tx.SetTimer(KindSeller+"/"+sellerID, next)
}

// act hides or delists a product. One that is off the market already for another reason stays as it is, and what it was is kept.
func (b *Book) act(tx *store.Tx, product catalogue.Product, was store.MarketAction, had bool, want market.Consequence, now time.Time) error {
	action := store.MarketAction{ProductCode: product.Code, SellerID: product.SellerID, Do: want.Do, Rule: want.Rule, Before: product.Status}
	if had {
		action.Before = was.Before
	}
	if err := tx.PutMarketAction(action); err != nil {
		return err
	}
	status := catalogue.Hidden
	if want.Do == market.ActDelist {
		status = catalogue.Delisted
	}
	if product.Status == status || product.Status == catalogue.Delisted || product.Status == catalogue.Stopped {
		return nil
	}
	why := want.Says + " The failed delivery is one of product " + want.Product + ": mend your production address and restart its call"
	return b.status(tx, product, status, why, now)
}

// restore gives a product back what it was, as far as the policy does so and nobody has done anything else with it since.
func (b *Book) restore(tx *store.Tx, p *market.Policy, product catalogue.Product, was store.MarketAction, now time.Time) error {
	if err := tx.DropMarketAction(product.Code); err != nil {
		return err
	}
	status := catalogue.Hidden
	if was.Do == market.ActDelist {
		status = catalogue.Delisted
	}
	if product.Status != status || product.Status == was.Before || !p.Restores(was.Do) {
		return nil
	}
	return b.status(tx, product, was.Before, p.FailedDelivery.Restores.Says, now)
}
