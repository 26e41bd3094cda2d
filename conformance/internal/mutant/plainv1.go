package mutant

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sdk/secret"
)

// plainV1 is a right ISV for period products of V1, written without the SDK's handler and with habits of its own: it refuses with
// 000002 whatever is wrong, answers 000003 to what is released, encrypts with 128 bits and signs answers without blanks.
type plainV1 struct {
	key    string
	mu     sync.Mutex
	orders map[string]string // order: instance
	live   map[string]bool
}

// PlainV1 is a right ISV of V1, written without the SDK.
func PlainV1() Mutant {
	return Mutant{Name: "V1 without the SDK", With: []string{"v1", "upgrade"}, Run: []string{"v1*"}, Build: func(isv *ISV) http.Handler {
		return &plainV1{key: isv.Keys.V1, orders: map[string]string{}, live: map[string]bool{}}
	}}
}

func (p *plainV1) sum(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (p *plainV1) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := json.Marshal(p.answer(r)) // texts
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Body-Sign", `sign_type="HMAC-SHA256",signature="`+p.sum(p.key, string(body))+`"`)
	_, _ = w.Write(body)
}

func (p *plainV1) answer(r *http.Request) object {
	code := func(c string) object { return object{"resultCode": c, "resultMsg": "code " + c} }
	q := r.URL.Query()
	names := make([]string, 0, len(q))
	for name := range q {
		if name != "authToken" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, name+"="+q.Get(name))
	}
	token := strings.ReplaceAll(q.Get("authToken"), " ", "+")
	if q.Get("timeStamp") == "" || token != p.sum(p.key+q.Get("timeStamp"), strings.Join(pairs, "&")) {
		return code("000001")
	}
	needs := map[string]string{
		"newInstance": "orderId businessId customerId", "refreshInstance": "instanceId expireTime orderId", "expireInstance": "instanceId orderId",
		"releaseInstance": "instanceId orderId", "upgrade": "instanceId orderId skuCode productId",
	}
	activity, id := q.Get("activity"), q.Get("instanceId")
	wanted, known := needs[activity]
	for _, name := range strings.Fields(wanted) {
		known = known && q.Get(name) != "" && len(q.Get(name)) <= 64
	}
	if _, err := time.Parse("20060102150405", q.Get("expireTime")); activity == "refreshInstance" && err != nil {
		known = false
	}
	if mode := q.Get("chargingMode"); activity == "newInstance" && mode != "1" && mode != "3" {
		known = false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	debug := q.Get("testFlag") == "1"
	switch {
	case !known:
		return code("000002")
	case activity == "newInstance":
		a := code("000000")
		a["instanceId"] = "debug"
		if !debug {
			order := q.Get("orderId")
			if p.orders[order] == "" {
				p.orders[order] = "crm-" + strconv.Itoa(len(p.orders)+1)
				p.live[p.orders[order]] = true
			}
			a["instanceId"] = p.orders[order]
		}
		fields, err := secret.NewFields(p.key, secret.AES128)
		if err != nil {
			return code("000005")
		}
		name, _ := fields.Encrypt("管理员") // it is short
		a["encryptType"], a["appInfo"] = "2", object{"frontEndUrl": "https://crm.example.com", "userName": name, "memo": "ask us"}
		return a
	case debug:
		return code("000000")
	case !p.live[id]:
		return code("000003")
	case activity == "releaseInstance":
		delete(p.live, id)
	}
	return code("000000")
}

// plainKit puts the kit calls of V2 in front of the plain ISV. It keeps tenants and nothing else, decrypts with SHA-256 for both, and answers
// what it does not like with 000005.
type plainKit struct {
	base   http.Handler
	key    string
	secret *rsa.PrivateKey
	mu     sync.Mutex
	nonces map[string]bool
}

// PlainKit is a right ISV of a kit product, written without the SDK.
func PlainKit() Mutant {
	return Mutant{Name: "kit without the SDK", With: []string{"kit"}, Run: []string{"kit*"}, Build: func(isv *ISV) http.Handler {
		return &plainKit{base: newPlain(isv), key: isv.Keys.Kit, secret: kitKey(), nonces: map[string]bool{}}
	}}
}

func (p *plainKit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, found := strings.Cut(r.URL.Path, "/produceAPI/v2/")
	if !found {
		p.base.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"resultCode":%q,"resultMsg":"-"}`, p.code(r, name)) //nolint:gosec // one of a few codes
}

func (p *plainKit) code(r *http.Request, name string) string {
	raw, err := io.ReadAll(r.Body)
	var body object
	if err != nil || r.Method != http.MethodPost || json.Unmarshal(raw, &body) != nil || body == nil {
		return "000005"
	}
	timestamp, nonce := r.Header.Get("x-timestamp"), r.Header.Get("x-nonce")
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || nonce == "" || time.Since(time.UnixMilli(ms)).Abs() > time.Minute {
		return "000001"
	}
	sorted := object{}
	_ = json.Unmarshal(raw, &sorted)
	right := false
	for _, text := range []string{string(raw), compact(sorted)} {
		h := hmac.New(sha256.New, []byte(p.key))
		h.Write([]byte(p.key + nonce + timestamp + text))
		right = right || strings.EqualFold(hex.EncodeToString(h.Sum(nil)), r.Header.Get("x-sign"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !right || p.nonces[nonce] {
		return "000001"
	}
	p.nonces[nonce] = true
	needs, known := map[string]string{
		"tenantSync": "tenantId tenantCode name domainName flag testFlag", "applicationSync": "tenantId appId clientId clientSecret flag testFlag",
		"authSync": "tenantId appId userList flag testFlag", "singleOrgSync": "tenantId orgCode orgName flag testFlag", "allOrgSync": "tenantId orgInfoList testFlag",
	}[name], true
	for _, field := range strings.Fields(needs) {
		text, isText := body[field].(string)
		limit := map[string]int{"name": 255, "domainName": 255, "clientSecret": 2000, "userList": 1 << 20, "orgInfoList": 1 << 20, "orgName": 128}[field]
		known = known && body[field] != nil && (!isText || text != "" && len([]rune(text)) <= max(limit, 64))
	}
	flag, number := body["flag"].(float64)
	if needs == "" || !known || name != "allOrgSync" && (!number || flag > 3) {
		return "000005"
	}
	if domain, ok := body["domainName"].(string); ok && !strings.HasPrefix(domain, "https://") {
		return "000005"
	}
	if text, ok := body["clientSecret"].(string); ok {
		data, _ := base64.StdEncoding.DecodeString(text)
		if _, err := rsa.DecryptOAEP(sha256.New(), rand.Reader, p.secret, data, nil); err != nil {
			return "000101"
		}
	}
	for list, field := range map[string]string{"userList": "userName", "orgInfoList": "orgCode"} {
		if body[list] != nil && !goodList(body[list], field) {
			return "000005"
		}
	}
	return "000000"
}

func compact(body object) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body)
	return strings.TrimSuffix(b.String(), "\n")
}

// goodList reports whether a list, or its text, has an id in every entry, and roles that exist.
func goodList(value any, field string) bool {
	if text, ok := value.(string); ok && json.Unmarshal([]byte(text), &value) != nil {
		return false
	}
	list, ok := value.([]any)
	return ok && !slices.ContainsFunc(list, func(entry any) bool {
		o, _ := entry.(object)
		id, _ := o[field].(string)
		role, has := o["role"].(string)
		return id == "" || len(id) > 64 || has && role != "user" && role != "admin"
	})
}
