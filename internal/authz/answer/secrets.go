package answer

import "slices"

// secret is a kind of thing that answers may hold and not everybody may see.
type secret struct {
	Name    string
	Meaning string
}

// The names of the secrets.
const (
	env            = "env"
	commands       = "commands"
	exec           = "exec"
	health         = "health"
	buildArgs      = "build-args"
	volumeOptions  = "volume-options"
	logOptions     = "log-options"
	networkOptions = "network-options"
	proxies        = "proxies"
	swarmSpec      = "swarm-spec"
	configData     = "config-data"
	failures       = "errors"
)

// secrets is the closed list of secrets with their meanings.
func secrets() []secret {
	return []secret{
		{env, "environment variables of containers, images, plugins and services (their names stay), and the build steps that set them"},
		{commands, "command lines as containers, images, plugins and services have them, and those of processes"},
		{exec, "command lines of execs, in events too"},
		{health, "command lines of health checks, and what the checks print"},
		{buildArgs, "build steps with their arguments: histories, the build cache, attestations"},
		{volumeOptions, "options of volume drivers and mounts, such as a CIFS password, and what drivers report"},
		{logOptions, "options of log drivers, such as a token"},
		{networkOptions, "options of network and IPAM drivers"},
		{proxies, "URLs of proxies and of an external store, with user and password"},
		{swarmSpec, "a swarm's specification (external CAs with their URLs and options), join tokens, the unlock key"},
		{configData, "what configs hold, and options of secrets' drivers"},
		{failures, "texts of errors, which may quote any of these: in the answer, or the answer itself if it is an error"},
	}
}

// Names are the names of the secrets.
func Names() []string {
	var names []string
	for _, s := range secrets() {
		names = append(names, s.Name)
	}
	return names
}

// row says where in an operation's answer a secret is.
type row struct {
	operation, secret string
	places            []string
}

// table is all that is known of where secrets are.
func table() []row {
	return slices.Concat(containerRows(), imageRows(), volumeRows(), networkRows(), pluginRows(), systemRows(), swarmRows())
}

func containerRows() []row {
	rows := []row{
		{"ContainerInspect", env, []string{"/Config/Env/*"}},
		{"ContainerInspect", commands, []string{"/Path", "/Args", "/Config/Cmd", "/Config/Entrypoint", "/Config/Shell", "/Config/OnBuild"}},
		{"ContainerInspect", health, []string{"/Config/Healthcheck/Test", "/State/Health/Log/*/Output"}},
		{"ContainerInspect", volumeOptions, []string{"/HostConfig/Mounts/*/VolumeOptions/DriverConfig/Options/*"}},
		{"ContainerInspect", logOptions, []string{"/HostConfig/LogConfig/Config/*"}},
		{"ContainerInspect", networkOptions, []string{"/NetworkSettings/Networks/*/DriverOpts/*"}},
		{"ContainerInspect", failures, []string{"/State/Error"}},
		{"ContainerList", commands, []string{"/*/Command"}},
		{"ContainerList", networkOptions, []string{"/*/NetworkSettings/Networks/*/DriverOpts/*"}},
		{"ContainerTop", commands, []string{"/Processes"}},
		{"ContainerWait", failures, []string{"/Error/Message"}},
		{"ExecInspect", exec, []string{"/ProcessConfig/entrypoint", "/ProcessConfig/arguments"}},
	}
	// What mounts volumes or starts a process fails with a text that quotes the
	// mount's options or the command line.
	for _, operation := range []string{
		"ContainerCreate", "ContainerStart", "ContainerRestart", "ContainerDelete", "ContainerArchive", "PutContainerArchive", "ExecStart",
	} {
		rows = append(rows, row{operation, failures, []string{ErrorText}})
	}
	return rows
}

func imageRows() []row {
	rows := []row{
		// The command of ContainerConfig is the last step of a build, and OnBuild are steps of others, any of these.
		{"ImageInspect", buildArgs, []string{"/ContainerConfig/Cmd/*", "/Comment", "/Config/OnBuild", "/ContainerConfig/OnBuild"}},
		{"ImageInspect", env, []string{"/Config/Env/*", "/ContainerConfig/Env/*", "/ContainerConfig/Cmd/*", "/Config/OnBuild", "/ContainerConfig/OnBuild"}},
		{"ImageInspect", health, []string{
			"/Config/Healthcheck/Test", "/ContainerConfig/Healthcheck/Test", "/ContainerConfig/Cmd/*", "/Config/OnBuild", "/ContainerConfig/OnBuild",
		}},
	}
	for _, config := range []string{"/Config", "/ContainerConfig"} {
		rows = append(rows, row{"ImageInspect", commands, under(config, "/Cmd", "/Entrypoint", "/Shell", "/OnBuild")})
	}
	for _, secret := range []string{env, commands, health} {
		rows = append(rows, row{"ImageHistory", secret, []string{"/*/CreatedBy"}})
	}
	return append(rows,
		row{"ImageHistory", buildArgs, []string{"/*/CreatedBy", "/*/Comment"}},
		row{"ImageAttestations", env, []string{"/*/Statement"}},
		row{"ImageAttestations", buildArgs, []string{"/*/Statement"}},
	)
}

func volumeRows() []row {
	volume := []string{
		"/Options/*", "/Status/*", "/ClusterVolume/Info/VolumeContext/*", "/ClusterVolume/PublishStatus/*/PublishContext/*",
		"/ClusterVolume/Spec/AccessMode/MountVolume/MountFlags",
	}
	return []row{
		{"VolumeCreate", volumeOptions, volume},
		{"VolumeInspect", volumeOptions, volume},
		{"VolumeList", volumeOptions, under("/Volumes/*", volume...)},
		{"VolumeList", failures, []string{"/Warnings"}},
		{"SystemDataUsage", volumeOptions, under("/Volumes/*", volume...)},
		{"SystemDataUsage", volumeOptions, under("/VolumeUsage/Items/*", volume...)},
		{"VolumeDelete", failures, []string{ErrorText}},
		{"VolumePrune", failures, []string{ErrorText}},
	}
}

