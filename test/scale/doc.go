// Package scale runs the monitor against a host with a thousand containers: trees of files in place of /proc and of
// cgroup v2, and an Engine that answers from memory. Neither root nor a real engine is needed.
//
// It looks at what the monitor takes (memory, descriptors), and that nothing is missing from what it tells.
package scale
