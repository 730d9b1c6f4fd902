package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

const inspectDoc = `{"Id":"abc","Created":"2026-01-02T03:04:05Z","Config":{"Env":["TOKEN=hunter2","DD_ENV=prod"],"Cmd":["sh"]},"SizeRw":12345678901234567890}`

func redacting() func(*rig) {
	return func(g *rig) {
		g.set(func() {
			g.decision = policy.Decision{Allow: true, Redact: []string{"/Config/Env/*"}, KeepEnv: []string{"DD_ENV"}}
		})
	}
}

func TestAnswerIsRedacted(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, inspectDoc)
	})
	redacting()(g)
	status, body := g.do("GET", "/containers/x/json", "", "")
	if want := strings.ReplaceAll(inspectDoc, "hunter2", ""); status != 200 || body != want {
		t.Errorf("%d %s", status, body)
	}
	if rec := g.recorded(1)[0]; !rec.Redacted || rec.Status != 200 {
		t.Errorf("audit record %+v", rec)
	}
}

// TestEverySuccessIsRedactedClosed: whatever its number.
func TestEverySuccessIsRedactedClosed(t *testing.T) {
	for _, status := range []int{200, 201, 202, 203, 206, 299} {
		g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, inspectDoc)
		})
		redacting()(g)
		if got, body := g.do("GET", "/containers/x/json", "", ""); got != status || strings.Contains(body, "hunter2") || !strings.Contains(body, `"TOKEN="`) {
			t.Errorf("%d %s", got, body)
		}
	}
}

func TestAnswerThatCannotBeRedactedClosed(t *testing.T) {
	for name, daemon := range map[string]http.HandlerFunc{
		"not JSON": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"Config":{"Env":["TOKEN=hunter2"}}`)
		},
		"two values": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, inspectDoc+inspectDoc)
		},
		"another type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, inspectDoc)
		},
		"no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, inspectDoc)
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "hunter2")
		},
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"hunter2":"`+strings.Repeat("x", 1<<20)+`"}`)
		},
		"too long, by nothing": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "{}"+strings.Repeat(" ", 2<<20))
		},
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, inspectDoc)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				daemon(w, r)
			}, limits(Limits{RedactBytes: 1 << 20}))
			redacting()(g)
			status, body := g.do("GET", "/containers/x/json", "", "")
			if status != 502 || strings.Contains(body, "hunter2") || !json.Valid([]byte(body)) {
				t.Errorf("%d %s", status, body)
			}
			if rec := g.recorded(1)[0]; rec.Status != 502 {
				t.Errorf("audit record %+v", rec)
			}
		})
	}
}

func TestObligationThatCannotBeMetClosed(t *testing.T) {
	g := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	for name, tc := range map[string]struct {
		method, uri string
		decision    policy.Decision
	}{
		"where":           {"GET", "/swarm", policy.Decision{Allow: true, Where: map[string]string{"team": "a"}}},
		"no pointer":      {"GET", "/containers/json", policy.Decision{Allow: true, Redact: []string{"Config"}}},
		"redacted attach": {"POST", "/containers/x/attach", policy.Decision{Allow: true, Redact: []string{"/a"}}},
		"redacted stats":  {"GET", "/containers/x/stats", policy.Decision{Allow: true, Admin: true, Redact: []string{"/a"}}},
	} {
		g.set(func() { g.decision = tc.decision })
		if status, body := g.do(tc.method, tc.uri, "", ""); status != 403 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if seen := g.reached(); len(seen) != 0 {
		t.Errorf("the daemon saw %v", seen)
	}
}

const futureVersion = `{"Platform":{"Name":"x"},"Components":[{"Name":"Engine","Version":"99","Details":{"ApiVersion":"1.99","MinAPIVersion":"1.24"}},{"Name":"runc"}],"Version":"99","ApiVersion":"1.99","MinAPIVersion":"1.24","GitCommit":"abc"}`

func TestNewerEngineSpeaksAnAPIThatWeKnow(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.99")
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/version") {
			_, _ = io.WriteString(w, futureVersion)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/x/json") {
			_, _ = io.WriteString(w, `{"ApiVersion":"1.99"}`)
			return
		}
		_, _ = io.WriteString(w, "[]")
	})
	for _, stream := range []string{"POST /containers/x/attach?stream=1", "POST /exec/x/start"} { // which it does not make
		if answer := g.raw(stream + " HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"); !strings.Contains(answer, "\r\nApi-Version: "+operation.MaxVersion+"\r\n") {
			t.Errorf("%s: %q", stream, answer)
		}
	}
	if _, body := g.do("GET", "/images/x/json", "", ""); !strings.Contains(body, "1.99") {
		t.Errorf("what is no version's answer became %s", body)
	}
	res, err := g.client().Get("http://docker/version")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if got := res.Header.Get("Api-Version"); got != operation.MaxVersion {
		t.Errorf("header %s", got)
	}
	var v struct {
		ApiVersion, MinAPIVersion, GitCommit string
		Components                           []struct {
			Name    string
			Details map[string]string
		}
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	if v.ApiVersion != operation.MaxVersion || v.MinAPIVersion != "1.24" || v.GitCommit != "abc" ||
		len(v.Components) != 2 || v.Components[0].Details["ApiVersion"] != operation.MaxVersion || strings.Contains(string(body), "1.99") {
		t.Errorf("body %s", body)
	}
}

