package docker.authz_test

import rego.v2

import data.docker.authz

# What a role may be; the tests bring their own, so that they hold with any data.
roles := {
	"admin": {"operations": ["*"]},
	"all": {"operations": ["*"]},
	"look": {
		"access": ["ping", "list", "inspect"],
		"resources": ["containers", "system"],
		"operations": ["SystemEvents"],
		"except": ["ContainerTop"],
		"redact": {"ContainerInspect": ["/Config/Env/*", "/Name"]},
		"blanks": {"ContainerInspect": ["env"]},
		"keep_env": ["DD_ENV"],
	},
	"name": {
		"operations": ["ContainerInspect"],
		"redact": {"ContainerInspect": ["/Config/Env/*"]},
		"blanks": {"ContainerInspect": ["env"]},
		"where": {"team": "sre"},
		"without_redaction": true,
	},
	"ci": {
		"access": ["write", "inspect"],
		"hazards": ["host-path", "named-volume"],
		"host_paths": ["/srv/ci", "volume:cache"],
	},
	"risky": {"operations": ["a", "b", "c", "d", "ContainerCreate"], "hazards": ["*"]},
}

bindings := {
	"admin": ["unix:root", "local"],
	"all": ["unix:all"],
	"look": ["label:role=look"],
	"name": ["tls:name"],
	"ci": [["container:ci", "container-uid:1000"]],
	"risky": ["unix:risky"],
}

# What a request is unless a test says otherwise.
operation := {
	"id": "ContainerList", "resource": "containers", "target": "", "access": "list",
	"hazards": [], "hazard_fields": {}, "host_paths": [], "unresolved": [], "substituted": [], "replaced": [], "mints": [], "enters": [], "unknown": [],
	"params": {}, "version": "1.41",
}

create := object.union(operation, {"id": "ContainerCreate", "access": "write"})

inspect := object.union(operation, {"id": "ContainerInspect", "access": "inspect", "hazards": ["env"]})

looker := ["container:x", "label:role=look"]

ci := ["container:ci", "container-uid:1000"]

by(principals, op) := {
	"caller": {"kind": "container", "principals": principals},
	"operation": op,
	"request": {"method": "GET", "body_state": "none"},
}

allowed(input_) if {
	authz.allow with input as input_ with data.roles as roles with data.bindings as bindings
}

denied(input_) if {
	not authz.allow with input as input_ with data.roles as roles with data.bindings as bindings
}

reasons(input_) := told if {
	told := authz.reasons with input as input_ with data.roles as roles with data.bindings as bindings
}

changed(op, change) := object.union(op, change)

# Roles and bindings

test_look_lists if {
	allowed(by(looker, operation))
	reasons(by(looker, operation)) == {"role look"}
}

test_look_does_not_create if {
	denied(by(looker, create))
	reasons(by(looker, create)) == {"role look allows ping, list, inspect, SystemEvents; ContainerCreate is class write"}
}

test_named_operation if {
	allowed(by(looker, changed(operation, {"id": "SystemEvents", "access": "stream", "resource": "system"})))
}

test_other_resource if {
	secrets := by(looker, changed(operation, {"resource": "secrets", "id": "SecretList"}))
	denied(secrets)
	reasons(secrets) == {"SecretList is class list of secrets; role look allows that of containers, system only"}
}

test_excepted if {
	top := by(looker, changed(operation, {"id": "ContainerTop", "access": "inspect"}))
	denied(top)
	reasons(top) == {"ContainerTop is class inspect; role look excepts it"}
	said := authz.reasons with input as top with data.roles as {"look": {"access": ["inspect"], "except": ["ContainerTop"]}} with data.bindings as bindings
	said == reasons(top)
}

test_operation_without_a_name_closed if {
	nameless := by(looker, object.remove(operation, ["id", "access"]))
	denied(nameless)
	reasons(nameless) == {"role look allows ping, list, inspect, SystemEvents; it is not known which operation this is"}
}

test_unknown_input_is_named if {
	reasons(by(ci, changed(create, {"hazards": ["unknown-input"], "unknown": ["/HostConfig/Foo", "?bar"]}))) == {"role ci does not take the hazards unknown-input (/HostConfig/Foo, ?bar)"}
}

test_hazard_names_its_fields if {
	op := changed(create, {"hazards": ["cap", "env", "host-path"], "hazard_fields": {"cap": ["HostConfig.CapAdd"], "host-path": ["HostConfig.Binds"]}})
	reasons(by(ci, op)) == {"role ci does not take the hazards cap (HostConfig.CapAdd), env"}
	reasons(by(ci, changed(op, {"hazard_fields": {"cap": [], "env": null}}))) == {"role ci does not take the hazards cap, env"}
	reasons(by(ci, changed(op, {"hazard_fields": null}))) == {"role ci does not take the hazards cap, env"}
}

test_stranger_closed if {
	denied(by(["container:x"], operation))
	reasons(by(["container:x"], operation)) == {"no role is bound to the caller"}
}

test_all_of_a_list_must_hold if {
	allowed(by(ci, create))
	denied(by(["container:ci"], create))
	denied(by(["container-uid:1000"], create))
}

