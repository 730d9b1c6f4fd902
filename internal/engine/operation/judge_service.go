package operation

import (
	"encoding/json"
	"regexp"
	"strings"
)

// taskField is what a text of a service may have of a task, each no longer than a name or a label.
var taskField = regexp.MustCompile(`\{\{\s*(\.Service\.(ID|Name)|\.Node\.(ID|Hostname|Platform\.(OS|Architecture))|\.Task\.(ID|Name|Slot)|index \.Service\.Labels "[^"{}]*")\s*\}\}`)

// maxReplicas is how many tasks a service may have; the manager has each in memory.
const maxReplicas = 10_000

// judgeTask is for what the swarm makes of a service for each task, with the memory and the time of its managers' and nodes' daemons, and
// makes again after each start of these.
func (o *Operation) judgeTask() {
	spec := object(object(o.body(), "TaskTemplate"), "ContainerSpec")
	for _, key := range []string{"Env", "Hostname", "Mounts"} {
		o.at = append(o.at[:0], "TaskTemplate", "ContainerSpec", key)
		o.judgeTemplates(spec[key])
	}
	mode := object(o.body(), "Mode")
	for _, at := range [][2]string{{"Replicated", "Replicas"}, {"ReplicatedJob", "MaxConcurrent"}, {"ReplicatedJob", "TotalCompletions"}} {
		o.at = append(o.at[:0], "Mode", at[0], at[1])
		n, given := object(mode, at[0])[at[1]].(json.Number)
		tasks, err := n.Int64()
		o.hazardIf(HazardLimits, given && (err != nil || tasks > maxReplicas))
	}
	o.at = o.at[:0]
	for _, field := range burdens(map[string]any{
		"Entrypoint": spec["Command"], "Cmd": spec["Args"], "WorkingDir": spec["Dir"], "Healthcheck": spec["Healthcheck"],
	}) {
		o.at = append(o.at[:0], "TaskTemplate", "ContainerSpec", inTask.Replace(field))
		o.hazard(HazardLimits)
	}
	o.at = o.at[:0]
}

// inTask are names of a container's fields as a service has them.
var inTask = strings.NewReplacer("Entrypoint", "Command", "Cmd", "Args", "WorkingDir", "Dir")

// judgeTemplates is for all texts in a value.
func (o *Operation) judgeTemplates(value any) {
	switch v := value.(type) {
	case string:
		o.hazardIf(HazardLimits, computes(v, taskField))
	case []any:
		for _, element := range v {
			o.judgeTemplates(element)
		}
	case map[string]any:
		for _, member := range v {
			o.judgeTemplates(member)
		}
	}
}

// judgeRollback: the swarm then takes what the service was before, whatever the body says. Somebody else may have asked for that, with
// what this caller may not have.
func (o *Operation) judgeRollback(_ map[string]any, value any) {
	if isSet(value) && value != "none" {
		o.Rail = "a rollback brings back what the service was before, which cannot be judged; give that in the body of an update"
	}
}
