package gen

// row notes a struct that is the row of a query.
func (c *collector) row(d *structDecl) {
	c.errorf(d.pos, "//drift:row is not supported yet")
}

// query notes an interface whose methods are queries.
func (c *collector) query(d *structDecl) {
	c.errorf(d.pos, "//drift:query is not supported yet")
}
