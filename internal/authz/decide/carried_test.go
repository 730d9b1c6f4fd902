package decide_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/view"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// joining is an Objects.
type joining struct {
	view.Engine
	joins bool
	err   error
	list  []object.Object
}

func (j joining) HostNetworks(context.Context, *operation.Operation) ([]string, error) {
	if j.joins {
		return []string{"HostConfig.NetworkMode"}, j.err
	}
	return nil, j.err
}

func (j joining) Objects(context.Context, *operation.Operation) []object.Object { return j.list }

// reading is a Policy that reads what the request names, or not.
type reading struct {
	reads bool
	in    *policy.Input
}

func (p *reading) ReadsObjects() bool { return true }

func (p *reading) Decide(_ context.Context, in *policy.Input) policy.Decision {
	if p.in = in; p.reads {
		in.Objects()
	}
	return policy.Decision{Allow: true}
}

// TestClosedWhatWasJudgedIsCarried: the daemon is given the id of what a decision was made on.
func TestClosedWhatWasJudgedIsCarried(t *testing.T) {
	yes := true
	web := object.Object{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: "web", Known: &yes, ID: own, Name: "web"}
	for _, tc := range []struct {
		uri    string
		object object.Object
		reads  bool
		want   string
	}{
		{"/v1.41/containers/web/json?size=1", web, true, "/v1.41/containers/" + own + "/json?size=1"},
		{"/v1.41/containers/web/json", web, false, "/v1.41/containers/web/json"},
		{"/v1.41/containers/web/json", object.Object{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: "web"}, true, "/v1.41/containers/web/json"},
		{"/v1.41/networks/web", object.Object{Role: operation.RoleTarget, Kind: operation.KindNetwork, Ref: "web", Known: &yes, ID: own}, true, "/v1.41/networks/" + own},
		{"/v1.41/networks/bridge", object.Object{Role: operation.RoleTarget, Kind: operation.KindNetwork, Ref: "bridge", Known: &yes, ID: own}, true, "/v1.41/networks/bridge"},
		{"/v1.41/images/web/json", object.Object{Role: operation.RoleTarget, Kind: operation.KindImage, Ref: "web", Known: &yes, ID: own}, true, "/v1.41/images/web/json"},
		{"/v1.41/containers/json?filters=%7B%22before%22%3A%5B%22web%22%5D%7D", object.Object{Role: operation.RoleUses, Kind: operation.KindContainer, Ref: "web", Known: &yes, ID: own}, true, "/v1.41/containers/json?filters=%7B%22before%22%3A%5B%22web%22%5D%7D"},
	} {
		w := &world{}
		o := w.options()
		p := &reading{reads: tc.reads}
		o.Objects, o.Policy = joining{list: []object.Object{tc.object}}, p
		v := w.ask(t, o, "GET", tc.uri, "")
		if !v.Allow || v.Carried().URI != tc.want || v.Operation.URI != tc.uri {
			t.Errorf("%s: %v, carried as %s, judged as %s; want %s", tc.uri, v.Allow, v.Carried().URI, v.Operation.URI, tc.want)
		}
		if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err != nil || v.Carried().URI != tc.want {
			t.Errorf("%s: then %v, %s", tc.uri, err, v.Carried().URI)
		}
	}
}

