package catalogue_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
)

func TestDemoProducts_AreRight(t *testing.T) {
	skus, ids := map[string]bool{}, map[string]bool{}
	for _, p := range catalogue.DemoProducts() {
		require.NoError(t, p.Check(), p.Code)
		for _, s := range p.SKUs {
			require.False(t, skus[s.Code], s.Code)
			skus[s.Code] = true
			for _, i := range s.Items {
				require.False(t, ids[i.ProductID], i.ProductID)
				ids[i.ProductID] = true
			}
		}
	}
}

func TestProduct_CheckNamesWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		change func(p *catalogue.Product)
		says   string
	}{
		{func(p *catalogue.Product) { p.Code = "" }, "productCode"},
		{func(p *catalogue.Product) { p.Access = "v3" }, "access"},
		{func(p *catalogue.Product) { p.Provision = "later" }, "provision"},
		{func(p *catalogue.Product) { p.Status = "gone" }, "status"},
		{func(p *catalogue.Product) { p.Access = catalogue.AccessV1 }, "changeCheck"},
		{func(p *catalogue.Product) { p.Address = "ftp://isv" }, "production address"},
		{func(p *catalogue.Product) { p.SKUs = nil }, "skus"},
		{func(p *catalogue.Product) { p.SKUs[1].Code = p.SKUs[0].Code }, "twice"},
		{func(p *catalogue.Product) { p.SKUs[0].ChargingMode = "WEEKLY" }, "chargingMode"},
		{func(p *catalogue.Product) { p.SKUs[2].TrialDays = 7 }, "trialDays"},
		{func(p *catalogue.Product) { p.SKUs[0].StopWhenUsedUp = true }, "stopWhenUsedUp"},
		{func(p *catalogue.Product) { p.SKUs[5].PackageAmount = "" }, "packageAmount"},
		{func(p *catalogue.Product) { p.SKUs[0].Items = nil }, "items"},
		{func(p *catalogue.Product) { p.SKUs[0].Items[0].Price = "1.23456" }, "price"},
		{func(p *catalogue.Product) { p.SKUs[0].Items[0].PeriodType = "week" }, "periodType"},
		{func(p *catalogue.Product) { p.SKUs[0].Items[0].ProductID = p.SKUs[0].Items[1].ProductID }, "productId"},
	} {
		p := catalogue.DemoProducts()[0]
		test.change(&p)
		err := p.Check()
		require.ErrorIs(t, err, catalogue.ErrInvalid)
		require.ErrorContains(t, err, test.says)
	}
}

func TestSKU_ItemOfAPeriod(t *testing.T) {
	p := catalogue.DemoProducts()[0]
	s, _ := p.SKU("demo-period")
	month, err := s.Item(marketplaceapi.PeriodMonth)
	require.NoError(t, err)
	year, err := s.Item(marketplaceapi.PeriodYear)
	require.NoError(t, err)
	require.NotEqual(t, month.ProductID, year.ProductID)
	s.Items = s.Items[:1]
	_, err = s.Item(marketplaceapi.PeriodYear)
	require.ErrorContains(t, err, "sold by month, not by year")
}

func TestKeys_AreNotPrinted(t *testing.T) {
	k := catalogue.Seller{ID: "a", Keys: catalogue.Keys{AK: "ak", SK: "secret-sk", Base: "secret-base"}}
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", k, k, k.Keys, k.Keys), "secret-")
}
