package operation

import "strings"

func (o *Operation) judgeCreate() {
	body := o.body()
	host := object(body, "HostConfig")
	o.mintCreated(body)
	o.hazardIf(HazardEnv, present(body, "Env"))
	o.hazardIf(HazardRuntime, present(body, "Runtime")) // old engines read it here too
	o.judgeNamespaces(host)
	o.judgeConfinement(host)
	o.judgeResources(host)
	o.judgeMounts(body, host)
	for _, ref := range texts(host, "Links") {
		o.link(ref)
	}
	for network, config := range object(object(body, "NetworkingConfig"), "EndpointsConfig") {
		o.hazardIf(HazardHostNamespace, network == "host")
		endpoint, _ := config.(map[string]any)
		o.judgeEndpoint(endpoint)
	}
	o.hazardIf(HazardHostPort, present(host, "PortBindings") || present(host, "PublishAllPorts"))
	o.hazardIf(HazardExtraHosts, present(host, "ExtraHosts"))
	logs := object(host, "LogConfig")
	o.judgeLog(text(logs, "Type"), object(logs, "Config"))
}

// mintCreated notes whom the new container could be. Without a name the daemon
// picks one at random (adjective_surname) that the caller cannot choose.
// What image:name is when it runs, and as which users its processes act, is
// not to be known here.
func (o *Operation) mintCreated(body map[string]any) {
	o.mintContainer(o.Query.Get("name"))
	image := text(body, "Image")
	if name := Repository(image); name != "" {
		o.mint("image:" + name)
	}
	o.mint("image-id:*", "container-uid:*", "container-gid:*")
	o.mintLabels(object(body, "Labels"))
}

// mintLabels notes a container's labels; more of them than anybody is named by
// (see package identity) are label:*, as each is looked at in the decision.
func (o *Operation) mintLabels(labels map[string]any) {
	const most, mostBytes = 1000, 64 << 10
	var minted []string
	n := 0
	for key, v := range labels {
		value, _ := v.(string) // null is "" to the daemon
		if n += len(key) + len(value); !strings.Contains(key, "=") {
			minted = append(minted, "label:"+key+"="+value)
		}
	}
	if len(labels) > most || n > mostBytes {
		minted = []string{"label:*"}
	}
	o.mint(minted...)
}

func (o *Operation) judgeNamespaces(host map[string]any) {
	for _, key := range []string{"NetworkMode", "PidMode", "IpcMode", "UTSMode", "CgroupnsMode", "Cgroup"} {
		mode := text(host, key)
		o.hazardIf(HazardHostNamespace, strings.EqualFold(mode, "host"))
		if ref, ok := strings.CutPrefix(mode, "container:"); ok {
			o.hazard(HazardJoinedNamespace)
			o.enter(ref)
		}
	}
	o.hazardIf(HazardUserns, present(host, "UsernsMode"))
}

func (o *Operation) judgeConfinement(host map[string]any) {
	o.hazardIf(HazardPrivileged, truth(host, "Privileged"))
	o.hazardIf(HazardCap, present(host, "CapAdd") || present(host, "Capabilities")) // the whole set, to Engine 19.03
	o.hazardIf(HazardSysctl, present(host, "Sysctls"))
	o.hazardIf(HazardRuntime, present(host, "Runtime") || present(host, "Annotations"))
	o.hazardIf(HazardRuntime, present(host, "InitPath"))
	o.hazardIf(HazardGroupAdd, present(host, "GroupAdd"))
	// An empty list unmasks all, so presence is what counts.
	o.hazardIf(HazardUnmasked, host["MaskedPaths"] != nil || host["ReadonlyPaths"] != nil)
	for _, opt := range texts(host, "SecurityOpt") {
		switch opt {
		case "no-new-privileges", "no-new-privileges:true", "no-new-privileges=true":
		default:
			o.hazard(HazardSecurityOpt)
		}
	}
	o.hazardIf(HazardOOM, present(host, "OomScoreAdj"))
}

// judgeResources is for what ContainerUpdate can change too.
func (o *Operation) judgeResources(m map[string]any) {
	o.hazardIf(HazardOOM, truth(m, "OomKillDisable"))
	o.hazardIf(HazardDevices, present(m, "Devices") || present(m, "DeviceCgroupRules") || present(m, "DeviceRequests"))
	o.judgeCgroupParent(text(m, "CgroupParent"))
}

// judgeCgroupParent notes the container under whose cgroup the parent lies, if
// any part of it looks like one: 64 hex digits, or <prefix>-<them>.scope.
func (o *Operation) judgeCgroupParent(parent string) {
	if parent == "" {
		return
	}
	o.hazard(HazardCgroupParent)
	for part := range strings.SplitSeq(parent, "/") {
		part = strings.TrimSuffix(strings.TrimSuffix(part, ".scope"), ".slice")
		part = part[strings.LastIndexByte(part, '-')+1:]
		if len(part) >= 12 && isHex(part) {
			o.enter(part)
		}
	}
}

// judgeEndpoint is for one network of a container.
func (o *Operation) judgeEndpoint(endpoint map[string]any) {
	for _, ref := range texts(endpoint, "Links") {
		o.link(ref)
	}
	o.hazardIf(HazardNetworkDriver, present(endpoint, "DriverOpts"))
}

// link notes container[:alias], whose environment the new container is given.
func (o *Operation) link(ref string) {
	ref, _, _ = strings.Cut(ref, ":")
	o.hazard(HazardLink)
	o.enter(ref)
}

// judgeLog accepts the drivers that write to files of Docker's own.
func (o *Operation) judgeLog(driver string, options map[string]any) {
	switch driver {
	case "json-file", "local", "none":
	case "":
		o.hazardIf(HazardLogDriver, len(options) > 0) // for the daemon's own default, whichever it is
	default:
		o.hazard(HazardLogDriver)
	}
}

func (o *Operation) judgeExec() {
	o.hazardIf(HazardPrivileged, truth(o.body(), "Privileged"))
	o.hazardIf(HazardEnv, present(o.body(), "Env"))
}
