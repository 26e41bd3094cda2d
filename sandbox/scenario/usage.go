package scenario

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// usagePush is what a pushUsage step pushes.
type usagePush struct {
	records []map[string]any // by the names of the contract
	old     bool             // the older push, which names the product and has no metering_sn
}

// usageFields are the fields of a record as files call them, and as the contract does.
var usageFields = map[string]string{
	"instance": "instance_id", "value": "usage_value", "begin": "begin_time", "end": "end_time", "recorded": "record_time", "sn": "metering_sn",
	"package": "relate_pkg_instance", "product": "product_id",
}

// usageTime is how the contract writes times in usage records.
const usageTime = "20060102T150405Z"

// usage reads the fields of pushUsage: those of one record, or several under records.
func (p *parser) usage(node *yaml.Node) *usagePush {
	u := &usagePush{}
	if node.Kind != yaml.MappingNode {
		p.fail(node, "pushUsage: expected fields, such as { instance: meter, value: 5 }")
		return u
	}
	names := append(keys(usageFields), "old", "records")
	one := map[string]any{}
	var list *yaml.Node
	for key, value := range p.pairs(node) {
		switch key.Value {
		case "records":
			list = value
		case "old":
			if value.Tag != "!!bool" {
				p.fail(value, "old: expected true or false")
			}
			u.old = value.Value == "true"
		default:
			p.usageField(one, key, value, names)
		}
	}
	switch {
	case list == nil:
		u.records = []map[string]any{one}
	case list.Kind != yaml.SequenceNode:
		p.fail(list, "records: expected a list")
	default:
		for _, item := range list.Content {
			record := map[string]any{}
			for name, value := range one { // fields outside of the list are common to all
				record[name] = value
			}
			if item.Kind != yaml.MappingNode {
				p.fail(item, "records: expected fields, such as { instance: meter, value: 5 }")
				continue
			}
			for key, value := range p.pairs(item) {
				p.usageField(record, key, value, keys(usageFields))
			}
			u.records = append(u.records, record)
		}
	}
	for _, record := range u.records {
		for _, name := range []string{"instance", "value"} {
			if _, there := record[usageFields[name]]; !there {
				p.fail(node, "pushUsage: %s is missing", name)
			}
		}
		_, product := record["product_id"]
		if u.old != product {
			p.fail(node, "pushUsage: product belongs to the older push; expected both old and product, or neither")
		}
	}
	return u
}

func (p *parser) usageField(record map[string]any, key, value *yaml.Node, names []string) {
	name, ok := usageFields[key.Value]
	if !ok {
		p.fail(key, "pushUsage has no field %q; %s", key.Value, expected(key.Value, names))
		return
	}
	if value.Kind != yaml.ScalarNode {
		p.fail(value, "%s: expected a plain value", key.Value)
		return
	}
	if (name == "instance_id" || name == "relate_pkg_instance") && slices.Contains(p.names, value.Value) {
		record[name] = named{value.Value, "instanceId"}
		return
	}
	record[name] = p.scalar(value, schema{"type": "string"}, key.Value)
}

// wait reads the fields of wait: settled, or those of expect with a timeout.
func (p *parser) wait(s *step, node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.Value == "settled" {
		s.settled = true
		return
	}
	if node.Kind != yaml.MappingNode {
		p.fail(node, "wait: expected settled, or what and how, such as { instance: crm, status: ready, timeout: 10s }")
		return
	}
	rest := *node
	rest.Content = nil
	for key, value := range p.pairs(node) {
		if key.Value == stepTimeout {
			s.timeout = p.duration(value)
			continue
		}
		rest.Content = append(rest.Content, key, value)
	}
	s.expect = p.question(&rest)
}
