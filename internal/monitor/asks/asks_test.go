package asks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 11, 27, 14, 0, 0, 0, time.UTC)

// decision is one that is told.
func decision(n int, who, op, uri, verdict string, reasons ...string) *record {
	rec := &record{
		Time: began.Add(time.Duration(n) * time.Second), ID: fmt.Sprint(n), Operation: op, Method: "GET", URI: uri, Allow: verdict != "denied", Reasons: reasons,
		Access: map[string]string{"ContainerList": "list", "ContainerCreate": "write", "ContainerStop": "write", "ContainerInspect": "inspect"}[op],
	}
	rec.Caller.Kind, rec.Caller.Principals = "container", strings.Split(who, " ")
	if verdict == "would-deny" {
		rec.Mode = "audit"
	}
	return rec
}

func reader() *Reader { return New("/nowhere", func() {}) }

// TestBoard: who was denied stands first, and a cell has the colour of the worst of the last hour.
func TestBoard(t *testing.T) {
	r := reader()
	r.take(decision(1, "container:web container-id:x", "ContainerList", "/containers/json", "allowed"))
	r.take(decision(2, "container:traefik image:traefik", "ContainerList", "/containers/json", "would-deny", "no role allows it"))
	r.take(decision(3, "container:ci", "ContainerCreate", "/containers/create?name=a", "denied", "hazard privileged"))
	r.take(decision(4, "container:ci", "ContainerCreate", "/containers/create?name=a", "allowed"))
	r.take(decision(5, "container:ci", "", "/x", "denied", "no such route"))
	now := began.Add(time.Minute)
	b := r.Board(now)
	var got []string
	for _, c := range b.Callers {
		for _, cell := range c.Cells {
			got = append(got, fmt.Sprintf("%s %s %s", c.Name, cell.Class, cell.Worst))
		}
	}
	want := "container:ci not-understood denied, container:ci write denied, container:traefik list would-deny, container:web list allowed"
	if strings.Join(got, ", ") != want || b.DeniedHour != 2 || b.WouldDenyHour != 1 || b.AllowedHour != 2 {
		t.Errorf("%s; %d %d %d", got, b.DeniedHour, b.WouldDenyHour, b.AllowedHour)
	}
	later := r.Board(began.Add(2 * time.Hour))
	if cell := later.Callers[0].Cells; later.DeniedHour != 0 || cell[len(cell)-1].Worst == Denied {
		t.Errorf("two hours later: %d denied, %+v", later.DeniedHour, cell)
	}
	d, ok := r.Detail("container:ci", "write")
	if !ok || len(d.Requests) != 2 || d.Requests[0].Verdict != Allowed || len(d.Reasons) != 1 || d.Reasons[0].Text != "hazard privileged" || d.Operations[0].Denied != 1 {
		t.Errorf("the cell: %+v", d)
	}
	if allowed, ok := r.Detail("container:web", "list"); !ok || allowed.Reasons == nil {
		t.Error("reasons that are none are no list")
	}
	if _, ok := r.Detail("container:ci", "list"); ok {
		t.Error("a cell that is not")
	}
}

// TestTouched: by name, id and the beginning of an id, and as it was made; not by what is only like it.
func TestTouched(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for uri, want := range map[string]bool{
		"/v1.41/containers/web/json": true, "/containers/" + id + "/kill": true, "/containers/" + id[:12] + "/kill": true, "/containers/create?name=web": true,
		"/containers/create?name=%2Fweb": true, "/containers/web2/json": false, "/containers/" + id[:4] + "/json": false, "/networks/web": false, "/containers": false,
		"/containers/json": false, "/containers/create?name=other": false, "/containers/%zz/json": false,
	} {
		r := reader()
		r.take(decision(1, "container:x", "ContainerInspect", uri, "allowed"))
		if got := len(r.Touched(id, "web")) == 1; got != want {
			t.Errorf("%s: %v, want %v", uri, got, want)
		}
	}
}

