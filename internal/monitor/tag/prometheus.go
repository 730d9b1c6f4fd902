package tag

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Name makes a key one of Prometheus's label names. It never begins with two
// underscores, which are Prometheus's own.
func Name(key string) string {
	name := plain(key)
	if name == "" || name[0] >= '0' && name[0] <= '9' || strings.HasPrefix(name, "__") {
		name = "tag_" + name
	}
	return name
}

// MetricName makes a name one of Prometheus's: "page.views" is page_views.
func MetricName(name string) string {
	name = plain(name)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
}

// SeriesLabel keeps series apart that are one to Prometheus. It is nobody's tag.
const SeriesLabel = "dogstatsd_series"

// Labels writes tags, the host if there is one, and what we say besides, as Prometheus has them
// between braces. Values of one name are joined. A tag that bears a name of ours, or one that a
// type of metric has, is exported_<name>.
func Labels(host string, tags []Tag, ours ...Tag) string {
	all := slices.Clone(ours)
	if host != "" {
		all = append(all, Tag{"host", host})
	}
	for _, t := range tags {
		l := Tag{Name(t.Key), cmp.Or(t.Value, "true")} // an empty label is none
		if slices.Contains(ours, l) {
			continue
		}
		if l.Key == "le" || l.Key == "quantile" || l.Key == SeriesLabel || slices.ContainsFunc(ours, func(o Tag) bool { return o.Key == l.Key }) {
			l.Key = "exported_" + l.Key
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	var out []byte
	for key, values := range ByKey(all) {
		if out != nil {
			out = append(out, ',')
		}
		out = AppendLabel(out, key, strings.Join(values, ","))
	}
	return string(out)
}

// AppendLabel writes one label. Values may hold any bytes.
func AppendLabel(b []byte, name, value string) []byte {
	b = append(append(b, name...), `="`...)
	value = Legible(value)
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Legible is s if that is UTF-8, and with escapes for all bytes if it is not.
func Legible(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.Trim(strconv.QuoteToASCII(s), `"`)
}
