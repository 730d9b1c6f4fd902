// Package upstreams holds the gateway to engines that are not the host's Docker: Podman, rootful and rootless, the real
// one. docs/install.md tells operators what these tests show. (A gateway without the host's PIDs
// is in package plans.)
package upstreams
