package unixsocket

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// Inherited are the Unix sockets that another program listens on for us, as systemd does by a socket unit: by name
// (FileDescriptorName=). Their files stay when we end, and so does who waits in the queue, or has the file itself mounted. It can be
// called once: what it was given is taken.
//
// Who may connect is for that program to see to: mode, owner and folder are not looked at here.
func Inherited() (map[string]net.Listener, error) {
	given, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take over the sockets that are listened on for us: %w", err)
	}
	out := map[string]net.Listener{}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch l, is := given[name][0].(*net.UnixListener); {
		case len(given[name]) > 1:
			wrong = append(wrong, fmt.Errorf("there are %d sockets of the name %s: give each one of its own (FileDescriptorName=)", len(given[name]), name))
		case !is || !strings.HasPrefix(l.Addr().String(), "/"):
			wrong = append(wrong, fmt.Errorf("socket %s is no Unix socket with a file, such as ListenStream=/run/vitrine/docker/docker.sock", name))
		default:
			if raw, err := l.SyscallConn(); err == nil {
				_ = raw.Control(func(fd uintptr) { refuseRights(int(fd)) }) // of a listener that is open
			}
			out[name] = l
		}
	}
	return out, errors.Join(wrong...)
}
