// Package folderwatch tells that something in folders may have changed, as soon as the kernel says so.
//
// It never fails. The kernel lets each user have so many watches (fs.inotify.max_user_instances, 128 by itself), and root of a container without a user
// namespace of its own is the host's root to it: whoever runs a container can take them all. So whoever waits for a change must look at times
// by himself, too; until there is room, that is all. It reads no file, and does not look below a folder.
package folderwatch

import (
	"errors"
	"io/fs"
	"log/slog"

	"github.com/fsnotify/fsnotify"
)

// Watch watches folders. It is for one goroutine.
type Watch struct {
	what   string
	log    *slog.Logger
	w      *fsnotify.Watcher // nil: the kernel gives none
	failed string            // why, as the log says already
}

// New watches nothing yet. The log says what is watched.
func New(what string, log *slog.Logger) *Watch { return &Watch{what: what, log: log} }

// Set watches these folders, and no others. What the kernel did not give before is asked for again.
func (f *Watch) Set(folders map[string]bool) {
	if f.w == nil {
		w, err := fsnotify.NewWatcher()
		if err != nil {
			if err.Error() != f.failed {
				f.log.Warn("changes are noticed late, as the kernel tells of none", "of", f.what, "error", err,
					"hint", "raise fs.inotify.max_user_instances, and look who has them: root of a container counts as root")
			}
			f.failed = err.Error()
			return
		}
		f.w, f.failed = w, ""
	}
	for _, folder := range f.w.WatchList() {
		if !folders[folder] {
			_ = f.w.Remove(folder) // it may be gone already
		}
	}
	for folder := range folders {
		// Adding again is harmless, and needed where a folder was replaced.
		if err := f.w.Add(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.log.Warn("a folder is not watched", "of", f.what, "folder", folder, "error", err)
		}
	}
}

// Events are changes; none come as long as the kernel tells of none.
func (f *Watch) Events() <-chan fsnotify.Event {
	if f.w == nil {
		return nil
	}
	return f.w.Events
}

// Errors say that changes may have been missed.
func (f *Watch) Errors() <-chan error {
	if f.w == nil {
		return nil
	}
	return f.w.Errors
}

// Close ends it.
func (f *Watch) Close() {
	if f.w != nil {
		_ = f.w.Close()
	}
}
