package answer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vitrine/internal/authz/answer"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/redact"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// read are requests whose answers hold secrets.
var read = map[string]string{
	"ContainerInspect": "/containers/x/json", "ImageInspect": "/images/x/json", "ImageHistory": "/images/x/history",
	"VolumeList": "/volumes", "VolumeInspect": "/volumes/x", "NetworkList": "/networks", "SystemInfo": "/info", "SystemDataUsage": "/system/df",
	"SystemEvents": "/events", "PluginList": "/plugins", "ServiceInspect": "/services/x", "ServiceList": "/services", "TaskList": "/tasks",
	"SwarmInspect": "/swarm", "ConfigList": "/configs", "ExecInspect": "/exec/x/json",
}

// planted is one value of a document, and where it is.
type planted struct {
	path   []string
	secret string
}

// document is an answer as the schema has it, with a secret in every leaf.
type document struct {
	rand *rand.Rand
	out  bytes.Buffer
	at   []string
	all  []planted
}

func newDocument(r *rand.Rand, of string) *document {
	d := &document{rand: r}
	answer.Document(of, d.object, d.many, d.leaf)
	return d
}

func (d *document) key(key string) string {
	if d.rand.IntN(20) == 0 {
		key = strings.ToUpper(key)
	}
	fmt.Fprintf(&d.out, "%q:", key)
	return key
}

func (d *document) below(key string, visit func()) {
	d.at = append(d.at, key)
	visit()
	d.at = d.at[:len(d.at)-1]
}

func (d *document) object(keys []string, below func(key string)) {
	d.out.WriteByte('{')
	d.rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for i, key := range keys {
		if i > 0 {
			d.out.WriteByte(',')
		}
		d.below(d.key(key), func() { below(key) })
	}
	d.out.WriteByte('}')
}

func (d *document) many(mapping bool, below func()) {
	open, end := "[", "]"
	if mapping {
		open, end = "{", "}"
	}
	d.out.WriteString(open)
	for i := range 2 {
		if i > 0 {
			d.out.WriteByte(',')
		}
		key := strconv.Itoa(i)
		if mapping {
			key = d.key([]string{"one", "two"}[i])
		}
		d.below(key, below)
	}
	d.out.WriteString(end)
}

func (d *document) leaf(isText bool) {
	secret := fmt.Sprintf("%d5%d", 1000+len(d.all), 1000+len(d.all))
	d.all = append(d.all, planted{slices.Clone(d.at), secret})
	switch {
	case !isText:
		d.out.WriteString(secret)
	case d.rand.IntN(4) == 0 && len(d.at) > 1: // an event's action is a word and what is behind a colon
		fmt.Fprintf(&d.out, "%q", "TOKEN="+secret)
	default:
		fmt.Fprintf(&d.out, "%q", "word: "+secret)
	}
}

// someSpelling is a pointer or a secret's name as somebody might write it.
func someSpelling(r *rand.Rand, of string, d *document) string {
	if r.IntN(4) == 0 {
		names := slices.DeleteFunc(answer.Names(), func(name string) bool { return len(answer.Places(of, name)) == 0 })
		return names[r.IntN(len(names))]
	}
	path := slices.Clone(d.all[r.IntN(len(d.all))].path)
	if places := answer.Places(of, answer.All); r.IntN(2) == 0 {
		path = slices.Clone(places[r.IntN(len(places))])
	}
	if r.IntN(3) == 0 {
		path = path[:r.IntN(len(path)+1)]
	}
	for i := range path {
		switch r.IntN(6) {
		case 0:
			path[i] = "*"
		case 1:
			path[i] = strings.ToLower(path[i])
		case 2:
			path[i] = strings.ToUpper(path[i])
		case 3:
			if path[i] == "*" && r.IntN(2) == 0 {
				path[i] = "0"
			}
		}
	}
	return redact.Pointer(path).String()
}