test_empty_list_is_held_by_nobody_closed if {
	not authz.allow with input as by(looker, operation)
		with data.roles as roles
		with data.bindings as {"look": [[]]}
}

test_role_that_does_not_exist_closed if {
	not authz.allow with input as by(looker, operation)
		with data.roles as {}
		with data.bindings as bindings
}

test_many_operations_are_counted if {
	reasons(by(["unix:risky"], operation)) == {"role risky allows 5 operations; ContainerList is class list"}
}

# Admin

test_admin_does_everything if {
	every principal in ["unix:root", "local"] {
		wild := changed(create, {
			"hazards": ["privileged", "unknown-input"],
			"unknown": ["/Foo"],
			"mints": ["*"],
			"enters": ["container:ci"],
			"host_paths": ["/"],
		})
		given := object.union(by([principal], wild), {"request": {"body_state": "withheld"}})
		allowed(given)
		reasons(given) == {"role admin"}
		authz.admin with input as given with data.roles as roles with data.bindings as bindings
	}
}

test_admin_sees_everything if {
	given := by(["unix:root", "tls:name"], inspect)
	authz.redact == set() with input as given with data.roles as roles with data.bindings as bindings
	authz.where == {} with input as given with data.roles as roles with data.bindings as bindings
}

test_star_is_not_admin if {
	given := by(["unix:all"], operation)
	allowed(given)
	not authz.admin with input as given with data.roles as roles with data.bindings as bindings
	denied(by(["unix:all"], changed(create, {"hazards": ["privileged"]})))
}

# Hazards

test_hazard_must_be_taken_closed if {
	denied(by(ci, changed(create, {"hazards": ["cap", "privileged"]})))
	reasons(by(ci, changed(create, {"hazards": ["cap", "privileged"]}))) == {"role ci does not take the hazards cap, privileged"}
}

# Where nobody could look at the host, a role must say that it does not mind.
test_unresolved_closed if {
	op := changed(create, {"hazards": ["host-path"], "host_paths": ["/srv/ci/x"], "unresolved": ["/srv/ci/x"]})
	denied(by(ci, op))
	reasons(by(ci, op)) == {"role ci does not take host paths that cannot be looked up (it lacks unresolved: true): /srv/ci/x"}
	denied(by(["unix:risky"], op))
	allowed(by(["unix:root"], op))
	given := by(ci, op)
	every value in [false, null, "", []] {
		careless := object.union(roles, {"ci": object.union(roles.ci, {"unresolved": value})})
		not authz.allow with input as given with data.roles as careless with data.bindings as bindings
	}
	knowing := object.union(roles, {"ci": object.union(roles.ci, {"unresolved": true})})
	authz.allow with input as given with data.roles as knowing with data.bindings as bindings
	elsewhere := by(ci, changed(op, {"host_paths": ["/etc"], "unresolved": ["/etc"]}))
	not authz.allow with input as elsewhere with data.roles as knowing with data.bindings as bindings
}

test_any_hazard if allowed(by(["unix:risky"], changed(create, {"hazards": ["privileged"], "host_paths": ["/"]})))

test_unknown_input_is_never_taken_closed if {
	denied(by(["unix:risky"], changed(create, {"hazards": ["unknown-input"]})))
}

test_environment_is_no_hazard_where_blanked if {
	allowed(by(looker, inspect))
	denied(by(ci, inspect))
	denied(by(["unix:all"], inspect))
}

test_environment_that_is_blanked_in_part_is_a_hazard_closed if {
	every blanks in [{}, {"ContainerInspect": []}, {"ContainerInspect": ["health"]}, {"ImageInspect": ["env"]}] {
		changed_roles := object.union(roles, {"look": {"blanks": object.union({"ContainerInspect": []}, blanks)}})
		not authz.allow with input as by(looker, inspect) with data.roles as changed_roles with data.bindings as bindings
	}
}

test_host_paths if {
	every path in ["/srv/ci", "/srv/ci/a/b", "volume:cache"] {
		allowed(by(ci, changed(create, {"hazards": ["host-path"], "host_paths": [path]})))
	}
	every path in ["/", "/srv", "/srv/cinema", "/srv/ci/../../etc", "volume:other", ""] {
		denied(by(ci, changed(create, {"hazards": ["host-path"], "host_paths": ["/srv/ci", path]})))
	}
	reasons(by(ci, changed(create, {"hazards": ["host-path"], "host_paths": ["/etc"]}))) == {"role ci does not take the host paths /etc"}
}

placed(host_paths, caller, path) if {
	request := {
		"caller": object.union({"kind": "container", "principals": ["container:ci"]}, caller),
		"operation": changed(create, {"host_paths": [path]}),
		"request": {"body_state": "none"},
	}
	authz.allow with input as request
		with data.roles as {"ci": {"access": ["write"], "host_paths": host_paths}}
		with data.bindings as {"ci": ["container:ci", "unix:ann"]}
}

test_volumes_that_begin_so if {
	every path in ["volume:runner-1", "volume:runner-"] {
		placed(["volume:runner-*"], {}, path)
	}
	every path in ["volume:runner", "volume:other", "runner-1", "/runner-1", "volume:Runner-1", "volume:runner-/../x"] {
		not placed(["volume:runner-*", "/srv*"], {}, path)
	}
	not placed(["/srv*"], {}, "/srv1")
}

