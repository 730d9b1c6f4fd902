package dogstatsd

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"testing"
)

// client is the sender of everything in one place.
type client struct {
	name, container, address string
	command                  func(address, namespace string) *exec.Cmd
}

// TestClients: all that Datadog's client can send arrives, each number of it, over
// each transport, from the host and from containers, as each user.
func TestClients(t *testing.T) {
	s := begin(t, seeing)
	inside := func(container string) func(address, namespace string) *exec.Cmd {
		return func(address, namespace string) *exec.Cmd {
			return s.docker("exec", container, "sender", "everything", address, namespace)
		}
	}
	s.box("clientnet", "--network", "host", "--user", "1000")
	udp := []client{{"UDP, in a container on the host's network", "clientnet", "127.0.0.1:8125", inside("clientnet")}}
	var local []client
	for _, uid := range []uint32{0, 1000, 65532} {
		user, container := strconv.Itoa(int(uid)), fmt.Sprintf("client%d", uid)
		s.box(container, "--user", user+":"+user)
		gateway := s.e.Docker("inspect", "--format", "{{.NetworkSettings.Gateway}}", container)
		host := func(address, namespace string) *exec.Cmd {
			return s.host(uid, s.sender, "everything", address, namespace)
		}
		local = append(local,
			client{"datagram, " + user, "", "unixgram://" + s.e.Path(datagram), host},
			client{"stream, " + user, "", "unixstream://" + s.e.Path(stream), host},
			client{"datagram, in a container, " + user, container, "unixgram://" + datagram, inside(container)},
			client{"stream, in a container, " + user, container, "unixstream://" + stream, inside(container)})
		udp = append(udp,
			client{"UDP, in a container, " + user, container, gateway + ":8125", inside(container)},
			client{"UDP, " + user, "", "127.0.0.1:8125", func(address, namespace string) *exec.Cmd {
				return s.e.Command("setpriv", "--reuid="+user, "--regid="+user, "--clear-groups", s.sender, "everything", address, namespace)
			}})
	}
	s.known("client0", "client1000", "client65532", "clientnet")
	each := func(t *testing.T, clients []client, namespace string, parallel bool) {
		for i, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				if parallel {
					t.Parallel()
				}
				s := s.on(t)
				app := fmt.Sprint(namespace, i)
				s.reader = app
				s.page() // it is known now
				s.done(c.command(c.address, app))
				s.everything(app, c.container)
			})
		}
	}
	t.Run("Unix sockets", func(t *testing.T) { each(t, local, "local", true) })
	each(t, udp, "udp", false) // one by one: the kernel drops what it has no room for
	// Each sends 724 metrics, an event and a check; none of them is lost or refused.
	n := float64(len(local) + len(udp))
	s.expect(
		is(724*n, "dogstatsd_processed_total", `message_type="metrics"`, `state="ok"`),
		is(n, "dogstatsd_processed_total", `message_type="events"`, `state="ok"`),
		is(n, "dogstatsd_processed_total", `message_type="service_checks"`, `state="ok"`),
		is(4*726, "dogstatsd_processed_total", `state="ok"`, `origin="client"`), // UDP, in containers
		is(0, "dogstatsd_processed_total", `state="error"`), is(0, "dogstatsd_origin_mismatches_total"), is(0, "dogstatsd_udp_packets_lost_total"))
	for _, uid := range []string{"0", "1000", "65532"} {
		for _, labels := range [][]string{{`origin="kernel"`, "2"}, {`origin="client"`, "1"}} { // two Unix sockets, and UDP
			n, _ := strconv.ParseFloat(labels[1], 64)
			from := []string{labels[0], `container_name="client` + uid + `"`}
			s.expect(
				is(n, "dogstatsd_events_total", append(slices.Clone(from), `alert_type="error"`)...),
				is(n, "dogstatsd_service_checks_total", append(slices.Clone(from), `status="critical"`)...))
		}
	}
}

// everything expects the sums of "sender everything".
func (s *stage) everything(app, container string) {
	s.Helper()
	const sum = 100 * 99 / 2
	tag := `az="eu-1a"`
	once := app + "_once"
	s.see( // in the interval in which the packet of each came
		is(4.5, once+"_histogram_avg"), is(8, once+"_histogram_max"), near(4, once+"_histogram", `quantile="0.5"`), near(7, once+"_histogram", `quantile="0.95"`),
		is(45, once+"_timing_avg"), is(80, once+"_timing_max"), near(40, once+"_timing", `quantile="0.5"`), near(70, once+"_timing", `quantile="0.95"`),
		is(5, once+"_set"))
	page := s.expect(
		is(sum, app+"_count_total", tag, `k="v"`),
		is(100, app+"_incr_total", tag),
		is(99, app+"_gauge", tag),
		is(100, app+"_histogram_count", tag), is(sum, app+"_histogram_sum"),
		is(100, app+"_timing_count", tag), is(sum, app+"_timing_sum"),
		is(100, app+"_distribution_count", tag), is(sum/2., app+"_distribution_sum"),
		// 0, 0.5, … 49.5
		is(41, app+"_distribution_bucket", `le="20"`), is(100, app+"_distribution_bucket", `le="50"`), is(100, app+"_distribution_bucket", `le="+Inf"`),
		is(2, "dogstatsd_service_check_status", `check="`+app+`.db"`, tag))
	for _, metric := range []string{"_count_total", "_incr_total", "_gauge", "_histogram_count", "_timing_count", "_distribution_count"} {
		if named := page.named(app + metric); len(named) != 1 || named[container] == 0 {
			s.Errorf("%s is of %v, want %q", app+metric, named, container)
		}
	}
}
