package doctor

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// socket looks at the Engine's own socket, and at who is in its group.
func (g *gatherer) socket() (socket, error) {
	info, err := os.Stat(g.cfg.Socket)
	if err != nil {
		return socket{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeSocket == 0 {
		return socket{}, fmt.Errorf("%s is no socket", g.cfg.Socket)
	}
	s := socket{Path: g.cfg.Socket, Owner: st.Uid, Mode: uint32(info.Mode().Perm())}
	s.Group, s.Members, err = g.group(strconv.FormatUint(uint64(st.Gid), 10))
	return s, err
}

// group reads who is in a group, by name or as the first group of the account.
func (g *gatherer) group(gid string) (name string, members []string, err error) {
	name = gid
	text, err := os.ReadFile(filepath.Join(g.cfg.Etc, "group"))
	if err != nil {
		return name, nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 4 && f[2] == gid {
			name = f[0]
			members = append(members, strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })...)
		}
	}
	if text, err = os.ReadFile(filepath.Join(g.cfg.Etc, "passwd")); err != nil {
		return name, nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) >= 4 && f[3] == gid {
			members = append(members, f[0])
		}
	}
	members = slices.DeleteFunc(members, func(m string) bool { return m == "root" })
	slices.Sort(members)
	return name, slices.Compact(members), nil
}

// tcp finds where the Engine listens, and asks there without TLS.
func (g *gatherer) tcp(ctx context.Context, pid int) ([]tcp, error) {
	self, err := g.proc.Self()
	if err != nil {
		return nil, err
	}
	here, err1 := g.proc.Namespace(self, "net")
	there, err2 := g.proc.Namespace(pid, "net")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if here != there {
		return nil, fmt.Errorf("the Engine (pid %d) is in a network namespace of its own", pid)
	}
	sockets, err := g.socketsOf(pid)
	if err != nil {
		return nil, err
	}
	out := []tcp{}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(g.cfg.Proc, strconv.Itoa(pid), "net", table))
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		addresses, err := listening(string(text), sockets)
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			out = append(out, tcp{Address: a, Plain: plain(ctx, a)})
		}
	}
	return out, nil
}

// socketsOf are the inodes of a process's sockets.
func (g *gatherer) socketsOf(pid int) (map[string]bool, error) {
	dir := filepath.Join(g.cfg.Proc, strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			out[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return out, nil
}

// listening reads /proc/PID/net/tcp: https://docs.kernel.org/networking/proc_net_tcp.html
func listening(table string, sockets map[string]bool) (addresses []string, err error) {
	const local, state, inode, listens = 1, 3, 9, "0A"
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != listens || !sockets[f[inode]] {
			continue
		}
		a, err := address(f[local])
		if err != nil {
			return nil, fmt.Errorf("read the address %q: %w", f[local], err)
		}
		addresses = append(addresses, a)
	}
	return addresses, nil
}

// address reads "0100007F:0947": words of 32 bits in the host's byte order, here little-endian ones.
func address(s string) (string, error) {
	ip, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(ip)
	if err != nil || len(b)%4 != 0 {
		return "", fmt.Errorf("no address: %w", err)
	}
	for word := range slices.Chunk(b, 4) {
		slices.Reverse(word)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	return net.JoinHostPort(net.IP(b).String(), strconv.FormatUint(n, 10)), err
}

// plain says that an Engine answers there without TLS. A server of TLS answers a request in plain text with 400.
func plain(ctx context.Context, at string) bool {
	host, port, _ := net.SplitHostPort(at)
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = map[bool]string{true: "127.0.0.1", false: "::1"}[ip.To4() != nil]
	}
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, "GET /_ping HTTP/1.0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, 4096)), nil)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode != http.StatusBadRequest && res.Header.Get("Api-Version") != "" || res.StatusCode == http.StatusForbidden
}