test_mounts_of_the_caller if {
	caller := {"container": {"mounts": ["/srv/job", "/opt/tool.conf"]}}
	every path in ["/srv/job", "/srv/job/a", "/opt/tool.conf"] {
		placed(["$mounts"], caller, path)
	}
	every path in ["/srv", "/srv/jobs", "/opt", "/", "$mounts", "$mounts/a", "volume:x"] {
		not placed(["$mounts"], caller, path)
	}
	placed(["$mounts", "/a"], caller, "/a/b")
}

# Who is no proven container has mounted nothing.
test_mounts_of_nobody_closed if {
	every caller in [{}, {"container": null}, {"container": {}}, {"container": {"mounts": []}}, {"container": {"mounts": null}}] {
		not placed(["$mounts"], caller, "/srv/job")
		not placed(["$mounts"], caller, "$mounts")
	}
}

test_home_of_the_caller if {
	ann := {"kind": "host", "principals": ["unix:ann", "uid:7"]}
	placed(["/home/$user"], ann, "/home/ann/src")
	placed(["/data/$user/work"], ann, "/data/ann/work")
	every path in ["/home", "/home/anna", "/home/bob", "/home/$user", "/data/ann"] {
		not placed(["/home/$user", "/data/$user/work"], ann, path)
	}
}

# A name that is none, is not one, or leads elsewhere.
test_home_of_nobody_closed if {
	every names in [[], ["unix:"], ["unix:.."], ["unix:."], ["unix:a/b"], ["unix:ann", "unix:bob"], ["container-uid:7"], ["tls:ann"]] {
		every path in ["/home", "/home/ann", "/home/a/b", "/home/$user", "/x"] {
			not placed(["/home/$user"], {"principals": array.concat(["container:ci"], names)}, path)
		}
	}
}

# What no role but admin may do

test_body_that_cannot_be_judged_closed if {
	every state in ["withheld", "invalid", "", "unheard-of"] {
		given := object.union(by(ci, create), {"request": {"body_state": state}})
		denied(given)
		reasons(given) == {"the body cannot be judged: only admin may send it"}
	}
}

test_unknown_key_closed if {
	given := by(ci, changed(create, {"unknown": ["/Foo"]}))
	denied(given)
	reasons(given) == {"unknown input /Foo: only admin may send it"}
}

# The mint

test_mint_of_anothers_role_closed if {
	given := by(ci, changed(create, {"mints": ["container:new", "label:role=look"]}))
	denied(given)
	reasons(given) == {"label:role=look is bound to role look, which the caller does not hold"}
}

test_mint_of_ones_own_role if {
	allowed(by(ci, changed(create, {"mints": ["container:new", "container:ci"]})))
}

test_part_of_a_list_is_guarded_closed if {
	denied(by(["unix:risky"], changed(create, {"mints": ["container:ci"]})))
}

# Any container has a user; with the rest of the list it is the caller of a role.
test_user_alone_is_not_guarded_closed if {
	allowed(by(["unix:risky"], changed(create, {"mints": ["container-uid:1000"]})))
	allowed(by(["unix:risky"], changed(create, {"mints": ["container:x", "container-uid:*"]})))
	every bound in [["container-uid:1000", "container-gid:5"], ["image-id:x"]] {
		not authz.allow with input as by(["unix:risky"], changed(create, {"mints": ["container-uid:*", "container-gid:*", "image-id:*"]}))
			with data.roles as roles
			with data.bindings as {"risky": ["unix:risky"], "look": [bound]}
	}
}

test_peer_is_a_containers_user_closed if {
	every bound in ["peer-uid:1000", "peer-gid:5"] {
		every minted in [["container-uid:*", "container-gid:*"], ["container-uid:1000", "container-gid:5"], ["*"]] {
			not authz.allow with input as by(["unix:risky"], changed(create, {"mints": minted}))
				with data.roles as roles
				with data.bindings as {"risky": ["unix:risky"], "look": [bound]}
		}
	}
}

test_unknowable_mint_closed if {
	denied(by(ci, changed(create, {"mints": ["*"]})))
	denied(by(ci, changed(create, {"mints": ["label:*"]})))
	allowed(by(ci, changed(create, {"mints": ["image:*"]})))
}

test_star_does_not_stand_for_the_host if {
	authz.allow with input as by(["unix:risky"], changed(create, {"mints": ["*"]}))
		with data.roles as roles
		with data.bindings as {"risky": ["unix:risky"], "admin": ["local", "unix:root", "tls:boss", "uid:0"]}
}

execer(role) := {
	"caller": {"kind": "host", "principals": ["uid:7"]},
	"operation": object.union(operation, {"id": "ExecInspect", "resource": "exec", "access": "secret", "target": "e1", "own_exec": true}),
	"request": {"method": "GET", "body_state": "none"},
	"role": role,
}

execs(given) if {
	authz.allow with input as given with data.roles as {"exec": given.role} with data.bindings as {"exec": ["uid:7"]}
}

