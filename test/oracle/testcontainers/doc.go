// Package testcontainers runs Testcontainers' own library for Go through the gateway, under its preset, and the reaper that it starts. It is
// in a module of its own, so that whoever uses Vitrine does not inherit the library.
package testcontainers
