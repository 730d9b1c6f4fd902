package operation

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

func parseCreate(t *testing.T, body string) (*Operation, *Refusal) {
	t.Helper()
	op, err := Parse(&Request{
		Method: "POST", URI: "/v1.41/containers/create", Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
	})
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatal(err)
	}
	return op, r
}

func many(n int, element string) string { return strings.Repeat(element+",", n-1) + element }

// What is judged one by one has a number, beyond which it is refused with words.
func TestCrowdedBodiesAreRefusedClosed(t *testing.T) {
	long.Alone(t)
	volume := `{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"o":"` + many(maxPlaces+1, "/a") + `"}}}}`
	for name, tc := range map[string]struct{ body, reason string }{
		"binds":                 {`{"HostConfig":{"Binds":[` + many(maxPlaces+1, `"/a:/b"`) + `]}}`, "names 4097 paths of the host, and may name 4096"},
		"mounts":                {`{"HostConfig":{"Mounts":[` + many(maxPlaces+1, `{"Type":"bind","Source":"/a"}`) + `]}}`, "names 4097 paths"},
		"paths in one option":   {`{"HostConfig":{"Mounts":[` + volume + `]}}`, "names 4097 paths"},
		"links":                 {`{"HostConfig":{"Links":[` + many(maxMembers+1, `"a:b"`) + `]}}`, "/HostConfig/Links has more than 16384 members"},
		"volumes by their name": {`{"HostConfig":{"Binds":[` + many(maxMembers+1, `"a:/b"`) + `]}}`, "/HostConfig/Binds has more than 16384 members"},
		"labels":                {`{"Labels":{` + numbered(maxMembers+1, `":""`) + `}}`, "/Labels has more than 16384 members"},
		"what nobody knows":     {`{"Foo":{"Bar":[` + many(maxMembers+1, `0`) + `]}}`, "/Foo/Bar has more than 16384 members"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, r := parseCreate(t, tc.body); r == nil || r.Code != "body-complex" || r.Status != http.StatusBadRequest || !strings.Contains(r.Reason, tc.reason) {
				t.Errorf("refusal %+v", r)
			}
		})
	}
	for name, body := range map[string]string{
		"binds":          `{"HostConfig":{"Binds":[` + many(maxPlaces, `"/a:/b"`) + `]}}`,
		"labels":         `{"Labels":{` + numbered(maxMembers, `":""`) + `}}`,
		"a command line": `{"Cmd":[` + many(100_000, `"x"`) + `],"Entrypoint":[` + many(20_000, `"x"`) + `]}`,
	} {
		if _, r := parseCreate(t, body); r != nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func numbered(n int, rest string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strings.Repeat("x", i/1000) + string([]byte{'a' + byte(i%10), 'a' + byte(i/10%10), 'a' + byte(i/100%10)}) + rest)
	}
	return b.String()
}

// More references than the Engine is asked about stand for everybody.
func TestManyReferencesAreEverybodyClosed(t *testing.T) {
	for n, want := range map[int]int{maxEnters: maxEnters, maxEnters + 1: 1} {
		op, r := parseCreate(t, `{"HostConfig":{"Links":[`+numbered(n, `:b"`)+`]}}`)
		if r != nil || len(op.Enters) != want || (want == 1) != slices.Equal(op.Enters, []string{"*"}) {
			t.Errorf("%d links: %d entered (%v)", n, len(op.Enters), r)
		}
	}
}
