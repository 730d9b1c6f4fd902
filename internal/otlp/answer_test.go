package otlp

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestRefusedIsLost, once, and is not sent again; of an answer that refuses a part, that part.
func TestRefusedIsLost(t *testing.T) {
	part := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
	part = appendField(appendField(nil, 2, []byte("?")), 1, append(part, appendField(nil, 2, []byte("too old"))...))
	for name, tt := range map[string]struct {
		protocol string
		answer   func(w http.ResponseWriter)
		lost     uint64
	}{
		"HTTP, bad request":       {"http/protobuf", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) }, 3},
		"HTTP, not authenticated": {"http/protobuf", func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }, 3},
		"HTTP, a part":            {"http/protobuf", func(w http.ResponseWriter) { _, _ = w.Write(part) }, 2},
		"HTTP, nonsense":          {"http/protobuf", func(w http.ResponseWriter) { _, _ = w.Write([]byte("\x0a\xff\xff")) }, 0},
		"gRPC, invalid argument":  {"grpc", func(w http.ResponseWriter) { w.Header().Set("Grpc-Status", "3") }, 3},
		"gRPC, too large":         {"grpc", func(w http.ResponseWriter) { w.Header().Set("Grpc-Status", "8") }, 3},
		"gRPC, no status":         {"grpc", func(http.ResponseWriter) {}, 3},
		"gRPC, a part": {"grpc", func(w http.ResponseWriter) {
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write(append([]byte{0, 0, 0, 0, byte(len(part))}, part...))
			w.Header().Set("Grpc-Status", "0")
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, func(s *httptest.Server) { s.Start() })
			r.answer = func(w http.ResponseWriter, _ int) bool { tt.answer(w); return true }
			e, stop := running(t, configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_protocol": tt.protocol}), none)
			for range 3 {
				e.Log("a", record("x"))
			}
			stop()
			if len(r.paths) != 1 || e.lost[logs].Load() != tt.lost || e.sent[logs].Load() != 3-tt.lost {
				t.Errorf("%d requests, %d lost, %d sent", len(r.paths), e.lost[logs].Load(), e.sent[logs].Load())
			}
		})
	}
}

// TestReceiverFillsNoLogClosed: it may say much, and again and again.
func TestReceiverFillsNoLogClosed(t *testing.T) {
	var said bytes.Buffer
	e := New(configured(t, map[string]string{"otlp_endpoint": "http://x"}), "test", slog.New(slog.NewTextHandler(&said, nil)))
	e.warn(logs, httpAnswer(&http.Response{StatusCode: http.StatusBadRequest, Status: "400 " + strings.Repeat("\xff no", 10_000)}, nil).err)
	if said.Len() > 2000 || !strings.Contains(said.String(), "the receiver answers 400") {
		t.Errorf("%d bytes: %.300s", said.Len(), &said)
	}
}

// status is gRPC's, of a code, with a detail that says how many seconds to wait; negative ones say nothing of it.
func status(code string, seconds int64, encoding *base64.Encoding) *http.Response {
	details := appendField([]byte("\x08\x08\x12\x04full"), 3, appendField(nil, 1, []byte("type.googleapis.com/google.rpc.Help")))
	if seconds >= 0 {
		delay := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(seconds))
		details = appendField(details, 3, appendField(appendField(nil, 1, []byte("type.googleapis.com/google.rpc.RetryInfo")), 2, appendField(nil, 1, delay)))
	}
	return &http.Response{StatusCode: http.StatusOK, Trailer: http.Header{"Grpc-Status": {code}, "Grpc-Status-Details-Bin": {encoding.EncodeToString(details)}}}
}

// TestReceiverSaysWhenToComeAgain: what passes is told from a request that is too large for ever, and nobody has us wait for more than five minutes.
func TestReceiverSaysWhenToComeAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		out  outcome
		want time.Duration
	}{
		"gRPC, full":               {grpcAnswer(status("8", 0, base64.StdEncoding), nil), 0},
		"gRPC, full for a while":   {grpcAnswer(status("8", 7, base64.RawStdEncoding), nil), 7 * time.Second},
		"gRPC, full for ever":      {grpcAnswer(status("8", -1, base64.StdEncoding), nil), never},
		"gRPC, not there":          {grpcAnswer(status("14", -1, base64.StdEncoding), nil), 0},
		"gRPC, back in a while":    {grpcAnswer(status("14", 9, base64.StdEncoding), nil), 9 * time.Second},
		"gRPC, back in 1000 years": {grpcAnswer(status("14", 1000*365*86400, base64.StdEncoding), nil), mostAfter},
		"gRPC, not permitted":      {grpcAnswer(status("7", 7, base64.StdEncoding), nil), never},
		"HTTP, seconds":            {httpAnswer(retry("12"), nil), 12 * time.Second},
		"HTTP, too many":           {httpAnswer(retry("99999999999999999999999"), nil), mostAfter},
		"HTTP, nonsense":           {httpAnswer(retry("soon"), nil), 0},
		"HTTP, a date in the past": {httpAnswer(retry("Fri, 27 Nov 2020 10:00:00 GMT"), nil), 0},
		"HTTP, a date far ahead":   {httpAnswer(retry("Fri, 27 Nov 2099 10:00:00 GMT"), nil), mostAfter},
		"HTTP, nothing":            {httpAnswer(retry(""), nil), 0},
		"HTTP, seconds of a no":    {httpAnswer(&http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Retry-After": {"1"}}}, nil), never},
	} {
		if tt.out.err == nil || tt.out.after != tt.want {
			t.Errorf("%s: %+v, want %s", name, tt.out, tt.want)
		}
	}
}

func retry(after string) *http.Response {
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {after}}}
}

