package answer

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/redact"
	"vitrine/test/long"
)

var update = flag.Bool("update", false, "rewrite docs/secrets.md and testdata/shown.txt")

// TestTableOfSecrets: each place is one of the schema's, as that spells it.
func TestTableOfSecrets(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range table() {
		if !slices.Contains(Names(), r.secret) {
			t.Errorf("%s: there is no secret %q", r.operation, r.secret)
		}
		for _, place := range r.places {
			p, err := Find(r.operation, place)
			if err != nil || p.String() != place {
				t.Errorf("%s, %s: %s, %v", r.operation, place, p, err)
			}
			key := r.operation + " " + r.secret + " " + place
			if seen[key] {
				t.Errorf("twice: %s", key)
			}
			seen[key] = true
		}
		if n := len(Places(r.operation, All)); n > redact.MaxPointers {
			t.Errorf("%s: %d places are too many for one plan", r.operation, n)
		}
	}
	for _, name := range Names() {
		if len(Holding(name)) == 0 {
			t.Errorf("no answer holds %s", name)
		}
	}
}

// TestSecretsPage holds docs/secrets.md against the table.
func TestSecretsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Secrets\n\nWhat answers of the Engine may hold that not everybody may see, by the names that a role blanks it with: `redact: {\"*\": [env, health]}`\n" +
		"(see the [policy guide](policy-guide.md#what-is-blanked)). The list is closed, and so is that of the places below it.\n\n| secret | what it is |\n|---|---|\n")
	for _, s := range secrets() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.Name, s.Meaning)
	}
	b.WriteString("\nWhere an answer is blanked, so are the texts of the operation's error answers, but for those that say no more than the caller knows\n" +
		"(`No such container: web`). `/message` is the text of an error answer.\n\n| operation | secret | places |\n|---|---|---|\n")
	for _, operation := range Holding(All) {
		for _, name := range Names() {
			if places := Places(operation, name); len(places) > 0 {
				fmt.Fprintf(&b, "| `%s` | `%s` | `%s` |\n", operation, name, strings.Join(texts(places), "` `"))
			}
		}
	}
	golden(t, filepath.Join("..", "..", "..", "docs", "secrets.md"), b.String())
}

func texts(pointers []redact.Pointer) []string {
	out := make([]string, len(pointers))
	for i, p := range pointers {
		out[i] = p.String()
	}
	return out
}

func golden(t *testing.T, name, content string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, []byte(content)) {
		t.Errorf("%s is not what the table says: go test ./internal/authz/answer -update, and read what changed", name)
	}
}

// shown says why the built-in roles show what no secret of the table covers: by
// the last keys of a place.
var shown = map[string]string{
	"names and ids, by which everything is told apart": `Id ID id Name name Names Hostname Domainname Container Containers EndpointID NetworkID
		NodeID VolumeID SandboxID SandboxKey ExecIDs ParentId Parent Parents  Parents Aliases DNSNames Links Network Namespaces/Plugins ConfigFrom
		Group Base Snapshot/Name from Actor/ID MountLabel ProcessLabel`,
	"what images are called and are made of": `Image ImageID RepoTags RepoDigests Tags Layers RootFS/Type Ref Repository DockerReference For Kind
		Config/Image DockerVersion Author Os OsVersion Architecture architecture os os.version os.features variant Variant Platform`,
	"a label, which its author shows to everybody who lists": `Labels Annotations annotations Attributes`,
	"a word of a short list": `Status State Scope scope Type type op Mode Driver NetworkMode IpcMode PidMode UTSMode UsernsMode CgroupnsMode Isolation
		Propagation Consistency RestartPolicy/Name LocalNodeState StopSignal Availability Sharing FsType Runtime LoggingDriver VolumeDriver
		CapAdd CapDrop Capabilities Ulimits/Name SecurityOpt GraphDriver/Name VolumeDriver os_type Cgroup Type DriverConfig/Name`,
	"a time": `Created CreatedAt UpdatedAt StartedAt FinishedAt Start End LastTagTime LastUsedAt SystemTime BuildTime read preread Timestamp`,
	"an address, and how a network is laid out": `IPAddress Gateway GlobalIPv6Address IPv6Gateway LinkLocalIPv6Address MacAddress Address Addr IPv4Address
		IPv6Address LinkLocalIPs IP HostIp HostPort Ports ExposedPorts PortMapping Bridge Subnet IPRange AuxiliaryAddresses Dns DnsOptions
		DnsSearch ExtraHosts NoProxy NodeAddr DefaultAddrPool ClusterAdvertise DiscoveryBackend Services networks`,
	"a path of the host or of a container": `Source Target Destination Mountpoint Binds Path PathOnHost PathInContainer WorkingDir LogPath HostsPath
		HostnamePath ResolvConfPath ContainerIDFile InitPath InitBinary Volumes Tmpfs Subpath VolumesFrom CDISpecDirs DockerRootDir path
		Containerd/Address GraphDriver/Data CgroupParent CpusetCpus CpusetMems MaskedPaths ReadonlyPaths`,
	"how the kernel confines a container": `User GroupAdd AppArmorProfile DeviceCgroupRules CgroupPermissions DeviceIDs DeviceRequests/Options Sysctls StorageOpt
		TmpfsOptions/Options ClusterOptions BlockVolume`,
	"what the host is and how the Engine is built and set up": `ApiVersion MinAPIVersion Arch GitCommit GoVersion KernelVersion Version Details ServerVersion OperatingSystem
		OSType OSVersion CgroupDriver CgroupVersion Expected InitSha1 DefaultRuntime runtimeType Runtimes/options Runtimes/status DriverStatus SystemStatus
		SecurityOptions ProductLicense Node Authorization Log Plugins/Network Volume NRI/Info FirewallBackend/Info Warnings DiscreteResourceSpec/Kind
		NamedResourceSpec/Value`,
	"a registry; the Engine takes no URL with a password": `IndexServerAddress Mirrors InsecureRegistryCIDRs AllowNondistributableArtifactsCIDRs
		AllowNondistributableArtifactsHostnames`,
	"public half of a key": `CertIssuerPublicKey CertIssuerSubject TrustRoot`,
	"the name under which a swarm keeps a secret, not what is in it": `Secrets/Key Secrets/Secret`,
	"where nodes are": `Segments`,
	"a manifest, which names its parts by digest": `digest mediaType artifactType data urls`,
	"a signature, made to be shown": `BuildConfigDigest BuildConfigURI BuildSignerDigest BuildSignerURI BuildTrigger CertificateIssuer Issuer RunInvocationURI
		RunnerEnvironment SourceRepositoryDigest SourceRepositoryIdentifier SourceRepositoryOwnerIdentifier SourceRepositoryOwnerURI SourceRepositoryRef
		SourceRepositoryURI SourceRepositoryVisibilityAtSigning SubjectAlternativeName KnownSigner SignatureType URI Error`,
}

