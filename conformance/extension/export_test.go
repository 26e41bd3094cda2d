package extension

import (
	"io"
	"io/fs"
)

// small are limits that a test reaches in no time.
var small = limits{archive: 64 << 10, total: 128 << 10, files: 64}

// UsualLimits are those of every package: bytes packed, bytes unpacked, files.
func UsualLimits() (archive, total int64, files int) { return usual.archive, usual.total, usual.files }

// FromArchiveSmall and FromFSSmall read within small limits: 64 KiB packed, 128 KiB unpacked, 64 files.
func FromArchiveSmall(r io.Reader) (*Package, error) { return fromArchive(r, small) }

// FromFSSmall is FromFS within small limits.
func FromFSSmall(fsys fs.FS) (*Package, error) { return fromFS(fsys, small) }

// Upload judges a package of so many bytes.
func Upload(bytes int64) []Finding {
	var l linter
	l.upload(bytes)
	return l.findings
}
