// Package tools runs commands of Docker's own command line, and of compose, through a gateway, and reads in its audit log what they asked: docs/tools.md
// has it as a table. `go test ./test/e2e/tools -update`, and once more with VITRINE_ENGINE=28, writes it.
package tools
