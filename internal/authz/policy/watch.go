package policy

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vitrine/internal/kernel/folderwatch"
)

const (
	// settle is how long the files must be quiet before they are read, and once more
	// until they are read again and taken: an editor writes, renames and removes, and a
	// copy takes its time.
	settle = 200 * time.Millisecond
	// lookAgain bounds how long a change is missed that nobody told us of: a
	// network file system, a mount on top, an overflow of the kernel's queue, or a kernel that tells of none.
	lookAgain = 15 * time.Second
)

// Watch loads the policy again whenever its files change, until ctx ends. It
// watches folders, not files, so it survives editors that rename, links that are
// turned to another folder, and a folder that appears later. Why a new policy was
// refused is logged and in Status.
func (e *Engine) Watch(ctx context.Context) error {
	if len(e.opts.Paths) == 0 {
		<-ctx.Done() // the built-in policy does not change
		return nil
	}
	w := folderwatch.New("the policy", e.log)
	defer w.Close()

	again := time.NewTicker(lookAgain)
	quiet := time.NewTimer(settle) // something may have changed since Load
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events():
			quiet.Reset(settle)
			continue
		case err := <-w.Errors():
			e.log.Warn("policy watch", "error", err)
			quiet.Reset(settle)
			continue
		case <-again.C:
		case <-quiet.C:
		}
		// Watch first, so that what changes while we read is an event.
		e.watchFolders(w)
		if e.reload(ctx) {
			quiet.Reset(settle)
		}
	}
}

// watchFolders makes w watch the folders that the policy's files are in now.
func (e *Engine) watchFolders(w *folderwatch.Watch) {
	wanted := map[string]bool{}
	for _, p := range e.opts.Paths {
		if _, is := presetOf(p); !is { // it does not change
			foldersOf(p, wanted)
		}
	}
	w.Set(wanted)
}

// foldersOf adds the folders whose changes can change what path holds: the folders
// that path names or leads through by links, those below path, and the one that
// path is in. If path does not exist, the nearest folder above that does is added.
func foldersOf(path string, dirs map[string]bool) {
	path, err := filepath.Abs(path)
	if err != nil {
		return
	}
	for parent := filepath.Dir(path); ; parent = filepath.Dir(parent) {
		if isDir(parent) {
			dirs[parent] = true
			break
		}
		if parent == filepath.Dir(parent) {
			break
		}
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return
	}
	dirs[filepath.Dir(target)] = true
	below(target, dirs, 0)
}

func below(dir string, dirs map[string]bool, depth int) {
	entries, err := os.ReadDir(dir)
	if err != nil || depth > maxDepth {
		return // a file, or gone
	}
	dirs[dir] = true
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			if target, err := filepath.EvalSymlinks(name); err == nil {
				dirs[filepath.Dir(target)] = true
				below(target, dirs, depth+1)
			}
		case entry.IsDir() && entry.Name()[0] != '.':
			below(name, dirs, depth+1)
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
