// Package archtest holds the architecture to its rules: who may import whom,
// how long a file may be, that every package says what it is and has tests. It
// has tests only.
package archtest
