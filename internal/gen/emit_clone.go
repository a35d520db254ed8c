package gen

import (
	"go/types"

	"github.com/dave/jennifer/jen"
)

// clones says whether a plain copy of the model shares memory with it.
func (m *model) clones() bool {
	return m.first(func(col *column) bool { return col.shares() }) != nil
}

func (col *column) shares() bool { return col.pointer || col.holds() }

// holds says whether the column's value, without its pointer, holds memory.
func (col *column) holds() bool {
	switch col.kind {
	case kindBytes, kindJSON, kindValue, kindText:
		return holdsMemory(col.elem)
	default:
		return false
	}
}

// holdsMemory says whether a copy of a t shares what can change with it.
func holdsMemory(t types.Type) bool {
	t = types.Unalias(t)
	if n, ok := t.(*types.Named); ok && n.Obj().Pkg() != nil {
		switch path := n.Obj().Pkg().Path(); {
		case isTime(t), path == "net/netip", path == "unique":
			return false // nobody can change what they hold
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Kind() == types.UnsafePointer || u.Kind() == types.Invalid
	case *types.Array:
		return holdsMemory(u.Elem())
	case *types.Struct:
		for f := range u.Fields() {
			if holdsMemory(f.Type()) {
				return true
			}
		}
		return false
	}
	return true
}

// clone writes the function that makes a deep copy.
func (e emitter) clone() {
	m := e.m
	if !m.clones() {
		return
	}
	body := []jen.Code{jen.Id("c").Op(":=").Op("*").Id("m")}
	for _, col := range m.columns {
		if !col.shares() {
			continue
		}
		to, from := jen.Id("c."+col.selector()), field(col)
		if col.valid != "" {
			to, from = to.Dot(col.valid), from.Dot(col.valid)
		}
		clone := e.cloner(col)
		switch {
		case col.pointer && clone == nil:
			from = e.orm("ClonePtr").Call(from)
		case col.pointer:
			from = e.orm("ClonePtrBy").Call(from, clone)
		default:
			from = clone.Call(from)
		}
		body = append(body, to.Op("=").Add(from))
	}
	e.file.Line()
	e.file.Func().Id("clone" + m.names.model).Params(e.modelParam()).Add(e.model()).Block(append(body, jen.Return(jen.Id("c")))...)
}

// cloner returns the function that copies the column's value, without its
// pointer; nil for a plain copy.
func (e emitter) cloner(col *column) *jen.Statement {
	if !col.holds() {
		return nil
	}
	switch u := col.elem.Underlying().(type) {
	case *types.Slice:
		if !holdsMemory(u.Elem()) {
			return jen.Qual("slices", "Clone")
		}
	case *types.Map:
		if !holdsMemory(u.Key()) && !holdsMemory(u.Elem()) {
			return jen.Qual("maps", "Clone")
		}
	}
	switch col.kind {
	case kindValue:
		return e.orm("CloneValue")
	case kindText:
		return e.orm("CloneText")
	default:
		return e.orm("CloneJSON")
	}
}
