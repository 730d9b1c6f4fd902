// Package oracle compares the monitor's readers with others': the Engine's own statistics, runc's library, containerd's
// and Datadog's. It is a module of its own, so that whoever uses Vitrine does not inherit them.
//
// They read one container that stands still, so that every number must be the same. Where we differ on purpose, the
// test says why, and fails when the difference is no longer there.
package oracle
