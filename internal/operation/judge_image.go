package operation

import "strings"

// judgePull is for POST /images/create: a pull, or an import from a URL or the
// body.
func (o *Operation) judgePull() {
	from, source := o.Query.Get("fromImage"), o.Query.Get("fromSrc")
	o.mintImage(from)
	o.mintImage(o.Query.Get("repo"))
	o.mint("image-id:*")
	o.hazardIf(HazardOutbound, from != "" || source != "-")
}

func (o *Operation) judgeBuild() {
	q := o.Query
	for _, tag := range q["t"] {
		o.mintImage(tag)
	}
	outputs, _ := o.Params["outputs"].([]any)
	for _, v := range outputs { // BuildKit's exporters take names too
		output, _ := v.(map[string]any)
		for name := range strings.SplitSeq(text(object(output, "Attrs"), "name"), ",") {
			o.mintImage(name)
		}
	}
	o.mint("image-id:*")
	o.judgeNamespaces(map[string]any{"NetworkMode": q.Get("networkmode")})
	o.judgeCgroupParent(q.Get("cgroupparent"))
	o.hazardIf(HazardSecurityOpt, len(q["securityopt"]) > 0)
	o.hazardIf(HazardExtraHosts, len(q["extrahosts"]) > 0)
	o.hazardIf(HazardOutbound, q.Get("remote") != "" && q.Get("remote") != "client-session")
	o.hazardIf(HazardEnv, q.Get("buildargs") != "")
}

func (o *Operation) judgeNetwork() {
	body := o.body()
	switch text(body, "Driver") {
	case "", "bridge", "overlay":
	default:
		o.hazard(HazardNetworkDriver)
	}
	ipam := text(object(body, "IPAM"), "Driver")
	// ConfigFrom takes the options of another network.
	o.hazardIf(HazardNetworkDriver, present(body, "Options") || present(body, "ConfigFrom") || ipam != "" && ipam != "default")
}
