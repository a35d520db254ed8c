// Package product has the models of an ordinary program, with most of what a
// tag can say: what is generated for them is held to a size.
package product

import "time"

//go:generate go tool driftgen

// Role is what a user is in their team.
type Role string

// The roles.
const (
	RoleMember Role = "member"
	RoleLead   Role = "lead"
)

// Team has users.
type Team struct {
	ID   string `drift:"pk,uuid7"`
	Name string `drift:"unique"`

	Users []User `drift:"many=User.TeamID"`
}

// User has a column of nearly every kind.
//
//drift:index team_role (team_id, role, created_at DESC) where=(deleted_at IS NULL)
type User struct {
	ID        string         `drift:"pk,uuid7"`
	Name      string         `drift:"index,maxlen=200"`
	Email     string         `drift:"unique,nocase"`
	Age       *int           `drift:"check=(age >= 0)"`
	Role      Role           `drift:"enum,default=member,omitzero"`
	Active    bool           `drift:"default=true,writezero"`
	Meta      map[string]any `drift:"json,null"`
	TeamID    *string        `drift:"ref=Team,ondelete=setnull,index"`
	Version   int64          `drift:"version"`
	CreatedAt time.Time      `drift:"created"`
	UpdatedAt time.Time      `drift:"updated"`
	DeletedAt *time.Time     `drift:"softdelete"`

	Team  *Team  `drift:"one=TeamID"`
	Posts []Post `drift:"many=Post.AuthorID"`
	cache int    // unexported: never a column
}

// Post belongs to a user.
type Post struct {
	ID        string `drift:"pk,uuid7"`
	AuthorID  string `drift:"ref=User,ondelete=cascade,index"`
	Title     string
	Views     int64 `drift:"default=0"`
	Published bool

	Author *User `drift:"one=AuthorID"`
}

// Member says which users belong to which team.
type Member struct {
	TeamID string `drift:"pk,ref=Team,ondelete=cascade"`
	UserID string `drift:"pk,ref=User,ondelete=cascade,index"`
}

// Cached is what was computed for the user.
func (u *User) Cached() int { return u.cache }
