// Package children tests, on a real Engine, what a container may do that somebody has made and that was given the
// gateway's socket in place of the Engine's: it is known whose it is, and may do no more than its owner. Nothing that
// anybody sends makes a container another one's, and what was judged is what is done while names change.
package children
