// Package learn tests, on a real Engine, that what docker's command line, python3-docker and a client of Prometheus's kind were seen to do
// gives a role under which they can do it again, that a comparison of policies foretells what is then denied, and that a candidate decides nothing.
package learn
