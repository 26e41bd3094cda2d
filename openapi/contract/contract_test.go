package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
)

func TestSchema_Violations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		call, body string
		want       []string
	}{
		"good":               {"newInstance", `{"resultCode":"000000","resultMsg":"ok","instanceId":"i-1"}`, nil},
		"extra field":        {"newInstance", `{"resultCode":"000005","more":{"a":1}}`, nil},
		"no instance id":     {"newInstance", `{"resultCode":"000004"}`, []string{"is missing instanceId"}},
		"id of wrong type":   {"newInstance", `{"resultCode":"000000","instanceId":7}`, []string{"instanceId: is of type number, expected string"}},
		"unknown code":       {"releaseInstance", `{"resultCode":"000042"}`, []string{`resultCode: value must be one of '000000', '000001', '000002', '000003', '000004', '000005', '000100', '000101', '000102', '000103', '000104', '000105', '000106', '000107', '000900', '000901', '000902', '000903'`}},
		"two at once":        {"queryInstance", `{"resultCode":"000000","info":[{"appInfo":{}}]}`, []string{"info.0.appInfo: is missing frontEndUrl", "info.0: is missing instanceId"}},
		"secret not quoted":  {"queryInstance", `{"resultCode":"000000","info":[{"instanceId":"i","usageInfo":[{"usageValue":1,"statisticalTime":"hunter2"}]}]}`, []string{"info.0.usageInfo.0.statisticalTime: does not match ^[0-9]{14}([0-9]{3})?$"}},
		"not JSON":           {"queryInstance", `<html>`, []string{"the body is not JSON"}},
		"not an object":      {"queryInstance", `[]`, []string{"is of type array, expected object"}},
		"trailing something": {"queryInstance", `{"resultCode":"000000"} x`, []string{"the body is not JSON"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema, err := contract.Provider().Answer(tc.call)
			require.NoError(t, err)
			require.Equal(t, tc.want, schema.Violations([]byte(tc.body)))
		})
	}
}

func TestDocument_Meaning(t *testing.T) {
	t.Parallel()
	require.Equal(t, "the signature is missing or wrong", contract.Provider().Meaning("ResultCode", "000001"))
	require.Empty(t, contract.Provider().Meaning("ResultCode", "000042"))
	require.Empty(t, contract.Provider().Meaning("Nonsense", "x"))
}

func BenchmarkViolations(b *testing.B) {
	schema, err := contract.Provider().Answer("newInstance")
	require.NoError(b, err)
	body := []byte(`{"resultCode":"000000","resultMsg":"ok","instanceId":"i-1"}`)
	b.ReportAllocs()
	for b.Loop() {
		if v := schema.Violations(body); v != nil {
			b.Fatal(v)
		}
	}
}
