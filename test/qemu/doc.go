// Package qemu tests the monitor's readers on a pure cgroup v2 kernel, which the machine that runs the tests may not
// have: Debian's kernel for virtual machines, booted in QEMU without KVM, with pressure and swap.
//
// The test binary itself, built static, runs in the guest from an initramfs that has nothing else but busybox. There the same
// test makes cgroups as a container engine does, runs workloads of known size in them, and compares what is read
// with what the workload was built to do. Its verdict comes back as a line on the second serial port; a guest that
// does not write it has failed, however QEMU ends. Boot does that for the tests of other packages too: test/oracle's, and
// of test/e2e/grants, which needs a host whose clock it may move.
//
// What it will not do: run an Engine in the guest. What of the Engine's is needed, is said in its place.
package qemu
