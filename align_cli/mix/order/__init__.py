"""Which rows a mixture takes, and in what order: arithmetic over row numbers."""
