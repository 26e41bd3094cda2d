package mutant

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// plain is a right ISV for period products that uses nothing of this project: no SDK, no generated types, and a signature computed
// by hand. It keeps the suite from taking the SDK's habits for rules. It does not ask for orders.
type plain struct {
	key       string
	mu        sync.Mutex
	nonces    map[string]bool
	instances map[string]bool   // id: frozen
	lines     map[string]string // order and line: id
}

func newPlain(isv *ISV) http.Handler {
	return &plain{key: isv.Keys.Base, nonces: map[string]bool{}, instances: map[string]bool{}, lines: map[string]string{}}
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.answer(r))
}

func (p *plain) hmac(text string) string {
	h := hmac.New(sha256.New, []byte(p.key))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

func (p *plain) answer(r *http.Request) map[string]any {
	code := func(c string) map[string]any { return map[string]any{"resultCode": c, "resultMsg": "code " + c} }
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost {
		return code("000002")
	}
	q := r.URL.Query()
	timestamp, nonce := q.Get("timestamp"), q.Get("nonce")
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || nonce == "" || time.Since(time.UnixMilli(ms)).Abs() > time.Minute {
		return code("000002")
	}
	var body map[string]any
	jsonErr := json.Unmarshal(raw, &body)
	sorted, _ := json.Marshal(body)
	sum := func(b []byte) string { return p.hmac(p.key + nonce + timestamp + p.hmac(string(b))) }
	if got := strings.ToLower(q.Get("signature")); got != sum(raw) && got != sum(sorted) {
		return code("000001")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nonces[nonce] {
		return code("000001")
	}
	p.nonces[nonce] = true
	if jsonErr != nil || body == nil {
		return code("000002")
	}
	s := func(name string) string { text, _ := body[name].(string); return text }
	needs := map[string][]string{
		"newInstance": {"businessId", "orderId", "orderLineId"}, "queryInstance": {"instanceId"}, "updateInstanceStatus": {"instanceId", "status"},
		"refreshInstance": {"instanceId", "scene", "orderId", "orderLineId", "expireTime"}, "releaseInstance": {"instanceId"},
	}
	activity, id := s("activity"), s("instanceId")
	names, known := needs[activity]
	for _, name := range names {
		if s(name) == "" || len(s(name)) > 64 && activity != "queryInstance" {
			known = false
		}
	}
	expiry := s("expireTime")
	if _, err := time.Parse("20060102150405", expiry[:min(14, len(expiry))]); activity == "refreshInstance" && err != nil {
		known = false
	}
	if scenes := "TRIAL_TO_FORMAL RENEWAL UNSUBSCRIBE_RENEWAL_PERIOD RENEWAL_CHANGE"; activity == "refreshInstance" && !slices.Contains(strings.Fields(scenes), s("scene")) {
		known = false
	}
	if status := s("status"); activity == "updateInstanceStatus" && status != "FREEZE" && status != "UNFREEZE" {
		known = false
	}
	if !known {
		return code("000002")
	}
	debug := s("testFlag") == "1"
	_, there := p.instances[id]
	switch {
	case activity == "newInstance":
		line := s("orderId") + "/" + s("orderLineId")
		if p.lines[line] == "" && !debug {
			p.lines[line] = "crm-" + strconv.Itoa(len(p.lines)+1)
			p.instances[p.lines[line]] = false
		}
		a := code("000000")
		if a["instanceId"] = p.lines[line]; debug {
			a["instanceId"] = "debug"
		}
		return a
	case debug:
		return code("000000")
	case activity == "queryInstance":
		var info []any
		for _, id := range strings.Split(id, ",") {
			if _, there := p.instances[id]; there {
				info = append(info, map[string]any{"instanceId": id, "appInfo": map[string]any{"frontEndUrl": "https://crm.example.com"}})
			}
		}
		if info == nil {
			return code("000003")
		}
		a := code("000000")
		a["info"] = info
		return a
	case !there:
		return code("000003")
	case activity == "releaseInstance":
		delete(p.instances, id)
	case activity == "updateInstanceStatus":
		p.instances[id] = s("status") == "FREEZE"
	}
	return code("000000")
}

// Plain is a right ISV for period products without optional capabilities, written without the SDK.
func Plain() Mutant { return Mutant{Name: "written without the SDK", Build: newPlain} }
