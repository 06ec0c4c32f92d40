"""What the project claims about speed, measured. Each module prints a table and can write it down."""
