package dogstatsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/test/wait"
)

func (s *stage) answers() {
	s.Helper()
	s.must(wait.NoError(patience, func() error { _, err := s.fetch(); return err }))
}

// page is what Prometheus would see.
type page string

func (s *stage) fetch() (page, error) {
	ctx, cancel := context.WithTimeout(s.Context(), wait.Patience(10*time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9780/metrics", nil)
	if err != nil {
		return "", err
	}
	if s.reader != "" {
		req.Header.Set("User-Agent", s.reader)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return page(b), err
}

func (s *stage) page() page {
	s.Helper()
	p, err := s.fetch()
	s.must(err)
	return p
}

// series are those of a metric that have all these labels, as "{labels} value".
func (p page) series(metric string, labels ...string) []string {
	var out []string
	for line := range strings.Lines(string(p)) {
		rest, ok := strings.CutPrefix(line, metric)
		if !ok || !strings.ContainsAny(rest[:1], " {") ||
			slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, "{"+l) && !strings.Contains(rest, ","+l) }) {
			continue
		}
		out = append(out, strings.TrimSpace(rest))
	}
	return out
}

// sum is that of the values of such series.
func (p page) sum(metric string, labels ...string) (sum float64) {
	for _, series := range p.series(metric, labels...) {
		sum += value(series)
	}
	return sum
}

func value(series string) float64 {
	v, err := strconv.ParseFloat(series[strings.LastIndexByte(series, ' ')+1:], 64)
	if err != nil {
		panic(err) // not a page of Prometheus
	}
	return v
}

// want is what a page is to say.
type want struct {
	low, high float64
	metric    string
	labels    []string
}

// is wants a sum of series.
func is(sum float64, metric string, labels ...string) want { return want{sum, sum, metric, labels} }

// near wants one within a hundredth.
func near(sum float64, metric string, labels ...string) want {
	return want{sum * .99, sum * 1.01, metric, labels}
}

func (w want) on(p page) error {
	if got := p.sum(w.metric, w.labels...); got < w.low || got > w.high {
		shown := p.series(w.metric)
		return fmt.Errorf("%s%s is %v, not %v:\n%s", w.metric, w.labels, got, w.low, strings.Join(shown[:min(len(shown), 30)], "\n"))
	}
	return nil
}

// expect waits for a page on which all this is true at once, and returns it. If
// none comes, it shows what was missing on the best.
func (s *stage) expect(wants ...want) page {
	s.Helper()
	var p page
	missing := make([]error, len(wants)+1)
	if err := wait.NoError(patience, func() error {
		var err error
		if p, err = s.fetch(); err != nil {
			return err
		}
		var errs []error
		for _, w := range wants {
			if err := w.on(p); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) < len(missing) {
			missing = errs
		}
		return errors.Join(errs...)
	}); err != nil {
		s.Fatalf("%v\nat best: %v", err, errors.Join(missing...))
	}
	return p
}

// see waits until each of this was true on some page: for what is of an interval.
func (s *stage) see(wants ...want) {
	s.Helper()
	s.must(wait.NoError(patience, func() error {
		p, err := s.fetch()
		if err != nil {
			return err
		}
		var errs []error
		wants = slices.DeleteFunc(wants, func(w want) bool {
			err := w.on(p)
			errs = append(errs, err)
			return err == nil
		})
		return errors.Join(errs...)
	}))
}

var nameLabel = regexp.MustCompile(`[{,]container_name="([^"]*)"`)

// named are the container names on a metric's series, with their sums; "" is nobody's.
func (p page) named(metric string) map[string]float64 {
	out := map[string]float64{}
	for _, series := range p.series(metric) {
		name := ""
		if m := nameLabel.FindStringSubmatch(series); m != nil {
			name = m[1]
		}
		out[name] += value(series)
	}
	return out
}

// itselfOrNobody expects that all of a metric came, and that it is a container's, or nobody's.
func (s *stage) itselfOrNobody(total float64, metric, container string) (own float64) {
	s.Helper()
	named := s.expect(is(total, metric)).named(metric)
	own = named[container]
	delete(named, container)
	if own+named[""] != total {
		s.Errorf("%s is %s's, and attributed to others: %v", metric, cmp.Or(container, "the host"), named)
	}
	return own
}
