// Package lifecycle follows the plugin through its life beside a real dockerd:
// installed, named, reconfigured, upgraded, killed, restarted, dropped and taken
// away, as a managed plugin and as a legacy one; and through the life of its
// policy: none, broken, mended, replaced, and one that never answers.
//
// Whoever stops being asked must notice, and what is named must always be asked:
// a watcher sends dockerd requests all the while, and counts those that nobody
// decided.
package lifecycle
