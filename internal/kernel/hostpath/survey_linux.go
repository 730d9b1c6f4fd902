package hostpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// Survey says what makes it unwise to let others mount what lies at or below an
// absolute path: that links are on the way to it, that it does not exist, and
// who besides root can write to a folder on the way, so that he can put a link
// there between a decision and the mount. root is the host's root directory.
func Survey(root, p string) []string {
	var found []string
	for _, at := range wayTo(path.Clean(p)) {
		info, err := os.Lstat(filepath.Join(root, at))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return append(found, fmt.Sprintf("%s does not exist: whoever can write to %s can make it, as a link too; make it, as root", at, path.Dir(at)))
		case err != nil:
			return append(found, fmt.Sprintf("%s cannot be looked at: %v", at, err))
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(filepath.Join(root, at))
			return append(found, fmt.Sprintf("%s is a link to %s: what a path leads to is what counts, so write where that is", at, target))
		}
		who := writers(info)
		if who == "" || info.Mode()&fs.ModeSticky != 0 && ownedByRoot(info) && at != p && nextOwnedByRoot(root, at, p) {
			continue
		}
		if at == p {
			found = append(found, fmt.Sprintf("%s can write to %s, and put a link in place of what lies in it after a mount of that was allowed: "+
				"let only root write to it, or trust them as you trust root", who, at))
			continue
		}
		found = append(found, fmt.Sprintf("%s can write to %s, and put a link in place of what leads to %s after a mount of that was allowed: "+
			"let only root write to it, or allow a folder elsewhere", who, at, p))
	}
	return found
}

// wayTo are the folders that lead to a path, and the path.
func wayTo(p string) []string {
	way := []string{p}
	for p != "/" {
		p = path.Dir(p)
		way = append([]string{p}, way...)
	}
	return way
}

// writers says who besides root can write to a folder, "" for nobody. An access
// control list shows as the group's bits.
func writers(info fs.FileInfo) string {
	if !info.IsDir() {
		return "" // who writes to a file does not move it
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "somebody"
	}
	var who []string
	if st.Uid != 0 {
		who = append(who, fmt.Sprintf("its owner (uid %d)", st.Uid))
	}
	if info.Mode()&0o020 != 0 && st.Gid != 0 {
		who = append(who, fmt.Sprintf("its group (gid %d)", st.Gid))
	}
	if info.Mode()&0o002 != 0 {
		who = append(who, "everybody")
	}
	return strings.Join(who, " and ")
}

func ownedByRoot(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0
}

// nextOwnedByRoot: in a folder with the sticky bit nobody else can move it.
func nextOwnedByRoot(root, dir, p string) bool {
	next, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(p, dir), "/"), "/")
	info, err := os.Lstat(filepath.Join(root, dir, next))
	return err == nil && ownedByRoot(info)
}
