// Package grant keeps rights that end: who was lent which role, by whom, why, and until when.
//
// Grants stand in one file, which the command line writes and the service reads; neither the
// Engine nor a caller has a say in it. Whoever can write the file, or the folder that it is
// in, can give himself any role that the policy lends: so it is believed only if it is
// ours alone (package ownfile), and a file that cannot be read, understood or believed is no
// grants at all. Nothing in it can lend what the policy does not: the policy
// names for each role how long it may be lent, and no role without that can be.
//
// Time is the clock's (see Clock), which never goes back: what has ended has ended, whatever
// is done to the host's clock. A Keeper follows the file, and says in the audit log when a
// right begins and ends; what it has said it keeps on disk, so that it says nothing twice.
//
// It decides nothing: the policy's engine is told which grants there are (Keeper.Options.Lend), and
// tells which of them, and of the policy's own bindings with an end, hold (Keeper.Holds).
package grant

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	yaml "go.yaml.in/yaml/v3"

	"vitrine/internal/engine/principal"
	"vitrine/internal/kernel/ownfile"
)

const (
	maxFile  = 256 << 10 // bytes
	maxText  = 256       // bytes of a reason, and of who granted
	maxAll   = 8         // principals that must all hold
	maxAhead = 366 * 24 * time.Hour
	// history is how long a grant that is over stays in the file.
	history = 7 * 24 * time.Hour
)

// Grant is one right that ends: a role for whoever has all of some principals.
type Grant struct {
	ID      string      `yaml:"id" json:"id"`
	Role    string      `yaml:"role" json:"role"`
	To      []string    `yaml:"to,flow" json:"to"`
	From    time.Time   `yaml:"from" json:"from,omitzero"`
	Until   time.Time   `yaml:"until" json:"until"`
	By      string      `yaml:"by" json:"by"` // the host's user, or the policy's file and line
	Reason  string      `yaml:"reason" json:"reason,omitempty"`
	Revoked *Revocation `yaml:"revoked,omitempty" json:"revoked,omitempty"`
}

// Revocation says that a grant ended before its time.
type Revocation struct {
	At     time.Time `yaml:"at" json:"at"`
	By     string    `yaml:"by" json:"by"`
	Reason string    `yaml:"reason,omitempty" json:"reason,omitempty"`
}

// String is for messages: "deployer to tls:x".
func (g *Grant) String() string { return g.Role + " to " + strings.Join(g.To, " and ") }

// Refused is a grant that the policy does not lend.
type Refused struct {
	Grant Grant  `json:"grant"`
	Why   string `json:"why"`
}

// Same reports whether two grants give the same right.
func (g *Grant) Same(other *Grant) bool {
	return g.ID == other.ID && g.Role == other.Role && slices.Equal(g.To, other.To) && g.From.Equal(other.From) && g.Until.Equal(other.Until)
}

// Over reports whether the grant has ended: by its time, or because it was revoked.
func (g *Grant) Over(now time.Time) bool { return g.Revoked != nil || !now.Before(g.Until) }

