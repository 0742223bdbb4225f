"""A local page to look into a run: cards of codes, clips in time, search; and the same as HTTP."""
