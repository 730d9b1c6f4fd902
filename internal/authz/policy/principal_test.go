package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/rego"

	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/principal"
	"vitrine/test/long"
)

// TestRegoGuardsTheMintClosed: the built-in rules name kinds of principals in two sets of their own, so that
// the file can be copied and read alone. Those sets are the table's.
func TestRegoGuardsTheMintClosed(t *testing.T) {
	long.Alone(t)
	gen := builtin().current.Load()
	is := func(query string) bool {
		t.Helper()
		results, err := rego.New(rego.Query("x = data.docker.authz."+query), rego.Compiler(gen.compiler), rego.Store(gen.store)).Eval(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(results) == 1 && results[0].Bindings["x"] == true
	}
	for _, f := range principal.Kinds() {
		one, _ := json.Marshal(f.Example)
		if got := is(fmt.Sprintf("mintable(%s)", one)); got != f.Mintable {
			t.Errorf("mintable(%s) is %t: its set in rego/authz.rego has what is not", one, got)
		}
		// Nothing is reached, so that only what does not come beside others opens a list.
		if got := is(fmt.Sprintf("opens([%s, \"unheard:x\"], %s)", one, one)); got == f.Beside {
			t.Errorf("opens([%s, …], %s) is %t: its set in rego/authz.rego has what is Beside", one, one, got)
		}
		if of := identity.Kind(f.Of); !slices.Contains([]identity.Kind{identity.Host, identity.Container, identity.Peer, identity.TLS, identity.Local}, of) {
			t.Errorf("%s is of a caller that there is not: %q", f.Kind, of)
		}
		// A peer's user is that of a process in a container which the gateway does not see.
		if user, isPeer := strings.CutPrefix(string(f.Kind), "peer-"); isPeer && !principal.Kind("container-"+user).Facts().Mintable {
			t.Errorf("%s is no user of a container", f.Kind)
		}
	}
	if !is(`mintable("unheard:x")`) {
		t.Error("what nobody knows the kind of is not guarded")
	}
}
