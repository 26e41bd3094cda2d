// Package delivery makes one attempt at a call: it puts the call into the words of the access interface, signs it, sends it to the
// ISV, and judges the answer as the marketplace would. It keeps nothing; the journal is the caller's.
//
// The rules of package lifecycle decide in the words of V2. For a product that was listed with V1 a call is translated here, see
// v1.go.
package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// Target is whom a call goes to. It is never printed: it has the keys.
type Target struct {
	Address string // the production address
	Access  catalogue.Access
	Keys    catalogue.Keys
}

// Format keeps the keys out of logs.
func (t Target) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("{" + t.Address + ", keys redacted}"))
}

// Facts are what V1 sends along with a call, and V2 does not. Calls of V2, kit calls included, need none.
type Facts struct {
	// Order is the order that the call carries out; where there is none, the one that created the instance.
	Order marketplaceapi.OrderInfo
	// OrderLineID is the line of Order that the call is about. Empty: its first.
	OrderLineID string
	// Instance is the instance that the call is about, as it is now.
	Instance lifecycle.Instance
	// Linear is the name of the SKU's linear attribute; diskSize and bandWidth are parameters of V1, anything else is its amount.
	Linear string
	// Accepted is when the buyer accepted, for products that are opened then.
	Accepted time.Time
}

// Options are about one attempt.
type Options struct {
	Debug bool             // a debug call, as the console and the probes make them
	Now   func() time.Time // real time; default time.Now
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Prepared is an attempt that is ready to be sent. What is signed, and the signature, is made by [Sender.Send].
type Prepared struct {
	Activity providerapi.Activity // as decided: the name in V2, kit calls included
	Name     string               // as sent: the name in V1 where it goes by V1
	Class    providerapi.Class
	Access   catalogue.Access // V2, or V1
	Method   string
	Address  string // with the sub-path; base calls of V1: with the parameters that do not depend on the time
	Body     []byte // nil for base calls of V1

	// Problem says why the call cannot be made: a key that is missing, a call that V1 does not have. Send then sends nothing, and
	// says so in its Result.
	Problem string

	query      url.Values // base calls of V1
	key        string
	keyName    string // of the environment variable
	now        func() time.Time
	debug      bool
	instanceID string // which the answer has to be about
	metered    bool   // its answer has to tell the usage
}

// Format keeps the key out of logs.
func (p Prepared) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("{" + p.Name + " to " + p.Address + "}"))
}

// KeyVariable names the environment variable by which the other parts of isvkit know the key that signs the attempt.
func (p Prepared) KeyVariable() string { return p.keyName }

// The environment variables of the access keys.
const (
	baseVariable    = "ISVKIT_BASE_KEY"
	kitVariable     = "ISVKIT_KIT_KEY"
	generalVariable = "ISVKIT_GENERAL_KEY"
	licenseVariable = "ISVKIT_LICENSE_KEY"
)

// Prepare puts a call into the words of the target's access interface. A newInstance gets a new businessId each time, a kit call
// its times. The error is about a call that the sandbox itself made wrong; what the target lacks is told by Prepared.Problem.
func Prepare(t Target, call lifecycle.Call, f Facts, o Options) (Prepared, error) {
	contract, known := providerapi.Lookup(string(call.Activity))
	if !known {
		return Prepared{Activity: call.Activity}, fmt.Errorf("prepare: the contract has no call %q", call.Activity)
	}
	p := Prepared{
		Activity: call.Activity, Name: contract.Name, Class: contract.Class, Access: catalogue.AccessV2, Method: http.MethodPost,
		Address: under(t.Address, contract.SubPath), debug: o.Debug, now: o.now,
	}
	// Order notices and licence calls are signed by V2 whatever the product was listed with: V1 has nothing of the kind.
	if t.Access == catalogue.AccessV1 && (p.Class == providerapi.ClassBase || p.Class == providerapi.ClassKit) {
		p.Access = catalogue.AccessV1
	}
	p.takeKey(t.Keys)
	if t.Address == "" {
		p.Problem = "the ISV has no production address; set it with: isv-sandbox provider URL"
	} else if err := catalogue.CheckAddress(t.Address); err != nil {
		p.Problem = err.Error()
	}
	body, err := perAttempt(call.Body, o)
	if err != nil {
		return p, fmt.Errorf("prepare %s: %w", call.Activity, err)
	}
	call.Body = body
	if q, ok := body.(providerapi.QueryInstanceCall); ok {
		p.instanceID = q.InstanceID
		p.metered = Metered(f.Instance)
	}
	if p.Access == catalogue.AccessV1 {
		if err := p.asV1(t.Address, call, f); err != nil {
			return p, fmt.Errorf("prepare %s: %w", call.Activity, err)
		}
		return p, nil
	}
	if p.Body, err = encode(body); err != nil {
		return p, fmt.Errorf("prepare %s: %w", call.Activity, err)
	}
	return p, nil
}

