// Package gen turns structs with drift tags into typed tables.
//
// The way of a package through it, one file per step:
//
//	find.go      which directories hold models, which files are our own output
//	load.go      the packages as they are without that output
//	source.go    their types, from source; reach.go: from as little of it as will do
//	collect.go   structs with tags become models, their fields columns
//	resolve.go   names, keys, foreign keys: what needs more than one field
//	emit*.go     models become source text, by dave/jennifer
//	plan.go      source text against the files on disk: write, check, remove
//
// The output depends on nothing but the source of the package: not on the
// machine, the time, the working directory or what was generated before.
// Every mistake in the models is reported in one run, at the place in the tag
// where it stands, and as long as there is one nothing is written.
package gen