// TestBounded: a flood, of requests or of callers, leaves what was said, and no more than the limits.
func TestBounded(t *testing.T) {
	r := reader()
	long := strings.Repeat("é", 400)
	r.take(decision(0, "container:quiet", "ContainerCreate", "/containers/create", "denied", "first"))
	for n := 1; n < 2200; n++ {
		r.take(decision(n, "container:loud", "ContainerCreate", "/containers/create?name="+long, "denied", fmt.Sprint(n)+long, "a", "b", "c", "d", "e"))
		r.take(decision(n+10000, "container:loud", "ContainerCreate", "/containers/create?name="+long, "allowed"))
	}
	loud, _ := r.Detail("container:loud", "write")
	denied := 0
	for _, q := range loud.Requests {
		if q.Verdict == Denied {
			denied++
		}
		if len(q.URI) > textMost+8 || len(q.Reasons) > 4 {
			t.Fatalf("%d bytes, %d reasons", len(q.URI), len(q.Reasons))
		}
	}
	if len(loud.Requests) != requestsMost || len(loud.Reasons) != reasonsMost || denied != requestsMost/2 {
		t.Errorf("%d requests, %d of them denied, %d reasons", len(loud.Requests), denied, len(loud.Reasons))
	}
	if q, ok := r.Detail("container:quiet", "write"); !ok || len(q.Requests) != 1 {
		t.Error("the other caller was pushed out")
	}
	for n := range 300 {
		r.take(decision(20000+n, fmt.Sprint("container:made-", n), "ContainerList", "/containers/json", "allowed"))
	}
	if b := r.Board(began); len(b.Callers) != callersMost || b.LeftOut != 302-callersMost || len(r.seen) > seenMost {
		t.Errorf("%d callers, %d left out, %d seen", len(b.Callers), b.LeftOut, len(r.seen))
	}
}

// TestNeitherAnswerHidesTheOther: who was allowed much, and then denied much, or the other way round, is shown half of each.
func TestNeitherAnswerHidesTheOther(t *testing.T) {
	for _, order := range [][2]string{{"allowed", "denied"}, {"denied", "allowed"}} {
		r := reader()
		for n := range 40 {
			r.take(decision(n, "container:x", "ContainerStop", "/containers/a/stop", order[n/20]))
		}
		d, _ := r.Detail("container:x", "write")
		count := map[Verdict]int{}
		for _, q := range d.Requests {
			count[q.Verdict]++
		}
		if count[Allowed] != requestsMost/2 || count[Denied] != requestsMost/2 {
			t.Errorf("first %s, then %s: %v", order[0], order[1], count)
		}
	}
}

// socket answers as authz-plugin does.
func socket(t *testing.T, path string, h http.Handler) *http.Server {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }()
	return srv
}

func line(n int) string {
	return fmt.Sprintf(`{"time":%q,"id":"%d","caller":{"kind":"host","principals":["unix:root","uid:0"]},"operation":"ContainerList","access":"list","method":"GET","uri":"/containers/json","allow":true}`+"\n",
		began.Add(time.Duration(n)*time.Second).Format(time.RFC3339Nano), n)
}

