package tag

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"vitrine/internal/engine/docker"
)

var update = flag.Bool("update", false, "write docs/tags.md")

func text(tags []Tag) string {
	var out []string
	for _, t := range tags {
		out = append(out, t.String())
	}
	return strings.Join(out, " ")
}

// TestSituations: what is added to the tags that every container has.
func TestSituations(t *testing.T) {
	plain := docker.Container{ID: "c0ffee", Name: "web", Image: "busybox", ImageID: "sha256:1"}
	base := map[string]bool{}
	for _, tag := range New(Config{}).Tags(&plain).At(High) {
		base[tag.String()] = true
	}
	mappings := func(s string) []Mapping {
		m, err := ParseMappings(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	tests := []struct {
		name   string
		labels map[string]string
		env    []string
		cfg    Config
		want   [3]string // low, orchestrator, high
	}{
		{name: "nothing"},
		{
			name:   "Compose",
			labels: map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "web"},
			want:   [3]string{"compose_project:shop compose_service:web"},
		},
		{
			name:   "Swarm",
			labels: map[string]string{"com.docker.swarm.service.name": "shop_web", "com.docker.stack.namespace": "shop"},
			want:   [3]string{"swarm_namespace:shop swarm_service:shop_web"},
		},
		{
			name: "Kubernetes",
			labels: map[string]string{
				"io.kubernetes.pod.name": "web-7d4b9-x", "io.kubernetes.pod.namespace": "prod", "io.kubernetes.container.name": "app",
			},
			want: [3]string{"kube_container_name:app kube_namespace:prod", "pod_name:web-7d4b9-x", "display_container_name:app_web-7d4b9-x"},
		},
		{
			name: "ECS, with the new form of ARN",
			labels: map[string]string{
				"com.amazonaws.ecs.cluster": "prod", "com.amazonaws.ecs.container-name": "app",
				"com.amazonaws.ecs.task-arn":               "arn:aws:ecs:eu-west-1:123456789012:task/prod/0a1b",
				"com.amazonaws.ecs.task-definition-family": "web", "com.amazonaws.ecs.task-definition-version": "7",
			},
			want: [3]string{
				"aws_account:123456789012 cluster_name:prod ecs_cluster_name:prod ecs_container_name:app region:eu-west-1 task_family:web task_name:web task_version:7",
				"task_arn:arn:aws:ecs:eu-west-1:123456789012:task/prod/0a1b",
			},
		},
		{
			name:   "unified tags: a label comes before the environment",
			labels: map[string]string{"com.datadoghq.tags.env": "prod"},
			env:    []string{"DD_ENV=staging", "DD_SERVICE=shop", "OTEL_SERVICE_NAME=other", "OTEL_RESOURCE_ATTRIBUTES=service.version=1.2, deployment.environment=x"},
			want:   [3]string{"env:prod service:shop version:1.2"},
		},
		{name: "environment blanked by the gateway", env: []string{"DD_ENV=", "DD_SERVICE=", "NOMAD_JOB_NAME="}},
		{name: "Nomad", env: []string{"NOMAD_JOB_NAME=j", "NOMAD_DC=d", "MESOS_TASK_ID=m"}, want: [3]string{"nomad_dc:d nomad_job:j", "mesos_task:m"}},
		{
			name:   "labels as tags",
			labels: map[string]string{"com.example.Team": "sre", "com.example.id": "7", "other": "no"},
			cfg:    Config{Labels: mappings(`{"com.example.team":"team,owner","*.ID":"+custom_%%label%%"}`)},
			want:   [3]string{"owner:sre team:sre", "", "custom_com.example.id:7"},
		},
		{name: "environment as tags", env: []string{"SHARD=3"}, cfg: Config{Env: mappings(`{"shard":"%%env%%"}`)}, want: [3]string{"SHARD:3"}},
		{
			name:   "a container's own tags, with a colon in one's value",
			labels: map[string]string{"com.datadoghq.ad.tags": `["team:sre","url:http://x:80","novalue",":x"]`},
			want:   [3]string{"", "", "team:sre url:http://x:80"},
		},
		{name: "a typo in them", labels: map[string]string{"com.datadoghq.ad.tags": `[team]`}},
		{name: "bytes that are no text", labels: map[string]string{"com.docker.compose.project": "a\xff\nb"}, want: [3]string{"compose_project:a\uFFFD_b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := plain
			c.Labels, c.Detail = tt.labels, &docker.Detail{Env: tt.env}
			tags := New(tt.cfg).Tags(&c)
			for level := Low; level <= High; level++ {
				var added []Tag
				for _, tag := range tags.by[level] {
					if !base[tag.String()] {
						added = append(added, tag)
					}
				}
				if got := text(added); got != tt.want[level-Low] {
					t.Errorf("%s: %s\nwant %s", level, got, tt.want[level-Low])
				}
			}
		})
	}
}

func TestImage(t *testing.T) {
	tests := map[string]string{
		"busybox":                           "docker_image:busybox:latest image_name:busybox image_tag:latest short_image:busybox",
		"busybox:1":                         "docker_image:busybox:1 image_name:busybox image_tag:1 short_image:busybox",
		"localhost:5000/a/b":                "docker_image:localhost:5000/a/b:latest image_name:localhost:5000/a/b image_tag:latest short_image:b",
		"ghcr.io/a/b:1@sha256:0000":         "docker_image:ghcr.io/a/b:1 image_name:ghcr.io/a/b image_tag:1 short_image:b",
		"b@sha256:0000":                     "docker_image:b image_name:b short_image:b",
		"sha256:" + strings.Repeat("0", 64): "",
	}
	for image, want := range tests {
		got := text(New(Config{}).Tags(&docker.Container{Image: image}).At(High))
		if got = strings.TrimSpace(strings.ReplaceAll(got+" ", "runtime:docker ", "")); got != want {
			t.Errorf("%s: %s\nwant %s", image, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"a*", "a", true},
		{"*b", "ab", true},
		{"a*a", "a", false},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false},
		{"a**c", "abc", true},
		{"[a]", "a", false},
	}
	for _, tt := range tests {
		if got := match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"[]", "{", `{"a":""}`, `{"a":"b,"}`, `{"a":"+"}`} {
		if _, err := ParseMappings(bad); err == nil {
			t.Errorf("%s is no error", bad)
		}
	}
	if m, err := ParseMappings(" "); m != nil || err != nil {
		t.Errorf("nothing gives %v, %v", m, err)
	}
	for in, want := range map[string]Cardinality{"none": None, "low": Low, "orch": Orchestrator, "orchestrator": Orchestrator, "high": High, "medium": Unset, "": Unset} {
		if got := ParseCardinality(in); got != want {
			t.Errorf("ParseCardinality(%q) = %v", in, got)
		}
	}
}

// TestDocs: docs/tags.md is the table. `go test ./internal/monitor/tag -update` writes it.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString(docsHead)
	for level := Low; level <= High; level++ {
		fmt.Fprintf(&b, "\n## %s\n\n| tag | from |\n|---|---|\n", strings.ToUpper(level.String()[:1])+level.String()[1:])
		for _, r := range Rules() {
			if r.Cardinality == level {
				fmt.Fprintf(&b, "| `%s` | %s |\n", r.Key, r.From)
			}
		}
	}
	b.WriteString(docsTail)
	const name = "../../../docs/tags.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the table says (error %v); run go test ./internal/monitor/tag -update", name, err)
	}
}

