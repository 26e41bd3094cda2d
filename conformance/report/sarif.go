package report

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/suite"
)

type object = map[string]any

// WriteSARIF writes what did not pass as SARIF 2.1.0: a rule for each requirement, a result for each check. Known failures are suppressed
// results; what could not be judged is a notification.
func (r *Report) WriteSARIF(w io.Writer) error {
	rules, results, notes := []object{}, []object{}, []object{}
	index := map[string]int{}
	for _, c := range r.Checks {
		if c.Outcome == suite.Error {
			notes = append(notes, object{"level": "error", "message": text1(c.ID + ": " + strings.Join(c.Messages, "; ")), "descriptor": object{"id": c.ID}})
			continue
		}
		level := map[Outcome]string{suite.Fail: "error", Warning: "warning", KnownFailing: "error", UnexpectedPass: "error"}[c.Outcome]
		if level == "" {
			continue
		}
		n, known := index[c.Requirement]
		if !known {
			n = len(rules)
			index[c.Requirement] = n
			rules = append(rules, c.sarifRule())
		}
		result := object{
			"ruleId": c.Requirement, "ruleIndex": n, "level": level, "kind": "fail",
			"message": text1(strings.Join(append([]string{firstLine(c)}, rest(c)...), "\n")),
			"locations": []object{{
				"physicalLocation": object{"artifactLocation": object{"uri": r.Target}},
				"logicalLocations": []object{{"fullyQualifiedName": c.ID, "kind": "check"}},
			}},
			"partialFingerprints": object{"check/v1": c.ID},
			"properties":          object{"check": c.ID, "title": c.Title, "outcome": c.Outcome, "curl": c.Curl},
		}
		if c.Outcome == KnownFailing {
			result["suppressions"] = []object{{"kind": "external", "justification": "on the list of known failures"}}
		}
		if a, ok := c.decisive(); ok {
			result["webRequest"] = object{"method": a.Request.Method, "target": a.Request.URL, "headers": headers(a.Request), "body": text1(a.Request.Body)}
			if a.Answer.Status != 0 {
				result["webResponse"] = object{"statusCode": a.Answer.Status, "headers": headers(a.Answer), "body": text1(a.Answer.Body)}
			} else {
				result["webResponse"] = object{"noResponseReceived": true}
			}
		}
		results = append(results, result)
	}
	invocation := object{
		"executionSuccessful": r.Verdict != Error, "startTimeUtc": r.StartedAt.Format(time.RFC3339),
		"endTimeUtc":                 r.StartedAt.Add(time.Duration(r.DurationMS) * time.Millisecond).Format(time.RFC3339),
		"exitCode":                   r.Verdict.ExitCode(),
		"toolExecutionNotifications": notes,
	}
	if r.Problem != "" {
		invocation["toolExecutionNotifications"] = append(notes, object{"level": "error", "message": text1(r.Problem)})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(object{
		"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"runs": []object{{
			"tool": object{"driver": object{
				"name": "isv-conformance", "semanticVersion": r.SuiteVersion, "version": r.SuiteVersion, "rules": rules,
				"informationUri": "https://github.com/isvkit/isvkit",
			}},
			"invocations": []object{invocation}, "results": results,
			"properties": object{"verdict": r.Verdict, "contractVersion": r.ContractVersion, "counts": r.Counts},
		}},
	})
}

func text1(s string) object { return object{"text": s} }

func rest(c Check) []string {
	var more []string
	if len(c.Messages) > 1 {
		more = append(more, c.Messages[1:]...)
	}
	if c.Cause != "" {
		more = append(more, "Likely cause: "+c.Cause)
	}
	if c.Mend != "" {
		more = append(more, "To mend it: "+c.Mend)
	}
	return more
}

func (c *Check) sarifRule() object {
	rule := object{
		"id": c.Requirement, "name": strings.ReplaceAll(c.Requirement, "-", ""), "shortDescription": text1(c.Rule),
		"fullDescription":      text1(strings.TrimSpace(c.Rule + " " + c.Why)),
		"help":                 text1(strings.TrimSpace(c.Mend + " Source: " + sources(c.Source) + ".")),
		"properties":           object{"level": c.Level, "tags": []string{area(c.ID)}},
		"defaultConfiguration": object{"level": map[bool]string{true: "error", false: "warning"}[c.Level == "MUST"]},
	}
	return rule
}

// decisive is the attempt that a check most likely failed by: the last call of the marketplace, else the last request of the ISV.
func (c *Check) decisive() (Attempt, bool) {
	for n := len(c.Attempts) - 1; n >= 0; n-- {
		if c.Attempts[n].From == FromMarketplace {
			return c.Attempts[n], true
		}
	}
	if n := len(c.Attempts); n > 0 {
		return c.Attempts[n-1], true
	}
	return Attempt{}, false
}

func headers(s Side) object {
	all := object{}
	for name, value := range s.Header {
		all[name] = value
	}
	return all
}
