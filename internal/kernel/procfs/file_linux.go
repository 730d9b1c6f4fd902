package procfs

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// File is one that is opened, read and closed again and again. It is not kept
// open, since an open net/dev would keep its network namespace alive. Reading
// allocates nothing, so it goes round os.File.
type File struct{ name []byte } // ends with a zero byte

// NetDev is the net/dev of a process, below the mount point of a proc file
// system; 1 is the host's own where the PID namespace is.
func NetDev(proc string, pid int) File {
	return File{append([]byte(filepath.Join(proc, strconv.Itoa(pid), "net/dev")), 0)}
}

// String is the name.
func (f File) String() string { return string(f.name[:len(f.name)-1]) }

// Read returns the content, in buf or, if that is too small, in a larger one.
func (f File) Read(buf []byte) ([]byte, error) {
	fd, err := Open(f.name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f, err)
	}
	defer func() { _ = unix.Close(fd) }()
	buf = buf[:cap(buf)]
	for n := 0; ; {
		if n == len(buf) {
			buf = append(buf, make([]byte, max(4096, len(buf)))...)
		}
		got, err := unix.Read(fd, buf[n:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", f, err)
		case got == 0:
			return buf[:n], nil
		}
		n += got
	}
}

// Open opens for reading a file whose name ends with a zero byte. It allocates nothing;
// unix.Open does, for the name.
func Open(name []byte) (int, error) {
	cwd := unix.AT_FDCWD
	for {
		//nolint:gosec // the name ends with a zero byte, and lives until the call returns
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(&name[0])),
			unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
		if errno == 0 {
			return int(fd), nil
		}
		if errno != unix.EINTR {
			return -1, errno
		}
	}
}

// OpenFiles counts the open files of a process, below the mount point of a proc
// file system. Since Linux 6.2 anyone may ask; before, only who may trace the process,
// and others get EACCES, an fs.ErrPermission.
func OpenFiles(proc string, pid int) (int, error) {
	dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, fmt.Errorf("count open files of pid %d: %w", pid, err)
	}
	if st.Size > 0 || sizeCounts(proc) {
		return int(st.Size), nil
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("count open files of pid %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return countEntries(fd)
}

// sizeCounts says that the size of a folder fd is the number of files, so that 0
// is none: we have some ourselves.
func sizeCounts(proc string) bool {
	var own unix.Stat_t
	return unix.Stat(filepath.Join(proc, "self/fd"), &own) == nil && own.Size > 0
}

func countEntries(fd int) (int, error) {
	buf := make([]byte, 8192)
	count := 0
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return 0, fmt.Errorf("count open files: %w", err)
		}
		if n == 0 {
			return count, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		count += len(names)
	}
}
