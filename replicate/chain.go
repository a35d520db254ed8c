package replicate

import (
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/internal/changelog"
)

// chain is the sealed part of the local file's history as far as the file still
// knows it: its newest acknowledged link and the batches after it. It only
// grows at its end and shrinks at its beginning.
type chain struct {
	base link // the newest acknowledged link, or where the file's chain begins
	rows []changelog.Seal
	gap  *link // a link beyond a gap, which a manifest may come to cover; nil for none
}

// check asserts that the batches follow each other.
func (c *chain) check() error {
	at := c.base
	for _, s := range c.rows {
		if s.From != at.Sequence+1 || s.To < s.From || s.PrevHash != at.Hash {
			return fmt.Errorf("sealed batch %d-%d does not follow %d: %w", s.From, s.To, at.Sequence, ErrLogDamaged)
		}
		at = endOf(s)
	}
	return nil
}

// last returns the newest sealed link.
func (c *chain) last() link {
	if n := len(c.rows); n > 0 {
		return endOf(c.rows[n-1])
	}
	return c.base
}

// contains says whether l is a link of the chain.
func (c *chain) contains(l link) bool {
	if c.base.is(l) || c.gap != nil && c.gap.is(l) {
		return true
	}
	return slices.ContainsFunc(c.rows, func(s changelog.Seal) bool { return endOf(s).is(l) })
}

// at returns the link that ends at sequence.
func (c *chain) at(sequence int64) (link, bool) {
	if c.base.Sequence == sequence {
		return c.base, true
	}
	for _, s := range c.rows {
		if s.To == sequence {
			return endOf(s), true
		}
	}
	return link{}, false
}

// after returns the first batch that begins beyond l.
func (c *chain) after(l link) (changelog.Seal, bool) {
	i := slices.IndexFunc(c.rows, func(s changelog.Seal) bool { return s.From > l.Sequence })
	if i < 0 {
		return changelog.Seal{}, false
	}
	return c.rows[i], true
}

// forget moves the beginning to l, a link of the chain.
func (c *chain) forget(l link) {
	c.rows = slices.DeleteFunc(c.rows, func(s changelog.Seal) bool { return s.To <= l.Sequence })
	c.base = l
}

func endOf(s changelog.Seal) link {
	return link{Sequence: s.To, Hash: s.Hash, MaxTime: s.MaxTime}
}
