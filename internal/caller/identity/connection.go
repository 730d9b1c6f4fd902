package identity

import (
	"crypto/x509"
	"sync"

	"vitrine/internal/caller/attest"
	"vitrine/internal/kernel/peercred"
)

// Connection is one accepted connection, as a door sees it. It remembers what
// was attested of its peer, once that is positive.
type Connection struct {
	// Account is whom the work for this connection counts against: the container
	// or user as the kernel says, or a certificate. "" is nobody, for our own calls. The
	// door sets it before the first use.
	Account string

	door, listener string
	peer           *peercred.Peer    // nil unless on a Unix socket
	leaf           *x509.Certificate // nil unless verified TLS
	kind           Kind              // TLS, Local, Self, or "" for what the kernel says

	mu       sync.Mutex         // held while the peer is attested, which may take as long as the Engine does
	attested attest.Attestation // Unknown until established
	process  *Process           // of attested, if that is the host's
	built    *Identity          // of attested; made from …
	rev      uint64             // … this Rev of the container
	users    *names             // … and these users
}

func (c *Connection) remember(a attest.Attestation) {
	c.attested, c.process, c.built = a, nil, nil
}

// NewUnix is a connection on one of the gateway's Unix sockets.
func NewUnix(listener string, peer *peercred.Peer) *Connection {
	return &Connection{door: "gateway", listener: listener, peer: peer}
}

// NewTLS is a connection with a verified client certificate on one of the
// gateway's listeners; peer is nil unless it is a Unix socket.
func NewTLS(listener string, leaf *x509.Certificate, peer *peercred.Peer) *Connection {
	return &Connection{Account: "tls:" + fingerprint(leaf), door: "gateway", listener: listener, leaf: leaf, peer: peer, kind: TLS}
}

// NewCertificate is a request at the plugin door for which dockerd verified
// the certificate.
func NewCertificate(leaf *x509.Certificate) *Connection {
	return &Connection{Account: "tls:" + fingerprint(leaf), door: "plugin", leaf: leaf, kind: TLS}
}

// NewLocal is a request at the plugin door with neither ticket nor certificate.
func NewLocal() *Connection { return &Connection{Account: "local", door: "plugin", kind: Local} }

// NewSelf is one of our own calls.
func NewSelf(door string) *Connection { return &Connection{door: door, kind: Self} }