// under appends a sub-path to the path of an address, which may have a query.
func under(address, subPath string) string {
	if subPath == "" {
		return address
	}
	path, query, has := strings.Cut(address, "?")
	path = strings.TrimSuffix(path, "/") + subPath
	if has {
		path += "?" + query
	}
	return path
}

func (p *Prepared) takeKey(keys catalogue.Keys) {
	switch {
	case p.Class == providerapi.ClassBase || p.Access == catalogue.AccessV1:
		p.key, p.keyName = keys.Base, baseVariable
	case p.Class == providerapi.ClassKit:
		p.key, p.keyName = keys.Kit, kitVariable
	case p.Class == providerapi.ClassGeneral:
		p.key, p.keyName = keys.General, generalVariable
	case p.Class == providerapi.ClassLicense:
		p.key, p.keyName = keys.License, licenseVariable
	}
	if p.key == "" {
		p.Problem = fmt.Sprintf("the seller has no access key of the class %s, which signs %s; set %s in the sandbox's key file, and at the ISV",
			p.Class, p.Name, p.keyName)
	}
}

// encode gives compact JSON with sorted names, as the marketplace sends it: the fields of the generated types are in order.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the marketplace's encoder does not
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// beijing is where kit calls have their time from.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// digitsOf writes a time as yyyyMMddHHmmssSSS.
func digitsOf(t time.Time) string {
	return strings.Replace(t.Format("20060102150405.000"), ".", "", 1)
}

// perAttempt sets what differs from attempt to attempt.
func perAttempt(body any, o Options) (any, error) {
	flag, kitFlag := providerapi.TestFlag(""), providerapi.KitTestFlagReal
	if o.Debug {
		flag, kitFlag = providerapi.TestFlagDebug, providerapi.KitTestFlagDebug
	}
	stamp := func() string { return digitsOf(o.now().In(beijing)) }
	switch b := body.(type) {
	case providerapi.NewInstanceCall:
		b.BusinessID, b.TestFlag = newBusinessID(), flag
		return b, nil
	case providerapi.QueryInstanceCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.RefreshInstanceCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.UpdateInstanceStatusCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.ReleaseInstanceCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.UpgradeInstanceCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.ChangeInstanceCheckCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.OrderNotifyCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.RefreshLicenseCodeCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.UpdateLicenseCodeStatusCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.ReleaseLicenseCodeCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.GetLicenseAsyncCall:
		b.TestFlag = flag
		return b, nil
	case providerapi.TenantSyncCall:
		b.TestFlag, b.TimeStamp = kitFlag, stamp()
		return b, nil
	case providerapi.ApplicationSyncCall:
		b.TestFlag, b.TimeStamp = kitFlag, stamp()
		return b, nil
	case providerapi.AuthSyncCall:
		b.TestFlag, b.TimeStamp = kitFlag, stamp()
		b.CurrentSyncTime = b.TimeStamp
		return b, nil
	case providerapi.SingleOrgSyncCall:
		b.TestFlag, b.TimeStamp = kitFlag, stamp()
		return b, nil
	case providerapi.AllOrgSyncCall:
		b.TestFlag, b.TimeStamp = kitFlag, stamp()
		return b, nil
	}
	return nil, fmt.Errorf("a body of type %T is none of the contract's calls", body)
}

// newBusinessID is the id of one request.
func newBusinessID() string { return uuid.NewString() }
