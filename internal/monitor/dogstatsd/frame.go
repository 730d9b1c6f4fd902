package dogstatsd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// frameError says that a stream cannot be read on: where its next packet begins
// is not known.
type frameError struct{ size uint32 }

func (e *frameError) Error() string { return fmt.Sprintf("a packet of %d bytes is too long", e.size) }

// readFrame reads one packet of a stream: its length as uint32, little endian,
// and its bytes. It uses buf if that is long enough, else one of the limit's
// size. The error is [io.EOF] between packets, and
// [io.ErrUnexpectedEOF] within one.
func readFrame(r io.Reader, buf []byte, limit int) ([]byte, error) {
	const head = 4
	if cap(buf) < head {
		buf = make([]byte, 512)
	}
	if _, err := io.ReadFull(r, buf[:head]); err != nil { // not an array here: it would escape
		return buf, err
	}
	size := binary.LittleEndian.Uint32(buf[:head])
	if int64(size) > int64(limit) {
		return buf, &frameError{size}
	}
	if int(size) > cap(buf) {
		buf = make([]byte, limit)
	}
	buf = buf[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return buf[:0], err
	}
	return buf, nil
}
