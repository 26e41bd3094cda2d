package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// shells write variables down so that what they name can read them.
var shells = map[string]func(values [][2]string) (string, error){
	"sh": each(func(name, value string) string { return "export " + name + "=" + curl.Quote(value) }),
	// In fish's single quotes the backslash escapes itself and the quote.
	"fish": each(func(name, value string) string {
		return "set -gx " + name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}),
	"powershell": each(func(name, value string) string {
		return "$env:" + name + " = '" + strings.ReplaceAll(value, "'", "''") + "'"
	}),
	"docker": func(values [][2]string) (string, error) {
		for _, v := range values {
			if strings.ContainsAny(v[1], "\r\n") {
				return "", fmt.Errorf("%s has a line break in it, which an env file cannot hold", v[0])
			}
		}
		return each(func(name, value string) string { return name + "=" + value })(values) // taken as it is, quotes included
	},
	"json": func(values [][2]string) (string, error) {
		object := map[string]string{}
		for _, v := range values {
			object[v[0]] = v[1]
		}
		text, err := json.MarshalIndent(object, "", "  ")
		return string(text) + "\n", err
	},
}

func each(line func(name, value string) string) func([][2]string) (string, error) {
	return func(values [][2]string) (string, error) {
		var b strings.Builder
		for _, v := range values {
			b.WriteString(line(v[0], v[1]) + "\n")
		}
		return b.String(), nil
	}
}
