package gateway

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	dockerevents "github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"vitrine/internal/authz/policy"
	"vitrine/test/wait"
)

func redactingEvents(g *rig) {
	g.set(func() {
		g.decision = policy.Decision{Allow: true, Redact: []string{"/Action", "/status"}}
	})
}

// eventDaemon is a daemon whose events are what is sent to next, as it is.
func eventDaemon(next <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for text := range next {
			_, _ = io.WriteString(w, text)
			w.(http.Flusher).Flush()
		}
	}
}

func TestEventsAreRedactedOneByOne(t *testing.T) {
	next := make(chan string)
	g := startHTTP(t, eventDaemon(next))
	redactingEvents(g)
	res, err := g.client().Get("http://docker/events") // returns with the head, before any event
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if rec := g.recorded(1)[0]; rec.Status != 200 || !rec.Redacted {
		t.Errorf("audit record %+v", rec)
	}
	br := bufio.NewReader(res.Body)
	for _, tc := range []struct{ send, want string }{
		{`{"status":"start","Action":"start"}`, `{"status":"start","Action":"start"}`},
		{`{"Action":"exec_create: mysql -phunter2","id":"x"}`, `{"Action":"exec_create:","id":"x"}`},
		{"\n{\"Action\":\"health_status: healthy\"}\n", `{"Action":"health_status: healthy"}`},
	} {
		next <- tc.send
		if line, err := br.ReadString('\n'); line != tc.want+"\n" || err != nil {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	next <- `{"Action":"exec_start: mys`
	next <- `ql -phunter2"}{"Action":"die"}`
	close(next)
	if rest, err := io.ReadAll(br); string(rest) != "{\"Action\":\"exec_start:\"}\n{\"Action\":\"die\"}\n" || err != nil {
		t.Errorf("the rest: %q, %v", rest, err)
	}
	g.recorded(1)
}

// docker run -d waits for the head of its wait before it starts the container, so a role that blanks errors must not hold it back.
func TestHeadOfAWaitComesAtOnceClosed(t *testing.T) {
	next := make(chan string)
	g := startHTTP(t, eventDaemon(next))
	g.set(func() { g.decision = policy.Decision{Allow: true, Redact: []string{"/Error/Message"}} })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // else it hangs for ever
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker/containers/x/wait?condition=next-exit", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := g.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	next <- `{"StatusCode":1,"Error":{"Message":"mount: hunter2"}}`
	close(next)
	if got, err := io.ReadAll(res.Body); strings.TrimSpace(string(got)) != `{"StatusCode":1,"Error":{"Message":""}}` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRedactedEventsOverHTTP10(t *testing.T) {
	next := make(chan string, 1)
	next <- `{"Action":"exec_create: mysql -phunter2"}`
	close(next)
	g := startHTTP(t, eventDaemon(next))
	redactingEvents(g)
	answer := g.raw("GET /events HTTP/1.0\r\n\r\n") // Fluent Bit's words
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") || strings.Contains(head, "chunked") || body != "{\"Action\":\"exec_create:\"}\n" {
		t.Errorf("%q", answer)
	}
}

func TestEventsThatCannotBeRedactedClosed(t *testing.T) {
	const good = `{"Action":"start"}` + "\n"
	for name, text := range map[string]string{
		"not JSON":     `exec_create: hunter2`,
		"no object":    `["exec_create: hunter2"]`,
		"broken off":   `{"Action":"exec_create: hunter2`,
		"too long":     `{"Action":"start","hunter2":"` + strings.Repeat("x", 2<<10) + `"}`,
		"json-seq":     "\x1e" + `{"Action":"exec_create: hunter2"}`,
		"wrong braces": `{"Action":"exec_create: hunter2"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			next := make(chan string, 3)
			next <- good
			next <- text
			next <- good
			close(next)
			var log wait.Buffer
			g := startHTTP(t, eventDaemon(next), limits(Limits{RedactBytes: 1 << 10}), logged(&log))
			redactingEvents(g)
			res, err := g.client().Get("http://docker/events")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if string(body) != good || err == nil {
				t.Errorf("%q, %v: want one event and a broken stream", body, err)
			}
			g.srv.requests.Wait()
			if !strings.Contains(log.String(), "stream of events cannot be redacted") {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
}

func TestEventsOfAnotherFormatClosed(t *testing.T) {
	for name, header := range map[string]http.Header{
		"another type": {"Content-Type": {"application/json-seq"}},
		"no type":      {"Content-Type": nil},
		"compressed":   {"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
	} {
		g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			maps.Copy(w.Header(), header)
			_, _ = io.WriteString(w, `{"Action":"exec_create: hunter2"}`)
		})
		redactingEvents(g)
		if status, body := g.do("GET", "/events", "", ""); status != 502 || strings.Contains(body, "hunter2") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// The daemon would compare the filter with what is blanked, and so tell.
func TestEventsFilteredByWhatIsBlankedClosed(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
	})
	redactingEvents(g)
	for filters, want := range map[string]int{
		`{"event":["exec_create"]}`:                                          200,
		`{"event":{"health_status":true,"die":true},"container":["a"]}`:      200,
		`{"event":["exec_create: mysql -ph"]}`:                               403,
		`{"event":{"health_status":true,"exec_start: mysql -phunter":true}}`: 403,
	} {
		uri := "/events?filters=" + strings.NewReplacer(`"`, "%22", " ", "%20").Replace(filters)
		if status, body := g.do("GET", uri, "", ""); status != want {
			t.Errorf("%s: %d %s", filters, status, body)
		}
	}
	redactingNothing := func() { g.decision = policy.Decision{Allow: true} }
	g.set(redactingNothing)
	if status, body := g.do("GET", "/events?filters=%7B%22event%22:%5B%22exec_create:%20x%22%5D%7D", "", ""); status != 200 {
		t.Errorf("who may see all: %d %s", status, body)
	}
}

// Docker's own client asks for a sequence of lines, and reads what it gets.
func TestDockersClientReadsRedactedEvents(t *testing.T) {
	accept := make(chan string, 1)
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		accept <- strings.Join(r.Header["Accept"], ",")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"exec_create: hunter2","Type":"container","Action":"exec_create: hunter2","Actor":{"ID":"x","Attributes":{"name":"web"}},"scope":"local","time":1,"timeNano":1}`)
	})
	redactingEvents(g)
	c, err := client.New(client.WithHost("unix://"+g.sock), client.WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := c.Events(ctx, client.EventsListOptions{})
	select {
	case m := <-got.Messages:
		if m.Action != dockerevents.ActionExecCreate+":" || m.Actor.ID != "x" || m.Actor.Attributes["name"] != "web" {
			t.Errorf("%+v", m)
		}
	case err := <-got.Err:
		t.Fatal(err)
	}
	if sent := <-accept; sent != "" {
		t.Errorf("the daemon was asked for %q", sent)
	}
}
