package main

import (
	"errors"
	"flag"
	"io/fs"

	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/egress"
)

// egressOptions are the flags of serve that say where the sandbox may call.
type egressOptions struct {
	base            string
	hosts, networks []string
	ca              []string
}

func egressFlags(fs *flag.FlagSet) *egressOptions {
	o := &egressOptions{}
	add := func(to *[]string) func(string) error {
		return func(s string) error { *to = append(*to, s); return nil }
	}
	fs.StringVar(&o.base, "egress", "",
		"where ISVs may be called: laptop (loopback and private networks), staging (https only, and what is allowed), or a `policy` file, see sandbox/README.md (default laptop; with --tokens staging)")
	fs.Func("allow-host", "a `name` whose public addresses may be called over https, isv.example.com or *.example.com; may be repeated", add(&o.hosts))
	fs.Func("allow-network", "a `network` or address that may be called, such as 10.1.0.0/16; may be repeated", add(&o.networks))
	fs.Func("ca", "`file` with certificates of authorities to trust besides the system's, as PEM; may be repeated", add(&o.ca))
	return o
}

// policy is what the flags say. A sandbox that sellers share begins with the strict preset: its own machine and network are not theirs.
func (o *egressOptions) policy(sharedBySellers bool) (sandbox.EgressPolicy, error) {
	if o.base == "" {
		o.base = sandbox.EgressLaptop
		if sharedBySellers {
			o.base = sandbox.EgressStaging
		}
	}
	p := sandbox.EgressPolicy{Preset: o.base}
	if o.base != sandbox.EgressLaptop && o.base != sandbox.EgressStaging {
		var err error
		p, err = egress.ReadFile(o.base)
		if errors.Is(err, fs.ErrNotExist) {
			return p, misuse("--egress %s: expected laptop, staging, or the name of a policy file; there is no such file", o.base)
		}
		if err != nil {
			return p, err
		}
	}
	p.AllowHosts, p.AllowNetworks = append(p.AllowHosts, o.hosts...), append(p.AllowNetworks, o.networks...)
	for _, name := range o.ca {
		if err := p.AddCA(name); err != nil {
			return p, err
		}
	}
	_, err := egress.New(p)
	return p, err
}
