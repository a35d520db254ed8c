// Package writes has a model with soft delete, a version and keys, and one with
// hooks.
package writes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/driftdb/driftdb/orm"
)

//go:generate go tool driftgen

// Page is never quite gone.
type Page struct {
	ID        string         `drift:"pk,uuid7"`
	Slug      string         `drift:"uniquelive"`
	Code      *string        `drift:"unique"`
	Title     string         `json:"title"`
	Views     int64          `drift:"default=0"`
	Tags      []string       `drift:"json"`
	Meta      map[string]any `drift:"json,null"`
	Score     *float64
	Public    bool       `drift:"default=true,omitzero"`
	Version   int64      `drift:"version"`
	CreatedAt time.Time  `drift:"created"`
	UpdatedAt time.Time  `drift:"updated,time=us"`
	DeletedAt *time.Time `drift:"softdelete"`
	Comments  []Comment  `drift:"many=Comment.PageID"`
}

// Comment belongs to a page.
type Comment struct {
	ID     int64  `drift:"pk,auto"`
	PageID string `drift:"ref=Page,ondelete=cascade,index"`
	Text   string
}

// Hooked has every hook. What they do is written into Trace.
type Hooked struct {
	ID    string `drift:"pk"`
	Name  string `drift:"unique"`
	Trace string
}

// Committed is told of every commit of a Hooked.
var Committed = func(string) {} //nolint:gochecknoglobals // hooks are methods of rows: they reach nothing else

func (h *Hooked) note(s string) { h.Trace = strings.TrimPrefix(h.Trace+","+s, ",") }

// BeforeCreate refuses the name bad.
func (h *Hooked) BeforeCreate(_ context.Context, _ *orm.Tx) error {
	if h.Name == "bad" {
		return errors.New("a bad name")
	}
	h.note("bc")
	return nil
}

// AfterCreate fails for the name late, and reads what was just written.
func (h *Hooked) AfterCreate(ctx context.Context, tx *orm.Tx) error {
	if ok, err := Hookeds.Exists(ctx, tx, h.ID); err != nil || !ok {
		return fmt.Errorf("not there: %w", err)
	}
	if h.Name == "late" {
		return errors.New("too late")
	}
	return nil
}

// BeforeUpdate refuses the name bad.
func (h *Hooked) BeforeUpdate(_ context.Context, _ *orm.Tx) error {
	if h.Name == "bad" {
		return errors.New("a bad name")
	}
	h.note("bu")
	return nil
}

// AfterUpdate fails for the name late.
func (h *Hooked) AfterUpdate(_ context.Context, _ *orm.Tx) error {
	if h.Name == "late" {
		return errors.New("too late")
	}
	return nil
}

// BeforeDelete refuses the name keep.
func (h *Hooked) BeforeDelete(_ context.Context, _ *orm.Tx) error {
	if h.Name == "keep" {
		return errors.New("it stays")
	}
	return nil
}

// AfterDelete fails for the name late.
func (h *Hooked) AfterDelete(_ context.Context, _ *orm.Tx) error {
	if strings.HasPrefix(h.Name, "late") {
		return errors.New("too late")
	}
	return nil
}

// AfterCommit tells Committed.
func (h *Hooked) AfterCommit(context.Context) { Committed(h.Name) }
