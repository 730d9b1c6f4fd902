# METADATA
# title: Rules of the operator's
# description: |
#   A file of this package beside data.yaml adds to the built-in rules:
#
#     deny contains reason   denies what the roles grant, to all but an admin
#     where[label] := value  limits what callers see to objects with that label
#     stamp[label] := value  puts a label on what they make
#
#   Each may be written as often as one likes. Here they are only declared, so that each is
#   defined where the operator has written none: there is no data.docker.nothing.
# scope: package
package docker.authz.extra

import rego.v2

deny contains reason if some reason in data.docker.nothing

where[label] := value if some label, value in data.docker.nothing

stamp[label] := value if some label, value in data.docker.nothing