const docsHead = `# Tags

<!-- Made from internal/monitor/tag by "go test ./internal/monitor/tag -update". -->

What the monitor knows of a container becomes its tags, under the names that Datadog's agent uses. A tag has a
cardinality: **low** ones have as many values as there are services, **orchestrator** ones as there are tasks or pods,
**high** ones as there are containers. Container metrics have all of them in ` + "`docker_container_info`" + `.

Environment values reach the monitor only as far as the policy's ` + "`keep_env`" + ` lets them (` + "`DD_ENV`, `DD_SERVICE` and\n`DD_VERSION`" + ` in the built-in policy). For others, copy [rego/data.yaml](../rego/data.yaml) to
` + "`/etc/docker/vitrine/data.yaml`" + ` and add them there to the ` + "`keep_env` of the role `monitor`" + `: a role of your own
replaces the built-in one whole. Then start the monitor again.
`

const docsTail = `
## Your own

| what | where | cardinality |
|---|---|---|
| labels as tags | ` + "`--labels-as-tags`, or `DD_CONTAINER_LABELS_AS_TAGS`: `{\"com.example.team\":\"team\"}`" + ` | low; high with ` + "`+`" + ` before the tag |
| environment as tags | ` + "`--env-as-tags`, or `DD_CONTAINER_ENV_AS_TAGS`: `{\"SHARD\":\"shard\"}`" + ` | low; high with ` + "`+`" + ` before the tag |
| a container's own | its label ` + "`com.datadoghq.ad.tags`: `[\"team:sre\"]`" + ` | high |

Names match in any case; ` + "`*`" + ` stands for anything; several tags have commas between them; ` + "`%%label%%` and `%%env%%`" + ` stand for
the name: ` + "`{\"com.example.*\":\"+%%label%%\"}`" + `. In the YAML file it may be a mapping: ` + "`labels_as_tags: {com.example.team: team}`" + `.

No label or variable gives a tag ` + "`container_id` or `container_name`" + `, however it is spelled (` + "`container.id`" + `): a container could pass for another.

Not here, because no label of a container tells: Kubernetes deployments and other owners of pods, ECS services, availability zones.
`

// TestNobodyNamesAnother: labels are the container's to choose, and so are the keys
// in some; which container it is they do not say.
func TestNobodyNamesAnother(t *testing.T) {
	mappings, err := ParseMappings(`{"x.*":"+%%label%%","who":"container_name"}`)
	if err != nil {
		t.Fatal(err)
	}
	c := &docker.Container{ID: "1", Name: "evil", Labels: map[string]string{
		"com.datadoghq.ad.tags": `["container_name:web","container.id:2","container-name:web","\u0001container_id:2","team:sre"]`,
		"who":                   "web",
	}}
	for _, got := range New(Config{Labels: mappings}).Tags(c).At(High) {
		if read := Name(got.Key); (read == "container_name" && got.Value != "evil") || (read == "container_id" && got.Value != "1") {
			t.Errorf("a container says of itself %s", got)
		}
	}
}
