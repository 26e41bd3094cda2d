package control

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/probebook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// as turns a document of the control API into one of the catalogue, or back: their fields have the same names.
func as[T any](v any) (t T, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(text, &t)
}

func sellerView(s catalogue.Seller) sandboxapi.Seller {
	return sandboxapi.Seller{SellerID: s.ID, Name: s.Name, ProductionAddress: s.Address}
}

// ListSellers lists the sellers without their keys; a seller sees itself.
func (s *server) ListSellers(ctx context.Context, _ ListSellersRequestObject) (ListSellersResponseObject, error) {
	sellers, err := s.s.Store().Sellers(ctx)
	list := ListSellers200JSONResponse{Sellers: []sandboxapi.Seller{}}
	only := access.From(ctx).Scope()
	for _, v := range sellers {
		if only == "" || v.ID == only {
			list.Sellers = append(list.Sellers, sellerView(v))
		}
	}
	return list, err
}

// PutSeller adds or changes a seller.
func (s *server) PutSeller(ctx context.Context, r PutSellerRequestObject) (PutSellerResponseObject, error) {
	if address := r.Body.ProductionAddress; address != "" {
		if err := s.checkAddress(address); err != nil {
			return nil, err
		}
	}
	var view sandboxapi.Seller
	err := s.s.Store().Update(ctx, func(tx *store.Tx) error {
		seller, err := tx.Seller(r.SellerID)
		isNew := errors.Is(err, store.ErrNotFound)
		if err != nil && !isNew {
			return err
		}
		seller.ID = r.SellerID
		seller.Name = cmp.Or(r.Body.Name, seller.Name, r.SellerID)
		seller.Address = cmp.Or(r.Body.ProductionAddress, seller.Address)
		if err := seller.Check(); err != nil {
			return err
		}
		if r.Body.NewKeys && s.s.HasKeyFile(r.SellerID) {
			return &problem{http.StatusConflict, "key-file", "the keys of this seller are those of the key file: change them there and start the sandbox again"}
		}
		if isNew || r.Body.NewKeys {
			seller.Keys = newKeys()
		}
		view = sellerView(seller)
		if isNew || r.Body.NewKeys {
			k := seller.Keys
			view.Keys = sandboxapi.SellerKeys{AK: k.AK, SK: k.SK, BaseKey: k.Base, KitKey: k.Kit, GeneralKey: k.General, LicenseKey: k.License}
		}
		return tx.PutSeller(seller)
	})
	return PutSeller200JSONResponse(view), err
}

func newKeys() (k catalogue.Keys) {
	k.AK = randomKey(10)
	for _, key := range []*string{&k.SK, &k.Base, &k.Kit, &k.General, &k.License} {
		*key = randomKey(24)
	}
	return k
}

func randomKey(bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.Read(random) // never fails, see crypto/rand
	return hex.EncodeToString(random)
}

// ListProducts lists the catalogue.
func (s *server) ListProducts(ctx context.Context, r ListProductsRequestObject) (ListProductsResponseObject, error) {
	products, err := s.s.Store().Products(ctx, r.Params.SellerID)
	if err != nil {
		return nil, err
	}
	list, err := as[[]sandboxapi.Product](products)
	if list == nil {
		list = []sandboxapi.Product{}
	}
	return ListProducts200JSONResponse{Products: list}, err
}

// GetProduct shows a product.
func (s *server) GetProduct(ctx context.Context, r GetProductRequestObject) (GetProductResponseObject, error) {
	product, err := s.s.Store().Product(ctx, r.ProductCode)
	if err != nil {
		return nil, err
	}
	view, err := as[sandboxapi.Product](product)
	return GetProduct200JSONResponse(view), err
}

// PutProduct lists or changes a product.
func (s *server) PutProduct(ctx context.Context, r PutProductRequestObject) (PutProductResponseObject, error) {
	product, err := as[catalogue.Product](r.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", catalogue.ErrInvalid, err)
	}
	if product.Code != r.ProductCode {
		return nil, fmt.Errorf("%w: productCode: the path says %s, the body %s", catalogue.ErrInvalid, r.ProductCode, product.Code)
	}
	if err := product.Check(); err != nil {
		return nil, err
	}
	if product.Address != "" {
		if err := s.checkAddress(product.Address); err != nil {
			return nil, err
		}
	}
	err = s.s.Store().Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Seller(product.SellerID); err != nil {
			return fmt.Errorf("%w: sellerId: there is no seller %s", catalogue.ErrInvalid, product.SellerID)
		}
		earlier, err := tx.Product(product.Code)
		switch {
		case errors.Is(err, store.ErrNotFound):
			earlier.Status = product.Status
		case err != nil:
			return err
		case earlier.SellerID != product.SellerID:
			return fmt.Errorf("%w: sellerId: the product is sold by %s, and stays so", catalogue.ErrInvalid, earlier.SellerID)
		case r.Body.Status == "": // whoever changes a name does not put on sale what was delisted
			product.Status = earlier.Status
		}
		for _, sku := range product.SKUs {
			switch other, err := tx.ProductBySKU(sku.Code); {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return err
			case other.Code != product.Code:
				return fmt.Errorf("%w: skuCode: product %s has a SKU %s already", catalogue.ErrInvalid, other.Code, sku.Code)
			}
		}
		return s.s.Probes().Listed(tx, product, earlier.Status)
	})
	var repair *probebook.RepairError
	if errors.As(err, &repair) {
		return nil, &problem{http.StatusConflict, "repair-first", repair.Error()}
	}
	if err != nil {
		return nil, err
	}
	view, err := as[sandboxapi.Product](product)
	return PutProduct200JSONResponse(view), err
}

// ListBuyers lists the buyers.
func (s *server) ListBuyers(ctx context.Context, _ ListBuyersRequestObject) (ListBuyersResponseObject, error) {
	buyers, err := s.s.Store().Buyers(ctx)
	if err != nil {
		return nil, err
	}
	list, err := as[[]sandboxapi.Buyer](buyers)
	if list == nil {
		list = []sandboxapi.Buyer{}
	}
	return ListBuyers200JSONResponse{Buyers: list}, err
}

// PutBuyer adds or changes a buyer.
func (s *server) PutBuyer(ctx context.Context, r PutBuyerRequestObject) (PutBuyerResponseObject, error) {
	info, err := as[marketplaceapi.BuyerInfo](r.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", catalogue.ErrInvalid, err)
	}
	if err := catalogue.CheckID("buyerId", r.BuyerID); err != nil {
		return nil, err
	}
	info.CustomerID = cmp.Or(info.CustomerID, r.BuyerID)
	info.CustomerName = cmp.Or(info.CustomerName, r.BuyerID)
	buyer := catalogue.Buyer{ID: r.BuyerID, Info: info}
	if err := s.s.Store().Update(ctx, func(tx *store.Tx) error { return tx.PutBuyer(buyer) }); err != nil {
		return nil, err
	}
	view, err := as[sandboxapi.Buyer](buyer)
	return PutBuyer200JSONResponse(view), err
}
