package gateway

import (
	"sync"
	"time"
)

const (
	maxIdle  = 64               // shared connections kept open
	idleTime = 90 * time.Second // and for how long
)

// pool keeps idle connections to the daemon, the last used on top.
type pool struct {
	mu     sync.Mutex
	idle   []*upConn
	closed bool
}

func (p *pool) get() *upConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

func (p *pool) put(c *upConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle {
		_ = c.Close()
		return
	}
	c.since = time.Now()
	p.idle = append(p.idle, c)
}

// drop closes what has not been used for a while.
func (p *pool) drop(unused time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) > unused {
		_ = p.idle[n].Close()
		n++
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle, p.closed = nil, true
}
