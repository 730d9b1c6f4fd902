package engine

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Shared is an engine that the tests of a package share. It is started for the first
// test that wants it.
type Shared struct {
	Prepare func(*Engine) error // once, before the first test has it; may be nil

	once   sync.Once
	engine *Engine
	err    error
}

// Run runs the tests, stops the engine if there is one, and gives the exit code: for TestMain.
func (s *Shared) Run(m *testing.M) int {
	code := m.Run()
	if s.engine != nil {
		if err := s.engine.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// For is the engine, for one test.
func (s *Shared) For(tb testing.TB) *Engine {
	tb.Helper()
	Require(tb)
	s.once.Do(func() {
		if s.engine, s.err = Open(Options{}); s.err == nil && s.Prepare != nil {
			s.err = s.Prepare(s.engine)
		}
	})
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.engine.For(tb)
}
