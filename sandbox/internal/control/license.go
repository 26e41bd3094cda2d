package control

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/licensebook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// licensesOf shows the licences that an order bought, in the order of its lines.
func (s *server) licensesOf(ctx context.Context, o store.Order) (views []sandboxapi.License, _ error) {
	licenses, err := s.s.Store().Licenses(ctx, o.OrderID, len(o.Document.OrderLine))
	for _, l := range slices.Backward(licenses) {
		view, viewErr := s.licenseView(ctx, l)
		err = errors.Join(err, viewErr)
		views = append(views, view)
	}
	return views, err
}

// acceptLicenses hands over what an order bought, if that is licences.
func (s *server) acceptLicenses(ctx context.Context, orderID string) (placed sandboxapi.OrderPlaced, _ error) {
	o, err := s.s.Store().Order(ctx, orderID)
	if err != nil {
		return placed, err
	}
	licenses, err := s.s.Store().Licenses(ctx, o.OrderID, len(o.Document.OrderLine))
	if err != nil || len(licenses) == 0 {
		return placed, err
	}
	for _, l := range licenses {
		if _, err := s.s.Licenses().HandOver(ctx, l.Code); err != nil {
			return placed, err
		}
	}
	if o, err = s.s.Store().Order(ctx, orderID); err != nil {
		return placed, err
	}
	placed.Order = orderView(o)
	placed.Licenses, err = s.licensesOf(ctx, o)
	return placed, err
}

func (s *server) licenseView(ctx context.Context, l license.License) (sandboxapi.License, error) {
	pending, err := s.s.Store().PendingCallsOf(ctx, licensebook.Subject(l.Code))
	return viewOfLicense(l, pending), err
}

func viewOfLicense(l license.License, pending int) sandboxapi.License {
	return sandboxapi.License{
		License: l.Code, Status: l.Status, OrderID: l.OrderID, OrderLineID: l.OrderLineID, SellerID: l.SellerID, ProductCode: l.ProductCode,
		SKUCode: l.SKUCode, ProductID: l.ProductID, Quantity: l.Quantity, CreateTime: l.CreateTime, Period: l.Period, ActivateTime: l.ActivateTime,
		ExpireTime: l.ExpireTime, ReleaseTime: l.ReleaseTime, Violation: l.Violation, Renewals: len(l.Renewals), CallsPending: pending,
	}
}

// licenseMoved is what came of a move, or its error.
func (s *server) licenseMoved(ctx context.Context, l license.License, err error) (sandboxapi.License, error) {
	if err != nil {
		return sandboxapi.License{}, err
	}
	return s.licenseView(ctx, l)
}

func (s *server) licenseOrder(ctx context.Context, o store.Order, l license.License, err error) (sandboxapi.LicenseOrder, error) {
	if err != nil {
		return sandboxapi.LicenseOrder{}, err
	}
	view, err := s.licenseView(ctx, l)
	return sandboxapi.LicenseOrder{OrderID: o.OrderID, OrderType: string(o.Type), License: view}, err
}

