package vitrine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/test/wait"
)

// Answer is what a caller saw. Its JSON form is what test/caller prints.
type Answer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

func (a Answer) String() string { return fmt.Sprintf("%d %s", a.Status, strings.TrimSpace(a.Body)) }

// Ask asks over a connection, whoever made it, and leaves it open. A body is
// sent as JSON.
func Ask(c net.Conn, method, path, body string) (Answer, error) {
	req, err := http.NewRequest(method, "http://docker"+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := c.SetDeadline(time.Now().Add(wait.Patience(20 * time.Second))); err != nil {
		return Answer{}, err
	}
	if err := req.Write(c); err != nil {
		return Answer{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, string(text)}, err
}

// Recorded calls ask, which makes one request that nobody else makes at that
// time, and returns the record of it.
func (p *Process) Recorded(tb testing.TB, ask func()) audit.Record {
	tb.Helper()
	before := len(p.Audit())
	ask()
	var records []audit.Record
	p.Eventually("the audit record", func() error {
		if records = p.Audit()[before:]; len(records) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	if len(records) != 1 {
		tb.Errorf("one request has %d audit records: %+v", len(records), records)
	}
	return records[0]
}
