package storetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// Server is a PostgreSQL of the test's own, which it may stop.
type Server struct {
	t    testing.TB
	bin  string
	dir  string
	port int
}

// NewServer makes a cluster and starts it; both go with the test. Where PostgreSQL's programs are not installed, the test is skipped.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, bin: programs(t)}
	// Not the test's folder: PostgreSQL does not run as root, and who it runs as could not get into that.
	dir, err := os.MkdirTemp("", "isvkit-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.dir = filepath.Join(dir, "data")
	if os.Getuid() == 0 {
		if err := giveToPostgres(dir); err != nil {
			t.Fatal(err)
		}
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if address, ok := listener.Addr().(*net.TCPAddr); ok {
		s.port = address.Port
	}
	_ = listener.Close()
	s.run("initdb", "-D", s.dir, "-A", "trust", "-U", "postgres", "--no-sync")
	s.Start()
	t.Cleanup(func() { s.Stop("immediate") })
	return s
}

// URL names a database in it.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Start starts it and waits until it takes connections.
func (s *Server) Start() {
	s.t.Helper()
	s.run("pg_ctl", "-D", s.dir, "-l", s.dir+".log", "-w", "-o", fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", s.port), "start")
}

// Stop stops it: fast, which rolls back what is under way, or immediate, as if it had crashed.
func (s *Server) Stop(mode string) {
	s.t.Helper()
	s.run("pg_ctl", "-D", s.dir, "-m", mode, "-w", "stop")
}

func (s *Server) run(program string, args ...string) {
	s.t.Helper()
	line := append([]string{filepath.Join(s.bin, program)}, args...)
	if os.Getuid() == 0 {
		line = append([]string{"runuser", "-u", "postgres", "--"}, line...)
	}
	c := exec.CommandContext(context.Background(), line[0], line[1:]...) //nolint:gosec // programs of PostgreSQL
	c.Dir = os.TempDir()
	// What pg_ctl starts keeps its output open, so that is a file and not a pipe, whose end would be waited for.
	out, err := os.CreateTemp(s.t.TempDir(), "out")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	c.Stdout, c.Stderr = out, out
	if err := c.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(s.dir + ".log")
		s.t.Fatalf("%s: %v\n%s\n%s", program, err, text, log)
	}
}

// programs finds PostgreSQL's programs: in PATH, or the newest where Debian has them.
func programs(t testing.TB) (bin string) {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(all) == 0 {
		t.Skip("skipped: needs PostgreSQL's initdb and pg_ctl (apt-get install postgresql)")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) }))
}

func giveToPostgres(dir string) error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	if errUID != nil || errGID != nil {
		return fmt.Errorf("user postgres has no numbers")
	}
	return os.Chown(dir, uid, gid)
}
