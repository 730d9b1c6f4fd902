package hostpath

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// attempts at a path in which somebody moves things about.
	attempts = 16
	// maxMissing is how many folders of a path may not exist yet.
	maxMissing = 32

	follow  = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	noLinks = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS
)

// errChanged says that a path was not the same from one look to the next.
var errChanged = errors.New("it changes while it is looked at")

// open opens the root directory, and makes sure that the kernel can do what we need.
func (r *root) open(name string) error {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	r.dir = os.NewFile(uintptr(fd), name)
	if r.prefix, err = pathOf(fd); err == nil {
		r.prefix = strings.TrimSuffix(r.prefix, "/")
		var same int
		if same, err = openAt(fd, ".", follow); err == nil {
			_ = unix.Close(same)
		} else {
			err = fmt.Errorf("openat2 (it needs Linux 5.6, and a seccomp profile that knows it): %w", err)
		}
	}
	if err != nil {
		_ = r.dir.Close()
	}
	return err
}

// resolve gives the path without links. The descriptor of the root cannot be
// given away meanwhile, though another lookup may close it.
func (r *root) resolve(p string) (to string, err error) {
	raw, err := r.dir.SyscallConn()
	if err != nil {
		return "", err
	}
	inner := errChanged
	err = raw.Control(func(fd uintptr) {
		for left := attempts; left > 0 && errors.Is(inner, errChanged); left-- {
			to, inner = r.look(int(fd), p)
		}
	})
	if err != nil {
		return "", fmt.Errorf("dockerd has just been restarted, try again: %w", err)
	}
	return to, inner
}

// look opens what is there of the path, asks the kernel where that lies, and
// makes sure that the answer names the same file without following a link.
func (r *root) look(dir int, p string) (string, error) {
	fd, rest, err := openLongest(dir, p)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	whole, err := pathOf(fd)
	if err != nil {
		return "", err
	}
	// What has left the root meanwhile is not found there by the path that it has elsewhere.
	found := path.Join("/", strings.TrimPrefix(whole, r.prefix))
	if !sameFile(dir, found, fd) {
		return "", errChanged
	}
	if rest != "" {
		next, _, _ := strings.Cut(rest, "/")
		if err := absent(fd, next); err != nil {
			return "", fmt.Errorf("%q: %w", path.Join(found, next), err)
		}
	}
	to := path.Join(found, rest)
	if to != p && ofProc(fd) {
		return "", fmt.Errorf("%q is a link into /proc, which leads each process elsewhere", p)
	}
	return to, nil
}

// openLongest opens the path, or the longest part of it that exists.
func openLongest(dir int, p string) (fd int, rest string, err error) {
	for missing, there := 0, p; missing <= maxMissing; missing, there = missing+1, path.Dir(there) {
		fd, err := openAt(dir, there, follow)
		switch {
		case err == nil:
			return fd, strings.TrimPrefix(p[len(there):], "/"), nil
		case !errors.Is(err, unix.ENOENT):
			return -1, "", err
		}
	}
	return -1, "", fmt.Errorf("more than %d folders of it do not exist", maxMissing)
}

// openAt is openat2(2) with O_PATH: nothing is opened for reading, and no
// device is woken up.
func openAt(dir int, p string, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(dir, p, &how)
		if !errors.Is(err, unix.EINTR) {
			return fd, explain(err)
		}
	}
}

func explain(err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN):
		return errChanged
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("its links go round, or one is a link of /proc that is no path: %w", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("no permission to look there: give Vitrine CAP_DAC_READ_SEARCH, if that is not a file system of its user's alone: %w", err)
	}
	return err
}

// sameFile says that a path leads to an open file without a link.
func sameFile(dir int, p string, fd int) bool {
	again, err := openAt(dir, p, noLinks)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(again) }()
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Fstat(again, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// absent makes sure that a folder has no such name, not even a link to nothing:
// what that leads to would be made later, by whoever likes to.
func absent(dir int, name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return errors.New("it is a link that leads nowhere")
	}
	return errChanged
}

func ofProc(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) != nil || st.Type == unix.PROC_SUPER_MAGIC
}

// pathOf is the path of an open file, as the kernel tells it: from the root of
// the mount namespace in which it was opened.
func pathOf(fd int) (string, error) {
	buf := make([]byte, unix.PathMax+1) // the kernel gives up on longer ones
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), buf)
	if err != nil {
		return "", fmt.Errorf("ask the kernel where it lies: %w", err)
	}
	p := string(buf[:n])
	if !path.IsAbs(p) {
		return "", fmt.Errorf("the kernel tells no path: %q", p)
	}
	return p, nil
}
