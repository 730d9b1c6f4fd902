package asks

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
)

// Shape is what one kind of request looked like; see docs/record.md.
type Shape struct {
	Count     uint64    `json:"count"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	URI       string    `json:"uri"`
	Hazards   []string  `json:"hazards"`
	HostPaths []string  `json:"host_paths"`
	Answer    string    `json:"answer"` // allow, deny, would-deny or hidden
	Code      string    `json:"code,omitempty"`
}

// shapesMost is how many of a cell are shown: the most frequent ones.
const shapesMost = 30

// errNoRecord says that authz-plugin keeps no record of shapes.
var errNoRecord = errors.New("authz-plugin keeps no record of shapes")

// shape is what is read of a line of /shapes.
type shape struct {
	Count  uint64    `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Caller struct {
		Kind       string   `json:"kind"`
		Principals []string `json:"principals"`
	} `json:"caller"`
	Operation struct {
		ID        string            `json:"id"`
		Access    string            `json:"access"`
		Method    string            `json:"method"`
		URI       string            `json:"uri"`
		Hazards   []string          `json:"hazards"`
		HostPaths []json.RawMessage `json:"host_paths"`
	} `json:"operation"`
	Verdict struct {
		Answer string `json:"answer"`
		Code   string `json:"code"`
	} `json:"verdict"`
}

// Shapes asks authz-plugin for the shapes of a cell.
func (r *Reader) Shapes(ctx context.Context, name, class string) ([]Shape, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	client := r.client()
	defer client.CloseIdleConnections()
	resp, err := r.get(ctx, client, "/shapes")
	var no *refused
	if errors.As(err, &no) && no.status == http.StatusNotFound {
		return nil, errNoRecord
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := []Shape{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), lineMost)
	for lines.Scan() {
		var s shape
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil || s.Operation.ID == "" {
			continue // the first line, and what a newer authz-plugin may tell
		}
		if nameOf(s.Caller.Principals, s.Caller.Kind) != name || s.Operation.Access != class {
			continue
		}
		out = append(out, s.show())
	}
	slices.SortFunc(out, func(a, b Shape) int { return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last)) })
	return out[:min(len(out), shapesMost)], lines.Err()
}

func (s *shape) show() Shape {
	out := Shape{
		Count: s.Count, First: s.First, Last: s.Last, Operation: s.Operation.ID, Method: s.Operation.Method, URI: cut(s.Operation.URI),
		Hazards: []string{}, HostPaths: []string{}, Answer: s.Verdict.Answer, Code: s.Verdict.Code,
	}
	for _, h := range s.Operation.Hazards[:min(namesMost, len(s.Operation.Hazards))] {
		out.Hazards = append(out.Hazards, cut(h))
	}
	for _, raw := range s.Operation.HostPaths[:min(namesMost, len(s.Operation.HostPaths))] {
		var path string
		if json.Unmarshal(raw, &path) != nil {
			path = string(raw)
		}
		out.HostPaths = append(out.HostPaths, cut(path))
	}
	return out
}
