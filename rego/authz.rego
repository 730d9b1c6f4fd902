# METADATA
# title: Roles
# description: |
#   The default policy. Everything is in data: data.roles says what a role may
#   do, data.bindings who holds it. A caller may do what one of its roles grants,
#   unless a denial below applies; only the role admin passes those.
#
#   What is asked for and cannot be established grants nothing: a denial is
#   written so that it holds when the input it looks at is missing.
# scope: package
package docker.authz

import rego.v2

# METADATA
# title: The answer
# entrypoint: true
default allow := false

allow if admin

allow if {
	some _ in granting
	not denied
}

# METADATA
# title: Passes the rails
# description: Of what is never granted by a role, as those who write plugins own the host.
default admin := false

admin if "admin" in roles

# METADATA
# title: The roles that the caller holds
roles contains role if {
	some role, principals in data.bindings
	data.roles[role]
	some principal in principals
	holds(principal)
}

# A principal is held if the caller has it, a list of them if it has all of them.
holds(principal) if {
	is_string(principal)
	principal in input.caller.principals
}

holds(principal) if {
	is_array(principal)
	count(principal) > 0
	every one in principal {
		one in input.caller.principals
	}
}

# METADATA
# title: The roles of the caller that grant this operation
granting contains role if {
	some role in roles
	grants(data.roles[role])
	hazards_allowed(data.roles[role])
	host_paths_allowed(data.roles[role])
}

grants(role) if "*" in role.operations

grants(role) if input.operation.id in role.operations

grants(role) if {
	input.operation.access in role.access
	in_resources(role)
	not input.operation.id in object.get(role, "except", [])
}

in_resources(role) if not role.resources

in_resources(role) if input.operation.resource in role.resources

# A role must name the hazards that it takes. That an answer shows environments
# is none where the role blanks them.
hazards_allowed(role) if count(hazards_not_allowed(role)) == 0

hazards_not_allowed(role) := {hazard |
	some hazard in input.operation.hazards
	not hazard in object.get(role, "hazards", [])
	not "*" in object.get(role, "hazards", [])
	not blanked(role, hazard)
}

blanked(role, "env") if {
	input.operation.access in {"list", "inspect"}
	count(role.redact[input.operation.id]) > 0
}

# A role with host_paths takes those, and what is below them; others take any
# that their hazards take.
host_paths_allowed(role) if not role.host_paths

host_paths_allowed(role) if {
	every path in input.operation.host_paths {
		within(path, role.host_paths)
	}
}

within(path, allowed) if path in allowed

within(path, allowed) if {
	not ".." in split(path, "/")
	some one in allowed
	startswith(path, concat("", [trim_right(one, "/"), "/"]))
}

# METADATA
# title: What no role but admin may do
denied if some _ in denials

# METADATA
# title: A body that cannot be judged
denials contains "the body cannot be judged: only admin may send it" if {
	not input.request.body_state in {"none", "json", "opaque"}
}

# METADATA
# title: Unknown keys and parameters
denials contains reason if {
	some key in input.operation.unknown
	reason := sprintf("unknown input %s: only admin may send it", [key])
}

denials contains "unknown input: only admin may send it" if {
	not is_array(input.operation.unknown)
}

denials contains "unknown input: only admin may send it" if {
	"unknown-input" in input.operation.hazards
}

denials contains "the hazards of the request are not known" if {
	not is_array(input.operation.hazards)
}

# METADATA
# title: The mint is guarded
# description: |
#   Whoever makes, or gets into, something that a role is bound to could act with
#   that role. So the caller must hold it too.
denials contains reason if {
	some principal in reached
	some role in guarded(principal)
	not role in roles
	reason := sprintf("%s is bound to role %s, which the caller does not hold", [principal, role])
}

denials contains "what the request creates or enters is not known" if {
	not is_array(input.operation.mints)
}

denials contains "what the request creates or enters is not known" if {
	not is_array(input.operation.enters)
}

reached contains principal if some principal in input.operation.mints

reached contains principal if some principal in input.operation.enters

# The roles that a principal, or one that it may stand for, is bound to.
guarded(principal) := {role |
	some role, principals in data.bindings
	some bound in principals
	some one in flat(bound)
	same(principal, one)
}

flat(bound) := [bound] if is_string(bound)

flat(bound) := bound if is_array(bound)

same(principal, bound) if principal == bound

same("*", bound) if mintable(bound)

same(principal, bound) if {
	endswith(principal, ":*")
	startswith(bound, trim_suffix(principal, "*"))
}

# What Docker could give a process. Certificates and the host's own users are
# not made by its API; who may reach the host's files is a matter of hazards.
mintable(bound) if {
	not bound == "local"
	not split(bound, ":")[0] in {"unix", "uid", "gid", "tls", "tls-san", "tls-o", "tls-sha256"}
}

# METADATA
# title: What the caller and the audit record are told
reasons contains reason if {
	some role in granting
	allow
	reason := sprintf("role %s", [role])
}

reasons contains reason if {
	not admin
	some reason in denials
	some _ in granting
}

reasons contains reason if {
	not allow
	count(granting) == 0
	some role in roles
	reason := refusal(role)
}

reasons contains "no role is bound to the caller" if {
	not allow
	count(roles) == 0
}

refusal(role) := sprintf("role %s does not take the hazards %s", [role, concat(", ", sort(hazards))]) if {
	grants(data.roles[role])
	hazards := hazards_not_allowed(data.roles[role])
	count(hazards) > 0
} else := sprintf("role %s does not take the host paths %s", [role, concat(", ", input.operation.host_paths)]) if {
	grants(data.roles[role])
} else := sprintf("role %s allows %s", [role, summary(data.roles[role])])

summary(role) := concat(", ", array.concat(classes, operations)) if {
	classes := object.get(role, "access", [])
	operations := short(object.get(role, "operations", []))
}

short(operations) := operations if count(operations) <= 4

short(operations) := [sprintf("%d operations", [count(operations)])] if count(operations) > 4

# METADATA
# title: Blanked in the answer
# description: What every granting role blanks. What one shows, another does not hide.
redact contains pointer if {
	not admin
	some role in granting
	some pointer in data.roles[role].redact[input.operation.id]
	every other in granting {
		pointer in data.roles[other].redact[input.operation.id]
	}
}

# METADATA
# title: Environment names whose values are shown all the same
keep_env contains name if {
	some role in granting
	some name in data.roles[role].keep_env
}

# METADATA
# title: Only objects with these labels
# description: Of several roles, all limits hold, but a role without one sees everything.
where := union_of_labels if {
	not admin
	not unlimited
	union_of_labels := {label: value |
		some role in granting
		some label, value in data.roles[role].where
	}
}

unlimited if {
	some role in granting
	not data.roles[role].where
}

# METADATA
# title: May go through the plugin door, where no answer can be redacted
default without_redaction := false

without_redaction if admin

without_redaction if {
	some role in granting
	data.roles[role].without_redaction
}