// TestFollows: what is told twice after a lost connection counts once, and how authz-plugin is can be read.
func TestFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	var connections atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /decisions", func(w http.ResponseWriter, req *http.Request) {
		n := connections.Add(1)
		for i := range 2 * n {
			_, _ = io.WriteString(w, line(int(i)))
		}
		if n > 1 {
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"plugin":{"asked":false},"policy":{"revision":"ab\"c","source":"/etc"},"checks":{"audit":"ok","policy":"refused"}}`)
	})
	srv := socket(t, path, mux)
	defer srv.Close()
	r := New(path, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	wait.Until(t, "four decisions", func() bool {
		b := r.Board(began)
		return b.Up && b.AllowedHour == 4 && b.Guard.Revision != ""
	})
	b := r.Board(began)
	if g := b.Guard; g.Asked == nil || *g.Asked || g.Revision != `ab"c` || g.Source != "/etc" || g.Checks["policy"] != "refused" || b.Missed != 0 {
		t.Errorf("%+v, %d missed", g, b.Missed)
	}
	if b.Callers[0].Name != "unix:root" || b.Callers[0].Cells[0].Allowed != 4 {
		t.Errorf("%+v", b.Callers)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestShapes: those of the cell alone, the most frequent first; what a newer authz-plugin says besides is left out.
func TestShapes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	of := func(who, id, access string, count int) string {
		return fmt.Sprintf(`{"count":%d,"caller":{"kind":"container","principals":[%q]},"operation":{"id":%q,"access":%q,"method":"POST","uri":"/x","hazards":["privileged"],"host_paths":["/etc",{"new":1}]},"verdict":{"answer":"deny","code":"hazard"}}`+"\n",
			count, who, id, access)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shapes", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"vitrine_record":1}`+"\n"+of("container:a", "ContainerStop", "write", 2)+"nonsense\n"+of("container:a", "ContainerCreate", "write", 5)+
			of("container:b", "ContainerCreate", "write", 9)+of("container:a", "ContainerList", "list", 9))
	})
	srv := socket(t, path, mux)
	defer srv.Close()
	list, err := New(path, func() {}).Shapes(t.Context(), "container:a", "write")
	if err != nil || len(list) != 2 || list[0].Operation != "ContainerCreate" || list[0].Code != "hazard" || !slices.Equal(list[0].HostPaths, []string{"/etc", `{"new":1}`}) {
		t.Errorf("%+v, %v", list, err)
	}
	none := socket(t, path+"2", http.NewServeMux())
	defer none.Close()
	if _, err := New(path+"2", func() {}).Shapes(t.Context(), "container:a", "write"); !errors.Is(err, errNoRecord) {
		t.Errorf("without a record: %v", err)
	}
}

// TestMetrics: authz-plugin's own, or why not; never a part of them.
func TestMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	answer := "vitrine_plugin_asked 1\n"
	var asked *http.Request
	srv := socket(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		if answer == "" {
			http.Error(w, "vitrine: container:x may not read the admin socket", http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer srv.Close()
	r := New(path, func() {})
	if got, err := r.Metrics(t.Context()); string(got) != answer || err != nil || asked.Method != http.MethodGet || asked.RequestURI != "/metrics" {
		t.Errorf("%q, %v, of %+v", got, err, asked)
	}
	answer = strings.Repeat("#", answerMost+1)
	if got, err := r.Metrics(t.Context()); err == nil {
		t.Errorf("%d bytes of too many", len(got))
	}
	answer = ""
	if got, err := r.Metrics(t.Context()); err == nil || !strings.Contains(err.Error(), "admin_allow") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := New("", nil).Metrics(t.Context()); err == nil || !strings.Contains(err.Error(), "--admin-socket") {
		t.Error(err)
	}
}

// TestSaysWhatToDo where the socket cannot be read.
func TestSaysWhatToDo(t *testing.T) {
	r := New("/run/vitrine-admin/admin.sock", func() {})
	for want, err := range map[string]error{
		"there is no socket /run/vitrine-admin/admin.sock|-v /run/vitrine-admin:/run/vitrine-admin:ro": &net.OpError{Err: os.NewSyscallError("connect", syscall.ENOENT)},
		"keeps the monitor's user out|&& chmod 0710 /run/vitrine-admin":                                os.NewSyscallError("connect", syscall.EACCES),
		"nobody answers|start authz-plugin":                                                            os.NewSyscallError("connect", syscall.ECONNREFUSED),
		"container:x may not read|admin_allow":                                                         &refused{403, "vitrine: container:x may not read the admin socket"},
		"it answers 404|is /run/vitrine-admin/admin.sock the admin socket":                             &refused{404, "no"},
	} {
		r.broken(err)
		b := r.Board(began)
		why, hint, _ := strings.Cut(want, "|")
		if !strings.Contains(b.Why, why) || !strings.Contains(b.Hint, hint) || b.Up {
			t.Errorf("%v: %q, %q", err, b.Why, b.Hint)
		}
	}
	if b := New("", nil).Board(began); !strings.Contains(b.Hint, "--admin-socket") {
		t.Errorf("without one: %q", b.Hint)
	}
}