var id = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,31}$`)

// check says what is wrong with a grant of a file that is read at now.
func (g *Grant) check(now time.Time) error {
	switch {
	case !id.MatchString(g.ID):
		return fmt.Errorf("id: %q is none", g.ID)
	case g.Role == "" || len(g.Role) > maxText:
		return errors.New("role: it names none")
	case len(g.To) == 0 || len(g.To) > maxAll:
		return fmt.Errorf("to: it names %d principals, not 1 to %d", len(g.To), maxAll)
	case g.From.IsZero() || !g.From.Before(g.Until):
		return errors.New("until: it does not end after it begins")
	case Beyond(g.Until):
		return errors.New("until: it is too far ahead")
	case g.From.After(now.Add(maxAhead)):
		return errors.New("from: it begins in more than a year")
	case g.Revoked != nil && (g.Revoked.At.IsZero() || !plain(g.Revoked.By) || g.Revoked.Reason != "" && !plain(g.Revoked.Reason)):
		return errors.New("revoked: it says neither when nor by whom, or in control characters")
	case !plain(g.By):
		return fmt.Errorf("by: want 1 to %d bytes without control characters", maxText)
	case !plain(g.Reason):
		return fmt.Errorf("reason: want 1 to %d bytes without control characters", maxText)
	}
	for _, p := range g.To {
		if _, err := principal.Parse(p); err != nil {
			return fmt.Errorf("to: %w", err)
		}
	}
	return nil
}

// plain is a text that people can be shown.
func plain(s string) bool {
	return s != "" && len(s) <= maxText && strings.ToValidUTF8(s, "") == s && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// list is the file.
type list struct {
	Grants []Grant `yaml:"grants"`
}

// lines are where the grants of a file begin.
type lines struct {
	Grants []yaml.Node `yaml:"grants"`
}

// parse reads what a file holds. The error has file and line.
func parse(name string, raw []byte, now time.Time) ([]Grant, error) {
	var file list
	var at lines
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	err := dec.Decode(&file)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: is empty; without grants it says `grants: []`", name)
	}
	if err == nil && !errors.Is(dec.Decode(new(yaml.Node)), io.EOF) {
		err = errors.New("holds more than one document")
	}
	if wrong := yaml.Unmarshal(raw, &at); err == nil {
		err = wrong
	}
	for _, node := range at.Grants {
		if wrong := node.Decode(new(Grant)); wrong != nil { // that error may have no line of its own
			return nil, fmt.Errorf("%s:%d: %w", name, node.Line, wrong)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var errs []error
	seen := map[string]bool{}
	for i := range file.Grants {
		g := &file.Grants[i]
		err := g.check(now)
		if err == nil && seen[g.ID] {
			err = fmt.Errorf("id: %s is there twice", g.ID)
		}
		if seen[g.ID] = true; err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, at.Grants[i].Line, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return file.Grants, nil
}

// Read gives the grants of a file, also those that are over; none if there is no file, and
// none along with an error.
func Read(file string, now time.Time) ([]Grant, error) {
	folder, err := ownfile.OpenFolder(filepath.Dir(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the grants: %w", err)
	}
	defer folder.Close()
	grants, err := readIn(folder, file, now)
	if err != nil {
		return nil, fmt.Errorf("read the grants: %w", err)
	}
	return grants, nil
}

// FileError says what is wrong with a file of grants that is there: it is no grants at all until it is mended.
type FileError struct{ err error }

func (e *FileError) Error() string { return e.err.Error() }

func (e *FileError) Unwrap() error { return e.err }

func readIn(folder *os.Root, file string, now time.Time) ([]Grant, error) {
	raw, err := ownfile.Read(folder, filepath.Base(file), maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []Grant
	if err == nil {
		list, err = parse(file, raw, now)
	}
	if err != nil {
		return nil, &FileError{err}
	}
	return list, nil
}

// Change lets one writer at a time change the grants of a file; what was over long before now is left
// out. The file is the old one or the new one at each moment.
func Change(file string, now time.Time, change func([]Grant) ([]Grant, error)) error {
	folder, err := ownfile.OpenFolder(filepath.Dir(file))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the grants: there is no folder %s: make it, as root, with mode 0755", filepath.Dir(file))
	}
	if err != nil {
		return fmt.Errorf("write the grants: %w", err)
	}
	defer folder.Close()
	unlock, err := ownfile.Lock(folder, "."+filepath.Base(file)+".lock")
	if err != nil {
		return fmt.Errorf("write the grants: %w", err)
	}
	defer unlock()
	grants, err := readIn(folder, file, now)
	if err == nil {
		grants, err = change(grants)
	}
	if err != nil {
		return err
	}
	grants = slices.DeleteFunc(grants, func(g Grant) bool { return g.Over(now) && now.Sub(g.Until) > history })
	raw, err := yaml.Marshal(list{grants})
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("%d bytes are more than the %d that are read: revoke some", len(raw), maxFile)
	}
	if err == nil {
		_, err = parse(file, raw, now) // what is written can be read
	}
	if err == nil {
		err = ownfile.Replace(folder, filepath.Base(file), append([]byte(heading), raw...))
	}
	if err != nil {
		return fmt.Errorf("write the grants: %w", err)
	}
	return nil
}

const heading = "# Written by authz-plugin grant and revoke. A file that is wrong is no grants at all.\n"
