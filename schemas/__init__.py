"""What travels: events, topics, codecs, version tokens, problems. Pure: imports nothing of ours and does no I/O."""
