// Package browser is a headless Chromium that a test tells what to do; see browser.mjs. The browser is Debian's, the
// library between them is in web/node_modules.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

// Browser is a headless Chromium with one page.
type Browser struct {
	tb  testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// Args are those of a verb of browser.mjs.
type Args = map[string]any

// root is the repository's root, as seen from the folder of a test.
func root() string {
	dir, _ := os.Getwd() // without one nothing is found
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// Require skips the test where there is no browser, or fails it where VITRINE_REQUIRE is set.
func Require(tb testing.TB) {
	tb.Helper()
	var missing []string
	for _, program := range []string{"node", "chromium"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if _, err := os.Stat(filepath.Join(root(), "web/node_modules/playwright-core")); err != nil {
		missing = append(missing, "web/node_modules")
	}
	if missing == nil {
		return
	}
	text := "missing: " + strings.Join(missing, ", ") + "; scripts/setup.sh installs what is missing"
	if os.Getenv("VITRINE_REQUIRE") != "" {
		tb.Fatal(text)
	}
	tb.Skip(text)
}

// Open starts it. It ends with the test.
func Open(tb testing.TB) *Browser {
	tb.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), "node", filepath.Join(root(), "test/browser/browser.mjs"), filepath.Join(root(), "web"), chromium)
	cmd.Env = append(os.Environ(), "HOME="+tb.TempDir())
	log := &wait.Buffer{}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // it ends on this
		_ = cmd.Wait()
		if tb.Failed() && log.String() != "" {
			tb.Logf("the browser: %s", log)
		}
	})
	return &Browser{tb: tb, in: in, out: bufio.NewReader(out)}
}

// On is the same browser, for a subtest.
func (b *Browser) On(tb testing.TB) *Browser {
	return &Browser{tb: tb, in: b.in, out: b.out}
}

// try tells the browser to do something.
func (b *Browser) try(verb string, args Args) (json.RawMessage, error) {
	b.tb.Helper()
	all := map[string]any{"verb": verb}
	maps.Copy(all, args)
	line, err := json.Marshal(all)
	if err != nil {
		b.tb.Fatal(err)
	}
	if _, err := fmt.Fprintf(b.in, "%s\n", line); err != nil {
		b.tb.Fatalf("tell the browser to %s: %v", verb, err)
	}
	text, err := b.out.ReadBytes('\n')
	if err != nil {
		b.tb.Fatalf("the browser ended at %s: %v", line, err)
	}
	var answer struct {
		Value json.RawMessage
		Error string
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		b.tb.Fatal(err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("%s: %s", line, answer.Error)
	}
	return answer.Value, nil
}

// Do is Try that must work; the answer goes into out, if that is not nil.
func (b *Browser) Do(out any, verb string, args Args) {
	b.tb.Helper()
	value, err := b.try(verb, args)
	if err != nil {
		b.tb.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(value, out); err != nil {
			b.tb.Fatal(err)
		}
	}
}

// See waits until an element that matches the selector has the text, and says when that was.
func (b *Browser) See(selector, text string) time.Time {
	b.tb.Helper()
	var ms int64
	value, err := b.try("wait", Args{"selector": selector, "text": text, "ms": wait.Patience(10 * time.Second).Milliseconds()})
	if err != nil {
		b.tb.Fatalf("%v\nthe page shows:\n%s", err, strings.Join(b.Texts("body"), "\n"))
	}
	if err := json.Unmarshal(value, &ms); err != nil {
		b.tb.Fatal(err)
	}
	return time.UnixMilli(ms)
}

// Click clicks on what has that role and name.
func (b *Browser) Click(role, name string) {
	b.tb.Helper()
	b.Do(nil, "click", Args{"role": role, "name": name})
}

// Texts are those of all elements that match.
func (b *Browser) Texts(selector string) (out []string) {
	b.tb.Helper()
	b.Do(&out, "texts", Args{"selector": selector})
	return out
}

// Clean fails unless nothing stood on the console, no dialog came up, and all requests went to the address.
func (b *Browser) Clean(address string) {
	b.tb.Helper()
	var told struct{ Said, Asked, Dialogs []string }
	b.Do(&told, "told", nil)
	if len(told.Said) > 0 || len(told.Dialogs) > 0 {
		b.tb.Errorf("the console says %q, dialogs %q", told.Said, told.Dialogs)
	}
	for _, url := range told.Asked {
		if !strings.HasPrefix(url, "http://"+address+"/") {
			b.tb.Errorf("the page asks for %s", url)
		}
	}
	if len(told.Asked) == 0 {
		b.tb.Error("the page asks for nothing")
	}
}
