// Package testcontainers runs Testcontainers' own library for Go through the gateway, with the role of docs/use-cases.md, and the reaper that it starts. It is
// in a module of its own, so that whoever uses Vitrine does not inherit the library.
package testcontainers
