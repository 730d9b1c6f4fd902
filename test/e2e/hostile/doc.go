// Package hostile treats a running authz-plugin as badly as a caller can: with
// what is no HTTP, with too much, too slowly, without ever reading, by ten
// thousand idle connections and two hundred busy callers. Somebody else asks
// meanwhile and must be answered; and when they have all gone, memory, goroutines
// and descriptors must be what they were.
//
// VITRINE_LONG makes the busy callers stay for a minute instead of seconds.
package hostile
