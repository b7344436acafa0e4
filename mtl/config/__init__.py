"""The command line: schema of constructors, checks before anything heavy, user errors in one line."""
