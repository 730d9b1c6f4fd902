package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// as needs CAP_SYS_ADMIN over the PID namespace for any number but its own.
func as(pid, path string, lines []string) error {
	number, err := strconv.ParseInt(pid, 10, 32)
	if err != nil {
		return err
	}
	fd, err := connect(path)
	if err != nil {
		return err
	}
	cred := unix.UnixCredentials(&unix.Ucred{Pid: int32(number), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())})
	return unix.Sendmsg(fd, []byte(strings.Join(lines, "\n")), cred, nil, 0)
}

func connect(path string) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	return fd, unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

func forks(path, line, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	fd, err := connect(path)
	if err != nil {
		return err
	}
	for range n {
		pid, err := fork(0, fd, line, false)
		if err != nil {
			return err
		}
		if err := reap(pid); err != nil {
			return err
		}
	}
	return nil
}

// turns does what its input says, a command a line, and answers each with "ok",
// or with what is wrong:
//
//	go PID LINE     a child with that PID sends the line, exits at once, and is reaped
//	stay PID LINE   a child with that PID sends the line, and stays
//	end             it exits, and is reaped
func turns(path string) error {
	fd, err := connect(path)
	if err != nil {
		return err
	}
	stays := 0
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		answer := "ok"
		if err := turn(in.Text(), fd, &stays); err != nil {
			answer = err.Error()
		}
		fmt.Println(answer)
	}
	return nil
}

func turn(command string, fd int, stays *int) error {
	if command == "end" {
		return errors.Join(unix.Kill(*stays, unix.SIGKILL), reap(*stays))
	}
	word := strings.SplitN(command, " ", 3)
	if len(word) != 3 {
		return fmt.Errorf("do not understand %q", command)
	}
	number, err := strconv.Atoi(word[1])
	if err != nil {
		return err
	}
	pid, err := fork(number, fd, word[2], word[0] == "stay")
	if err != nil {
		return err
	}
	if word[0] == "stay" {
		*stays = pid
		return nil
	}
	return reap(pid)
}

func reap(pid int) error {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize uint64
}

// fork makes a child that writes a line and exits, or waits to be killed. A number
// of one's choice, 0 for any, needs CAP_SYS_ADMIN over the PID namespace.
func fork(number, fd int, line string, stay bool) (pid int, err error) {
	args := cloneArgs{exitSignal: uint64(unix.SIGCHLD)}
	wanted := int32(number)
	if number != 0 {
		args.setTID, args.setTIDSize = uint64(uintptr(unsafe.Pointer(&wanted))), 1
	}
	text := []byte(line)
	pid, errno := forkAndSend(&args, uintptr(fd), &text[0], uintptr(len(text)), stay)
	if errno != 0 {
		return 0, fmt.Errorf("clone3: %w", errno)
	}
	return pid, nil
}

// forkAndSend does nothing in the child but system calls: Go's scheduler has one
// thread there, and does not know.
//
//go:norace
//go:nosplit
func forkAndSend(args *cloneArgs, fd uintptr, text *byte, n uintptr, stay bool) (pid int, errno unix.Errno) {
	var r uintptr
	if args.setTIDSize == 0 { // what Docker's seccomp profile lets everybody do
		r, _, errno = unix.RawSyscall6(unix.SYS_CLONE, uintptr(args.exitSignal), 0, 0, 0, 0, 0)
	} else {
		r, _, errno = unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	}
	if errno != 0 || r != 0 {
		return int(r), errno
	}
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(text)), n)
	for stay {
		_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
	for {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
