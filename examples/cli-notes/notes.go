package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/driftdb/driftdb/examples/cli-notes/models"
	"github.com/driftdb/driftdb/orm"
)

// notes are the verbs of the command.
type notes struct {
	db  *orm.DB
	out io.Writer
}

func (n notes) say(format string, args ...any) error {
	_, err := fmt.Fprintf(n.out, format+"\n", args...)
	return err
}

func (n notes) add(ctx context.Context, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("add needs a title, and may have a body")
	}
	note := models.Note{Title: args[0], Body: strings.Join(args[1:], "")}
	err := n.db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if err := models.Notes.Create(ctx, tx, &note); err != nil {
			return err
		}
		return index(ctx, tx, &note)
	})
	if err != nil {
		return err
	}
	return n.say("%s  %s", note.ID, note.Title)
}

func (n notes) list(ctx context.Context, tags []string) error {
	q := models.Notes.Where()
	for _, tag := range tags {
		q = q.Where(models.Notes.Tags.Some(models.Tags.Name.Eq(tag)))
	}
	for note, err := range q.OrderBy(models.Notes.ID.Asc()).With(models.Notes.Tags).Each(ctx, n.db) {
		if err != nil {
			return err
		}
		var names []string
		for _, t := range note.Tags {
			names = append(names, "#"+t.Name)
		}
		if err := n.say("%s  %s", note.ID, strings.Join(append([]string{note.Title}, names...), " ")); err != nil {
			return err
		}
	}
	return nil
}

// one returns the note whose id begins with prefix, deleted or not.
func (n notes) one(ctx context.Context, prefix string) (*models.Note, error) {
	if prefix == "" {
		return nil, errors.New("which note? give its id")
	}
	note, err := models.Notes.Where(models.Notes.ID.HasPrefix(prefix)).WithDeleted().One(ctx, n.db)
	switch {
	case errors.Is(err, orm.ErrNotFound):
		return nil, fmt.Errorf("no note has an id that begins with %s", prefix)
	case errors.Is(err, orm.ErrNotUnique):
		return nil, fmt.Errorf("several notes have ids that begin with %s: give more of it", prefix)
	}
	return note, err
}

func (n notes) tag(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("tag needs an id and at least one tag")
	}
	note, err := n.one(ctx, args[0])
	if err != nil {
		return err
	}
	return n.db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		for _, name := range args[1:] {
			t := models.Tag{Name: name}
			if _, err := models.Tags.ByName.FindOrCreate(ctx, tx, &t); err != nil {
				return err
			}
			if err := models.Notes.Tags.Add(ctx, tx, note, &t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n notes) search(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return errors.New("search needs words")
	}
	found, err := find(ctx, n.db, strings.Join(words, " "))
	if err != nil {
		return err
	}
	for _, f := range found {
		if err := n.say("%s  %s: %s", f.ID, f.Title, f.Snippet); err != nil {
			return err
		}
	}
	return nil
}

func (n notes) edit(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("edit needs an id and the new body")
	}
	note, err := n.one(ctx, args[0])
	if err != nil {
		return err
	}
	return n.db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		note, err := models.Notes.UpdateReturning(ctx, tx, note.ID, models.Notes.Body.Set(args[1]))
		if err != nil {
			return err
		}
		return index(ctx, tx, note)
	})
}

func (n notes) remove(ctx context.Context, args []string) error {
	note, err := n.one(ctx, strings.Join(args, " "))
	if err != nil {
		return err
	}
	return n.db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if err := models.Notes.DeleteRow(ctx, tx, note); err != nil {
			return err
		}
		return index(ctx, tx, note)
	})
}

// undo puts a note back to what it was before its last change, whatever that
// was: an edit, or its removal.
func (n notes) undo(ctx context.Context, args []string) error {
	note, err := n.one(ctx, strings.Join(args, " "))
	if err != nil {
		return err
	}
	var last orm.Change[models.Note]
	for c, err := range models.Notes.History(ctx, n.db, note.ID) {
		if err != nil {
			return err
		}
		last = c
	}
	if last.Old == nil {
		return errors.New("the note is as it was written: there is nothing to undo")
	}
	before := *last.Old
	err = n.db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if err := models.Notes.Save(ctx, tx, &before); err != nil {
			return err
		}
		return index(ctx, tx, &before)
	})
	if err != nil {
		return err
	}
	return n.say("%s  %s", before.ID, before.Title)
}
