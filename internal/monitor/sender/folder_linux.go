package sender

import (
	"cmp"
	"io/fs"
	"path"
	"strings"
	"syscall"
)

// inode is the number of a folder: in a cgroup file system, the cgroup's id.
func inode(mount fs.FS, folder string) (uint64, bool) {
	st, _, ok := stat(mount, folder)
	if !ok {
		return 0, false
	}
	return st.Ino, true
}

func stat(mount fs.FS, folder string) (*syscall.Stat_t, fs.FileMode, bool) {
	info, err := fs.Stat(mount, fsName(folder))
	if err != nil {
		return nil, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, info.Mode(), ok
}

// fsName is how a file system calls a folder: without the slash, and its root ".".
func fsName(folder string) string { return cmp.Or(strings.TrimPrefix(folder, "/"), ".") }

// rootOnly says that only root may make folders in one: no other user owns it,
// or one above it, or may write there.
func rootOnly(mount fs.FS, folder string) bool {
	for {
		st, mode, ok := stat(mount, folder)
		if !ok || st.Uid != 0 || mode&0o022 != 0 {
			return false
		}
		if folder == "/" || folder == "." {
			return true
		}
		folder = path.Dir(folder)
	}
}
