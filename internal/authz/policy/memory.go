package policy

import "sync"

const (
	// memoryBytes bounds what one of the two halves of a memory holds, roughly.
	memoryBytes = 2 << 20
	// maxKey is the longest key worth remembering, in bytes: a request with more
	// to it than that is seldom sent twice.
	maxKey = 16 << 10
	// entryBytes is about what an entry costs beside its key and strings.
	entryBytes = 320
)

// memory keeps decisions by key. It has two halves: when the young one is full
// it becomes the old one, and the old one is forgotten; what is still asked for
// moves over. Callers can fill it with what they send, but not beyond its bound.
type memory struct {
	mu         sync.RWMutex
	young, old map[string]Decision
	size       int // of young
	limit      int
	buffers    sync.Pool
}

func newMemory() *memory {
	return &memory{
		young:   map[string]Decision{},
		limit:   memoryBytes,
		buffers: sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }},
	}
}

// buffer is scratch space for a key.
func (m *memory) buffer() *[]byte { return m.buffers.Get().(*[]byte) }

func (m *memory) release(b *[]byte) {
	if cap(*b) <= maxKey {
		m.buffers.Put(b)
	}
}

func (m *memory) get(key []byte) (Decision, bool) {
	m.mu.RLock()
	d, ok := m.young[string(key)]
	aged := false
	if !ok {
		d, aged = m.old[string(key)]
	}
	m.mu.RUnlock()
	if aged {
		m.put(key, d)
	}
	return d, ok || aged
}

func (m *memory) put(key []byte, d Decision) {
	if len(key) > maxKey {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.young[string(key)]; known {
		return
	}
	m.young[string(key)] = d
	m.size += len(key) + weight(d)
	if m.size > m.limit {
		m.young, m.old, m.size = map[string]Decision{}, m.young, 0
	}
}

// weight is about what a decision costs, in bytes.
func weight(d Decision) int {
	n := entryBytes
	for _, list := range [][]string{d.Reasons, d.Redact, d.KeepEnv, d.ImageNames} {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	for _, labels := range []map[string]string{d.Where, d.Stamp} {
		for k, v := range labels {
			n += 64 + len(k) + len(v)
		}
	}
	for k, names := range d.Shared {
		n += 64 + len(k)
		for _, name := range names {
			n += 16 + len(name)
		}
	}
	return n
}
