package tag

import (
	"cmp"
	"path"
	"strings"

	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/imagename"
)

// Rule is one tag, and where it comes from.
type Rule struct {
	Key         string
	Cardinality Cardinality
	From        string
	value       func(*source) string
}

// source is a container, taken apart.
type source struct {
	*docker.Container
	env         map[string]string
	otel        map[string]string // OTEL_RESOURCE_ATTRIBUTES
	repo, tag   string            // of the image as it was asked for
	task        arn               // of ECS
	clusterName string
}

func newSource(c *docker.Container) *source {
	s := &source{Container: c, env: map[string]string{}, otel: map[string]string{}}
	if c.Detail != nil {
		for _, e := range c.Detail.Env {
			k, v, _ := strings.Cut(e, "=")
			s.env[k] = v
		}
	}
	for attr := range strings.SplitSeq(s.env["OTEL_RESOURCE_ATTRIBUTES"], ",") {
		k, v, _ := strings.Cut(attr, "=")
		s.otel[strings.TrimSpace(k)] = v
	}
	var digest string
	if s.repo, s.tag, digest = imagename.Split(c.Image); s.repo != "" && s.tag == "" && digest == "" {
		s.tag = "latest"
	}
	s.task = parseARN(c.Labels["com.amazonaws.ecs.task-arn"])
	s.clusterName = path.Base("/" + c.Labels["com.amazonaws.ecs.cluster"]) // a name, or an ARN that ends with it
	if s.clusterName == "/" {
		s.clusterName = ""
	}
	return s
}

// arn is "arn:aws:ecs:<region>:<account>:…".
type arn struct{ region, account string }

func parseARN(s string) arn {
	f := strings.SplitN(s, ":", 6)
	if len(f) < 6 || f[0] != "arn" {
		return arn{}
	}
	return arn{f[3], f[4]}
}

// rules are the tags that every container may have.
func rules() []Rule {
	label := func(key string, c Cardinality, label string) Rule {
		return Rule{key, c, "label `" + label + "`", func(s *source) string { return s.Labels[label] }}
	}
	variable := func(key string, c Cardinality, variable string) Rule {
		return Rule{key, c, "environment `" + variable + "`", func(s *source) string { return s.env[variable] }}
	}
	return []Rule{
		{"container_name", High, "name", func(s *source) string { return s.Name }},
		{"container_id", High, "id", func(s *source) string { return s.ID }},
		{"runtime", Low, "always `docker`", func(*source) string { return "docker" }},
		{"docker_image", Low, "image as it was asked for, with its tag", func(s *source) string {
			if s.tag == "" {
				return s.repo
			}
			return s.repo + ":" + s.tag
		}},
		{"image_name", Low, "image without its tag", func(s *source) string { return s.repo }},
		{"short_image", Low, "last part of the image's name", func(s *source) string { return s.repo[strings.LastIndexByte(s.repo, '/')+1:] }},
		{"image_tag", Low, "tag of the image; `latest` if none was asked for", func(s *source) string { return s.tag }},
		{"image_id", Low, "id of the image", func(s *source) string { return s.ImageID }},
		{"ecs_cluster_name", Low, "label `com.amazonaws.ecs.cluster`", func(s *source) string { return s.clusterName }},
		{"cluster_name", Low, "label `com.amazonaws.ecs.cluster`", func(s *source) string { return s.clusterName }},
		{"region", Low, "label `com.amazonaws.ecs.task-arn`", func(s *source) string { return s.task.region }},
		{"aws_account", Low, "label `com.amazonaws.ecs.task-arn`", func(s *source) string { return s.task.account }},
		{"display_container_name", High, "labels `io.kubernetes.container.name` and `io.kubernetes.pod.name`", func(s *source) string {
			c, p := s.Labels["io.kubernetes.container.name"], s.Labels["io.kubernetes.pod.name"]
			if c == "" || p == "" {
				return ""
			}
			return c + "_" + p
		}},
		label("compose_project", Low, "com.docker.compose.project"),
		label("compose_service", Low, "com.docker.compose.service"),
		label("swarm_service", Low, "com.docker.swarm.service.name"),
		label("swarm_namespace", Low, "com.docker.stack.namespace"),
		label("rancher_container", High, "io.rancher.container.name"),
		label("rancher_stack", Low, "io.rancher.stack.name"),
		label("rancher_service", Low, "io.rancher.stack_service.name"),
		label("git.commit.sha", Low, "org.opencontainers.image.revision"),
		label("git.repository_url", Low, "org.opencontainers.image.source"),
		label("ecs_container_name", Low, "com.amazonaws.ecs.container-name"),
		label("task_family", Low, "com.amazonaws.ecs.task-definition-family"),
		label("task_name", Low, "com.amazonaws.ecs.task-definition-family"),
		label("task_version", Low, "com.amazonaws.ecs.task-definition-version"),
		label("task_arn", Orchestrator, "com.amazonaws.ecs.task-arn"),
		label("pod_name", Orchestrator, "io.kubernetes.pod.name"),
		label("kube_namespace", Low, "io.kubernetes.pod.namespace"),
		label("kube_container_name", Low, "io.kubernetes.container.name"),
		variable("marathon_app", Low, "MARATHON_APP_ID"),
		variable("chronos_job", Low, "CHRONOS_JOB_NAME"),
		variable("chronos_job_owner", Low, "CHRONOS_JOB_OWNER"),
		variable("mesos_task", Orchestrator, "MESOS_TASK_ID"),
		variable("nomad_task", Low, "NOMAD_TASK_NAME"),
		variable("nomad_job", Low, "NOMAD_JOB_NAME"),
		variable("nomad_group", Low, "NOMAD_GROUP_NAME"),
		variable("nomad_namespace", Low, "NOMAD_NAMESPACE"),
		variable("nomad_dc", Low, "NOMAD_DC"),
	}
}

// unified are Datadog's unified service tags: the first source that is set.
func unified() []Rule {
	first := func(key, label, variable, otelVariable string, otel ...string) Rule {
		from := "label `" + label + "`, else environment `" + variable + "`"
		if otelVariable != "" {
			from += ", `" + otelVariable + "`"
		}
		from += ", `" + strings.Join(otel, "` or `") + "` in `OTEL_RESOURCE_ATTRIBUTES`"
		return Rule{key, Low, from, func(s *source) string {
			values := []string{s.Labels[label], s.env[variable], s.env[otelVariable]}
			for _, attr := range otel {
				values = append(values, s.otel[attr])
			}
			return cmp.Or(values...)
		}}
	}
	return []Rule{
		first("env", "com.datadoghq.tags.env", "DD_ENV", "", "deployment.environment.name", "deployment.environment"),
		first("service", "com.datadoghq.tags.service", "DD_SERVICE", "OTEL_SERVICE_NAME", "service.name"),
		first("version", "com.datadoghq.tags.version", "DD_VERSION", "", "service.version"),
	}
}

// Rules are all of them, for the documentation.
func Rules() []Rule { return append(rules(), unified()...) }
