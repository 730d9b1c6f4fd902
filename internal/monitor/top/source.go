package top

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/status"
	"vitrine/internal/printable"
)

// Limits of what is read from a monitor.
const (
	lineMost   = 64 << 20 // one frame
	answerMost = 16 << 20
	again      = 2 * time.Second // between two tries
)

// Source is a running monitor's API.
type Source struct {
	base   string
	token  string
	client *http.Client
}

// NewSource is the monitor at HOST:PORT or unix:///PATH, with the token of its page, "" for none.
func NewSource(address, token string) *Source {
	s := &Source{base: "http://" + address, token: token}
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		s.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	s.client = &http.Client{Transport: transport}
	return s
}

// Close ends what is left open.
func (s *Source) Close() { s.client.CloseIdleConnections() }

func (s *Source) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the monitor: %w", errors.Unwrap(err))
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		why, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what has come says enough
		return nil, fmt.Errorf("the monitor says %d: %s", res.StatusCode, strings.TrimPrefix(strings.TrimSpace(string(why)), "vitrine: "))
	}
	return res, nil
}

// Try says why the monitor cannot be asked, nil if it can.
func (s *Source) Try(ctx context.Context) error {
	res, err := s.get(ctx, "/api/state")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// follow tells what is new, and that there is nothing, until ctx ends.
func (s *Source) follow(ctx context.Context, tell func(any)) {
	for ctx.Err() == nil {
		err := s.stream(ctx, tell)
		if ctx.Err() != nil {
			return
		}
		tell(lostMsg{err})
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// stream reads one stream to its end.
func (s *Source) stream(ctx context.Context, tell func(any)) error {
	res, err := s.get(ctx, "/api/live")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 0, 64<<10), lineMost)
	for lines.Scan() {
		var frame struct {
			State *status.State `json:"state"`
			Board *asks.Board   `json:"board"`
		}
		if err := json.Unmarshal(lines.Bytes(), &frame); err != nil {
			return fmt.Errorf("read the monitor's stream: %w", err)
		}
		if frame.State != nil {
			tell(frame.State)
		}
		if frame.Board != nil {
			tell(frame.Board)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the monitor's stream: %w", err)
	}
	return errEnded
}

func (s *Source) read(ctx context.Context, path string, into any) error {
	res, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(io.LimitReader(res.Body, answerMost)).Decode(into)
}

// container is one container in full.
func (s *Source) container(ctx context.Context, id, name string) *detail {
	var d struct {
		status.Detail
		Touched []asks.Request `json:"touched"`
	}
	out := &detail{title: name}
	if out.err = s.read(ctx, "/api/containers/"+url.PathEscape(id), &d); out.err == nil {
		out.lines = containerLines(&d.Detail, d.Touched)
	}
	return out
}

// cell is what one caller asked for of one class.
func (s *Source) cell(ctx context.Context, caller, class string) *detail {
	var d asks.Detail
	out := &detail{title: printable.Line(caller) + ", class " + printable.Line(class)}
	if out.err = s.read(ctx, "/api/board/cell?"+url.Values{"caller": {caller}, "class": {class}}.Encode(), &d); out.err == nil {
		out.lines = cellLines(&d)
	}
	return out
}
