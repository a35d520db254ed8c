// Package durable makes files that survive a power failure: the content is on
// the disk before the name is, and the name is on the disk before the call
// returns. A reader sees the old file or the whole new one, never a part.
package durable
