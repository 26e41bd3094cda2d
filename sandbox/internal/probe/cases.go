package probe

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
)

// Key names a debug case: a product has at most one of each.
type Key struct {
	Activity string // as the product's access interface names it
	Scene    string // what tells cases of one activity apart; empty where there is one only
}

func (k Key) String() string { return strings.TrimSpace(k.Activity + " " + k.Scene) }

// Preset is a case with the parameters that the console would have filled in.
type Preset struct {
	Key
	// Call is the call in the words of V2. Its OrderID is a mock order; from that comes what V1 sends along.
	Call lifecycle.Call
}

// What presets name. The console's own values are not published; these are those of the guide's examples, and, where a mock order fits,
// its id, so that an ISV that asks for the order gets one (register: DEBUG-IDS).
const (
	presetOrder    = "CS2211181819B4LVS"
	presetInstance = "7f141bf1-aec8-4859-8323-fb3a8ad50721"
	presetTenant   = "68cbc86abc2018ab880d92f36422fa0e"
	presetApp      = "KAPP-20220413-0001"
	presetLicense  = "LIC-20231027-0001"
	presetExpire   = "20991231155959"
	// PresetSecret is the client secret of the case applicationSync, in clear. The ISV gets it encrypted with its public key.
	PresetSecret = "isvkit-debug-secret" //nolint:gosec // made up, for debug calls
)

var mockOf = map[marketplaceapi.ChargingMode]string{
	marketplaceapi.ChargingPeriod: "MOCKPERIODYEARNEW", marketplaceapi.ChargingOneTime: "MOCKONETIMENEW",
	marketplaceapi.ChargingOnDemand: "MOCKONDEMAND", marketplaceapi.ChargingPackage: "MOCKONDEMANDPKG",
}

// modes is the order in which cases of several charging modes are listed.
var modes = []marketplaceapi.ChargingMode{
	marketplaceapi.ChargingPeriod, marketplaceapi.ChargingOneTime, marketplaceapi.ChargingOnDemand, marketplaceapi.ChargingPackage,
}

// needs is what decides which cases a product needs.
type needs struct {
	modes      []marketplaceapi.ChargingMode
	lasting    bool // something but one-time is sold
	metered    bool // something by usage is sold
	trials     bool
	upgradable bool
}

func needsOf(p catalogue.Product) (n needs) {
	periodSKUs := 0
	for _, sku := range p.SKUs {
		n.trials = n.trials || sku.TrialDays > 0
		if sku.ChargingMode == marketplaceapi.ChargingPeriod {
			periodSKUs++
			n.upgradable = n.upgradable || sku.Linear != "" || periodSKUs > 1
		}
	}
	for _, mode := range modes {
		if !slices.ContainsFunc(p.SKUs, func(s catalogue.SKU) bool { return s.ChargingMode == mode }) {
			continue
		}
		n.modes = append(n.modes, mode)
		n.lasting = n.lasting || mode != marketplaceapi.ChargingOneTime
		n.metered = n.metered || mode == marketplaceapi.ChargingOnDemand || mode == marketplaceapi.ChargingPackage
	}
	return n
}

func (n needs) sells(mode marketplaceapi.ChargingMode) bool { return slices.Contains(n.modes, mode) }

// Needed gives the cases that a product needs before it may be on sale, by what it sells: the table of the guide (V2) and the overview of
// the V1 guide. Which scenes of refreshInstance belong to which product is ours: the one for trials where trials are sold, those about
// renewals where something is charged by period.
func Needed(p catalogue.Product) []Preset {
	n := needsOf(p)
	var list []Preset
	switch {
	case p.License:
		list = licenseCases()
	case p.Access == catalogue.AccessV1:
		list = n.v1()
	default:
		list = n.v2(p)
	}
	if p.Kit {
		list = append(list, kitCases()...)
	}
	if p.OrderNotify {
		list = append(list, Preset{Key{"orderNotify", ""}, lifecycle.Call{
			Activity: providerapi.ActivityOrderNotify, OrderID: mockOf[n.modes[0]], Body: providerapi.OrderNotifyCall{
				Activity: providerapi.ActivityOrderNotify, OrderID: presetOrder, OrderLineID: order.LineID(presetOrder, 1),
			},
		}})
	}
	return list
}

