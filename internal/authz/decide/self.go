package decide

import (
	"net/http"

	"vitrine/internal/engine/operation"
)

// MayRead says which operations we may call ourselves: what the inventory and
// the pings need, and nothing that writes or shows a container's content. It is
// the whole policy for our own calls.
func MayRead(op *operation.Operation) bool {
	switch op.ID {
	case "SystemPing", "SystemPingHead", "SystemVersion", "SystemInfo", "SystemEvents",
		"ContainerList", "ContainerInspect", "ImageInspect", "ExecInspect", "PluginList", "NetworkList", "NetworkInspect",
		"VolumeList", "VolumeInspect", "ServiceInspect", "TaskInspect", "SecretInspect", "ConfigInspect", "NodeInspect":
		return op.Method == http.MethodGet || op.Method == http.MethodHead
	}
	return false
}

// self decides our own calls without the policy.
func (v *Verdict) self() {
	if MayRead(v.Operation) {
		v.Allow, v.Status = true, 0
		return
	}
	v.deny(http.StatusForbidden, "self", "it is not among the reads that Vitrine does itself")
}
