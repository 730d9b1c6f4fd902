// Package oracle compares the monitor's readers with others': the Engine's own statistics, runc's library, containerd's
// and Datadog's. It is a module of its own, so that whoever uses Vitrine does not inherit them.
//
// It does so on the host that runs the tests, whichever cgroups it has, with a real container; and, as that host is one of
// v1, hybrid and v2, once more on a pure v2 kernel in QEMU.
//
// They read one container that stands still, so that every number must be the same. Where we differ on purpose, the
// test says why, and fails when the difference is no longer there.
package oracle