test_own_exec_follows_from_exec if {
	every role in [
		{"access": ["interactive"]},
		{"access": ["interactive"], "resources": ["containers"]},
		{"access": ["interactive"], "except": ["ContainerTop"]},
		{"operations": ["ContainerExec"]},
	] {
		every id in ["ExecStart", "ExecResize", "ExecInspect"] {
			execs(object.union(execer(role), {"operation": {"id": id}}))
		}
	}
}

test_own_exec_is_all_that_follows_closed if {
	exec := {"operations": ["ContainerExec"]}
	every change in [
		{"own_exec": false}, {"own_exec": null}, {"own_exec": "true"}, {"own_exec": 1}, {"id": "ContainerInspect"}, {"id": null},
		{"hazards": ["env"]}, {"mints": ["unix:x", "*"], "enters": null},
	] {
		not execs(object.union(execer(exec), {"operation": change}))
	}
	given := execer(exec)
	not execs(object.union(object.remove(given, ["operation"]), {"operation": object.remove(given.operation, ["own_exec"])}))
}

test_own_exec_without_exec_closed if {
	every role in [
		{"access": ["inspect", "write"]},
		{"access": ["interactive"], "except": ["ContainerExec"]},
		{"access": ["interactive"], "except": ["ExecInspect"]},
		{"access": ["interactive"], "resources": ["images"]},
		{"operations": ["ContainerInspect"]},
	] {
		not execs(execer(role))
	}
}

# A container that a role is bound to is guarded against its own execs too.
test_own_exec_in_anothers_container_closed if {
	given := object.union(execer({"operations": ["ContainerExec"]}), {"operation": {"enters": ["container:guarded"]}})
	not authz.allow with input as given
		with data.roles as {"exec": given.role, "other": given.role}
		with data.bindings as {"exec": ["uid:7"], "other": ["container:guarded"]}
}

test_enter_anothers_container_closed if {
	given := by(["unix:risky"], changed(create, {"enters": ["container:x", "label:role=look"]}))
	denied(given)
	denied(by(["unix:risky"], changed(create, {"enters": ["*"]})))
}

# What is missing denies: one test a rule

test_empty_input_closed if denied({})

test_no_caller_closed if denied(object.remove(by(looker, operation), ["caller"]))

test_null_caller_closed if denied(object.union(by(looker, operation), {"caller": null}))

test_no_operation_closed if denied(object.remove(by(looker, operation), ["operation"]))

test_no_request_closed if denied(object.remove(by(looker, operation), ["request"]))

test_any_missing_fact_closed if {
	every fact in ["hazards", "host_paths", "unresolved", "substituted", "replaced", "mints", "enters", "unknown"] {
		denied(by(looker, object.remove(operation, [fact])))
		denied(by(["unix:all"], object.remove(operation, [fact])))
		denied(by(looker, object.union(operation, {fact: null})))
	}
	every fact in ["id", "access", "resource"] {
		denied(by(looker, object.remove(operation, [fact])))
	}
}

test_missing_body_state_closed if {
	given := object.union(object.remove(by(looker, operation), ["request"]), {"request": {"method": "GET"}})
	denied(given)
	reasons(given) == {"the body cannot be judged: only admin may send it"}
}

test_missing_facts_are_named if {
	reasons(by(looker, object.remove(operation, ["mints"]))) == {"it is not known what the request would do"}
}

# Obligations

test_redact if {
	given := by(looker, inspect)
	authz.redact == {"/Config/Env/*", "/Name"} with input as given with data.roles as roles with data.bindings as bindings
	authz.keep_env == {"DD_ENV"} with input as given with data.roles as roles with data.bindings as bindings
	not authz.without_redaction with input as given with data.roles as roles with data.bindings as bindings
}

test_audit if {
	learned := {"learned": {"access": ["list"], "mode": "audit"}, "other": {"access": ["list"], "mode": "enforce"}}
	bound := {"learned": ["tls:a"], "other": ["tls:b"]}
	authz.audit with input as by(["tls:a", "tls:b"], inspect) with data.roles as learned with data.bindings as bound
	not authz.audit with input as by(["tls:b"], inspect) with data.roles as learned with data.bindings as bound
	not authz.audit with input as {} with data.roles as learned with data.bindings as bound
	refused := authz.refused with input as by(["tls:a"], inspect) with data.roles as learned with data.bindings as bound
	count(refused) == 0
}

test_one_role_shows_what_another_hides if {
	given := by(array.concat(looker, ["tls:name"]), inspect)
	authz.redact == {"/Config/Env/*"} with input as given with data.roles as roles with data.bindings as bindings
	authz.without_redaction with input as given with data.roles as roles with data.bindings as bindings
}

test_where if {
	given := by(["tls:name"], inspect)
	authz.where == {"team": "sre"} with input as given with data.roles as roles with data.bindings as bindings
	both := by(array.concat(looker, ["tls:name"]), inspect)
	authz.where == {} with input as both with data.roles as roles with data.bindings as bindings
}

# At first look

refused(input_) := told if {
	told := authz.refused with input as input_ with data.roles as roles with data.bindings as bindings
}

codes(input_) := told if {
	told := authz.codes with input as input_ with data.roles as roles with data.bindings as bindings
}

