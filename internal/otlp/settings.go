package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"vitrine/internal/command"
)

// Config is where to send and how, checked. The zero Config sends nothing.
type Config struct {
	endpoint *url.URL // http, https or unix; nil for none
	asked    bool     // there is an endpoint, be it right or wrong
	grpc     bool
	gzip     bool
	sends    [signals]bool
	headers  map[string]string
	interval time.Duration
	resource []*commonpb.KeyValue

	ca, certificate, key string
	tls                  *tls.Config
}

// Options are the settings of both programs. Each has OpenTelemetry's own variable as its second name.
func Options[S any](of func(*S) *Config) []command.Option[S] {
	set := func(f func(c *Config, v string) error) func(*S, []string) error {
		return command.One(func(s *S, v string) error { return f(of(s), v) })
	}
	file := func(field func(*Config) *string) func(*S, []string) error {
		return set(func(c *Config, v string) error { *field(c) = v; return nil })
	}
	return []command.Option[S]{
		{Key: "otlp_endpoint", Also: "OTEL_EXPORTER_OTLP_ENDPOINT", Help: "send OTLP to the receiver at `URL`: http://HOST:4318, https://HOST:4318 or unix:///PATH, with gRPC as a rule port 4317; \"\" for none", Set: set((*Config).setEndpoint)},
		{Key: "otlp_protocol", Also: "OTEL_EXPORTER_OTLP_PROTOCOL", Default: []string{"http/protobuf"}, Help: "`PROTOCOL` of OTLP: http/protobuf or grpc", Set: set((*Config).setProtocol)},
		{Key: "otlp_compression", Also: "OTEL_EXPORTER_OTLP_COMPRESSION", Default: []string{"none"}, Help: "compress what is sent by OTLP: gzip or none", Set: set((*Config).setCompression)},
		{Key: "otlp_signals", Default: []string{"metrics,logs"}, Help: "`LIST` of what is sent by OTLP: metrics, and logs: what authz-plugin has decided, what the monitor has seen happen", Set: set((*Config).setSignals)},
		{Key: "otlp_headers", Also: "OTEL_EXPORTER_OTLP_HEADERS", Help: "`HEADERS` of each OTLP request, such as authorization=Bearer%20TOKEN,x-tenant=a; in the file a mapping, and the place for what is secret", Set: set((*Config).setHeaders)},
		{Key: "otlp_certificate", Also: "OTEL_EXPORTER_OTLP_CERTIFICATE", Help: "`FILE` with the certificates that the OTLP receiver's is checked against; \"\" for the system's", Set: file(func(c *Config) *string { return &c.ca })},
		{Key: "otlp_client_certificate", Also: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", Help: "`FILE` with our certificate for the OTLP receiver; \"\" for none", Set: file(func(c *Config) *string { return &c.certificate })},
		{Key: "otlp_client_key", Also: "OTEL_EXPORTER_OTLP_CLIENT_KEY", Help: "`FILE` with the key of otlp_client_certificate", Set: file(func(c *Config) *string { return &c.key })},
		{Key: "otlp_metrics_interval", Also: "OTEL_METRIC_EXPORT_INTERVAL", Default: []string{"60s"}, Help: "send metrics by OTLP every `DURATION`, 1s to 1h; a plain number is milliseconds", Set: set((*Config).setInterval)},
		{Key: "otlp_resource", Also: "OTEL_RESOURCE_ATTRIBUTES", Help: "`ATTRIBUTES` of the resource in OTLP, such as host.name=web-1,deployment.environment.name=prod; in the file a mapping", Set: set((*Config).setResource)},
	}
}

// Network says that the receiver is reached over the network.
func (c *Config) Network() bool { return c.endpoint != nil && c.endpoint.Scheme != "unix" }

// Meant leaves out what is wrong of OpenTelemetry's own variables where nothing is sent: other programs' may be in the same
// environment, and can do what we cannot (http/json).
func (c *Config) Meant(wrong command.SettingErrors) command.SettingErrors {
	if c.asked {
		return wrong
	}
	return slices.DeleteFunc(wrong, func(e command.SettingError) bool {
		return strings.HasPrefix(e.Where, "OTEL_")
	})
}

