package operation

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/engine/principal"
)

// Each guard here stands alone: what else would have noticed is out of the way.

func create(t *testing.T, body string) *Operation {
	t.Helper()
	return mustParse(t, post("/containers/create", body))
}

// TestNoBodyHasNoKeys: an operation that takes no body of JSON has a schema in which every key is unknown.
func TestNoBodyHasNoKeysClosed(t *testing.T) {
	for i := range catalogue {
		if e := &catalogue[i]; (e.body == bodyNone || e.body == bodyOpaque) && e.schema != nodeEmpty {
			t.Errorf("%s has schema %d", e.id, e.schema)
		}
	}
}

// TestNoHeadersAreAnEmptyObject to a policy, and not null.
func TestNoHeadersAreAnEmptyObject(t *testing.T) {
	if op := mustParse(t, &Request{Method: "GET", URI: "/info", Proto: "HTTP/1.1"}); op.Headers == nil {
		t.Error("they are null")
	}
	if op := mustParse(t, &Request{Method: "GET", URI: "/info", Proto: "HTTP/1.1", Header: http.Header{"accept": {"a"}}}); op.Headers.Get("Accept") != "a" {
		t.Errorf("a name is spelt as it came: %v", op.Headers)
	}
}

// TestImagesFromNowhereClosed: of what an image is made without saying so the daemon says.
func TestImagesFromNowhereClosed(t *testing.T) {
	for query, want := range map[string]bool{"": true, "?fromImage=x": true, "?fromSrc=-": false, "?fromSrc=http://x/y.tar": true} {
		if op := mustParse(t, post("/images/create"+query, "")); slices.Contains(op.Hazards, HazardOutbound) != want {
			t.Errorf("%q: %v", query, op.Hazards)
		}
	}
}

// TestWhatIsLeftEmptyIsNoRail: neither a service's runtime, nor its rollback.
func TestWhatIsLeftEmptyIsNoRail(t *testing.T) {
	for uri, rail := range map[string]bool{"": false, "&rollback=": false, "&rollback=none": false, "&rollback=previous": true} {
		if op := mustParse(t, post("/services/s/update?version=1"+uri, `{"Name":"s","TaskTemplate":{"Runtime":""}}`)); (op.Rail != "") != rail {
			t.Errorf("%q: %q", uri, op.Rail)
		}
	}
	for runtime, rail := range map[string]bool{"container": false, "types.docker.com/RuntimeContainer": false, "plugin": true} {
		if op := mustParse(t, post("/services/create", `{"TaskTemplate":{"Runtime":"`+runtime+`"}}`)); (op.Rail != "") != rail {
			t.Errorf("%s: %q", runtime, op.Rail)
		}
	}
	for runtime, hazard := range map[string]bool{"": false, "runc": false, "kata": true} {
		req := post("/containers/create", `{"HostConfig":{"Runtime":"`+runtime+`"}}`)
		req.Engine = &Engine{Runtime: "runc"}
		if op := mustParse(t, req); (len(op.Hazards) > 0) != hazard {
			t.Errorf("runtime %q: %v", runtime, op.Hazards)
		}
	}
}

// TestGroupOfAnExec is the number that was asked for, and 0 is one.
func TestGroupOfAnExec(t *testing.T) {
	req := post("/containers/x/exec", `{"Cmd":["id"],"User":"1000:0"}`)
	req.Engine = &Engine{HostUsers: true}
	if op := mustParse(t, req); !slices.Contains(op.Mints, "container-gid:0") || slices.Contains(op.Mints, "container-uid:*") {
		t.Errorf("%v", op.Mints)
	}
	req = post("/containers/x/exec", `{"Cmd":["id"],"User":"1000:0","Privileged":true}`)
	req.Engine = &Engine{HostUsers: true}
	if op := mustParse(t, req); !slices.Contains(op.Mints, "container-uid:*") {
		t.Errorf("a privileged one becomes anybody: %v", op.Mints)
	}
}