test_refused_at_first_look_is_denied_for_the_same_reasons if {
	every given in [
		by([], create),
		by(looker, create),
		by(looker, changed(operation, {"resource": "secrets"})),
		by(looker, changed(inspect, {"id": "ContainerTop"})),
		by(looker, object.remove(operation, ["id"])),
		by(array.concat(looker, ["tls:name"]), create),
	] {
		denied(given)
		count(refused(given)) > 0
		{r.reason | some r in refused(given)} == reasons(given)
		{r.code | some r in refused(given)} == codes(given)
	}
}

test_not_refused_at_first_look if {
	every given in [
		by(looker, operation),
		by(ci, changed(create, {"hazards": ["privileged"]})),
		by(["unix:root"], create),
		by(array.concat(looker, ["tls:name"]), inspect),
	] {
		refused(given) == set()
	}
}

# Codes

test_codes if {
	codes(by([], create)) == {"no-role"}
	codes(by(looker, create)) == {"not-granted"}
	codes(by(looker, operation)) == set()
	codes(by(ci, changed(create, {"hazards": ["unknown-input"]}))) == {"unknown-input"}
	codes(by(ci, changed(create, {"hazards": ["privileged"]}))) == {"hazard"}
	codes(by(array.concat(ci, looker), changed(create, {"hazards": ["privileged"]}))) == {"hazard", "not-granted"}
}

# Views and ownership

tenants := {
	"blue": {"operations": ["ContainerList", "ContainerCreate"], "where": {"team": "blue"}, "stamp": {"team": "blue"}, "shared": {"images": ["alpine", "golang"], "networks": ["front"]}},
	"ci": {"operations": ["ContainerList", "ContainerCreate"], "own": true, "shared": {"images": ["alpine"]}},
	"each": {"operations": ["ContainerList"], "own": "container"},
	"home": {"operations": ["ContainerList"], "own": "user"},
	"free": {"operations": ["ContainerList"]},
}

tenancies := {
	"blue": ["container:blue"],
	"ci": ["tls:nobody", ["container:runner", "label:pool=a"], "container:other"],
	"each": ["image:job"],
	"home": ["gid:100"],
	"free": ["container:free"],
}

limits(principals) := answer if {
	answer := {"allow": authz.allow, "where": authz.where, "stamp": authz.stamp, "shared": authz.shared} with input as by(principals, operation)
		with data.roles as tenants
		with data.bindings as tenancies
}

test_view_and_stamp_of_a_team if {
	limits(["container:blue"]) == {
		"allow": true, "where": {"team": "blue"}, "stamp": {"team": "blue"},
		"shared": {"images": {"alpine", "golang"}, "networks": {"front"}},
	}
}

test_owner_is_the_binding if {
	owned := {"vitrine.owner": "container:runner+label:pool=a"}
	limits(["label:pool=a", "container:runner"]) == {"allow": true, "where": owned, "stamp": owned, "shared": {"images": {"alpine"}}}
	other := {"vitrine.owner": "container:other"}
	limits(["container:other"]).where == other
}

test_each_containers_own if {
	limits(["container:a", "image:job"]).where == {"vitrine.owner": "container:a"}
	limits(["unix:alice", "gid:100"]).where == {"vitrine.owner": "unix:alice"}
}

# Each entry of a binding is another owner, whom the other holders must not make.
test_mint_of_another_owner_closed if {
	making := changed(create, {"mints": ["container:other"]})
	told := authz.reasons with input as by(["container:runner", "label:pool=a"], making) with data.roles as tenants with data.bindings as tenancies
	told == {"container:other is bound to role ci, by an entry that is another owner's"}
	authz.allow with input as by(["container:other"], making) with data.roles as tenants with data.bindings as tenancies
	authz.allow with input as by(["container:blue"], changed(create, {"mints": ["container:blue"]})) with data.roles as tenants with data.bindings as tenancies
}

# Where each container is another owner, nobody makes owners: not by an entry that he holds himself.
test_mint_of_ever_new_owners_closed if {
	roles := object.union(tenants, {"each": {"operations": ["ContainerList", "ContainerCreate"], "own": "container", "ceilings": {"containers": 3}}})
	bindings := {"each": ["image:job", "container:a", ["container:a", "label:pool=a"], ["label:pool=b", "image:job"]]}
	every reached in [{"mints": ["image:job"]}, {"enters": ["image:job"]}, {"mints": ["*"]}, {"mints": ["image:*"]}] {
		some reason in denied_with(roles, bindings, ["container:a", "image:job"], reached)
		endswith(reason, " is bound to role each, by an entry by which each container is another owner")
	}
	count(denied_with(roles, bindings, ["container:b", "image:job", "label:pool=b"], {"mints": ["label:pool=b"]})) > 0

	# An entry that says which container it is makes the same owner again.
	every reached in [{"mints": ["container:a"]}, {"mints": ["container:a", "label:pool=a"]}, {"mints": ["image:else"]}] {
		denied_with(roles, bindings, ["container:a", "image:job", "label:pool=a"], reached) == set()
	}
}

denied_with(roles, bindings, principals, reached) := {denial.reason |
	some denial in authz.denials with input as by(principals, changed(create, reached)) with data.roles as roles with data.bindings as bindings
}

