package page

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/status"
)

// Times of a stream.
const (
	frameLeast = 250 * time.Millisecond // between two frames
	frameWait  = 10 * time.Second       // for a reader to take one
)

// live is what all streams show: frames that are made once for all.
type live struct {
	slots chan struct{}

	mu     sync.Mutex
	news   chan struct{} // closed when there is something newer
	state  frame
	board  frame
	making sync.Mutex
}

// frame is a line, and what it was made of.
type frame struct {
	version uint64 // of what there is
	made    uint64 // of the line
	line    []byte
}

// Collected says that the status is another.
func (p *Page) Collected() { p.live.renew(&p.live.state) }

// Asked says that the board is another.
func (p *Page) Asked() { p.live.renew(&p.live.board) }

func (l *live) renew(f *frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.version++
	close(l.news)
	l.news = make(chan struct{})
}

// get is the newest line of a frame, and its version; if it is not made yet, this makes it.
func (l *live) get(f *frame, build func() any) (line []byte, version uint64, err error) {
	l.making.Lock()
	defer l.making.Unlock()
	l.mu.Lock()
	version = f.version
	l.mu.Unlock()
	if f.made != version {
		b, err := json.Marshal(build())
		if err != nil {
			return nil, 0, err
		}
		f.line, f.made = append(b, '\n'), version
	}
	return f.line, version, nil
}

// wait is closed when there is something newer than now.
func (l *live) wait() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.news
}

// stateFrame and boardFrame are the lines of a stream.
type stateFrame struct {
	State *status.State `json:"state"`
}

type boardFrame struct {
	Board *asks.Board `json:"board"`
}

// stream sends a line of JSON whenever there is something new, until the reader leaves.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	l := &p.live
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		http.Error(w, "vitrine: too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer p.o.Watch()()
	defer p.o.Asks.Watch()()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	frames := []struct {
		*frame
		build func() any
		sent  uint64
	}{
		{frame: &l.state, build: func() any { return stateFrame{p.o.Status.State()} }},
		{frame: &l.board, build: func() any { return boardFrame{p.board()} }},
	}
	for {
		news := l.wait()
		for i := range frames {
			f := &frames[i]
			line, version, err := l.get(f.frame, f.build)
			if err != nil || version == f.sent {
				continue
			}
			f.sent = version
			if out.SetWriteDeadline(time.Now().Add(frameWait)) != nil {
				return
			}
			if _, err := w.Write(line); err != nil {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(frameLeast):
		}
		select {
		case <-r.Context().Done():
			return
		case <-news:
		}
	}
}

func (p *Page) board() *asks.Board { return p.o.Asks.Board(time.Now()) }
