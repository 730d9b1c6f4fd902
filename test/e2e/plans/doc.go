// Package plans holds the four plans of the talk "Container monitoring
// challenges" to what they promise, each on a real dockerd: A, client
// certificates on dockerd's TLS listener; B1, HTTPS on a Unix socket; B2, user
// ids on a Unix socket, with an untouched docker.sock for orchestrators; C, a
// filtering proxy in a container without network.
package plans
