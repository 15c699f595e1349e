"""PostgreSQL itself: its address, its programs, and the server that comes along."""