func (s *server) ListLicenses(ctx context.Context, r ListLicensesRequestObject) (ListLicensesResponseObject, error) {
	var licenses []license.License
	var err error
	if seller := access.From(ctx).Scope(); seller != "" {
		licenses, err = s.s.Store().LicensesOfSeller(ctx, seller, r.Params.OrderID, limit(r.Params.Limit))
	} else {
		licenses, err = s.s.Store().Licenses(ctx, r.Params.OrderID, limit(r.Params.Limit))
	}
	if err != nil {
		return nil, err
	}
	list := ListLicenses200JSONResponse{Licenses: make([]sandboxapi.License, len(licenses))}
	for n, l := range licenses {
		if list.Licenses[n], err = s.licenseView(ctx, l); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *server) GetLicense(ctx context.Context, r GetLicenseRequestObject) (GetLicenseResponseObject, error) {
	// What is under way is counted first, so that the licence is shown with what came of that which is not.
	pending, err := s.s.Store().PendingCallsOf(ctx, licensebook.Subject(r.License))
	if err != nil {
		return nil, err
	}
	l, err := s.s.Store().License(ctx, "", r.License)
	if err != nil {
		return nil, err
	}
	return GetLicense200JSONResponse(viewOfLicense(l, pending)), nil
}

func (s *server) HandOverLicense(ctx context.Context, r HandOverLicenseRequestObject) (HandOverLicenseResponseObject, error) {
	l, err := s.s.Licenses().HandOver(ctx, r.License)
	view, err := s.licenseMoved(ctx, l, err)
	return HandOverLicense200JSONResponse(view), err
}

func (s *server) RenewLicense(ctx context.Context, r RenewLicenseRequestObject) (RenewLicenseResponseObject, error) {
	o, l, err := s.s.Licenses().Renew(ctx, r.License, r.Body.Period)
	view, err := s.licenseOrder(ctx, o, l, err)
	return RenewLicense201JSONResponse(view), err
}

func (s *server) CancelLicenseRenewal(ctx context.Context, r CancelLicenseRenewalRequestObject) (CancelLicenseRenewalResponseObject, error) {
	o, l, err := s.s.Licenses().CancelRenewal(ctx, r.License)
	view, err := s.licenseOrder(ctx, o, l, err)
	return CancelLicenseRenewal201JSONResponse(view), err
}

func (s *server) UnsubscribeLicense(ctx context.Context, r UnsubscribeLicenseRequestObject) (UnsubscribeLicenseResponseObject, error) {
	o, l, err := s.s.Licenses().Unsubscribe(ctx, r.License)
	view, err := s.licenseOrder(ctx, o, l, err)
	return UnsubscribeLicense201JSONResponse(view), err
}

func (s *server) FreezeLicense(ctx context.Context, r FreezeLicenseRequestObject) (FreezeLicenseResponseObject, error) {
	l, err := s.s.Licenses().Freeze(ctx, r.License)
	view, err := s.licenseMoved(ctx, l, err)
	return FreezeLicense202JSONResponse(view), err
}

func (s *server) UnfreezeLicense(ctx context.Context, r UnfreezeLicenseRequestObject) (UnfreezeLicenseResponseObject, error) {
	l, err := s.s.Licenses().Unfreeze(ctx, r.License)
	view, err := s.licenseMoved(ctx, l, err)
	return UnfreezeLicense202JSONResponse(view), err
}

func licenseFileView(f store.LicenseFile) sandboxapi.LicenseFile {
	view := sandboxapi.LicenseFile{
		EventID: f.EventID, OrderLineID: f.LineID, InstanceID: f.InstanceID, DeviceFingerprint: f.Fingerprint, AskTime: f.AskedAt, Status: sandboxapi.FileAsked,
	}
	if !f.UploadedAt.IsZero() {
		view.Status, view.UploadTime, view.Type, view.FileName, view.Size, view.Sha256 = sandboxapi.FileUploaded, f.UploadedAt, string(f.Type), f.FileName, f.Size, f.SHA256
	}
	return view
}

func (s *server) AskLicenseFile(ctx context.Context, r AskLicenseFileRequestObject) (AskLicenseFileResponseObject, error) {
	f, err := s.s.Licenses().Ask(ctx, r.OrderLineID, r.Body.DeviceFingerprint)
	return AskLicenseFile201JSONResponse(licenseFileView(f)), err
}

func (s *server) ListLicenseFiles(ctx context.Context, r ListLicenseFilesRequestObject) (ListLicenseFilesResponseObject, error) {
	var files []store.LicenseFile
	var err error
	if seller := access.From(ctx).Scope(); seller != "" {
		files, err = s.s.Store().LicenseFilesOfSeller(ctx, seller, r.Params.OrderLineID, limit(r.Params.Limit))
	} else {
		files, err = s.s.Store().LicenseFiles(ctx, r.Params.OrderLineID, limit(r.Params.Limit))
	}
	list := ListLicenseFiles200JSONResponse{LicenseFiles: make([]sandboxapi.LicenseFile, len(files))}
	for n, f := range files {
		list.LicenseFiles[n] = licenseFileView(f)
	}
	return list, err
}

func (s *server) GetLicenseFile(ctx context.Context, r GetLicenseFileRequestObject) (GetLicenseFileResponseObject, error) {
	f, err := s.s.Store().LicenseFile(ctx, r.EventID)
	return GetLicenseFile200JSONResponse(licenseFileView(f)), err
}

func (s *server) DownloadLicenseFile(ctx context.Context, r DownloadLicenseFileRequestObject) (DownloadLicenseFileResponseObject, error) {
	content, err := s.s.Store().LicenseFileContent(ctx, r.EventID)
	return DownloadLicenseFile200ApplicationOctetStreamResponse{Body: bytes.NewReader(content), ContentLength: int64(len(content))}, err
}
