// Package refs has every action of a foreign key, a key of several columns and
// a table that refers to itself.
package refs

//go:generate go tool driftgen

// Owner is what the others refer to, by its key and by its unique Slug.
type Owner struct {
	ID   int64  `drift:"pk"`
	Slug string `drift:"unique"`
}

// Pet has one reference for each action.
type Pet struct {
	ID       string  `drift:"pk,uuid7"`
	OwnerID  int64   `drift:"ref=Owner,ondelete=cascade,index"`
	FriendID *int64  `drift:"ref=Owner,ondelete=setnull,index"`
	VetID    int64   `drift:"ref=Owner,ondelete=setdefault,default=1,writezero,index"`
	Keeper   *int64  `drift:"ref=Owner,ondelete=restrict,index"`
	Slug     *string `drift:"ref=Owner.Slug,onupdate=cascade,ondelete=setnull,index"`
	MotherID *string `drift:"ref=Pet,index"`
}

// Visit has a key of two columns, one of which is a reference.
type Visit struct {
	PetID  string `drift:"pk,ref=Pet,ondelete=cascade"`
	Number int64  `drift:"pk"`
	Reason string `drift:"minlen=3,maxlen=40"`
	Weight int    `drift:"min=1,max=5000,check=(weight % 2 = 1)"`
}
