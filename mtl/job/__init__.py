"""What a job knows of its sweep: its record, its fingerprint, what is reused."""
