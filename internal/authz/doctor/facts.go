package doctor

// fact is one thing that was looked at; Err says why it could not be told, and then Is means nothing.
type fact[T any] struct {
	Is  T
	Err error
}

// Facts are what is known of one host.
type Facts struct {
	Socket     fact[socket]      // the Engine's own
	Probe      fact[probe]       // what it answers to a request that the plugin alone refuses
	HTTP2      fact[bool]        // it answers HTTP/2 with prior knowledge
	Engine     fact[dockerd]     // what it says of itself
	Daemon     fact[daemon]      // how it was started
	TCP        fact[[]tcp]       // where it listens on TCP
	Containers fact[[]container] // those that run
	NRI        fact[string]      // the file in which NRI is on; "" if it is on in none
	Vitrine    fact[vitrine]     // authz-plugin serve
	AdminRoles fact[[]string]    // what is wrong with who is admin, by the policy's own check
}

// socket is a Unix socket and who may open it.
type socket struct {
	Path    string
	Owner   uint32   // uid
	Group   string   // by name, else by number
	Members []string // users in that group other than root
	Mode    uint32   // permission bits
}

// probe is the answer to /_ping with a parameter that nobody knows, given twice: the plugin refuses that to everybody, and
// an Engine that asks nobody answers it.
type probe struct {
	Status int
	Ours   bool // the refusal is Vitrine's
}

// dockerd is what an Engine says of itself.
type dockerd struct {
	Name      string // "Docker", or what its first component calls itself: "Podman Engine"
	Version   string // such as "28.5.2+dfsg1"
	Plugins   []string
	Rootless  bool
	NRI       bool // it says that NRI is on
	SwarmNode bool // it takes part in a swarm
}

// daemon is how dockerd was started.
type daemon struct {
	PID         int
	FlagPlugins []string // --authorization-plugin
	FilePlugins []string // authorization-plugins of its configuration file
	FilePath    string
}

// tcp is where dockerd listens.
type tcp struct {
	Address string
	Plain   bool // it answered a request without TLS
}

// container is one that runs, as far as checks look at it.
type container struct {
	ID, Name   string
	Privileged bool
	HostPID    bool
	Mounts     []mount
	Ours       bool // authz-plugin runs in it
}

// mount is a folder or file of the host in a container.
type mount struct {
	Source   string
	Writable bool
}

// vitrine is what authz-plugin says of itself, and where it runs.
type vitrine struct {
	Failing map[string]string // lines of /healthz that are not ok
	SeesPID bool              // it is in the host's PID namespace
}
