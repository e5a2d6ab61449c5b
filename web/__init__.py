"""What both HTTP services share: raw paths, problems, bodies, status pages, serving."""
