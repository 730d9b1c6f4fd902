package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTableIsWhatTheRunsMade: docs/engines.md claims nothing that no run has shown.
func TestTableIsWhatTheRunsMade(t *testing.T) {
	page, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		t.Fatal(err)
	}
	made, err := withTable("../..", string(page))
	if err != nil {
		t.Fatal(err)
	}
	if made != string(page) {
		t.Error("docs/engines.md is not what the kept results make: go generate ./test/matrix")
	}
}

// TestKeptResultsAreGreen: where a suite was run, nothing failed, and what was skipped says why. (A suite that was not
// run on an engine is so in the table.)
func TestKeptResultsAreGreen(t *testing.T) {
	all, err := results("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Error("nothing is kept")
	}
	for key, r := range all {
		if r.Passed == 0 || len(r.Failed) > 0 || r.Stock == "" {
			t.Errorf("%s: %+v, want that it passed: make e2e SUITE=%s ENGINE=%s KEEP=1", key, r, r.Suite, r.Engine)
		}
		for name, why := range r.Skipped {
			if why == "" {
				t.Errorf("%s: %s is skipped without a reason", key, name)
			}
		}
	}
}

// TestReadClosed: a run that ended early, did not compile or was skipped without a word is never a passed one.
func TestReadClosed(t *testing.T) {
	for name, c := range map[string]struct {
		lines   []string
		passed  int
		failed  []string
		skipped map[string]string
	}{
		"passed": {[]string{`{"Action":"run","Test":"TestA"}`, `{"Action":"pass","Test":"TestA"}`, `{"Action":"pass"}`}, 1, nil, nil},
		"did not compile": {
			[]string{`{"ImportPath":"x","Action":"build-output","Output":"x.go:1: no\n"}`, `{"ImportPath":"x","Action":"build-fail"}`, `{"Action":"fail","FailedBuild":"x"}`},
			0,
			[]string{"the package"},
			nil,
		},
		"ended in the middle of a test": {[]string{`{"Action":"run","Test":"TestA"}`, `{"Action":"fail"}`}, 0, []string{"the package"}, nil},
		"a subtest failed": {
			[]string{`{"Action":"fail","Test":"TestA/b"}`, `{"Action":"fail","Test":"TestA"}`, `{"Action":"fail"}`},
			0,
			[]string{"TestA/b", "TestA"},
			nil,
		},
		"skipped": {
			[]string{`{"Action":"output","Test":"TestA","Output":"    a_test.go:9: no kernel\n"}`, `{"Action":"output","Test":"TestA","Output":"--- SKIP: TestA\n"}`, `{"Action":"skip","Test":"TestA"}`, `{"Action":"skip","Test":"TestB"}`},
			0,
			nil,
			map[string]string{"TestA": "no kernel", "TestB": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := read(strings.NewReader(strings.Join(c.lines, "\n")+"\n"), &strings.Builder{})
			if err != nil || r.Passed != c.passed || !slices.Equal(r.Failed, c.failed) || len(r.Skipped) != len(c.skipped) {
				t.Fatalf("%+v, %v", r, err)
			}
			for name, why := range c.skipped {
				if got, ok := r.Skipped[name]; !ok || got != why {
					t.Errorf("%s is skipped for %q, want %q", name, got, why)
				}
			}
		})
	}
}

// TestReadKeepsWhatFailedTestsSaid, so that it can stand at the end of a long run's output too.
func TestReadKeepsWhatFailedTestsSaid(t *testing.T) {
	lines := `{"Action":"output","Test":"TestA","Output":"    a_test.go:9: got 403\n"}
{"Action":"output","Test":"TestA","Output":"        and more\n"}
{"Action":"output","Test":"TestA","Output":"    a.go:9: dockerd's log:\n"}
{"Action":"output","Test":"TestA","Output":"        of a log\n"}
{"Action":"fail","Test":"TestA"}
{"Action":"output","Test":"TestB","Output":"    b_test.go:9: fine\n"}
{"Action":"pass","Test":"TestB"}
`
	r, err := read(strings.NewReader(lines), &strings.Builder{})
	if want := []string{"TestA: a_test.go:9: got 403", "\tand more", "TestA: a.go:9: dockerd's log:"}; err != nil || !slices.Equal(r.said, want) {
		t.Errorf("%q, %v, want %q", r.said, err, want)
	}
}

// TestKeepResultReplaces: of each suite and engine there is one result, the last.
func TestKeepResultReplaces(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(resultsFile(root)), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Result{{Engine: "28", Suite: "a", Passed: 1}, {Engine: "26", Suite: "a", Passed: 2}, {Engine: "28", Suite: "a", Passed: 3}} {
		if err := keepResult(root, r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := results(root)
	if err != nil || len(all) != 2 || all["a 28"].Passed != 3 || all["a 26"].Passed != 2 {
		t.Errorf("%v, %v", all, err)
	}
}
