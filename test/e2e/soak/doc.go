// Package soak has eight callers do everything that their roles let them, for a long time, on a private Engine that asks our
// plugin: containers come and go, the policy is written anew, dockerd is restarted. Every request must be answered as
// it should, but for those that a restart of the Engine cut off; and memory, descriptors and goroutines of
// authz-plugin must not grow: the slope of what was sampled is asserted.
//
// `make soak` takes 20 minutes, DURATION=24h a day. Without VITRINE_SOAK, as beside other tests, it takes seconds, in
// which a slope would mean nothing: only what is asked is asserted then, and how much is held in the end.
package soak
