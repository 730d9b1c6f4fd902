// Package dogstatsd receives DogStatsD messages (protocol 1.0 to 1.6) over Unix
// sockets and UDP, and says of each which container sent it.
//
// Over a Unix socket that is the kernel's word, and a sender cannot change it:
// the kernel attaches the sender's credentials to each datagram, and package attest
// confirms the container behind the process. A PID is a number that is given
// away again, so a PID that was seen before is believed only while a pidfd shows
// the process alive after the datagram was received. The pidfd is the datagram's own
// (SO_PASSPIDFD, Linux 6.5), which also names the cgroup of a sender that has exited
// (6.13, 6.15); a pidfd that is taken by number instead counts for datagrams that were
// sent after that process began. Where all that fails there is no origin: attribution is
// right or absent. A process with CAP_SYS_ADMIN over its PID namespace may
// put on the number of another process in there, and a process that can write to the cgroup
// file system could move itself into another container's cgroup and exit. What a container
// sends before the Engine has told of that container waits for the Engine, a second at most.
//
// What a client says of itself (the fields c: and e:, the tag
// dd.internal.entity_id) counts only where the kernel has no process to name: over UDP, and from
// other PID namespaces. Whoever can send there can claim what they like;
// Config.IgnoreClaims stops that.
//
// Memory is bounded whatever is sent: buffers, connections, processes that are
// remembered, packets that wait for their origin. Nothing is dropped in between: what
// the kernel could not keep is counted for UDP, and for Unix sockets the sender is
// made to wait, or told. A line that cannot be read costs itself alone.
//
// The caller gives a [Sink], which is package messages', and an attestor, which is a *sender.Finder.
package dogstatsd