func newInstance(mode marketplaceapi.ChargingMode) Preset {
	id := mockOf[mode]
	return Preset{Key{"newInstance", string(mode)}, lifecycle.Call{Activity: providerapi.ActivityNewInstance, OrderID: id, Body: providerapi.NewInstanceCall{
		Activity: providerapi.ActivityNewInstance, OrderID: id, OrderLineID: order.LineID(id, 1),
	}}}
}

func queryInstance(mock string) Preset {
	return Preset{Key{"queryInstance", ""}, lifecycle.Call{Activity: providerapi.ActivityQueryInstance, OrderID: mock, Body: providerapi.QueryInstanceCall{
		Activity: providerapi.ActivityQueryInstance, InstanceID: presetInstance,
	}}}
}

func refreshInstance(scene providerapi.Scene) Preset {
	id := map[providerapi.Scene]string{
		providerapi.SceneRenewal: "MOCKMONTYRENEW", providerapi.SceneTrialToFormal: "MOCKMONTYTRIALTOFORMAL",
		providerapi.SceneUnsubscribeRenewalPeriod: "MOCKMONTYUNSUBSCRIBE", providerapi.SceneRenewalChange: "MOCKMONTYCHANGE",
	}[scene]
	return Preset{Key{"refreshInstance", string(scene)}, lifecycle.Call{Activity: providerapi.ActivityRefreshInstance, OrderID: id, Body: providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, InstanceID: presetInstance, Scene: scene, OrderID: id, OrderLineID: order.LineID(id, 1), ExpireTime: presetExpire,
	}}}
}

func setStatus(key Key, mock string, status providerapi.InstanceStatus) Preset {
	return Preset{key, lifecycle.Call{Activity: providerapi.ActivityUpdateInstanceStatus, OrderID: mock, Body: providerapi.UpdateInstanceStatusCall{
		Activity: providerapi.ActivityUpdateInstanceStatus, InstanceID: presetInstance, Status: status,
	}}}
}

func releaseInstance() Preset {
	const id = "MOCKMONTYUNSUBSCRIBE"
	return Preset{Key{"releaseInstance", ""}, lifecycle.Call{Activity: providerapi.ActivityReleaseInstance, OrderID: id, Body: providerapi.ReleaseInstanceCall{
		Activity: providerapi.ActivityReleaseInstance, InstanceID: presetInstance, OrderID: id, OrderLineID: order.LineID(id, 1),
	}}}
}

func upgradeInstance(name string) Preset {
	const id = "MOCKMONTYCHANGE"
	return Preset{Key{name, ""}, lifecycle.Call{Activity: providerapi.ActivityUpgradeInstance, OrderID: id, Body: providerapi.UpgradeInstanceCall{
		Activity: providerapi.ActivityUpgradeInstance, InstanceID: presetInstance, OrderID: id, OrderLineID: order.LineID(id, 1),
	}}}
}

func (n needs) v2(p catalogue.Product) (list []Preset) {
	for _, mode := range n.modes {
		list = append(list, newInstance(mode))
	}
	first := mockOf[n.modes[0]]
	list = append(list, queryInstance(first))
	if n.lasting {
		list = append(list, refreshInstance(providerapi.SceneRenewal))
	}
	if n.trials {
		list = append(list, refreshInstance(providerapi.SceneTrialToFormal))
	}
	if n.sells(marketplaceapi.ChargingPeriod) {
		list = append(list, refreshInstance(providerapi.SceneUnsubscribeRenewalPeriod))
	}
	if p.ChangeCheck {
		list = append(list, refreshInstance(providerapi.SceneRenewalChange))
	}
	if n.lasting {
		list = append(list,
			setStatus(Key{"updateInstanceStatus", "FREEZE"}, first, providerapi.StatusFreeze),
			setStatus(Key{"updateInstanceStatus", "UNFREEZE"}, first, providerapi.StatusUnfreeze))
	}
	if n.upgradable {
		list = append(list, upgradeInstance("upgradeInstance"))
	}
	if p.ChangeCheck {
		info, _ := json.Marshal(marketplaceapi.ProductInfo{ // texts and a number
			ProductID: "OFFI461867333479178240", SKUCode: "0a4d1578-5295-46a7-92d4-7c803dccc51d", LinearValue: 50, ProductName: "Mock product",
		})
		list = append(list, Preset{Key{"changeInstanceCheck", ""}, lifecycle.Call{Activity: providerapi.ActivityChangeInstanceCheck, OrderID: first, Body: providerapi.ChangeInstanceCheckCall{
			Activity: providerapi.ActivityChangeInstanceCheck, InstanceID: presetInstance, ProductInfo: info,
		}}})
	}
	return append(list, releaseInstance())
}

