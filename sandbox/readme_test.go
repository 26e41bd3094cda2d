package sandbox_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadme_NamesTestsAndFilesThatExist keeps the table of what the sandbox imitates true: every test and file in it is there.
func TestReadme_NamesTestsAndFilesThatExist(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
		return nil
	}))
	for _, name := range []string{"README.md", "FAULTS.md", "KIT.md"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		rows := 0
		for line := range strings.Lines(string(text)) {
			for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(line, -1) {
				rows++
				require.True(t, tests[m[1]], "%s: there is no %s", name, m[1])
			}
			for _, m := range regexp.MustCompile("`(internal/[\\w./]+)`").FindAllStringSubmatch(line, -1) {
				_, err := os.Stat(m[1])
				require.NoError(t, err, "%s: %s", name, strings.TrimSpace(line))
			}
		}
		if name == "README.md" {
			require.Greater(t, rows, 50)
		}
	}
}
