// Package auth has models that those of other packages refer to.
package auth

//go:generate go tool driftgen

// User is somebody who can sign in.
//
//drift:table accounts
type User struct {
	ID   string `drift:"pk,uuid7"`
	Name string `drift:"unique"`

	Sessions []Session `drift:"many=Session.UserID"`
}

// Session is within the package.
type Session struct {
	ID     string `drift:"pk,uuid7"`
	UserID string `drift:"ref=User,ondelete=cascade,index"`
}
