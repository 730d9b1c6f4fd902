// Package transcript runs what the documentation tells its reader to type, from the text itself, and holds what comes
// out against what the text shows.
//
// A block of a Markdown file marked console is a transcript: a line that begins with "# " or "$ " is a command, which a
// backslash at its end continues; the lines below it are what it prints. "…" stands for anything, a command without
// lines below it may print what it likes. What a command prints is all that is held against the text, besides that it ends.
package transcript

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

// Block is a fenced block of a Markdown file.
type Block struct {
	Heading string // of the section that it is in, without the number signs
	Lang    string // "console", "yaml", …
	Text    string
}

// Blocks reads every fenced block of a Markdown file, in its order.
func Blocks(tb testing.TB, file string) []Block {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var blocks []Block
	heading, open := "", false
	for line := range strings.Lines(string(text)) {
		switch bare := strings.TrimSpace(line); {
		case strings.HasPrefix(bare, "```") && !open:
			blocks = append(blocks, Block{Heading: heading, Lang: strings.TrimPrefix(bare, "```")})
			open = true
		case strings.HasPrefix(bare, "```"):
			open = false
		case open:
			blocks[len(blocks)-1].Text += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if len(blocks) == 0 {
		tb.Fatalf("%s has no fenced block", file)
	}
	return blocks
}

// Step is a command with what it prints, as far as the text says so.
type Step struct{ Command, Prints string }

// Commands returns what a transcript tells its reader to type.
func Commands(text string) []string {
	var all []string
	for _, s := range Steps(text) {
		all = append(all, strings.TrimRight(s.Command, "\n"))
	}
	return all
}

// Steps are those of a transcript. A Command ends with a newline.
func Steps(text string) []Step {
	var all []Step
	continued := false
	for line := range strings.Lines(text) {
		prompt := strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "$ ")
		switch {
		case prompt && !continued:
			all = append(all, Step{Command: line[2:]})
		case len(all) == 0:
			continue
		case continued:
			all[len(all)-1].Command += line
		default:
			all[len(all)-1].Prints += line
			continue
		}
		continued = strings.HasSuffix(strings.TrimRight(line, "\n"), `\`)
	}
	return all
}

// Shell is a shell that keeps its folder and its variables from one transcript to the next.
type Shell struct {
	tb  testing.TB
	in  io.Writer
	out *bufio.Reader
}

// Start starts a shell by a command that reads its standard input: "bash -s", perhaps inside an engine's namespaces.
// It ends with the test.
func Start(tb testing.TB, cmd *exec.Cmd) *Shell {
	tb.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // with the status of the last command
	})
	return &Shell{tb: tb, in: in, out: bufio.NewReader(out)}
}

// Type runs a command and returns what it prints, standard error too. The variable status is how it ended.
func (s *Shell) Type(command string) string {
	s.tb.Helper()
	const end = "\x04end of this command\x04"
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null; status=$?\nprintf '%%s\\n' '%s'\n", strings.TrimRight(command, "\n"), end); err != nil {
		s.tb.Fatalf("%s: %v", command, err)
	}
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if before, found := strings.CutSuffix(line, end+"\n"); found {
			printed.WriteString(before)
			return printed.String()
		}
		printed.WriteString(line)
		if err != nil {
			s.tb.Fatalf("%s: the shell ended: %s", command, printed.String())
		}
	}
}

// Run runs a transcript, and fails the test for each command that prints something else.
func (s *Shell) Run(text string) {
	s.tb.Helper()
	for _, step := range Steps(text) {
		printed := s.Type(step.Command)
		s.tb.Logf("%s%s", step.Command, printed)
		if step.Prints != "" && !matches(step.Prints, printed) {
			s.tb.Errorf("%sprinted\n%sand the text says\n%s", step.Command, printed, step.Prints)
		}
	}
}

// Await runs a step, and fails the test if it prints something else for longer than something takes to be ready.
func (s *Shell) Await(step Step) {
	s.tb.Helper()
	var printed string
	err := wait.NoError(20*time.Second, func() error {
		if printed = s.Type(step.Command); step.Prints == "" || matches(step.Prints, printed) {
			return nil
		}
		return fmt.Errorf("%sprinted\n%sand the text says\n%s", step.Command, printed, step.Prints)
	})
	s.tb.Logf("%s%s", step.Command, printed)
	if err != nil {
		s.tb.Error(err)
	}
}

// matches compares with a text in which "…" stands for anything.
func matches(want, got string) bool {
	var pattern strings.Builder
	for i, part := range strings.Split(strings.TrimSpace(want), "…") {
		if i > 0 {
			pattern.WriteString("(?s:.*)")
		}
		pattern.WriteString(regexp.QuoteMeta(part))
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(strings.TrimSpace(got))
}
