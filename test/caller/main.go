// Caller is a program that tests put into containers and run on the host: it
// asks a socket as a caller would, and does what an attacker can do to pass for
// another one.
//
//	caller ask SOCKET METHOD PATH [BODY]   ask, and print the answer as JSON
//	caller lend SOCKET VIA                 connect, and hand the connection over VIA, the Unix socket of a test
//	caller zombie SOCKET VIA               likewise, but whoever connected ends unreaped: a zombie
//	caller crowd SOCKET VIA N              have N connections that children made who have exited and were waited for; connect to VIA, and stay as lend does
//	caller move CGROUPS FOLDER COMMAND…    move to FOLDER in every hierarchy mounted below CGROUPS, then be COMMAND
//	caller pose SOCKET                     put a socket of its own in SOCKET's place, and answer everybody "posed"
//
// It is linked without libc, and needs nothing of the image.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "caller:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("want ask, lend, zombie, crowd, move or pose, and a socket or folder")
	}
	command, socket, rest := args[0], args[1], args[2:]
	switch {
	case command == "ask" && len(rest) >= 2:
		return ask(socket, rest[0], rest[1], strings.Join(rest[2:], " "))
	case command == "lend" && len(rest) == 1:
		return lend(socket, rest[0])
	case command == "zombie" && len(rest) == 1:
		return zombie(socket, rest[0])
	case command == "crowd" && len(rest) == 2:
		return crowd(socket, rest[0], rest[1])
	case command == "move" && len(rest) >= 2:
		return move(socket, rest[0], rest[1:])
	case command == "pose" && len(rest) == 0:
		return pose(socket)
	}
	return fmt.Errorf("do not understand %q", args)
}

func ask(socket, method, path, body string) error {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequest(method, "http://docker"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"status": resp.StatusCode, "body": string(text)})
}

// lend stays until the test closes VIA: what it connected lives as long as it does.
func lend(socket, via string) error {
	control, err := connectAndPass(socket, via)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, control)
	return err
}

// zombie starts itself again to connect, and never waits for that process.
func zombie(socket, via string) error {
	if os.Getenv("CALLER_ENDS") != "" {
		_, err := connectAndPass(socket, via)
		return err
	}
	child := exec.Command("/proc/self/exe", "zombie", socket, via)
	child.Env = []string{"CALLER_ENDS=1"}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		return err
	}
	select {} // until killed
}

// crowd starts itself again for each connection, with a socket that is not connected yet.
func crowd(socket, via, count string) error {
	if os.Getenv("CALLER_ENDS") != "" {
		return syscall.Connect(3, &syscall.SockaddrUnix{Name: socket})
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	for range n {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		held := os.NewFile(uintptr(fd), "held")
		defer held.Close()
		child := exec.Command("/proc/self/exe", "crowd", socket, via, count)
		child.Env, child.ExtraFiles, child.Stderr = []string{"CALLER_ENDS=1"}, []*os.File{held}, os.Stderr
		if err := child.Run(); err != nil {
			return err
		}
	}
	control, err := net.Dial("unix", via)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, control)
	return err
}

// connectAndPass connects to the socket, and passes that connection over via.
func connectAndPass(socket, via string) (control net.Conn, err error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	file, err := conn.(*net.UnixConn).File()
	if err != nil {
		return nil, err
	}
	control, err = net.Dial("unix", via)
	if err != nil {
		return nil, err
	}
	_, _, err = control.(*net.UnixConn).WriteMsgUnix([]byte("lent"), syscall.UnixRights(int(file.Fd())), nil)
	if err != nil {
		return nil, err
	}
	return control, errors.Join(file.Close(), conn.Close()) // the test has the only one
}

func move(root, folder string, command []string) error {
	mounts, err := filepath.Glob(root + "/*/cgroup.procs")
	if err != nil {
		return err
	}
	if _, err := os.Stat(root + "/cgroup.procs"); err == nil { // a pure v2 host
		mounts = []string{root + "/cgroup.procs"}
	}
	for _, mount := range mounts {
		procs := filepath.Join(filepath.Dir(mount), folder, "cgroup.procs")
		if err := os.WriteFile(procs, []byte("0"), 0); err != nil {
			return err
		}
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, command, os.Environ())
}

func pose(socket string) error {
	if err := os.Remove(socket); err != nil {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	fmt.Println("posing")
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "posed")
	}))
}
