package dogstatsd

import (
	"regexp"
	"testing"
)

// TestClaims: what a container says of itself changes nothing, and is counted.
func TestClaims(t *testing.T) {
	s := begin(t, installed)
	id := s.box("victim", "--label", "com.datadoghq.tags.service=bank")
	pod := s.box("pod", "--label", "io.kubernetes.pod.uid=1234", "--label", "io.kubernetes.pod.name=p", "--label", "io.kubernetes.container.name=POD")
	own := s.box("liar", "--label", "com.datadoghq.tags.service=crooks")
	s.known("victim", "pod", "liar")
	believed := regexp.MustCompile(`[{,](container_name="(victim|pod)"|container_id="(` + id + `|` + pod + `)"|service="bank"|pod_name="p")`)
	for _, claims := range []struct {
		mismatches float64 // of each
		fields     map[string]string
	}{
		{0, map[string]string{
			"own":      "|c:ci-" + own,
			"own_name": "|e:it-false,cn-web",
			"tags":     "|#container_name:victim,container_id:" + id + ",service:bank,pod_name:p,dd.internal.entity_id:none",
		}},
		{1, map[string]string{
			"id":     "|c:ci-" + id,
			"bare":   "|c:" + id,
			"old":    "|c:cid-" + id,
			"list":   "|c:in-1,ci-" + id,
			"pod":    "|c:ci-" + pod,
			"nobody": "|c:ci-nobody",
			"entity": "|e:it-false,cn-POD,pu-1234",
			"tag":    "|#dd.internal.entity_id:1234",
		}},
	} {
		var wants []want
		for name, fields := range claims.fields {
			s.exec("liar", "sender", "raw", datagram, "claim."+name+":1|c|card:high"+fields)
			wants = append(wants, is(1, "claim_"+name+"_total", `container_name="liar"`, `service="crooks"`))
		}
		page := s.expect(append(wants, is(claims.mismatches*float64(len(wants)), "dogstatsd_origin_mismatches_total"))...)
		for name := range claims.fields {
			for _, series := range page.series("claim_" + name + "_total") {
				if believed.MatchString(series) {
					t.Errorf("the claim is believed: %s", series)
				}
			}
		}
	}
	s.expect(
		is(1, "claim_tags_total", `exported_container_name="victim"`, `exported_container_id="`+id+`"`, `exported_service="bank"`),
		is(0, "dogstatsd_origin_mismatches_refused_total"))

	s.exec("liar", "sender", "raw", "unixstream://"+stream, "streamed:1|c|card:high|c:ci-"+id)
	s.expect(is(1, "streamed_total", `container_name="liar"`), is(9, "dogstatsd_origin_mismatches_total"))
	for _, kind := range []struct{ metric, line string }{
		{"dogstatsd_events_total", "_e{5,4}:title|text|t:error|c:ci-" + id},
		{"dogstatsd_service_checks_total", "_sc|claimed|2|c:ci-" + id},
	} {
		s.exec("liar", "sender", "raw", datagram, kind.line)
		s.expect(is(1, kind.metric, `origin="kernel"`, `container_name="liar"`), is(1, kind.metric))
	}
}

// TestClaimsRefusedClosed: on request such a message costs itself, and not its
// neighbours in the packet.
func TestClaimsRefusedClosed(t *testing.T) {
	s := begin(t, installed, "--dogstatsd-refuse-mismatch=true")
	id := s.box("victim")
	own := s.box("liar")
	s.known("victim", "liar")
	s.exec("liar", "sender", "raw", datagram,
		"fine:1|c|card:high", "stolen:1|c|card:high|c:ci-"+id, "fine:2|c|card:high|c:ci-"+own,
		"stolen:1|c|e:it-false,cn-web,pu-1234", "_e{5,4}:title|text|c:ci-"+id, "_sc|claimed|2|c:ci-"+id, "fine:4|c|card:high")
	page := s.expect(is(7, "fine_total", `container_name="liar"`), is(4, "dogstatsd_origin_mismatches_total"), is(4, "dogstatsd_origin_mismatches_refused_total"))
	for _, metric := range []string{"stolen_total", "dogstatsd_events_total", "dogstatsd_service_checks_total"} {
		if page.sum(metric) != 0 {
			t.Errorf("%s: %s", metric, page.series(metric))
		}
	}
}
