package doctor

// Fact is one thing that was looked at; Err says why it could not be told, and then Is means nothing.
type Fact[T any] struct {
	Is  T
	Err error
}

// Facts are what is known of one host.
type Facts struct {
	Socket     Fact[Socket]      // the Engine's own
	Probe      Fact[Probe]       // what it answers to a request that the plugin alone refuses
	HTTP2      Fact[bool]        // it answers HTTP/2 with prior knowledge
	Engine     Fact[Engine]      // what it says of itself
	Daemon     Fact[Daemon]      // how it was started
	TCP        Fact[[]TCP]       // where it listens on TCP
	Containers Fact[[]Container] // those that run
	NRI        Fact[string]      // the file in which NRI is on; "" if it is on in none
	Vitrine    Fact[Vitrine]     // authz-plugin serve
	AdminRoles Fact[[]string]    // what is wrong with who is admin, by the policy's own check
}

// Socket is a Unix socket and who may open it.
type Socket struct {
	Path    string
	Owner   uint32   // uid
	Group   string   // by name, else by number
	Members []string // users in that group other than root
	Mode    uint32   // permission bits
}

// Probe is the answer to /_ping with a parameter that nobody knows, given twice: the plugin refuses that to everybody, and
// an Engine that asks nobody answers it.
type Probe struct {
	Status int
	Ours   bool // the refusal is Vitrine's
}

// Engine is what an Engine says of itself.
type Engine struct {
	Name      string // "Docker", or what its first component calls itself: "Podman Engine"
	Version   string // such as "28.5.2+dfsg1"
	Plugins   []string
	Rootless  bool
	NRI       bool // it says that NRI is on
	SwarmNode bool // it takes part in a swarm
}

// Daemon is how dockerd was started.
type Daemon struct {
	PID         int
	FlagPlugins []string // --authorization-plugin
	FilePlugins []string // authorization-plugins of its configuration file
	FilePath    string
}

// TCP is where dockerd listens.
type TCP struct {
	Address string
	Plain   bool // it answered a request without TLS
}

// Container is one that runs, as far as checks look at it.
type Container struct {
	ID, Name   string
	Privileged bool
	HostPID    bool
	Mounts     []Mount
	Ours       bool // authz-plugin runs in it
}

// Mount is a folder or file of the host in a container.
type Mount struct {
	Source   string
	Writable bool
}

// Vitrine is what authz-plugin says of itself, and where it runs.
type Vitrine struct {
	Failing map[string]string // lines of /healthz that are not ok
	SeesPID bool              // it is in the host's PID namespace
}
