package marketplace_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi"
)

// TestOperations_EachHasAMethod compares the directives //isvkit:operation of exported methods with the operations of the contract,
// both ways. The operations of the auth centre are those of package kitlogin.
func TestOperations_EachHasAMethod(t *testing.T) {
	t.Parallel()
	text, err := openapi.FS.ReadFile("marketplace.yaml")
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	want := map[string][]string{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			dir := "."
			if slices.Contains(op.Tags, "kit-login") {
				dir = "../kitlogin"
			}
			want[dir] = append(want[dir], op.OperationID)
		}
	}
	for dir, operations := range want {
		got := directives(t, dir)
		slices.Sort(operations)
		assert.Equal(t, operations, slices.Sorted(maps.Keys(got)), "%s: the methods are %v", dir, got)
	}
}

// directives finds the operation of each exported method in a folder.
func directives(t *testing.T, dir string) map[string][]string {
	t.Helper()
	const prefix = "//isvkit:operation "
	found := map[string][]string{}
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		require.NoError(t, err)
		attached := 0
		for _, decl := range file.Decls {
			method, ok := decl.(*ast.FuncDecl)
			if !ok || method.Doc == nil {
				continue
			}
			for _, line := range method.Doc.List {
				if id, ok := strings.CutPrefix(line.Text, prefix); ok {
					assert.True(t, method.Recv != nil && method.Name.IsExported(), "%s: %s is no exported method", name, method.Name)
					found[id] = append(found[id], method.Name.Name)
					attached++
				}
			}
		}
		all := 0
		for _, group := range file.Comments {
			for _, line := range group.List {
				if strings.HasPrefix(line.Text, "//isvkit:") {
					all++
				}
			}
		}
		assert.Equal(t, all, attached, "%s: a directive belongs to no method, or is misspelt", name)
	}
	return found
}
