package replicate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

// watched is what the engine knows of the file's structure. The log carries
// changes of the structure that migrations and Open make; the others it must
// notice by itself.
type watched struct {
	kept    changelog.StoredStructure
	looked  bool
	version int64 // of the schema, when it was compared last
	drift   error // nil: nothing that the log depends on was changed
}

// watch compares the structure of the file with what it was, if SQLite says that
// it may have changed: VACUUM and ANALYZE move that number, too. A change of what
// the log depends on is ErrSchemaDrift until it is undone or was accepted; any
// other one that the log does not tell of makes a snapshot due.
func (e *engine) watch(ctx context.Context) error {
	accept := slices.ContainsFunc(e.waiting, func(r *request) bool { return r.accept && !r.accepted })
	w := &e.watched
	version, err := e.local.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if w.looked && version == w.version && !accept {
		return w.drift
	}
	if !w.looked {
		if w.kept, err = changelog.KeptStructure(ctx, e.local.marks); err != nil {
			return err
		}
	}
	now, entries, err := e.local.structure(ctx, w.kept.Schema)
	if err != nil {
		return err
	}
	before := w.kept
	next := changelog.StoredStructure{Structure: now, Known: true, Owed: before.Owed}
	found := compare(before, now, entries)
	if accept {
		found.drift, next.Owed = nil, true
	}
	if len(found.drift) > 0 {
		next.Structure = before.Structure // what it is to be again
	}
	next.Owed = next.Owed || len(found.drift) > 0 || len(found.foreign) > 0 || w.drift != nil
	if !slices.Equal(next.Objects, before.Objects) || next.Schema != before.Schema || next.Owed != before.Owed || !before.Known {
		if err := e.local.marker.KeepStructure(ctx, next); err != nil {
			return err
		}
	}
	w.kept, w.looked, w.version, w.drift = next, true, version, nil
	for _, what := range found.foreign {
		e.o.Logger.Warn("the structure was changed by something else; a snapshot alone carries that", "database", e.name, "node", e.side.id(), "what", what)
		e.event(Event{Kind: EventSchema, Key: what, To: e.captured})
	}
	if len(found.drift) > 0 {
		w.drift = fmt.Errorf("database %q: %s: %w", e.name, strings.Join(found.drift, "; "), ErrSchemaDrift)
		return w.drift
	}
	for _, r := range e.waiting {
		r.accepted = r.accepted || r.accept
	}
	return nil
}

// findings are differences of a structure, each as a text for people.
type findings struct {
	drift   []string // of what the log depends on
	foreign []string // of anything else, which the log does not tell of
}

// compare says how now differs from before; entries are what the log tells of the
// time in between.
func compare(before changelog.StoredStructure, now changelog.Structure, entries []changelog.SchemaEntry) (f findings) {
	told := len(entries) > 0 || now.Schema > before.Schema // by a migration, or by Open
	tells := teller{}
	for _, e := range entries {
		for _, s := range e.SQL {
			tells.add(s)
		}
		f.foreign = append(f.foreign, wasMissing(e, before.Known)...)
	}
	logged := loggedTables(before.Structure)
	if told || !before.Known {
		logged = loggedTables(now)
		if n := len(entries); n > 0 {
			f.drift = append(f.drift, notLogged(entries[n-1], now)...)
		}
	}
	note := func(o changelog.Object, how string, ours string) {
		_, isTrigger := o.Logged()
		switch {
		case isTrigger || logged[strings.ToLower(o.Name)] || strings.HasPrefix(o.Name, "_driftdb_"):
			if !told {
				f.drift = append(f.drift, o.String()+" "+how+ours)
			}
		case tells.of(o, how):
		default:
			f.foreign = append(f.foreign, o.String()+" "+how)
		}
	}
	if !before.Known {
		for _, o := range now.Objects { // an index belongs to Open, as far as anyone can tell
			if o.Kind != "index" && !logged[strings.ToLower(o.Name)] && !strings.HasPrefix(o.Name, "_driftdb_") && !tells.of(o, "was made") {
				f.foreign = append(f.foreign, o.String()+" is there")
			}
		}
		return f
	}
	for _, o := range before.Objects {
		i := slices.IndexFunc(now.Objects, func(n changelog.Object) bool { return n.Name == o.Name && n.Kind == o.Kind })
		switch {
		case i < 0:
			note(o, "was dropped", "")
		case now.Objects[i] != o:
			lines := ""
			if o.Kind == "table" {
				lines = difference(o.SQL, now.Objects[i].SQL)
			}
			note(o, "was changed", lines)
		}
	}
	for _, o := range now.Objects {
		if !slices.ContainsFunc(before.Objects, func(b changelog.Object) bool { return b.Name == o.Name && b.Kind == o.Kind }) {
			note(o, "was made", "")
		}
	}
	return f
}

