//go:build !race

package replicate_test

// raceDetector says whether the tests were built with -race.
const raceDetector = false

// amount is how much of n a test writes that is about memory: all of it.
func amount(n int) int { return n }