func networkRows() []row {
	network := []string{"/Options/*", "/IPAM/Options/*"}
	return []row{
		{"NetworkInspect", networkOptions, network},
		{"NetworkList", networkOptions, under("/*", network...)},
		{"NetworkListSlash", networkOptions, under("/*", network...)},
	}
}

func pluginRows() []row {
	var rows []row
	for operation, at := range map[string]string{"PluginInspect": "", "PluginDelete": "", "PluginList": "/*"} {
		rows = append(rows,
			row{operation, env, under(at, "/Settings/Env/*", "/Config/Env/*/Value")},
			row{operation, commands, under(at, "/Settings/Args", "/Config/Args/Value", "/Config/Entrypoint")},
			row{operation, volumeOptions, under(at, "/Settings/Mounts/*/Options", "/Config/Mounts/*/Options")},
		)
	}
	return rows
}

func systemRows() []row {
	rows := []row{
		{"SystemDataUsage", buildArgs, []string{"/BuildCache/*/Description", "/BuildCacheUsage/Items/*/Description"}},
		{"SystemEvents", exec, []string{"/Action", "/status"}},
		{"SystemEvents", health, []string{"/Action", "/status"}},
		{"SystemInfo", commands, []string{"/Runtimes/*/runtimeArgs"}},
		{"SystemInfo", proxies, []string{"/HttpProxy", "/HttpsProxy", "/ClusterStore"}},
		{"SystemInfo", swarmSpec, []string{"/Swarm/Cluster/Spec"}},
		{"SystemInfo", logOptions, []string{"/Swarm/Cluster/Spec/TaskDefaults/LogDriver/Options/*"}},
		{"SystemInfo", failures, []string{"/Swarm/Error"}},
	}
	for _, containers := range []string{"/Containers/*", "/ContainerUsage/Items/*"} {
		rows = append(rows,
			row{"SystemDataUsage", commands, under(containers, "/Command")},
			row{"SystemDataUsage", networkOptions, under(containers, "/NetworkSettings/Networks/*/DriverOpts/*")},
		)
	}
	return rows
}

func swarmRows() []row {
	rows := []row{
		{"SwarmInspect", swarmSpec, []string{"/Spec", "/JoinTokens"}},
		{"SwarmInspect", logOptions, []string{"/Spec/TaskDefaults/LogDriver/Options/*"}},
		{"SwarmUnlockkey", swarmSpec, []string{"/UnlockKey"}},
		{"ConfigInspect", configData, []string{"/Spec/Data"}},
		{"ConfigList", configData, []string{"/*/Spec/Data"}},
		{"SecretInspect", configData, []string{"/Spec/Driver/Options/*"}},
		{"SecretList", configData, []string{"/*/Spec/Driver/Options/*"}},
		{"NodeInspect", failures, []string{"/Status/Message"}},
		{"NodeList", failures, []string{"/*/Status/Message"}},
		{"ServiceInspect", failures, []string{"/UpdateStatus/Message"}},
		{"ServiceList", failures, []string{"/*/UpdateStatus/Message"}},
		{"TaskInspect", failures, []string{"/Status/Err", "/Status/Message"}},
		{"TaskList", failures, []string{"/*/Status/Err", "/*/Status/Message"}},
	}
	for operation, specs := range map[string][]string{
		"ServiceInspect": {"/Spec/TaskTemplate", "/PreviousSpec/TaskTemplate"},
		"ServiceList":    {"/*/Spec/TaskTemplate", "/*/PreviousSpec/TaskTemplate"},
		"TaskInspect":    {"/Spec"}, "TaskList": {"/*/Spec"},
	} {
		for _, spec := range specs {
			rows = append(rows,
				row{operation, env, under(spec, "/ContainerSpec/Env/*", "/PluginSpec/env/*")},
				row{operation, commands, under(spec, "/ContainerSpec/Command", "/ContainerSpec/Args")},
				row{operation, health, under(spec, "/ContainerSpec/Healthcheck/Test")},
				row{operation, volumeOptions, under(spec, "/ContainerSpec/Mounts/*/VolumeOptions/DriverConfig/Options/*")},
				row{operation, logOptions, under(spec, "/LogDriver/Options/*")},
				row{operation, networkOptions, under(spec, "/Networks/*/DriverOpts/*")},
			)
		}
	}
	for operation, at := range map[string]string{"ServiceInspect": "", "ServiceList": "/*"} {
		rows = append(rows, row{operation, networkOptions, under(at, "/Spec/Networks/*/DriverOpts/*", "/PreviousSpec/Networks/*/DriverOpts/*")})
	}
	for operation, at := range map[string]string{"TaskInspect": "", "TaskList": "/*"} {
		rows = append(rows, row{operation, networkOptions, under(at+"/NetworksAttachments/*/Network", "/Options/*", "/IPAM/Options/*",
			"/DriverState/Options/*", "/IPAMOptions/Driver/Options/*", "/Spec/DriverConfiguration/Options/*", "/Spec/IPAMOptions/Driver/Options/*")})
	}
	return rows
}

// under puts a place in front of others.
func under(at string, places ...string) []string {
	out := make([]string, len(places))
	for i, p := range places {
		out[i] = at + p
	}
	return out
}
