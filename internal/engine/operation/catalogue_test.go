package operation

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// request is a request as the gateway has it.
func request(method, uri, body string) *Request {
	req := &Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	return req
}

func mustParse(t testing.TB, req *Request) *Operation {
	t.Helper()
	op, err := Parse(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URI, err)
	}
	return op
}

// refused gives the code of the refusal.
func refused(t testing.TB, req *Request) string {
	t.Helper()
	op, err := Parse(req)
	if err == nil {
		t.Fatalf("%s %s is %s, and should be refused", req.Method, req.URI, op.ID)
	}
	if op != nil {
		t.Fatalf("%s %s: an operation comes with the refusal %v", req.Method, req.URI, err)
	}
	r, ok := errors.AsType[*Refusal](err)
	if !ok || r.Code == "" || r.Reason == "" || r.Status == 0 {
		t.Fatalf("%s %s: %#v is no complete refusal", req.Method, req.URI, err)
	}
	return r.Code
}

// bodyFor is the least body of an operation.
func bodyFor(e *entry) string {
	if nodeTable[e.schema].kind == kindArray {
		return "[]"
	}
	return "{}"
}

// TestEveryOperationOfEveryVersion asks for each operation that any API
// description has, in each version that has it, in 1.24, in versions above the
// catalogue, and without a version.
func TestEveryOperationOfEveryVersion(t *testing.T) {
	file, err := os.Open("testdata/versions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var last int
	if _, err := fmt.Sscanf(MaxVersion, "1.%d", &last); err != nil {
		t.Fatal(err)
	}
	asked, above := 0, fmt.Sprintf("/v1.%d", last+1)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var id, method, path, newest string
		var from, to int
		if _, err := fmt.Sscan(lines.Text(), &id, &method, &path, &from, &to, &newest); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if Alias(id) != newest {
			t.Errorf("Alias(%s) = %s, want %s", id, Alias(id), newest)
		}
		prefixes := []string{""}
		for v := from; v <= to; v++ {
			prefixes = append(prefixes, fmt.Sprintf("/v1.%d", v))
		}
		if from == 25 {
			prefixes = append(prefixes, "/v1.24")
		}
		if to == last {
			prefixes = append(prefixes, above, "/v1.999")
		}
		e := entryOf(t, newest)
		for _, prefix := range prefixes {
			asked++
			askOne(t, e, prefix, method, path)
		}
	}
	if asked < 3000 {
		t.Errorf("only %d questions asked", asked)
	}
}

func askOne(t *testing.T, e *entry, prefix, method, path string) {
	t.Helper()
	target := ""
	if strings.Contains(path, "{") {
		target = "web.1"
	}
	path = strings.NewReplacer("{id}", "web.1", "{name}", "web.1").Replace(path)
	body := ""
	if e.body == bodyRequired || e.body == bodyOptional {
		body = bodyFor(e)
	}
	op := mustParse(t, request(method, prefix+path, body))
	if op.ID != e.id || op.Target != target || op.URI != prefix+path || op.Path != path || !op.Documented {
		t.Errorf("%s %s%s: %s of %q, forwarded as %s", method, prefix, path, op.ID, op.Target, op.URI)
	}
	if op.Version != strings.TrimPrefix(prefix, "/v") {
		t.Errorf("%s%s: version %q", prefix, path, op.Version)
	}
	if len(op.Unknown) > 0 {
		t.Errorf("%s: unknown %v", op.ID, op.Unknown)
	}
}

// TestNewerVersionClosed: who asks by a version above the catalogue may say what the catalogue knows; what only that
// version knows is unknown, and a hazard is one.
func TestNewerVersionClosed(t *testing.T) {
	for _, version := range []string{MaxVersion, "1.999"} {
		op := mustParse(t, request("POST", "/v"+version+"/containers/create?frobnicate=1", `{"HostConfig":{"Frobnicate":false,"Privileged":true}}`))
		if got := strings.Join(op.Unknown, " "); got != "/HostConfig/Frobnicate ?frobnicate" || hazards(op) != "privileged unknown-input" {
			t.Errorf("by API %s: unknown %q, hazards %q", version, got, hazards(op))
		}
		if code := refused(t, request("POST", "/v"+version+"/containers/x/frobnicate", "")); code != "unknown-route" {
			t.Errorf("by API %s, an operation that nobody knows is refused as %s", version, code)
		}
	}
}

// TestReadmeSaysTheVersions: no other test asks for it.
func TestReadmeSaysTheVersions(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Engine API 1.24 to " + MaxVersion + "."; !strings.Contains(string(text), want) {
		t.Errorf("README.md does not say %q", want)
	}
}

