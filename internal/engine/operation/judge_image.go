package operation

import (
	"slices"
	"strings"
)

// judgeRepository is for names that images get: one, or a list of them.
func (o *Operation) judgeRepository(_ map[string]any, value any) {
	for _, ref := range texts(value) {
		o.mintImage(ref)
	}
}

func (o *Operation) judgePull(_ map[string]any, value any) {
	if from, _ := value.(string); from != "" {
		o.mintImage(from)
		o.hazard(HazardOutbound)
	}
}

// judgeOutputs is for BuildKit's exporters, which take names too and can push.
func (o *Operation) judgeOutputs(_ map[string]any, value any) {
	outputs, _ := value.([]any)
	for _, v := range outputs {
		output, _ := v.(map[string]any)
		attrs := object(output, "Attrs")
		for name := range strings.SplitSeq(text(attrs, "name"), ",") {
			o.mintImage(name)
		}
		for attr := range attrs {
			o.hazardIf(HazardOutbound, strings.HasPrefix(attr, "push"))
		}
	}
}

// harmlessChanges are the instructions of a Dockerfile that set no environment variable.
var harmlessChanges = []string{"CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}

// judgeChanges is for lines of a Dockerfile. One may set environment variables
// unless it is known not to. (One that goes on in the next line begins in its own.)
func (o *Operation) judgeChanges(_ map[string]any, value any) {
	for _, change := range texts(value) {
		for line := range strings.SplitSeq(change, "\n") {
			words := strings.Fields(line)
			o.hazardIf(HazardEnv, len(words) > 0 && !slices.Contains(harmlessChanges, strings.ToUpper(words[0])))
		}
	}
}
