package docker.authz_test

import rego.v2

import data.docker.authz

test_empty_input_closed if not authz.allow with input as {}
