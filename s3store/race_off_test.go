//go:build !race

package s3store_test

// raceDetector says whether the tests were built with -race.
const raceDetector = false
