package otlp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// paths are where each signal goes: below the endpoint of HTTP, and gRPC's methods.
var (
	paths   = [...]string{metrics: "/v1/metrics", logs: "/v1/logs"}
	methods = [...]string{
		metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
		logs:    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
	}
)

// answerTime is how long a receiver may take for one request.
const answerTime = 10 * time.Second

// client connects to the endpoint, and to nothing else.
func (c *Config) client() *http.Client {
	dialer := &net.Dialer{Timeout: answerTime}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: answerTime, // they go on when the request has ended: http.Client's bound is none of theirs
		TLSClientConfig: c.tls, MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Minute,
		MaxResponseHeaderBytes: 64 << 10, Protocols: &http.Protocols{},
	}
	t.Protocols.SetHTTP1(!c.grpc)
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(c.grpc)
	if c.endpoint.Scheme == "unix" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", c.endpoint.Path)
		}
	}
	return &http.Client{
		Transport: t, Timeout: answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// target is the URL of a signal.
func (c *Config) target(s signal) string {
	u := *c.endpoint
	if u.Scheme == "unix" {
		u = url.URL{Scheme: "http", Host: "localhost"}
	}
	if c.grpc {
		return u.Scheme + "://" + u.Host + methods[s]
	}
	return u.JoinPath(paths[s]).String()
}

// never is how long to wait before a request that was refused for good is sent again.
const never = -1

// frameHead is what gRPC has before a message: that it is not compressed, and its length.
const frameHead = 5

// try sends a request once. It returns how many items the receiver refused, and of an error how
// long to wait at least before the next try.
func (e *Exporter) try(ctx context.Context, s signal, body []byte) (refused int, after time.Duration, err error) {
	kind := "application/x-protobuf"
	if e.cfg.grpc {
		kind = "application/grpc"
		body = append(binary.BigEndian.AppendUint32(make([]byte, 1, frameHead+len(body)), uint32(len(body))), body...) //nolint:gosec // requests are bounded
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.target(s), bytes.NewReader(body))
	if err != nil {
		return 0, never, err
	}
	for name, value := range e.cfg.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", e.scope.GetName()+"/"+e.scope.GetVersion())
	if e.cfg.grpc {
		req.Header.Set("TE", "trailers")
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	const most = 64 << 10
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return 0, 0, fmt.Errorf("read the answer: %w", err)
	}
	if e.cfg.grpc {
		return grpcAnswer(resp, answer)
	}
	return httpAnswer(resp, answer)
}

func httpAnswer(resp *http.Response, answer []byte) (refused int, after time.Duration, err error) {
	if resp.StatusCode/100 == 2 {
		return partial(answer), 0, nil
	}
	err = fmt.Errorf("the receiver answers %s", resp.Status)
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		const longest = 300 // seconds
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return 0, time.Duration(max(0, min(seconds, longest))) * time.Second, err
	}
	return 0, never, err
}

// grpcAnswer reads what gRPC's status says: in the trailer, or in the head if there is nothing else.
func grpcAnswer(resp *http.Response, answer []byte) (refused int, after time.Duration, err error) {
	if resp.StatusCode != http.StatusOK {
		return httpAnswer(resp, nil)
	}
	status, message := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if status == "" {
		status, message = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	if status == "0" {
		return partial(answer[min(len(answer), frameHead):]), 0, nil
	}
	if text, err := url.PathUnescape(message); err == nil {
		message = text
	}
	err = fmt.Errorf("the receiver answers with gRPC's status %s: %s", status, strings.ToValidUTF8(message, "?"))
	switch status {
	case "1", "4", "10", "11", "14", "15": // cancelled, too late, aborted, out of range, unavailable, lost
		return 0, 0, err
	case "8": // out of something, and for ever if a request is too large for it: all that wait behind that would wait with it
		details, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(cmp.Or(resp.Trailer.Get(statusDetails), resp.Header.Get(statusDetails)), "="))
		if bytes.Contains(details, []byte("google.rpc.RetryInfo")) {
			return 0, 0, err
		}
	}
	return 0, never, err
}

// statusDetails is where gRPC says more of a status: that it passes, for one.
const statusDetails = "Grpc-Status-Details-Bin"

// partial reads how many items an answer says were refused: the first field of its first field, for each signal.
// An answer that is none of these says nothing.
func partial(answer []byte) int {
	inner, n := protowire.ConsumeBytes(field(answer, 1, protowire.BytesType))
	if n < 0 {
		return 0
	}
	count, n := protowire.ConsumeVarint(field(inner, 1, protowire.VarintType))
	if n < 0 || count > math.MaxInt32 {
		return 0
	}
	return int(count)
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
