package extension

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ignored is what a .helmignore leaves out of the package. It reads as Helm reads it: one pattern per line, a pattern without a slash is for
// the last part of the path, one that ends in a slash is for folders, and with a leading "!" whatever does not match is left out.
type ignored []pattern

type pattern struct {
	glob     string
	negate   bool
	dirOnly  bool
	wholeWay bool // the pattern is for the whole path
}

func readIgnored(fsys fs.FS) (ignored, error) {
	entries, err := fs.ReadDir(fsys, ".")
	there := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ".helmignore" && e.Type().IsRegular() })
	if err != nil || !there { // there need not be one, and a link is refused with the other files
		return nil, nil
	}
	file, err := fsys.Open(".helmignore")
	if err != nil {
		return nil, errors.New("cannot be read")
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return nil, errors.New("cannot be read")
	}
	var list ignored
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))) {
		glob := strings.TrimSpace(line)
		if glob == "" || strings.HasPrefix(glob, "#") {
			continue
		}
		var one pattern
		if strings.Contains(glob, "**") {
			return nil, fmt.Errorf("has the pattern %q; ** is not supported", glob)
		}
		if _, err := path.Match(glob, "x"); err != nil {
			return nil, fmt.Errorf("has the pattern %q, which cannot be read", glob)
		}
		glob, one.negate = strings.CutPrefix(glob, "!")
		glob, one.dirOnly = strings.CutSuffix(glob, "/")
		one.wholeWay = strings.Contains(glob, "/")
		one.glob = strings.TrimPrefix(glob, "/")
		list = append(list, one)
	}
	return list, nil
}

func (list ignored) match(name string, dir bool) bool {
	for _, p := range list {
		subject := name
		if !p.wholeWay {
			subject = path.Base(name)
		}
		matches, _ := path.Match(p.glob, subject) // the pattern was tried when it was read
		if p.dirOnly && !dir {
			matches = false
		}
		if matches != p.negate {
			return true
		}
	}
	return false
}
