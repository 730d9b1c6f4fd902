package export

import (
	"bytes"
	"fmt"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vitrine/internal/monitor/messages"
)

// delimited makes a page in Prometheus's protobuf format, which alone has native histograms; only who asks for
// them asks for it. A family is written as text, read by Prometheus's own parser and written again: so
// there is one writer of what a page has, and a tree of one family at a time.
type delimited struct {
	done   bytes.Buffer
	native []*messages.Series // of the family that is being written, in the order of its series
	err    error
}

// begin ends the family before the next one.
func (p *page) begin() {
	d := p.delimited
	if d == nil {
		return
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(p.b))
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("read our own page: %w", err)
	}
	enc := expfmt.NewEncoder(&d.done, expfmt.NewFormat(expfmt.TypeProtoDelim))
	for _, f := range families {
		if len(f.GetMetric()) == 0 {
			continue
		}
		for i, s := range d.native {
			sparseOf(s.TotalSketch).into(f.GetMetric()[i].GetHistogram(), s.TotalSum)
		}
		if err := enc.Encode(f); err != nil && d.err == nil {
			d.err = fmt.Errorf("write %s: %w", f.GetName(), err)
		}
	}
	p.b, d.native = p.b[:0], d.native[:0]
}
