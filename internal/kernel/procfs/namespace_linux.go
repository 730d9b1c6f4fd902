package procfs

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// WithinPIDNamespace says whether a process's PID namespace is outer, or was
// made within it, however deep: NS_GET_PARENT of ioctl_ns(2) (Linux 4.9). outer
// is the text of a link, as in [Namespaces]. No process can leave its own: PID
// namespaces are entered downwards only.
func (p FS) WithinPIDNamespace(pid int, outer string) (bool, error) {
	within, err := p.withinPIDNamespace(pid, outer)
	if err != nil { // then within means nothing
		return false, fmt.Errorf("read parents of the PID namespace of pid %d: %w", pid, err)
	}
	return within, nil
}

func (p FS) withinPIDNamespace(pid int, outer string) (bool, error) {
	opened, err := p.root.Open(strconv.Itoa(pid) + "/ns/pid")
	if err != nil {
		return false, err
	}
	defer opened.Close()
	file, ok := opened.(*os.File)
	if !ok {
		return false, errors.ErrUnsupported
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return false, err
	}
	var within bool
	var inner error
	err = raw.Control(func(fd uintptr) { within, inner = anyParent(int(fd), outer) })
	return within, errors.Join(err, inner)
}

// anyParent looks at a namespace and those around it, up to our own.
func anyParent(fd int, outer string) (bool, error) {
	for {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return false, err
		}
		if fmt.Sprintf("pid:[%d]", st.Ino) == outer {
			return true, nil
		}
		parent, err := unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
		if errors.Is(err, unix.EPERM) { // there is none, or we may not see it
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer unix.Close(parent) // at most 32 deep, MAX_PID_NS_LEVEL
		fd = parent
	}
}
