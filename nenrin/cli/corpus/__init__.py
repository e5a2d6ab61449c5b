"""Documents in files: which files (`finding`, `ignoring`), in which form (`formats`), what is in them (`reading`)."""
