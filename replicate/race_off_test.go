//go:build !race

package replicate_test

// raceDetector says whether the tests were built with -race.
const raceDetector = false
