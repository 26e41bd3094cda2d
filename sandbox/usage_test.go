package sandbox_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the Reporter's database

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/sqlstore"
)

func (m *market) bills(query string) (list sandboxapi.BillList) {
	m.t.Helper()
	status, detail := m.call("GET", "/v1/bills"+query, nil, &list)
	require.Equal(m.t, http.StatusOK, status, detail)
	return list
}

func (m *market) packages() map[string]sandboxapi.Package {
	m.t.Helper()
	var list sandboxapi.PackageList
	m.call("GET", "/v1/packages", nil, &list)
	byLine := map[string]sandboxapi.Package{}
	for _, p := range list.Packages {
		byLine[p.OrderLineID] = p
	}
	return byLine
}

// TestSandbox_PackagesAndBills: what usage comes to, with packages that go on by usage and that stop.
func TestSandbox_PackagesAndBills(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	metered, pkg, stop := m.buy("demo-on-demand"), m.buy("demo-package"), m.buy("demo-package-stop")
	for _, line := range []string{metered, pkg, stop} {
		m.is(line, sandboxapi.InstanceReady)
	}
	require.Equal(t, "1000", m.packages()[pkg].Left)
	m.advance("20h")
	begin := m.Now().Add(-15 * time.Hour).Truncate(time.Hour)
	push := func(hour int, value, from string) string {
		t.Helper()
		at := begin.Add(time.Duration(hour) * time.Hour)
		r := marketplaceapi.UsageRecord{
			MeteringSN: "sn-" + at.Format("15") + value, InstanceID: "i-" + metered, UsageValue: value, RecordTime: marketplace.FormatTime(m.Now()),
			BeginTime: marketplace.FormatTime(at), EndTime: marketplace.FormatTime(at.Add(time.Hour)),
		}
		if from != "" {
			r.RelatePkgInstance = "i-" + from
		}
		result, err := m.sdk().PushUsage(t.Context(), []marketplaceapi.UsageRecord{r})
		require.NoError(t, err)
		if len(result.Rejected) > 0 {
			return string(result.Rejected[0].Code)
		}
		return ""
	}
	require.Empty(t, push(0, "900.5", ""), "the package is used first, although the record does not name it")
	require.Equal(t, "99.5", m.packages()[pkg].Left)
	require.Empty(t, push(1, "100", pkg), "what exceeds a package is charged by usage")
	require.Equal(t, "0", m.packages()[pkg].Left)
	require.Empty(t, push(2, "0.25", ""), "nothing is left")
	require.Equal(t, "1000", m.packages()[stop].Left, "a package that stops has to be named")
	require.Empty(t, push(3, "999", stop))
	require.Empty(t, push(4, "7.75", stop), "the last unit, and what goes beyond it")
	require.Equal(t, "013", push(5, "1", stop), "a package that stops has ended")
	m.is(stop, sandboxapi.InstanceReleased)
	require.Len(t, isv.got("releaseInstance"), 1)
	require.Equal(t, sandboxapi.InstanceReady, m.is(pkg, sandboxapi.InstanceReady).Status, "the other stays until it expires")
	require.Equal(t, "012", push6(m, begin, "i-"+pkg), "a package is not metered itself")

	bills := m.bills("?instance=i-" + metered)
	require.Equal(t, "0.75", bills.Amount, "100 − 99.5 + 0.25, at 1 a unit")
	require.Equal(t, bills, m.bills("?instance="+metered))
	sums := map[string]float64{} // small numbers with two binary places, for which it is exact
	for _, b := range bills.Bills {
		require.Equal(t, metered, b.OrderLineID)
		require.Equal(t, "i-"+metered, b.InstanceID)
		require.Equal(t, "1", b.Price)
		for name, text := range map[string]string{"usage": b.Usage, "deducted": b.Deducted, "unpaid": b.Unpaid, "charged": b.Charged} {
			sums[name] += number(t, text)
		}
	}
	require.Equal(t, map[string]float64{"usage": 2007.5, "deducted": 2000, "unpaid": 6.75, "charged": 0.75}, sums)

	day := begin.In(time.FixedZone("", 8*3600)).Format("2006-01-02")
	require.NotEmpty(t, m.bills("?from="+day).Bills)
	require.Empty(t, m.bills("?to=2020-01-01").Bills)
	require.Equal(t, "0", m.bills("?to=2020-01-01").Amount)
	status, detail := m.call("GET", "/v1/bills?from=today", nil, nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, detail, "expected a day such as")
	status, _ = m.call("GET", "/v1/bills?instance=nobody", nil, nil)
	require.Equal(t, http.StatusNotFound, status)
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	a, err := usage.ParseAmount(text)
	require.NoError(t, err)
	return float64(a.Units()) / 10_000
}

func push6(m *market, begin time.Time, instance string) string {
	m.t.Helper()
	result, err := m.sdk().PushUsage(m.t.Context(), []marketplaceapi.UsageRecord{{
		MeteringSN: "sn-6", InstanceID: instance, UsageValue: "1", RecordTime: marketplace.FormatTime(m.Now()),
		BeginTime: marketplace.FormatTime(begin), EndTime: marketplace.FormatTime(begin.Add(time.Hour)),
	}})
	require.NoError(m.t, err)
	require.Len(m.t, result.Rejected, 1)
	return string(result.Rejected[0].Code)
}

