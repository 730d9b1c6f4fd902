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
)

// TestWhatAVariantOfAnImageCarriesClosed: an image of several platforms has a configuration for each, and that is judged which a container is given.
func TestWhatAVariantOfAnImageCarriesClosed(t *testing.T) {
	t.Parallel()
	w := worldOf(t, burdened)
	if !strings.Contains(w.e.Docker("info", "--format", "{{.DriverStatus}}"), "io.containerd.snapshotter") {
		return // an image has one platform there
	}
	const often = `{"Healthcheck":{"Test":["CMD","true"],"Interval":10000000}}`
	load := w.e.DockerCommand(w.e.Socket, "load")
	load.Stdin = bytes.NewReader(archive(t, "docker.io/library/fat:two",
		variant{`{"architecture":"amd64","os":"linux"}`, `{}`}, variant{`{"architecture":"arm64","os":"linux"}`, often}, variant{`{"architecture":"arm","os":"linux","variant":"v7"}`, often}))
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("load: %v: %s", err, out)
	}
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
