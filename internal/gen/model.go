package gen

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"unicode"

	"github.com/driftdb/driftdb/schema"
)

// sourceFile is a Go file of the package with at least one model.
type sourceFile struct {
	path    string
	syntax  *ast.File
	models  []*model
	rows    []*model // of queries
	queries []*querySet
}

// model is a struct that becomes a table.
type model struct {
	name   string // of the Go type
	pos    token.Position
	file   *sourceFile
	named  *types.Named
	syntax *ast.StructType
	home   *collector // of its package

	names   names
	columns []*column
	key     []*column // the primary key, in field order
	uniques []*uniqueKey
	indexes []*group
	extra   []schema.Index // of directives, over expressions or a part of the rows
	checks  []schema.Check // of directives
	unit    string         // of times that do not say it
	was     string         // the table's former name
	parents []*foreignKey  // what its columns refer to
	childs  []*foreignKey  // what refers to it, in its package
	related []*relation
	guards  []guarded // the struct and the local structs flattened into it
	clashes bool      // with another model, which has been reported
	suspect bool      // a tag could not be read as it was meant, which has been reported
	table   schema.Table
}

// guarded is a struct whose change makes the output stale.
type guarded struct {
	named  *types.Named
	syntax *ast.StructType
}

// names are the identifiers that the output declares for a model.
type names struct {
	table string // SQL
	value string // Users
	typ   string // UsersTable
	lower string // users, the prefix of usersSelect and its like
	model string // User with an upper case initial, the suffix of scanUser and its like
	key   string // MemberKey, for a composite key only

	patch   string // UserPatch
	changes string // UserChanges
}

// column is a field that is stored.
type column struct {
	goType
	model *model
	name  string   // of the column in Go
	path  []string // selectors from the model to the field: ["ID"], ["Address", "Street"]
	sql   string
	group string         // before the names of its groups: the prefix of a flattened struct
	pos   token.Position // of the field's name
	tag   fieldTag

	pk               bool
	fill             string // "UUID7", "UUID4" or ""
	auto             bool   // SQLite chooses the key
	created, updated bool
	version          bool
	softdelete       bool
	createonly       bool   // no setter
	readonly         bool   // no setter, and Create does not write it
	generated        string // SQL, "" for a column that is written
	onWrite          bool   // generated and stored
	nolog, secret    bool
	was              string
	enum             *enum
	json             string // the field's name in JSON, "" for none of its own
	jsonHidden       bool   // the field is kept out of JSON
	unit             string // of a time: the name of orm's constant
	collate          string
	def              *defaultValue
	omit             bool // the zero value takes the default
	checks           []checkExpr
	ref              *foreignKey
}

// defaultValue is a column's DEFAULT.
type defaultValue struct {
	sql  string // after DEFAULT
	doc  string // for people
	zero bool   // it is the zero value of the Go type, so there is nothing to choose
}

// checkExpr is a CHECK before it has a name.
type checkExpr struct {
	kind string // "check", "min_check", …: the end of its name
	expr string
}

// group is an index over one or more columns.
type group struct {
	name    string // as given, or "" for an index of one column
	pos     token.Position
	columns []*column
}

// uniqueKey is a group that is a key: Go reaches it as the field by.
type uniqueKey struct {
	group
	live bool   // among rows that are not soft deleted
	sql  string // name of the index
	by   string // ByEmail
	typ  string // UserTeamNickKey, for more than one column
}

// foreignKey are columns that refer to a key of a model, one by one.
type foreignKey struct {
	from, to           []*column
	onDelete, onUpdate schema.Action
	deferred           bool
}

// index returns the column's place in the table.
func (col *column) index() int {
	for i, o := range col.model.columns {
		if o == col {
			return i
		}
	}
	return -1
}

// selector returns the field as seen from the model: Address.Street.
func (col *column) selector() string { return strings.Join(col.path, ".") }

// created returns the column that Create sets, nil for none.
func (m *model) created() *column { return m.first(func(col *column) bool { return col.created }) }

// fixed says whether the column has no setters.
func (col *column) fixed() bool { return col.createonly || col.readonly || col.generated != "" }

// inserted says whether Create writes the column.
func (col *column) inserted() bool { return !col.readonly && col.generated == "" }

// updated returns the column that every update sets, nil for none.
func (m *model) updated() *column { return m.first(func(col *column) bool { return col.updated }) }

// version returns the column that tells versions of a row apart, nil for none.
func (m *model) version() *column { return m.first(func(col *column) bool { return col.version }) }

func (m *model) first(f func(*column) bool) *column {
	if i := slices.IndexFunc(m.columns, f); i >= 0 {
		return m.columns[i]
	}
	return nil
}

// indexed says whether a lookup by c alone can use an index.
func (m *model) indexed(c *column) bool {
	if m.key[0] == c {
		return true
	}
	for _, u := range m.uniques {
		if u.columns[0] == c {
			return true
		}
	}
	for _, g := range m.indexes {
		if g.columns[0] == c {
			return true
		}
	}
	return false
}

// newNames returns the identifiers for the Go type name.
func newNames(name, table string) names {
	value := schema.Plural(name)
	if table == "" {
		table = schema.Plural(schema.SnakeCase(name))
	}
	return names{table: table, value: value, typ: value + "Table", lower: lowerFirst(value), model: upperFirst(name), patch: name + "Patch", changes: name + "Changes"}
}

// declared returns every package-level name of the output for m.
func (m *model) declared() []string {
	n := m.names
	out := []string{n.value, n.typ, n.lower + "Schema", n.lower + "Def", "scan" + n.model, "bind" + n.model, "fill" + n.model, "omit" + n.model}
	for _, s := range sqlConstants() {
		out = append(out, n.lower+s)
	}
	if n.key != "" {
		out = append(out, n.key)
	}
	if m.clones() {
		out = append(out, "clone"+n.model)
	}
	if len(m.patched()) > 0 {
		out = append(out, n.patch, n.changes)
	}
	for _, col := range m.columns {
		if col.enum != nil && col.enum.emit {
			out = append(out, upperFirst(col.enum.named.Obj().Name())+"Values")
		}
	}
	for _, u := range m.uniques {
		if u.typ != "" {
			out = append(out, u.typ)
		}
	}
	return out
}

// sqlConstants end the names of a model's statements. The last three are the
// triggers.
func sqlConstants() []string {
	return []string{"Select", "Insert", "Create", "OnInsert", "OnUpdate", "OnDelete"}
}

func upperFirst(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

// lowerFirst makes an identifier unexported: Users → users, APIKeys → apiKeys.
func lowerFirst(s string) string {
	r := []rune(s)
	for i := range r {
		if !unicode.IsUpper(r[i]) || i > 0 && i+1 < len(r) && unicode.IsLower(r[i+1]) {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return string(r)
}

// goName makes an exported identifier of a word of a tag: team_nick →
// TeamNick, owner_id → OwnerID.
func goName(word string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(word, "_") {
		switch part {
		case "":
		case "id", "url", "uuid":
			b.WriteString(strings.ToUpper(part))
		default:
			b.WriteString(upperFirst(part))
		}
	}
	return b.String()
}
