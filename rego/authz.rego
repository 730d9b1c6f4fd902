# METADATA
# title: Roles
# description: |
#   The default policy. Everything is in data: data.roles says what a role may
#   do, data.bindings who holds it. A caller may do what one of its roles grants,
#   unless a denial below applies; only the role admin passes those.
#
#   What cannot be established grants nothing: each rule is written so that it
#   denies when the input that it looks at is missing, and a test holds it to that.
# scope: package
package docker.authz

import rego.v2

# METADATA
# title: The answer
# entrypoint: true
default allow := false

allow if admin

allow if {
	count(granting) > 0
	count(denials) == 0
}

# METADATA
# title: Passes the rails
# description: Those are what no role grants, as it amounts to owning the host.
default admin := false

admin if "admin" in roles

# METADATA
# title: The roles that the caller holds
# description: One principal of a binding is enough; of a list inside the binding all must hold.
roles contains role if {
	some principal in input.caller.principals
	some role in singly[principal]
}

roles contains role if {
	some [role, i] in jointly
	held(role, i)
}

# METADATA
# title: What the data says, ready to be asked
# description: |
#   Rules that read no input, such as those of this section, are evaluated once, when data is loaded
#   (internal/authz/policy/ready.go). What is in none of the data is out of the way then, with the rules
#   that begin with it, and a role with a hundred operations is looked up as fast as one with ten.

# Roles by the principals that are bound to them by themselves; the other entries, owners' and lists of principals.
singly[principal] contains role if {
	some role, i
	principal := data.bindings[role][i]
	single(principal)
}

jointly contains [role, i] if {
	some role, i
	entry := data.bindings[role][i]
	not single(entry)
	vouched(role, entry)
}

single(entry) if {
	is_string(entry)
	count(owners(entry)) == 0
}

listing[id] contains role if {
	some role, _ in data.roles
	some id in data.roles[role].operations
}

excepting[id] contains role if {
	some role, _ in data.roles
	some id in data.roles[role].except
}

# By access, those for all resources, and by access and then resource.
everywhere[access] contains role if {
	some role, _ in data.roles
	not data.roles[role].resources
	some access in data.roles[role].access
}

somewhere[access][resource] contains role if {
	some role, _ in data.roles
	some resource in data.roles[role].resources
	some access in data.roles[role].access
}

taking[hazard] contains role if {
	some role, _ in data.roles
	some hazard in data.roles[role].hazards
	hazard != "unknown-input"
}

blanking[id] contains role if {
	some role, _ in data.roles
	some id, secrets in data.roles[role].blanks
	"env" in secrets
}

redacting[role] := pointers if {
	some role, _ in data.roles
	pointers := {id: {pointer | some pointer in list} | some id, list in data.roles[role].redact}
}

keeping[role] := data.roles[role].keep_env if some role, _ in data.roles

limiting[role] := data.roles[role].where if some role, _ in data.roles

stamping[role] := data.roles[role].stamp if some role, _ in data.roles

sharing[role] := data.roles[role].shared if some role, _ in data.roles

naming[role] contains name if {
	some role, _ in data.roles
	some name in data.roles[role].image_names
}

recreating[role] := data.roles[role].recreate if some role, _ in data.roles

capping[role] := data.roles[role].ceilings if some role, _ in data.roles

owning contains role if {
	some role, _ in data.roles
	data.roles[role].own
}

pathed contains role if {
	some role, _ in data.roles
	data.roles[role].host_paths
}

# Host paths that are the same for each caller, between slashes, and as they are written those that may not be.
fixed[role] contains concat("", ["/", trim_right(written, "/"), "/"]) if {
	some role, _ in data.roles
	some written in data.roles[role].host_paths
	not moving[role][written]
}

moving[role] contains written if {
	some role, _ in data.roles
	some written in data.roles[role].host_paths
	some mark in ["$", "*"]
	contains(written, mark)
}

easygoing contains role if {
	some role, _ in data.roles
	data.roles[role].unresolved == true
}

substituting contains role if {
	some role, _ in data.roles
	data.roles[role].engine_socket == "substitute"
}

audited contains role if {
	some role, _ in data.roles
	data.roles[role].mode == "audit"
}

