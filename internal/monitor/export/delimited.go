package export

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protowire"

	"vitrine/internal/monitor/messages"
)

// delimited makes a page in Prometheus's protobuf format, which alone has native histograms; only who asks for
// them asks for it. A family is written as text and then translated, so that there is one writer of
// what a page has. Histograms and summaries, of which a series is several lines, are read by Prometheus's own parser, into a tree of one
// family; that would take ten times as long as all else for counters and gauges, which are translated line by line.
type delimited struct {
	done   bytes.Buffer
	line   []byte             // for one family's and one line's translation
	family []byte             //
	native []*messages.Series // of the family that is being written, in the order of its series
	err    error
}

// begin ends the family before the next one.
func (p *page) begin() {
	d := p.delimited
	if d == nil {
		return
	}
	if len(p.b) > 0 {
		if err := d.translate(string(p.b)); err != nil && d.err == nil {
			d.err = fmt.Errorf("write our own page in protobuf: %w", err)
		}
	}
	p.b, d.native = p.b[:0], d.native[:0]
}

func (d *delimited) translate(text string) error {
	help, text, _ := strings.Cut(text, "\n")
	kind, lines, _ := strings.Cut(text, "\n")
	name, kind, _ := strings.Cut(strings.TrimPrefix(kind, "# TYPE "), " ")
	switch {
	case lines == "":
		return nil
	case kind == "counter":
		return d.numbers(name, help, dto.MetricType_COUNTER, lines)
	case kind == "gauge":
		return d.numbers(name, help, dto.MetricType_GAUGE, lines)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(help + "\n" + text))
	if err != nil {
		return err
	}
	enc := expfmt.NewEncoder(&d.done, expfmt.NewFormat(expfmt.TypeProtoDelim))
	for _, f := range families {
		for i, s := range d.native {
			sparseOf(s.TotalSketch).into(f.GetMetric()[i].GetHistogram(), s.TotalSum)
		}
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// unescaped is the text of a label's value or of a help.
var unescaped = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`)

// numbers translates a family of counters or gauges. The numbers of the fields are those of client_model's metrics.proto.
func (d *delimited) numbers(name, help string, kind dto.MetricType, lines string) error {
	const familyName, familyHelp, familyType, familyMetric = 1, 2, 3, 4
	_, help, _ = strings.Cut(strings.TrimPrefix(help, "# HELP "), " ")
	d.family = appendText(d.family[:0], familyName, name)
	d.family = appendText(d.family, familyHelp, unescaped.Replace(help))
	d.family = protowire.AppendVarint(protowire.AppendTag(d.family, familyType, protowire.VarintType), uint64(kind)) //nolint:gosec // an enumeration
	for line := range strings.Lines(lines) {
		var err error
		if d.line, err = number(d.line[:0], kind, line[len(name):]); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		d.family = appendBytes(d.family, familyMetric, d.line)
	}
	d.done.Write(protowire.AppendVarint(nil, uint64(len(d.family))))
	d.done.Write(d.family)
	return nil
}

// number translates a line behind its name: `{a="b",c="d"} 1 1700000000000`, where all but the value may be absent.
func number(b []byte, kind dto.MetricType, line string) ([]byte, error) {
	const metricLabel, metricGauge, metricCounter, metricTime, value = 1, 2, 3, 6, 1
	for strings.HasPrefix(line, "{") || strings.HasPrefix(line, ",") {
		label, rest, _ := strings.Cut(line[1:], `="`)
		end := 0
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) {
			return b, strconv.ErrSyntax
		}
		text := rest[:end]
		if strings.Contains(text, `\`) {
			text = unescaped.Replace(text)
		}
		size := 2 + protowire.SizeBytes(len(label)) + protowire.SizeBytes(len(text))                       // both tags are a byte
		b = protowire.AppendVarint(protowire.AppendTag(b, metricLabel, protowire.BytesType), uint64(size)) //nolint:gosec // a length
		b = appendText(appendText(b, 1, label), 2, text)
		line = rest[end+1:]
	}
	text, at, timed := strings.Cut(strings.TrimRight(strings.TrimLeft(line, "} "), "\n"), " ")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return b, err
	}
	field := protowire.Number(metricGauge)
	if kind == dto.MetricType_COUNTER {
		field = metricCounter
	}
	const ofDouble = 9 // bytes, with its tag
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), ofDouble)
	b = protowire.AppendFixed64(protowire.AppendTag(b, value, protowire.Fixed64Type), math.Float64bits(v))
	if timed {
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return b, err
		}
		b = protowire.AppendVarint(protowire.AppendTag(b, metricTime, protowire.VarintType), uint64(ms)) //nolint:gosec // as the format has it
	}
	return b, nil
}

func appendText(b []byte, field protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

func appendBytes(b []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), value)
}
