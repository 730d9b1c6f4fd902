package attest

import (
	"errors"

	"vitrine/internal/kernel/procfs"
)

// here is what we know of our own place.
type here struct {
	// initPIDs says that PIDs mean to us what they mean to the kernel: ours is
	// the first PID namespace. Without it we know nobody's process.
	initPIDs bool
	ref      procfs.Namespaces // the host's
	err      error             // why no process can be proven the host's; nil if one can
	// cgroupNS says that cgroup paths are relative to ours, not to the host's root.
	cgroupNS bool
}

// lookAround establishes the reference for the host. It is kthreadd: process 2
// of the first PID namespace is a kernel thread, which is a flag that no user
// process can set, and it stays in the first namespaces for ever. PID 1 of that
// same namespace stands in where the links of kthreadd cannot be read.
func lookAround(proc procfs.FS) here {
	self, err := proc.Self()
	if err != nil {
		return here{err: err}
	}
	kthreadd, _ := proc.Stat(2) // what cannot be seen has no flags
	if kthreadd.Flags&procfs.FlagKernelThread == 0 {
		return here{err: errors.New("we are not in the host's PID namespace: its processes cannot be seen")}
	}
	// /proc may be the host's while we are elsewhere; the kernel then gives
	// us numbers that mean others there.
	status, err := proc.Status(self)
	if err != nil {
		return here{err: err}
	}
	own, ownErr := proc.Namespaces(self)
	ref, refErr := reference(proc)
	same := own.PID == ref.PID && ref.PID != "" // it is "" where it cannot be read
	if len(status.NSpid) != 1 && (status.NSpid != nil || !same) {
		return here{err: errors.New("/proc is of another PID namespace than our own")}
	}
	h := here{initPIDs: true, ref: ref}
	switch {
	case ownErr != nil:
		h.err = ownErr
	case refErr != nil:
		h.err = needsPtrace(refErr)
	case own.PID != ref.PID:
		h.err = errors.New("we are not in the host's PID namespace")
	case own.User != ref.User: // ids would not mean what they mean to the host
		h.err = errors.New("we are not in the host's user namespace")
	}
	h.cgroupNS = relativeCgroups(proc, self)
	return h
}

// reference reads the host's namespaces.
func reference(proc procfs.FS) (procfs.Namespaces, error) {
	ref, err := proc.Namespaces(2)
	if err == nil {
		return ref, nil
	}
	return proc.Namespaces(1)
}

// relativeCgroups says whether we are in a cgroup namespace of our own. Where
// the reference cannot be read, we assume so.
func relativeCgroups(proc procfs.FS, self int) bool {
	own, err := proc.Namespace(self, "cgroup")
	if err != nil {
		return false // before Linux 4.6 there are none
	}
	for _, pid := range []int{2, 1} {
		if ref, err := proc.Namespace(pid, "cgroup"); err == nil {
			return own != ref
		}
	}
	return true
}
