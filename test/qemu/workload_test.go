//go:build linux && amd64

package qemu

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/internal/kernel/cgroup"
)

// workloadEnv names the workload that this process is, and its number.
const workloadEnv = "VITRINE_WORKLOAD"

const mib = 1 << 20

// workload is what PID 1 of a container does. Each says "ready" when it has
// done what it is to do, or goes on with it, and ends with its standard input.
func workload(what string) int {
	name, number, _ := strings.Cut(what, " ")
	n, _ := strconv.Atoi(number)
	in := bufio.NewScanner(os.Stdin)
	switch name {
	case "hold": // n MiB
		touch(memory(n))
	case "thrash": // n MiB, twice
		m := memory(n)
		touch(m)
		touch(m)
	case "spin":
		spin(in)
	case "leak": // from when told until killed
		fmt.Println("ready")
		for in.Scan(); ; {
			touch(memory(1))
		}
	case "parent": // of a leak, when told
		fmt.Println("ready")
		in.Scan()
		leak := exec.Command("/proc/self/exe")
		leak.Env = append(os.Environ(), workloadEnv+"=leak")
		fmt.Println(leak.Run())
		in.Scan()
		return 0
	case "family": // of two that hold 4 MiB and a leak, in the cgroup that is named, when told
		fmt.Println("ready")
		in.Scan()
		ends, err := family(number)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(ends)
		in.Scan()
		return 0
	case "threads": // n that do nothing
		for range n {
			go func() {
				runtime.LockOSThread()
				_ = unix.Pause()
			}()
		}
		time.Sleep(200 * time.Millisecond) // the test compares with the kernel's number, not with n
	case "write": // n MiB to the second block device, and half of it read back
		if err := writeDirect("/dev/ram1", n); err != nil {
			fmt.Println(err)
			return 1
		}
	case "agent", "agent-inside":
		if err := agent(name, n); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("ready")
	in.Scan()
	return 0
}

// family starts three in a cgroup, "" for its own, and says how each of them ended.
func family(dir string) (string, error) {
	var all []*exec.Cmd
	for _, what := range []string{"hold 4", "hold 4", "leak"} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), workloadEnv+"="+what)
		out, err := cmd.StdoutPipe()
		if err != nil {
			return "", err
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			return "", err
		}
		if dir != "" {
			folder, err := os.Open(dir)
			if err != nil {
				return "", err
			}
			defer func() { _ = folder.Close() }()
			cmd.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd())}
		}
		if err := cmd.Start(); err != nil {
			return "", err
		}
		bufio.NewScanner(out).Scan() // ready
		if what == "leak" {
			_, _ = fmt.Fprintln(in)
		}
		all = append(all, cmd)
	}
	var ends []string
	for _, cmd := range all {
		ends = append(ends, fmt.Sprint(cmd.Wait()))
	}
	return strings.Join(ends, ", "), nil
}

// memory is from the kernel, not from Go's heap, and is never given back.
func memory(n int) []byte {
	m, err := unix.Mmap(-1, 0, n*mib, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	return m
}

func touch(m []byte) {
	for i := 0; i < len(m); i += os.Getpagesize() {
		m[i]++
	}
}

// spin uses one core until told to stop, and says how much time it had.
func spin(in *bufio.Scanner) {
	var stop atomic.Bool
	go func() { in.Scan(); stop.Store(true) }()
	fmt.Println("ready")
	for !stop.Load() {
	}
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &used)
	fmt.Println(used.Utime.Nano() + used.Stime.Nano())
}

func writeDirect(name string, n int) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m := memory(1) // aligned to a page, as O_DIRECT wants it
	touch(m)
	for i := range n {
		if _, err := unix.Pwrite(fd, m, int64(i)*mib); err != nil {
			return err
		}
	}
	for i := range n / 2 {
		if _, err := unix.Pread(fd, m, int64(i)*mib); err != nil {
			return err
		}
	}
	return unix.Close(fd)
}

// agent reads the container of that PID from within a cgroup namespace of its
// own, as an agent does that Docker started with the defaults of cgroup v2.
func agent(name string, pid int) error {
	if name == "agent" {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return err
		}
		_ = os.Setenv(workloadEnv, fmt.Sprint("agent-inside ", pid))
		return unix.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	own, err := membership(os.Getpid())
	if err != nil {
		return err
	}
	other, err := membership(pid)
	if err != nil {
		return err
	}
	h, err := cgroup.Open(cgroup.Options{Root: cgroupRoot, Self: os.Getpid(), Own: own})
	if err != nil {
		return err
	}
	r, err := h.Container(other[""][strings.LastIndex(other[""], "/")+1:], other)
	if err != nil {
		return err
	}
	var s cgroup.Stats
	if err := r.Read(&s); err != nil {
		return err
	}
	fmt.Println(own[""], other[""], s.Memory.RSS.N)
	return nil
}