// v1: an expiry is expireInstance for what is charged by period, instanceStatus for what is metered, and only that is queried.
func (n needs) v1() (list []Preset) {
	for _, mode := range n.modes {
		list = append(list, newInstance(mode))
	}
	if n.sells(marketplaceapi.ChargingPeriod) {
		list = append(list, refreshInstance(providerapi.SceneRenewal))
		if n.trials {
			list = append(list, refreshInstance(providerapi.SceneTrialToFormal))
		}
		list = append(list, setStatus(Key{"expireInstance", ""}, mockOf[marketplaceapi.ChargingPeriod], providerapi.StatusFreeze))
	}
	if n.metered {
		metered := mockOf[n.modes[len(n.modes)-1]]
		list = append(list,
			setStatus(Key{"instanceStatus", "FREEZE"}, metered, providerapi.StatusFreeze),
			setStatus(Key{"instanceStatus", "NORMAL"}, metered, providerapi.StatusUnfreeze),
			queryInstance(metered))
	}
	if n.upgradable {
		list = append(list, upgradeInstance("upgrade"))
	}
	return append(list, releaseInstance())
}

func licenseCases() []Preset {
	refresh := func(scene providerapi.Scene, id string) Preset {
		return Preset{Key{"refreshLicenseCode", string(scene)}, lifecycle.Call{Activity: providerapi.ActivityRefreshLicenseCode, OrderID: id, Body: providerapi.RefreshLicenseCodeCall{
			Activity: providerapi.ActivityRefreshLicenseCode, Scene: scene, OrderID: id, OrderLineID: order.LineID(id, 1), License: presetLicense, ExpireTime: presetExpire,
		}}}
	}
	status := func(status providerapi.InstanceStatus) Preset {
		return Preset{Key{"updateLicenseCodeStatus", string(status)}, lifecycle.Call{Activity: providerapi.ActivityUpdateLicenseCodeStatus, Body: providerapi.UpdateLicenseCodeStatusCall{
			Activity: providerapi.ActivityUpdateLicenseCodeStatus, License: presetLicense, Status: status,
		}}}
	}
	return []Preset{
		refresh(providerapi.SceneRenewal, "MOCKMONTYRENEW"), refresh(providerapi.SceneUnsubscribeRenewalPeriod, "MOCKMONTYUNSUBSCRIBE"),
		status(providerapi.StatusFreeze), status(providerapi.StatusUnfreeze),
		{Key{"releaseLicenseCode", ""}, lifecycle.Call{Activity: providerapi.ActivityReleaseLicenseCode, Body: providerapi.ReleaseLicenseCodeCall{
			Activity: providerapi.ActivityReleaseLicenseCode, License: presetLicense,
		}}},
	}
}

func kitCases() []Preset {
	const appID, tenantID = presetApp, presetTenant
	users, _ := json.Marshal([]providerapi.User{{ // texts
		UserName: "zhangsan", Name: "Zhang San", OrgCode: "o-1", Role: providerapi.RoleUser, Enable: providerapi.EnableTrue,
	}})
	departments, _ := json.Marshal([]providerapi.Department{{OrgCode: "o-1", OrgName: "Sales"}})
	call := func(activity providerapi.Activity, body any) Preset {
		return Preset{Key{string(activity), ""}, lifecycle.Call{Activity: activity, Body: body}}
	}
	return []Preset{
		call("tenantSync", providerapi.TenantSyncCall{
			InstanceID: presetInstance, OrderID: presetOrder, TenantID: tenantID, TenantCode: "huawei", Name: "huaiweitest",
			DomainName: "https://example.tenantaccount.com", Flag: providerapi.FlagAdd,
		}),
		call("applicationSync", providerapi.ApplicationSyncCall{
			InstanceID: presetInstance, TenantID: tenantID, AppID: appID, ClientID: "c-1", ClientSecret: PresetSecret, Flag: providerapi.FlagAdd,
		}),
		call("authSync", providerapi.AuthSyncCall{InstanceID: presetInstance, TenantID: tenantID, AppID: appID, UserList: users, Flag: providerapi.AuthFlagAdd}),
		call("singleOrgSync", providerapi.SingleOrgSyncCall{
			InstanceID: presetInstance, TenantID: tenantID, OrgCode: "o-1", OrgName: "Sales", Flag: providerapi.FlagAdd,
		}),
		call("allOrgSync", providerapi.AllOrgSyncCall{InstanceID: presetInstance, TenantID: tenantID, OrgInfoList: departments}),
	}
}

