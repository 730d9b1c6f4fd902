// Package otlplogs receives logs by OTLP over HTTP, for a test that looks at what came.
package otlplogs

import (
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"
)

// Receiver keeps of each record its event's name and its body. It takes metrics, too, and forgets them.
type Receiver struct {
	URL  string
	mu   sync.Mutex
	logs []string
}

// Listen receives on l until the test ends; on an address of its own where l is nil.
func Listen(t *testing.T, l net.Listener) *Receiver {
	t.Helper()
	r := &Receiver{}
	s := httptest.NewUnstartedServer(r)
	if l != nil {
		_ = s.Listener.Close()
		s.Listener = l
	}
	s.Start()
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// ServeHTTP takes one request.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	from := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(from)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		from = z
	}
	body, err := io.ReadAll(from)
	var l logspb.LogsData
	if err == nil && strings.HasSuffix(req.URL.Path, "/logs") {
		err = proto.Unmarshal(body, &l)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range l.GetResourceLogs() {
		for _, s := range of.GetScopeLogs() {
			for _, one := range s.GetLogRecords() {
				r.logs = append(r.logs, one.GetEventName()+" "+one.GetBody().GetStringValue())
			}
		}
	}
}

// Has says that a record begins with a text and holds others.
func (r *Receiver) Has(begin string, others ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.logs {
		all := strings.HasPrefix(l, begin)
		for _, other := range others {
			all = all && strings.Contains(l, other)
		}
		if all {
			return true
		}
	}
	return false
}
