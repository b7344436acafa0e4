"""What limits a sweep: checks with a code, each a finding about its runs."""
