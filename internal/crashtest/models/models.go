// Package models is the bank of the crash test: transfers that keep the sum of
// all balances, each with two rows that must stand or fall together.
package models

//go:generate go tool driftgen

// Account has a balance; the sum over all accounts never changes.
type Account struct {
	Name    string `drift:"pk"`
	Balance int64
}

// Transfer is the Nth transfer; N has no gaps.
type Transfer struct {
	N      int64  `drift:"pk"`
	From   string `drift:"ref=Account,index"`
	To     string `drift:"ref=Account,index"`
	Amount int64
}

// Receipt is written in the transaction of transfer N.
type Receipt struct {
	N    int64 `drift:"pk,ref=Transfer,ondelete=cascade"`
	Text string
}