func TestSandbox_SeveralBillingItemsHaveBillsOfTheirOwn(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	var placed sandboxapi.OrderPlaced
	status, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-on-demand-two"}, &placed)
	require.Equal(t, http.StatusCreated, status, detail)
	require.Len(t, placed.Instances, 2)
	var records []marketplaceapi.UsageRecordOld
	for _, i := range placed.Instances {
		m.is(i.OrderLineID, sandboxapi.InstanceReady)
	}
	m.advance("3h")
	begin := m.Now().Add(-2 * time.Hour)
	for _, i := range placed.Instances {
		records = append(records, marketplaceapi.UsageRecordOld{
			InstanceID: "i-" + i.OrderLineID, ProductID: i.ProductID, UsageValue: "3.3333", RecordTime: marketplace.FormatTime(m.Now()),
			BeginTime: marketplace.FormatTime(begin), EndTime: marketplace.FormatTime(begin.Add(time.Hour)),
		})
	}
	require.NoError(t, m.sdk().PushUsageOld(t.Context(), records))
	amounts := []string{}
	for _, i := range placed.Instances {
		amounts = append(amounts, m.bills("?instance="+i.OrderLineID).Amount)
	}
	require.Equal(t, []string{"1.66665", "0.066666"}, amounts, "0.5 and 0.02 a unit, to the last digit")
}

// outage is a way to the market that is broken in one way after the other.
type outage struct {
	left []func(next http.RoundTripper, req *http.Request) (*http.Response, error)
}

func (o *outage) RoundTrip(req *http.Request) (*http.Response, error) {
	if len(o.left) == 0 {
		return http.DefaultTransport.RoundTrip(req)
	}
	f := o.left[0]
	o.left = o.left[1:]
	return f(http.DefaultTransport, req)
}

// TestReporter_ThroughAnOutage: the SDK's Reporter, durable in SQLite, pushes to a sandbox whose way is cut off, answers nonsense, and
// loses answers to pushes that it has taken. In the end ledger and bill are what was recorded, to the last digit.
func TestReporter_ThroughAnOutage(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	metered, pkg := m.buy("demo-on-demand"), m.buy("demo-package-stop")
	m.is(metered, sandboxapi.InstanceReady)
	m.is(pkg, sandboxapi.InstanceReady)

	lost := errors.New("the connection broke")
	way := &outage{left: []func(http.RoundTripper, *http.Request) (*http.Response, error){
		func(_ http.RoundTripper, _ *http.Request) (*http.Response, error) { return nil, lost },
		func(next http.RoundTripper, req *http.Request) (*http.Response, error) { // taken, and the answer lost
			resp, err := next.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			_ = resp.Body.Close()
			return nil, lost
		},
		func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusBadGateway, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		},
	}}
	client, err := marketplace.New(marketplace.Config{
		URL: m.openAPI.URL, Credentials: credentials, BaseKey: testKeys.BaseKey, RetryMax: -1, HTTPClient: &http.Client{Transport: way},
	})
	require.NoError(t, err)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "usage.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	store, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	var rejected []usage.Rejection
	reporter, err := usage.New(usage.Config{
		Store: store, Pusher: client, PushAfter: -1, RetryWaitMin: time.Second, RetryWaitMax: time.Second, Now: m.Now,
		OnRejected: func(_ context.Context, r usage.Rejection) { rejected = append(rejected, r) },
	})
	require.NoError(t, err)

	var total, packaged usage.Amount
	for hour := range 30 {
		m.advance("1h")
		for n, text := range []string{"0.0001", "12.3456", "7"} {
			amount := usage.MustParseAmount(text)
			total, err = total.Add(amount)
			require.NoError(t, err)
			var options []usage.Option
			if n == 2 && hour%3 == 0 {
				options = append(options, usage.Package("i-"+pkg))
				packaged, err = packaged.Add(amount)
				require.NoError(t, err)
			}
			require.NoError(t, reporter.Record(t.Context(), "i-"+metered, amount, m.Now(), options...))
		}
		_ = reporter.Flush(t.Context()) // fails while the way is broken
	}
	require.Empty(t, way.left, "everything went wrong that can")
	m.advance("2h")
	require.NoError(t, reporter.Flush(t.Context()))
	pending, err := reporter.Pending(t.Context())
	require.NoError(t, err)
	require.Zero(t, pending.Open.Windows+pending.Sealed.Windows)
	require.Empty(t, rejected)

	var used, deducted, charged usage.Amount
	for _, b := range m.bills("?instance=" + metered).Bills {
		used = plus(t, used, b.Usage)
		deducted = plus(t, deducted, b.Deducted)
		charged = plus(t, charged, b.Charged)
	}
	require.Equal(t, total.String(), used.String())
	require.Equal(t, packaged.String(), deducted.String())
	require.Equal(t, m.bills("?instance="+metered).Amount, charged.String(), "at 1 a unit")
	require.Equal(t, packaged.String(), m.packages()[pkg].Used)
	records, err := m.UsageRecords(t.Context(), 1000)
	require.NoError(t, err)
	var ledger usage.Amount
	again := 0
	for _, r := range records {
		if r.Accepted {
			ledger = plus(t, ledger, r.UsageValue)
		} else {
			require.Equal(t, "005", r.ErrorCode, "the only records that are refused are those that came twice")
			again++
		}
	}
	require.Equal(t, total.String(), ledger.String())
	require.Positive(t, again)
}

func plus(t *testing.T, a usage.Amount, text string) usage.Amount {
	t.Helper()
	b, err := usage.ParseAmount(text)
	require.NoError(t, err)
	sum, err := a.Add(b)
	require.NoError(t, err)
	return sum
}
