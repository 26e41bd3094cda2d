package delivery

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sdk/secret"
)

// asV1 says a call of V2 in the words of V1. Where V1 differs in more than words:
//
//   - An expiry is expireInstance for what is charged by period, instanceStatus FREEZE for all else.
//   - A violation, and its end, is told with instanceStatus whatever the charging mode; the Chinese guide names period products there,
//     the others do not. That a renewal by period needs no unfreezing is known to package lifecycle.
//   - queryInstance is for on-demand and packages. The details of any other instance are what newInstance answers, so it is sent
//     once more, as the marketplace does when a buyer opens the details. The order of the call is then the one that made the instance.
//   - There is no modifying of tenants and credentials: it is told by adding them again. Nor is an authorisation taken back: it is
//     deleted. Ours.
func (p *Prepared) asV1(address string, call lifecycle.Call, f Facts) error {
	switch body := call.Body.(type) {
	case providerapi.NewInstanceCall:
		p.v1NewInstance(address, body, f)
	case providerapi.QueryInstanceCall:
		mode := f.Instance.ChargingMode
		if !p.debug && (mode == marketplaceapi.ChargingPeriod || mode == marketplaceapi.ChargingOneTime) {
			again := providerapi.NewInstanceCall{OrderID: purchase(f), OrderLineID: f.Instance.OrderLineID, BusinessID: newBusinessID()}
			p.v1NewInstance(address, again, f)
			return nil
		}
		p.v1Base(address, "queryInstance", pairs{"instanceId": body.InstanceID, "testFlag": string(body.TestFlag)})
	case providerapi.RefreshInstanceCall:
		p.v1Refresh(address, body, f)
	case providerapi.UpdateInstanceStatusCall:
		p.v1Status(address, body, f)
	case providerapi.ReleaseInstanceCall:
		p.v1Base(address, "releaseInstance", pairs{
			"instanceId": body.InstanceID, "orderId": purchase(f), "testFlag": string(body.TestFlag),
		})
	case providerapi.UpgradeInstanceCall:
		line, ok := p.line(f, body.OrderLineID)
		if !ok {
			return nil
		}
		product := line.ProductInfo[0]
		p.v1Base(address, "upgrade", pairs{
			"instanceId": body.InstanceID, "orderId": body.OrderID, "skuCode": product.SKUCode, "productId": product.ProductID,
			linearName(f.Linear): linearValue(product), "saasExtendParams": extendParams(line.ExtendParams), "testFlag": string(body.TestFlag),
		})
	case providerapi.ChangeInstanceCheckCall:
		p.cannot("access interface V1 has no call to check a change before a renewal; list the product with V2")
	default:
		return p.v1Kit(address, call.Body)
	}
	return nil
}

// cannot says that, and why, there is no such call. The first reason stands.
func (p *Prepared) cannot(format string, args ...any) {
	if p.Problem == "" {
		p.Problem = fmt.Sprintf(format, args...)
	}
}

// pairs are parameters; empty ones are not sent.
type pairs map[string]string

// v1Base makes a base call: all of it is in the query, and signed with whatever query the production address has itself. The address
// shows the parameters in their order; timeStamp and authToken follow when it is signed.
func (p *Prepared) v1Base(address, name string, params pairs) {
	path, own, _ := strings.Cut(address, "?")
	query, err := url.ParseQuery(own)
	if err != nil {
		p.cannot("the query of the production address cannot be read")
	}
	p.Name, p.Method, p.query = name, http.MethodGet, query
	p.query.Set("activity", name)
	for name, value := range params {
		if value != "" && name != "" {
			p.query.Set(name, value)
		}
	}
	p.Address = path + "?" + p.query.Encode()
}

// purchase is the order that made the instance.
func purchase(f Facts) string {
	if f.Instance.OrderID != "" {
		return f.Instance.OrderID
	}
	return f.Order.OrderID
}

func (p *Prepared) line(f Facts, lineID string) (marketplaceapi.OrderLine, bool) {
	if f.OrderLineID != "" {
		lineID = f.OrderLineID
	}
	for i, line := range f.Order.OrderLine {
		if (line.OrderLineID == lineID || lineID == "" && i == 0) && len(line.ProductInfo) > 0 {
			return line, true
		}
	}
	p.cannot("the order of this call is not known, or has no line %q with a product; V1 sends its details along", lineID)
	return marketplaceapi.OrderLine{}, false
}

