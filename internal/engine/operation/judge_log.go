package operation

import (
	"regexp"
	"strconv"
	"strings"

	units "github.com/docker/go-units"
)

// judgeLogDriver accepts the drivers that write to files of Docker's own, and
// the daemon's default.
func (o *Operation) judgeLogDriver(_ map[string]any, value any) {
	switch value {
	case "", "json-file", "local", "none", o.engine.LogDriver:
	default:
		o.hazard(HazardLogDriver)
	}
}

const (
	// maxLogBuffer is how much a container may have the daemon hold of its output, in bytes; by itself it holds 1 MB.
	maxLogBuffer = 16 << 20
	// maxLogFiles is how many files there may be of a container's output. The daemon tries to rename each of them whenever one
	// is full, whether there is such a file or not, and meanwhile nobody can inspect or remove the container.
	maxLogFiles = 1000
	maxTemplate = 1 << 10 // bytes
)

// judgeLogOptions accepts what those drivers take: how much is kept, and what is
// noted beside a line. No other driver is sent elsewhere by it. All of it is done by the daemon itself,
// where no limit of the container's holds.
func (o *Operation) judgeLogOptions(_ map[string]any, value any) {
	options, _ := value.(map[string]any)
	for option := range options {
		switch text := text(options, option); option {
		case "max-size", "compress", "mode", "labels", "labels-regex", "env", "env-regex":
		case "max-file":
			files, err := strconv.Atoi(text) // as the daemon reads it
			o.hazardIf(HazardLimits, err != nil || files > maxLogFiles)
		case "tag":
			o.hazardIf(HazardLimits, len(text) > maxTemplate || computes(text, tagField))
		case "max-buffer-size":
			size, err := units.RAMInBytes(text) // as the daemon reads it
			o.hazardIf(HazardLimits, err != nil || size > maxLogBuffer)
		default:
			o.hazard(HazardLogDriver)
		}
	}
}

// tagField is what a tag may have of the container, each no longer than a name.
var tagField = regexp.MustCompile(`\{\{\s*\.(ID|FullID|Name|ImageID|ImageFullID|ImageName|DaemonName|Hostname)\s*\}\}`)

// computes says of a Go template for the daemon to fill in that it has more than these fields: one that
// pads a text to some TB, or goes round, ends the daemon, again at each of its starts where the container is restarted.
func computes(template string, fields *regexp.Regexp) bool {
	left := fields.ReplaceAllLiteralString(template, " ")
	return strings.Contains(left, "{{") || left != template && len(template) > maxTemplate
}

// judgeLogDetails: what is noted beside a line may be the values of environment variables (log option env).
func (o *Operation) judgeLogDetails(_ map[string]any, value any) {
	details, _ := value.(string)
	o.hazardIf(HazardEnv, truthy(details))
}