// TestAnotherNameInFilters stands in place of one, in either form of filters; nothing else is changed, and what is named in another place
// cannot be.
func TestAnotherNameInFiltersClosed(t *testing.T) {
	for _, tc := range []struct {
		uri, filters string
		kind         Kind
		want         string // "": it cannot be
	}{
		{"/containers/json", `{"before":["db","web"],"ancestor":["db"]}`, KindContainer, `{"ancestor":["db"],"before":["none","web"]}`},
		{"/containers/json", `{"since":{"db":true,"web":true}}`, KindContainer, `{"since":{"none":true,"web":true}}`},
		{"/containers/json", `{"ancestor":["db"],"volume":["db"]}`, KindVolume, `{"ancestor":["db"],"volume":["none"]}`},
		{"/containers/json", `{"before":["web"]}`, KindContainer, ""},
		{"/containers/json", `{"before":["web"],"label":["db"]}`, KindContainer, ""},
		{"/images/get?names=db", "", KindImage, ""},
	} {
		uri := tc.uri
		if tc.filters != "" {
			uri += "?filters=" + url.QueryEscape(tc.filters)
		}
		op := parsed(t, http.MethodGet, uri)
		with, ok := op.WithoutNaming(tc.kind, "db", "none")
		if ok != (tc.want != "") || ok != (with != nil) {
			t.Errorf("%s %s: %v", uri, tc.kind, ok)
		} else if ok && (with.Query.Get("filters") != tc.want || op.URI == with.URI) {
			t.Errorf("%s: %s", tc.filters, with.Query.Get("filters"))
		}
	}
}

// TestWhatCannotHaveLabelsHasNone, and what has no place for them yet is given one.
func TestWhatCannotHaveLabelsHasNone(t *testing.T) {
	labels := map[string]string{"team": "blue"}
	withheld := post("/containers/create", "")
	withheld.Withheld, withheld.ContentLength = true, 5
	op := mustParse(t, withheld)
	if with, err := op.WithLabels(labels); with != op || err != nil {
		t.Errorf("a body that nobody has seen: %s, %v", with.Canonical, err)
	}
	if with, err := op.WithCeilings(Ceilings{Pids: 5}); with != op || err != nil {
		t.Errorf("a body that nobody has seen: %v", err)
	}
	if again, err := op.Outline().Operation(nil); err != nil || again.BodyState != BodyWithheld {
		t.Errorf("a body that nobody has seen is none in a record: %v", err)
	}
	op = mustParse(t, post("/networks/n/connect", `{"Container":"x"}`))
	if with, err := op.WithLabels(labels); with != op || err != nil {
		t.Errorf("a connect: %v", err)
	}
	if _, err := parsed(t, http.MethodPost, "/commit?container=x").WithImageLabels(labels); err != nil {
		t.Errorf("a commit without changes: %v", err)
	}
	op = create(t, `{"HostConfig":{"Mounts":[{"Target":"/a"}]}}`)
	before := clone(op.Body)
	if op.GivenLabel("team"); !reflect.DeepEqual(op.Body, before) {
		t.Errorf("to look for labels makes a place for them: %v", op.Body)
	}
	if _, err := create(t, `null`).WithCeilings(Ceilings{Pids: 5}); err == nil {
		t.Error("what is no object has a ceiling")
	}
	for _, tc := range []struct {
		req  *Request
		want int
	}{
		{post("/services/create", `{"Name":"s"}`), 1},
		{post("/build", ""), 1},
		{post("/containers/create", `{"HostConfig":{"Mounts":[null,{"Target":"/a"},{"Type":"cluster","Target":"/b"},{"Type":"tmpfs","Target":"/c"}]}}`), 3},
	} {
		with, err := mustParse(t, tc.req).WithLabels(labels)
		if err != nil || len(with.GivenLabel("team")) != tc.want {
			t.Errorf("%s: %s, %v", with.ID, with.Canonical, err)
		}
	}
}

