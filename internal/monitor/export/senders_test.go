package export

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"vitrine/internal/monitor/dogstatsd"
)

func senders(t *testing.T, d *DogStatsD) (answer jsonDogStatsD, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	Senders(filled(), d).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dogstatsd", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer, w.Body.String()
}

func TestSenders(t *testing.T) {
	d := sent(t, web, everyType...)
	d.Examples = func() []dogstatsd.Refused {
		return []dogstatsd.Refused{{Reason: dogstatsd.BadStatus, Line: "_sc|a|9", Origin: *web, At: time.Unix(1767225600, 0), Count: 3}}
	}
	got, body := senders(t, d)
	if len(got.Senders) != 1 || got.Quota != 20000 || got.LeftOut != 0 {
		t.Fatalf("%s", body)
	}
	s := got.Senders[0]
	if s.Origin != "kernel" || s.ContainerName != "web" || s.ContainerID != web.Container || s.Contexts != 6 || s.QuotaUsed == 0 || s.Events["warning"] != 1 || s.Checks["critical"] != 1 {
		t.Errorf("sender %+v", s)
	}
	if e := got.Events[0]; e.Title != "title" || e.Text != "text" || e.AlertType != "warning" || e.ContainerName != "web" || e.Time == "" {
		t.Errorf("event %+v", e)
	}
	if c := got.Checks[0]; c.Check != "app.ok" || c.Status != "critical" || c.Origin != "kernel" || !slices.Contains(c.Tags, "az:eu-1a") {
		t.Errorf("check %+v", c)
	}
	if r := got.Refused[0]; r != (jsonLine{s.jsonFrom, dogstatsd.BadStatus.String(), 3, "_sc|a|9", "2026-01-01T00:00:00Z"}) {
		t.Errorf("refused %+v", r)
	}
}

func TestNobodyHasSent(t *testing.T) {
	if _, body := senders(t, sent(t, web)); strings.Contains(body, "null") {
		t.Errorf("%s", body)
	}
}

// TestSendersCannotBreakTheAnswer: whatever they write in it, and however much.
func TestSendersCannotBreakTheAnswer(t *testing.T) {
	long := strings.Repeat("\u00e4", 4090)
	text := "</script><script>\x00\x1b[31m"
	lines := []string{
		fmt.Sprintf("_e{%d,%d}:%s|%s|d:9223372036854775807|#\xff:\xfe", len(text), len(long), text, long),
		"_e{1,2}:a|\xff\xfe|k:\xff|h:\xff|s:\xff|d:-1",
		"_sc|\xff|1|d:9223372036854775807|h:\xff|#</script>|m:" + strings.Repeat("\xff", 2000),
	}
	for i := range 600 {
		lines = append(lines, fmt.Sprintf("_sc|many%d|%d", i, i%4))
	}
	got, body := senders(t, sent(t, nobody, lines...))
	if !utf8.ValidString(body) || strings.ContainsAny(body, "<>\x00\x1b") {
		t.Error("raw bytes of a sender's")
	}
	if len(got.Events) != 2 || got.Events[1].Time != "" || !strings.HasSuffix(got.Events[1].Text, "\u00e4…") || len(got.Events[1].Text) > textMost+3 {
		t.Errorf("events %.300q", fmt.Sprint(got.Events))
	}
	if got.Events[0].Text != `\xff\xfe` || got.Events[0].Host != `\xff` {
		t.Errorf("event %+v", got.Events[0])
	}
	if len(got.Checks) != listMost || got.LeftOut != 601-listMost || got.Checks[0].Status != "critical" || got.Checks[listMost-1].Status != "ok" {
		t.Errorf("%d checks, %d left out", len(got.Checks), got.LeftOut)
	}
}

// TestTooManyReaders: an answer is made whole, so only a few are at once.
func TestTooManyReaders(t *testing.T) {
	inside, leave := make(chan bool), make(chan bool)
	h := atMost(1, func(http.ResponseWriter, *http.Request) { inside <- true; <-leave })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dogstatsd", nil)
	go h.ServeHTTP(httptest.NewRecorder(), r)
	<-inside
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
	close(leave)
}