// TestCatalogueIsTheReviewedList holds the tables against the list that people
// have read.
func TestCatalogueIsTheReviewedList(t *testing.T) {
	data, err := os.ReadFile("testdata/catalogue.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, o := range Operations() {
		e := entryOf(t, o.ID)
		body := [...]string{"none", "optional", "json", "opaque"}[e.body]
		carry, versions := e.carry, "undocumented"
		if carry == "" {
			carry = CarryPlain
		}
		if o.Documented {
			versions = o.Since + "-" + o.Until
		}
		fmt.Fprintf(&got, "%s %s %s resource=%s access=%s body=%s carry=%s versions=%s", o.ID, o.Method, o.Path, o.Resource, o.Access, body, carry, versions)
		if e.traits != 0 {
			fmt.Fprintf(&got, " trait=%s", map[Trait]string{
				AnswersEvents: "AnswersEvents", AnswersID: "AnswersID", AnswersProgress: "AnswersProgress",
				AnswersVersion: "AnswersVersion", HidesBody: "HidesBody", Waits: "Waits", AnswersLate: "AnswersLate",
			}[e.traits])
		}
		if o.Rail != "" {
			fmt.Fprintf(&got, " rail=%q", o.Rail)
		}
		var names []string
		for _, name := range o.Params {
			p := e.param(name)
			if p.list {
				name += "[]"
			}
			if p.json != 0 {
				name += "{json}"
			}
			if !p.class.quiet() {
				name += "=" + classNames[p.class]
			}
			names = append(names, name)
		}
		fmt.Fprintf(&got, " query=%s\n", strings.Join(names, ","))
	}
	if got.String() != string(data) {
		t.Error("the catalogue is not testdata/catalogue.txt: run go generate, and read the difference")
	}
}

func TestCatalogueHolds(t *testing.T) {
	counts := map[bool]int{}
	for _, o := range Operations() {
		counts[o.Documented]++
		if !o.Documented && o.Rail == "" {
			t.Errorf("%s is undocumented and has no rail", o.ID)
		}
	}
	// The module describes 108 operations; the daemon registers 14 more.
	if counts[true] != 108 || counts[false] != 14 {
		t.Errorf("%d documented and %d undocumented operations", counts[true], counts[false])
	}
	for _, h := range Hazards() {
		if h.Hazard == "" || h.Meaning == "" {
			t.Errorf("%+v", h)
		}
	}
}

// TestAccessNotByMethod holds the classes of the operations whose method
// misleads.
func TestAccessNotByMethod(t *testing.T) {
	for _, c := range []struct {
		method, uri string
		want        Access
	}{
		{"GET", "/_ping", Ping},
		{"HEAD", "/_ping", Ping},
		{"GET", "/containers/web/attach/ws", Interactive},
		{"HEAD", "/containers/web/archive?path=/etc", Content},
		{"GET", "/containers/web/archive?path=/etc", Content},
		{"GET", "/containers/web/export", Content},
		{"GET", "/containers/web/changes", Content},
		{"GET", "/containers/web/logs?stdout=1", Content},
		{"GET", "/images/get?names=a&names=b", Content},
		{"GET", "/images/a/b/get", Content},
		{"GET", "/configs", Secret},
		{"GET", "/configs/x", Secret},
		{"GET", "/exec/x/json", Secret},
		{"GET", "/swarm", Secret},
		{"GET", "/swarm/unlockkey", Secret},
		{"GET", "/containers/web/top", Inspect},
		{"GET", "/containers/web/top?ps_args=", Inspect},
		{"GET", "/containers/web/top?ps_args=axewww", Secret},
		{"GET", "/containers/web/stats", Stream},
		{"GET", "/containers/web/stats?stream=1", Stream},
		{"GET", "/containers/web/stats?stream=yes", Stream},
		{"GET", "/containers/web/stats?stream=0", Inspect},
		{"GET", "/containers/web/stats?stream=False", Inspect},
		{"GET", "/containers/web/stats?stream", Inspect},
		{"GET", "/images/search?term=x", Write},
		{"GET", "/distribution/127.0.0.1:5000/x/json", Write},
		{"GET", "/plugins/privileges?remote=h/x", Write},
		{"GET", "/events", Stream},
		{"POST", "/containers/web/wait", Write},
		{"DELETE", "/plugins/vitrine", Admin},
	} {
		if op := mustParse(t, request(c.method, c.uri, "")); op.Access != c.want {
			t.Errorf("%s %s is %s, want %s", c.method, c.uri, op.Access, c.want)
		}
	}
}
