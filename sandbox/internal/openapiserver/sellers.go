package openapiserver

import (
	"context"
	"errors"
	"sync"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// sellers finds sellers by their AK. What it has read holds until the store changes in any way.
type sellers struct {
	store *store.Store

	mu      sync.RWMutex
	changed <-chan struct{} // closed when what is here may be stale
	byAK    map[string]*catalogue.Seller
}

func (s *sellers) find(ctx context.Context, ak string) (*catalogue.Seller, bool, error) {
	if seller := s.cached(ak); seller != nil {
		return seller, true, nil
	}
	changed := s.store.Changed() // before the look, so that no change falls between
	seller, err := s.store.SellerByAK(ctx, ak)
	if errors.Is(err, store.ErrNotFound) || err == nil && seller.Keys.SK == "" {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != changed {
		s.changed, s.byAK = changed, map[string]*catalogue.Seller{}
	}
	s.byAK[ak] = &seller
	return &seller, true, nil
}

func (s *sellers) cached(ak string) *catalogue.Seller {
	s.mu.RLock()
	defer s.mu.RUnlock()
	select {
	case <-s.changed:
		return nil
	default:
		return s.byAK[ak]
	}
}
