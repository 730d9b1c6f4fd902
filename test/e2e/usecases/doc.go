// Package usecases runs docs/use-cases.md on a real Engine: each policy as it is written there, and the requests below it one after
// the other, as the callers that they name.
package usecases
