package ticket

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestTicketIsGoodForOneTake(t *testing.T) {
	s := NewStore()
	h := s.Issue(Entry{Method: "GET", URI: "/_ping", Caller: "uid:1000"})
	if len(h) != 32 {
		t.Fatalf("ticket %q is not 128 bits in hexadecimal", h)
	}
	e, ok := s.Take(h)
	if !ok || e.URI != "/_ping" || e.Caller != "uid:1000" {
		t.Fatalf("Take = %+v, %v", e, ok)
	}
	if _, ok := s.Take(h); ok {
		t.Error("a used ticket was taken again")
	}
	if s.Drop(h) {
		t.Error("a used ticket was reported as unspent")
	}
	if s.Len() != 0 {
		t.Errorf("%d tickets left", s.Len())
	}
	if s.Issue(Entry{}); s.Len() != 1 {
		t.Errorf("%d tickets, want the new one", s.Len())
	}
}

func TestDropTellsThatNobodyAsked(t *testing.T) {
	s := NewStore()
	h := s.Issue(Entry{})
	if !s.Drop(h) {
		t.Error("an unspent ticket was reported as spent")
	}
	if _, ok := s.Take(h); ok {
		t.Error("a dropped ticket was taken")
	}
}

func TestAbandonedTicketIsKnownOnce(t *testing.T) {
	s := NewStore()
	h := s.Issue(Entry{})
	s.Abandon(h)
	if _, ok := s.Take(h); ok {
		t.Error("an abandoned ticket was taken")
	}
	if !s.Abandoned(h) || s.Abandoned(h) {
		t.Error("an abandoned ticket must be known once")
	}
	spent := s.Issue(Entry{})
	s.Take(spent)
	s.Abandon(spent)
	for _, h := range []string{spent, strings.Repeat("0", 32), "", s.Issue(Entry{})} {
		if s.Abandoned(h) {
			t.Errorf("%q was never abandoned", h)
		}
	}
	for range 3 * len(s.gone) {
		s.Abandon(s.Issue(Entry{}))
	}
	if s.Len() != 1 {
		t.Errorf("%d tickets left", s.Len())
	}
}

func TestUnknownTicketClosed(t *testing.T) {
	s := NewStore()
	h := s.Issue(Entry{})
	for h == strings.ToUpper(h) { // has no letter
		s.Drop(h)
		h = s.Issue(Entry{})
	}
	for name, header := range map[string]string{
		"empty":      "",
		"short":      h[:30],
		"long":       h + "00",
		"upper case": strings.ToUpper(h),
		"not hex":    strings.Repeat("zz", 16),
		"unknown":    strings.Repeat("00", 16),
		"spaced":     " " + h[1:],
		"two values": h + ", " + h,
	} {
		if _, ok := s.Take(header); ok {
			t.Errorf("%s: %q was taken", name, header)
		}
		if s.Abandon(header); s.Abandoned(header) {
			t.Errorf("%s: %q was abandoned", name, header)
		}
	}
	if s.Len() != 1 {
		t.Error("a wrong ticket removed the right one")
	}
}

func TestConcurrentTakeHasOneWinner(t *testing.T) {
	s := NewStore()
	for range 200 {
		h := s.Issue(Entry{})
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, ok := s.Take(h); ok {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d callers took one ticket", won.Load())
		}
	}
}

func TestTicketsDiffer(t *testing.T) {
	s := NewStore()
	seen := map[string]bool{}
	for range 1000 {
		h := s.Issue(Entry{})
		if seen[h] {
			t.Fatalf("ticket %s issued twice", h)
		}
		seen[h] = true
	}
}

func TestCheck(t *testing.T) {
	body := []byte(`{"Image":"bb"}`)
	mebibyte := bytes.Repeat([]byte{' '}, maxShown)
	post := func(b Body) Entry { return Entry{Method: "POST", URI: "/containers/create", Body: b} }
	for _, tc := range []struct {
		name        string
		entry       Entry
		method, uri string
		shown       []byte
		ok          bool
	}{
		{"the same without a body", post(Body{}), "POST", "/containers/create", nil, true},
		{"the same with a body", post(JSON(body, false)), "POST", "/containers/create", body, true},
		{"a stream that is not shown", post(Opaque()), "POST", "/containers/create", nil, true},
		{"a password that is not shown", post(JSON(body, true)), "POST", "/containers/create", nil, true},
		{"a password that is shown", post(JSON(body, true)), "POST", "/containers/create", body, true},
		{"too big to be shown", post(JSON(mebibyte, false)), "POST", "/containers/create", nil, true},
		{"big, and shown", post(JSON(mebibyte, false)), "POST", "/containers/create", mebibyte, true},

		{"closed: other method", post(Body{}), "GET", "/containers/create", nil, false},
		{"closed: method in lower case", post(Body{}), "post", "/containers/create", nil, false},
		{"closed: other URI", post(Body{}), "POST", "/containers/create?name=x", nil, false},
		{"closed: same URI otherwise encoded", post(Body{}), "POST", "/%63ontainers/create", nil, false},
		{"closed: body not shown, as in dockerd's retry", post(JSON(body, false)), "POST", "/containers/create", nil, false},
		{"closed: just below the limit, not shown", post(JSON(mebibyte[1:], false)), "POST", "/containers/create", nil, false},
		{"closed: body where none was forwarded", post(Body{}), "POST", "/containers/create", body, false},
		{"closed: body where a stream was forwarded", post(Opaque()), "POST", "/containers/create", body, false},
		{"closed: other body of the same length", post(JSON(body, false)), "POST", "/containers/create", []byte(`{"Image":"xx"}`), false},
		{"closed: longer body", post(JSON(body, false)), "POST", "/containers/create", append(slices.Clip(body), ' '), false},
		{"closed: other password", post(JSON(body, true)), "POST", "/containers/create", []byte(`{"Image":"xx"}`), false},
		{"closed: empty request", post(Body{}), "", "", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.entry.Check(tc.method, tc.uri, tc.shown); (err == nil) != tc.ok {
				t.Errorf("Check = %v", err)
			}
		})
	}
}

// TestCheckSaysWhatDiffers, and not a word of what is in it.
func TestCheckSaysWhatDiffers(t *testing.T) {
	body := []byte(`{"Secret":"x"}`)
	for want, tc := range map[string]struct {
		forwarded Body
		shown     []byte
	}{
		"body differs: the gateway forwarded 14 bytes, dockerd shows none":                    {JSON(body, false), nil},
		"body differs: the gateway forwarded a stream that is not JSON, dockerd shows a body": {Opaque(), body},
		"body differs: the gateway forwarded 0 bytes, dockerd shows 14":                       {Body{}, body},
	} {
		e := Entry{Method: "POST", URI: "/x", Body: tc.forwarded}
		if err := e.Check("POST", "/x", tc.shown); err == nil || err.Error() != want {
			t.Errorf("it says %v, want %s", err, want)
		}
	}
}

func BenchmarkIssueTakeDrop(b *testing.B) {
	s := NewStore()
	b.ReportAllocs()
	for b.Loop() {
		h := s.Issue(Entry{Method: "GET", URI: "/_ping"})
		s.Take(h)
		s.Drop(h)
	}
}
