package extension

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// limits of what is taken into memory.
type limits struct {
	archive int64 // bytes of a .tgz, packed
	total   int64 // bytes of all files together, unpacked, with those of packed sub-charts
	files   int   // files and folders, with those of packed sub-charts
}

// usual are the limits of every package (ours). One that is within the market's own limit is far below them.
var usual = limits{archive: 32 << 20, total: 64 << 20, files: 4096}

// maxName is the most bytes of a path.
const maxName = 512

// Package is an extension package in memory. Whatever was wrong with the container itself, such as a path that leads out of it, is
// kept and told by [Package.Lint].
type Package struct {
	files    map[string][]byte   // by path with slashes, relative to the package's folder
	packed   map[string]*Package // sub-charts that are archives of their own, by their path
	problems []Finding
}

// names are the paths of all files, sorted.
func (p *Package) names() []string { return slices.Sorted(maps.Keys(p.files)) }

// in are the paths of the files below a folder, sorted.
func (p *Package) in(dir string) []string {
	var found []string
	for _, name := range p.names() {
		if strings.HasPrefix(name, dir+"/") {
			found = append(found, name)
		}
	}
	return found
}

// budget is what may still be read. It is shared by a package and the archives in it.
type budget struct {
	limits
	bytes   int64
	entries int
}

func newBudget(l limits) *budget { return &budget{limits: l, bytes: l.total, entries: l.files} }

// count takes one file or folder off the budget.
func (b *budget) count() bool {
	b.entries--
	return b.entries >= 0
}

// read reads all of r, unless it is more than is left.
func (b *budget) read(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, b.bytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > b.bytes {
		return nil, &tooBigError{b.total}
	}
	b.bytes -= int64(len(content))
	return content, nil
}

type tooBigError struct{ limit int64 }

func (e *tooBigError) Error() string {
	return "the files together are larger than " + size(e.limit)
}

func size(n int64) string {
	if n>>20<<20 == n {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// refuse keeps a problem of the container.
func (p *Package) refuse(where, seen string) {
	p.problems = append(p.problems, found("PKG-1", where, 0, "", seen))
}

// FromFS reads a package's folder, without what its .helmignore leaves out. An error means that it could not be read at all.
// Symbolic links are not followed.
func FromFS(fsys fs.FS) (*Package, error) { return fromFS(fsys, usual) }

func fromFS(fsys fs.FS, l limits) (*Package, error) {
	p := &Package{files: map[string][]byte{}, packed: map[string]*Package{}}
	left := newBudget(l)
	var tooBig *tooBigError
	ignored, err := readIgnored(fsys)
	if err != nil {
		p.problems = append(p.problems, found("PKG-1", ".helmignore", 0, "", err.Error()))
	}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case ignored.match(name, entry.IsDir()) && entry.IsDir():
			return fs.SkipDir
		case ignored.match(name, entry.IsDir()):
			return nil
		case !left.count():
			p.refuse(".", fmt.Sprintf("has more than %d files and folders; is something in it that .helmignore should leave out?", l.files))
			return fs.SkipAll
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			p.refuse(name, "is a "+kindOf(entry.Type()))
			return nil
		}
		file, err := fsys.Open(name)
		if err != nil {
			return err
		}
		content, err := left.read(file)
		err = errors.Join(err, file.Close())
		if errors.As(err, &tooBig) {
			p.refuse(name, tooBig.Error())
			return fs.SkipAll
		}
		if err != nil {
			return err
		}
		p.files[name] = content
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.unpackCharts(left)
	return p, nil
}

func kindOf(mode fs.FileMode) string {
	if mode&fs.ModeSymlink != 0 {
		return "symbolic link"
	}
	return "special file"
}

// FromArchive reads a packed package: a gzipped tar with one folder at its root, as Helm and ksbuilder write it. Nothing is written to disk.
// An error means that reading r failed; whatever is wrong with the bytes is a finding.
func FromArchive(r io.Reader) (*Package, error) { return fromArchive(r, usual) }

func fromArchive(r io.Reader, l limits) (*Package, error) {
	packed, err := io.ReadAll(io.LimitReader(r, l.archive+1))
	if err != nil {
		return nil, err
	}
	return unpack(packed, newBudget(l)), nil
}

// unpack reads an archive within what the budget leaves.
func unpack(packed []byte, left *budget) *Package {
	p := &Package{files: map[string][]byte{}, packed: map[string]*Package{}}
	if int64(len(packed)) > left.archive {
		p.refuse(".", "the archive is larger than "+size(left.archive))
		return p
	}
	if err := p.untar(packed, left); err != nil {
		p.refuse(".", err.Error())
		return p
	}
	p.unpackCharts(left)
	return p
}

func (p *Package) untar(packed []byte, left *budget) error {
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("is no gzip file: %w", err)
	}
	// Headers count too: a tar of nothing but long names is a bomb as well.
	archive := tar.NewReader(io.LimitReader(zipped, 2*left.total))
	root := ""
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("is no tar archive in a gzip file, or is cut off: %w", err)
		}
		if !left.count() {
			return fmt.Errorf("has more than %d files and folders", left.files)
		}
		name, err := safeName(header.Name)
		if err != nil {
			return err
		}
		dir, rest, inDir := strings.Cut(name, "/")
		switch header.Typeflag {
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeDir:
			if root == "" || root == dir {
				root = dir
				continue
			}
			return fmt.Errorf("has two folders at its root, %q and %q", root, dir)
		case tar.TypeReg:
		default:
			return fmt.Errorf("%q is neither a file nor a folder (tar type %q)", name, header.Typeflag)
		}
		if !inDir {
			return fmt.Errorf("%q lies beside the package's folder", name)
		}
		if root != "" && root != dir {
			return fmt.Errorf("has two folders at its root, %q and %q", root, dir)
		}
		root = dir
		if _, twice := p.files[rest]; twice {
			return fmt.Errorf("has %q twice", name)
		}
		content, err := left.read(archive)
		if tooBig := (*tooBigError)(nil); errors.As(err, &tooBig) {
			return err
		}
		if err != nil {
			return fmt.Errorf("is cut off in %q: %w", name, err)
		}
		p.files[rest] = content
	}
	for name := range p.files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, both := p.files[dir]; both {
				return fmt.Errorf("has %q as a file and as a folder", dir)
			}
		}
	}
	if len(p.files) == 0 {
		return errors.New("holds no file")
	}
	return nil
}

// safeName is an entry's path with nothing in it that could lead out of the folder it is unpacked to, on any system.
func safeName(name string) (string, error) {
	if len(name) > maxName {
		return "", fmt.Errorf("has a path of %d bytes, more than %d", len(name), maxName)
	}
	clean := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if clean == "" {
		clean = "."
	}
	if !fs.ValidPath(clean) || strings.ContainsAny(clean, "\\:\x00") {
		return "", fmt.Errorf("the path %q leads out of the package, or does on some system", name)
	}
	return clean, nil
}

// unpackCharts reads the sub-charts that are archives.
func (p *Package) unpackCharts(left *budget) {
	for _, name := range p.names() {
		if path.Dir(name) != "charts" || !isArchive(name) {
			continue
		}
		sub := unpack(p.files[name], left)
		for _, f := range sub.problems {
			p.refuse(name, f.Seen)
		}
		sub.problems = nil
		p.packed[name] = sub
	}
}

func isArchive(name string) bool {
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")
}