// covers says whether what a role blanks names a value: on its own terms, and not
// by package redact. What is said of all that is in a list counts for a bare value
// in its place.
func covers(of string, items []string, path []string) bool {
	var pointers []string
	for _, item := range items {
		if answer.IsPointer(item) {
			pointers = append(pointers, item)
			continue
		}
		for _, p := range answer.Places(of, item) {
			pointers = append(pointers, p.String())
		}
	}
	return slices.ContainsFunc(pointers, func(pointer string) bool {
		segments := strings.Split(pointer, "/")[1:]
		if pointer == "" {
			segments = nil
		}
		if n := len(segments); n == len(path)+1 && segments[n-1] == "*" {
			segments = segments[:n-1]
		}
		for i, s := range segments {
			if i >= len(path) || s != "*" && !strings.EqualFold(s, path[i]) {
				return false
			}
		}
		return true
	})
}

// checkRoles gives several roles random things to blank, and looks at what a
// caller sees who holds any two of them.
func checkRoles(t *testing.T, r *rand.Rand, of string, roles int) {
	t.Helper()
	d := newDocument(r, of)
	blanked := make([][]string, roles)
	data := map[string]any{}
	bindings := map[string]any{"admin": []string{"local"}}
	for i := range blanked {
		for len(blanked[i]) < 1+r.IntN(5) {
			item := someSpelling(r, of, d)
			if _, err := answer.Find(of, item); err == nil || !answer.IsPointer(item) {
				blanked[i] = append(blanked[i], item)
			}
		}
		name := fmt.Sprintf("r%d", i)
		data[name] = map[string]any{"operations": []string{of}, "hazards": []string{"*"}, "redact": map[string]any{of: blanked[i]}}
		bindings[name] = []string{"container:" + name}
	}
	e := load(t, map[string]any{"roles": data, "bindings": bindings})
	op, err := operation.Parse(&operation.Request{Method: "GET", URI: read[of]})
	if err != nil {
		t.Fatal(err)
	}
	for i := range roles {
		for j := range i + 1 {
			caller := &identity.Identity{Kind: identity.Container, Principals: []string{fmt.Sprintf("container:r%d", i), fmt.Sprintf("container:r%d", j)}}
			decision := e.Decide(t.Context(), &policy.Input{Caller: caller, Operation: op})
			if !decision.Allow {
				t.Fatalf("%+v", decision)
			}
			seen := apply(t, of, d.out.Bytes(), decision.Redact)
			for _, value := range d.all {
				hidden := covers(of, blanked[i], value.path) && covers(of, blanked[j], value.path)
				if shown := bytes.Contains(seen, []byte(value.secret)); shown == hidden {
					t.Fatalf("%s %v: shown %v\n%q\n%q\ndecision %q", of, value.path, shown, blanked[i], blanked[j], decision.Redact)
				}
			}
		}
	}
}

// apply does what the gateway does with an answer.
func apply(t *testing.T, of string, doc []byte, pointers []string) []byte {
	t.Helper()
	plan, err := redact.Compile(pointers, nil)
	if err != nil {
		t.Skip(err) // the gateway denies it
	}
	seen, err := plan.Apply(doc)
	if of == "SystemEvents" {
		seen, err = plan.Events(bytes.NewReader(doc), 1<<20).Next()
	}
	if err != nil || !json.Valid(seen) || len(pointers) == 0 && !bytes.Equal(seen, doc) {
		t.Fatalf("%q: %v\n%s", pointers, err, seen)
	}
	return seen
}

func load(t *testing.T, data map[string]any) *policy.Engine {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	e := policy.New(policy.Options{Paths: []string{file}})
	if err := e.Load(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return e
}

// TestPlantedSecretsStayHiddenClosed: a secret in any place that two roles blank,
// each in its own words, is never in the answer; what one of them shows is.
func TestPlantedSecretsStayHiddenClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for of := range read {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			checkRoles(t, rand.New(rand.NewPCG(seed, 0)), of, 5)
		})
	}
}

func FuzzPlantedSecrets(f *testing.F) {
	long.Alone(f)
	var operations []string
	for of := range read {
		operations = append(operations, of)
	}
	slices.Sort(operations)
	for i := range operations {
		f.Add(uint64(i), byte(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, of byte) {
		checkRoles(t, rand.New(rand.NewPCG(seed, 1)), operations[int(of)%len(operations)], 4)
	})
}