var v1ChargingModes = map[marketplaceapi.ChargingMode]string{
	marketplaceapi.ChargingOnDemand: "0", marketplaceapi.ChargingPeriod: "1", marketplaceapi.ChargingOneTime: "3", marketplaceapi.ChargingPackage: "5",
}

// provisionAtOnce is the provisionType of instances that are opened on payment. The value for those that wait for the buyer's
// acceptance is not published: they have an acceptanceTime instead.
const provisionAtOnce = "3"

func (p *Prepared) v1NewInstance(address string, body providerapi.NewInstanceCall, f Facts) {
	line, ok := p.line(f, body.OrderLineID)
	if !ok {
		p.v1Base(address, "newInstance", nil)
		return
	}
	product, buyer := line.ProductInfo[0], f.Order.BuyerInfo
	if buyer.CustomerID == "" {
		p.cannot("the buyer of order %s has no customerId, which V1 sends along", f.Order.OrderID)
	}
	params := pairs{
		"businessId": body.BusinessID, "orderId": body.OrderID, "testFlag": string(body.TestFlag),
		"customerId": buyer.CustomerID, "customerName": buyer.CustomerName, "userId": buyer.UserID, "userName": buyer.UserName,
		"mobilePhone": p.encrypted("mobilePhone", buyer.MobilePhone), "email": p.encrypted("email", buyer.Email),
		"skuCode": product.SKUCode, "productId": product.ProductID, linearName(f.Linear): linearValue(product),
		"chargingMode": v1ChargingModes[line.ChargingMode], "orderAmount": line.CurrencyAfterDiscount,
		"saasExtendParams": extendParams(line.ExtendParams), "provisionType": provisionAtOnce,
	}
	if f.Order.OrderType == marketplaceapi.OrderTrial {
		params["trialFlag"] = "1"
	}
	if line.ChargingMode == marketplaceapi.ChargingPeriod || line.ChargingMode == marketplaceapi.ChargingPackage {
		params["expireTime"] = line.ExpireTime
		params.period(line)
	}
	if !f.Accepted.IsZero() {
		params["provisionType"], params["acceptanceTime"] = "", digitsOf(f.Accepted.UTC())
	}
	p.v1Base(address, "newInstance", params)
}

func (params pairs) period(line marketplaceapi.OrderLine) {
	params["periodType"] = string(line.PeriodType)
	if line.PeriodNumber > 0 {
		params["periodNumber"] = strconv.Itoa(line.PeriodNumber)
	}
}

func (p *Prepared) v1Refresh(address string, body providerapi.RefreshInstanceCall, f Facts) {
	params := pairs{
		"instanceId": body.InstanceID, "orderId": body.OrderID, "productId": body.ProductID, "expireTime": body.ExpireTime, "testFlag": string(body.TestFlag),
	}
	if line, ok := p.line(f, body.OrderLineID); ok {
		params.period(line)
		params["orderAmount"] = strings.TrimPrefix(line.CurrencyAfterDiscount, "-")
	}
	switch body.Scene {
	case providerapi.SceneTrialToFormal:
		params["trialToFormal"] = "1"
	case providerapi.SceneUnsubscribeRenewalPeriod: // V1 knows it by the sign alone
		params["orderAmount"] = "-" + orText(params["orderAmount"], "0")
	case providerapi.SceneRenewalChange:
		p.cannot("access interface V1 cannot renew with a change; list the product with V2")
	}
	p.v1Base(address, "refreshInstance", params)
}

