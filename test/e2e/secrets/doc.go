// Package secrets puts one secret into every place of a real Engine from which it
// comes back in an answer (environments, health checks, options of volumes and
// log drivers, builds, errors, the swarm's specification), and looks for it as
// callers who are shown none: by one role and by two, in documents, events and
// texts of errors. An admin must find it in the same answers, or a test shows nothing.
package secrets
