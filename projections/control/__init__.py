"""The control schema: which generations there are, which one is live, and how far the log reaches."""
