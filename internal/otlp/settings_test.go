package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
)

type keyValue = commonpb.KeyValue

func keyBlock(t *testing.T, c tls.Certificate) *pem.Block {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}

// TestSettings: what is wrong is said, and no secret with it.
func TestSettings(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "https://x:4318"
	for _, tt := range []struct {
		values map[string]string
		want   string // a part of what is said; "" for nothing
	}{
		{map[string]string{}, ""},
		{map[string]string{"otlp_endpoint": url + "/base"}, ""},
		{map[string]string{"otlp_endpoint": "x:4318"}, "is none of http://"},
		{map[string]string{"otlp_endpoint": "http:///v1"}, "is none of http://"},
		{map[string]string{"otlp_endpoint": "unix://run/x.sock"}, "is none of http://"},
		{map[string]string{"otlp_endpoint": "https://u:s3cret@x"}, "otlp_headers"},
		{map[string]string{"otlp_endpoint": "https://x?token=s3cret"}, "otlp_headers"},
		{map[string]string{"otlp_endpoint": "https://s3cret\x7f"}, "is no URL"},
		{map[string]string{"otlp_endpoint": url + "/base", "otlp_protocol": "grpc"}, "has no path"},
		{map[string]string{"otlp_protocol": "http/json"}, "there are http/protobuf and grpc"},
		{map[string]string{"otlp_signals": "metrics,traces"}, "there are metrics and logs"},
		{map[string]string{"otlp_compression": "zstd"}, "there are gzip and none"},
		{map[string]string{"otlp_headers": "authorization s3cret"}, "number 1 is not NAME=VALUE"},
		{map[string]string{"otlp_headers": "a=b,authorization=%s3cret"}, "number 2 is not NAME=VALUE"},
		{map[string]string{"otlp_headers": "authorization=s3cret%0d%0aX: y"}, "the value of authorization"},
		{map[string]string{"otlp_headers": "a b=s3cret"}, "no header can have"},
		{map[string]string{"otlp_headers": "authorization: Bearer s3cret=="}, "no header can have"},
		{map[string]string{"otlp_headers": `{"a":{"b":"s3cret"}}`}, "is no mapping"},
		{map[string]string{"otlp_metrics_interval": "1ms"}, "is no duration"},
		{map[string]string{"otlp_metrics_interval": "10"}, "is no duration"},
		{map[string]string{"otlp_endpoint": url, "otlp_certificate": "/nowhere"}, "no such file"},
		{map[string]string{"otlp_endpoint": url, "otlp_certificate": empty}, "holds no certificate"},
		{map[string]string{"otlp_endpoint": url, "otlp_client_certificate": empty}, "with otlp_client_key"},
		{map[string]string{"otlp_endpoint": "http://x", "otlp_certificate": empty}, "it is not https"},
	} {
		c, got := configure(tt.values)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || strings.Contains(got, "s3cret") {
			t.Errorf("%v: %q, want %q", tt.values, got, tt.want)
		}
		if got == "" && (c.endpoint != nil) != (tt.values["otlp_endpoint"] != "") {
			t.Errorf("%v: %+v", tt.values, c.endpoint)
		}
	}
	c, _ := configure(map[string]string{"otlp_endpoint": "http://x/opentelemetry/", "otlp_metrics_interval": "15000", "otlp_headers": `{"a":"b, c=d"}`})
	if c.interval != 15*time.Second || c.headers["a"] != "b, c=d" || c.target(metrics) != "http://x/opentelemetry/v1/metrics" || !c.Network() {
		t.Errorf("%+v", c)
	}
	c, _ = configure(map[string]string{"otlp_endpoint": "unix:///run/otel.sock", "otlp_protocol": "grpc"})
	if c.Network() || c.target(logs) != "http://localhost/opentelemetry.proto.collector.logs.v1.LogsService/Export" {
		t.Errorf("%+v", c)
	}
}
