package upstreams

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDockerRootless: dockerd in a user namespace that rootlesskit makes.
func TestDockerRootless(t *testing.T) {
	w := begin(t)
	w.subordinate()
	w.owned("/run/home")
	w.check(os.MkdirAll(w.e.Path(folder), 0o755)) // rootlesskit copies /run: what comes later its containers do not see
	w.owned("/run/user/4300")
	data := filepath.Join(w.e.Dir, "state/rootless") // not in /run, which rootlesskit makes anew out of links
	w.owned(data)
	w.inside = "/run/user/4300/docker.sock"
	// Not every machine lets users open /dev/net/tun, which slirp4netns needs: here, in these namespaces, they may.
	w.check(w.e.Command("sh", "-c", "mknod /run/tun c 10 200 && chmod 666 /run/tun && mount --bind /run/tun /dev/net/tun").Run())
	w.serve(ownerUID, []string{"HOME=/run/home", "XDG_RUNTIME_DIR=/run/user/4300"},
		w.tools+"/bin/rootlesskit", "--net=slirp4netns", "--slirp4netns-binary="+w.tools+"/bin/slirp4netns", "--slirp4netns-sandbox=false", "--slirp4netns-seccomp=false",
		"--disable-host-loopback", "--mtu=1500", "--copy-up=/etc", "--copy-up=/run", "--propagation=rslave", "--state-dir=/run/user/4300/rootlesskit",
		"sh", "-c", `rm -f /run/docker /run/containerd /run/xtables.lock && exec "$@"`, "sh", // as dockerd-rootless.sh: they are links to the host's
		"dockerd", "--rootless", "--host=unix://"+w.inside, "--data-root="+data+"/data", "--exec-root="+data+"/exec", "--pidfile=/run/user/4300/docker.pid",
		"--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none")
	w.check(w.direct("import", w.archive(), "caller:1"))
	w.gateway()
	w.warned("the Engine is rootless")
	w.run("agent", "--label", "vitrine.role=look")
	w.run("monitor")
	w.known("monitor")
	w.rootless()
}
