package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"vitrine/internal/authz/admin"
	"vitrine/internal/authz/grant"
	"vitrine/internal/command"
)

// TestGrantSaysWhetherItHolds: as serve says, whatever the policy on disk says.
func TestGrantSaysWhetherItHolds(t *testing.T) {
	for what, tt := range map[string]struct {
		status func(g grant.Grant) admin.Status // nil: nobody answers
		code   int
		said   string
	}{
		"it holds": {func(g grant.Grant) admin.Status { return admin.Status{Holding: []grant.Grant{g}} }, command.OK, "\nit holds\n"},
		"it is not lent": {func(g grant.Grant) admin.Status {
			return admin.Status{Refused: []grant.Refused{{Grant: g, Why: "the policy in force lends ops to nobody"}}}
		}, command.Failed, "is written, and does not hold: the policy in force lends ops to nobody"},
		"nobody answers": {nil, command.OK, "it is written; whether it holds cannot be told: authz-plugin does not answer"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/data.yaml", []byte("roles: {ops: {access: [ping], grant: {max: 1h}}}\nbindings: {admin: [local]}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.status != nil {
				l, err := net.Listen("unix", dir+"/admin.sock")
				if err != nil {
					t.Fatal(err)
				}
				s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					text, _ := os.ReadFile(dir + "/grants.yaml")
					id := regexp.MustCompile(`g-[0-9a-f]+`).Find(text)
					_ = json.NewEncoder(w).Encode(tt.status(grant.Grant{ID: string(id)}))
				})}
				go func() { _ = s.Serve(l) }()
				t.Cleanup(func() { _ = s.Close() })
			}
			var out bytes.Buffer
			code := run(t.Context(), strings.Fields("grant --role ops --to tls:a --for 1m --reason x --state-dir= --upstream unix:///nowhere.sock --policy "+dir+"/data.yaml --grants "+dir+"/grants.yaml --admin-socket "+dir+"/admin.sock"),
				command.Streams{In: strings.NewReader(""), Out: &out, Err: &out})
			if code != tt.code || !strings.Contains(out.String(), tt.said) {
				t.Errorf("exit status %d, want %d:\n%s", code, tt.code, &out)
			}
		})
	}
}
