package bypass

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// requests are the whole table.
func requests() []request { return slices.Concat(createRequests, lookRequests) }

// TestBypassesClosed sends every request by every way, and looks for effects.
func TestBypassesClosed(t *testing.T) {
	w := newWorld(t)
	for _, as := range []role{look, creator, operator} {
		for _, way := range w.ways(as) {
			t.Run(string(as)+" by "+way.name, func(t *testing.T) { w.on(t).sendAll(way) })
		}
	}
	t.Run("references", func(t *testing.T) { w.on(t).references() })
	w.effectsAreSeen()
}

func (w world) sendAll(way way) {
	since := time.Now()
	before := w.now(since)
	effects := before.effects
	for _, r := range requests() {
		if !slices.Contains(r.roles(), way.as) {
			continue
		}
		w.Run(r.id(), func(t *testing.T) {
			w := w.on(t)
			w.records("")
			r := r.named(w.names)
			got := w.send(way, r.method, r.bytes())
			w.check(way, &r, got)
			w.recorded(way, &r, got)
			now := w.effects(since)
			if changed := diff(effects, now); changed != "" {
				t.Errorf("it had an effect, answered %d %s:\n%s", got.status, got.body, changed)
			}
			effects = now
		})
	}
	if changed := diff(before, w.now(since)); changed != "" {
		w.Errorf("some of it had an effect:\n%s", changed)
	}
}

// answer is what a caller gets.
type answer struct {
	status int
	header http.Header
	body   string
}