unredacted contains role if {
	some role, _ in data.roles
	data.roles[role].without_redaction
}

# The entries that a principal stands in, if anybody can hold them at all.
guarded[one] contains [role, i] if {
	some role, i
	some one in flat(data.bindings[role][i])
	vouched(role, data.bindings[role][i])
}

# What is bound, by the names of a request that are it, or may be: "*" and "kind:*" stand for many, and
# a container's user is a peer where the gateway does not see its process.
meant_by[bound] contains bound if some bound, _ in guarded

meant_by[peer(bound)] contains bound if some bound, _ in guarded

meant_by["*"] contains bound if {
	some bound, _ in guarded
	mintable(bound)
}

meant_by[any_of(bound)] contains bound if some bound, _ in guarded

meant_by[any_of(peer(bound))] contains bound if some bound, _ in guarded

any_of(principal) := concat("", [split(principal, ":")[0], ":*"]) if contains(principal, ":")

# METADATA
# title: What somebody has made holds no more than he does
# description: |
#   An entry with owner:P counts only while P itself, in the same words, is an
#   entry of the same binding, and never for admin.
vouched(_, entry) if count(owners(entry)) == 0

vouched(role, entry) if {
	role != "admin"
	count(owners(entry)) == 1
	some owner in owners(entry)
	some other in data.bindings[role]
	count(owners(other)) == 0
	concat("+", flat(other)) == owner
}

owners(entry) := {trim_prefix(principal, "owner:") |
	some principal in flat(entry)
	startswith(principal, "owner:")
}

# METADATA
# title: The roles of the caller that grant the operation
granting contains role if {
	some role in roles
	includes(role)
	takes(role)
	knows_owner(role)
}

# METADATA
# title: Whether a role takes what the request carries
takes(role) if {
	input.operation.hazards == []
	input.operation.host_paths == []
	input.operation.unresolved == []
	input.operation.substituted == []
	input.operation.replaced == []
} else if {
	every hazard in input.operation.hazards {
		takes_hazard(role, hazard)
	}
	every path in input.operation.host_paths {
		takes_path(role, path)
	}
	takes_unresolved(role)
	takes_socket(role)
	takes_replaced(role)
}

# METADATA
# title: Whether a role includes the operation, whoever holds it
# description: |
#   What follows an exec of one's own is included with it: to start it, to resize it, and to ask how it
#   ended, of which Docker's command line makes the exit status.
includes(role) if {
	listing[input.operation.id][role]
} else if {
	is_string(input.operation.id)
	listing["*"][role]
} else if {
	is_string(input.operation.id)
	classed(role)
	not excepting[input.operation.id][role]
} else if {
	input.operation.own_exec == true
	input.operation.id in {"ExecStart", "ExecResize", "ExecInspect"}
	execing[role]
	not excepting[input.operation.id][role]
}

classed(role) if somewhere[input.operation.access][input.operation.resource][role]

classed(role) if {
	is_string(input.operation.resource)
	everywhere[input.operation.access][role]
}

execing contains role if some role in listing.ContainerExec

execing contains role if {
	some role in somewhere.interactive.containers
	not excepting.ContainerExec[role]
}

execing contains role if {
	some role in everywhere.interactive
	not excepting.ContainerExec[role]
}

in_resources(role) if input.operation.resource in role.resources

in_resources(role) if not role.resources

# METADATA
# title: Whether a role takes a hazard
# description: |
#   It must name it. That an answer shows environments is no hazard where the
#   role blanks all of them: blanks says of which secrets of an answer what the
#   role blanks leaves nothing. It is not written in data.yaml, but made of redact
#   when that is loaded. No role takes input that nobody knows the meaning of.
takes_hazard(role, hazard) if taking[hazard][role]

takes_hazard(role, hazard) if {
	taking["*"][role]
	hazard != "unknown-input"
}

takes_hazard(role, "env") if {
	blanking[input.operation.id][role]
	input.operation.access in {"list", "inspect"}
}

# METADATA
# title: Whether a role takes a host path
# description: |
#   A role with host_paths takes those and what is below them, others any that their hazards take.
#   $mounts stands for what the caller's own container has mounted, and $user for the
#   caller's name; for nothing if there is none, or if there are several.
takes_path(role, _) if not pathed[role]

