package operation

import (
	"testing"

	"vitrine/internal/engine/principal"
)

// TestEveryMintableKindIsMinted: what a request can give to a process, some judge says, and no judge says what no
// request can give. The Engine draws an id; a peer's user is a container's, whose process is not seen.
func TestEveryMintableKindIsMinted(t *testing.T) {
	minted := map[principal.Kind]bool{}
	for _, r := range []struct{ method, uri, body string }{
		{"POST", "/containers/create?name=web", `{"Image":"alpine","Labels":{"a":"b","vitrine.owner":"container:x"},"HostConfig":{"Binds":["/run/ci:/x"]}}`},
		{"POST", "/containers/x/exec", `{"User":"1000"}`},
	} {
		req := request(r.method, r.uri, r.body)
		req.Sockets = &Sockets{Gateway: []Socket{{Listener: "ci", Path: "/run/ci/docker.sock"}}}
		for _, m := range mustParse(t, req).Mints {
			minted[principal.Split(m).Kind] = true
		}
	}
	elsewhere := map[principal.Kind]bool{principal.ContainerID: true, principal.PeerUID: true, principal.PeerGID: true}
	for _, f := range principal.Kinds() {
		if want := f.Mintable && !elsewhere[f.Kind]; minted[f.Kind] != want {
			t.Errorf("%s is minted by a judge: %t", f.Kind, minted[f.Kind])
		}
	}
}
