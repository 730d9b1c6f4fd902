package record

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// version is that of the format.
const version = 1

const (
	maxLine  = 256 << 10 // bytes of a line that is read
	maxLines = 1 << 17
	maxBytes = 32 << 20         // of a record that is read: several times what a Store writes
	interval = 10 * time.Second // between two writings of the file
	// maxReadErrors are said of one file, and the rest is counted.
	maxReadErrors = 8
)

// header is the first line of a record.
type header struct {
	Version int       `json:"vitrine_record"`
	Written time.Time `json:"written"`
	PutOut  uint64    `json:"put_out,omitempty"`
}

// WriteTo writes the record as docs/record.md has it.
func (s *Store) WriteTo(w io.Writer) (int64, error) {
	c := &counting{w: bufio.NewWriter(w)}
	c.line(header{version, stamp(time.Now()), s.PutOut()}, "")
	for _, t := range s.all() {
		t.line.First, t.line.Last = stamp(t.line.First), stamp(t.line.Last)
		c.line(counts{t.line.Count, t.line.First, t.line.Last, t.line.Sample, t.line.Revision, t.line.Lossy}, t.text)
	}
	return c.n, errors.Join(c.err, c.w.Flush())
}

// counts are a Line without its Shape.
type counts struct {
	Count    uint64    `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Sample   string    `json:"sample,omitempty"`
	Revision string    `json:"policy_revision,omitempty"`
	Lossy    bool      `json:"lossy,omitempty"`
}

type counting struct {
	w   *bufio.Writer
	n   int64
	err error
}

// line writes an object, with the members of another one.
func (c *counting) line(v any, more string) {
	text, err := json.Marshal(v)
	if more != "" {
		text = append(append(text[:len(text)-1], ','), more[1:]...)
	}
	n, errWrite := c.w.Write(append(text, '\n'))
	c.n += int64(n)
	c.err = errors.Join(c.err, err, errWrite)
}

// readError is what cannot be read of a record.
type readError struct {
	Name string // of the file
	Line int    // from 1; 0: the record as a whole
	Err  error
}

// Error says where it is.
func (p *readError) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %v", p.Name, p.Err)
	}
	return fmt.Sprintf("%s:%d: %v", p.Name, p.Line, p.Err)
}

// Read reads a record: all lines that can be read, and a ReadError for each of those that cannot. What is no
// record at all is an error, and gives no line.
func Read(r io.Reader, name string) (lines []*Line, problems []error, err error) {
	in := &reading{r: bufio.NewReaderSize(r, maxLine)}
	switch more := in.next(); {
	case in.err != nil:
		return nil, nil, &readError{name, 1, in.err}
	case !more:
		return nil, nil, &readError{name, 0, errors.New("it is empty: a record begins with a line of its version")}
	}
	var h header
	switch err := json.Unmarshal(in.line, &h); {
	case err != nil || h.Version < 1:
		return nil, nil, &readError{name, 1, errors.New("this is no record: it does not begin with {\"vitrine_record\":1")}
	case h.Version > version:
		return nil, nil, &readError{name, 1, fmt.Errorf("its version is %d, and this program knows %d: use the authz-plugin that wrote it", h.Version, version)}
	}
	n := 1
	wrong := func(err error) {
		if len(problems) < maxReadErrors {
			problems = append(problems, &readError{name, n, err})
		} else if len(problems) == maxReadErrors {
			problems = append(problems, &readError{name, 0, errors.New("further lines cannot be read either")})
		}
	}
	for in.next() {
		if n++; n > maxLines || in.size > maxBytes {
			wrong(fmt.Errorf("it has more than %d lines or %d bytes; the rest is not read", maxLines, maxBytes))
			return lines, problems, nil
		}
		switch {
		case in.long:
			wrong(fmt.Errorf("it is longer than %d bytes", maxLine))
			continue
		case len(bytes.TrimSpace(in.line)) == 0:
			continue
		}
		l, err := parseLine(in.line)
		if err != nil {
			wrong(err)
			continue
		}
		lines = append(lines, l)
	}
	if in.err != nil {
		n++
		wrong(fmt.Errorf("the rest is not read: %w", in.err))
	}
	return lines, problems, nil
}

// reading gives the lines of a record. One that is too long costs only itself.
type reading struct {
	r    *bufio.Reader
	line []byte // until the next one is read
	long bool   // line is only how it begins
	size int    // in bytes, of all so far
	err  error  // but for the end
}

// next reads a line, and says whether there was one.
func (in *reading) next() bool {
	if in.err != nil {
		return false
	}
	line, err := in.r.ReadSlice('\n')
	in.line, in.long = line, errors.Is(err, bufio.ErrBufferFull)
	in.size += len(line)
	for errors.Is(err, bufio.ErrBufferFull) && in.size <= maxBytes {
		line, err = in.r.ReadSlice('\n')
		in.size += len(line)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		in.err = err
		return false
	}
	return len(in.line) > 0
}

// parseLine reads one line. Every byte of it may be anybody's.
func parseLine(text []byte) (*Line, error) {
	var l Line
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("this is no shape: %w", err)
	}
	switch {
	case l.Caller == nil || l.Operation == nil:
		return nil, errors.New("this is no shape: it lacks a caller or an operation")
	case l.Count == 0:
		return nil, errors.New("this is no shape: it was never seen")
	}
	switch l.Verdict.Answer {
	case Allow, Deny, WouldDeny, Hidden:
	default:
		return nil, fmt.Errorf("there is no answer %q", l.Verdict.Answer)
	}
	op, err := l.Operation.Operation(l.Engine)
	if err != nil {
		return nil, err
	}
	if now := op.Outline(); now.URI != l.Operation.URI { // an earlier version wrote more of it
		l.Operation.URI = now.URI
		l.Operation.Dropped = slices.Compact(slices.Sorted(slices.Values(slices.Concat(l.Operation.Dropped, now.Dropped))))
	}
	return &l, nil
}

// ReadFile reads a record from a file.
func ReadFile(path string) (lines []*Line, problems []error, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe is not waited for
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, nil, &readError{path, 0, errors.New("it is no file")}
	}
	return Read(f, path)
}

// Recall takes what the file has from before, and says what cannot be read of it. A file that is not there
// is one to be made.
func (s *Store) Recall() (problems []error) {
	if s.o.Path == "" {
		return nil
	}
	lines, problems, err := ReadFile(s.o.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return []error{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range lines {
		text, err := l.encode()
		if err != nil {
			continue
		}
		if k := s.add(string(text), l.Caller.String(), Line{First: l.First}); k != nil {
			k.line.Count += l.Count
			k.line.Last, k.line.Sample, k.line.Revision, k.line.Lossy = l.Last, l.Sample, l.Revision, l.Lossy
		}
	}
	s.changed = len(problems) > 0
	return problems
}

// Run keeps the file until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	if s.o.Path == "" {
		return nil
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failing := false
	for {
		ended := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		err := s.save()
		if err != nil && !failing {
			s.o.Logger.Error("the record is not being kept", "error", err)
		}
		failing = err != nil
		if ended {
			return nil
		}
	}
}

// save writes the file anew, if anything has changed: first beside it, so that it is whole whatever happens.
func (s *Store) save() error {
	s.mu.Lock()
	changed := s.changed
	s.changed = false
	s.mu.Unlock()
	if !changed {
		return nil
	}
	err := s.write()
	if err != nil {
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
		return fmt.Errorf("write the record: %w", err)
	}
	return nil
}

func (s *Store) write() (err error) {
	f, err := os.CreateTemp(filepath.Dir(s.o.Path), "."+filepath.Base(s.o.Path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = s.WriteTo(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.o.Path)
}
