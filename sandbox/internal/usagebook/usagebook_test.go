package usagebook_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
	"github.com/isvkit/isvkit/sandbox/internal/usagebook"
)

var now = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

type book struct {
	*usagebook.Book
	t      *testing.T
	store  *store.Store
	empty  []string // packages that were told to be used up
	serial int
}

func open(t *testing.T) *book {
	t.Helper()
	s, err := store.Open(t.Context(), ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	b := &book{t: t, store: s}
	b.Book = usagebook.New(s, clock.New(func() time.Time { return now }, 0), func(_ *store.Tx, line string) error {
		b.empty = append(b.empty, line)
		return nil
	})
	require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.PutSeller(catalogue.Seller{ID: catalogue.DemoSeller}); err != nil {
			return err
		}
		products := catalogue.DemoProducts()
		products[0].SKUs = append(products[0].SKUs, catalogue.SKU{
			Code: "traffic-package", ChargingMode: marketplaceapi.ChargingPackage, PackageAmount: "50",
			Items: []catalogue.Item{{ProductID: "OFFI-traffic-package", Price: "9", Unit: "GB"}},
		})
		return tx.PutProduct(products[0])
	}))
	return b
}

// put puts an instance that is ready, bought so long ago.
func (b *book) put(id, productID, amount string, stop bool, age time.Duration, change func(*lifecycle.Instance)) string {
	b.t.Helper()
	i := lifecycle.Instance{
		OrderID: "CS-" + id, OrderLineID: "CS-" + id + "-000001", InstanceID: id, SellerID: catalogue.DemoSeller, ProductCode: "demo", BuyerID: "buyer",
		ChargingMode: marketplaceapi.ChargingOnDemand, Product: lifecycle.Product{ProductID: productID, Quantity: 1},
		Status: sandboxapi.InstanceReady, Intent: sandboxapi.InstanceReady, CreateTime: now.Add(-age),
	}
	if amount != "" {
		i.ChargingMode, i.Package = marketplaceapi.ChargingPackage, lifecycle.Package{Amount: amount, StopWhenUsedUp: stop}
	}
	if change != nil {
		change(&i)
	}
	require.NoError(b.t, b.store.Update(b.t.Context(), func(tx *store.Tx) error { return tx.PutInstance(i) }))
	return i.OrderLineID
}

const (
	calls   = "OFFI700000000000000041" // by the call, at 1
	traffic = "OFFI700000000000000051" // by the GB, at 0.5
	storage = "OFFI700000000000000052" // by the GB-hour, at 0.02
	anyUnit = "OFFI700000000000000061" // a package that says nothing of a unit
	perGB   = "OFFI-traffic-package"   // a package of GB
)

func (b *book) record(instance, value string, begin time.Time) usage.Record {
	b.serial++
	return usage.Record{
		InstanceID: instance, UsageValue: value, MeteringSN: fmt.Sprint("sn-", b.serial), RecordTime: now.Format(usage.TimeFormat),
		BeginTime: begin.Format(usage.TimeFormat), EndTime: begin.Add(time.Minute).Format(usage.TimeFormat),
	}
}

func (b *book) take(records ...usage.Record) []string {
	b.t.Helper()
	rejections, err := b.Take(b.t.Context(), catalogue.DemoSeller, records, true)
	require.NoError(b.t, err)
	codes := make([]string, len(records))
	for i, r := range rejections {
		codes[i] = string(r.Code)
	}
	return codes
}

func (b *book) used(line string) string {
	b.t.Helper()
	p, err := b.store.PackageUse(b.t.Context(), line)
	require.NoError(b.t, err)
	return p.Used.String()
}

