package operation

import (
	"slices"
	"strings"
	"testing"
)

// TestCeilingsClosed: what a request asks for is at most the ceiling, in whatever field it says so;
// what it leaves open is set, and what would lift a limit that a container has is refused.
func TestCeilingsClosed(t *testing.T) {
	most := Ceilings{Memory: 2 << 30, NanoCPUs: 2e9, Pids: 100}
	const all = `"Memory":2147483648,"NanoCpus":2000000000,"PidsLimit":100`
	for _, tc := range []struct{ name, uri, body, want string }{ // want: what is set, "" for nothing, or !why not
		{"nothing", "/containers/create", `{"Image":"x"}`, "HostConfig.Memory HostConfig.NanoCpus HostConfig.PidsLimit"},
		{"null", "/containers/create", `{"Image":"x","HostConfig":null}`, "HostConfig.Memory HostConfig.NanoCpus HostConfig.PidsLimit"},
		{"zeros", "/containers/create", `{"HostConfig":{"Memory":0,"NanoCpus":0,"PidsLimit":0,"CpuQuota":0,"CpuPeriod":0,"MemorySwap":0}}`, "HostConfig.Memory HostConfig.NanoCpus HostConfig.PidsLimit"},
		{"nulls", "/containers/create", `{"HostConfig":{"Memory":null,"NanoCpus":null,"PidsLimit":null,"MemorySwap":null}}`, "HostConfig.Memory HostConfig.NanoCpus HostConfig.PidsLimit"},
		{"none of them", "/containers/create", `{"HostConfig":{"Memory":-1,"PidsLimit":-1,"CpuQuota":-1}}`, "HostConfig.Memory HostConfig.CpuQuota HostConfig.NanoCpus HostConfig.PidsLimit"},
		{"within", "/containers/create", `{"HostConfig":{"Memory":1024,"NanoCpus":10000000,"PidsLimit":1,"MemorySwap":4294967296}}`, ""},
		{"exactly", "/containers/create", `{"HostConfig":{` + all + `}}`, ""},
		{"another case", "/containers/create", `{"hostconfig":{"memory":2147483649}}`, "!2GiB is allowed"},
		{"memory", "/containers/create", `{"HostConfig":{"Memory":4294967296}}`, "!Memory: 4GiB of memory is asked for, and 2GiB is allowed"},
		{"swap", "/containers/create", `{"HostConfig":{"Memory":1024,"MemorySwap":4294967297}}`, "!4GiB is allowed"},
		{"any swap", "/containers/create", `{"HostConfig":{"Memory":1024,"MemorySwap":-1}}`, "!swap without a limit"},
		{"processors", "/containers/create", `{"HostConfig":{"NanoCpus":2000000001}}`, "!2 are allowed"},
		{"a quota", "/containers/create", `{"HostConfig":{"Memory":1,"PidsLimit":1,"CpuQuota":200000}}`, ""},
		{"a larger quota", "/containers/create", `{"HostConfig":{"CpuQuota":200001}}`, "!2 are allowed"},
		{"a quota of a short period", "/containers/create", `{"HostConfig":{"CpuQuota":3000,"CpuPeriod":1000}}`, "!3 processors are asked for, and 2 are allowed"},
		{"a quota of a long period", "/containers/create", `{"HostConfig":{"Memory":1,"PidsLimit":1,"CpuQuota":400000,"CpuPeriod":200000}}`, ""},
		{"a period", "/containers/create", `{"HostConfig":{"Memory":1,"PidsLimit":1,"CpuPeriod":1000}}`, "HostConfig.CpuQuota"},
		{"a quota beside processors", "/containers/create", `{"HostConfig":{"CpuQuota":1000,"NanoCpus":9000000000}}`, "!9 processors"},
		{"processors beside a quota", "/containers/create", `{"HostConfig":{"CpuQuota":9000000,"NanoCpus":1000000000}}`, "!90 processors"},
		{"processors beside a period", "/containers/create", `{"HostConfig":{"CpuPeriod":1000,"NanoCpus":1000000000}}`, "!100 processors"},
		{"processors beside no quota", "/containers/create", `{"HostConfig":{"Memory":1,"PidsLimit":1,"CpuQuota":-1,"NanoCpus":1000000000}}`, "HostConfig.CpuQuota"},
		{"more processors beside no quota", "/containers/create", `{"HostConfig":{"CpuQuota":-1,"NanoCpus":3000000000}}`, "!3 processors"},
		{"no quota of a period", "/containers/create", `{"HostConfig":{"Memory":1,"PidsLimit":1,"CpuQuota":-1,"CpuPeriod":1000}}`, "HostConfig.CpuQuota"},
		{"so little that it is no limit", "/containers/create", `{"HostConfig":{"NanoCpus":1}}`, "!less than Docker can limit"},
		{"a little too little", "/containers/create", `{"HostConfig":{"NanoCpus":9999999}}`, "!less than Docker can limit"},
		{"a little quota", "/containers/create", `{"HostConfig":{"CpuQuota":999}}`, "!less than Docker can limit"},
		{"a short period", "/containers/create", `{"HostConfig":{"CpuPeriod":999}}`, "!no period"},
		{"a long period", "/containers/create", `{"HostConfig":{"CpuPeriod":1000001}}`, "!no period"},
		{"a period below none", "/containers/create", `{"HostConfig":{"CpuPeriod":-1}}`, "!processors without a limit"},
		{"processors below none", "/containers/create", `{"HostConfig":{"NanoCpus":-1}}`, "!processors without a limit"},
		{"processors past any number", "/containers/create", `{"HostConfig":{"NanoCpus":9223372036854775807}}`, "!are allowed"},
		{"processes", "/containers/create", `{"HostConfig":{"PidsLimit":101}}`, "!PidsLimit: 101 processes are asked for, and 100 are allowed"},
		{"a fraction", "/containers/create", `{"HostConfig":{"Memory":1.5}}`, "!no whole number"},
		{"more than is a number", "/containers/create", `{"HostConfig":{"Memory":9223372036854775808}}`, "!no whole number"},

		{"an update of nothing", "/containers/x/update", `{"RestartPolicy":{"Name":"no"}}`, ""},
		{"an update to zero", "/containers/x/update", `{"Memory":0,"NanoCpus":0,"CpuQuota":0,"CpuPeriod":0,"MemorySwap":0}`, ""},
		{"an update within", "/containers/x/update", `{` + all + `}`, ""},
		{"an update of memory", "/containers/x/update", `{"Memory":2147483649}`, "!is allowed"},
		{"an update that lifts memory", "/containers/x/update", `{"Memory":-1}`, "!memory without a limit"},
		{"an update that lifts swap", "/containers/x/update", `{"MemorySwap":-1}`, "!swap without a limit"},
		{"an update of processors", "/containers/x/update", `{"NanoCpus":3000000000}`, "!3 processors"},
		{"an update that lifts processors", "/containers/x/update", `{"CpuQuota":-1}`, "!processors without a limit"},
		{"an update to so little that it is no limit", "/containers/x/update", `{"NanoCpus":9999}`, "!less than Docker can limit"},
		{"an update that lifts processors beside some", "/containers/x/update", `{"NanoCpus":1000000000,"CpuQuota":-1}`, "!processors without a limit"},
		{"an update that lifts a quota of a period", "/containers/x/update", `{"CpuQuota":-1,"CpuPeriod":1000}`, "!processors without a limit"},
		{"an update of a quota", "/containers/x/update", `{"CpuQuota":100000}`, "!give both"},
		{"an update of a period", "/containers/x/update", `{"CpuPeriod":1000}`, "!give both"},
		{"an update of both", "/containers/x/update", `{"CpuQuota":2000,"CpuPeriod":1000}`, ""},
		{"an update of both to more", "/containers/x/update", `{"CpuQuota":2001,"CpuPeriod":1000}`, "!2 are allowed"},
		{"an update that lifts processes", "/containers/x/update", `{"PidsLimit":0}`, "!processes without a limit"},
		{"an update to any processes", "/containers/x/update", `{"PidsLimit":-1}`, "!processes without a limit"},
		{"an update of processes to nothing", "/containers/x/update", `{"PidsLimit":null}`, ""},

		{"a service", "/services/create", `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"x"}}}`, "!ServiceCreate runs cannot be held"},
		{"a service's update", "/services/s/update?version=1", `{"Name":"s"}`, "!ServiceUpdate runs cannot be held"},
		{"a build", "/build", "", "!ImageBuild runs cannot be held"},
		{"another operation", "/containers/x/stop", "", ""},
	} {
		op := mustParse(t, post(tc.uri, tc.body))
		before := string(op.Canonical)
		with, err := op.WithCeilings(most)
		if why, refused := strings.CutPrefix(tc.want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v, want %q", tc.name, err, why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var set []string
		for _, f := range with.Set {
			set = append(set, f.Field)
		}
		if got := strings.Join(set, " "); got != tc.want || string(op.Canonical) != before || len(op.Set) > 0 {
			t.Errorf("%s: sets %q, want %q", tc.name, got, tc.want)
		}
		if again, err := with.WithCeilings(most); err != nil || again != with {
			t.Errorf("%s: what is set is not enough: %s, %v", tc.name, with.Canonical, err)
		}
		for _, f := range with.Set {
			name := strings.TrimPrefix(f.Field, "HostConfig.")
			want := map[string]int64{"Memory": 2 << 30, "NanoCpus": 2e9, "PidsLimit": 100, "CpuQuota": 2000}[name]
			if name == "CpuQuota" && !strings.Contains(tc.body, "CpuPeriod") {
				want = 0
			}
			if f.Value != want || !strings.Contains(string(with.Canonical), `"`+name+`":`) {
				t.Errorf("%s: %s is %d, want %d: %s", tc.name, f.Field, f.Value, want, with.Canonical)
			}
		}
	}
	op := mustParse(t, post("/containers/create", `{"HostConfig":{"CpuPeriod":1000}}`))
	if _, err := op.WithCeilings(Ceilings{NanoCPUs: 5e8}); err == nil {
		t.Error("half a processor of a period of 1 ms is a quota that no kernel has")
	}
	op = mustParse(t, post("/services/create", `{"Name":"s"}`))
	if with, err := op.WithCeilings(Ceilings{Containers: 3}); with != op || err != nil {
		t.Errorf("no ceiling of what one may have: %v", err)
	}
	for _, op := range []*Operation{op, mustParse(t, post("/services/0/update?version=1", `{"Name":"s"}`)), mustParse(t, request("POST", "/build", ""))} {
		if _, err := op.WithCeilings(Ceilings{Volumes: 3}); err == nil || !strings.Contains(err.Error(), "the volumes of what "+op.ID+" runs") {
			t.Errorf("%s with a ceiling on volumes: %v", op.ID, err)
		}
	}
	for _, body := range []string{`{"Image":"x"}`, `null`} {
		op := create(t, body)
		if with, err := op.WithCeilings(Ceilings{Volumes: 3}); with != op || err != nil {
			t.Errorf("%s is not limited by how many volumes there may be: %v", body, err)
		}
	}
}

// TestEachCeilingStandsAlone: what has none is as it was asked for.
func TestEachCeilingStandsAlone(t *testing.T) {
	const body = `{"HostConfig":{"Memory":8589934592,"NanoCpus":8000000000,"PidsLimit":800}}`
	for field, c := range map[string]Ceilings{"Memory": {Memory: 1 << 20}, "8 processors": {NanoCPUs: 1e9}, "PidsLimit": {Pids: 8}} {
		if _, err := create(t, body).WithCeilings(c); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
		if with, err := create(t, `{"Image":"x"}`).WithCeilings(c); err != nil || len(with.Set) != 1 {
			t.Errorf("%s: %v, %v", field, with.Set, err)
		}
	}
	for body, want := range map[string]int64{`{"HostConfig":{"CpuPeriod":1000000}}`: 1_000_000, `{"HostConfig":{"CpuPeriod":1000}}`: 1000} {
		with, err := create(t, body).WithCeilings(Ceilings{NanoCPUs: 1e9})
		if err != nil || len(with.Set) != 1 || with.Set[0].Value != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	with, err := create(t, `{"HostConfig":{"CpuPeriod":200000}}`).WithCeilings(Ceilings{NanoCPUs: 5e6})
	if err != nil || !slices.Contains(with.Hazards, HazardLimits) {
		t.Errorf("what is set is judged, too: %v", err)
	}
}