takes_path(role, path) if {
	pathed[role]
	marked := concat("", ["/", path, "/"])
	not contains(marked, "/../")
	within(role, path, marked)
}

within(role, _, marked) if {
	some start in fixed[role]
	startswith(marked, start)
}

within(role, path, _) if {
	some written in moving[role]
	some allowed in meant(written)
	below(path, allowed)
}

below(path, allowed) if startswith(concat("", [path, "/"]), concat("", [trim_right(allowed, "/"), "/"]))

below(path, allowed) if {
	startswith(allowed, "volume:")
	endswith(allowed, "*")
	startswith(path, trim_suffix(allowed, "*"))
}

meant(written) := {written} if {
	not "$user" in split(written, "/")
	written != "$mounts"
}

meant("$mounts") := {path | some path in input.caller.container.mounts}

meant(written) := {replace(written, "$user", name)} if {
	"$user" in split(written, "/")
	name := trim_prefix(own_name("user"), "unix:")
	not contains(name, "/")
	not name in {"", ".", ".."}
}

# METADATA
# title: Whether a role takes host paths that could not be resolved
# description: Nobody knows where they lead, so a role must say that it does not mind.
takes_unresolved(_) if input.operation.unresolved == []

takes_unresolved(role) if {
	easygoing[role]
	is_array(input.operation.unresolved)
}

# METADATA
# title: Whether a role has the gateway's socket in place of the engine's
# description: |
#   A request that mounts the engine's socket is asked about once more, with the
#   gateway's in its place: substituted are the fields that have it then.
takes_socket(_) if input.operation.substituted == []

takes_socket(role) if {
	substituting[role]
	is_array(input.operation.substituted)
}

# METADATA
# title: Whether a role makes a container anew
# description: |
#   A create under the name of a container that the caller has taken away is asked about once more without what
#   that one had in the same words: replaced are the fields of which a hazard or a path was left out so.
takes_replaced(_) if input.operation.replaced == []

takes_replaced(role) if {
	recreating[role]
	is_array(input.operation.replaced)
}

# METADATA
# title: Which containers may be changed, and made anew
# description: By their labels, for each role that grants the request. A role without the key changes any.
recreate contains labels if {
	some role in granting
	labels := recreating[role].where
	not any_container
}

any_container if admin

any_container if {
	some role in granting
	not recreating[role]
}

# METADATA
# title: The gateway's socket stands in place of the engine's
# description: If each role that grants the request says so, and one at least that includes it.
default substitute := false

substitute if {
	some role in roles
	substituting[role]
	not admin
	includes(role)
	every granter in granting {
		substituting[granter]
	}
}

# METADATA
# title: A body that cannot be judged
# description: A denial has a reason code beside its sentence; docs/reasons.md says what each means.
denials contains {"code": "body-unjudged", "reason": "the body cannot be judged: only admin may send it"} if {
	not input.request.body_state in {"none", "json", "opaque"}
}

# METADATA
# title: A request that was not understood
denials contains {"code": "not-understood", "reason": "it is not known what the request would do"} if not understood

understood if {
	is_array(input.operation.unknown)
	is_array(input.operation.mints)
	is_array(input.operation.enters)
}

# METADATA
# title: Unknown keys and parameters
denials contains {"code": "unknown-input", "reason": reason} if {
	some key in input.operation.unknown
	reason := sprintf("unknown input %s: only admin may send it", [key])
}

# METADATA
# title: What the operator denies
# description: Rules of package docker.authz.extra add to these ones; see extra.rego.
denials contains {"code": "extra-rule", "reason": reason} if some reason in data.docker.authz.extra.deny

# METADATA
# title: Labels that contradict each other
# description: A label has one value, in a view and on what is made. Which of two is meant nobody can tell.
denials contains {"code": "contradiction", "reason": reason} if {
	some label, values in wanted
	count(values) > 1
	reason := sprintf("what it may see is limited to %s, which nothing has: bind it to one of the roles", [both(label, values)])
}

