// Package scenario reads and plays scenario files: stories of a purchase in YAML, one step a line, with what is expected to have
// happened.
//
//	name: period, a year of life
//	steps:
//	  - buy: { sku: demo-period, period: 1y }
//	    as: crm
//	  - expect: { instance: crm, status: ready }
//	  - advance: 366d
//	  - expect: { instance: crm, status: frozen }
//	  - expect: { calls: crm, activities: [newInstance, queryInstance, updateInstanceStatus] }
//
// A step is one verb with its fields. Verbs are short names for operations of the control API (openapi/sandbox.yaml), and their fields
// are the parameters and body fields of the operation, so that whatever the API can do a file can say; `call` names an operation
// itself. `openapi` and `pushUsage` do what the ISV would do: they call the open API, signed with the ISV's keys. A step is over when
// everything that it set off was attempted, so that nothing needs to wait before it expects.
//
// Files are checked as a whole before their first step: [Parse] tells of unknown verbs, fields, values and names with file, line, what
// was expected and the nearest name. [Runner.Play] stops at the first step that does not go as the file says.
//
// The whole language is in README.md beside this file, and in [Schema] for editors.
package scenario
