// Package clients works through the gateway with the clients that people have:
// the docker command line, Go's and Python's libraries, Prometheus, curl's kind
// of HTTP/1.0. As a caller that may only look, and as one that may do anything
// and must notice nothing: streams, tunnels, builds and large images included.
//
// All of it happens twice: where dockerd asks our plugin too, with tickets, and
// where the gateway stands alone.
package clients
