package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"vitrine/internal/authz/policy"
)

const mountError = `error while mounting volume '/var/lib/docker/volumes/x/_data': failed to mount local volume: mount //nas/x:/var/lib/docker/volumes/x/_data, data: username=u,pass=hunter2: connection refused`

// failing is a daemon whose answers are errors with a body.
func failing(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestErrorTextIsWithheldClosed: where something of the answer is blanked, a text
// that may quote it is no longer in the error, whatever its status and its form.
func TestErrorTextIsWithheldClosed(t *testing.T) {
	t.Parallel()
	for name, daemon := range map[string]http.HandlerFunc{
		"500":                    failing(500, "application/json", `{"message":"`+mountError+`"}`),
		"400":                    failing(400, "application/json", `{"message":"`+mountError+`"}`),
		"404":                    failing(404, "application/json", `{"message":"No such thing: hunter2"}`),
		"a redirect":             failing(301, "application/json", `{"message":"hunter2"}`),
		"a known text with more": failing(404, "application/json", `{"message":"No such container: x (pass=hunter2)"}`),
		"a known text in a text": failing(404, "application/json", `{"message":"hunter2\nNo such container: x"}`),
		"of another resource":    failing(404, "application/json", `{"message":"network hunter2 not found"}`),
		"more than the text":     failing(404, "application/json", `{"message":"No such container: x","detail":"hunter2"}`),
		"the text twice":         failing(404, "application/json", `{"message":"hunter2","message":"No such container: x"}`),
		"two documents":          failing(404, "application/json", `{"message":"No such container: x"}{"message":"hunter2"}`),
		"no text":                failing(500, "application/json", `{"error":"hunter2"}`),
		"no object":              failing(500, "application/json", `"hunter2"`),
		"no JSON":                failing(500, "application/json", `hunter2`),
		"another type":           failing(404, "text/plain", `{"message":"No such container: hunter2"}`),
		"long":                   failing(404, "application/json", `{"message":"No such container: x","hunter2":"`+strings.Repeat("x", 1<<20)+`"}`),
		"a name with spaces":     failing(404, "application/json", `{"message":"No such container: pass hunter2"}`),
		"a name that never ends": failing(404, "application/json", `{"message":"No such container: `+strings.Repeat("x", 300)+`hunter2"}`),
		"compressed, so it says": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			failing(500, "application/json", "hunter2")(w, r)
		},
		"broken off in the text": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			failing(500, "application/json", `{"message":"hunter2`)(w, r)
		},
		"upgraded without asking": failing(426, "application/json", `{"message":"hunter2"}`),
	} {
		g := startHTTP(t, daemon)
		for i, request := range []struct {
			method, uri string
			redact      []string
		}{
			{"GET", "/containers/x/json", []string{"/Config/Env/*"}},
			{"POST", "/containers/x/start", []string{"/message"}},
			{"GET", "/containers/x/archive?path=/", []string{"/message"}},
			{"POST", "/containers/x/attach?stream=1", []string{"/message"}},
			{"GET", "/events", []string{"/Action"}},
		} {
			g.set(func() { g.decision = policy.Decision{Allow: true, Redact: request.redact} })
			status, body := g.do(request.method, request.uri, "", "")
			if status < 300 || strings.Contains(body, "hunter2") {
				t.Errorf("%s, %s %s: %d %s", name, request.method, request.uri, status, body)
			}
			rec := g.recorded(i + 1)[i]
			if rec.Status != status || name == "500" && (!rec.Redacted || !strings.Contains(body, rec.ID)) {
				t.Errorf("%s: %s is not in the record %+v", name, body, rec)
			}
			if logged := strings.Contains(body, "is in the Engine's log"); name == "500" && !logged || name == "400" && (logged || !strings.Contains(body, "an admin who asks the same is shown it")) {
				t.Errorf("%s says where the text is to be found: %s", name, body)
			}
		}
	}
}

// TestErrorTextThatTellsNothing goes on to the caller: what is not there, what
// does not run, which version to speak.
func TestErrorTextThatTellsNothing(t *testing.T) {
	for _, tc := range []struct {
		status       int
		uri, message string
	}{
		{404, "/containers/x/json", "No such container: x"},
		{404, "/containers/x/json", "page not found"},
		{400, "/v1.24/containers/x/json", "client version 1.20 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"},
		{400, "/v1.56/containers/x/json", "client version 1.56 is too new. Maximum supported API version is 1.41"},
		{409, "/containers/x/json", "Container 0123456789abcdef is not running"},
		{404, "/images/a.example/b:1/json", "No such image: a.example/b:1"},
		{404, "/images/nope/json", "no such image: nope: No such image: nope:latest"},
		{404, "/volumes/data", "get data: no such volume"},
		{404, "/volumes/data", "volume data not found"},
		{404, "/networks/lan", "network lan not found"},
		{503, "/services/x", `This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.`},
	} {
		body := fmt.Sprintf(`{"message":"%s"}`, tc.message)
		g := startHTTP(t, failing(tc.status, "application/json", body+"\n"))
		redacting()(g)
		if status, got := g.do("GET", tc.uri, "", ""); status != tc.status || strings.TrimSpace(got) != body {
			t.Errorf("%s: %d %s", tc.message, status, got)
		}
		if rec := g.recorded(1)[0]; rec.Redacted {
			t.Errorf("%s: recorded as redacted", tc.message)
		}
	}
}

// Who is shown everything is shown the Engine's own words.
func TestErrorTextOfUnredactedAnswers(t *testing.T) {
	g := startHTTP(t, failing(500, "application/json", `{"message":"`+mountError+`"}`))
	if status, body := g.do("POST", "/containers/x/start", "", ""); status != 500 || !strings.Contains(body, "hunter2") {
		t.Errorf("%d %s", status, body)
	}
}

// TestOnlyErrorsAreWithheld: where nothing but texts of errors is withheld, other
// answers pass as they are: streams, uploads, tunnels and what is no JSON.
func TestOnlyErrorsAreWithheld(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/start"):
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(r.URL.Path, "/stop"):
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Content-Type", "application/x-tar")
			_, _ = io.WriteString(w, "no JSON")
		}
	})
	g.set(func() { g.decision = policy.Decision{Allow: true, Redact: []string{"/message"}} })
	for request, want := range map[string]struct {
		status int
		body   string
	}{
		"POST /containers/x/start": {204, ""}, "POST /containers/x/stop": {304, ""},
		"GET /containers/x/archive?path=/": {200, "no JSON"}, "GET /containers/x/logs?stdout=1": {200, "no JSON"},
		"GET /containers/x/stats": {200, "no JSON"},
	} {
		method, uri, _ := strings.Cut(request, " ")
		if status, body := g.do(method, uri, "", ""); status != want.status || body != want.body {
			t.Errorf("%s: %d %s", request, status, body)
		}
	}
}