// TestClientAndEngineAgreeOnAVersion: Docker's own client asks by the newest that it, the Engine and we know.
func TestClientAndEngineAgreeOnAVersion(t *testing.T) {
	for engine, want := range map[string]string{"1.41": "1.41", operation.MaxVersion: operation.MaxVersion, "1.99": operation.MaxVersion} {
		g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Api-Version", engine)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "[]")
		})
		c, err := client.New(client.WithHost("unix://" + g.sock))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := c.ContainerList(ctx, client.ContainerListOptions{}); err != nil {
			t.Fatal(err)
		}
		if seen := g.reached(); !strings.HasPrefix(seen[len(seen)-1], "GET /v"+want+"/containers/json") {
			t.Errorf("an Engine of %s was asked %v, want %s (the client of go.mod speaks %s)", engine, seen, want, client.MaxAPIVersion)
		}
	}
}

// TestOlderEngineSpeaksItsOwnAPI: a client that was told of a newer one would ask in that.
func TestOlderEngineSpeaksItsOwnAPI(t *testing.T) {
	const version = `{"Version":"20.10","ApiVersion":"1.41"}`
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		_, _ = io.WriteString(w, version)
	})
	if _, body := g.do("GET", "/version", "", ""); body != version {
		t.Errorf("%s", body)
	}
	if answer := g.raw("GET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, "\r\nApi-Version: 1.41\r\n") {
		t.Errorf("%q", answer)
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for v, want := range map[string]bool{"1.99": true, "2.0": true, operation.MaxVersion: false, "1.24": false, "1.9": false, "0.99": false, "": false, "x.y": false, "1": false, "99": false, "99.x": false, "x.99": false} {
		if got := newer(v); got != want {
			t.Errorf("newer(%q) = %v", v, got)
		}
	}
	for _, doc := range []string{"", "null", "[]", `{"ApiVersion":5}`, `{"ApiVersion":"1.41"}`} {
		if out := lowerVersions([]byte(doc)); string(out) != doc {
			t.Errorf("%q became %q", doc, out)
		}
	}
}