# Whoever has no name of that kind, or several, owns nothing, and so may nothing.
test_own_without_an_owner_closed if {
	every principals in [["image:job"], ["image:job", "container:a", "container:b"], ["gid:100"]] {
		limits(principals) == {"allow": false, "where": {}, "stamp": {}, "shared": {}}
	}
	told := authz.reasons with input as by(["image:job"], operation) with data.roles as tenants with data.bindings as tenancies
	told == {"role each gives each container its own things, and the caller is none"}
}

# Of several limits all hold, and what one of them shares is not what all do.
test_several_views_closed if {
	limits(["container:blue", "container:other"]) == {
		"allow": true,
		"where": {"team": "blue", "vitrine.owner": "container:other"},
		"stamp": {"team": "blue", "vitrine.owner": "container:other"},
		"shared": {"images": {"alpine"}},
	}
}

test_a_role_without_limits_has_none if {
	limits(["container:free", "container:blue"]) == {"allow": true, "where": {}, "stamp": {}, "shared": {}}
	admin := {"where": authz.where, "stamp": authz.stamp, "shared": authz.shared} with input as by(["unix:root"], operation)
		with data.roles as object.union(tenants, {"admin": {"operations": ["*"]}})
		with data.bindings as {"admin": ["unix:root"], "blue": ["unix:root"]}
	admin == {"where": {}, "stamp": {}, "shared": {}}
}

# Names of images: the part that stands for the owner is nobody else's.
named_roles := object.union(tenants, {
	"ci": {"operations": ["ContainerList"], "own": true, "image_names": ["ci/$owner/*", "reg:5000/$owner"]},
	"blue": {"operations": ["ContainerList"], "where": {"team": "blue"}, "image_names": ["blue/*", "both/*"]},
	"red": {"operations": ["ContainerList"], "where": {"pool": "a"}, "image_names": ["both/*"]},
	"admin": {"operations": ["*"]},
})

named_bindings := object.union(tenancies, {
	"ci": ["uid:4301", "container:job-1", "container-uid:5", ["container:a", "container:b"], "label:k=v", "container:UP", "container:a..b", "container:a_", "unix:root"],
	"red": ["container:blue"],
	"blue": ["container:blue", "tls:blue"],
	"admin": ["unix:root"],
})

names(principals) := found if {
	found := authz.image_names with input as by(principals, operation) with data.roles as named_roles with data.bindings as named_bindings
}

test_image_names if {
	names(["uid:4301"]) == {"ci/uid_4301/*", "reg:5000/uid_4301"}
	names(["container:job-1"]) == {"ci/container_job-1/*", "reg:5000/container_job-1"}
	names(["container-uid:5"]) == {"ci/container-uid_5/*", "reg:5000/container-uid_5"}
	names(["tls:blue"]) == {"blue/*", "both/*"}
	names(["container:blue"]) == {"both/*"}
}

test_image_names_of_no_owner_closed if {
	every principals in [["container:a", "container:b"], ["label:k=v"], ["container:UP"], ["container:a..b"], ["container:a_"], ["container:free", "uid:4301"], ["container:nobody"], ["unix:root"]] {
		names(principals) == set()
	}
}

# Children: what somebody has made

families := {
	"ci": ["container:runner", "owner:container:runner", ["container:pair", "label:pool=a"], ["owner:container:pair+label:pool=a", "image:job"]],
	"each": ["container:a", "owner:container:a", "owner:container:b"],
	"free": ["container:runner", "owner:container:runner"],
	"home": ["container:runner"],
	"blue": ["owner:container:runner"],
	"admin": ["unix:root", "container:boss", "owner:container:boss", "owner:unix:root"],
}

bound_to(principals) := held_roles if {
	held_roles := authz.roles with input as by(principals, operation)
		with data.roles as object.union(tenants, {"admin": {"operations": ["*"]}})
		with data.bindings as families
}

child_limits(principals) := answer if {
	answer := {"allow": authz.allow, "where": authz.where, "stamp": authz.stamp} with input as by(principals, operation)
		with data.roles as tenants
		with data.bindings as object.union(families, {"free": []})
}

# It sees what its owner sees, and what it makes is its owner's.
test_child_is_its_owners if {
	every principals in [["container:runner"], ["container:job", "owner:container:runner"]] {
		owned := {"vitrine.owner": "container:runner"}
		child_limits(principals) == {"allow": true, "where": owned, "stamp": owned}
	}
	child_limits(["container:job", "owner:container:a"]).where == {"vitrine.owner": "container:a"}
	child_limits(["container:a"]).where == {"vitrine.owner": "container:a"}
	pair := {"vitrine.owner": "container:pair+label:pool=a"}
	child_limits(["container:x", "image:job", "owner:container:pair+label:pool=a"]).stamp == pair
}

