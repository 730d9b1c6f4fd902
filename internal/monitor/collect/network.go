package collect

import (
	"net/netip"
	"strings"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/procfs"
)

const hostMode = "host" // Docker's network mode, and the key of the host's namespace where its link is unreadable

// maxInterfaces bounds what one namespace adds: a container may make as many
// interfaces as it likes.
const maxInterfaces = 64

// network is what is known of the namespace in which a container runs.
type network struct {
	file  procfs.File
	key   string // containers with the same key share a namespace
	owner bool   // this container stands for its namespace
	raw   []procfs.Interface
	named []string       // interface names for which networks were found
	by    *docker.Detail // by what the Engine said then
	names map[string]string
}

// init identifies the namespace. Reading its link needs the right to trace the
// process; without it, the Engine's network mode tells.
func (n *network) init(c *Collector, t *tracked) {
	n.file = procfs.NetDev(c.cfg.Proc, t.Pid)
	n.named = n.named[:0]
	link, err := c.proc.Namespace(t.Pid, "net")
	mode := ""
	if t.Detail != nil {
		mode = t.Detail.NetworkMode
	}
	other, joins := strings.CutPrefix(mode, "container:")
	switch {
	case err == nil:
		n.key = link
	case mode == hostMode:
		n.key = c.hostKey
	case joins:
		n.key = "container:" + other
		if o := c.known[other]; o != nil && o.net.key != "" {
			n.key = o.net.key
		}
	default:
		n.key = "container:" + t.ID
	}
}

// assignNetworks finds the one container that stands for each namespace. The
// host's has none: its interfaces are the host's.
func (c *Collector) assignNetworks() {
	clear(c.owners)
	for _, t := range c.known {
		t.net.owner, t.Sharing = false, 0
		if t.reader == nil || t.net.key == c.hostKey {
			continue
		}
		owner, taken := c.owners[t.net.key]
		switch {
		case !taken:
			c.owners[t.net.key] = t
			t.net.owner, t.Sharing = true, 1
		case t.standsBefore(owner):
			c.owners[t.net.key] = t
			t.net.owner, t.Sharing = true, owner.Sharing+1
			owner.net.owner, owner.Sharing = false, 0
		default:
			owner.Sharing++
		}
	}
}

// standsBefore: the container for which the namespace was made stands before
// those that joined it, and an older one before a younger one.
func (t *tracked) standsBefore(o *tracked) bool {
	if a, b := t.joins(), o.joins(); a != b {
		return b
	}
	if t.StartedAt != o.StartedAt {
		return t.StartedAt < o.StartedAt
	}
	return t.ID < o.ID
}

func (t *tracked) joins() bool {
	return t.Detail != nil && strings.HasPrefix(t.Detail.NetworkMode, "container:")
}

// readNetwork reads the interfaces of the namespace that the container stands for.
func (c *Collector) readNetwork(t *tracked) {
	t.Interfaces = t.Interfaces[:0]
	if !t.net.owner {
		return
	}
	var err error
	if t.net.raw, err = c.interfaces(t.net.file, t.net.raw); gone(err) {
		return
	}
	if !c.check(sourceNetwork, t.Name, &t.failing[sourceNetwork], err) && len(t.net.raw) == 0 {
		return
	}
	if !t.net.fits(t.Detail) {
		c.nameNetworks(t)
	}
	for i := range t.net.raw {
		if name := t.net.raw[i].Name; name != "lo" && len(t.Interfaces) < maxInterfaces {
			t.Interfaces = append(t.Interfaces, Interface{t.net.raw[i], t.net.names[name]})
		}
	}
}

// interfaces reads those of a namespace into the memory of into.
func (c *Collector) interfaces(of procfs.File, into []procfs.Interface) ([]procfs.Interface, error) {
	b, err := of.Read(c.buf)
	if err != nil {
		return into[:0], err
	}
	c.buf = b
	return procfs.ParseNetDev(b, into)
}

// fits says that the names of networks still belong to the interfaces.
func (n *network) fits(d *docker.Detail) bool {
	if d != n.by || len(n.named) != len(n.raw) {
		return false
	}
	for i := range n.raw {
		if n.named[i] != n.raw[i].Name {
			return false
		}
	}
	return true
}

// nameNetworks finds which interface is in which of the container's networks,
// by the address that the Engine gave it there.
func (c *Collector) nameNetworks(t *tracked) {
	n := &t.net
	n.by, n.named, n.names = t.Detail, n.named[:0], map[string]string{}
	for i := range n.raw {
		n.named = append(n.named, n.raw[i].Name)
	}
	if t.Detail == nil || len(t.Detail.Networks) == 0 {
		return
	}
	addrs, err := c.proc.Addresses(t.Pid)
	if gone(err) {
		return
	}
	c.check(sourceNetwork, t.Name, &t.failing[sourceNetwork], err)
	for _, net := range t.Detail.Networks {
		if i := interfaceOf(net, addrs); i != "" {
			n.names[i] = net.Name
		}
	}
}

// interfaceOf finds the interface with the narrowest subnet around an address.
func interfaceOf(net docker.Network, addrs []procfs.Address) string {
	found, bits := "", -1
	for _, text := range []string{net.IPv4, net.IPv6} {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if a.Prefix.Contains(addr) && a.Prefix.Bits() > bits {
				found, bits = a.Interface, a.Prefix.Bits()
			}
		}
	}
	return found
}

// readHost reads the host's own interfaces, in the namespace of its PID 1. The
// host's ends of containers' interfaces are left out: what they carry is counted
// with the containers.
func (c *Collector) readHost() {
	s := &c.snap
	s.Host = s.Host[:0]
	var err error
	c.ifaces, err = c.interfaces(c.hostNet, c.ifaces)
	c.check(sourceNetwork, "host", &c.failing.net, err)
	for _, i := range c.ifaces {
		if !strings.HasPrefix(i.Name, "veth") {
			s.Host = append(s.Host, Interface{i, ""})
		}
	}
}
