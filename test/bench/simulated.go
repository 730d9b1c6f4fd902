package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
)

// simulated answers on a socket as an Engine does, at the least cost, so that what stands in front of it
// shows: `bench simulated SOCKET CONTAINERS`. A plain list has none, that of all has them all, and limit=N is a list of N.
func simulated(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("simulated takes a socket and a number of containers, not %q", args)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", args[0])
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s := newSimulation(n)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = s.serve(c)
		}()
	}
}

// simulation is what a simulated Engine answers: by path, and of one container by its number.
type simulation struct {
	containers int
	answers    map[string][]byte
	list       []json.RawMessage
	byRef      map[string]int
	made       sync.Map // answers by target, once they were asked for
}

func newSimulation(containers int) *simulation {
	s := &simulation{containers: containers, byRef: map[string]int{}, answers: map[string][]byte{
		"/_ping":           answer("200 OK", "text/plain; charset=utf-8", []byte("OK")),
		"/version":         answerJSON(map[string]any{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux"}),
		"/info":            answerJSON(map[string]any{"ID": "bench", "Name": "bench", "OSType": "linux", "DefaultRuntime": "runc", "SecurityOptions": []string{"name=seccomp,profile=default"}, "DockerRootDir": "/var/lib/docker", "Containers": containers}),
		"/images/json":     answerJSON([]any{}),
		"/networks":        answerJSON([]any{}),
		"/volumes":         answerJSON(map[string]any{"Volumes": []any{}}),
		"/containers/json": answerJSON([]any{}),
	}}
	for i := range containers {
		s.byRef[simulatedName(i)], s.byRef[simulatedID(i)] = i, i
		s.list = append(s.list, encode(map[string]any{
			"Id": simulatedID(i), "Names": []string{"/" + simulatedName(i)}, "Image": "bb:1", "ImageID": "sha256:" + simulatedID(9), "Command": "sleep 1000",
			"Created": 1700000000, "State": "exited", "Status": "Exited (0) 2 hours ago", "Ports": []any{},
			"Labels":     map[string]string{"com.docker.compose.project": "bench", "com.docker.compose.service": "web", "com.example.team": "blue"},
			"HostConfig": map[string]string{"NetworkMode": "default"},
			"Mounts":     []any{}, "NetworkSettings": map[string]any{"Networks": map[string]any{"bridge": map[string]any{"IPAddress": "172.17.0.2", "Gateway": "172.17.0.1", "MacAddress": "02:42:ac:11:00:02", "NetworkID": simulatedID(1)}}},
		}))
	}
	return s
}

func simulatedID(i int) string   { return fmt.Sprintf("%064x", 0xabc0000000+i) }
func simulatedName(i int) string { return fmt.Sprint("web", i) }

// serve answers the requests on one connection.
func (s *simulation) serve(c net.Conn) error {
	r, w := bufio.NewReader(c), bufio.NewWriterSize(c, 64<<10)
	for {
		head, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		method, rest, _ := strings.Cut(string(head), " ")
		target, _, _ := strings.Cut(rest, " ")
		if err := skipHeaders(r); err != nil {
			return err
		}
		if err := s.answer(w, target); err != nil {
			return err
		}
		if err := w.Flush(); err != nil || method != http.MethodGet {
			return err
		}
	}
}

// skipHeaders reads a head to its end. What has a body is answered without it, and hung up on.
func skipHeaders(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil || len(bytes.TrimRight(line, "\r\n")) == 0 {
			return err
		}
	}
}

// Sizes of the streams.
const (
	logBytes  = 100 << 20
	copyBytes = 500 << 20
)

func (s *simulation) answer(w *bufio.Writer, target string) error {
	where, query, _ := strings.Cut(target, "?")
	if versioned, rest, ok := strings.Cut(strings.TrimPrefix(where, "/"), "/"); ok && strings.HasPrefix(versioned, "v1.") {
		where = "/" + rest
	}
	if made, ok := s.made.Load(target); ok {
		_, err := w.Write(made.([]byte))
		return err
	}
	var known []byte
	switch folder, last := path.Split(where); {
	case where == "/containers/json" && query == "":
		known = s.answers[where]
	case where == "/containers/json":
		known = s.listOf(query)
	case where == "/events":
		return endless(w)
	case last == "logs":
		return stream(w, "application/vnd.docker.multiplexed-stream", logBytes)
	case last == "archive":
		return stream(w, "application/x-tar", copyBytes)
	case last == "json" && strings.HasPrefix(folder, "/containers/"):
		known = s.inspect(path.Base(folder))
	case last == "json" && strings.HasPrefix(folder, "/images/"):
		known = answerJSON(map[string]any{"Id": "sha256:" + simulatedID(9), "RepoTags": []string{"bb:1"}, "Config": map[string]any{"Labels": map[string]string{}}})
	default:
		if known = s.answers[where]; known == nil {
			known = answer("404 Not Found", "application/json", []byte(`{"message":"page not found"}`))
		}
	}
	s.made.Store(target, known)
	_, err := w.Write(known)
	return err
}

// listOf is a list as a query asks for it.
func (s *simulation) listOf(query string) []byte {
	q, _ := url.ParseQuery(query)
	n, err := strconv.Atoi(q.Get("limit"))
	switch {
	case q.Has("all"):
		n = s.containers
	case err != nil:
		n = 0
	}
	return answerJSON(s.list[:min(n, len(s.list))])
}

// inspect is one container by its name or id. None runs, as there are no processes of theirs.
func (s *simulation) inspect(ref string) []byte {
	i, known := s.byRef[ref]
	if known {
		return answerJSON(map[string]any{
			"Id": simulatedID(i), "Name": "/" + simulatedName(i), "Image": "sha256:" + simulatedID(9), "Created": "2026-01-01T00:00:00Z", "Path": "sleep", "Args": []string{"1000"},
			"State": map[string]any{"Status": "exited", "Running": false, "Pid": 0, "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:00:01Z"},
			"Config": map[string]any{
				"Hostname": "web", "Image": "bb:1", "Cmd": []string{"sleep", "1000"}, "Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TOKEN=hunter2"},
				"Labels": map[string]string{"com.docker.compose.project": "bench", "com.docker.compose.service": "web", "com.example.team": "blue"},
			},
			"HostConfig":      map[string]any{"NetworkMode": "default", "RestartPolicy": map[string]any{"Name": "no"}, "LogConfig": map[string]any{"Type": "json-file", "Config": map[string]string{}}, "MaskedPaths": []string{"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys"}, "ReadonlyPaths": []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"}},
			"NetworkSettings": map[string]any{"Networks": map[string]any{"bridge": map[string]any{"IPAddress": "172.17.0.2", "Gateway": "172.17.0.1", "NetworkID": simulatedID(1)}}},
			"Mounts":          []any{}, "RestartCount": 0, "Driver": "overlay2", "Platform": "linux",
		})
	}
	return answer("404 Not Found", "application/json", []byte(`{"message":"No such container: `+ref+`"}`))
}

// stream writes n bytes in chunks, as dockerd does.
func stream(w *bufio.Writer, contentType string, n int) error {
	head(w, "200 OK", contentType)
	_, _ = w.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	chunks := httputil.NewChunkedWriter(w)
	block := make([]byte, 32<<10)
	for ; n > 0; n -= len(block) {
		if _, err := chunks.Write(block); err != nil {
			return err
		}
	}
	_ = chunks.Close()
	_, err := w.WriteString("\r\n")
	return err
}

// endless is a stream in which nothing happens.
func endless(w *bufio.Writer) error {
	head(w, "200 OK", "application/json")
	_, _ = w.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	_ = w.Flush()
	select {}
}

func head(w io.Writer, status, contentType string) {
	fmt.Fprintf(w, "HTTP/1.1 %s\r\nApi-Version: 1.41\r\nContent-Type: %s\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10.24 (linux)\r\nDate: Fri, 27 Nov 2026 21:00:00 GMT\r\n", status, contentType)
}

func answer(status, contentType string, body []byte) []byte {
	var b bytes.Buffer
	head(&b, status, contentType)
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	return append(b.Bytes(), body...)
}

func answerJSON(v any) []byte { return answer("200 OK", "application/json", append(encode(v), '\n')) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	return b
}
