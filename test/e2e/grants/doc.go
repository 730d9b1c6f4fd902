// Package grants tests, on a real Engine, that a right which ends takes with it what it allowed: open execs and streams, whatever
// happens to us or to the clock meanwhile, and that the audit log says so once.
package grants
