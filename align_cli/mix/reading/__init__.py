"""Files become blocks of rows in our shapes, in one process or many."""
