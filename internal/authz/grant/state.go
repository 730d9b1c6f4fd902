package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"vitrine/internal/kernel/ownfile"
)

// state is what must outlive the process: what was said, and what time it was.
type state struct {
	Version int                  `json:"version"` // 1
	Latest  time.Time            `json:"latest"`  // it was this time already
	Holds   map[string]Grant     `json:"holds"`   // whose beginning was recorded, and whose end was not
	Ended   map[string]time.Time `json:"ended"`   // grants that ended before their time, and when that is
}

const (
	stateFile = "grants.json"
	maxState  = 16 << 20
)

// loadState gives what a folder keeps; the zero state if it keeps nothing.
func loadState(dir string) (state, error) {
	fresh := state{Version: 1, Holds: map[string]Grant{}, Ended: map[string]time.Time{}}
	if dir == "" {
		return fresh, nil
	}
	folder, err := ownfile.OpenFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return fresh, err
	}
	defer folder.Close()
	raw, err := ownfile.Read(folder, stateFile, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return fresh, err
	}
	var s state
	if err = json.Unmarshal(raw, &s); err == nil && (s.Version != 1 || s.Latest.IsZero()) {
		err = errors.New("it is not what was written")
	}
	if err != nil {
		return fresh, fmt.Errorf("%s: %w", filepath.Join(dir, stateFile), err)
	}
	if s.Holds == nil {
		s.Holds = fresh.Holds
	}
	if s.Ended == nil {
		s.Ended = fresh.Ended
	}
	return s, nil
}

// save keeps the state, where there is a folder for it.
func (s *state) save(dir string) error {
	if dir == "" {
		return nil
	}
	folder, err := ownfile.OpenFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	raw, err := json.Marshal(s)
	if err == nil {
		err = ownfile.Replace(folder, stateFile, raw)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, stateFile), err)
	}
	return nil
}

// Latest is the latest time that a Keeper has kept in a folder: what is granted ends after it. It is
// zero if none is kept there.
func Latest(dir string) (time.Time, error) {
	s, err := loadState(dir)
	if err != nil {
		return time.Time{}, fmt.Errorf("read which rights have ended: %w", err)
	}
	return s.Latest, nil
}
