// Package docs has models that refer to models of other packages.
package docs

import (
	people "github.com/driftdb/driftdb/gen_test/packages/auth"
	"github.com/driftdb/driftdb/gen_test/packages/tags"
)

//go:generate go tool driftgen

// Doc belongs to a user of another package.
type Doc struct {
	ID      string  `drift:"pk,uuid7"`
	OwnerID string  `drift:"ref=people.User,ondelete=cascade,index"`
	Reader  *string `drift:"ref=people.User.Name,onupdate=cascade,index"`

	Owner  *people.User `drift:"one=OwnerID"`
	ReadBy *people.User `drift:"one=Reader"`
	Tags   []tags.Tag   `drift:"via=Mark"`
}

// Mark relates docs to tags.
type Mark struct {
	DocID string `drift:"pk,ref=Doc,ondelete=cascade"`
	TagID int64  `drift:"pk,ref=tags.Tag,ondelete=cascade,index"`
}
