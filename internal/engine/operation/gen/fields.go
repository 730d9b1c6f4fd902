package main

// fields says what keys of request bodies and parameters of queries do. Of an
// object, which is named by the definition in Docker's API descriptions
// (HostConfig), by the operation whose body it is (ContainerCreate), or by the
// key that holds it (HostConfig.LogConfig); ?ImageBuild are the parameters of
// that operation. An operation's name goes before its body's definition.
//
// A class is
//
//	harmless      whatever the value is, the host and others are as safe as before
//	named         harmless, and a name, an image, a path or labels: the record of shapes keeps its text
//	private       harmless, and may be a secret: neither the record nor the audit log has its values
//	moment        harmless, and another one each time: the record leaves it out
//	part        told with the key that holds it, which is not harmless
//	railed        only admin may send the operation at all
//	a hazard      (see hazard.go) when it has a value other than its type's zero
//	function()    a function of the judges (see class.go), where it is the value that counts
//
// The daemon's default must come out harmless, spelled out or not: clients send
// back what inspect showed them. A key that is in no line stops the generator,
// and is unknown input where it gets past it.
type fields struct{ objects, class, keys string }

var table = []fields{
	// Containers.
	{"ContainerConfig", harmless, `ArgsEscaped AttachStderr AttachStdin AttachStdout Cmd Entrypoint Healthcheck NetworkDisabled OnBuild
		OpenStdin Shell StdinOnce Tty`},
	{"ContainerConfig", named, "Domainname ExposedPorts Hostname Image Labels StopSignal User Volumes WorkingDir"}, // User: a create mints container-uid:* in any case
	{"ContainerConfig", "env()", "Env"},
	{"ContainerConfig", "stopTimeout()", "StopTimeout"},
	{"ContainerConfig", "network-address", "MacAddress"},
	{"ContainerCreate", "image()", "Image"},
	{"ContainerCreate", "labels()", "Labels"},
	{"ContainerCreate", "runtime()", "Runtime"}, // old engines read it here
	{"ContainerCreate", "volumes()", "Volumes"}, // and whole binds here
	{"ContainerCreate", harmless, "HostConfig NetworkingConfig name PortSpecs"},
	{"HealthConfig", harmless, "Retries StartPeriod Test Timeout"},
	{"HealthConfig", "interval()", "Interval StartInterval"},

	{"HostConfig Resources", harmless, `BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps
		BlkioWeightDevice CpuCount CpuPercent Init IOMaximumBandwidth
		IOMaximumIOps KernelMemory KernelMemoryTCP Memory MemoryReservation MemorySwap MemorySwappiness
		NanoCpus PidsLimit RestartPolicy`},
	{"HostConfig Resources", named, "CpusetCpus CpusetMems"},
	{"HostConfig Resources", "cgroupParent()", "CgroupParent"},
	{"HostConfig Resources", "deviceRequests()", "DeviceRequests"},
	{"HostConfig Resources", "deviceRules()", "DeviceCgroupRules"},
	{"HostConfig Resources", "devices", "Devices"},
	{"HostConfig", "limits", "StorageOpt"},
	// A weight is what others get less; the kernel's scale of BlkioWeight is another one with each scheduler.
	{"HostConfig Resources", "limits", "BlkioWeight CpuRealtimePeriod CpuRealtimeRuntime DiskQuota Ulimits"},
	{"HostConfig Resources", "cpuPeriod()", "CpuPeriod"},
	{"HostConfig Resources", "cpuQuota()", "CpuQuota"},
	{"HostConfig Resources", "cpuShares()", "CpuShares"},
	{"HostConfig Resources", "oom", "OomKillDisable"},
	{"HostConfig.Ulimits Resources.Ulimits", part, "Hard Name Soft"},
	{"HostConfig.BlkioWeightDevice Resources.BlkioWeightDevice", harmless, "Weight"},
	{"HostConfig.BlkioWeightDevice Resources.BlkioWeightDevice", "device()", "Path"},
	{"ThrottleDevice", harmless, "Rate"},
	{"ThrottleDevice", "device()", "Path"},
	{"DeviceMapping", "device()", "PathOnHost"},
	{"DeviceMapping", part, "CgroupPermissions PathInContainer"},
	{"DeviceRequest", part, "Capabilities Count DeviceIDs Driver Options"},
	{"RestartPolicy", harmless, "MaximumRetryCount"},
	{"RestartPolicy", named, "Name"},

	{"HostConfig", harmless, "AutoRemove ConsoleSize ContainerIDFile LogConfig LxcConf Mounts ReadonlyRootfs ShmSize Umask"},
	{"HostConfig", named, "CapDrop"},
	{"HostConfig", "binds()", "Binds"},
	{"HostConfig", "cap", "CapAdd Capabilities"}, // the latter is the whole set, to Engine 19.03
	{"HostConfig", "cgroupns()", "CgroupnsMode"},
	{"HostConfig", "extra-hosts", "Dns DnsOptions DnsSearch ExtraHosts"},
	{"HostConfig", "group-add", "GroupAdd"},
	{"HostConfig", "host-port", "PortBindings PublishAllPorts"},
	{"HostConfig", "initPath()", "InitPath"},
	{"HostConfig", "ipc()", "IpcMode"},
	{"HostConfig", "isolation()", "Isolation"},
	{"HostConfig", "links()", "Links"},
	{"HostConfig", "maskedPaths()", "MaskedPaths"},
	{"HostConfig", "namespace()", "Cgroup PidMode UTSMode"},
	{"HostConfig", "networkMode()", "NetworkMode"},
	{"HostConfig", "oom", "OomScoreAdj"},
	{"HostConfig", "privileged", "Privileged"},
	{"HostConfig", "readonlyPaths()", "ReadonlyPaths"},
	{"HostConfig", "runtime", "Annotations"},
	{"HostConfig", "runtime()", "Runtime"},
	{"HostConfig", "securityOpt()", "SecurityOpt"},
	{"HostConfig", "sysctl", "Sysctls"},
	{"HostConfig", "tmpfs()", "Tmpfs"},
	{"HostConfig", "userns", "UsernsMode"},
	{"HostConfig", "volumeDriver()", "VolumeDriver"},
	{"HostConfig", "volumesFrom()", "VolumesFrom"},
	{"PortBinding", part, "HostIp HostPort"},
	{"HostConfig.LogConfig", "logDriver()", "Type"},
	{"HostConfig.LogConfig", "logOptions()", "Config"},

	{"Mount", harmless, "BindOptions Consistency ImageOptions ReadOnly TmpfsOptions VolumeOptions"},
	{"Mount", named, "Target"},
	{"Mount", "mountSource()", "Source"},
	{"Mount", "mountType()", "Type"},
	{"Mount", "volume-driver", "ClusterOptions"},
	{"Mount.BindOptions", harmless, "CreateMountpoint NonRecursive ReadOnlyForceRecursive ReadOnlyNonRecursive"},
	{"Mount.BindOptions", "propagation()", "Propagation"},
	{"Mount.ImageOptions", named, "Subpath"},
	{"Mount.TmpfsOptions", harmless, "Mode SizeBytes"},
	{"Mount.TmpfsOptions", "tmpfs()", "Options"},
	{"Mount.VolumeOptions", harmless, "DriverConfig NoCopy"},
	{"Mount.VolumeOptions", named, "Subpath"},
	// What anything is labelled with is in each list of its kind.
	{"Mount.VolumeOptions NetworkCreate VolumeCreateRequest ServiceSpec TaskSpec.ContainerSpec SecretSpec ConfigSpec", "otherLabels()", "Labels"},
	{"Mount.VolumeOptions.DriverConfig", "volumeDriver()", "Name"},
	{"Mount.VolumeOptions.DriverConfig", "volumeOptions()", "Options"},

	{"NetworkingConfig", "endpoints()", "EndpointsConfig"},
	{"EndpointSettings", harmless, `EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen GwPriority
		IPAddress IPAMConfig IPPrefixLen IPv6Gateway`}, // what inspect shows; the daemon forgets it
	{"EndpointSettings", "links()", "Links"},
	{"EndpointSettings", "macAddress()", "MacAddress"},
	// In a network of one's own the daemon forgets DNSNames. In the default bridge, where it refuses
	// aliases, containers that are in another network too find the endpoint by them.
	{"EndpointSettings", "named-network", "Aliases DNSNames"},
	{"EndpointSettings", "network-driver", "DriverOpts"},
	{"EndpointSettings", "networkID()", "NetworkID"},
	{"EndpointIPAMConfig", "network-address", "IPv4Address IPv6Address LinkLocalIPs"},

	{"ContainerExec", harmless, "AttachStderr AttachStdin AttachStdout Cmd ConsoleSize Container containerId Detach DetachKeys Tty"},
	{"ContainerExec", named, "WorkingDir"},
	{"ContainerExec", "env()", "Env"},
	{"ContainerExec", "execUser()", "User"},
	{"ContainerExec", "execPrivileged()", "Privileged"},
	{"ExecStart", harmless, "ConsoleSize Detach hijack stdin Tty"},
	{"CheckpointCreate", railed, "CheckpointDir CheckpointID Exit"},

	// Networks and volumes.
	{"NetworkCreate", harmless, "Attachable CheckDuplicate ConfigOnly EnableIPv4 Internal IPAM"},
	{"NetworkCreate", named, "Name Scope"},
	{"NetworkCreate", "networkDriver()", "Driver"},
	// EnableIPv6 turns on forwarding for all of the host's interfaces; Ingress
	// takes over what the swarm publishes.
	{"NetworkCreate", "network-driver", "ConfigFrom EnableIPv6 Ingress Options"},
	{"ConfigReference", part, "Network"},
	{"IPAM", harmless, "Config"},
	{"IPAM", "ipamDriver()", "Driver"},
	{"IPAM", "network-driver", "Options"},
	{"IPAMConfig", "network-address", "AuxiliaryAddresses Gateway IPRange Subnet"},
	{"NetworkConnectRequest NetworkDisconnectRequest", "container()", "Container"},
	{"NetworkConnectRequest", harmless, "EndpointConfig"},
	{"NetworkDisconnectRequest", harmless, "Force"},
	{"VolumeCreateRequest", named, "Name"},
	{"VolumeCreateRequest", "volumeDriver()", "Driver"},
	{"VolumeCreateRequest", "volumeOptions()", "DriverOpts"},
	{"VolumeCreateRequest", "volume-driver", "ClusterVolumeSpec"},
	{"VolumeUpdate", "volume-driver", "Spec"}, // of a cluster volume
	{"ClusterVolumeSpec", part, "AccessibilityRequirements AccessMode Availability CapacityRange Group Secrets"},
	{"ClusterVolumeSpec.AccessMode", part, `AccessibilityRequirements Availability BlockVolume CapacityRange
		MountVolume Scope Secrets Sharing`},
	{"ClusterVolumeSpec.AccessibilityRequirements ClusterVolumeSpec.AccessMode.AccessibilityRequirements", part, "Preferred Requisite"},
	{"ClusterVolumeSpec.CapacityRange ClusterVolumeSpec.AccessMode.CapacityRange", part, "LimitBytes RequiredBytes"},
	{"ClusterVolumeSpec.Secrets ClusterVolumeSpec.AccessMode.Secrets", part, "Key Secret"},
	{"ClusterVolumeSpec.AccessMode.MountVolume", part, "FsType MountFlags"},
	{`Topology ClusterVolumeSpec.AccessibilityRequirements.Preferred
		ClusterVolumeSpec.AccessibilityRequirements.Requisite`, part, "Segments"},

	// Services, whose tasks are containers on any node.
	{"ServiceSpec", harmless, "EndpointSpec Mode Networks RollbackConfig TaskTemplate UpdateConfig"},
	{"ServiceSpec", named, "Name"},
	{"ServiceSpec.Mode", harmless, "Global GlobalJob Replicated ReplicatedJob"},
	{"ServiceSpec.Mode.Replicated", harmless, "Replicas"},
	{"ServiceSpec.Mode.ReplicatedJob", harmless, "MaxConcurrent TotalCompletions"},
	{"ServiceSpec.RollbackConfig ServiceSpec.UpdateConfig", harmless, "Delay FailureAction MaxFailureRatio Monitor Order Parallelism"},
	{"EndpointSpec", harmless, "Mode"},
	{"EndpointSpec", "host-port", "Ports"},
	{"EndpointPortConfig", part, "Name Protocol PublishedPort PublishMode TargetPort"},
	{"NetworkAttachmentConfig", "named-network", "Aliases"},
	{"NetworkAttachmentConfig", "network-driver", "DriverOpts"},
	{"NetworkAttachmentConfig", "networkMode()", "Target"},
	{"TaskSpec", harmless, "ContainerSpec ForceUpdate LogDriver Networks Placement Resources RestartPolicy"},
	{"TaskSpec", "taskRuntime()", "NetworkAttachmentSpec PluginSpec Runtime"},
	{"TaskSpec.NetworkAttachmentSpec", part, "ContainerID"},
	{"TaskSpec.PluginSpec", part, "Disabled env Name PluginPrivilege privileges Remote"},
	{"PluginPrivilege TaskSpec.PluginSpec.privileges", part, "Description Name Value"},
	{"TaskSpec.LogDriver", "logDriver()", "Name"},
	{"TaskSpec.LogDriver", "logOptions()", "Options"},
	{"TaskSpec.Placement", harmless, "MaxReplicas Platforms Preferences"},
	{"TaskSpec.Placement", named, "Constraints"},
	{"TaskSpec.Placement.Preferences", harmless, "Spread"},
	{"TaskSpec.Placement.Preferences.Spread", harmless, "SpreadDescriptor"},
	{"Platform", named, "Architecture OS"},
	{"TaskSpec.Resources", harmless, "Limits MemorySwappiness Reservations SwapBytes"},
	{"Limit ResourceObject", harmless, "GenericResources MemoryBytes NanoCPUs"},
	{"Limit", harmless, "Pids"},
	{"Limit.GenericResources ResourceObject.GenericResources", harmless, "DiscreteResourceSpec NamedResourceSpec"},
	{`Limit.GenericResources.DiscreteResourceSpec Limit.GenericResources.NamedResourceSpec
		ResourceObject.GenericResources.DiscreteResourceSpec ResourceObject.GenericResources.NamedResourceSpec`, harmless, "Kind Value"},
	{"TaskSpec.RestartPolicy", harmless, "Condition Delay MaxAttempts Window"},
	{"TaskSpec.ContainerSpec", harmless, `Args CapabilityDrop Command DNSConfig Healthcheck Init Mounts OpenStdin Privileges ReadOnly
		StopGracePeriod TTY`},
	{"TaskSpec.ContainerSpec", named, "Dir Hostname StopSignal User"},
	{"TaskSpec.ContainerSpec", "cap", "CapabilityAdd"},
	{"TaskSpec.ContainerSpec", "env()", "Env"},
	{"TaskSpec.ContainerSpec", "extra-hosts", "Hosts"},
	{"TaskSpec.ContainerSpec", "group-add", "Groups"},
	{"TaskSpec.ContainerSpec", "isolation()", "Isolation"},
	{"TaskSpec.ContainerSpec", "limits", "Ulimits"},
	{"TaskSpec.ContainerSpec", "oom", "OomScoreAdj"},
	{"TaskSpec.ContainerSpec", "outbound", "Image"}, // the nodes pull it
	{"TaskSpec.ContainerSpec", "swarm-secret", "Configs Secrets"},
	{"TaskSpec.ContainerSpec", "sysctl", "Sysctls"},
	{"TaskSpec.ContainerSpec.Ulimits", part, "Hard Name Soft"},
	{"TaskSpec.ContainerSpec.Configs", part, "ConfigID ConfigName File Runtime"},
	{"TaskSpec.ContainerSpec.Secrets", part, "File SecretID SecretName"},
	{"TaskSpec.ContainerSpec.Configs.File TaskSpec.ContainerSpec.Secrets.File", part, "GID Mode Name UID"},
	{"TaskSpec.ContainerSpec.DNSConfig", "extra-hosts", "Nameservers Options Search"},
	{"TaskSpec.ContainerSpec.Privileges", harmless, "AppArmor CredentialSpec NoNewPrivileges Seccomp SELinuxContext"},
	{"TaskSpec.ContainerSpec.Privileges.AppArmor TaskSpec.ContainerSpec.Privileges.Seccomp", "securityMode()", "Mode"},
	{"TaskSpec.ContainerSpec.Privileges.CredentialSpec", "security-opt", "Config File Registry"},
	{"TaskSpec.ContainerSpec.Privileges.Seccomp", "security-opt", "Profile"},
	{"TaskSpec.ContainerSpec.Privileges.SELinuxContext", "security-opt", "Disable Level Role Type User"},
	{"SecretSpec ConfigSpec", harmless, "Data"},
	{"SecretSpec ConfigSpec", "limits", "Templating"}, // a node's daemon fills it in, see judgeTask
	{"SecretSpec ConfigSpec", named, "Name"},
	{"SecretSpec", "swarm-secret", "Driver"}, // a plugin that makes it
	{"SecretSpec.Driver", part, "Name Options"},
	{"SecretSpec.Templating ConfigSpec.Templating", part, "Name Options"},

	// Plugins and the swarm itself.
	{"PluginPull PluginUpgrade", railed, "Description Name Value"},
	{"NodeSpec", railed, "Availability Labels Name Role"},
	{"SwarmInit", railed, `AdvertiseAddr AutoLockManagers Availability DataPathAddr DataPathPort DefaultAddrPool
		ForceNewCluster ListenAddr Spec SubnetSize`},
	{"SwarmJoin", railed, "AdvertiseAddr Availability DataPathAddr JoinToken ListenAddr RemoteAddrs"},
	{"SwarmUnlock", railed, "UnlockKey"},
	{"SwarmSpec", railed, "CAConfig Dispatcher EncryptionConfig Labels Name Orchestration Raft TaskDefaults"},
	{"SwarmSpec.CAConfig", railed, "ExternalCAs ForceRotate NodeCertExpiry SigningCACert SigningCAKey"},
	{"SwarmSpec.CAConfig.ExternalCAs", railed, "CACert Options Protocol URL"},
	{"SwarmSpec.Dispatcher", railed, "HeartbeatPeriod"},
	{"SwarmSpec.EncryptionConfig", railed, "AutoLockManagers"},
	{"SwarmSpec.Orchestration", railed, "TaskHistoryRetentionLimit"},
	{"SwarmSpec.Raft", railed, "ElectionTick HeartbeatTick KeepOldSnapshots LogEntriesForSlowFollowers SnapshotInterval"},
	{"SwarmSpec.TaskDefaults", railed, "LogDriver"},
	{"SwarmSpec.TaskDefaults.LogDriver", railed, "Name Options"},

	// A registry's credentials. Without an address they go to the daemon's own.
	{"AuthConfig", harmless, "auth email identitytoken password registrytoken username"},
	{"AuthConfig", "outbound", "serveraddress"},

	// Parameters of queries.
	{"?ImageBuild", harmless, `cachefrom cpuperiod cpusetcpus cpusetmems forcerm id memory memswap
		nocache pull q rm shmsize squash`},
	{"?ImageBuild", moment, "buildid session"},
	{"?ImageBuild", "builder()", "version"},
	{"?ImageBuild", named, "dockerfile platform target"}, // FROM pulls, too
	{"?ImageBuild", private, "labels"},                   // are often made of the environment of who builds
	{"?ImageBuild", "cgroupParent()", "cgroupparent"},
	{"?ImageBuild", "cpuQuota()", "cpuquota"},
	{"?ImageBuild", "cpuShares()", "cpushares"},
	{"?ImageBuild", "env", "buildargs"},
	{"?ImageBuild", "extra-hosts", "extrahosts"},
	{"?ImageBuild", "isolation()", "isolation"},
	{"?ImageBuild", "limits", "ulimits"},
	{"?ImageBuild.ulimits", part, "Hard Name Soft"},
	{"?ImageBuild", "networkMode()", "networkmode"},
	{"?ImageBuild", "outputs()", "outputs"},
	{"?ImageBuild.outputs", part, "Attrs Type"},
	{"?ImageBuild", "remote()", "remote"},
	{"?ImageBuild", "securityOpt()", "securityopt"},
	{"?ImageBuild", "repository()", "t"},
	{"?ImageCommit", harmless, "author comment pause"},
	{"?ImageCommit", named, "tag"},
	{"?ImageCommit", "container()", "container"}, // its files become the image
	{"?ImageCommit ?ImageCreate", "changes()", "changes"},
	{"?ImageCommit ?ImageCreate ?ImageTag", "repository()", "repo"},
	{"?ImageCreate", harmless, "message"},
	{"?ImageCreate", named, "platform tag"},
	{"?ImageCreate", "pull()", "fromImage"},
	{"?ImageCreate", "importSource()", "fromSrc"},
	{"?ImageTag", named, "tag"},
	{"?ImageSearch", "outbound", "term"},
	{"?ImageSearch", harmless, "limit"},
	{"?ImageSearch", named, "filters"},
	{"?GetPluginPrivileges", "outbound", "name remote"},
	{"?ContainerCreate ?ContainerRename", "containerName()", "name"},
	{"?ContainerCreate", named, "platform"},
	{"?ContainerStart", "checkpoint()", "checkpoint checkpoint-dir"},
	{"?ContainerStart", harmless, "detachKeys"},
	{"?ContainerTop", "psArgs()", "ps_args"}, // ps runs as root on the host
	{"?PluginCreate ?PluginPull", railed, "name"},
	{"?PluginPull ?PluginUpgrade", railed, "remote"},
	{"?PluginDelete ?PluginDisable ?NodeDelete ?SwarmLeave", railed, "force"},
	{"?PluginEnable", railed, "timeout"},
	{"?NodeUpdate", railed, "version"},
	{"?SwarmUpdate", railed, "rotateManagerToken rotateManagerUnlockKey rotateWorkerToken version"},
	{"?BuildCancel", railed, "id"},
	{"?CheckpointDelete ?CheckpointList", railed, "dir"},
	{"?DebugPprof", railed, "debug gc"},
	{"?DebugPprof ?DebugPprofProfile ?DebugPprofTrace", railed, "seconds"},
	{"?NetworkListSlash", railed, "filters"},

	{`?ConfigList ?ContainerList ?ContainerPrune ?ImageList ?ImagePrune ?NetworkList ?NetworkPrune ?NodeList
		?PluginList ?SecretList ?ServiceList ?SystemEvents ?TaskList ?VolumeList ?VolumePrune ?BuildPrune`, named, "filters"},
	{"?BuildPrune", harmless, "all keep-storage max-used-space min-free-space reserved-space"},
	{"?ConfigUpdate ?SecretUpdate ?ServiceUpdate ?VolumeUpdate", harmless, "version"},
	{"?ContainerArchive ?ContainerArchiveInfo ?PutContainerArchive", named, "path"},
	{"?ContainerAttach ?ContainerAttachWebsocket", harmless, "detachKeys logs stderr stdin stdout stream"},
	{"?ContainerDelete", harmless, "force link v"},
	{"?ContainerInspect", harmless, "size"},
	{"?ContainerKill ?ContainerRestart ?ContainerStop", named, "signal"},
	{"?ContainerRestart ?ContainerStop", harmless, "t"},
	{"?ContainerList", harmless, "all limit size trunc_cmd"},
	{"?ContainerList", named, "before since"},
	{"?ContainerLogs ?ServiceLogs ?TaskLogs", harmless, "follow stderr stdout tail timestamps"},
	{"?ContainerLogs", "logDetails()", "details"},
	{"?ServiceLogs ?TaskLogs", harmless, "details"}, // without which Docker's command line cannot say whose a line is
	{"?ContainerLogs ?ServiceLogs ?TaskLogs", moment, "since"},
	{"?ContainerLogs", moment, "until"},
	{"?ContainerResize ?ExecResize", moment, "h w"},
	{"?ContainerStats", harmless, "one-shot stream"},
	{"?ContainerWait", named, "condition"},
	{"?ImageAttestations", harmless, "statement"},
	{"?ImageAttestations", named, "type"},
	{"?ImageDelete", harmless, "force noprune"},
	{"?ImageDelete", named, "platforms"},
	{"?ImageGetAll", named, "names"},
	{"?ImageAttestations ?ImageGet ?ImageGetAll ?ImageHistory ?ImageInspect ?ImageLoad ?ImagePush", named, "platform"},
	{"ImagePlatform", named, "architecture os os.features os.version variant"},
	{"?ImageInspect", harmless, "manifests"},
	{"?ImageList", harmless, "all digests identity manifests only_ids shared-size"},
	{"?ImageList", named, "filter"},
	{"?ImageLoad", harmless, "quiet"},
	{"?ImagePush", named, "tag"},
	{"?NetworkInspect", harmless, "verbose"},
	{"?NetworkInspect", named, "scope"},
	{"?PutContainerArchive", harmless, "copyUIDGID noOverwriteDirNonDir"},
	{"?ServiceInspect", harmless, "insertDefaults"},
	{"?ServiceList", harmless, "all status"},
	{"?ServiceUpdate", named, "registryAuthFrom"},
	{"?ServiceUpdate", "rollback()", "rollback"},
	{"?SystemDataUsage", harmless, "verbose"},
	{"?SystemDataUsage", named, "type"},
	{"?SystemEvents", moment, "since until"},
	{"?VolumeDelete", harmless, "force"},
}