// Check finds what is wrong between settings that are right by themselves, and reads the certificates.
func (c *Config) Check() command.SettingErrors {
	switch {
	case c.endpoint == nil:
		return nil
	case c.grpc && c.Network() && strings.Trim(c.endpoint.Path, "/") != "":
		return command.SettingErrors{{Where: "otlp_endpoint", Err: fmt.Errorf("with gRPC it has no path (%s)", c.endpoint.Path)}}
	case c.endpoint.Scheme != "https" && c.ca+c.certificate+c.key != "":
		return command.SettingErrors{{Where: "otlp_endpoint", Err: errors.New("there are certificates, but it is not https")}}
	case c.endpoint.Scheme != "https":
		return nil
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return command.SettingErrors{{Where: "otlp_certificate", Err: err}}
		}
		if c.tls.RootCAs = x509.NewCertPool(); !c.tls.RootCAs.AppendCertsFromPEM(pem) {
			return command.SettingErrors{{Where: "otlp_certificate", Err: fmt.Errorf("%s holds no certificate in PEM", c.ca)}}
		}
	}
	if c.certificate+c.key != "" {
		pair, err := tls.LoadX509KeyPair(c.certificate, c.key)
		if err != nil {
			return command.SettingErrors{{Where: "otlp_client_certificate", Err: fmt.Errorf("with otlp_client_key: %w", err)}}
		}
		c.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

func (c *Config) setEndpoint(v string) error {
	if v == "" {
		return nil
	}
	c.asked = true
	u, err := url.Parse(v)
	if err != nil {
		return errors.New("is no URL such as http://127.0.0.1:4318")
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("has more than a host and a path; who we are goes into otlp_headers")
	case u.Scheme == "unix" && u.Host == "" && filepath.IsAbs(u.Path):
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	default:
		return fmt.Errorf("%q is none of http://HOST:PORT, https://HOST:PORT and unix:///PATH", v)
	}
	c.endpoint = u
	return nil
}

func (c *Config) setProtocol(v string) error {
	switch v {
	case "grpc", "http/protobuf":
		c.grpc = v == "grpc"
		return nil
	}
	return fmt.Errorf("%q is no protocol of ours; there are http/protobuf and grpc", v)
}

func (c *Config) setCompression(v string) error {
	switch v {
	case "gzip", "none":
		c.gzip = v == "gzip"
		return nil
	}
	return fmt.Errorf("%q is no compression of ours; there are gzip and none", v)
}

func (c *Config) setSignals(v string) error {
	c.sends = [signals]bool{}
	for name := range strings.SplitSeq(v, ",") {
		switch strings.TrimSpace(name) {
		case metrics.String():
			c.sends[metrics] = true
		case logs.String():
			c.sends[logs] = true
		default:
			return fmt.Errorf("%q is no signal; there are metrics and logs", name)
		}
	}
	return nil
}

func (c *Config) setInterval(v string) error {
	if _, err := strconv.Atoi(v); err == nil {
		v += "ms"
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d > time.Hour {
		return fmt.Errorf("%q is no duration from 1s to 1h", v)
	}
	c.interval = d
	return nil
}

// setHeaders says nothing of what it was given: there are secrets in it.
func (c *Config) setHeaders(v string) error {
	pairs, err := pairsOf(v)
	if err != nil {
		return err
	}
	for name, value := range pairs {
		if strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
		}) {
			return errors.New("has a name that no header can have; write NAME=VALUE,NAME=VALUE") // which may be a token with "=" at its end
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("the value of %s has characters that no header can have", name)
		}
	}
	c.headers = pairs
	return nil
}

// withoutSecrets is a text of the receiver's without what the headers told it: it may repeat a token that it does not know.
func (c *Config) withoutSecrets(text string) string {
	const least = 6 // of a word that tells anything
	for name, value := range c.headers {
		for _, secret := range append([]string{value}, strings.Fields(value)...) {
			if len(secret) >= least {
				text = strings.ReplaceAll(text, secret, "["+name+"]")
			}
		}
	}
	return text
}

func (c *Config) setResource(v string) error {
	pairs, err := pairsOf(v)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		c.resource = append(c.resource, Text(name, pairs[name]))
	}
	return nil
}

// pairsOf reads name=value,name=value with percent signs, as OpenTelemetry has it, or an object of JSON, which a
// mapping of the YAML file has become.
func pairsOf(v string) (map[string]string, error) {
	pairs := map[string]string{}
	if strings.HasPrefix(v, "{") {
		if err := json.Unmarshal([]byte(v), &pairs); err != nil {
			return nil, errors.New("is no mapping of names to texts")
		}
		return pairs, nil
	}
	for i, pair := range strings.Split(v, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil || !utf8.ValidString(value) {
			return nil, fmt.Errorf("number %d is not NAME=VALUE, with %%20 for a space and %%2C for a comma", i+1)
		}
		pairs[name] = value
	}
	return pairs, nil
}