func orText(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

func (p *Prepared) v1Status(address string, body providerapi.UpdateInstanceStatusCall, f Facts) {
	freeze := body.Status == providerapi.StatusFreeze
	if freeze && f.Instance.ChargingMode == marketplaceapi.ChargingPeriod && !f.Instance.Violation {
		p.v1Base(address, "expireInstance", pairs{"instanceId": body.InstanceID, "orderId": purchase(f), "testFlag": string(body.TestFlag)})
		return
	}
	status := "NORMAL"
	if freeze {
		status = "FREEZE"
	}
	p.v1Base(address, "instanceStatus", pairs{"instanceId": body.InstanceID, "instanceStatus": status, "testFlag": string(body.TestFlag)})
}

// linearName is the parameter that has the quantity.
func linearName(attribute string) string {
	switch strings.ToLower(attribute) {
	case "disksize":
		return "diskSize"
	case "bandwidth":
		return "bandWidth"
	}
	return "amount"
}

func linearValue(product marketplaceapi.ProductInfo) string {
	if product.LinearValue == 0 {
		return ""
	}
	return strconv.Itoa(product.LinearValue)
}

// extendParams is Base64 of the JSON array of names and values.
func extendParams(params []marketplaceapi.ExtendParam) string {
	if len(params) == 0 {
		return ""
	}
	text, _ := encode(params) // two texts each
	return base64.StdEncoding.EncodeToString(text)
}

// encrypted encrypts a field as V1 does, with the key size that is the vendor's default.
func (p *Prepared) encrypted(name, plain string) string {
	if plain == "" || p.key == "" {
		return ""
	}
	crypt, err := secret.NewFields(p.key, secret.AES256)
	if err == nil {
		var text string
		if text, err = crypt.Encrypt(plain); err == nil {
			return text
		}
	}
	var tooLong *secret.Error
	if errors.As(err, &tooLong) {
		p.cannot("the buyer's %s is too long for V1: %s", name, tooLong.Detail)
	} else {
		p.cannot("the buyer's %s cannot be encrypted", name)
	}
	return ""
}

// v1Kit makes a kit call, whose lists are texts in V1.
func (p *Prepared) v1Kit(address string, body any) error {
	contract, ok := providerapi.LookupV1(p.Name)
	if !ok {
		return fmt.Errorf("V1 has no such call")
	}
	p.Address = under(address, contract.SubPath)
	switch b := body.(type) {
	case providerapi.TenantSyncCall:
		b.Flag = added(b.Flag)
		body = b
	case providerapi.ApplicationSyncCall:
		b.Flag = added(b.Flag)
		body = b
	case providerapi.AuthSyncCall:
		users, err := v1Users(b.UserList)
		if err != nil {
			return fmt.Errorf("userList: %w", err)
		}
		if b.UserList, err = encode(users); err != nil {
			return err
		}
		if b.Flag == providerapi.AuthFlagCancel {
			b.Flag = providerapi.AuthFlagDelete
		}
		body = b
	case providerapi.AllOrgSyncCall:
		departments, err := v1Departments(b.OrgInfoList)
		if err != nil {
			return fmt.Errorf("orgInfoList: %w", err)
		}
		body = struct {
			InstanceID string                  `json:"instanceId"`
			OrgInfo    string                  `json:"orgInfo"`
			TenantID   string                  `json:"tenantId"`
			TestFlag   providerapi.KitTestFlag `json:"testFlag"`
			TimeStamp  string                  `json:"timeStamp"`
		}{b.InstanceID, departments, b.TenantID, b.TestFlag, b.TimeStamp}
	}
	var err error
	p.Body, err = encode(body)
	return err
}

func added(flag providerapi.ChangeFlag) providerapi.ChangeFlag {
	if flag == providerapi.FlagModify {
		return providerapi.FlagAdd
	}
	return flag
}

// list decodes a list that comes as an array, or as the JSON text of one.
func list[T any](raw json.RawMessage) (items []T, err error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	err = json.Unmarshal(raw, &items)
	return items, err
}

// v1Users gives users as V1 writes them: three of their fields stand in an object of their own.
func v1Users(raw json.RawMessage) (string, error) {
	users, err := list[providerapi.User](raw)
	if err != nil {
		return "", err
	}
	type extension struct {
		EmployeeType providerapi.UserEmployeeType `json:"employeeType,omitempty"`
		EntryDate    string                       `json:"entryDate,omitempty"`
		WorkPlace    string                       `json:"workPlace,omitempty"`
	}
	type user struct {
		providerapi.User
		Extension extension `json:"extension,omitzero"`
	}
	all := make([]user, len(users))
	for i, u := range users {
		all[i].Extension = extension{u.EmployeeType, u.EntryDate, u.WorkPlace}
		u.EmployeeType, u.EntryDate, u.WorkPlace = 0, "", ""
		all[i].User = u
	}
	text, err := encode(all)
	return string(text), err
}

// v1Departments gives departments as V1 writes them: their name is name.
func v1Departments(raw json.RawMessage) (string, error) {
	departments, err := list[providerapi.Department](raw)
	if err != nil {
		return "", err
	}
	type department struct {
		Name       string `json:"name"`
		OrgCode    string `json:"orgCode"`
		ParentCode string `json:"parentCode"`
	}
	all := make([]department, len(departments))
	for i, d := range departments {
		all[i] = department{d.OrgName, d.OrgCode, d.ParentCode}
	}
	text, err := encode(all)
	return string(text), err
}

// v1Time is the timeStamp of a base call.
func v1Time(t time.Time) string { return digitsOf(t.UTC()) }