// TestClosedContainersThatWereJudgedAreCarried: the daemon is given the ids of containers that a request
// enters, or that might have been our own, under any policy, and each is looked up once: a name
// that means another container at the next moment changes nothing.
func TestClosedContainersThatWereJudgedAreCarried(t *testing.T) {
	const db = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	for _, tc := range []struct{ method, uri, body, want, wantBody string }{
		{"POST", "/containers/db/exec", `{"Cmd":["sh"]}`, "/containers/" + db + "/exec", `{"Cmd":["sh"]}`},
		{"POST", "/containers/db/stop?t=1", "", "/containers/" + db + "/stop?t=1", ""},
		{"DELETE", "/containers/db", "", "/containers/" + db, ""},
		{"GET", "/containers/db/json", "", "/containers/db/json", ""}, // no more than a look
		{"POST", "/commit?container=db&repo=x", "", "/commit?container=" + db + "&repo=x", ""},
		{"POST", "/networks/n/connect", `{"Container":"db"}`, "/networks/n/connect", `{"Container":"` + db + `"}`},
		{"POST", "/containers/create", `{"HostConfig":{"PidMode":"container:db","VolumesFrom":["db:ro"]}}`, "/containers/create", `{"HostConfig":{"PidMode":"container:` + db + `","VolumesFrom":["` + db + `:ro"]}}`},
		{"POST", "/containers/create", `{"HostConfig":{"VolumesFrom":["gone"]}}`, "/containers/create", `{"HostConfig":{"VolumesFrom":["gone"]}}`},
	} {
		for _, admin := range []bool{false, true} {
			w := &world{decision: policy.Decision{Allow: true, Admin: admin}}
			o := w.options()
			o.OwnContainer = func() (string, error) { return own, nil }
			lookups := 0
			o.Identifier = identifying{w, func(ref string) ([]string, bool) {
				if lookups++; lookups == 1 && ref == "db" {
					return []string{"container:db", "container-id:" + db, "label:container-id:=x"}, true
				}
				if lookups > 1 && ref == db { // once more, later
					return []string{"container:old-db", "container-id:" + db}, true
				}
				return nil, false
			}}
			v := w.ask(t, o, tc.method, tc.uri, tc.body)
			want, wantBody := tc.want, tc.wantBody
			if admin {
				want, wantBody = tc.uri, tc.body
			}
			if strings.Contains(tc.body, "gone") && !admin {
				if v.Allow {
					t.Errorf("%s: allowed", tc.body)
				}
				continue
			}
			if !v.Allow || v.Carried().URI != want || string(v.Carried().Canonical) != wantBody || v.Operation.URI != tc.uri {
				t.Errorf("%s, admin %v: %v (%s), carried as %s %s", tc.uri, admin, v.Allow, v.Message, v.Carried().URI, v.Carried().Canonical)
			}
			if changed := w.records[0].Changed; (len(changed) == 1) != (want != tc.uri || wantBody != tc.body) || len(changed) == 1 && (changed[0] != audit.Change{What: "container", From: "db", To: db}) {
				t.Errorf("%s, admin %v: the record has %v", tc.uri, admin, changed)
			}
			if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err != nil {
				t.Errorf("%s, admin %v: then %v", tc.uri, admin, err)
			}
		}
	}
}

// identifying is an identifier whose containers are looked up by a function.
type identifying struct {
	*world
	lookUp func(ref string) ([]string, bool)
}

func (i identifying) ContainerPrincipals(_ context.Context, ref string) ([]string, error) {
	if principals, ok := i.lookUp(ref); ok {
		return principals, nil
	}
	return nil, docker.ErrNotFound
}

// TestClosedTargetThatChangesMeanwhile: what the policy read and what was looked at otherwise
// must be one container.
func TestClosedTargetThatChangesMeanwhile(t *testing.T) {
	const db = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	yes := true
	for _, id := range []string{db, own} {
		w := &world{containers: map[string][]string{"db": {"container-id:" + db}}}
		o := w.options()
		o.Objects = joining{list: []object.Object{{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: "db", Known: &yes, ID: id}}}
		o.Policy = &reading{reads: true}
		v := w.ask(t, o, "POST", "/containers/db/exec", `{"Cmd":["sh"]}`)
		if v.Allow != (id == db) || v.Allow && v.Carried().URI != "/containers/"+db+"/exec" || !v.Allow && !strings.Contains(v.Message, "another container") {
			t.Errorf("%s: %v, %s", id, v.Allow, v.Message)
		}
	}
}

// TestNetworkThatMayBeTheHostsIsAHazardClosed, which the policy sees and the verdict has.
func TestNetworkThatMayBeTheHostsIsAHazardClosed(t *testing.T) {
	for _, tc := range []struct {
		objects joining
		hazard  bool
		why     string
	}{
		{joining{}, false, ""},
		{joining{joins: true}, true, ""},
		{joining{joins: true, err: errors.New("the moon is new")}, true, "the moon is new"},
		{joining{err: errors.New("the moon is new")}, true, "the moon is new"},
	} {
		w := &world{decision: policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"no"}}}}
		o := w.options()
		o.Objects = tc.objects
		v := w.ask(t, o, "POST", "/containers/create", `{"HostConfig":{"NetworkMode":"0f"}}`)
		for what, has := range map[string][]operation.Hazard{"the policy": w.input.Operation.Hazards, "the verdict": v.Operation.Hazards} {
			fields := v.Operation.HazardFields[operation.HazardHostNamespace]
			if slices.Contains(has, operation.HazardHostNamespace) != tc.hazard || (len(fields) > 0) != tc.objects.joins {
				t.Errorf("%+v: %s has %v", tc.objects, what, has)
			}
		}
		if !strings.Contains(v.Message, tc.why) || !strings.Contains(v.Message, "no") {
			t.Errorf("%+v: %s", tc.objects, v.Message)
		}
	}
}
