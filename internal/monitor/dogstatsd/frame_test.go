package dogstatsd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func frame(packet string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(packet))), packet...)
}

func TestReadFrame(t *testing.T) {
	stream := append(append(frame("a:1|c\nb:2|c"), frame("")...), frame("c:3|c")...)
	r := iotest.OneByteReader(bytes.NewReader(stream))
	var buf []byte
	var err error
	for _, want := range []string{"a:1|c\nb:2|c", "", "c:3|c"} {
		if buf, err = readFrame(r, buf, 64); err != nil || string(buf) != want {
			t.Fatalf("got %q, %v; want %q", buf, err, want)
		}
	}
	if _, err = readFrame(r, buf, 64); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
}

func TestReadFrameTooLongClosed(t *testing.T) {
	_, err := readFrame(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 1}), nil, 8192)
	if _, ok := errors.AsType[*frameError](err); !ok {
		t.Fatalf("got %v", err)
	}
}

func TestReadFrameShortClosed(t *testing.T) {
	for _, n := range []int{1, 3, 4, 6} {
		_, err := readFrame(bytes.NewReader(frame("a:1|c")[:n]), nil, 8192)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(append(frame("a:1|c"), frame("b:2|c")...))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 64
		r := bytes.NewReader(stream)
		var buf []byte
		var again []byte
		for {
			var err error
			if buf, err = readFrame(r, buf, limit); err != nil {
				break
			}
			if len(buf) > limit {
				t.Fatalf("a packet of %d bytes", len(buf))
			}
			again = append(again, frame(string(buf))...)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatal("packets are not what the stream holds")
		}
	})
}