denials contains {"code": "contradiction", "reason": reason} if {
	some label, values in given
	count(values) > 1
	reason := sprintf("what it makes would be labelled %s, of which one is possible: bind it to one of the roles", [both(label, values)])
}

both(label, values) := concat(" and ", sort([one | some value in values; one := sprintf("%v=%v", [label, value])]))

# METADATA
# title: The mint is guarded
# description: |
#   Whoever makes, or gets into, something that a role is bound to could act with
#   that role, so the caller must hold it too.
denials contains {"code": "mint", "reason": reason} if {
	some principal in reached
	some one in meant_by[principal]
	some [role, i] in guarded[one] # nobody can hold another
	opens(data.bindings[role][i], one)
	not holds(role, i)
	reason := sprintf("%s is bound to role %s, %s", [principal, role, unheld(role)])
}

unheld(role) := "which the caller does not hold" if not role in roles

unheld(role) := "by an entry that is another owner's" if {
	role in roles
	not data.roles[role].own == "container"
}

unheld(role) := "by an entry by which each container is another owner" if {
	role in roles
	data.roles[role].own == "container"
}

# Of a role with things of one's own each entry of the binding is another owner.
holds(role, _) if {
	role in roles
	not data.roles[role].own
}

holds(role, i) if {
	held(role, i)
	not breeds(role, i)
}

# Where each container is another owner, with ceilings of its own, an entry that does not say which
# container it is would make an owner of whatever its holder makes. A user is nothing that is made.
breeds(role, i) if {
	data.roles[role].own == "container"
	not own_name("container") in flat(data.bindings[role][i])
}

# What the caller makes, and what the caller's owner has made besides.
holds(role, i) if {
	role in roles
	owner(role) in owners(data.bindings[role][i])
}

# What the request makes, and what it enters.
reached := input.operation.mints if {
	understood
	input.operation.enters == []
} else := array.concat(input.operation.mints, input.operation.enters) if understood

flat(bound) := [bound] if is_string(bound)

flat(bound) := bound if is_array(bound)

peer(bound) := concat("", ["container-", trim_prefix(bound, "peer-")]) if startswith(bound, "peer-")

# What Docker can give a process. Certificates and the host's own users are not
# made through its API; who may reach the host's files is a matter of hazards.
mintable(bound) if {
	bound != "local"
	not split(bound, ":")[0] in {"unix", "uid", "gid", "tls", "tls-san", "tls-o", "tls-sha256"}
}

# One of a list is enough to be on guard: the others may be there already. But a
# user and an image id come only with a container's process, whose other
# principals the request then reaches too: those must all be.
opens(bound, _) if is_string(bound)

opens(bound, one) if {
	is_array(bound)
	not split(one, ":")[0] in {"container-uid", "container-gid", "image-id", "listener"}
}

opens(bound, _) if {
	is_array(bound)
	every one in bound {
		may_be_reached(one)
	}
}

may_be_reached(bound) if {
	some principal in reached
	meant_by[principal][bound]
}

# METADATA
# title: What the caller and the audit record are told
reasons contains "role admin" if admin

reasons contains by_role[role] if {
	allow
	not admin
	some role in granting
}

by_role[role] := concat(" ", ["role", role]) if some role, _ in data.roles

reasons contains reason if {
	allow
	count(input.operation.replaced) > 0
	reason := sprintf("as the container before it had: %s", [concat(", ", input.operation.replaced)])
}

reasons contains refusal.reason if {
	not allow
	some refusal in refusals
}

codes contains refusal.code if {
	not allow
	some refusal in refusals
}

refusals contains nobody if count(roles) == 0

nobody := {"code": "no-role", "reason": "no role is bound to the caller"}

refusals contains denial if {
	count(granting) > 0
	some denial in denials
}

refusals contains refused_by(role) if {
	count(granting) == 0
	some role in roles
}

refused_by(role) := missing(role) if {
	includes(role)
} else := {"code": "not-granted", "reason": lacks(role)}

