// Program matrix runs the suites of test/e2e on several Docker Engines, one after another, and keeps what came of it.
//
//	matrix run [-keep] [-engines 26,28] [-suites bypass,plans]
//	matrix table
//
// run prints of each run which engine and command line it has: the test process itself asks its engine (see
// test/engine). Its exit status is 1 if anything failed. With -keep each run's result replaces the one in
// results.jsonl, a line for each engine and suite. table writes docs/engines.md's table from results.jsonl;
// matrix_test.go holds that it is that, that nothing in it failed, and that what was skipped says why.
//
// It does not make engines: scripts/engines.sh does.
package main

//go:generate go run . table

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// engines are the names of VITRINE_ENGINE, in the table's order.
var engines = []string{"20", "26", "28", "28c"}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if len(args) == 1 && args[0] == "table" {
		return writeTable(root)
	}
	if len(args) == 0 || args[0] != "run" {
		return fmt.Errorf("usage: matrix run [-keep] [-engines %s] [-suites NAME,...], or matrix table", strings.Join(engines, ","))
	}
	flags := flag.NewFlagSet("matrix run", flag.ExitOnError)
	keep := flags.Bool("keep", false, "keep the results in test/matrix/results.jsonl")
	on := flags.String("engines", "", "engines to run on; without one, the installed engine")
	all, err := suites(root)
	if err != nil {
		return err
	}
	names := flags.String("suites", strings.Join(all, ","), "suites to run")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var failed []string
	for engine := range strings.SplitSeq(*on, ",") {
		for suite := range strings.SplitSeq(*names, ",") {
			if !slices.Contains(engines, engine) && (engine != "" || *keep) || !slices.Contains(all, suite) {
				return fmt.Errorf("there is no engine %q or no suite %q: %v, %v", engine, suite, engines, all)
			}
			result, err := runSuite(root, engine, suite)
			if err != nil {
				return err
			}
			if *keep {
				if err := keepResult(root, result); err != nil {
					return err
				}
			}
			if len(result.Failed) > 0 {
				failed = append(failed, strings.Join(append([]string{engine + "/" + suite}, result.said...), "\n\t"))
			}
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed:\n%s", strings.Join(failed, "\n")) // again, at the end, where one looks first
	}
	return nil
}

// suites are the folders of test/e2e.
func suites(root string) ([]string, error) {
	folders, err := os.ReadDir(filepath.Join(root, "test/e2e"))
	var names []string
	for _, f := range folders {
		if f.IsDir() {
			names = append(names, f.Name())
		}
	}
	return names, err
}

func moduleRoot() (string, error) {
	file, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(file))), nil
}
