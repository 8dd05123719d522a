"""Where rows come from: files, folders, packages, the Hub; found, opened and told apart by their content."""
