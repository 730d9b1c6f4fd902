// Package tenants tests, on a real Engine, that two callers who share one socket can each use what they make, and that
// what the other one made does not exist for them: in no list, by no name, in no error.
package tenants
