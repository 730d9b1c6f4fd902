package operation

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// everyKey gives all keys of all bodies and all parameters.
func everyKey() (all []keyed) {
	for i := range catalogue {
		all = append(all, catalogue[i].keys()...)
	}
	return all
}

// with is the operation that has the value, as JSON, for the key; without any if
// it is "".
func (k keyed) with(t *testing.T, value string) *Operation {
	t.Helper()
	uri, body := k.written(value)
	if k.isParam() && k.e.body == bodyOptional {
		body = bodyFor(k.e)
	}
	op := mustParse(t, ExampleRequest(k.e.method, uri, body))
	if len(op.Unknown) > 0 {
		t.Errorf("%s %s: unknown %v", k.e.id, k.field(), op.Unknown)
	}
	return op
}

// field is the key as hazards name it.
func (k keyed) field() string { return (&Operation{at: k.path}).field() }

// fits says that a value is of the key's type.
func (k keyed) fits(value string) bool {
	set, _ := k.values()
	return kindOf(value) == kindOf(set) || k.isParam() && k.node == 0
}

// kindOf is what a value is, as JSON: by its first byte, which all numbers share, and true and false.
func kindOf(value string) byte {
	switch first := value[0]; {
	case first == '-' || first >= '0' && first <= '9':
		return '0'
	case first == 'f':
		return 't'
	default:
		return first
	}
}

// tells holds what the hazards of an operation say of one key: those that are
// wanted have it as their field, and no others have, nor are there others than
// without the key.
func (k keyed) tells(t *testing.T, value, want string) {
	t.Helper()
	op, without := k.with(t, value), k.with(t, "")
	var got []string
	for h, fields := range op.HazardFields {
		if slices.Contains(fields, k.field()) {
			got = append(got, string(h))
		}
		if !slices.Contains(op.Hazards, h) {
			t.Errorf("%s %s: %s has fields and is no hazard", k.e.id, k.field(), h)
		}
	}
	slices.Sort(got)
	if strings.Join(got, " ") != want {
		t.Errorf("%s %s = %s (%s): %q, want %q", k.e.id, k.field(), value, classNames[k.class], got, want)
	}
	for _, h := range op.Hazards {
		named := slices.ContainsFunc(op.HazardFields[h], func(field string) bool { return strings.HasPrefix(field, k.field()) })
		if !slices.Contains(without.Hazards, h) && !named {
			t.Errorf("%s %s = %s: the hazard %s names neither the key nor one in it", k.e.id, k.field(), value, h)
		}
	}
	if k.class == railed && op.Rail == "" {
		t.Errorf("%s %s: no rail", k.e.id, k.field())
	}
}

// TestEveryKeyIsWhatTheTableSaysClosed goes through all keys of all bodies and
// all parameters: with a value each is harmless, or a hazard that names it.
func TestEveryKeyIsWhatTheTableSaysClosed(t *testing.T) {
	long.Alone(t)
	keys := everyKey()
	if len(keys) < 1150 {
		t.Fatalf("only %d keys", len(keys))
	}
	for _, k := range keys {
		set, zero := k.values()
		switch {
		case k.class == unclassified:
			t.Errorf("%s %s is not classified", k.e.id, k.field())
		case k.class.quiet():
			k.tells(t, set, "")
		case classHazards[k.class] != "":
			k.tells(t, set, string(classHazards[k.class]))
			if !k.isParam() { // one that is given in vain is not looked at
				k.tells(t, zero, "")
			}
		default:
			of := functionExamples[classNames[k.class]+" "+k.e.id]
			if of == nil {
				of = functionExamples[classNames[k.class]]
			}
			for value, want := range of {
				if k.fits(value) {
					k.tells(t, value, want)
				}
			}
		}
	}
}