// TestWhatIsNoNameNamesNothing: and what is one is told of once, with its place.
func TestWhatIsNoNameNamesNothing(t *testing.T) {
	host := func(s string) *Operation { return create(t, `{"HostConfig":{`+s+`}}`) }
	for want, op := range map[string]*Operation{
		"":     host(`"Binds":["data"]`),
		"data": host(`"Mounts":[{"Source":"data","Target":"/a"},{"Type":"image","Source":"x","Target":"/b"}]`),
		"far":  host(`"Mounts":[{"Type":"cluster","Source":"far","Target":"/a"}]`),
	} {
		var got []string
		for _, obj := range op.Objects() {
			if obj.Kind == KindVolume {
				got = append(got, obj.Ref)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s names the volumes %q, want %q", op.Canonical, got, want)
		}
	}
	if all := mustParse(t, post("/containers/web/update", `{"EndpointConfig":{"NetworkID":"other"}}`)).Objects(); len(all) != 2 || all[1] != (Object{Role: RoleTarget, Kind: KindContainer, Ref: "web"}) {
		t.Errorf("an update is of %+v", all)
	}
	if n := len(parsed(t, http.MethodGet, "/events?filters="+url.QueryEscape(`{"container":["a","a"]}`)).Objects()); n != 1 {
		t.Errorf("%d objects of one name", n)
	}
	var all []string
	for i := range 3 * few {
		all = append(all, `"c`+string(rune('a'+i))+`"`)
	}
	list := strings.Join(all, ",")
	if n := len(parsed(t, http.MethodGet, "/events?filters="+url.QueryEscape(`{"container":[`+list+","+list+`]}`)).Objects()); n != len(all) {
		t.Errorf("%d objects of %d", n, len(all))
	}
	if joined := mustParse(t, post("/build?networkmode=blue", "")).JoinedNetworks(); len(joined) != 1 || joined[0].At != "?networkmode" {
		t.Errorf("%+v", joined)
	}
	if with, ok := parsed(t, http.MethodGet, "/containers/json").WithTargetName(""); ok {
		t.Errorf("what names nothing is %s with another name", with.URI)
	}
}

// TestOnlyWhatIsOursIsResolved: no relative path, none of another machine, and none that another container had.
func TestOnlyWhatIsOursIsResolvedClosed(t *testing.T) {
	nfs := `{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"type":"nfs","device":"/srv/far","o":"addr=10.0.0.1"}}}}`
	op := create(t, `{"HostConfig":{"Binds":["/srv/old:/x"],"Devices":[{"PathOnHost":"kvm"}],"Mounts":[{"Type":"bind","Source":"/srv/l","Target":"/y"},`+nfs+`]}}`)
	asked := []string{}
	r, err := op.ReplacingIn([]string{"HostConfig.Binds"}).ResolveHostPaths(func(p string) (string, error) {
		if asked = append(asked, p); p != "/srv/l" {
			return "", errors.New("nobody should ask")
		}
		return "/srv/real", nil
	})
	if err != nil || !reflect.DeepEqual(asked, []string{"/srv/l"}) || !strings.Contains(string(r.Canonical), "/srv/real") || !strings.Contains(string(r.Canonical), "/srv/old:/x") {
		t.Errorf("%v; asked for %q", err, asked)
	}
}

// TestParametersThatMayComeTwice are all taken, and keys in any case are one.
func TestParametersThatMayComeTwice(t *testing.T) {
	op := parsed(t, http.MethodGet, "/images/get?names=a&platform="+url.QueryEscape(`{"os":"linux"}`)+"&platform="+url.QueryEscape(`{"os":"windows"}`))
	if all, _ := op.Params["platform"].([]any); len(all) != 2 {
		t.Errorf("%v", op.Params)
	}
	if op := create(t, `{"HOSTCONFIG":{"SHMSIZE":1}}`); string(op.Canonical) != `{"HostConfig":{"ShmSize":1}}` {
		t.Errorf("%s", op.Canonical)
	}
}

// TestBodyOfWhichNothingIsKnownClosed: not how long it is, nor what it holds.
func TestBodyOfWhichNothingIsKnownClosed(t *testing.T) {
	req := post("/containers/create", "")
	req.ReadBody, req.ContentLength = nil, -1
	if code := refused(t, req); code != "body-missing" {
		t.Error(code)
	}
}

// TestNoOperationHasWhatIsAnothers: neither a path below its own, nor the parameters of the next one in the table.
func TestNoOperationHasWhatIsAnothersClosed(t *testing.T) {
	if e, _ := find(http.MethodDelete, "/containers/x/checkpoints/a/b"); e.id != "ContainerDelete" {
		t.Errorf("a name with a slash is one of %s", e.id)
	}
	for i := range catalogue {
		e := &catalogue[i]
		if int(e.params.hi) == len(paramTable) {
			continue
		}
		next := paramTable[e.params.hi].name
		has := slices.ContainsFunc(paramTable[e.params.lo:e.params.hi], func(p param) bool { return p.name == next })
		if (e.param(next) != nil) != has {
			t.Errorf("%s has %s, which is another's", e.id, next)
		}
	}
}

// TestJustTheLimit is within it, and what is below it no hazard.
func TestJustTheLimit(t *testing.T) {
	tag := func(text string) string {
		return `{"HostConfig":{"LogConfig":{"Type":"syslog","Config":{"tag":"` + text + `"}}}}`
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	for body, limits := range map[string]bool{
		tag(x(maxTemplate)): false, tag(x(maxTemplate + 1)): true, tag("{{.ID}}" + x(maxTemplate-7)): false,
		`{"HostConfig":{"CpuPeriod":200000}}`: false,
	} {
		if op := create(t, body); slices.Contains(op.Hazards, HazardLimits) != limits {
			t.Errorf("%.80s: %v", body, op.Hazards)
		}
	}
	for body, limits := range map[string]bool{`{"CpuPeriod":200000}`: true, `{"CpuPeriod":200000,"CpuQuota":100000}`: false} {
		if op := mustParse(t, post("/containers/x/update", body)); slices.Contains(op.Hazards, HazardLimits) != limits {
			t.Errorf("an update %s: %v", body, op.Hazards)
		}
	}
	for _, field := range []string{"Labels", "Options"} {
		if op := mustParse(t, post("/networks/create", `{"Name":"n","`+field+`":{"a":"`+x(maxText+1)+`"}}`)); slices.Contains(op.Hazards, HazardLimits) {
			t.Errorf("%s of a network, of which more may be together: %v", field, op.HazardFields)
		}
	}
	for n, long := range map[int]bool{maxText: false, maxText + 1: true} {
		if tooLong(map[string]any{x(n): 1}) != long {
			t.Errorf("a key of %d bytes", n)
		}
	}
	for version, ok := range map[string]bool{"17.6.2-ce": true, "16.0.0": false} {
		if _, is := release(version); is != ok {
			t.Errorf("%s is a release of the Engine: %v", version, is)
		}
	}
}

// TestOwnerIsToldHoweverManyLabelsThereAre.
func TestOwnerIsToldHoweverManyLabelsThereAreClosed(t *testing.T) {
	op := create(t, `{"Labels":{"`+OwnerLabel+`":"me","a":"`+strings.Repeat("x", 1<<20)+`"}}`)
	if !slices.Contains(op.Mints, principal.OfLabel(OwnerLabel, "me").String()) || !slices.Contains(op.Mints, principal.Label.Any()) {
		t.Errorf("%v", op.Mints)
	}
}

// TestWhatNobodyKnowsIsNeverSpared, though another container had it.
func TestWhatNobodyKnowsIsNeverSparedClosed(t *testing.T) {
	op := &Operation{replacement: &replacement{fields: []string{"New"}, spared: map[string]bool{}}, at: []string{"New"}}
	if op.hazard(HazardUnknownInput); len(op.Hazards) != 1 {
		t.Errorf("%v", op.Hazards)
	}
}

// TestParametersHoldNothingThatIsJudged: those that are JSON; else what is in them counts by its own keys.
func TestParametersHoldNothingThatIsJudged(t *testing.T) {
	for _, p := range paramTable {
		if nodeTable[p.json].judged {
			t.Errorf("%s", p.name)
		}
	}
}
