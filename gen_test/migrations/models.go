// Package migrations has models that have gone through several versions: see
// the files of the directory migrations.
package migrations

//go:generate go tool driftgen

// Team is referred to.
type Team struct {
	ID   string `drift:"pk"`
	Name string `drift:"unique"`
}

// User is what all is about.
type User struct {
	ID       string  `drift:"pk"`
	FullName string  `drift:"index"`
	Active   bool    `drift:"default=true,writezero"`
	Age      int64   `drift:"default=18,writezero,min=0"`
	TeamID   *string `drift:"ref=Team,ondelete=cascade,index"`
}

// Note is new in version 2.
type Note struct {
	ID     int64   `drift:"pk,auto"`
	UserID *string `drift:"ref=User,ondelete=setnull,index"`
	Text   string
	Length int64 `drift:"default=0"`
}
