package kmsg

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Log is an open kernel log. It belongs to one goroutine, and stays open as long as the process lives.
type Log struct {
	fd     int
	buf    []byte
	parser parser
}

// Open opens a kernel log, usually /dev/kmsg, and passes over what is in it.
func Open(name string) (*Log, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("open %s: %w; a container has it with --device /dev/kmsg:/dev/kmsg:r", name, err)
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("open %s: %w; it needs CAP_SYSLOG, or the host's sysctl kernel.dmesg_restrict=0", name, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFCHR {
		err = errors.New("it is no device, and a log that others have written is not the kernel's word")
	}
	if err == nil {
		_, err = unix.Seek(fd, 0, io.SeekEnd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &Log{fd: fd, buf: make([]byte, 16<<10)}, nil // the kernel's longest record has 8 KiB
}

// mostRecords bounds one reading, if the log fills as fast as it is read.
const mostRecords = 1 << 16

// Victims are those of whom the log tells since it was last read.
func (l *Log) Victims() ([]Victim, error) {
	var out []Victim
	for range mostRecords {
		n, err := unix.Read(l.fd, l.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EPIPE): // what was to come next is overwritten
			l.parser = parser{}
			continue
		case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
			return out, nil
		case err != nil:
			return out, fmt.Errorf("read the kernel's log: %w", err)
		}
		if v, ok := l.parser.next(l.buf[:n]); ok {
			out = append(out, v)
		}
	}
	return out, nil
}
