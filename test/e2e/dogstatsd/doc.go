// Package dogstatsd sends to the monitor from every place that a sender can be
// in, or pretend to be in, on a real Engine: Datadog's own client on the host and
// in containers, as different users, and attackers: who claim, imitate and spoof
// others, exit at once, reuse their numbers, flood, and send rubbish.
//
// What was sent arrives, each number of it; and whoever sent it is itself, or
// nobody: never another.
package dogstatsd
