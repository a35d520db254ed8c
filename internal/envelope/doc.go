// Package envelope turns bytes into stored objects and back.
//
// Every object has a [Header]: what it is and where it belongs. A gzip object
// carries it in the FEXTRA field of its first member, so that any gunzip still
// reads the object. A reader says which header it expects, gets exactly the
// announced number of bytes or an error, and never more: a swapped, truncated,
// extended or inflated object is [ErrCorrupt].
//
// A sealed object begins with its header, which is the associated data of every
// chunk that follows: moving, swapping, cutting or changing anything is seen.
//
// The layout is section 4.2 of docs/format.md.
package envelope
