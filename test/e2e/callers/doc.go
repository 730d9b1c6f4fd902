// Package callers asks the gateway from every place that a process can be in, or
// pretend to be in: containers side by side, joined and nested, zombies, other
// cgroups and namespaces, connections that outlive who made them.
//
// Whoever asks is plainly itself, or unknown: never the host, never another.
// Each test holds the answer and the caller of the audit record to that.
package callers