func TestHeadersOfTheAnswer(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Trailer", "X-T")
		h.Set("Docker-Experimental", "false")
		h.Set("X-Docker-Container-Path-Stat", "e30=")
		h.Set("Keep-Alive", "x")
		h["Content-Type"] = nil
		h.Set("Server", "Docker/29")
		_, _ = io.WriteString(w, "<html>")
		h.Set("X-T", "1")
	})
	res, err := g.client().Get("http://docker/containers/json")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.Header.Get("Server") != "Docker/29" || res.Header.Get("X-Docker-Container-Path-Stat") != "e30=" || res.Header.Get("Docker-Experimental") != "false" {
		t.Errorf("headers %v", res.Header)
	}
	if res.Header.Get("Content-Type") != "" || res.Header.Get("Keep-Alive") != "" || len(res.Trailer) != 0 {
		t.Errorf("headers %v, trailer %v", res.Header, res.Trailer)
	}
	if answer := g.raw("GET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"); strings.Contains(answer, "Content-Type") {
		t.Errorf("net/http has guessed its type: %q", answer)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	status := 200
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Docker-Container-Path-Stat", "e30=")
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(status)
	})
	redacting()(g)
	for _, status = range []int{200, 200, 404} {
		answer := g.raw("HEAD /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", status)) || !strings.Contains(answer, "\r\nContent-Length: 1000\r\n") || !strings.HasSuffix(answer, "\r\n\r\n") {
			t.Errorf("%d: %q", status, answer)
		}
	}
}

// TestExecThatOneHasMadeIsOnesOwnClosed: from its answer on, and nobody else's; what is no answer of that kind teaches nothing.
func TestExecThatOneHasMadeIsOnesOwnClosed(t *testing.T) {
	answer, status := `{"Id":"e1"}`+"\n", 201
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer)
		}
	})
	alice, bob := uint32(1000), uint32(1001)
	as := func(uid *uint32) { g.set(func() { g.caller = &identity.Identity{Kind: identity.Host, UID: uid} }) }
	own := func(id string) bool {
		g.do("GET", "/exec/"+id+"/json", "", "")
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.input.OwnExec
	}
	create := func() string {
		_, body := g.do("POST", "/containers/web/exec", "application/json", `{"Cmd":["true"]}`)
		return body
	}
	as(&alice)
	if own("e1") {
		t.Error("before it was made")
	}
	if body := create(); body != answer {
		t.Errorf("the answer is %q", body)
	}
	if !own("e1") || own("e2") || own("e") {
		t.Error("it is not one's own, or another is")
	}
	as(&bob)
	if own("e1") {
		t.Error("it is another's too")
	}
	for _, c := range []struct {
		answer string
		status int
	}{{`{"Id":"e3"}`, 404}, {`{"Id":"e3"`, 201}, {`["e3"]`, 201}, {strings.Repeat(" ", 64<<10) + `{"Id":"e3"}`, 201}, {"", 201}} {
		answer, status = c.answer, c.status
		if body := create(); body != answer || own("e3") {
			t.Errorf("%d %.20q: its own %v, answered %.20q", c.status, c.answer, own("e3"), body)
		}
	}
}

// TestAnswerKeepsItsFraming: docker-py takes what is not chunked for no stream, however short it is.
func TestAnswerKeepsItsFraming(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/logs") {
			w.Header().Set("Transfer-Encoding", "chunked")
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/wait"):
			_, _ = io.WriteString(w, "{ \"StatusCode\": 0 }")
		case strings.HasSuffix(r.URL.Path, "/changes"):
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = io.WriteString(w, "short")
		}
	})
	for request, want := range map[string]string{
		"GET /containers/x/logs HTTP/1.1":            "Transfer-Encoding: chunked",
		"GET /containers/x/logs HTTP/1.0":            "", // which has no chunks: the connection's end is the answer's
		"GET /containers/x/top HTTP/1.1":             "Content-Length: 5",
		"POST /containers/x/unpause HTTP/1.1":        "",
		"POST /containers/x/wait HTTP/1.1":           "Content-Length: 19",
		"GET /containers/x/changes HTTP/1.1":         "Content-Length: 0",
		"HEAD /containers/x/archive?path=/ HTTP/1.1": "Content-Length: 5",
	} {
		head, _, _ := strings.Cut(g.raw(request+"\r\nHost: docker\r\nConnection: close\r\n\r\n"), "\r\n\r\n")
		var got string
		for line := range strings.SplitSeq(head, "\r\n") {
			if strings.HasPrefix(line, "Transfer-Encoding:") || strings.HasPrefix(line, "Content-Length:") {
				got += line
			}
		}
		if got != want {
			t.Errorf("%s: framed by %q, want %q:\n%s", request, got, want, head)
		}
	}
}
