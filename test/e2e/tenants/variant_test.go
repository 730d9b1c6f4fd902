package tenants

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// TestWhatAVariantOfAnImageCarriesClosed: an image of several platforms has a configuration for each, and that is judged which a container is given.
func TestWhatAVariantOfAnImageCarriesClosed(t *testing.T) {
	t.Parallel()
	w := worldOf(t, burdened)
	if !w.severalPlatforms() {
		return
	}
	const often = `{"Healthcheck":{"Test":["CMD","true"],"Interval":10000000}}`
	w.load("docker.io/library/fat:two",
		variant{`{"architecture":"amd64","os":"linux"}`, `{}`}, variant{`{"architecture":"arm64","os":"linux"}`, often}, variant{`{"architecture":"arm","os":"linux","variant":"v7"}`, often})
	for name, tc := range map[string]struct {
		platform string
		status   int
	}{
		"own":         {"", http.StatusCreated},
		"own-named":   {"linux%2Famd64", http.StatusCreated},
		"another":     {"linux%2Farm64", http.StatusForbidden},
		"third":       {"linux%2Farm%2Fv7", http.StatusForbidden},
		"near":        {"linux%2Farm%2Fv8", http.StatusForbidden},
		"short":       {"arm64", http.StatusForbidden},
		"not-there":   {"linux%2Fs390x", http.StatusForbidden},
		"other-names": {"linux%2Faarch64", http.StatusForbidden},
	} {
		query := "name=" + name
		if tc.platform != "" {
			query += "&platform=" + tc.platform
		}
		if answer := w.ask(a, http.MethodPost, "/containers/create?"+query, `{"Image":"fat:two","Cmd":["true"]}`); answer.Status != tc.status {
			t.Errorf("%s: %.500s", name, answer)
		}
	}
}

// TestLabelsOfAnotherPlatformClosed: labels that a container has from its image's part for its platform are its image's, where the Engine shows another
// part too. An Engine that does not say which it means is taken to mean any.
func TestLabelsOfAnotherPlatformClosed(t *testing.T) {
	t.Parallel()
	w := worldOn(t, engine.Options{DaemonJSON: map[string]any{"features": map[string]any{"containerd-snapshotter": true}}}, burdened)
	if !w.severalPlatforms() {
		return
	}
	w.load("docker.io/library/fat:two",
		variant{`{"architecture":"amd64","os":"linux"}`, `{"Cmd":["true"]}`}, variant{`{"architecture":"arm64","os":"linux"}`, `{"Cmd":["true"],"Labels":{"vitrine.owner":"uid:4301"}}`})
	w.e.Docker("create", "--name", "planted", "--platform", "linux/arm64", "fat:two")
	if label := strings.TrimSpace(w.e.Docker("inspect", "--format", `{{index .Config.Labels "vitrine.owner"}}`, "planted")); label != "uid:4301" {
		t.Fatalf("the container is labelled %q", label)
	}
	w.planted = []string{"planted"}
	if answer := w.ask(a, http.MethodGet, "/containers/json?all=1", ""); answer.Status != http.StatusOK || strings.TrimSpace(answer.Body) != "[]" {
		t.Errorf("a sees %s", answer)
	}
	made := w.ask(a, http.MethodPost, "/containers/create?name=mine", `{"Image":"bb:1"}`)
	asks := []vitrine.Answer{w.ask(a, http.MethodGet, "/containers/planted/json", ""), w.ask(a, http.MethodDelete, "/containers/planted", ""), w.ask(a, http.MethodGet, "/containers/missing/json", "")}
	want := http.StatusNotFound
	if made.Status != http.StatusCreated {
		want = http.StatusForbidden
		asks = append(asks, made)
	}
	for _, answer := range asks {
		if answer.Status != want || want == http.StatusForbidden && !strings.Contains(answer.Body, "older than 28.1") {
			t.Errorf("%s, want %d", answer, want)
		}
	}
	w.e.Docker("inspect", "planted")
}

// severalPlatforms says whether an image can be of several platforms.
func (w *world) severalPlatforms() bool {
	return strings.Contains(w.e.Docker("info", "--format", "{{.DriverStatus}}"), "io.containerd.snapshotter")
}

func (w *world) load(name string, variants ...variant) {
	w.Helper()
	load := w.e.DockerCommand(w.e.Socket, "load")
	load.Stdin = bytes.NewReader(archive(w.T, name, variants...))
	if out, err := load.CombinedOutput(); err != nil {
		w.Fatalf("load: %v: %s", err, out)
	}
}

// variant is an image for a platform: JSON that says which, and its configuration.
type variant struct{ platform, config string }

// archive is an image of several platforms, as a registry has it.
func archive(t *testing.T, name string, variants ...variant) []byte {
	t.Helper()
	var out bytes.Buffer
	files := tar.NewWriter(&out)
	put := func(path string, content []byte) {
		if err := files.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	type object map[string]any
	blob := func(media string, content []byte) object {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		put("blobs/sha256/"+digest, content)
		return object{"mediaType": media, "digest": "sha256:" + digest, "size": len(content)}
	}
	text := func(of object) []byte {
		b, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const media = "application/vnd.oci.image."
	empty := blob(media+"layer.v1.tar", make([]byte, 1024))
	var manifests []object
	for _, v := range variants {
		config := object{"config": json.RawMessage(v.config), "rootfs": object{"type": "layers", "diff_ids": []any{empty["digest"]}}}
		if err := json.Unmarshal([]byte(v.platform), &config); err != nil {
			t.Fatal(err)
		}
		one := blob(media+"manifest.v1+json", text(object{
			"schemaVersion": 2, "mediaType": media + "manifest.v1+json", "config": blob(media+"config.v1+json", text(config)), "layers": []object{empty},
		}))
		one["platform"] = json.RawMessage(v.platform)
		manifests = append(manifests, one)
	}
	index := blob(media+"index.v1+json", text(object{"schemaVersion": 2, "mediaType": media + "index.v1+json", "manifests": manifests}))
	index["annotations"] = object{"io.containerd.image.name": name}
	put("index.json", text(object{"schemaVersion": 2, "manifests": []object{index}}))
	put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