// TestEveryFunctionHasExamples: for each hazard that it can tell, and for a
// value with which it tells none.
func TestEveryFunctionHasExamples(t *testing.T) {
	known := map[Hazard]bool{}
	for _, h := range Hazards() {
		known[h.Hazard] = true
	}
	for c := railed + 1; int(c) < len(classNames); c++ {
		name, f := classNames[c], functions[c]
		if h := classHazards[c]; h != "" {
			if !known[h] || f.judge != nil {
				t.Errorf("%s is no hazard, or a function too", name)
			}
			continue
		}
		told := map[Hazard]bool{}
		harmless := false
		for of, values := range functionExamples {
			for _, want := range values {
				if function, _, _ := strings.Cut(of, " "); function == name {
					harmless = harmless || want == ""
					for h := range strings.FieldsSeq(want) {
						told[Hazard(h)] = true
					}
				}
			}
		}
		if f.judge == nil || !harmless {
			t.Errorf("%s has no line of functions in class.go, or no harmless value in functionExamples", name)
		}
		if got, want := slices.Sorted(maps.Keys(told)), slices.Sorted(slices.Values(f.hazards)); !slices.Equal(got, want) {
			t.Errorf("%s: the values in functionExamples tell %v, its line of functions %v", name, got, want)
		}
	}
	for of := range functionExamples {
		if name, _, _ := strings.Cut(of, " "); !slices.Contains(classNames[:], name) {
			t.Errorf("there is no function %s", name)
		}
	}
}

const allMasked = `"/proc/asound","/proc/acpi","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/proc/scsi","/sys/firmware","/sys/devices/virtual/powercap","/proc/interrupts"`

