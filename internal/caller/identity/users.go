package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"vitrine/internal/engine/principal"
)

// Users are the host's user names, from its passwd file. The file is read again
// when it has changed, which is looked at no more than once a second. A file
// that is not there, or cannot be read, names nobody.
type Users struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	names   *names
	checked time.Time
	read    os.FileInfo // of the file that names were read from
	problem string      // the last one logged
}

// NewUsers reads names from path, /etc/passwd or where the host's is mounted. A
// file that is there and cannot be read is logged, unless log is nil.
func NewUsers(path string, log *slog.Logger) *Users {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Users{path: path, log: log}
}

// names are user names by uid. The pointer changes when they do.
type names struct {
	byUID map[uint32]string // of those that mean one user
	uids  map[uint32]bool   // all
}

// name is uid's; uid 0 is root whatever the file says, and nobody else is.
func (n *names) name(uid uint32) string {
	if uid == 0 {
		return "root"
	}
	if n == nil {
		return ""
	}
	return n.byUID[uid]
}

func (u *Users) current() *names {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now(); now.Sub(u.checked) >= time.Second {
		u.checked = now
		u.check()
	}
	return u.names
}

// Never says why nobody can have a principal of a user of the host's, "" if somebody may,
// or if it cannot be told.
func (u *Users) Never(of string) string {
	p := principal.Split(of)
	n := u.current()
	if n == nil {
		return ""
	}
	if p.Kind == principal.Unix && p.Value != "root" {
		for _, name := range n.byUID {
			if name == p.Value {
				return ""
			}
		}
		return "there is no user of that name in " + u.path + ", or none that has it alone"
	}
	if p.Kind == principal.UID {
		uid, _ := strconv.ParseUint(p.Value, 10, 32) // what is no number is 0, and what is too large the largest
		if uid != 0 && !n.uids[uint32(uid)] {
			return "there is no user of that number in " + u.path
		}
	}
	return ""
}

func (u *Users) check() {
	info, err := os.Stat(u.path)
	if err == nil && unchanged(u.read, info) {
		return
	}
	var n *names
	if err == nil {
		n, err = readNames(u.path, info.Size())
	}
	if err != nil {
		u.read, u.names = nil, nil
		if !errors.Is(err, fs.ErrNotExist) && err.Error() != u.problem {
			u.problem = err.Error()
			u.log.Warn("users have no names", "path", u.path, "error", err)
		}
		return
	}
	u.read, u.names, u.problem = info, n, ""
}

// unchanged compares two looks at a file; tools replace it, so inodes count.
func unchanged(a, b os.FileInfo) bool {
	return a != nil && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}

// mostUsers is the size in bytes of the largest passwd file that is read.
const mostUsers = 16 << 20

func readNames(path string, size int64) (*names, error) {
	if size > mostUsers {
		return nil, fmt.Errorf("read user names: %s is larger than %d bytes", path, mostUsers)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read user names: %w", err)
	}
	byUID, uids := parsePasswd(string(b))
	return &names{byUID, uids}, nil
}

// userName is what useradd accepts and a little more; no colon, no "@" or "+"
// of name services.
var userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*[$]?$`)

// parsePasswd reads passwd(5). A name must mean exactly one user and a user
// must have exactly one name, else there is none; names that are all digits
// could be taken for ids.
func parsePasswd(text string) (byUID map[uint32]string, all map[uint32]bool) {
	byUID, all = map[uint32]string{}, map[uint32]bool{}
	uids, count := map[string]int{}, map[uint32]int{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) != 7 {
			continue
		}
		n, _ := strconv.ParseUint(f[2], 10, 32)
		if f[2] != strconv.FormatUint(n, 10) { // nor is what could not be parsed
			continue
		}
		uid := uint32(n)
		uids[f[0]]++
		count[uid]++
		byUID[uid], all[uid] = f[0], true
	}
	for uid, name := range byUID {
		digits := strings.Trim(name, "0123456789") == ""
		if uid == 0 || name == "root" || digits || !userName.MatchString(name) || count[uid] != 1 || uids[name] != 1 {
			delete(byUID, uid)
		}
	}
	return byUID, all
}
