// Package clients works through the gateway with the clients that people have:
// the docker command line, Go's and Python's libraries, Prometheus, curl's kind
// of HTTP/1.0. As a caller that may only look, and as one that may do anything
// and must notice nothing: streams, tunnels, builds and large images included.
//
// What an admin must not notice is recorded: a session of docker, docker-compose
// and python3-docker is the same, byte for byte but for ids and times, straight to
// the Engine, to one that asks our plugin, and through the gateway. So are what
// compose 2 prints and leaves of projects in the shapes of its public examples.
//
// All the rest happens twice: where dockerd asks our plugin too, with tickets, and
// where the gateway stands alone.
package clients
