package bypass

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The catalogue: ways round a Docker authorization plugin, numbered as they are
// in the tables. Those that are no request, or need more than one, are tested
// by name: FOLDER.TEST below test/e2e.
var catalogue = [...]struct {
	title string
	tests string
}{
	1:  {"gRPC over HTTP/2 with prior knowledge is not shown to plugins", ""},
	2:  {"/grpc and /session: one question, then an opaque stream", ""},
	3:  {"a body over 1 MiB is not shown to plugins (CVE-2026-34040)", ""},
	4:  {"neither is one without a length (CVE-2024-41110)", ""},
	5:  {"other spellings of Content-Type", ""},
	6:  {"a query that ends in /auth hides the body", ""},
	7:  {"keys in any case, keys twice: the last wins, objects merge", ""},
	8:  {"keys that fold by Unicode: ſ is s, K is k", ""},
	9:  {"bytes behind the document", ""},
	10: {"a form in the body overrides the query", ""},
	11: {"a percent-encoded path", ""},
	12: {"a whole URL as the request's target", ""},
	13: {"other spellings of the version", ""},
	14: {"//, /./ and /../", ""},
	15: {"names with slashes", ""},
	16: {"HEAD is not GET", ""},
	17: {"a GET that writes: websocket attach", ""},
	18: {"OPTIONS", ""},
	19: {"query parameters twice, in another case, behind a semicolon", ""},
	20: {"start with a host configuration, before API 1.24", ""},
	21: {"mounts that are not in Binds", ""},
	22: {"turning the plugin off", ""},
	23: {"headers that name somebody else", ""},
	24: {"a certificate with several common names, or none", "bypass.TestConnectionsClosed"},
	25: {"the same string in two namespaces: a certificate's root and uid 0", "bypass.TestConnectionsClosed"},
	26: {"ps with the caller's arguments", ""},
	27: {"secrets in what is read", ""},
	28: {"the swarm's keys", ""},
	29: {"files by GET", ""},
	30: {"calls to other hosts by GET", ""},
	31: {"debugging routes that nothing documents", ""},
	32: {"streams without end, one after another", "bypass.TestConnectionsClosed"},
	33: {"exec in two steps", ""},
	34: {"a container by name, id or a piece of its id", ""},
	35: {"several requests on one connection", "bypass.TestConnectionsClosed"},
	36: {"dockerd's retry with an empty body", "bypass.TestRetryWithEmptyBodyClosed"},
	37: {"a policy that takes for ever", "bypass.TestSlowPolicyClosed"},
	38: {"what is done before the answer is denied", ""},
	39: {"answers over 64 KiB are not shown to plugins", ""},
	40: {"a tag that moves", ""},
	41: {"host configuration at the top level of create", ""},
	42: {"parameters and keys that nothing documents", ""},
	43: {"a zombie of a container's root", "callers.TestZombieClosed"},
	44: {"a container that moves itself to another cgroup", "callers.TestMovedOutOfItsCgroupClosed"},
	45: {"a label that the image sets", "callers.TestImageLabelGivesNoRightsClosed"},
	46: {"a cgroup below another container's", ""},
	47: {"bytes behind an upgrade that fails", "bypass.TestConnectionsClosed"},
	48: {"Connection: X-Vitrine-Ticket, and a ticket of one's own", "bypass.TestConnectionsClosed"},
	49: {"the socket's folder mounted to be written", ""},
	50: {"joining another container", ""},
	51: {"the plugin that is no longer asked", "lifecycle.TestNamedByAFlagItIsDroppedByAHangupAndRings"},
}

// P1 to P12 in the tables are what filtering proxies fell for: other spellings of
// the version (1) and the path (2, 3), GETs that write (4), names (5), bodies (6),
// hazards that no rule named (7), identity (8), what is open when it fails (9),
// side doors of redaction (10), names that change (11), HTTP/2 (12). Where one
// is the same as a number above, that has it.

// TestCatalogueIsCovered: each number is in a table, or names a test that exists.
func TestCatalogueIsCovered(t *testing.T) {
	inTable := map[string]bool{}
	for _, r := range requests() {
		inTable[r.number] = true
		n, err := strconv.Atoi(strings.TrimPrefix(r.number, "P"))
		if err != nil || n < 1 || n >= len(catalogue) {
			t.Errorf("%s: there is no such number", r.id())
		}
	}
	if len(catalogue) != 52 {
		t.Errorf("the catalogue ends with %d, want 51", len(catalogue)-1)
	}
	for n, entry := range catalogue[1:] {
		number := strconv.Itoa(n + 1)
		folder, name, _ := strings.Cut(entry.tests, ".")
		switch {
		case entry.tests == "" && !inTable[number]:
			t.Errorf("%s (%s) is not tested", number, entry.title)
		case entry.tests != "" && !exists(t, folder, name):
			t.Errorf("%s (%s): there is no test %s", number, entry.title, entry.tests)
		}
	}
}

// exists reads the sources: does the folder beside ours have that test?
func exists(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob("../" + folder + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
				return true
			}
		}
	}
	return false
}
