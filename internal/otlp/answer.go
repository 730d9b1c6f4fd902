package otlp

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// outcome is what came of a request.
type outcome struct {
	refused int           // of the items, by a receiver that took the others
	why     string        // in the receiver's words
	after   time.Duration // of an error: how long to wait at least before the request is sent again; never: it is not
	err     error
}

const (
	answerBytes = 64 << 10          // of an answer that are read, and of what a compressed one becomes
	mostAfter   = 300 * time.Second // that a receiver may have us wait
)

// never is how long to wait before a request that was refused for good is sent again.
const never = -1

func httpAnswer(resp *http.Response, answer []byte) outcome {
	if resp.StatusCode/100 == 2 {
		refused, why := partial(answer)
		return outcome{refused: refused, why: why}
	}
	out := outcome{after: never, err: fmt.Errorf("the receiver answers %s", resp.Status)}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		out.after = retryAfter(resp.Header.Get("Retry-After"))
	}
	return out
}

// retryAfter reads seconds, or a date.
func retryAfter(value string) time.Duration {
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), mostAfter)
	}
	seconds, _ := strconv.ParseUint(value, 10, 64) // 0 for what is no number, the highest for one that is too high
	return time.Duration(min(seconds, uint64(mostAfter/time.Second))) * time.Second
}

// grpcAnswer reads what gRPC's status says: in the trailer, or in the head if there is nothing else.
func grpcAnswer(resp *http.Response, answer []byte) outcome {
	if resp.StatusCode != http.StatusOK {
		return httpAnswer(resp, nil)
	}
	said := resp.Trailer
	if said.Get("Grpc-Status") == "" {
		said = resp.Header
	}
	status, message := said.Get("Grpc-Status"), said.Get("Grpc-Message")
	switch status {
	case "0":
		refused, why := partial(unframed(answer))
		return outcome{refused: refused, why: why}
	case "":
		return outcome{after: never, err: errors.New("the receiver answers without a status of gRPC's: does it speak gRPC there?")}
	}
	if text, err := url.PathUnescape(message); err == nil {
		message = text
	}
	out := outcome{after: never, err: fmt.Errorf("the receiver answers with gRPC's status %s: %s", status, strings.ToValidUTF8(message, "?"))}
	details, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(said.Get("Grpc-Status-Details-Bin"), "="))
	delay, passes := retryInfo(details)
	switch status {
	case "1", "4", "10", "11", "14", "15": // cancelled, too late, aborted, out of range, unavailable, lost
		passes = true
	case "8": // out of something, and for ever if a request is too large for it: all that wait behind that would wait with it
	default:
		passes = false
	}
	if passes {
		out.after = delay
	}
	return out
}

// unframed is the message behind gRPC's head; nil if there is none. A receiver that was sent what is compressed may answer so.
func unframed(answer []byte) []byte {
	if len(answer) < frameHead {
		return nil
	}
	message := answer[frameHead:]
	if answer[0] == 0 {
		return message
	}
	z, err := gzip.NewReader(bytes.NewReader(message))
	if err != nil {
		return nil
	}
	message, _ = io.ReadAll(io.LimitReader(z, answerBytes)) // what could be read
	return message
}

// retryInfo is how long the details of a status of gRPC's (google.rpc.Status) say to wait; false if they say nothing of it.
func retryInfo(status []byte) (after time.Duration, said bool) {
	for rest := field(status, 3, protowire.BytesType); rest != nil; {
		detail, n := protowire.ConsumeBytes(rest)
		if n < 0 {
			return 0, false
		}
		if kind, _ := protowire.ConsumeBytes(field(detail, 1, protowire.BytesType)); bytes.HasSuffix(kind, []byte("/google.rpc.RetryInfo")) {
			info, _ := protowire.ConsumeBytes(field(detail, 2, protowire.BytesType))
			delay, _ := protowire.ConsumeBytes(field(info, 1, protowire.BytesType))
			seconds, n := protowire.ConsumeVarint(field(delay, 1, protowire.VarintType))
			if n < 0 {
				seconds = 0
			}
			return time.Duration(min(seconds, uint64(mostAfter/time.Second))) * time.Second, true
		}
		rest = field(rest[n:], 3, protowire.BytesType)
	}
	return 0, false
}

// partial reads how many items an answer says were refused, and why: the fields of its first field, for each signal.
// An answer that is none of these says nothing.
func partial(answer []byte) (refused int, why string) {
	inner, n := protowire.ConsumeBytes(field(answer, 1, protowire.BytesType))
	if n < 0 {
		return 0, ""
	}
	count, n := protowire.ConsumeVarint(field(inner, 1, protowire.VarintType))
	if n < 0 || count > math.MaxInt32 {
		return 0, ""
	}
	text, _ := protowire.ConsumeBytes(field(inner, 2, protowire.BytesType))
	return int(count), strings.ToValidUTF8(string(text), "?")
}

// field is what follows the tag of the first field with a number and a type; nil if there is none.
func field(b []byte, number protowire.Number, kind protowire.Type) []byte {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		if num == number && typ == kind {
			return b[n:]
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}
