package replicate

import "github.com/driftdb/driftdb/internal/changelog"

// hash is a link's value in the chain, or any other SHA-256.
type hash = changelog.Hash

// hash0 is the hash before the first batch of the database called db.
func hash0(db string) hash { return changelog.Hash0(db) }