# No role that the owner's own entry does not hold, and never admin.
test_child_holds_no_more_than_its_owner_closed if {
	bound_to(["container:job", "owner:container:runner"]) == {"ci", "free"}
	bound_to(["container:runner"]) == {"ci", "free", "home"}
	bound_to(["container:job", "owner:container:b"]) == set()
	bound_to(["container:job", "owner:container:boss"]) == set()
	bound_to(["container:job", "owner:unix:root"]) == set()
	bound_to(["container:x", "owner:container:pair+label:pool=a"]) == set()
	bound_to(["container:x", "owner:label:pool=a+container:pair", "image:job"]) == set()
}

# What two owners are said to have, and what an owner's child is said to own, nobody holds.
test_child_of_several_closed if {
	several := {"ci": ["container:a", "container:b", ["owner:container:a", "owner:container:b"], "owner:container:a", "owner:owner:container:a"]}
	every principals in [["owner:owner:container:a"], ["owner:container:x"]] {
		held_roles := authz.roles with input as by(principals, operation) with data.roles as tenants with data.bindings as several
		held_roles == set()
	}
	held_roles := authz.roles with input as by(["owner:container:a", "owner:container:b"], operation)
		with data.roles as tenants
		with data.bindings as {"ci": ["container:a", "container:b", ["owner:container:a", "owner:container:b"]]}
	held_roles == set()
}

mint_told(principals, minted) := told if {
	told := authz.reasons with input as by(principals, changed(create, {"mints": minted}))
		with data.roles as tenants
		with data.bindings as families
}

# An owner and its children make children of theirs, and of nobody else; what nobody can hold guards nothing.
test_mint_of_children if {
	every principals in [["container:runner"], ["container:job", "owner:container:runner"]] {
		mint_told(principals, ["container:x", "owner:container:runner"]) == {"role ci"}
		mint_told(principals, ["owner:container:b"]) == {"role ci"}
	}
}

test_mint_of_others_children_closed if {
	of_another := "owner:container:pair+label:pool=a is bound to role ci, by an entry that is another owner's"
	of_another in mint_told(["container:runner"], ["owner:container:pair+label:pool=a", "image:job"])
	"container:runner is bound to role home, which the caller does not hold" in mint_told(["container:job", "owner:container:runner"], ["container:runner"])
	"container:runner is bound to role ci, by an entry that is another owner's" in mint_told(["container:job", "owner:container:runner"], ["container:runner"])
	"owner:* is bound to role ci, by an entry that is another owner's" in mint_told(["container:runner"], ["owner:*"])
}

capped(held) := answer if {
	answer := authz.ceilings with input as by(held, operation)
		with data.roles as {
			"admin": {"operations": ["*"]},
			"small": {"operations": ["ContainerList"], "ceilings": {"memory": 100, "pids": 7}},
			"large": {"operations": ["ContainerList"], "ceilings": {"memory": 200, "cpus": 0.5}},
			"other": {"operations": ["ContainerCreate"], "ceilings": {"memory": 1}},
			"free": {"operations": ["ContainerList"]},
		}
		with data.bindings as {"admin": ["local"], "small": ["container:s", "local"], "large": ["container:l"], "other": ["container:s"], "free": ["container:f"]}
}

test_ceilings if {
	capped(["container:s"]) == {"memory": 100, "pids": 7}
	capped(["container:s", "container:l"]) == {"memory": 100, "pids": 7, "cpus": 0.5}
	capped(["container:s", "container:f"]) == {}
	capped(["container:f"]) == {}
	capped(["local"]) == {}
}

# Rules of the operator's

test_extra_denies if {
	request := by(ci, create)
	answer := {"allow": authz.allow, "reasons": authz.reasons} with data.docker.authz.extra.deny as {"not on Fridays"}
		with input as request with data.roles as roles with data.bindings as bindings
	answer == {"allow": false, "reasons": {"not on Fridays"}}
	allowed(request)
}

test_extra_denies_no_admin if {
	authz.allow with data.docker.authz.extra.deny as {"not on Fridays"}
		with input as by(["unix:root"], create) with data.roles as roles with data.bindings as bindings
}

test_extra_limits if {
	labels := {"team": "blue"}
	answer := {"where": authz.where, "stamp": authz.stamp} with data.docker.authz.extra as {"deny": set(), "where": labels, "stamp": labels}
		with input as by(ci, create) with data.roles as roles with data.bindings as bindings
	answer == {"where": labels, "stamp": labels}
}

test_extra_limits_no_admin if {
	labels := {"team": "blue"}
	answer := {"where": authz.where, "stamp": authz.stamp} with data.docker.authz.extra as {"deny": set(), "where": labels, "stamp": labels}
		with input as by(["unix:root"], create) with data.roles as roles with data.bindings as bindings
	answer == {"where": {}, "stamp": {}}
}

# Where the operator has written no rules there are none.
test_no_extra if {
	data.docker.authz.extra == {"deny": set(), "where": {}, "stamp": {}}
	declared := data.docker.authz.extra with data.docker.nothing as {"a": "b"}
	declared == {"deny": {"b"}, "where": {"a": "b"}, "stamp": {"a": "b"}}
}

test_contradictions_closed if {
	red := {"team": "red"}
	answer := {"allow": authz.allow, "reasons": authz.reasons} with data.docker.authz.extra as {"deny": set(), "where": red, "stamp": red}
		with input as by(["container:blue"], operation) with data.roles as tenants with data.bindings as tenancies
	answer == {
		"allow": false,
		"reasons": {
			"what it may see is limited to team=blue and team=red, which nothing has: bind it to one of the roles",
			"what it makes would be labelled team=blue and team=red, of which one is possible: bind it to one of the roles",
		},
	}
}