// TestTake_WhichPackagePays: of the buyer's packages of the product and unit the oldest that is valid pays first; those that stop have
// to be named.
func TestTake_WhichPackagePays(t *testing.T) {
	t.Parallel()
	b := open(t)
	const day = 24 * time.Hour
	b.put("gb", traffic, "", false, 10*day, nil)
	b.put("gbh", storage, "", false, 10*day, nil)
	newer := b.put("newer", perGB, "5", false, 2*day, nil)
	older := b.put("older", anyUnit, "3", false, 4*day, func(i *lifecycle.Instance) { i.ExpireTime = now.Add(-time.Hour); i.Status = sandboxapi.InstanceFrozen })
	linear := b.put("linear", perGB, "2", false, day, func(i *lifecycle.Instance) { i.Product.Quantity = 3 })
	for name, change := range map[string]func(*lifecycle.Instance){
		"another buyer's": func(i *lifecycle.Instance) { i.BuyerID = "another" },
		"another product": func(i *lifecycle.Instance) { i.ProductCode = "another" },
		"gone":            func(i *lifecycle.Instance) { i.Status = sandboxapi.InstanceReleased },
		"opening":         func(i *lifecycle.Instance) { i.Status = sandboxapi.InstanceOpening },
		"stops":           func(i *lifecycle.Instance) { i.Package.StopWhenUsedUp = true },
	} {
		b.put(name, perGB, "1000", false, 5*day, change)
	}
	at := func(n int) time.Time { return now.Add(-2 * time.Hour).Add(time.Duration(n) * time.Minute) }

	require.Equal(t, []string{"", ""}, b.take(b.record("gb", "2", at(0)), b.record("gbh", "0.5", at(0))))
	require.Equal(t, "2.5", b.used(older), "it says nothing of a unit, so it pays for GB and GB-hours")
	require.Equal(t, []string{"", ""}, b.take(b.record("gb", "2", at(1)), b.record("gbh", "7", at(1))))
	require.Equal(t, []string{older}, b.empty)
	require.Equal(t, "1.5", b.used(newer), "for GB only")
	require.Equal(t, []string{"", ""}, b.take(b.record("gb", "4", at(2)), b.record("gb", "1", now.Add(-10*time.Minute))))
	require.Equal(t, "5", b.used(newer))
	require.Equal(t, "1.5", b.used(linear), "2 for each of its 3")
	require.Equal(t, []string{""}, b.take(b.record("gb", "9", now.Add(-3*day))))
	bills, err := b.store.Bills(t.Context(), "CS-gb-000001", "", "", 10)
	require.NoError(t, err)
	require.Len(t, bills, 2)
	require.Equal(t, "4.5", bills[0].Amount.String(), "before the packages that are left were bought")
	require.Equal(t, "0", bills[1].Amount.String())
	require.Equal(t, "9", bills[1].Deducted.String())
	bills, err = b.store.Bills(t.Context(), "CS-gbh-000001", "", "", 10)
	require.NoError(t, err)
	require.Equal(t, "0.14", bills[0].Amount.String(), "7 GB-hours at 0.02")
}

