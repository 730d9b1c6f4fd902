// Package buildkit holds the gateway to what builds are made with: BuildKit's own client library, docker build and
// docker buildx. It is in a module of its own, so that whoever uses Vitrine does not inherit BuildKit.
package buildkit
