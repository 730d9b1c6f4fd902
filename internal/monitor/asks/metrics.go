package asks

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// metricsMost bounds what is passed on; authz-plugin's own are some 100 KiB.
const metricsMost = 8 << 20

// Metrics are authz-plugin's own, in Prometheus's text format, as its admin socket tells them now. The question is ours: nothing
// of whoever wants them reaches the socket. The error says why there are none and what to do.
func (r *Reader) Metrics(ctx context.Context) ([]byte, error) {
	if r.socket == "" {
		return nil, fmt.Errorf("%s: %s", r.why, r.hint)
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	client := r.client()
	defer client.CloseIdleConnections()
	text, err := r.read(ctx, client)
	if err != nil {
		why, hint := r.explain(err)
		return nil, fmt.Errorf("%s: %s", why, hint)
	}
	return text, nil
}

func (r *Reader) read(ctx context.Context, client *http.Client) ([]byte, error) {
	resp, err := r.get(ctx, client, "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, metricsMost+1))
	if err == nil && len(text) > metricsMost {
		err = fmt.Errorf("its metrics are longer than %d bytes", metricsMost)
	}
	return text, err
}
