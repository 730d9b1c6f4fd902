package dogstatsd

import (
	"fmt"
	"testing"
)

// TestSlices: the talk's slide. What a container is labelled with is how its
// metrics can be asked for, beside what the client says.
func TestSlices(t *testing.T) {
	s := begin(t, installed, "--labels-as-tags", `{"com.example.team":"team","com.example.zone":"availability_zone","com.example.chef":"chef_role","app":"kube_deployment"}`)
	ecs := []string{
		"com.amazonaws.ecs.cluster=prod", "com.amazonaws.ecs.task-definition-family=checkout", "com.amazonaws.ecs.task-definition-version=7",
		"com.amazonaws.ecs.task-arn=arn:aws:ecs:eu-west-1:123456789012:task/prod/abc", "com.amazonaws.ecs.container-name=web",
	}
	kube := []string{"io.kubernetes.pod.name=shop-5d4f8-x2x", "io.kubernetes.pod.namespace=sales", "io.kubernetes.container.name=web", "app=shop"}
	docker := []string{"com.docker.compose.project=blog", "com.example.team=sre", "com.example.chef=frontend", "com.datadoghq.tags.service=blog"}
	zone := func(labels []string, zone string) []string {
		return append([]string{"com.example.zone=eu-1" + zone}, labels...)
	}
	const views = "page.views:%d|c"
	type box struct {
		name   string
		labels []string
		line   string
	}
	boxes := []box{
		{"ecs1", zone(ecs, "a"), fmt.Sprintf(views, 1)},
		{"ecs2", zone(ecs, "b"), fmt.Sprintf(views+"|#host:web-1", 2)},
		{"kube1", zone(kube, "a"), fmt.Sprintf(views, 4)},
		{"kube2", zone(kube, "b"), fmt.Sprintf(views+"|card:orchestrator", 8)},
		{"docker1", docker, fmt.Sprintf(views+"|#availability-zone:eu-1a", 16)},
		{"docker2", docker, fmt.Sprintf(views+"|#availability-zone:eu-1b,host:web-2|card:high", 32)},
	}
	var names []string
	for _, b := range boxes {
		var flags []string
		for _, l := range b.labels {
			flags = append(flags, "--label", l)
		}
		s.box(b.name, flags...)
		names = append(names, b.name)
	}
	s.known(names...)
	for _, b := range boxes {
		s.exec(b.name, "sender", "raw", datagram, b.line)
	}
	const metric = "page_views_total"
	s.expect(is(63, metric))
	for _, slice := range []struct {
		sum    float64
		labels []string
	}{
		// The zone is a label here, so that of a container without one is not its client's to say.
		{5, []string{`availability_zone="eu-1a"`}},
		{10, []string{`availability_zone="eu-1b"`}},
		{0, []string{`compose_project="blog"`, `availability_zone="`}},
		{2, []string{`host="web-1"`}},
		{32, []string{`host="web-2"`}},
		{3, []string{`task_family="checkout"`}},
		{3, []string{`task_name="checkout"`, `task_version="7"`, `ecs_cluster_name="prod"`, `ecs_container_name="web"`, `region="eu-west-1"`}},
		{1, []string{`task_family="checkout"`, `availability_zone="eu-1a"`}},
		{0, []string{`task_arn="`}}, // for those who ask
		{12, []string{`kube_deployment="shop"`, `kube_namespace="sales"`}},
		{8, []string{`kube_deployment="shop"`, `availability_zone="eu-1b"`}},
		{8, []string{`pod_name="shop-5d4f8-x2x"`}}, // kube2 asked
		{48, []string{`compose_project="blog"`, `team="sre"`, `service="blog"`}},
		{48, []string{`chef_role="frontend"`}},
		{32, []string{`container_name="docker2"`}},
		{32, []string{`container_name="`}}, // docker2 asked, nobody else
		{32, []string{`team="sre"`, `host="web-2"`}},
	} {
		s.expect(is(slice.sum, metric, slice.labels...))
	}
}