// TestTake_BillsAgreeWithTheRecords: the running sums are what comes out if all records are added up again in the plainest way.
func TestTake_BillsAgreeWithTheRecords(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		b := open(t)
		random := rand.New(rand.NewPCG(seed, 7)) // it must be repeatable
		ids := []string{"a", "b", "c"}
		for n, item := range []string{calls, traffic, storage} {
			b.put(ids[n], item, "", false, 20*24*time.Hour, nil)
		}
		amounts := map[string]string{}
		for n := range 3 {
			amount := fmt.Sprint(50 + random.IntN(2000))
			amounts[b.put(fmt.Sprint("p", n), anyUnit, amount, false, time.Duration(3*n)*24*time.Hour+time.Hour, nil)] = amount
		}
		b.put("stops", anyUnit, "100", true, 20*24*time.Hour, nil)
		for range 20 {
			var push []usage.Record
			for range 10 {
				r := b.record(ids[random.IntN(3)], fmt.Sprintf("%d.%04d", random.IntN(30), random.IntN(10000)), now.Add(-time.Duration(1+random.IntN(10*24*60))*time.Minute))
				if random.IntN(5) == 0 {
					r.RelatePkgInstance = "stops"
				}
				push = append(push, r)
			}
			b.take(push...)
		}

		prices := map[string]string{"CS-a-000001": "1", "CS-b-000001": "0.5", "CS-c-000001": "0.02"}
		type key struct{ line, day string }
		usages, deducted, unpaid, packages := map[key]*big.Rat{}, map[key]*big.Rat{}, map[key]*big.Rat{}, map[string]*big.Rat{}
		add := func(m map[key]*big.Rat, k key, v *big.Rat) {
			if m[k] == nil {
				m[k] = new(big.Rat)
			}
			m[k].Add(m[k], v)
		}
		records, err := b.store.UsageRecords(t.Context(), 1000)
		require.NoError(t, err)
		require.Len(t, records, 200)
		accepted := 0
		for _, r := range records {
			if !r.Accepted() {
				continue
			}
			accepted++
			begin, err := time.Parse(usage.TimeFormat, r.BeginTime)
			require.NoError(t, err)
			k := key{r.LineID, begin.Add(8 * time.Hour).Format("2006-01-02")}
			value, _ := new(big.Rat).SetString(r.UsageValue)
			add(usages, k, value)
			paid, err := b.store.Deductions(t.Context(), r.ID)
			require.NoError(t, err)
			rest := new(big.Rat).Set(value)
			for line, text := range paid {
				amount, _ := new(big.Rat).SetString(text)
				add(deducted, k, amount)
				rest.Sub(rest, amount)
				if packages[line] == nil {
					packages[line] = new(big.Rat)
				}
				packages[line].Add(packages[line], amount)
			}
			require.GreaterOrEqual(t, rest.Sign(), 0)
			if r.RelatePkgInstance != "" {
				add(unpaid, k, rest)
			}
		}
		require.Greater(t, accepted, 100)

		bills, err := b.store.Bills(t.Context(), "", "", "", 1000)
		require.NoError(t, err)
		require.Len(t, bills, len(usages))
		counted := 0
		for _, bill := range bills {
			k := key{bill.LineID, bill.Day}
			price, _ := new(big.Rat).SetString(prices[bill.LineID])
			equal := func(want *big.Rat, got usage.Decimal) {
				t.Helper()
				if want == nil {
					want = new(big.Rat)
				}
				sum, ok := new(big.Rat).SetString(got.String())
				require.True(t, ok)
				require.Zero(t, want.Cmp(sum), "%v: %s, expected %s", k, got, want.FloatString(8))
			}
			equal(usages[k], bill.Usage)
			equal(deducted[k], bill.Deducted)
			equal(unpaid[k], bill.Unpaid)
			charged := new(big.Rat).Set(usages[k])
			for _, m := range []map[key]*big.Rat{deducted, unpaid} {
				if m[k] != nil {
					charged.Sub(charged, m[k])
				}
			}
			equal(charged, bill.Charged)
			equal(charged.Mul(charged, price), bill.Amount)
			counted += bill.Records
		}
		require.Equal(t, accepted, counted)
		for line, sum := range packages {
			use, err := b.store.PackageUse(t.Context(), line)
			require.NoError(t, err)
			used, _ := new(big.Rat).SetString(use.Used.String())
			require.Zero(t, sum.Cmp(used))
			require.LessOrEqual(t, use.Used.Cmp(use.Amount), 0, "no package is overdrawn")
			if text, ok := amounts[line]; ok {
				require.Equal(t, text, use.Amount.String())
			}
		}
	}
}

// TestTake_IsWholeOrNothing: a push that fails in the middle leaves nothing.
func TestTake_IsWholeOrNothing(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.put("gb", traffic, "", false, 24*time.Hour, nil)
	b.put("p", perGB, "1", false, 24*time.Hour, nil)
	failing := usagebook.New(b.store, clock.New(func() time.Time { return now }, 0), func(*store.Tx, string) error { return fmt.Errorf("no") })
	_, err := failing.Take(t.Context(), catalogue.DemoSeller, []usage.Record{b.record("gb", "0.5", now.Add(-time.Hour)), b.record("gb", "1", now.Add(-2*time.Hour))}, true)
	require.Error(t, err)
	records, err := b.store.UsageRecords(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, records)
	bills, err := b.store.Bills(t.Context(), "", "", "", 10)
	require.NoError(t, err)
	require.Empty(t, bills)
}
