//go:build race

package replicate_test

// raceDetector says whether the tests were built with -race.
const raceDetector = true

// amount is how much of n a test writes that is about memory: the detector finds in a
// third what it finds in all, and compresses a megabyte a second.
func amount(n int) int { return n / 3 }
