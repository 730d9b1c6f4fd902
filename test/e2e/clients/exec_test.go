package clients

import (
	"strings"

	"vitrine/test/vitrine"
)

// ownExec: a role that may exec runs docker exec to its exit status, and starts and looks at no exec
// but its own holder's.
func (w *world) ownExec() {
	for _, command := range []string{"exit 5", "cat; exit 5"} {
		cmd := as(w.command("exec", "--interactive", "web", "sh", "-c", command), execerUID)
		cmd.Stdin = strings.NewReader("typed\n")
		out, _ := w.try(cmd)
		if cmd.ProcessState.ExitCode() != 5 || strings.Contains(command, "cat") && out != "typed\n" {
			w.Errorf("exit code %d, want 5: %s", cmd.ProcessState.ExitCode(), out)
		}
	}
	ask := func(uid int, method, path, body string) vitrine.Answer {
		c, err := vitrine.As(w.T, uid).Dial(w.p.Socket)
		w.check(err)
		defer c.Close()
		answer, err := vitrine.Ask(c, method, path, body)
		w.check(err)
		return answer
	}
	made := ask(execerUID, "POST", "/v1.41/containers/web/exec", `{"Cmd":["sleep","1000"]}`)
	_, id, _ := strings.Cut(made.Body, `"Id":"`)
	id, _, _ = strings.Cut(id, `"`)
	if made.Status != 201 || len(id) != 64 {
		w.Fatal(made)
	}
	for _, c := range []struct {
		uid    int
		path   string
		status int
	}{
		{execerUID, "/exec/" + id + "/json", 200},
		{execerUID + 1, "/exec/" + id + "/json", 403}, // of the same role
		{execerUID, "/exec/" + id[:12] + "/json", 403},
		{lookUID, "/exec/" + id + "/json", 403},
	} {
		if got := ask(c.uid, "GET", c.path, ""); got.Status != c.status {
			w.Errorf("uid %d, %s: %s, want %d", c.uid, c.path, got, c.status)
		}
	}
	if got := ask(execerUID+1, "POST", "/exec/"+id+"/start", `{"Detach":true}`); got.Status != 403 {
		w.Errorf("another's exec was started: %s", got)
	}
	if got := ask(execerUID, "POST", "/exec/"+id+"/start", `{"Detach":true}`); got.Status != 200 {
		w.Errorf("one's own exec: %s", got)
	}
}

// pingless: the command lines of 26 and 28 begin with a ping and take its refusal for the end; that of 20.10 goes on.
// In the one case it says which class the role lacks, in the other it works.
func (w *world) pingless() {
	cmd := as(w.command("exec", "web", "true"), pinglessUID)
	if out, err := w.try(cmd); err != nil {
		w.wants(out, "vitrine: uid:4206 may not SystemPing (GET /_ping)", "SystemPing is class ping")
	}
}