// TestReceiverIsNotAskedBeforeItsTime, and then it has what it did not take.
func TestReceiverIsNotAskedBeforeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, e := inBubble(t, map[string]string{}, quiet)
		began := time.Now()
		var again time.Duration
		r.answer = func(w http.ResponseWriter, n int) bool {
			if n > 1 {
				again = time.Since(began)
				return false
			}
			w.Header().Set("Retry-After", "40")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		stop := run(t, e, none)
		e.Log("a", record("x"))
		time.Sleep(time.Minute)
		stop()
		if again < 40*time.Second || again > 45*time.Second || e.sent[logs].Load() != 1 {
			t.Errorf("it was asked again after %s, and has %d records", again, e.sent[logs].Load())
		}
	})
}

// TestLyingReceiverCostsLittleClosed: an answer that never ends, one that is small and becomes large, and heads that say what is not so.
func TestLyingReceiverCostsLittleClosed(t *testing.T) {
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	_, _ = z.Write(make([]byte, 16<<20))
	_ = z.Close()
	endless := func(w http.ResponseWriter) {
		for range 1 << 14 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil { // a gigabyte, if it is read
				return
			}
		}
	}
	for name, tt := range map[string]struct {
		protocol string
		answer   func(w http.ResponseWriter)
		lost     uint64
	}{
		"HTTP, without end": {"http/protobuf", endless, 0},
		"HTTP, a bomb": {"http/protobuf", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, 0},
		"gRPC, without end": {"grpc", endless, 1},
		"gRPC, a bomb": {"grpc", func(w http.ResponseWriter) {
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write(append([]byte{1, 0, 0, 0, 0}, bomb.Bytes()...))
			w.Header().Set("Grpc-Status", "0")
		}, 0},
		"gRPC, no gzip": {"grpc", func(w http.ResponseWriter) {
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write([]byte{1, 255, 255, 255, 255, 0})
			w.Header().Set("Grpc-Status", "0")
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, func(s *httptest.Server) { s.Start() })
			r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				tt.answer(w)
			})
			e := New(configured(t, map[string]string{"otlp_endpoint": r.URL, "otlp_protocol": tt.protocol, "otlp_compression": "gzip"}), "test", quiet)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			e.deliver(t.Context(), logs, []byte("x"), 1)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 12<<20 { // the receiver's part too
				t.Errorf("it cost %d bytes", allocated)
			}
			if e.lost[logs].Load() != tt.lost || e.sent[logs].Load() != 1-tt.lost {
				t.Errorf("%d lost, %d sent", e.lost[logs].Load(), e.sent[logs].Load())
			}
			e.client.CloseIdleConnections()
		})
	}
}

// TestNoTokenInTheLogClosed: a receiver that does not know it may say which one that was.
func TestNoTokenInTheLogClosed(t *testing.T) {
	for name, answer := range map[string]outcome{
		"a status of HTTP": httpAnswer(&http.Response{StatusCode: http.StatusUnauthorized, Status: "401 no such token: s3cret-t0ken"}, nil),
		"a status of gRPC": grpcAnswer(&http.Response{StatusCode: http.StatusOK, Header: http.Header{"Grpc-Status": {"16"}, "Grpc-Message": {"Bearer%20s3cret-t0ken"}}}, nil),
		"a refused part":   {err: errors.New("the receiver refused a part: not of s3cret-t0ken, and not of tenant-of-x")},
	} {
		var said bytes.Buffer
		e := New(configured(t, map[string]string{"otlp_endpoint": "http://x", "otlp_headers": "authorization=Bearer%20s3cret-t0ken,x-tenant=tenant-of-x"}), "test", slog.New(slog.NewTextHandler(&said, nil)))
		e.lose(logs, 1, answer.err.Error())
		if strings.Contains(said.String(), "s3cret") || strings.Contains(said.String(), "tenant-of-x") || !strings.Contains(said.String(), "[authorization]") {
			t.Errorf("%s: %s", name, &said)
		}
	}
}