# What a role that includes the operation does not take of the request.
missing(role) := {"code": hazard_code, "reason": reason} if {
	hazards := [with_fields(hazard) |
		some hazard in input.operation.hazards
		not takes_hazard(role, hazard)
	]
	count(hazards) > 0
	reason := sprintf("role %s does not take the hazards %s", [role, concat(", ", hazards)])
} else := {"code": "host-path", "reason": reason} if {
	paths := [path |
		some path in input.operation.host_paths
		not takes_path(role, path)
	]
	count(paths) > 0
	reason := sprintf("role %s does not take the host paths %s", [role, concat(", ", paths)])
} else := {"code": "host-path-unresolved", "reason": reason} if {
	not takes_unresolved(role)
	reason := sprintf("role %s does not take host paths that cannot be looked up (it lacks unresolved: true): %s", [role, concat(", ", input.operation.unresolved)])
} else := {"code": "engine-socket", "reason": reason} if {
	not takes_socket(role)
	reason := sprintf("role %s does not put the gateway's socket in place of the engine's (it lacks engine_socket: substitute)", [role])
} else := {"code": "no-owner", "reason": reason} if {
	not knows_owner(role)
	reason := sprintf("role %s gives each %s its own things, and the caller is none", [role, data.roles[role].own])
}

hazard_code := "unknown-input" if "unknown-input" in input.operation.hazards

else := "hazard"

# Why a role does not include the operation.
lacks(role) := sprintf("%s; role %s excepts it", [class, role]) if {
	input.operation.access in data.roles[role].access
	in_resources(data.roles[role])
	excepting[input.operation.id][role]
} else := sprintf("%s of %s; role %s allows that of %s only", [class, input.operation.resource, role, resources]) if {
	input.operation.access in data.roles[role].access
	resources := concat(", ", data.roles[role].resources)
} else := concat("; ", [allowing[role], class])

allowing[role] := sprintf("role %s allows %s", [role, summary(data.roles[role])]) if some role, _ in data.roles

# What an operator would write into operations, or into access.
class := sprintf("%s is class %s", [id, access]) if {
	id := input.operation.id
	access := input.operation.access
} else := "it is not known which operation this is"

# A hazard with the fields that it comes from: keys and parameters.
with_fields(hazard) := sprintf("%s (%s)", [hazard, concat(", ", fields)]) if {
	fields := [field | some field in causes(hazard); is_string(field)]
	count(fields) > 0
} else := hazard

causes(hazard) := input.operation.hazard_fields[hazard]

causes("unknown-input") := input.operation.unknown

summary(role) := concat(", ", array.concat(object.get(role, "access", []), operations)) if {
	operations := short(object.get(role, "operations", []))
}

short(operations) := operations if count(operations) <= 4

short(operations) := [sprintf("%d operations", [count(operations)])] if count(operations) > 4

# METADATA
# title: Refused at first look
# description: |
#   The reasons where no role of the caller includes the operation, whatever else is
#   in the request. It is asked first, and remembered for each kind of request: so
#   it must read nothing of which a caller can send ever new values, and say what reasons and codes say.
refused contains nobody if count(roles) == 0

refused contains refusal if {
	not admin
	not audit
	every role in roles {
		not includes(role)
	}
	some role in roles
	refusal := {"code": "not-granted", "reason": lacks(role)}
}

# METADATA
# title: Blanked in the answer
# description: |
#   What every granting role blanks. What one role shows, another does not hide.
#   When data.yaml is loaded, the pointers of all roles are brought into one
#   vocabulary: what several cover in common are those that stand in each.
default redact := set()

redact := redacting[role][input.operation.id] if {
	not admin
	count(granting) == 1
	some role in granting
}

redact := intersection({object.get(redacting, [role, input.operation.id], set()) | some role in granting}) if {
	not admin
	count(granting) > 1
}

# METADATA
# title: Environment names whose values are shown all the same
keep_env contains name if {
	some role in granting
	some name in keeping[role]
}

# METADATA
# title: Only objects with these labels
# description: |
#   A role without limit sees everything; of several limits all hold, and those of package
#   docker.authz.extra in any case. Of an admin none does.
where[label] := value if {
	not admin # first, so that no rule of the operator's fails for one
	some label, values in wanted
	some value in values
	value == min(values) # others are denied: see denials
}

wanted[label] contains value if {
	some role in granting
	some label, value in limiting[role]
	not unlimited
}

