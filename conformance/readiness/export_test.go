package readiness

import "github.com/isvkit/isvkit/sandbox/market"

// FilledTemplate is the template with all examples as answers.
func FilledTemplate(set *market.Set, policy *market.Policy, categories []string) string {
	return template(set, policy, categories, true)
}
