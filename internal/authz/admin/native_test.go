package admin_test

import (
	"net/http"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// TestDecisionTimesAreANativeHistogramToo, for a reader that asks for protobuf.
func TestDecisionTimesAreANativeHistogramToo(t *testing.T) {
	w := serve(t, "unix:root")
	w.decide("SystemPing", true, "")
	w.decide("SystemPing", false, "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://vitrine/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	dec := expfmt.NewDecoder(resp.Body, expfmt.ResponseFormat(resp.Header))
	for {
		f := &dto.MetricFamily{}
		if err := dec.Decode(f); err != nil {
			t.Fatal(err)
		}
		if f.GetName() != "vitrine_decision_duration_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 2 || h.GetSchema() < 3 || len(h.GetPositiveDelta()) != 1 || len(h.GetBucket()) < 10 {
			t.Errorf("%s", h)
		}
		return
	}
}