wanted[owner_label] contains value if {
	some role in granting
	owning[role]
	value := owner(role)
	not unlimited
}

wanted[label] contains value if some label, value in data.docker.authz.extra.where

unlimited if admin

unlimited if {
	some role in granting
	not limiting[role]
	not owning[role]
}

# METADATA
# title: What is everybody's
# description: By kind, names that each limited role shares with its holders, to look at and to use.
shared[kind] contains name if {
	some role in granting
	some kind, names in sharing[role]
	some name in names
	not unlimited
	every other in granting {
		name in sharing[other][kind]
	}
}

# METADATA
# title: Names of images that are the caller's own
# description: |
#   The repositories that a limited role lets its holders give images, each of which only who has the name so may change. $owner stands
#   for who owns what its holder makes: uid_4301 of uid:4301. An owner of whom that makes no part of a name has none.
image_names contains name if {
	some role in granting
	not unlimited
	some written in naming[role]
	every other in granting {
		naming[other][written]
	}
	name := named_by(role, written)
}

named_by(_, written) := written if not "$owner" in split(written, "/")

named_by(role, written) := replace(written, "$owner", part) if {
	"$owner" in split(written, "/")
	part := replace_first(owner(role), ":", "_")
	regex.match(`^[a-z-]+_[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`, part)
}

replace_first(text, old, new) := concat(new, [before, substring(text, count(before) + count(old), -1)]) if {
	contains(text, old)
	before := split(text, old)[0]
}

# METADATA
# title: Labels on what the request makes
# description: |
#   A role without any gives none. Of several stamps all are given, and those of package
#   docker.authz.extra in any case, but to an admin.
stamp[label] := value if {
	not admin # first, so that no rule of the operator's fails for one
	some label, values in given
	some value in values
	value == min(values) # others are denied: see denials
}

given[label] contains value if {
	some role in granting
	some label, value in stamping[role]
	not unstamped
}

given[owner_label] contains value if {
	some role in granting
	owning[role]
	value := owner(role)
	not unstamped
}

given[label] contains value if some label, value in data.docker.authz.extra.stamp

unstamped if {
	some role in granting
	not stamping[role]
	not owning[role]
}

# METADATA
# title: How much a container may be given, and how many the caller may have
# description: A role without ceilings takes them away; of several all hold.
ceilings[key] := value if {
	some role in granting
	some key, _ in capping[role]
	not uncapped
	value := min({most | some other in granting; most := capping[other][key]})
}

uncapped if admin

uncapped if {
	some role in granting
	not capping[role]
}

# METADATA
# title: Whose things a role is about
# description: |
#   own: true is for whoever shares the binding by which the caller holds the role, so its
#   name is that binding's, a list's principals joined in their order. own: container and
#   own: user make it each one's own. For what somebody has made, it is about his things.
owner_label := "vitrine.owner"

owner(role) := whose(data.bindings[role][first_held(role)], data.roles[role].own)

first_held(role) := min([i | some i, _ in data.bindings[role]; held(role, i)])

whose(entry, _) := name if some name in owners(entry)

whose(entry, true) := concat("+", flat(entry)) if count(owners(entry)) == 0

whose(entry, own) := own_name(own) if count(owners(entry)) == 0

own_name("container") := only("container:")

own_name("user") := only("unix:")

only(prefix) := names[0] if {
	names := [name | some name in input.caller.principals; startswith(name, prefix)]
	count(names) == 1
}

held(role, i) if {
	data.bindings[role][i] in input.caller.principals
	vouched(role, data.bindings[role][i])
}

held(role, i) if {
	several := data.bindings[role][i]
	is_array(several)
	count(several) > 0
	every principal in several {
		principal in input.caller.principals
	}
	vouched(role, several)
}

knows_owner(role) if not owning[role]

knows_owner(role) if {
	owning[role]
	owner(role)
}

# METADATA
# title: Denials are recorded and lifted
# description: For whoever holds a role in mode audit. What rails and the parser refuse stays refused.
default audit := false

audit if {
	some role in roles
	audited[role]
}

# METADATA
# title: May go through the plugin door, where no answer can be redacted
default without_redaction := false

without_redaction if {
	some role in granting
	unredacted[role]
}