// send writes bytes and reads one answer.
func (w world) send(way way, method, bytes string) answer {
	w.Helper()
	c, err := way.dial()
	check(w, err)
	defer c.Close()
	check(w, c.SetDeadline(time.Now().Add(wait.Patience(20*time.Second))))
	_, werr := io.WriteString(c, bytes) // an answer may come before the end
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		w.Fatalf("no answer: %v, %v", err, werr)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(w, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// check holds the answer against what must come of the request.
func (w world) check(way way, r *request, got answer) {
	w.Helper()
	if way.as == look && (strings.Contains(got.body, secret) || strings.Contains(got.body, swarmToken)) {
		w.Errorf("answered %d with a secret:\n%s", got.status, got.body)
	}
	if !way.gateway && r.daemon == got.status {
		return // dockerd does not even ask
	}
	switch {
	case r.want == blanked && way.gateway:
		if got.status != http.StatusOK {
			w.Errorf("answered %d %s, want 200", got.status, got.body)
		}
	case r.want == nothing && way.gateway:
		if got.status != http.StatusNotFound {
			w.Errorf("answered %d %s, want 404", got.status, got.body)
		}
	case r.want == malformed && way.gateway:
		if got.status < 400 || got.status == http.StatusInternalServerError {
			w.Errorf("answered %d %s, want a refusal", got.status, got.body)
		}
	case way.gateway:
		w.refusal(got, "vitrine: ", 400, 403, 413)
		if r.why != "" && !strings.Contains(got.body, r.why) && (way.as != look || len(r.roles()) == 1) && r.method != http.MethodHead {
			w.Errorf("the reason is not %q: %s", r.why, got.body)
		}
	default:
		w.refusal(got, "authorization denied by plugin vitrine: vitrine: ", 403)
	}
	if r.method == http.MethodHead && got.header.Get("X-Docker-Container-Path-Stat") != "" {
		w.Error("the answer's header describes a file")
	}
}

// refusal checks that the answer is an error of ours.
func (w world) refusal(got answer, prefix string, statuses ...int) {
	w.Helper()
	if !slices.Contains(statuses, got.status) {
		w.Errorf("answered %d %s, want a status of %v", got.status, got.body, statuses)
	}
	if got.body == "" {
		return // of HEAD
	}
	message := got.body // to an API before 1.24 dockerd answers text
	var e struct{ Message string }
	if err := json.Unmarshal([]byte(got.body), &e); err == nil {
		message = e.Message
	}
	if !strings.HasPrefix(message, prefix) {
		w.Errorf("the answer %d is not ours: %s", got.status, got.body)
	}
}

// recorded looks for the audit record, unless nobody was asked.
func (w world) recorded(way way, r *request, got answer) {
	w.Helper()
	if !way.gateway && r.daemon == got.status {
		return
	}
	allowed := way.gateway && (r.want == blanked || r.want == nothing)
	w.eventually("the audit record", func() error {
		records := w.records(way.principal)
		for _, rec := range records {
			switch {
			case rec.Allow != allowed, !allowed && len(rec.Reasons) == 0:
				w.Errorf("recorded %+v, want allow=%v, with its reasons", rec, allowed)
			case rec.Redacted != (allowed && r.want == blanked):
				w.Errorf("recorded %+v: redacted?", rec)
			}
		}
		if len(records) == 0 {
			return errors.New("there is none of " + way.principal)
		}
		return nil
	})
}

// eventually tries f until it gives nil.
func (w world) eventually(what string, f func() error) {
	w.Helper()
	if err := wait.NoError(10*time.Second, f); err != nil {
		w.Fatalf("waited for %s: %v", what, err)
	}
}

// effectsAreSeen: a test that sees no effect must be able to see one.
func (w world) effectsAreSeen() {
	before := w.now(time.Now())
	for _, path := range []string{"/containers/web/rename?name=web2", "/containers/web2/rename?name=web", "/exec/{exec}/start", "/images/create?fromImage=127.0.0.1:5000/x"} {
		resp, err := w.admin.Post("http://docker/v1.41"+w.names.Replace(path), "application/json", strings.NewReader("{}"[:2*strings.Count(path, "start")]))
		check(w, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	w.eventually("the effects of what an admin does", func() error {
		changed := diff(before, w.now(time.Now().Add(-time.Minute)))
		for _, field := range []string{"Events", "Files", "Calls"} {
			if !strings.Contains(changed, field+" was") {
				return fmt.Errorf("%s have not changed", field)
			}
		}
		return nil
	})
	// What reaches web's standard input is seen, and nothing came before it.
	cmd := w.e.DockerCommand(w.p.Socket, "attach", "web")
	cmd.Stdin = strings.NewReader("hello\n")
	check(w, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	w.eventually("the standard input of web", func() error {
		if in := w.input(); in != "hello\n" {
			return fmt.Errorf("it is %q", in)
		}
		return nil
	})
}

// TestEvalRefusesTheSameClosed asks the command what it would decide.
func TestEvalRefusesTheSameClosed(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(policyData), 0o600))
	binary := vitrine.Binary(t)
	ids := strings.NewReplacer("{web}", hex64("a"), "{monitor}", "monitor", "{moni}", "monitor", "{debug}", "monitor", "{exec}", hex64("c"))
	for _, r := range requests() {
		if !r.evaluable() {
			continue
		}
		for _, as := range r.roles() {
			t.Run(string(as)+" "+r.id(), func(t *testing.T) {
				t.Parallel()
				r := r.named(ids)
				cmd := exec.Command(binary, append(r.evalArgs(as), "--policy", dir)...)
				cmd.Stdin = strings.NewReader(r.body)
				out, err := cmd.Output()
				r.checkEval(t, as, out, err)
			})
		}
	}
}

func (r *request) checkEval(t *testing.T, as role, out []byte, err error) {
	t.Helper()
	var got struct {
		Allow                    bool
		Code, Message, Operation string
		Redact                   []string
	}
	if jerr := json.Unmarshal(out, &got); jerr != nil {
		t.Fatalf("%v: %v: %s", err, jerr, out)
	}
	if r.want == blanked || r.want == nothing {
		if err != nil || !got.Allow || len(got.Redact) == 0 {
			t.Errorf("%v, want it allowed and blanked: %s", err, out)
		}
		return
	}
	exit, _ := errors.AsType[*exec.ExitError](err)
	codes := []string{"no-role", "not-granted", "hazard", "host-path", "mint", "unknown-input"}
	if r.code != "" {
		codes = []string{r.code}
	}
	right := func(code string) bool { return strings.HasPrefix(got.Code, code) }
	if exit == nil || exit.ExitCode() != 1 || got.Allow || !slices.ContainsFunc(codes, right) {
		t.Errorf("%v, want exit status 1 and one of the codes %v: %s", err, codes, out)
	}
	if !strings.Contains(got.Message, r.why) && (as != look || len(r.roles()) == 1) {
		t.Errorf("the reason is not %q: %s", r.why, got.Message)
	}
}

func hex64(digit string) string { return strings.Repeat(digit, 64) }
