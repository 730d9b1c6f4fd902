package operation

// judgeService is for a service's spec. Its tasks are containers that the
// swarm creates, on any node and without asking a plugin, with names and
// labels of their own.
func (o *Operation) judgeService() {
	body := o.body()
	task := object(body, "TaskTemplate")
	o.mint("*")
	switch runtime := text(task, "Runtime"); {
	case present(task, "PluginSpec"), runtime != "" && runtime != "container" && runtime != "types.docker.com/RuntimeContainer":
		o.Rail = "a service that is not of containers can install plugins"
	}
	o.judgeTaskContainer(object(task, "ContainerSpec"))
	for _, networks := range [][]any{list(body, "Networks"), list(task, "Networks")} {
		for _, n := range networks {
			network, _ := n.(map[string]any)
			o.hazardIf(HazardHostNamespace, text(network, "Target") == "host")
			o.hazardIf(HazardNetworkDriver, present(network, "DriverOpts"))
		}
	}
	logs := object(task, "LogDriver")
	o.judgeLog(text(logs, "Name"), object(logs, "Options"))
	o.hazardIf(HazardHostPort, present(object(body, "EndpointSpec"), "Ports"))
}

func (o *Operation) judgeTaskContainer(c map[string]any) {
	for _, m := range list(c, "Mounts") {
		mount, _ := m.(map[string]any)
		o.judgeMount(mount)
	}
	privileges := object(c, "Privileges")
	for key := range privileges {
		o.hazardIf(HazardSecurityOpt, key != "NoNewPrivileges" && privileges[key] != nil)
	}
	o.hazardIf(HazardCap, present(c, "CapabilityAdd"))
	o.hazardIf(HazardSysctl, present(c, "Sysctls"))
	o.hazardIf(HazardGroupAdd, present(c, "Groups"))
	o.hazardIf(HazardEnv, present(c, "Env"))
	o.hazardIf(HazardExtraHosts, present(c, "Hosts"))
	o.hazardIf(HazardOOM, present(c, "OomScoreAdj"))
	o.hazardIf(HazardSwarmSecret, present(c, "Secrets") || present(c, "Configs"))
}
