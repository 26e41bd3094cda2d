package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
	"github.com/isvkit/isvkit/sandbox/internal/usagebook"
)

func (s *server) ListUsageRecords(ctx context.Context, r ListUsageRecordsRequestObject) (ListUsageRecordsResponseObject, error) {
	var records []store.UsageRecord
	var err error
	if seller := access.From(ctx).Scope(); seller != "" {
		records, err = s.s.Store().UsageRecordsOfSeller(ctx, seller, limit(r.Params.Limit))
	} else {
		records, err = s.s.Store().UsageRecords(ctx, limit(r.Params.Limit))
	}
	list := ListUsageRecords200JSONResponse{UsageRecords: make([]sandboxapi.UsageRecord, len(records))}
	for i, u := range records {
		list.UsageRecords[i] = UsageView(u)
	}
	return list, err
}

// UsageView is a usage record as the control API shows it.
func UsageView(u store.UsageRecord) sandboxapi.UsageRecord {
	return sandboxapi.UsageRecord{
		MeteringSN: u.MeteringSN, InstanceID: u.InstanceID, PackageInstanceID: u.RelatePkgInstance, BeginTime: u.BeginTime, EndTime: u.EndTime,
		RecordTime: u.RecordTime, UsageValue: u.UsageValue, ReceivedTime: u.ReceivedAt, Accepted: u.Accepted(),
		ErrorCode: string(u.Rejection.Code), ErrorMsg: u.Rejection.Message, Warnings: u.Warnings,
	}
}

func (s *server) ListBills(ctx context.Context, r ListBillsRequestObject) (ListBillsResponseObject, error) {
	for name, day := range map[string]string{"from": r.Params.From, "to": r.Params.To} {
		if _, err := time.Parse(usage.DayFormat, day); err != nil && day != "" {
			return nil, fmt.Errorf("%w: %s %q: expected a day such as 2026-05-20", orderbook.ErrInvalid, name, day)
		}
	}
	line := r.Params.Instance
	if line != "" {
		i, err := s.s.Store().Instance(ctx, line)
		if errors.Is(err, store.ErrNotFound) {
			i, err = s.s.Store().InstanceByID(ctx, access.From(ctx).Scope(), line)
		}
		if err != nil {
			return nil, err
		}
		line = i.OrderLineID
	}
	var bills []usage.Bill
	var err error
	if seller := access.From(ctx).Scope(); seller != "" {
		bills, err = s.s.Store().BillsOfSeller(ctx, seller, line, r.Params.From, r.Params.To, limit(r.Params.Limit))
	} else {
		bills, err = s.s.Store().Bills(ctx, line, r.Params.From, r.Params.To, limit(r.Params.Limit))
	}
	if err != nil {
		return nil, err
	}
	var sum usage.Decimal
	ids := map[string]string{}
	list := ListBills200JSONResponse{Bills: make([]sandboxapi.Bill, len(bills))}
	for n, b := range bills {
		if _, known := ids[b.LineID]; !known {
			i, err := s.s.Store().Instance(ctx, b.LineID)
			if err != nil {
				return nil, err
			}
			ids[b.LineID] = i.InstanceID
		}
		sum = sum.Add(b.Amount)
		list.Bills[n] = sandboxapi.Bill{
			OrderLineID: b.LineID, InstanceID: ids[b.LineID], Day: b.Day, Price: b.Price.String(), Records: b.Records, Usage: b.Usage.String(),
			Deducted: b.Deducted.String(), Unpaid: b.Unpaid.String(), Charged: b.Charged.String(), Amount: b.Amount.String(),
		}
	}
	list.Amount = sum.String()
	return list, nil
}

func (s *server) ListPackages(ctx context.Context, r ListPackagesRequestObject) (ListPackagesResponseObject, error) {
	var instances []lifecycle.Instance
	var err error
	if seller := access.From(ctx).Scope(); seller != "" {
		instances, err = s.s.Store().PackagesOfSeller(ctx, seller, limit(r.Params.Limit))
	} else {
		instances, err = s.s.Store().Packages(ctx, limit(r.Params.Limit))
	}
	if err != nil {
		return nil, err
	}
	list := ListPackages200JSONResponse{Packages: []sandboxapi.Package{}}
	for _, i := range instances {
		use, err := s.s.Store().PackageUse(ctx, i.OrderLineID)
		p, err := usagebook.PackageOf(i, use, err)
		if err != nil {
			return nil, err
		}
		list.Packages = append(list.Packages, sandboxapi.Package{
			OrderLineID: i.OrderLineID, InstanceID: i.InstanceID, Amount: p.Amount.String(), Used: p.Used.String(), Left: p.Left().String(),
			StopWhenUsedUp: p.StopWhenUsedUp, FromTime: p.From, UntilTime: p.Until,
		})
	}
	return list, nil
}
