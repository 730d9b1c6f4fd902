// Package hostpaths tests, on a real Engine, that a path of the host is what it
// leads to there: a role that is bound to a folder stays in it, whatever those
// whose containers have the folder put into it.
package hostpaths