// teller knows which changes of the structure the statements of schema entries
// tell of.
type teller struct {
	made, dropped map[string]bool // objects, as kind and name in lower case
	renames       bool            // SQLite writes anew what mentions a name that changes
}

func (t *teller) add(sql string) {
	what, ok := schema.SubjectOf(sql)
	if !ok {
		return
	}
	if t.made == nil {
		t.made, t.dropped = map[string]bool{}, map[string]bool{}
	}
	key := func(name string) string { return strings.ToLower(what.Kind + " " + name) }
	switch {
	case what.Verb == "DROP":
		t.dropped[key(what.Name)] = true
	case what.To != "":
		t.dropped[key(what.Name)], t.made[key(what.To)] = true, true
	default:
		t.made[key(what.Name)] = true
	}
	t.renames = t.renames || what.Renames
}

// of says whether a change of an object is told of. An object that goes with its
// table is not named, but its table is.
func (t *teller) of(o changelog.Object, how string) bool {
	key := strings.ToLower(o.Kind + " " + o.Name)
	switch how {
	case "was dropped":
		return t.dropped[key] || t.dropped[strings.ToLower("table "+o.Table)]
	case "was changed":
		return t.made[key] || t.renames
	}
	return t.made[key]
}

// loggedTables returns the tables whose triggers write the log.
func loggedTables(s changelog.Structure) map[string]bool {
	all := map[string]bool{}
	for _, o := range s.Objects {
		if table, ok := o.Logged(); ok {
			all[strings.ToLower(table)] = true
		}
	}
	return all
}

// notLogged returns the triggers that the tables of e want and that are not
// there.
func notLogged(e changelog.SchemaEntry, now changelog.Structure) (missing []string) {
	for _, t := range e.Tables {
		for _, op := range []string{"insert", "update", "delete"} {
			name := "_driftdb_" + t.Name + "_" + op
			if !slices.ContainsFunc(now.Objects, func(o changelog.Object) bool { return o.Kind == "trigger" && strings.EqualFold(o.Name, name) }) {
				missing = append(missing, "trigger "+name+" is missing")
			}
		}
	}
	return missing
}

// wasMissing returns the triggers that Open has made anew for a table that was
// there: without them rows may have changed that no entry tells of.
func wasMissing(e changelog.SchemaEntry, known bool) (missing []string) {
	if e.Name != "open" || !known {
		return nil
	}
	text := strings.Join(e.SQL, "\n")
	for _, t := range e.Tables {
		if strings.Contains(text, `CREATE TABLE "`+t.Name+`"`) {
			continue
		}
		for _, op := range []string{"insert", "update", "delete"} {
			name := `"_driftdb_` + t.Name + "_" + op + `"`
			if strings.Contains(text, "CREATE TRIGGER "+name) && !strings.Contains(text, "DROP TRIGGER "+name) {
				missing = append(missing, "trigger "+strings.Trim(name, `"`)+" had been dropped")
			}
		}
	}
	return missing
}

// difference returns the lines that differ, for an error.
func difference(was, is string) string {
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	var lines []string
	for _, l := range a {
		if !slices.Contains(b, l) {
			lines = append(lines, "was: "+strings.TrimSpace(l))
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			lines = append(lines, "is: "+strings.TrimSpace(l))
		}
	}
	if len(lines) > 6 {
		lines = append(lines[:6], fmt.Sprintf("and %d lines more", len(lines)-6))
	}
	return " (" + strings.Join(lines, ", ") + ")"
}

// owes says whether a snapshot is due because the log does not tell of a change
// of the structure.
func (e *engine) owes() bool {
	return e.watched.kept.Owed && e.watched.drift == nil && (e.snap == nil || !e.snap.owed)
}

// paid keeps that the snapshot that was due is stored.
func (e *engine) paid(ctx context.Context, job *snapshotJob) error {
	if !job.owed || e.watched.kept.Owed && job.structure != e.watched.version {
		return nil // it has changed again since
	}
	e.watched.kept.Owed = false
	return e.local.marker.KeepStructure(ctx, e.watched.kept)
}

// AcceptSchema takes the structure of the file as it is for what it is to be,
// ends ErrSchemaDrift, and stores a snapshot, which alone carries what was
// changed. It is the way on when something other than a migration has changed a
// table on purpose. It returns when the manifest names the snapshot.
func (r *Replica) AcceptSchema(ctx context.Context) error {
	if err := r.ask(ctx, &request{accept: true}); err != nil {
		return fmt.Errorf("replicate: accept the structure of the file: %w", err)
	}
	return nil
}
