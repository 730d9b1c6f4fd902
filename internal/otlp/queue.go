package otlp

import (
	"context"
	"fmt"
	"sync"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	queueBytes   = 4 << 20     // of encoded records that wait
	batchBytes   = 1 << 20     // of one request; receivers take 4 MiB of gRPC unless told otherwise
	batchRecords = 1024        // of one request
	recordBytes  = 128 << 10   // of one record: a larger one would cost those their place that are sent with it
	logDelay     = time.Second // from a record to its request, with all that come meanwhile
)

// queue has the records that wait to be sent.
type queue struct {
	wake chan struct{} // there is a record
	full chan struct{} // there are enough for a request

	mu    sync.Mutex
	list  []waiting
	bytes int
	by    map[string]int // bytes of each account
}

// waiting is one of them.
type waiting struct {
	account string
	record  []byte
}

func newQueue() queue {
	return queue{wake: make(chan struct{}, 1), full: make(chan struct{}, 1), by: map[string]int{}}
}

// Log takes one record, which counts against an account: nobody's may have more of the queue than is left of it, so
// that one caller's records never keep out the others'. It does not wait: what finds no place is lost.
func (e *Exporter) Log(account string, r *logspb.LogRecord) {
	if e == nil || !e.cfg.sends[logs] {
		return
	}
	b, err := proto.Marshal(r)
	switch {
	case err != nil: // such as a text that is none
		e.lose(logs, 1, err.Error())
	case len(b) > recordBytes:
		e.lose(logs, 1, fmt.Sprintf("a record has %d bytes, and %d may be sent", len(b), recordBytes))
	case !e.logs.add(account, b):
		e.lose(logs, 1, "records wait, and there is no room for more")
	}
}

func (q *queue) add(account string, b []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.by[account]+len(b) > queueBytes-q.bytes {
		return false
	}
	q.list, q.bytes = append(q.list, waiting{account, b}), q.bytes+len(b)
	q.by[account] += len(b)
	signalled(q.wake)
	if q.bytes >= batchBytes/2 || len(q.list) >= batchRecords/2 {
		signalled(q.full)
	}
	return true
}

func signalled(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take takes the oldest records, as many as go into a request. What is taken counts no more: there is one request at a time.
func (q *queue) take() (batch [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for len(q.list) > 0 && len(batch) < batchRecords && size < batchBytes {
		w := q.list[0]
		batch, size = append(batch, w.record), size+len(w.record)
		q.bytes -= len(w.record)
		if q.by[w.account] -= len(w.record); q.by[w.account] == 0 {
			delete(q.by, w.account)
		}
		q.list[0] = waiting{}
		q.list = q.list[1:]
	}
	return batch
}

// sendLogs sends what comes until ctx ends, and then what waits, until late ends.
func (e *Exporter) sendLogs(ctx, late context.Context) {
	for ended := false; !ended; {
		select {
		case <-e.logs.wake:
			select {
			case <-e.logs.full:
			case <-time.After(logDelay):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			ended = true
		}
		for batch := e.logs.take(); len(batch) > 0; batch = e.logs.take() {
			e.deliver(late, logs, e.request(batch), len(batch))
		}
	}
}

// request is the message that holds encoded records: a record is a field of its scope, and what is
// appended to a message is a part of it.
func (e *Exporter) request(records [][]byte) []byte {
	scope := encoded(&logspb.ScopeLogs{Scope: e.scope})
	for _, r := range records {
		scope = appendField(scope, 2, r)
	}
	return appendField(nil, 1, appendField(encoded(&logspb.ResourceLogs{Resource: e.resource}), 2, scope))
}

func appendField(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}

// encoded is a message of ours: its texts are text.
func encoded(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic("otlp: " + err.Error())
	}
	return b
}
