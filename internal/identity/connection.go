package identity

import (
	"crypto/x509"

	"vitrine/internal/peercred"
)

// Connection is one accepted connection, as a door sees it.
type Connection struct {
	door, listener string
	peer           *peercred.Peer    // nil unless on a Unix socket
	leaf           *x509.Certificate // nil unless verified TLS
	kind           Kind              // Local, Self, or "" for what the kernel says
}

// NewUnix is a connection on one of the gateway's Unix sockets.
func NewUnix(listener string, peer *peercred.Peer) *Connection {
	return &Connection{door: "gateway", listener: listener, peer: peer}
}

// NewTLS is a connection with a verified client certificate on one of the
// gateway's listeners; peer is nil unless it is a Unix socket.
func NewTLS(listener string, leaf *x509.Certificate, peer *peercred.Peer) *Connection {
	return &Connection{door: "gateway", listener: listener, leaf: leaf, peer: peer, kind: TLS}
}

// NewCertificate is a request at the plugin door for which dockerd verified
// the certificate.
func NewCertificate(leaf *x509.Certificate) *Connection {
	return &Connection{door: "plugin", leaf: leaf, kind: TLS}
}

// NewLocal is a request at the plugin door with neither ticket nor certificate.
func NewLocal() *Connection { return &Connection{door: "plugin", kind: Local} }

// NewSelf is one of our own calls.
func NewSelf(door string) *Connection { return &Connection{door: door, kind: Self} }
