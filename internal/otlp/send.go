package otlp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
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

// frameHead is how long what gRPC has before a message is: whether it is compressed, and its length.
const frameHead = 5

// framed is a message as it goes over the wire: compressed if the settings say so, and for gRPC behind a head.
func (e *Exporter) framed(s signal, message []byte) []byte {
	if !e.cfg.grpc && !e.cfg.gzip {
		return message
	}
	var out bytes.Buffer
	if e.cfg.grpc {
		out.Write(make([]byte, frameHead))
	}
	if e.cfg.gzip {
		z := e.zips[s]
		z.Reset(&out)
		_, _ = z.Write(message) // a buffer takes all
		_ = z.Close()
	} else {
		out.Write(message)
	}
	b := out.Bytes()
	if e.cfg.grpc {
		if e.cfg.gzip {
			b[0] = 1
		}
		binary.BigEndian.PutUint32(b[1:], uint32(len(b)-frameHead)) //nolint:gosec // requests are bounded
	}
	return b
}

// try sends a request once.
func (e *Exporter) try(ctx context.Context, s signal, body []byte) outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.target(s), bytes.NewReader(body))
	if err != nil {
		return outcome{after: never, err: err}
	}
	for name, value := range e.cfg.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", e.scope.GetName()+"/"+e.scope.GetVersion())
	compressed := "Content-Encoding"
	if e.cfg.grpc {
		compressed = "Grpc-Encoding"
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("TE", "trailers")
	} else {
		req.Header.Set("Content-Type", "application/x-protobuf")
	}
	if e.cfg.gzip {
		req.Header.Set(compressed, "gzip")
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if err != nil {
		return outcome{err: fmt.Errorf("read the answer: %w", err)}
	}
	if e.cfg.grpc {
		return grpcAnswer(resp, answer)
	}
	return httpAnswer(resp, answer)
}