// TestEveryStringIsDecided: each string and each free value of the answers that
// the built-in roles may read is a secret of the table, or shown for a reason.
// testdata/shown.txt is the whole list, to be read when an API version adds to it.
func TestEveryStringIsDecided(t *testing.T) {
	long.Alone(t)
	reasons := map[string]string{}
	for why, keys := range shown {
		for key := range strings.FieldsSeq(keys) {
			reasons[key] = why
		}
	}
	var b strings.Builder
	for _, operation := range []string{
		"ContainerInspect", "ContainerList", "ContainerStats", "ImageHistory", "ImageInspect", "ImageList", "NetworkInspect", "NetworkList",
		"NetworkListSlash", "SystemDataUsage", "SystemEvents", "SystemInfo", "SystemVersion", "VolumeInspect", "VolumeList",
	} {
		top, known := schemaOf(operation)
		if !known {
			t.Fatal(operation)
		}
		places := map[string][]redact.Pointer{}
		for _, name := range Names() {
			places[name] = Places(operation, name)
		}
		b.WriteString(operation + "\n")
		top.leaves(nil, func(at []string, n *node) {
			if n.kind == scalar {
				return
			}
			place := redact.Pointer(slices.Clone(at))
			held := slices.DeleteFunc(Names(), func(name string) bool {
				return !redact.CoverAll(places[name], []redact.Pointer{place})
			})
			keys := slices.DeleteFunc(slices.Clone(at), func(k string) bool { return k == "*" })
			last := strings.TrimSpace(keys[len(keys)-1])
			why := reasons[last]
			if len(keys) > 1 && reasons[keys[len(keys)-2]+"/"+last] != "" {
				why = reasons[keys[len(keys)-2]+"/"+last]
			}
			if len(held) > 0 {
				why = "SECRET " + strings.Join(held, ", ")
			}
			if why == "" {
				t.Errorf("%s, %s: is it a secret, or why is it shown?", operation, place)
			}
			fmt.Fprintf(&b, "  %s: %s\n", place, why)
		})
	}
	golden(t, filepath.Join("testdata", "shown.txt"), b.String())
}

// leaves calls visit for each value of an answer that holds no others, and for
// free ones: its place, with "*" for keys and indices that are free.
func (n *node) leaves(at []string, visit func(at []string, n *node)) {
	switch n.kind {
	case list, mapping:
		nodes[n.elem].leaves(append(at, "*"), visit)
	case object:
		for _, m := range n.members() {
			nodes[m.node].leaves(append(at, m.name), visit)
		}
	case free, scalar, text:
		visit(at, n)
	}
}
