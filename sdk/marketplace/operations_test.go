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
			if !ok {
				continue
			}
			before := attached
			for _, line := range comments(method) {
				if id, ok := strings.CutPrefix(line.Text, prefix); ok {
					assert.True(t, method.Recv != nil && method.Name.IsExported(), "%s: %s is no exported method", name, method.Name)
					found[id] = append(found[id], method.Name.Name)
					attached++
				}
			}
			assert.Equal(t, calls(method), attached > before, "%s: %s has to say which operation it performs, or none", name, method.Name)
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

func comments(f *ast.FuncDecl) []*ast.Comment {
	if f.Doc == nil {
		return nil
	}
	return f.Doc.List
}

// calls reports whether f looks like a method that performs an operation: exported, with a context.
func calls(f *ast.FuncDecl) bool {
	if f.Recv == nil || !f.Name.IsExported() || len(f.Type.Params.List) == 0 {
		return false
	}
	kind, ok := f.Type.Params.List[0].Type.(*ast.SelectorExpr)
	return ok && kind.Sel.Name == "Context"
}
