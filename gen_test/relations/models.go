// Package relations has models that refer to each other in every way: to a
// parent, back from it, to themselves, in a ring, by keys of several columns, by
// text that compares without case, and with rows that are soft deleted.
package relations

import "time"

//go:generate go tool driftgen

// Team and User refer to each other.
type Team struct {
	ID      string  `drift:"pk"`
	Name    string  `drift:"unique"`
	OwnerID *string `drift:"ref=User,ondelete=setnull,index"`

	Owner *User  `drift:"one=OwnerID"`
	Users []User `drift:"many=User.TeamID"`
}

// User has a relation of every kind but by way of a table between.
type User struct {
	ID        string `drift:"pk"`
	Name      string
	Nick      string     `drift:"unique,nocase"`
	TeamID    *string    `drift:"ref=Team,ondelete=setnull,index"`
	DeletedAt *time.Time `drift:"softdelete"`

	Team    *Team    `drift:"one=TeamID"`
	Posts   []Post   `drift:"many=Post.AuthorID"`
	Profile *Profile `drift:"one=Profile.UserID"`
	Notes   []Note   `drift:"many=Note.UserNick"`
	Badge   *Badge   `drift:"one=Badge.UserID"`
}

// Badge is one at a time for each user.
type Badge struct {
	ID        int64      `drift:"pk"`
	UserID    string     `drift:"ref=User,ondelete=cascade,uniquelive"`
	DeletedAt *time.Time `drift:"softdelete"`
}

// Profile belongs to one user.
type Profile struct {
	UserID string `drift:"pk,ref=User,ondelete=cascade"`
	Bio    string

	User *User `drift:"one=UserID"`
}

// Stamped is a part of others that has a relation.
type Stamped struct {
	ByID *string `drift:"ref=User,ondelete=setnull,index"`
	By   *User   `drift:"one=ByID"`
}

// Post has many comments.
type Post struct {
	Stamped
	ID        int64  `drift:"pk"`
	AuthorID  string `drift:"ref=User,ondelete=cascade,index"`
	Title     string
	Views     int64
	Published bool
	DeletedAt *time.Time `drift:"softdelete"`

	Author   *User     `drift:"one=AuthorID"`
	Comments []Comment `drift:"many=Comment.PostID"`
}

// Comment answers a post, and perhaps another comment.
type Comment struct {
	ID       int64  `drift:"pk"`
	PostID   int64  `drift:"ref=Post,ondelete=cascade,index"`
	ParentID *int64 `drift:"ref=Comment,ondelete=cascade,index"`
	Text     string

	Post    *Post     `drift:"one=PostID"`
	Parent  *Comment  `drift:"one=ParentID"`
	Answers []Comment `drift:"many=Comment.ParentID"`
}

// Note refers to a user by a name whose case does not count.
type Note struct {
	ID       int64   `drift:"pk"`
	UserNick *string `drift:"ref=User.Nick,onupdate=cascade,ondelete=setnull,index"`

	User *User `drift:"one=UserNick"`
}

// Visit has a key of two columns.
type Visit struct {
	Place  string `drift:"pk"`
	Number int64  `drift:"pk"`

	Treatments []Treatment `drift:"many=Treatment.Number"`
	Follows    []Treatment `drift:"many=Treatment.AfterNumber"`
}

// Treatment refers to two visits, each by two columns.
type Treatment struct {
	ID          int64   `drift:"pk"`
	Place       string  `drift:"ref=Visit.Place,ondelete=cascade,index=visit"`
	Number      int64   `drift:"ref=Visit.Number,index=visit"`
	AfterPlace  *string `drift:"ref=Visit.Place,ondelete=setnull,index=after"`
	AfterNumber *int64  `drift:"ref=Visit.Number,index=after"`

	Visit *Visit `drift:"one=Place"`
	After *Visit `drift:"one=AfterNumber"`
}

// Box has a key of two texts.
type Box struct {
	Room string `drift:"pk"`
	Name string `drift:"pk"`

	Books []Book `drift:"many=Book.Room"`
}

// Book refers to a box.
type Book struct {
	ID   int64  `drift:"pk"`
	Room string `drift:"ref=Box.Room,ondelete=cascade,index=box"`
	Name string `drift:"ref=Box.Name,index=box"`
}
