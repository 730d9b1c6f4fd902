// Package docs runs chapters of the documentation on a real Engine, word for word: what the reader is told to type, and
// the files that he is told to write.
package docs
