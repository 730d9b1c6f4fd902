package learn_test

import (
	"strconv"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// BenchmarkAuthorize is a request from its parsing to its audit record, with the record of shapes and without: of what was
// asked before, and of containers that each have a name of their own, which no shape has yet.
func BenchmarkAuthorize(b *testing.B) {
	const body = `{"Image":"alpine:3","Cmd":["make"],"Env":["TOKEN=x"],"Labels":{"team":"blue"},"HostConfig":{"Binds":["/srv/ci/a:/src"],"NetworkMode":"build"}}`
	e, _ := engine(b, tree{
		"roles":    tree{"ci": tree{"access": []any{"ping", "list", "write"}, "hazards": []any{"env", "host-path", "named-network"}, "host_paths": []any{"/srv"}}},
		"bindings": tree{"admin": []any{"local"}, "ci": []any{"unix:ci"}},
	})
	own := ""
	for name, ask := range map[string]func(i int) *operation.Request{
		"list": func(int) *operation.Request { return operation.ExampleRequest("GET", "/v1.41/containers/json", "") },
		"create": func(int) *operation.Request {
			return operation.ExampleRequest("POST", "/v1.41/containers/create?name=job", body)
		},
		"new create": func(i int) *operation.Request {
			return operation.ExampleRequest("POST", "/v1.41/containers/create?name=job"+strconv.Itoa(i), body)
		},
	} {
		for _, with := range []string{"without", "with"} {
			b.Run(name+" "+with, func(b *testing.B) {
				w := world{asked{who: "unix:ci"}.caller()}
				o := decide.Options{
					Identifier: w, Policy: e, Objects: w, HostPaths: w, OwnContainer: func() (string, error) { return own, nil },
					Record: func(audit.Record) {}, Mode: decide.Enforce,
				}
				if with == "with" {
					o.Shapes = record.New(record.Options{})
				}
				steps := decide.New(o)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					v := steps.Authorize(b.Context(), identity.NewLocal(), ask(i))
					if !v.Allow {
						b.Fatal(v.Message)
					}
					v.Finish(200, false)
				}
			})
		}
	}
}
