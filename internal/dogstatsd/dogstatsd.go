// Package dogstatsd receives DogStatsD messages (protocol 1.0 to 1.6) over Unix
// sockets and UDP, and says of each which container sent it.
package dogstatsd
