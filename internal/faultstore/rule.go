package faultstore

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Op is an operation of a Store.
type Op int

// The operations. Any stands in a Rule for every one of them.
const (
	Any Op = iota
	Get
	Put
	List
	Delete
)

// String returns the operation's name in lower case.
func (o Op) String() string {
	return [...]string{"any", "get", "put", "list", "delete"}[o]
}

// Kind is the way in which a call goes wrong.
type Kind int

const (
	// Error faults so: nothing is done, the call returns a transient error.
	Error Kind = iota + 1
	// LostReply faults so: the operation is done, the call returns a transient error all
	// the same ("timed out after success"). A List yields everything before it.
	LostReply
	// Permanent faults so: nothing is done, the call returns a replicate.PermanentError.
	Permanent
	// Precondition faults so: nothing is done, a Put returns ErrPrecondition. Matches
	// calls of Put only.
	Precondition
	// ShortBody faults so: the body of a Get ends in the middle with a clean io.EOF, while
	// its Info says the full size. Matches calls of Get only.
	ShortBody
	// Reset faults so: the body of a Get breaks off in the middle with an error. Matches
	// calls of Get only.
	Reset
	// StaleList faults so: a List leaves out what was put through this store since the
	// rules were set. Matches calls of List only.
	StaleList
	// Hang faults so: the operation begins when Rule.Release is closed; the call returns
	// the context's error if that ends before.
	Hang
	// Slow faults so: the operation begins after Rule.Delay; the call returns the
	// context's error if that ends before.
	Slow
)

// Kinds returns every kind, for loops over all faults.
func Kinds() []Kind {
	return []Kind{Error, LostReply, Permanent, Precondition, ShortBody, Reset, StaleList, Hang, Slow}
}

// String returns the kind's name.
func (k Kind) String() string {
	return [...]string{"none", "error", "lost reply", "permanent", "precondition", "short body", "reset", "stale list", "hang", "slow"}[k]
}

// Rule says which calls go wrong, and how. Of several rules that match a call
// the first applies.
type Rule struct {
	Op  Op     // Any by default
	Key string // the key, or a List's prefix, or one of a Delete's keys contains it; empty matches all

	// Nth is the first matching call that goes wrong, counted from 1 since the
	// rules were set; 0 is the first.
	Nth int
	// Times is how many matching calls go wrong from there on: 0 means one,
	// below 0 means all.
	Times int

	Kind Kind
	// Err is what the call returns instead of ErrInjected. Kinds Permanent and
	// Precondition wrap it.
	Err error
	// Release lets a call of kind Hang go on when it is closed. nil never does.
	Release <-chan struct{}
	// Delay is how long a call of kind Slow takes before it begins.
	Delay time.Duration
}

// Always returns a rule that makes every call of op on a key containing key go
// wrong.
func Always(op Op, key string, kind Kind) Rule {
	return Rule{Op: op, Key: key, Kind: kind, Times: -1}
}

// ErrInjected is what a faulted call returns unless its rule names an error.
var ErrInjected = errors.New("injected fault")

// matches says whether the rule concerns the call, apart from its number.
func (r Rule) matches(op Op, keys []string) bool {
	if r.Op != Any && r.Op != op {
		return false
	}
	switch r.Kind {
	case Precondition:
		if op != Put {
			return false
		}
	case ShortBody, Reset:
		if op != Get {
			return false
		}
	case StaleList:
		if op != List {
			return false
		}
	}
	if r.Key == "" {
		return true
	}
	for _, k := range keys {
		if strings.Contains(k, r.Key) {
			return true
		}
	}
	return false
}

// applies says whether the nth matching call goes wrong.
func (r Rule) applies(nth int) bool {
	first := max(r.Nth, 1)
	switch {
	case nth < first:
		return false
	case r.Times < 0:
		return true
	}
	return nth < first+max(r.Times, 1)
}

func (r Rule) err(op Op, key string) error {
	err := r.Err
	if err == nil {
		err = ErrInjected
	}
	return fmt.Errorf("%s %q: %w", op, key, err)
}
