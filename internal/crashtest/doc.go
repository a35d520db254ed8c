// Package crashtest kills a writing and shipping process at random moments and
// checks that nothing it acknowledged is lost, doubled or torn. It holds tests
// only.
package crashtest
