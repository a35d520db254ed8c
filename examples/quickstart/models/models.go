// Package models describes the import graph of a Go distribution: its
// packages, their files, and which package imports which.
package models

import "github.com/driftdb/driftdb/orm"

//go:generate go tool driftgen

// Package is one package of the standard library.
type Package struct {
	orm.Base
	Path     string `drift:"unique"`
	Name     string `drift:"index"`
	Synopsis string
	Internal bool
	// ImportedBy counts the packages that import this one. The transactions
	// that add an Import keep it.
	ImportedBy int64 `drift:"default=0,index"`
}

// File is one Go source file of a package.
type File struct {
	orm.Base
	PackageID string `drift:"ref=Package,ondelete=cascade,unique=place"`
	Name      string `drift:"unique=place"`
	Size      int64
}

// Import is one edge of the graph: From imports To.
type Import struct {
	orm.Base
	FromID string `drift:"ref=Package,ondelete=cascade,unique=edge"`
	ToID   string `drift:"ref=Package,ondelete=restrict,unique=edge,index"`
}