// functionExamples are values by function, and the hazards that they are. A parameter's are texts: where it shares a
// function with a key, its operation has a line.
var functionExamples = map[string]map[string]string{
	"binds()": {
		`["/srv:/x"]`: "host-path", `["/run/docker.sock:/x"]`: "engine-socket host-path", `["/etc:/x:ro"]`: "host-path vitrine-files",
		`["v:/x"]`: "named-volume", `["/srv:/x:rshared"]`: "host-path propagation", `["/x"]`: "", `[]`: "",
	},
	"volumes()": {
		`{"/srv:/x":{}}`: "host-path", `{"/run/docker.sock:/x":{}}`: "engine-socket host-path", `{"/etc:/x":{}}`: "host-path vitrine-files",
		`{"v:/x":{}}`: "named-volume", `{"v:/x:shared":{}}`: "named-volume propagation", `{"/x":{}}`: "",
	},
	"builder()":              {`"2"`: "buildkit", `"x"`: "buildkit", `"1"`: "", `""`: ""},
	"cgroupParent()":         {`"/x"`: "cgroup-parent", `""`: ""},
	"cgroupns()":             {`"host"`: "host-namespace", `"private"`: "", `""`: "", `"x"`: "host-namespace"},
	"changes()":              {`["ENV A=b"]`: "env", `["CMD x","env A=b"]`: "env", `["LABEL a=b\nENV A=b"]`: "env", `["EN\\","V A=b"]`: "env", `["LABEL a=\\","b"]`: "env", `["CMD x","label\ta=b"]`: ""},
	"checkpoint()":           {`"x"`: "", `""`: ""},
	"container()":            {`"x"`: ""},
	"containerName()":        {`"x"`: "", `"` + strings.Repeat("x", 16<<10+1) + `"`: "limits"},
	"cpuPeriod()":            {`100000`: "", `1e9`: "limits"},
	"cpuQuota()":             {`999`: "limits", `1e3`: "limits", `10000`: "", `-1`: "", `0`: ""},
	"cpuQuota() ImageBuild":  {`"999"`: "limits", `"x"`: "limits", `"1000"`: "", `""`: ""},
	"cpuShares()":            {`262144`: "limits", `1025`: "limits", `1e9`: "limits", `1024`: "", `2`: "", `0`: ""},
	"cpuShares() ImageBuild": {`"1025"`: "limits", `"x"`: "limits", `"1024"`: "", `""`: ""},
	"device()":               {`"/dev/x"`: "devices", `"/run/docker.sock"`: "devices engine-socket", `"/etc/docker"`: "devices vitrine-files", `""`: ""},
	"deviceRequests()":       {`[{"Count":-1}]`: "devices", `[]`: ""},
	"deviceRules()":          {`["a *:* rwm"]`: "devices", `[]`: ""},
	"endpoints()":            {`{"n":null}`: "named-network", `{"host":{}}`: "host-namespace", `{"bridge":{},"none":{},"default":null}`: ""},
	"env()":                  {`["A=b"]`: "env", `["A"]`: "env", `["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]`: "", `[]`: ""},
	"execPrivileged()":       {`true`: "privileged", `false`: ""},
	"execUser()":             {`"1000"`: ""},
	"image()":                {`"x"`: ""},
	"importSource()":         {`"http://x"`: "outbound", `"-"`: ""},
	"initPath()":             {`"/srv/x"`: "host-path runtime", `"/run/docker.sock"`: "engine-socket host-path runtime", `"/etc/docker"`: "host-path runtime vitrine-files", `""`: ""},
	"stopTimeout()":          {`601`: "limits", `-1`: "limits", `6e1`: "limits", `600`: "", `0`: ""},
	"interval()":             {`999999999`: "limits", `-1`: "limits", `1e6`: "limits", `1000000000`: "", `0`: ""},
	"ipamDriver()":           {`"x"`: "network-driver", `"default"`: "", `""`: ""},
	"ipc()":                  {`"host"`: "host-namespace", `"container:x"`: "joined-namespace", `"private"`: "", `"shareable"`: "", `"none"`: "", `""`: "", `"x"`: "host-namespace"},
	"isolation()":            {`"process"`: "runtime", `"default"`: "", `""`: ""},
	"labels()":               {`{"a":"b"}`: "", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`: "limits"},
	"links()":                {`["x:y"]`: "link", `[]`: ""},
	"logDetails()":           {`"1"`: "env", `"true"`: "env", `"yes"`: "env", `"0"`: "", `"false"`: "", `""`: ""},
	"logDriver()":            {`"gelf"`: "log-driver", `"json-file"`: "", `"local"`: "", `"none"`: "", `""`: ""},
	"logOptions()": {
		`{"syslog-address":"tcp://x"}`: "log-driver", `{"syslog-address":"unix:///run/docker.sock"}`: "engine-socket log-driver",
		`{"syslog-tls-ca-cert":"/etc/docker"}`: "log-driver vitrine-files", `{"max-size":"1m","max-file":"3","compress":"true","tag":"x","mode":"non-blocking"}`: "",
		`{"max-buffer-size":"16m"}`: "", `{"mode":"non-blocking","max-buffer-size":"17m"}`: "limits", `{"max-buffer-size":"200g"}`: "limits", `{"max-buffer-size":"x"}`: "limits",
		`{"max-file":"1000"}`: "", `{"max-file":"1001"}`: "limits", `{"max-file":"x"}`: "limits", `{"tag":"{{.ImageName}}/{{ .Name }}/{{.FullID}}"}`: "",
	},
	"macAddress()":               {`"02:42:ac:11:00:02"`: "network-address", `""`: ""},
	"maskedPaths()":              {`[]`: "unmasked", `["/proc/kcore"]`: "unmasked", `[` + allMasked + `]`: "", `[` + allMasked + `,"/proc/x"]`: ""},
	"readonlyPaths()":            {`[]`: "unmasked", `["/proc/sys"]`: "unmasked", `["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]`: ""},
	"mountSource()":              {`"/srv"`: "host-path", `"/run/docker.sock"`: "engine-socket host-path", `"/etc"`: "host-path vitrine-files", `"v"`: "named-volume", `""`: ""},
	"mountType()":                {`"cluster"`: "volume-driver", `"x"`: "volume-driver", `"bind"`: "", `"volume"`: "", `"tmpfs"`: "", `"image"`: ""},
	"namespace()":                {`"host"`: "host-namespace", `"HOST"`: "host-namespace", `"container:x"`: "joined-namespace", `""`: ""},
	"networkDriver()":            {`"macvlan"`: "network-driver", `"bridge"`: "", `"overlay"`: "", `""`: ""},
	"networkID()":                {`"x"`: ""}, // of the Engine's own network
	"networkID() NetworkConnect": {`"x"`: "named-network", `"host"`: "host-namespace"},
	"networkMode()":              {`"host"`: "host-namespace", `"Host"`: "host-namespace", `"container:x"`: "joined-namespace", `"n"`: "named-network", `"default"`: "", `"bridge"`: "", `"none"`: "", `""`: ""},
	"otherLabels()":              {`{"a":"b"}`: "", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`: "limits"},
	"outputs()":                  {`[{"Type":"image","Attrs":{"name":"x","push":"true"}}]`: "outbound", `[{"Type":"image","Attrs":{"name":"x"}}]`: ""},
	"propagation()":              {`"rshared"`: "propagation", `"x"`: "propagation", `"rprivate"`: "", `"rslave"`: "", `""`: ""},
	"psArgs()":                   {`"axe"`: "env", `""`: ""},
	"pull()":                     {`"x"`: "outbound", `""`: ""},
	"remote()":                   {`"http://x"`: "outbound", `"client-session"`: "", `""`: ""},
	"repository()":               {`"x"`: ""},
	"rollback()":                 {`"previous"`: "", `"none"`: "", `""`: ""},
	"runtime()":                  {`"kata"`: "runtime", `""`: ""},
	"securityMode()":             {`"unconfined"`: "security-opt", `"default"`: "", `""`: ""},
	"securityOpt()":              {`["seccomp=unconfined"]`: "security-opt", `["no-new-privileges"]`: "", `["no-new-privileges:true"]`: ""},
	"taskRuntime()":              {`"plugin"`: "", `{}`: ""},
	"tmpfs()": {
		`{"/x":"rw,size=1m,mode=1777,exec"}`: "", `{"/x":"shared"}`: "propagation", `{"/x":"ro,bind"}`: "propagation",
		`[["exec"],["uid","1"]]`: "", `[["size=1m","x"],["rshared"]]`: "propagation",
	},
	"volumeDriver()": {`"x"`: "volume-driver", `"local"`: "", `""`: ""},
	"volumeOptions()": {
		`{"size":"1m"}`: "volume-driver", `{"device":"/srv","o":"bind"}`: "host-path volume-driver",
		`{"device":"/run/docker.sock","o":"bind"}`: "engine-socket host-path volume-driver",
		`{"device":"/etc","o":"bind"}`:             "host-path vitrine-files volume-driver", `{}`: "",
	},
	"volumesFrom()": {`["x"]`: "volumes-from", `[]`: ""},
}

// TestUnclassifiedIsUnknownInputClosed: a key or parameter that the catalogue
// has and nobody classified is as one that it lacks, and a word of the table
// without a meaning is no licence.
func TestUnclassifiedIsUnknownInputClosed(t *testing.T) {
	reclassify := func(class *class, to class) func() {
		was := *class
		*class = to
		return func() { *class = was }
	}
	create := entryOf(t, "ContainerCreate")
	host := nodeTable[create.schema].property("HostConfig")
	memory := nodeTable[host.node].property("Memory")
	defer reclassify(&memory.class, unclassified)()
	for _, body := range []string{`{"HostConfig":{"Memory":1}}`, `{"HostConfig":{"memory":null}}`} {
		op := mustParse(t, request("POST", "/containers/create", body))
		if hazards(op) != "unknown-input" || len(op.Unknown) != 1 {
			t.Errorf("%s: %s %v", body, hazards(op), op.Unknown)
		}
	}
	defer reclassify(&create.param("platform").class, unclassified)()
	if op := mustParse(t, request("POST", "/containers/create?platform=x", "{}")); hazards(op) != "unknown-input" || len(op.Unknown) != 1 {
		t.Errorf("?platform: %s", hazards(op))
	}
	if code := refused(t, request("POST", "/containers/create?platform=x&platform=y", "{}")); code != "query-repeated" {
		t.Errorf("?platform twice: %s", code)
	}
	was := functions[byCgroupns]
	defer func() { functions[byCgroupns] = was }()
	functions[byCgroupns] = function{}
	if op := mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"CgroupnsMode":"private"}}`)); hazards(op) != "unknown-input" {
		t.Errorf("a function that is not there: %s", hazards(op))
	}
}

// TestIsField: a name is that of the field if it is what field makes of it.
func TestIsField(t *testing.T) {
	places := [][]string{nil, {"a"}, {"a", "b"}, {"a", "[]"}, {"a", "[]", "b"}, {"ab"}, {"axb"}, {"a", "bc"}, {"a", "b", "c"}, {"a", "*", "b"}, {"a[]"}}
	for _, at := range places {
		is := &Operation{at: at}
		for _, other := range places {
			if name := (&Operation{at: other}).field(); is.isField(name) != (is.field() == name) {
				t.Errorf("%q is %q: %v", is.field(), name, is.isField(name))
			}
		}
	}
}
