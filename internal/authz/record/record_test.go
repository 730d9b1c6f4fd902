package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

func parse(t testing.TB, method, uri, body string) *operation.Operation {
	t.Helper()
	req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	op, err := operation.Parse(req)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func seen(t testing.TB, who, method, uri, body string) *record.Seen {
	t.Helper()
	return &record.Seen{
		Time: time.Date(2026, 11, 27, 14, 2, 0, 0, time.UTC), ID: "x-1", Revision: "r1", Asked: parse(t, method, uri, body),
		Caller:  &identity.Identity{Kind: identity.Container, Principals: []string{who}, Door: "gateway", PID: 7},
		Verdict: record.Verdict{Answer: record.Allow},
	}
}

func lines(t *testing.T, s *record.Store) []*record.Line {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	got, problems, err := record.Read(&b, "test")
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return got
}

// TestOneShapeWhateverDiffersByNoName: secrets, moments, processes and execs.
func TestOneShapeWhateverDiffersByNoName(t *testing.T) {
	s := record.New(record.Options{Reads: func(parts []string) bool { return strings.Contains(strings.Join(parts, " "), "body.Env") }})
	for i := range 3 {
		one := seen(t, "container:ci", "POST", "/containers/create?name=a", fmt.Sprintf(`{"Image":"a","Env":["TOKEN=%d"],"Cmd":["%d"]}`, i, i))
		one.Caller.PID, one.ID = i, fmt.Sprint("x-", i)
		one.Time = one.Time.Add(time.Duration(i) * time.Hour)
		s.Add(one)
		s.Add(seen(t, "container:ci", "POST", fmt.Sprintf("/exec/%d/start", i), `{}`))
		s.Add(seen(t, "container:ci", "GET", fmt.Sprintf("/containers/a/logs?since=%d", i), ""))
	}
	got := lines(t, s)
	if len(got) != 3 {
		t.Fatalf("%d shapes", len(got))
	}
	for _, l := range got {
		if l.Count != 3 || l.Lossy != (l.Operation.ID == "ContainerCreate") {
			t.Errorf("%s: count %d, lossy %t", l.Operation.ID, l.Count, l.Lossy)
		}
		if l.Operation.ID == "ContainerCreate" && (l.Sample != "x-2" || l.Last.Sub(l.First) != 2*time.Hour || l.Revision != "r1") {
			t.Errorf("%+v", l)
		}
	}
	s.Add(seen(t, "container:other", "POST", "/exec/1/start", `{}`))
	denied := seen(t, "container:ci", "POST", "/exec/1/start", `{}`)
	denied.Verdict = record.Verdict{Answer: record.Deny, Code: "policy"}
	s.Add(denied)
	if s.Size() != 5 {
		t.Errorf("%d shapes: callers and verdicts tell them apart", s.Size())
	}
}

// TestSecretNeverIsInARecordClosed: by no field of what was found out either.
func TestSecretNeverIsInARecordClosed(t *testing.T) {
	long.Alone(t)
	s := record.New(record.Options{})
	for _, c := range [][3]string{
		{"POST", "/containers/create", `{"Image":"a","Env":["A=hunter2"],"Cmd":["hunter2"],"HostConfig":{"LogConfig":{"Config":{"t":"hunter2"}}}}`},
		{"POST", "/containers/x/exec", `{"Cmd":["hunter2"],"Env":["A=hunter2"]}`},
		{"POST", "/auth", `{"password":"hunter2"}`},
		{"POST", "/volumes/create", `{"DriverOpts":{"o":"password=hunter2"}}`},
		{"POST", "/build?buildargs=%7B%22A%22%3A%22hunter2%22%7D", ""},
		{"POST", "/volumes/create", `{"DriverOpts":{"type":"cifs","o":"password=/hunter2/a=="}}`},
	} {
		one := seen(t, "container:a", c[0], c[1], c[2])
		for _, p := range one.Asked.HostPath {
			one.World.Paths = append(one.World.Paths, record.Path{From: p, To: p})
		}
		s.Add(one)
	}
	var b bytes.Buffer
	_, _ = s.WriteTo(&b)
	if s.Size() != 6 || strings.Contains(b.String(), "hunter2") {
		t.Errorf("%d shapes: %s", s.Size(), &b)
	}
}

// TestSecretOfAnEarlierRecordIsNotReadClosed: what is left out now is left out of what was written before.
func TestSecretOfAnEarlierRecordIsNotReadClosed(t *testing.T) {
	s := record.New(record.Options{})
	s.Add(seen(t, "container:a", "POST", "/build?labels=%7B%22A%22%3A%22hunter2%22%7D", ""))
	var b bytes.Buffer
	_, _ = s.WriteTo(&b)
	if strings.Contains(b.String(), "hunter2") {
		t.Error(b.String())
	}
	got, problems, err := record.Read(strings.NewReader(strings.ReplaceAll(b.String(), "REDACTED", "hunter2")), "f")
	if err != nil || len(problems) > 0 || len(got) != 1 || strings.Contains(got[0].Operation.URI, "hunter2") {
		t.Error(got, problems, err)
	}
}

// TestOneCallerPutsOutOnlyItsOwnClosed: whatever a caller sends, the shapes of others stay.
func TestOneCallerPutsOutOnlyItsOwnClosed(t *testing.T) {
	long.Alone(t)
	s := record.New(record.Options{Limit: 128 << 10})
	for i := range 10 {
		s.Add(seen(t, "container:quiet", "GET", fmt.Sprintf("/containers/q%d/json", i), ""))
	}
	for i := range 2000 {
		one := seen(t, "container:loud", "GET", fmt.Sprintf("/containers/l%d/json", i), "")
		one.Time = one.Time.Add(time.Duration(i) * time.Second)
		s.Add(one)
	}
	quiet, latest := 0, false
	for _, l := range lines(t, s) {
		if l.Caller.String() == "container:quiet" {
			quiet++
		}
		latest = latest || l.Operation.URI == "/containers/l1999/json"
	}
	if quiet != 10 || !latest || s.PutOut() == 0 || s.Size()+int(s.PutOut()) != 2010 {
		t.Errorf("%d of the quiet caller, the latest is there: %t, %d are there, %d put out", quiet, latest, s.Size(), s.PutOut())
	}
	var b bytes.Buffer
	if n, _ := s.WriteTo(&b); n > 128<<10 {
		t.Errorf("%d bytes", n)
	}
	huge := seen(t, "container:huge", "GET", "/containers/"+strings.Repeat("x", 64<<10)+"/json", "")
	if s.Add(huge); strings.Contains(fmt.Sprint(lines(t, s)), "huge") {
		t.Error("one shape takes half the room")
	}
}

// TestNewRequestsAreLookedAtByNumberClosed: whoever sends ever new ones of an operation makes so much work and no more, whether their
// shapes are kept or too large; and hides nothing of what else it asks, or others do.
func TestNewRequestsAreLookedAtByNumberClosed(t *testing.T) {
	long.Alone(t)
	for what, pad := range map[string]string{"kept": "", "too large": strings.Repeat("x", 64<<10)} {
		looked := 0
		s := record.New(record.Options{Reads: func([]string) bool { looked++; return false }})
		flood := func(n int, later time.Duration) (more int) {
			t.Helper()
			before := looked
			for i := range n {
				one := seen(t, "container:loud", "GET", fmt.Sprintf("/containers/%d%s%d/json", i, pad, later), "")
				one.Time = one.Time.Add(later)
				s.Add(one)
			}
			return looked - before
		}
		for _, tt := range []struct {
			later time.Duration
			want  int
		}{{0, 256}, {time.Second, 8}, {time.Second / 2, 0}, {time.Hour, 256}} {
			if got := flood(400, tt.later); got != tt.want {
				t.Errorf("%s, after %s: %d were looked at, want %d", what, tt.later, got, tt.want)
			}
		}
		if got := int(s.PutOut()) + s.Size(); got != 1600 {
			t.Errorf("%s: %d are counted", what, got)
		}
		s.Add(seen(t, "container:loud", "POST", "/containers/create?name=x", `{"Image":"a"}`))
		s.Add(seen(t, "container:quiet", "GET", "/containers/1/json", ""))
		others := 0
		for _, l := range lines(t, s) {
			if l.Operation.ID == "ContainerCreate" || l.Caller.String() == "container:quiet" {
				others++
			}
		}
		if others != 2 {
			t.Errorf("%s: %d of two others are kept", what, others)
		}
	}
}

// TestShapesThatArePutOutAreGoneClosed: the bound is one of memory.
func TestShapesThatArePutOutAreGoneClosed(t *testing.T) {
	var all []weak.Pointer[record.Kept]
	s := record.New(record.Options{Limit: 256 << 10, Told: func(k *record.Kept) { all = append(all, weak.Make(k)) }})
	for i := range 50 {
		s.Add(seen(t, "container:a", "GET", fmt.Sprintf("/containers/%d%s/json", i, strings.Repeat("x", 30<<10)), ""))
	}
	runtime.GC()
	held := 0
	for _, p := range all {
		if p.Value() != nil {
			held++
		}
	}
	if held != s.Size() || held > 8 || len(all) != 50 {
		t.Errorf("%d of %d are held, and %d in the record", held, len(all), s.Size())
	}
	runtime.KeepAlive(s)
}

// TestHugeShapeIsNotKeptClosed: what is written can be read, and a restart loses nobody's shapes.
func TestHugeShapeIsNotKeptClosed(t *testing.T) {
	s := record.New(record.Options{})
	for name, body := range map[string]string{
		"key": `{"Image":"a","` + strings.Repeat("<", 60<<10) + `":1}`,
		"keys": `{"Image":"a"` + func() (b string) {
			for i := range 60 {
				b += fmt.Sprintf(`,"k%d%s":1`, i, strings.Repeat("x", 1<<10))
			}
			return b
		}() + `}`,
		"paths": `{"Image":"a","HostConfig":{"Binds":["` + strings.Repeat("/srv/", 30<<10) + `:/x"]}}`,
	} {
		if s.Add(seen(t, "container:huge", "POST", "/containers/create", body)); s.Size() > 0 {
			t.Errorf("%s: kept", name)
		}
	}
	s.Add(seen(t, "container:a", "GET", "/_ping", ""))
	if got := lines(t, s); len(got) != 1 || s.PutOut() != 3 {
		t.Errorf("%d lines, %d put out", len(got), s.PutOut())
	}
}

// TestLongLineCostsNobodyElseClosed: at a restart the others' shapes stay, whoever wrote it.
func TestLongLineCostsNobodyElseClosed(t *testing.T) {
	s := record.New(record.Options{})
	s.Add(seen(t, "container:a", "GET", "/_ping", ""))
	s.Add(seen(t, "container:b", "GET", "/info", ""))
	var b bytes.Buffer
	_, _ = s.WriteTo(&b)
	head, rest, _ := strings.Cut(b.String(), "\n")
	path := filepath.Join(t.TempDir(), "r")
	if err := os.WriteFile(path, []byte(head+"\n"+`{"count":1,"x":"`+strings.Repeat("x", 700<<10)+"\"}\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	back := record.New(record.Options{Path: path})
	if problems := back.Recall(); len(problems) != 1 || !strings.Contains(fmt.Sprint(problems), ":2: it is longer") || back.Size() != 2 {
		t.Error(problems, back.Size())
	}
}

// TestRecordOutlivesARestart: counts go on, and the file is ours alone.
func TestRecordOutlivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	for run := range 2 {
		synctest.Test(t, func(t *testing.T) {
			s := record.New(record.Options{Path: path})
			if problems := s.Recall(); len(problems) > 0 {
				t.Fatal(problems)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _ = s.Run(ctx) }()
			s.Add(seen(t, "container:a", "GET", "/_ping", ""))
			if time.Sleep(time.Minute); run == 0 { // a crash comes then
				if got, _, err := record.ReadFile(path); err != nil || len(got) != 1 {
					t.Error(err, got)
				}
			}
			s.Add(seen(t, "container:a", "GET", "/_ping", ""))
			cancel()
			synctest.Wait()
		})
	}
	got, problems, err := record.ReadFile(path)
	if err != nil || len(problems) > 0 || len(got) != 1 || got[0].Count != 4 {
		t.Fatal(err, problems, got)
	}
	if info, _ := os.Stat(path); info.Mode() != 0o600 {
		t.Error(info.Mode())
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Error(left)
	}
}

// TestCutOrHostileFileClosed: what can be read is kept, and the rest is said with its line.
func TestCutOrHostileFileClosed(t *testing.T) {
	s := record.New(record.Options{})
	s.Add(seen(t, "container:a", "GET", "/_ping", ""))
	s.Add(seen(t, "container:a", "GET", "/info", ""))
	var b bytes.Buffer
	_, _ = s.WriteTo(&b)
	whole := b.String()
	head, rest, _ := strings.Cut(whole, "\n")
	first, second, _ := strings.Cut(rest, "\n")
	if !strings.Contains(first, "/_ping") { // of one moment they stand in any order
		first, second = strings.TrimSuffix(second, "\n"), first+"\n"
	}
	for name, c := range map[string]struct {
		text, want string
		lines      int
	}{
		"cut":             {whole[:len(whole)-20], "f:3: this is no shape", 1},
		"empty":           {"", "f: it is empty", 0},
		"other":           {"hello\n" + rest, "f:1: this is no record", 0},
		"newer":           {strings.Replace(whole, `"vitrine_record":1`, `"vitrine_record":2`, 1), "f:1: its version is 2", 0},
		"binary":          {head + "\n\x00\xff\n" + second, "f:2: ", 1},
		"long line":       {head + "\n" + first + "\n" + strings.Repeat("x", 1<<20) + "\n" + second, "f:3: it is longer than", 2},
		"never seen":      {head + "\n" + strings.Replace(first, `"count":1`, `"count":0`, 1), "f:2: this is no shape", 0},
		"negative":        {head + "\n" + strings.Replace(first, `"count":1`, `"count":-1`, 1), "f:2: this is no shape", 0},
		"nobody":          {head + "\n" + `{"count":1,"operation":{}}`, "f:2: this is no shape", 0},
		"other answer":    {head + "\n" + strings.Replace(first, `"answer":"allow"`, `"answer":"yes"`, 1), `f:2: there is no answer "yes"`, 0},
		"other operation": {head + "\n" + strings.Replace(first, `"SystemPing"`, `"ContainerList"`, 1), "f:2: GET /_ping is SystemPing", 0},
		"no route":        {head + "\n" + strings.Replace(first, `/_ping`, `/_pong`, 1), "f:2: GET /_pong", 0},
		"deep":            {head + "\n" + `{"count":1,"operation":` + strings.Repeat("[", 20000) + "\n" + second, "f:2: this is no shape", 1},
		"huge":            {head + "\n" + first + strings.Repeat("\n"+strings.Repeat(" ", 200<<10), 200) + "\n" + second, "bytes; the rest is not read", 1},
		"many wrong":      {head + strings.Repeat("\nx", 100) + "\n" + second, "further lines", 1},
	} {
		got, problems, err := record.Read(strings.NewReader(c.text), "f")
		if said := fmt.Sprint(problems, err); len(got) != c.lines || !strings.Contains(said, c.want) || len(problems) > 9 {
			t.Errorf("%s: %d lines, %s", name, len(got), said)
		}
	}
	dir := t.TempDir()
	if _, _, err := record.ReadFile(dir); err == nil {
		t.Error("a folder is a record")
	}
	path := filepath.Join(dir, "r")
	if err := os.WriteFile(path, []byte(whole[:len(whole)-20]), 0o600); err != nil {
		t.Fatal(err)
	}
	back := record.New(record.Options{Path: path})
	if problems := back.Recall(); len(problems) != 1 || back.Size() != 1 {
		t.Error(problems, back.Size())
	}
}

// FuzzRead reads anything, and what is read can be written and read again.
func FuzzRead(f *testing.F) {
	s := record.New(record.Options{})
	s.Add(seen(f, "container:a", "POST", "/containers/create", `{"Image":"a","HostConfig":{"Binds":["/srv:/srv"]}}`))
	var b bytes.Buffer
	_, _ = s.WriteTo(&b)
	f.Add(b.String())
	f.Add(b.String()[:200])
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := record.Read(strings.NewReader(text), "f")
		if err != nil && len(got) > 0 {
			t.Fatal("lines come with an error")
		}
		for _, l := range got {
			again, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			if _, problems, err := record.Read(strings.NewReader("{\"vitrine_record\":1}\n"+string(again)), "f"); err != nil || len(problems) > 0 {
				t.Fatalf("%s: %v %v", again, problems, err)
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	list, create := seen(b, "container:a", "GET", "/containers/json", ""), seen(b, "container:a", "POST", "/containers/create", `{"Image":"a","Env":["A=b"],"Labels":{"a":"b"},"HostConfig":{"Binds":["/srv:/srv"],"NetworkMode":"blue"}}`)
	for name, one := range map[string]*record.Seen{"list": list, "create": create} {
		b.Run(name, func(b *testing.B) {
			s := record.New(record.Options{})
			b.ReportAllocs()
			for b.Loop() {
				s.Add(one)
			}
		})
		b.Run(name+" first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				record.New(record.Options{}).Add(one)
			}
		})
	}
}

// TestAgain: what is seen once more counts as what was added, and has nothing but its time, its record and its policy of it.
func TestAgain(t *testing.T) {
	var told []*record.Kept
	s := record.New(record.Options{Told: func(k *record.Kept) { told = append(told, k) }})
	one := seen(t, "container:a", "GET", "/containers/json", "")
	k := s.Add(one)
	at := one.Time.Add(time.Minute)
	if k == nil || !s.Again(k, at, "x-2", "r2") {
		t.Fatal("its shape is not here")
	}
	got := lines(t, s)
	if len(got) != 1 || got[0].Count != 2 || !got[0].First.Equal(one.Time) || !got[0].Last.Equal(at) || got[0].Sample != "x-2" || got[0].Revision != "r2" {
		t.Errorf("recorded %+v", got)
	}
	if len(told) != 2 || told[0] != k || told[1] != k {
		t.Errorf("told of %v", told)
	}
	if again := s.Add(one); again != k {
		t.Error("the same has another shape")
	}
}

// TestAgainOfWhatWasPutOutClosed: it is not counted, and nobody is told of it.
func TestAgainOfWhatWasPutOutClosed(t *testing.T) {
	told := 0
	s := record.New(record.Options{Limit: 256 << 10, Told: func(*record.Kept) { told++ }})
	k := s.Add(seen(t, "container:a", "GET", "/containers/json", ""))
	for i := range 50 {
		s.Add(seen(t, "container:a", "GET", fmt.Sprintf("/containers/%d%s/json", i, strings.Repeat("x", 30<<10)), ""))
	}
	if s.Again(k, time.Now(), "x-2", "r1") || told != 51 {
		t.Errorf("it is counted, or told: %d", told)
	}
}

// TestWhatHasNoShape: neither what is too large, nor what is too much.
func TestWhatHasNoShape(t *testing.T) {
	s := record.New(record.Options{})
	if s.Add(seen(t, "container:a", "GET", "/containers/"+strings.Repeat("x", 65<<10)+"/json", "")) != nil {
		t.Error("one that is too large")
	}
	for i := range 256 {
		s.Add(seen(t, "container:b", "GET", fmt.Sprintf("/containers/%d/json", i), ""))
	}
	if s.Add(seen(t, "container:b", "GET", "/containers/one/json", "")) != nil {
		t.Error("one too many")
	}
}