# The gateway's socket in place of the engine's

socket_roles := {
	"ci": {"operations": ["ContainerCreate"], "engine_socket": "substitute"},
	"proud": {"operations": ["ContainerCreate"], "hazards": ["engine-socket", "host-path"]},
	"both": {"operations": ["ContainerCreate"], "hazards": ["engine-socket", "host-path"], "engine_socket": "substitute"},
	"looks": {"operations": ["ContainerList"], "engine_socket": "substitute"},
	"plain": {"operations": ["ContainerCreate"]},
	"admin": {"operations": ["*"]},
}

socketed(who, op) := answer if {
	answer := {"allow": authz.allow, "substitute": authz.substitute, "reasons": authz.reasons} with input as by([sprintf("container:%s", [one]) | some one in who], op)
		with data.roles as socket_roles
		with data.bindings as {role: [sprintf("container:%s", [role])] | some role, _ in socket_roles}
}

test_socket_is_substituted if {
	typed := changed(create, {"hazards": ["engine-socket", "host-path"], "host_paths": ["/run/docker.sock"]})
	instead := changed(create, {"substituted": ["HostConfig.Binds"]})
	every case in [
		[["ci"], typed, false, true], [["ci"], instead, true, true],
		[["proud"], typed, true, false], [["proud"], instead, false, false],
		[["both"], typed, true, true], [["both"], instead, true, true],
		[["both", "proud"], typed, true, false],
		[["ci", "plain"], typed, false, true], [["ci", "plain"], instead, true, true],
		[["ci", "looks"], instead, true, true],
		[["plain"], typed, false, false], [["plain"], instead, false, false],
		[["looks"], typed, false, false], [["looks"], instead, false, false],
		[["admin", "ci"], typed, true, false],
	] {
		answer := socketed(case[0], case[1])
		[answer.allow, answer.substitute] == [case[2], case[3]]
	}
	socketed(["plain"], instead).reasons == {"role plain does not put the gateway's socket in place of the engine's (it lacks engine_socket: substitute)"}
}

# What it would do besides is asked as ever, and only that one word means it.
test_socket_is_no_more_than_that_closed if {
	more := changed(create, {"substituted": ["HostConfig.Binds"], "hazards": ["privileged"]})
	answer := socketed(["ci"], more)
	not answer.allow
	answer.reasons == {"role ci does not take the hazards privileged"}
	every word in [true, "yes", null, ["substitute"]] {
		allowed := authz.allow with input as by(["container:ci"], changed(create, {"substituted": ["HostConfig.Binds"]}))
			with data.roles as {"ci": {"operations": ["ContainerCreate"], "engine_socket": word}}
			with data.bindings as {"ci": ["container:ci"]}
		not allowed
	}
}

# In place of a container that the caller has taken away

recreate_roles := {
	"updater": {"operations": ["ContainerCreate", "ContainerStop"], "recreate": {"where": {"update": "yes"}}},
	"night": {"operations": ["ContainerStop"], "recreate": {"where": {"night": "yes"}}},
	"proud": {"operations": ["ContainerCreate"], "hazards": ["privileged"]},
	"admin": {"operations": ["*"]},
}

recreated(who, op) := answer if {
	answer := {"allow": authz.allow, "recreate": authz.recreate, "reasons": authz.reasons} with input as by([sprintf("container:%s", [one]) | some one in who], op)
		with data.roles as recreate_roles
		with data.bindings as {role: [sprintf("container:%s", [role])] | some role, _ in recreate_roles}
}

test_only_such_containers if {
	typed := changed(create, {"hazards": ["privileged"]})
	instead := changed(create, {"replaced": ["HostConfig.Privileged"]})
	stop := changed(create, {"id": "ContainerStop"})
	every case in [
		[["updater"], typed, false, set()],
		[["updater"], instead, true, {{"update": "yes"}}],
		[["updater"], create, true, {{"update": "yes"}}],
		[["updater", "night"], stop, true, {{"update": "yes"}, {"night": "yes"}}],
		[["proud"], typed, true, set()],
		[["updater", "proud"], typed, true, set()], # proud changes any
		[["updater", "proud"], create, true, set()],
		[["updater", "proud"], instead, true, {{"update": "yes"}}],
		[["proud"], instead, false, set()],
		[["admin", "updater"], stop, true, set()],
	] {
		answer := recreated(case[0], case[1])
		[answer.allow, answer.recreate] == [case[2], case[3]]
	}
	"as the container before it had: HostConfig.Privileged" in recreated(["updater"], instead).reasons
}

# What it would do besides is asked as ever.
test_recreate_is_no_more_than_that_closed if {
	answer := recreated(["updater"], changed(create, {"replaced": ["HostConfig.Binds"], "hazards": ["privileged"]}))
	not answer.allow
	answer.reasons == {"role updater does not take the hazards privileged"}
	not recreated(["updater"], changed(create, {"replaced": null})).allow
}