// fixed are the fields that a case cannot choose: they make it the case that it is, or are set on every call.
var fixed = map[string]string{
	"activity": "", "scene": "", "status": "", "flag": "", "businessId": `"61e834ba-7b97-4418-b8f7-e5345137278c"`, "testFlag": "",
	"timeStamp": `"20220413093539534"`, "currentSyncTime": `"20220413093539534"`,
}

// With gives the preset with other parameters, by their names in V2. A parameter that the call does not have, or that breaks the
// contract, is an error. A client secret is given in clear.
func (p Preset) With(access catalogue.Access, parameters map[string]json.RawMessage) (Preset, error) {
	if len(parameters) == 0 {
		return p, nil
	}
	text, err := json.Marshal(p.Call.Body)
	if err != nil {
		return p, err
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(text, &body); err != nil {
		return p, err
	}
	contract, ok := providerapi.Lookup(string(p.Call.Activity))
	if !ok {
		return p, fmt.Errorf("the contract has no call %s", p.Call.Activity)
	}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		known := slices.ContainsFunc(contract.Fields, func(f providerapi.Field) bool { return f.Name == name })
		if _, given := fixed[name]; given || !known {
			return p, invalid("parameters: %s cannot be chosen for %s; there are %s", name, p.Key, strings.Join(choices(contract), ", "))
		}
		body[name] = parameters[name]
	}
	if _, chosen := parameters["orderId"]; chosen && parameters["orderLineId"] == nil && body["orderLineId"] != nil {
		var id string
		if json.Unmarshal(body["orderId"], &id) == nil {
			body["orderLineId"], _ = json.Marshal(order.LineID(id, 1)) // a text
		}
	}
	if violations := contract.Check(filled(body, contract)); len(violations) > 0 {
		return p, invalid("parameters: %s", violations[0])
	}
	if p.Call.Body, err = decode(p.Call.Body, body); err != nil {
		return p, invalid("parameters: %s is not of the right type", p.Key)
	}
	if contract.Class != providerapi.ClassBase {
		return p, nil
	}
	return p.about(access, body["orderId"])
}

// about makes the call one about the mock order that its parameter orderId names.
func (p Preset) about(access catalogue.Access, orderID json.RawMessage) (Preset, error) {
	var id string
	if len(orderID) == 0 || json.Unmarshal(orderID, &id) != nil {
		return p, nil
	}
	if _, ok := order.Mock(id); ok {
		p.Call.OrderID = id
	} else if access == catalogue.AccessV1 {
		return p, invalid("parameters: orderId: access interface V1 sends the order's details along, so it must be one of the mock orders, such as MOCKPERIODYEARNEW")
	}
	return p, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", catalogue.ErrInvalid, fmt.Errorf(format, args...))
}

func choices(c *providerapi.Call) (names []string) {
	for _, f := range c.Fields {
		if _, given := fixed[f.Name]; !given {
			names = append(names, f.Name)
		}
	}
	return names
}

// filled adds what is set on every call, so that the rest can be compared with the contract.
func filled(body map[string]json.RawMessage, c *providerapi.Call) map[string]json.RawMessage {
	body = maps.Clone(body)
	for _, f := range c.Fields {
		if example := fixed[f.Name]; example != "" {
			body[f.Name] = json.RawMessage(example)
		}
	}
	return body
}

// decode reads fields into a body of the same type as like.
func decode(like any, fields map[string]json.RawMessage) (any, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	body := reflect.New(reflect.TypeOf(like))
	err = json.Unmarshal(text, body.Interface())
	return body.Elem().Interface(), err
}

// Parameters gives a call's parameters as a case shows them: without what is set on every call, and without the client secret.
func Parameters(call lifecycle.Call) (map[string]any, error) {
	text, err := json.Marshal(call.Body)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for name := range fixed {
		delete(all, name)
	}
	if _, ok := all["clientSecret"]; ok {
		all["clientSecret"] = "(encrypted)"
	}
	return all, nil
}
