// Package rollout does what docs/rollout.md says, word for word, with real clients on a real Engine: they are learned, enforced, and go on
// working, and the same identities get no further.
package rollout
