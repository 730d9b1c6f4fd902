package oracle

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestExamplesFitTheirSchemas: the examples of deploy/ for ECS and Kubernetes have no key, and no type, that those do not know.
func TestExamplesFitTheirSchemas(t *testing.T) {
	for _, file := range files(t, "../../deploy/ecs/*.json") {
		var task ecs.RegisterTaskDefinitionInput // its fields are the keys, but for the case of their first letters
		d := json.NewDecoder(bytes.NewReader(text(t, file)))
		d.DisallowUnknownFields()
		if err := d.Decode(&task); err != nil || task.Family == nil || len(task.ContainerDefinitions) == 0 {
			t.Errorf("%s: %v", file, err)
			continue
		}
		volumes := map[string]bool{}
		for _, v := range task.Volumes {
			volumes[*v.Name] = true
		}
		for _, m := range task.ContainerDefinitions[0].MountPoints {
			if !volumes[*m.SourceVolume] {
				t.Errorf("%s: there is no volume %s", file, *m.SourceVolume)
			}
		}
	}
	for _, file := range files(t, "../../deploy/kubernetes/*.yaml") {
		kinds := map[string]func() any{"Namespace": func() any { return &corev1.Namespace{} }, "DaemonSet": func() any { return &appsv1.DaemonSet{} }}
		for i, document := range bytes.Split(text(t, file), []byte("\n---\n")) {
			var head struct{ Kind string }
			if err := yaml.Unmarshal(document, &head); err != nil || kinds[head.Kind] == nil {
				t.Errorf("%s, document %d is a %q: %v", file, i, head.Kind, err)
				continue
			}
			object := kinds[head.Kind]()
			if err := yaml.UnmarshalStrict(document, object); err != nil {
				t.Errorf("%s, document %d: %v", file, i, err)
			}
			if set, ok := object.(*appsv1.DaemonSet); ok {
				mounts(t, file, &set.Spec.Template.Spec)
			}
		}
	}
}

// mounts are of volumes that there are, and each of them is mounted.
func mounts(t *testing.T, file string, pod *corev1.PodSpec) {
	t.Helper()
	mounted := map[string]bool{}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		for _, m := range c.VolumeMounts {
			mounted[m.Name] = true
		}
	}
	for _, v := range pod.Volumes {
		if !mounted[v.Name] {
			t.Errorf("%s: nobody mounts %s", file, v.Name)
		}
		delete(mounted, v.Name)
	}
	if len(mounted) > 0 {
		t.Errorf("%s: there are no volumes %v", file, mounted)
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found
}

func text(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
