// Package receiver has OpenTelemetry's collector take what our programs send by OTLP. It is a module
// of its own, so that the collector is none of the programs' dependencies.
package receiver
