"""Programs with several troubles at a time, of which one is the cause."""
